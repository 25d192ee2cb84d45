//! Garbage, half-open streams and slow peers: each is named and counted, and the node goes on.

use std::sync::Arc;
use std::time::Duration;

use futures::{AsyncReadExt, AsyncWriteExt};
use quadrille_node::mesh::{MeshConfig, MeshHandle, Timing};
use quadrille_protocol::error::Code;
use quadrille_protocol::types::Domain;

use crate::rogue::{Rogue, read, write};
use crate::support::*;

/// The node under attack is `m`; the rogue is `a`, which sorts first and so opens sessions.
async fn victim(timing: Timing) -> (World, Arc<TestHost>, MeshHandle) {
    let world = World::new();
    let m = world.host("m", 1);
    let mesh = start(&m, 1, MeshConfig { timing, ..config() }).await;
    (world, m, mesh)
}

/// Shorter limits, so that the tests see them pass.
fn impatient() -> Timing {
    let short = Duration::from_millis(1_500);
    Timing { handshake: short, stall: short, page: short, ..config().timing }
}

/// An honest peer gets a session and is heard: the node is up.
async fn is_up(world: &World, m: &Arc<TestHost>, mesh: &MeshHandle) {
    let honest = world.host("honest", 77);
    let honest_mesh = start(&honest, 77, knowing(&[(m, mesh)])).await;
    session(m, &honest).await;
    honest.send("m", message("hello")).await;
    until("a message", || m.tells(&Told::Received(domain("honest"), message("hello")))).await;
    honest_mesh.shutdown().await;
}

/// Bytes that look like nothing, the same in every run.
fn noise(seed: u64, count: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(count);
    for _ in 0..count {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.push(state.to_le_bytes()[3]);
    }
    bytes
}

const GREETING: [u8; 5] = [0; 5];

/// A session with the rogue, greeted on both sides.
async fn open_session(rogue: &Rogue) -> impl AsyncReadExt + AsyncWriteExt + Unpin {
    let mut stream = rogue.stream("/quadrille/session/1").await.expect("a stream");
    stream.write_all(&GREETING).await.unwrap();
    stream.flush().await.unwrap();
    let mut greeting = [9; 5];
    stream.read_exact(&mut greeting).await.unwrap();
    assert_eq!(greeting, GREETING);
    stream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn noise_at_every_protocol_leaves_the_node_up() {
    let (world, m, mesh) = victim(config().timing).await;
    let a = world.host("a", 2);
    for (seed, protocol) in (1..).zip([
        "/quadrille/session/1",
        "/quadrille/members/1",
        "/quadrille/book/1",
        "/quadrille/test-net/kad/1",
        "/quadrille/test-net/gossip/1.1.0",
        "/ipfs/id/1.0.0",
        "/ipfs/ping/1.0.0",
    ]) {
        // A connection for each: some end with the noise.
        let rogue = Rogue::member(&mesh, &a, 2).await;
        let mut stream = rogue.stream(protocol).await.expect(protocol);
        let _ = stream.write_all(&noise(seed, 100_000)).await;
        let _ = stream.close().await;
        // A stream without a protocol, one with half a name, and one left open.
        let mut raw = rogue.raw().await.expect("a stream");
        let _ = raw.write_all(&noise(seed + 100, 5_000)).await;
        let mut half = rogue.raw().await.expect("a stream");
        let _ = half.write_all(b"\x13/multistream/1.0.0\n\x20/quadr").await;
        let _ = half.flush().await;
        drop(rogue);
        until("its end", || mesh.counters().connections_closed.get() == seed).await;
        mesh.pardon(&a.domain);
    }
    until("a bad request", || mesh.counters().bad_requests.get() > 0).await;
    is_up(&world, &m, &mesh).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn noise_before_the_handshake_is_a_refused_handshake() {
    let (world, m, mesh) = victim(impatient()).await;
    for seed in 0..2 {
        let rogue = Rogue::connect(&mesh, 2).await;
        let mut raw = rogue.raw().await.unwrap();
        let _ = raw.write_all(&noise(seed, 10_000)).await;
        let _ = raw.flush().await;
        until("a refusal", || mesh.counters().handshakes_refused.get() > seed).await;
    }
    let rogue = Rogue::connect(&mesh, 2).await;
    let mut stream = rogue.stream("/quadrille/hello/1").await.unwrap();
    let _ = write(&mut stream, &noise(9, 1_000)).await;
    let answer = read(&mut stream).await.expect("a refusal in words");
    assert_eq!(answer[..4], [1, 0, 0, 0]);
    until("a refusal", || mesh.counters().handshakes_refused.get() == 3).await;
    assert_eq!(mesh.counters().connections_opened.get(), 0);
    is_up(&world, &m, &mesh).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn noise_instead_of_tls_is_a_failed_connection() {
    let (world, m, mesh) = victim(impatient()).await;
    let socket = socket_of(&mesh);
    for seed in 0..2 {
        let mut stream = tokio::net::TcpStream::connect(&socket).await.unwrap();
        let bytes = noise(seed, 10_000);
        let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, &bytes).await;
        until("a failure", || mesh.counters().connections_failed.get() > seed).await;
    }
    is_up(&world, &m, &mesh).await;
}

fn socket_of(mesh: &MeshHandle) -> String {
    let address = mesh.listen_addresses()[0].to_string();
    let port = address.split('/').nth(4).unwrap();
    format!("127.0.0.1:{port}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_but_the_handshake_is_spoken_with_a_peer_that_has_not_passed_it() {
    let (world, m, mesh) = victim(config().timing).await;
    for protocol in [
        "/quadrille/session/1",
        "/quadrille/members/1",
        "/quadrille/book/1",
        "/quadrille/test-net/kad/1",
        "/quadrille/test-net/gossip/1.1.0",
        "/ipfs/id/1.0.0",
        "/ipfs/ping/1.0.0",
    ] {
        let rogue = Rogue::connect(&mesh, 2).await;
        assert!(rogue.stream(protocol).await.is_none(), "{protocol}");
    }
    assert_eq!(mesh.counters().connections_opened.get(), 0);
    is_up(&world, &m, &mesh).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_that_are_none_end_the_session_and_in_the_end_block_the_peer() {
    let (world, m, mesh) = victim(config().timing).await;
    let a = world.host("a", 2);
    let oversize = [1, 0xff, 0xff, 0xff, 0xff];
    let unknown = [99, 0, 0, 0, 0];
    for (count, bad) in (1..).zip([oversize, unknown, GREETING]) {
        let rogue = Rogue::member(&mesh, &a, 2).await;
        let mut stream = open_session(&rogue).await;
        stream.write_all(&bad).await.unwrap();
        stream.flush().await.unwrap();
        until("a bad frame", || mesh.counters().bad_frames.get() == count).await;
        let ended = usize::try_from(count).unwrap();
        until("its end", || m.count(|told| *told == Told::Detached(a.domain.clone())) == ended)
            .await;
    }
    assert_eq!(mesh.counters().peers_limited.get(), 1);
    assert_eq!(mesh.counters().peers_blocked.get(), 1);
    let rogue = Rogue::connect(&mesh, 2).await;
    assert!(rogue.greet(&a).await.is_none(), "blocked, and let in");
    assert!(mesh.peers().iter().any(|peer| peer.domain == a.domain && peer.blocked));
    mesh.pardon(&a.domain);
    Rogue::member(&mesh, &a, 2).await;
    is_up(&world, &m, &mesh).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inputs_that_the_host_refuses_are_scored_by_their_code() {
    let (world, m, mesh) = victim(config().timing).await;
    let a = world.host("a", 2);
    let rogue = Rogue::member(&mesh, &a, 2).await;
    let mut stream = open_session(&rogue).await;
    let frame = [3, 1, 0, 0, 0, 42];
    // What we only do not know yet is nobody's fault.
    m.state.lock().unwrap().refuse = Some(Code::UnknownEpoch);
    for _ in 0..50 {
        stream.write_all(&frame).await.unwrap();
    }
    stream.flush().await.unwrap();
    until("all refused", || mesh.counters().refused_inputs.get() == 50).await;
    assert_eq!(mesh.counters().peers_blocked.get(), 0);
    m.state.lock().unwrap().refuse = Some(Code::BadSignature);
    for _ in 0..50 {
        if stream.write_all(&frame).await.is_err() || stream.flush().await.is_err() {
            break;
        }
    }
    until("a block", || mesh.counters().peers_blocked.get() == 1).await;
    until("the end", || m.tells(&Told::Detached(a.domain.clone()))).await;
    let status = |peer: &Domain| mesh.peers().into_iter().find(|it| it.domain == *peer).unwrap();
    until("no connection", || !status(&a.domain).connected).await;
    is_up(&world, &m, &mesh).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_strangers_lose_their_place_after_the_limit() {
    let (world, m, mesh) = victim(impatient()).await;
    let a = world.host("a", 2);
    // One sends nothing, one half a greeting after TLS.
    let silent = tokio::net::TcpStream::connect(socket_of(&mesh)).await.unwrap();
    let rogue = Rogue::connect(&mesh, 2).await;
    let mut stream = rogue.stream("/quadrille/hello/1").await.unwrap();
    let hello = rogue.hello(&a);
    let half = &hello[..hello.len() / 2];
    stream.write_all(&u32::try_from(hello.len()).unwrap().to_le_bytes()).await.unwrap();
    stream.write_all(half).await.unwrap();
    stream.flush().await.unwrap();
    until("the greeting's end", || mesh.counters().handshakes_refused.get() == 1).await;
    until("the silent one's end", || mesh.counters().connections_failed.get() >= 2).await;
    drop(silent);
    is_up(&world, &m, &mesh).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_members_lose_the_session_and_the_page_but_not_the_node() {
    let (world, m, mesh) = victim(impatient()).await;
    let a = world.host("a", 2);
    let rogue = Rogue::member(&mesh, &a, 2).await;
    let mut stream = open_session(&rogue).await;
    // A head that announces a megabyte, and then a byte now and then would do: nothing comes.
    stream.write_all(&[1, 0, 0, 16, 0, 7]).await.unwrap();
    stream.flush().await.unwrap();
    let mut request = rogue.stream("/quadrille/members/1").await.unwrap();
    request.write_all(&[9, 0]).await.unwrap();
    request.flush().await.unwrap();
    until("a stall", || mesh.counters().stalls.get() == 1).await;
    until("its end", || m.tells(&Told::Detached(a.domain.clone()))).await;
    until("a bad request", || mesh.counters().bad_requests.get() == 1).await;
    is_up(&world, &m, &mesh).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_is_not_the_peers_to_open_is_refused() {
    let world = World::new();
    let b = world.host("b", 1);
    let mesh = start(&b, 1, config()).await;
    // `z` sorts after `b`: it waits to be called.
    let z = world.host("z", 2);
    let rogue = Rogue::member(&mesh, &z, 2).await;
    let mut stream = rogue.stream("/quadrille/session/1").await.unwrap();
    // The node may have closed the stream before the greeting is out.
    let _ = stream.write_all(&GREETING).await;
    let _ = stream.flush().await;
    until("a strange stream", || mesh.counters().strange_streams.get() == 1).await;
    assert!(b.told().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_for_the_directory_that_do_not_verify_are_not_stored() {
    let (world, m, mesh) = victim(config().timing).await;
    let a = world.host("a", 2);
    let rogue = Rogue::member(&mesh, &a, 2).await;
    let mut stream = rogue.stream("/quadrille/test-net/kad/1").await.unwrap();
    stream.write_all(&put_value(b"some key", &noise(5, 300))).await.unwrap();
    stream.flush().await.unwrap();
    until("a refusal", || mesh.counters().records_refused.get() == 1).await;
    assert_eq!(mesh.counters().records_stored.get(), 0);
    assert!(mesh.peers()[0].offences > 0);
    is_up(&world, &m, &mesh).await;
}

/// Kademlia's PUT_VALUE, by hand: length-delimited protobuf of type 0, key, record{key, value}.
fn put_value(key: &[u8], value: &[u8]) -> Vec<u8> {
    fn varint(mut number: usize, out: &mut Vec<u8>) {
        while number >= 0x80 {
            out.push(u8::try_from(number & 0x7f).unwrap() | 0x80);
            number >>= 7;
        }
        out.push(u8::try_from(number).unwrap());
    }
    fn field(tag: u8, bytes: &[u8], out: &mut Vec<u8>) {
        out.push(tag << 3 | 2);
        varint(bytes.len(), out);
        out.extend_from_slice(bytes);
    }
    let mut record = Vec::new();
    field(1, key, &mut record);
    field(2, value, &mut record);
    let mut body = vec![1 << 3, 0];
    field(2, key, &mut body);
    field(3, &record, &mut body);
    let mut message = Vec::new();
    varint(body.len(), &mut message);
    message.extend_from_slice(&body);
    message
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_greeting_with_anothers_gateway_record_is_refused() {
    let (world, m, mesh) = victim(config().timing).await;
    let a = world.host("a", 2);
    let (one, two) = (Rogue::connect(&mesh, 2).await, Rogue::connect(&mesh, 3).await);
    // Node three shows the record that names node two: a stolen greeting, replayed.
    let stolen = one.hello(&a);
    let mut stream = two.stream("/quadrille/hello/1").await.unwrap();
    write(&mut stream, &stolen).await.unwrap();
    let answer = read(&mut stream).await.unwrap();
    let code = u16::from_le_bytes([answer[4], answer[5]]);
    assert_eq!(Code::from_number(code), Some(Code::PeerMismatch));
    is_up(&world, &m, &mesh).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_strangers_at_one_address_do_not_shut_others_out() {
    let (world, m, mesh) = victim(config().timing).await;
    let target = socket_of(&mesh).parse().unwrap();
    let mut silent = Vec::new();
    // More than there are places, all from another loopback address than the honest peer's.
    for _ in 0..80 {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        silent.push(socket.connect(target).await.unwrap());
    }
    until("refusals", || mesh.counters().connections_failed.get() >= 64).await;
    let began = std::time::Instant::now();
    is_up(&world, &m, &mesh).await;
    assert!(began.elapsed() < config().timing.handshake, "it had to wait for a place");
    drop(silent);
}
