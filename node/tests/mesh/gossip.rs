//! Gossip of offers between meshes.

use std::sync::Arc;

use bytes::Bytes;
use quadrille_node::mesh::host::Acceptance;
use quadrille_node::mesh::{MeshConfig, MeshHandle, Rate};
use quadrille_protocol::codec;
use quadrille_protocol::crypto::merkle::Salt;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::log::{Checkpoint, Evidence, Record, SignedCheckpoint};
use quadrille_protocol::market::OfferClosed;
use quadrille_protocol::types::{
    AssetPair, Bounded, Bytes as Octets, Epoch, Hash, Height, OrderId, Time,
};

use crate::support::*;

pub fn asset(code: &str) -> quadrille_protocol::types::Uai {
    format!("{code}:issuer.example#0011223344556677").parse().unwrap()
}

pub fn pair_of(give: &str, want: &str) -> AssetPair {
    AssetPair { give: asset(give), want: asset(want) }
}

/// Evidence with the shape of a notice; the test's host does not verify it.
pub fn notice(name: &str, pair: &AssetPair, number: u8) -> Evidence {
    let record = Record::OfferClosed(OfferClosed {
        offer: OrderId([number; 32]),
        validator: domain(name),
        pair: pair.clone(),
        version: 1,
        reason: Code::OfferExpired,
    });
    let checkpoint = Checkpoint {
        network: "test-net".parse().unwrap(),
        domain: domain(name),
        epoch: Epoch(1),
        height: Height(1),
        previous: Hash::ZERO,
        time: Time(1),
        count: 1,
        records_root: Hash::ZERO,
    };
    let signature =
        secret(1).sign(quadrille_protocol::crypto::hash::Tag::Checkpoint, &checkpoint.to_sign());
    Evidence {
        checkpoint: SignedCheckpoint { checkpoint, signature },
        index: 0,
        salt: Salt([0; 16]),
        record: Octets::new(&codec::encode(&record)).unwrap(),
        path: Bounded::default(),
    }
}

fn bytes(evidence: &Evidence) -> Bytes {
    Bytes::from(codec::encode(evidence))
}

/// Publishes until `heard` says that something came through: subscriptions take a while.
async fn publish_until(
    mesh: &MeshHandle,
    name: &str,
    pair: &AssetPair,
    mut heard: impl FnMut() -> bool,
) {
    for number in 0..=u8::MAX {
        let evidence = notice(name, pair, number);
        mesh.publish(Some(pair.clone()), bytes(&evidence)).unwrap();
        let deadline = tokio::time::Instant::now() + std::time::Duration::from_millis(200);
        while tokio::time::Instant::now() < deadline {
            if heard() {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }
    panic!("nothing was heard");
}

fn heard(host: &TestHost) -> usize {
    host.state.lock().unwrap().notices.len()
}

/// a - b - c: a and c know b only, and cannot reach each other by what they say of themselves.
async fn chain() -> ([Arc<TestHost>; 3], [MeshHandle; 3]) {
    let world = World::new();
    let (a, b, c) = (world.host("a", 1), world.host("b", 2), world.host("c", 3));
    let mesh_b = start(&b, 2, config()).await;
    let nowhere = vec!["/ip4/127.0.0.1/tcp/9".parse().unwrap()];
    let to_b = MeshConfig { advertise: nowhere, ..knowing(&[(&b, &mesh_b)]) };
    let mesh_a = start(&a, 1, to_b.clone()).await;
    let mesh_c = start(&c, 3, to_b).await;
    session(&a, &b).await;
    session(&c, &b).await;
    ([a, b, c], [mesh_a, mesh_b, mesh_c])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_notice_of_a_pair_never_heard_of_reaches_everybody_over_a_relay() {
    let ([_a, b, c], [mesh_a, mesh_b, mesh_c]) = chain().await;
    let pair = pair_of("EUR", "USD");
    publish_until(&mesh_a, "a", &pair, || heard(&b) > 0 && heard(&c) > 0).await;
    assert!(mesh_b.counters().notices_accepted.get() > 0);
    let got = c.state.lock().unwrap().notices[0].clone();
    assert_eq!(*got.domain(), domain("a"));
    assert_eq!(mesh_c.counters().notices_rejected.get(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_listens_to_one_pair_hears_that_pair_alone() {
    let world = World::new();
    let (a, b) = (world.host("a", 1), world.host("b", 2));
    let (wanted, other) = (pair_of("EUR", "USD"), pair_of("EUR", "GBP"));
    b.state.lock().unwrap().pairs = vec![wanted.clone()];
    let mesh_a = start(&a, 1, config()).await;
    let narrow = MeshConfig { every_pair: false, ..knowing(&[(&a, &mesh_a)]) };
    let _mesh_b = start(&b, 2, narrow).await;
    session(&a, &b).await;
    publish_until(&mesh_a, "a", &wanted, || heard(&b) > 0).await;
    for number in 0..20 {
        mesh_a.publish(Some(other.clone()), bytes(&notice("a", &other, number))).unwrap();
    }
    // What comes after them on the same connection has come: the others would have, too.
    let before = heard(&b);
    mesh_a.publish(Some(wanted.clone()), bytes(&notice("a", &wanted, 255))).unwrap();
    until("the last", || heard(&b) > before).await;
    for evidence in &b.state.lock().unwrap().notices {
        let Record::OfferClosed(closed) = evidence.read().unwrap() else { panic!() };
        assert_eq!(closed.pair, wanted);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_host_rejects_is_not_passed_on_and_costs_the_relay() {
    let ([_a, b, c], [mesh_a, mesh_b, _mesh_c]) = chain().await;
    b.state.lock().unwrap().acceptance =
        Some((Acceptance::Reject, Some(Refusal::new(Code::BadSignature, "of the test"))));
    let pair = pair_of("EUR", "USD");
    publish_until(&mesh_a, "a", &pair, || mesh_b.counters().notices_rejected.get() >= 3).await;
    assert_eq!(heard(&c), 0);
    let peers = mesh_b.peers();
    let a = peers.iter().find(|peer| peer.domain == domain("a")).unwrap();
    assert!(a.offences >= 3, "{a:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_are_no_notice_and_notices_of_others_are_rejected_before_the_host() {
    let world = World::new();
    let (a, b) = (world.host("a", 1), world.host("b", 2));
    let mesh_a = start(&a, 1, config()).await;
    let mesh_b = start(&b, 2, knowing(&[(&a, &mesh_a)])).await;
    session(&a, &b).await;
    let pair = pair_of("EUR", "USD");
    publish_until(&mesh_a, "a", &pair, || heard(&b) > 0).await;
    let before = heard(&b);
    mesh_a.publish(None, Bytes::from_static(b"junk")).unwrap();
    until("junk", || mesh_b.counters().notices_rejected.get() == 1).await;
    // Node a publishes in the name of c.
    mesh_a.publish(None, bytes(&notice("c", &pair, 1))).unwrap();
    until("another's", || mesh_b.counters().notices_rejected.get() == 2).await;
    assert_eq!(heard(&b), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_notices_is_cut_to_the_rate_and_the_node_goes_on() {
    let world = World::new();
    let (a, b) = (world.host("a", 1), world.host("b", 2));
    let mesh_a = start(&a, 1, config()).await;
    let slow = Rate { burst: 10, each: 1, period: std::time::Duration::from_secs(3600) };
    let limited = MeshConfig { notices_per_peer: slow, ..knowing(&[(&a, &mesh_a)]) };
    let mesh_b = start(&b, 2, limited).await;
    session(&a, &b).await;
    let pair = pair_of("EUR", "USD");
    publish_until(&mesh_a, "a", &pair, || mesh_b.counters().notices_limited.get() >= 5).await;
    assert!(heard(&b) <= 10, "{}", heard(&b));
    a.send("b", message("still here")).await;
    until("a message", || b.tells(&Told::Received(domain("a"), message("still here")))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_notice_that_is_too_large_is_not_published() {
    let (_a, mesh_a, _b, _mesh_b) = pair().await;
    let large = Bytes::from(vec![0; quadrille_node::mesh::NOTICE_BYTES + 1]);
    mesh_a.publish(None, large).unwrap();
    until("a count", || mesh_a.counters().notices_unpublished.get() == 1).await;
}
