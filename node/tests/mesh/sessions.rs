//! Sessions between two meshes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use quadrille_node::mesh::wire::Wire;
use quadrille_node::mesh::{Mesh, MeshConfig, MeshHandle, Multiaddr, Timing};
use quadrille_protocol::error::Code;
use quadrille_protocol::limits;

use crate::support::*;

fn is_attached(told: &Told) -> bool {
    matches!(told, Told::Attached(_))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_arrives_whole_and_in_order_both_ways() {
    let (a, mesh_a, b, _mesh_b) = pair().await;
    let page = Bytes::from(vec![7; limits::FRAME_BYTES]);
    let sent = [
        Wire::Frame(page.clone()),
        Wire::Returned(page),
        message("one"),
        Wire::Shown(Bytes::from_static(b"two")),
        Wire::Notices(Bytes::from_static(b"three")),
        Wire::Message(Bytes::new()),
    ];
    for (from, to) in [(&a, &b), (&b, &a)] {
        let name = to.domain.as_str().strip_suffix(".example").unwrap();
        for wire in &sent {
            from.send(name, wire.clone()).await;
        }
        until("everything", || to.told().len() > sent.len()).await;
        let received: Vec<Told> = to.told().split_off(1);
        let expected: Vec<Told> =
            sent.iter().map(|wire| Told::Received(from.domain.clone(), wire.clone())).collect();
        assert!(received == expected, "{} things", received.len());
        // The other direction is looked at with what was told until now.
        to.state.lock().unwrap().told.truncate(1);
    }
    assert!(mesh_a.counters().frames_in.get() >= 6);
    assert!(mesh_a.counters().bytes_out.get() > 2 * 1024 * 1024);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_that_dial_each_other_at_once_have_one_session() {
    let world = World::new();
    let (a, b) = (world.host("a", 1), world.host("b", 2));
    let mesh_a = start(&a, 1, config()).await;
    let mesh_b = start(&b, 2, config()).await;
    // Both know where the other is: they dial at the same moment.
    let (at_a, at_b) = (knowing(&[(&b, &mesh_b)]), knowing(&[(&a, &mesh_a)]));
    let port = |mesh: &MeshHandle| {
        let mut address = mesh.listen_addresses()[0].clone();
        address.pop();
        address
    };
    let (port_a, port_b) = (port(&mesh_a), port(&mesh_b));
    futures::future::join(mesh_a.shutdown(), mesh_b.shutdown()).await;
    let mut at_a = at_a;
    let mut at_b = at_b;
    at_a.listen = vec![port_a];
    at_b.listen = vec![port_b];
    let (_mesh_a, _mesh_b) = futures::future::join(start(&a, 1, at_a), start(&b, 2, at_b)).await;
    session(&a, &b).await;
    for index in 0..20 {
        a.send("b", message(&index.to_string())).await;
    }
    until("all", || b.count(|told| matches!(told, Told::Received(..))) == 20).await;
    assert_eq!(a.count(is_attached), 1);
    assert_eq!(b.count(is_attached), 1);
}

/// After `attach` nothing of the session before may be handed in: the core's fence.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_ended_session_brought_is_handed_in_before_the_next_is_attached() {
    let (a, mesh_a, b, _mesh_b) = pair().await;
    for round in 0..5 {
        // b takes one thing at a time and is in the middle of one when the session ends.
        b.may_receive.forget_permits(tokio::sync::Semaphore::MAX_PERMITS);
        let before = b.count(|told| matches!(told, Told::Received(..)));
        for index in 0..10 {
            a.send("b", message(&format!("{round}.{index}"))).await;
        }
        b.may_receive.add_permits(2);
        let two = before + 2;
        until("two", || b.count(|told| matches!(told, Told::Received(..))) == two).await;
        mesh_a.reconnect_all();
        until("the end at a", || a.count(|told| matches!(told, Told::Detached(_))) == round + 1)
            .await;
        // The old reader of b still stands in `receive`: no new session yet.
        assert_eq!(b.count(is_attached), round + 1);
        b.may_receive.add_permits(1000);
        until("a new session at b", || b.count(is_attached) == round + 2).await;
        until("a new session at a", || a.count(is_attached) == round + 2).await;
    }
    let mut open = false;
    for told in b.told() {
        match told {
            Told::Attached(_) => {
                assert!(!open, "attached twice");
                open = true;
            }
            Told::Received(..) => assert!(open, "received outside a session"),
            Told::Detached(_) => {
                assert!(open, "detached twice");
                open = false;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_comes_back_has_a_session_again() {
    let world = World::new();
    let (a, b) = (world.host("a", 1), world.host("b", 2));
    a.wants(&["b"]);
    let mesh_a = start(&a, 1, config()).await;
    let mesh_b = start(&b, 2, knowing(&[(&a, &mesh_a)])).await;
    session(&a, &b).await;
    mesh_b.shutdown().await;
    until("the end", || a.tells(&Told::Detached(b.domain.clone()))).await;
    assert!(b.tells(&Told::Detached(a.domain.clone())), "shutdown ends sessions itself");
    let _mesh_b = start(&b, 2, knowing(&[(&a, &mesh_a)])).await;
    session(&a, &b).await;
    assert_eq!(a.count(is_attached), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_moved_to_another_key_and_port_replaces_the_old_one() {
    let world = World::new();
    let (a, b) = (world.host("a", 1), world.host("b", 2));
    let mesh_a = start(&a, 1, config()).await;
    let mesh_b = start(&b, 2, knowing(&[(&a, &mesh_a)])).await;
    session(&a, &b).await;
    // The same domain starts elsewhere while the old node still runs.
    let moved = world.host("b", 2);
    let new = start(&moved, 3, knowing(&[(&a, &mesh_a)])).await;
    until("a session with the new one", || moved.count(is_attached) > 0).await;
    until("the old one is let go", || b.tells(&Told::Detached(a.domain.clone()))).await;
    let peers = mesh_a.peers();
    assert_eq!(peers.len(), 1);
    assert_eq!(peers[0].peer_id, new.peer_id());
    assert_ne!(peers[0].peer_id, mesh_b.peer_id());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_is_slow_holds_its_peer_back_and_loses_nothing() {
    let (a, _mesh_a, b, _mesh_b) = pair().await;
    b.may_receive.forget_permits(tokio::sync::Semaphore::MAX_PERMITS);
    let page = Bytes::from(vec![1; limits::FRAME_BYTES]);
    let out = a.out("b").unwrap();
    // Far more than queue and windows take: the sender must be held back.
    let mut sent = 0;
    while tokio::time::timeout(Duration::from_millis(500), out.reserve()).await.is_ok() {
        out.send(Wire::Frame(page.clone())).await.unwrap();
        sent += 1;
        assert!(sent < 200, "nothing holds the sender back");
    }
    b.may_receive.add_permits(1000);
    until("all", || b.count(|told| matches!(told, Told::Received(..))) == sent).await;
    assert_eq!(b.count(is_attached), 1);
}

/// A peer whose machine went down says no goodbye: its old connection stands until a timeout.
/// When it comes back and dials, the session must not wait for that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_back_from_a_crash_is_not_kept_waiting_by_its_dead_connection() {
    let world = World::new();
    let (a, z) = (world.host("a", 1), world.host("z", 2));
    let timing = Timing { handshake: Duration::from_secs(2), ..config().timing };
    // `a` opens the sessions, so it is `a` that must see that the old one is dead.
    let mesh_a = start(&a, 1, MeshConfig { timing, ..config() }).await;
    let line = Line::to(&mesh_a).await;
    let over_line = vec![(a.domain.clone(), line.address.clone())];
    let nowhere = vec!["/ip4/127.0.0.1/tcp/9".parse().unwrap()];
    let at_line = MeshConfig { peers: over_line, advertise: nowhere, ..config() };
    let mesh_z = start(&z, 2, at_line).await;
    session(&a, &z).await;
    let stood = Instant::now();
    line.cut().await;
    mesh_z.shutdown().await;
    until("an old connection", || stood.elapsed() > timing.handshake).await;
    assert_eq!(a.count(is_attached), 1);
    assert_eq!(a.count(|told| matches!(told, Told::Detached(_))), 0, "a has noticed nothing");
    let back = world.host("z", 2);
    let _mesh_z = start(&back, 2, knowing(&[(&a, &mesh_a)])).await;
    until("a session", || back.count(is_attached) == 1 && a.count(is_attached) == 2).await;
    assert!(stood.elapsed() < timing.stall, "that was the timeout");
}

/// A TCP line between two nodes that can be cut without either being told.
struct Line {
    address: Multiaddr,
    cut: tokio::sync::watch::Sender<bool>,
    /// Connections that still carry something.
    carrying: Arc<AtomicUsize>,
}

impl Line {
    async fn to(mesh: &MeshHandle) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let target = mesh.listen_addresses()[0].to_string();
        let target = format!("127.0.0.1:{}", target.split('/').nth(4).unwrap());
        let (cut, is_cut) = tokio::sync::watch::channel(false);
        let carrying = Arc::new(AtomicUsize::new(0));
        let count = carrying.clone();
        tokio::spawn(async move {
            loop {
                let (near, _) = listener.accept().await.unwrap();
                let far = tokio::net::TcpStream::connect(&target).await.unwrap();
                count.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(carry(near, far, is_cut.clone(), count.clone()));
            }
        });
        let address = format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap();
        Self { address, cut, carrying }
    }

    async fn cut(&self) {
        self.cut.send_replace(true);
        until("the cut", || self.carrying.load(Ordering::SeqCst) == 0).await;
    }
}

async fn carry(
    mut near: tokio::net::TcpStream,
    mut far: tokio::net::TcpStream,
    mut is_cut: tokio::sync::watch::Receiver<bool>,
    carrying: Arc<AtomicUsize>,
) {
    let until_cut = async {
        let _ = is_cut.wait_for(|cut| *cut).await;
    };
    let ended = tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => true,
        () = until_cut => false,
    };
    carrying.fetch_sub(1, Ordering::SeqCst);
    if ended {
        return;
    }
    // Both ends stay open, and nothing goes through any more.
    std::future::pending::<()>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_without_a_peer_identifier_is_enough() {
    let world = World::new();
    let (a, b, c) = (world.host("a", 1), world.host("b", 2), world.host("c", 3));
    let mesh_a = start(&a, 1, config()).await;
    let mut address = mesh_a.listen_addresses()[0].clone();
    address.pop();
    let known = MeshConfig { peers: vec![(a.domain.clone(), address.clone())], ..config() };
    let _mesh_b = start(&b, 2, known).await;
    let _mesh_c = start(&c, 3, MeshConfig { bootstrap: vec![address], ..config() }).await;
    session(&a, &b).await;
    session(&a, &c).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_run_over_quic_when_it_is_switched_on() {
    let world = World::new();
    let (a, b) = (world.host("a", 1), world.host("b", 2));
    let listen = vec!["/ip4/127.0.0.1/udp/0/quic-v1".parse().unwrap()];
    let quic = MeshConfig { quic: true, listen, ..config() };
    let mesh_a = start(&a, 1, quic.clone()).await;
    assert!(mesh_a.listen_addresses()[0].to_string().contains("/quic-v1/p2p/"));
    let peers = knowing(&[(&a, &mesh_a)]).peers;
    let _mesh_b = start(&b, 2, MeshConfig { peers, ..quic }).await;
    session(&a, &b).await;
    a.send("b", message("over quic")).await;
    until("it", || b.tells(&Told::Received(domain("a"), message("over quic")))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_that_is_taken_is_a_coded_refusal() {
    let world = World::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let listen = vec![format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap()];
    let started = Mesh::start(MeshConfig { listen, ..config() }, [1; 32], world.host("a", 1)).await;
    assert_eq!(started.err().unwrap().code, Code::CannotListen);
}
