//! Who is let in, and who is not.

use quadrille_protocol::crypto::suite::HybridSignatures;
use quadrille_protocol::identity::Certificate;
use quadrille_protocol::types::Time;

use crate::support::*;

/// Starts `b` with the address of `a`, and waits until a handshake between them was refused.
async fn refused(a: &std::sync::Arc<TestHost>, b: &std::sync::Arc<TestHost>) {
    let mesh_a = start(a, 1, config()).await;
    let mesh_b = start(b, 2, knowing(&[(a, &mesh_a)])).await;
    until("a refusal at both", || {
        mesh_a.counters().handshakes_refused.get() > 0
            && mesh_b.counters().handshakes_refused.get() > 0
    })
    .await;
    assert_eq!(mesh_a.counters().connections_opened.get(), 0);
    assert_eq!(mesh_b.counters().connections_opened.get(), 0);
    assert!(a.told().is_empty() && b.told().is_empty());
    mesh_b.shutdown().await;
    mesh_a.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_that_have_never_met_admit_each_other_by_the_authority() {
    let (a, _mesh_a, b, _mesh_b) = pair().await;
    assert!(a.knows("b") && b.knows("a"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_of_another_authority_is_refused_and_nothing_else_is_spoken() {
    let (world, other) = (World::new(), World::with_authority(201));
    let (a, b) = (world.host("a", 1), other.host("b", 2));
    refused(&a, &b).await;
    assert!(!a.knows("b") && !b.knows("a"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_certificate_of_a_stranger_is_refused() {
    let world = World::new();
    let (a, b) = (world.host("a", 1), world.host("b", 2));
    let expired = Certificate { valid_until: Time(2), ..world.certificate("b", &secret(2)) };
    *b.certificate.lock().unwrap() = world.sign(&expired);
    refused(&a, &b).await;
    assert!(!a.knows("b"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_certificate_of_a_known_member_still_connects() {
    let world = World::new();
    let (a, b) = (world.host("a", 1), world.host("b", 2));
    let certificate =
        Certificate { valid_until: Time(1_000), ..world.certificate("b", &secret(2)) };
    let signed = world.sign(&certificate);
    a.directory.lock().unwrap().admit(&world.verify(&signed)).unwrap();
    *b.certificate.lock().unwrap() = signed;
    let mesh_a = start(&a, 1, config()).await;
    let _mesh_b = start(&b, 2, knowing(&[(&a, &mesh_a)])).await;
    session(&a, &b).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_in_the_name_of_another_is_refused() {
    let world = World::new();
    let (a, b) = (world.host("a", 1), world.host("b", 2));
    // The host of `b` shows the certificate of `c` but has not its key.
    *b.certificate.lock().unwrap() = world.sign(&world.certificate("c", &secret(3)));
    refused(&a, &b).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_node_of_our_own_domain_is_refused() {
    let world = World::new();
    let (a, twin) = (world.host("a", 1), world.host("a", 1));
    let mesh_a = start(&a, 1, config()).await;
    let b = world.host("b", 2);
    // Known under another name, else a node does not dial its own domain.
    let mut knowing = knowing(&[(&b, &mesh_a)]);
    knowing.peers[0].0 = b.domain.clone();
    let mesh_twin = start(&twin, 2, knowing).await;
    until("a refusal", || mesh_a.counters().handshakes_refused.get() > 0).await;
    assert_eq!(mesh_a.counters().connections_opened.get(), 0);
    mesh_twin.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn key_rotations_are_learnt_in_the_handshake() {
    let world = World::new();
    let (a, b) = (world.host("a", 1), world.host("b", 2));
    b.rotate_own_key(22);
    b.rotate_own_key(23);
    let mesh_a = start(&a, 1, config()).await;
    let _mesh_b = start(&b, 2, knowing(&[(&a, &mesh_a)])).await;
    session(&a, &b).await;
    let directory = a.directory.lock().unwrap();
    let (latest, record) = directory.member(&b.domain).unwrap().latest().unwrap();
    assert_eq!(latest.0, 3);
    assert_eq!(record.key, *secret(23).public());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_member_is_disconnected_and_not_let_in_again() {
    let world = World::new();
    let (a, b) = (world.host("a", 1), world.host("b", 2));
    let mesh_a = start(&a, 1, config()).await;
    let _mesh_b = start(&b, 2, knowing(&[(&a, &mesh_a)])).await;
    session(&a, &b).await;
    {
        let mut directory = a.directory.lock().unwrap();
        let signed = world.revocation("b");
        let verified =
            world.anchors.verify_revocation(&signed, &directory, &HybridSignatures).unwrap();
        directory.revoke(&verified).unwrap();
    }
    until("a refusal", || mesh_a.counters().handshakes_refused.get() > 0).await;
    until("the end", || a.tells(&Told::Detached(b.domain.clone()))).await;
    assert!(mesh_a.peers().iter().all(|peer| !peer.connected));
}
