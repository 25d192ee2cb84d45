//! Gateway records and providers over Kademlia.

use std::collections::BTreeSet;

use quadrille_node::mesh::MeshConfig;
use quadrille_node::mesh::host::Published;
use quadrille_protocol::error::Code;
use quadrille_protocol::identity::Dealing;
use quadrille_protocol::payment::Fee;
use quadrille_protocol::types::{Amount, Ubi};

use crate::gossip::asset;
use crate::support::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_is_found_and_dialled_over_a_third_node() {
    let world = World::new();
    let (a, b, c) = (world.host("a", 1), world.host("b", 2), world.host("c", 3));
    let dealing = Dealing {
        asset: asset("EUR"),
        fee: Some(Fee { flat: Amount::new(5), ppm: 100 }),
        accepts: BTreeSet::from([domain("a"), domain("b")]),
    };
    c.state.lock().unwrap().published =
        Published { transit: Some(Ubi([7; 32])), named: true, dealings: vec![dealing.clone()] };
    let mesh_b = start(&b, 2, config()).await;
    let mesh_a = start(&a, 1, knowing(&[(&b, &mesh_b)])).await;
    let mesh_c = start(&c, 3, knowing(&[(&b, &mesh_b)])).await;
    session(&a, &b).await;
    session(&c, &b).await;
    // a has c's certificate by the member list, or it would not know whom it asks for.
    until("c's certificate at a", || a.knows("c")).await;
    let mut found = mesh_a.find_gateway(&domain("c")).await;
    while let Err(refusal) = found {
        assert_eq!(refusal.code, Code::GatewayNotFound);
        found = mesh_a.find_gateway(&domain("c")).await;
    }
    let record = found.unwrap().record().clone();
    assert_eq!(record.domain, domain("c"));
    assert_eq!(record.transit, Some(Ubi([7; 32])));
    assert_eq!((&record.services[0].asset, record.services[0].fee), (&dealing.asset, dealing.fee));
    let accepted: BTreeSet<_> = record.accepted(&record.services[0]).cloned().collect();
    assert_eq!(accepted, dealing.accepts);
    let ports: Vec<String> = mesh_c.listen_addresses().iter().map(ToString::to_string).collect();
    assert_eq!(record.addresses[0].as_str(), ports[0]);
    // Wanted from now on: a dials c with what it found.
    a.wants(&["c"]);
    session(&a, &c).await;
    assert_eq!(mesh_a.providers(&asset("EUR")).await.unwrap(), vec![domain("c")]);
    assert!(mesh_a.providers(&asset("USD")).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_domain_that_nobody_knows_is_no_member() {
    let (_a, mesh_a, _b, _mesh_b) = pair().await;
    let refusal = mesh_a.find_gateway(&domain("nobody")).await.unwrap_err();
    assert_eq!(refusal.code, Code::UnknownDomain);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewed_record_replaces_the_old_one_and_never_goes_back() {
    let world = World::new();
    let (a, b) = (world.host("a", 1), world.host("b", 2));
    let mesh_a = start(&a, 1, config()).await;
    let mesh_b = start(&b, 2, knowing(&[(&a, &mesh_a)])).await;
    session(&a, &b).await;
    let first = mesh_a.find_gateway(&domain("b")).await.unwrap().record().sequence;
    b.rotate_own_key(22);
    // The new epoch must be known at a before its signature counts: the engine tells of it.
    {
        let signed = quadrille_node::mesh::host::Host::rotations(&*b)[0].clone();
        let mut directory = a.directory.lock().unwrap();
        let verified = world
            .anchors
            .verify_rotation(
                &signed,
                &directory,
                &quadrille_protocol::crypto::suite::HybridSignatures,
            )
            .unwrap();
        directory.rotate(&verified).unwrap();
    }
    mesh_b.refresh_gateway().unwrap();
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        let record = mesh_a.find_gateway(&domain("b")).await.unwrap().record().clone();
        assert!(record.sequence >= first);
        if record.sequence > first && record.epoch.0 == 2 {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{record:?}");
    }
}

/// Small networks begin with one address: that of a bootstrap peer, which keeps no ledgers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_know_a_bootstrap_peer_alone_find_each_other() {
    let world = World::new();
    let boot = world.bootstrap("boot", 9);
    let mesh = start(&boot, 9, config()).await;
    let at_boot = || MeshConfig { bootstrap: mesh.listen_addresses(), ..config() };
    let (a, b, c) = (world.host("a", 1), world.host("b", 2), world.host("c", 3));
    a.wants(&["b", "c"]);
    b.wants(&["a", "c"]);
    let _mesh_a = start(&a, 1, at_boot()).await;
    let _mesh_b = start(&b, 2, at_boot()).await;
    let _mesh_c = start(&c, 3, at_boot()).await;
    session(&a, &b).await;
    session(&a, &c).await;
    session(&b, &c).await;
    assert!(boot.told().is_empty(), "no session with who keeps no ledgers");
}

/// Peers bound what they store for a member: what has not changed is not said again each time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_change_of_a_record_with_many_services_is_heard() {
    let world = World::new();
    let (a, b) = (world.host("a", 1), world.host("b", 2));
    let mesh_a = start(&a, 1, config()).await;
    let mesh_b = start(&b, 2, knowing(&[(&a, &mesh_a)])).await;
    session(&a, &b).await;
    for flat in 1..=6 {
        let fee = Some(Fee { flat: Amount::new(flat), ppm: 0 });
        let dealing = |number: u32| {
            let asset = asset(&format!("A{number}"));
            Dealing { asset, fee, accepts: BTreeSet::from([domain("a")]) }
        };
        b.state.lock().unwrap().published = Published {
            transit: Some(Ubi([7; 32])),
            named: true,
            dealings: (0..24).map(dealing).collect(),
        };
        until("the change is heard", || {
            mesh_a.gateways().iter().any(|gateway| {
                let record = gateway.record();
                record.domain == domain("b") && record.services.iter().any(|at| at.fee == fee)
            })
        })
        .await;
    }
    drop(mesh_b);
}
