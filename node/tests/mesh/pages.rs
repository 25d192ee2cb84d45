//! Live offers and members, asked for.

use quadrille_node::mesh::MeshConfig;
use quadrille_node::mesh::host::LiveOffers;
use quadrille_protocol::error::Code;

use crate::gossip::{notice, pair_of};
use crate::support::*;

fn book(name: &str, count: u8) -> LiveOffers {
    let pair = pair_of("EUR", "USD");
    LiveOffers {
        root: notice(name, &pair, 255),
        offers: (0..count).map(|number| notice(name, &pair, number)).collect(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_joiner_gets_the_live_offers_of_each_peer_whole() {
    let world = World::new();
    let (a, b) = (world.host("a", 1), world.host("b", 2));
    let list = book("a", 200);
    a.state.lock().unwrap().live = Some(list.clone());
    let mesh_a = start(&a, 1, config()).await;
    let mesh_b = start(&b, 2, knowing(&[(&a, &mesh_a)])).await;
    until("the book", || mesh_b.counters().books_taken.get() == 1).await;
    assert_eq!(b.state.lock().unwrap().books.get(&domain("a")), Some(&list));
    // b has no root yet: a is told so, which is no offence.
    let peers = mesh_a.peers();
    assert_eq!(peers[0].offences, 0, "{peers:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_book_that_differs_from_its_root_is_dropped_and_named() {
    let world = World::new();
    let (a, b) = (world.host("a", 1), world.host("b", 2));
    a.state.lock().unwrap().live = Some(book("a", 3));
    b.state.lock().unwrap().refuse = Some(Code::BadBookRoot);
    let mesh_a = start(&a, 1, config()).await;
    let mesh_b = start(&b, 2, knowing(&[(&a, &mesh_a)])).await;
    until("a bad page", || mesh_b.counters().bad_pages.get() > 0).await;
    until("an offence", || mesh_b.peers()[0].offences > 0).await;
    assert!(b.state.lock().unwrap().books.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_and_revocations_reach_who_has_met_none_of_them() {
    let world = World::new();
    let boot = world.bootstrap("boot", 9);
    // More than fit on one page, and one of them revoked.
    let names: Vec<String> = (0..150).map(|number| format!("m{number:03}")).collect();
    {
        let mut register = boot.register.lock().unwrap();
        let mut directory = boot.directory.lock().unwrap();
        for (name, number) in names.iter().zip(20..) {
            let signed = world.sign(&world.certificate(name, &secret(number)));
            directory.admit(&world.verify(&signed)).unwrap();
            register.insert(domain(name), signed);
        }
        boot.state.lock().unwrap().revocations = vec![world.revocation("m077")];
    }
    let mesh = start(&boot, 9, config()).await;
    let a = world.host("a", 1);
    let at_boot = MeshConfig { bootstrap: mesh.listen_addresses(), ..config() };
    let mesh_a = start(&a, 1, at_boot).await;
    until("all members", || names.iter().all(|name| a.knows(name))).await;
    until("the revocation", || {
        let directory = a.directory.lock().unwrap();
        directory.good_key(&domain("m077"), quadrille_protocol::types::Epoch(1)).is_err()
    })
    .await;
    assert!(mesh_a.counters().member_pages_taken.get() >= 3);
    assert_eq!(mesh_a.counters().bad_pages.get(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_that_do_not_verify_here_are_left_out_and_nobody_is_blamed() {
    let (world, other) = (World::new(), World::with_authority(201));
    let boot = world.bootstrap("boot", 9);
    let foreign = other.sign(&other.certificate("foreign", &secret(4)));
    let good = world.sign(&world.certificate("good", &secret(5)));
    {
        let mut register = boot.register.lock().unwrap();
        register.insert(domain("foreign"), foreign);
        register.insert(domain("good"), good);
    }
    let mesh = start(&boot, 9, config()).await;
    let a = world.host("a", 1);
    let at_boot = MeshConfig { bootstrap: mesh.listen_addresses(), ..config() };
    let mesh_a = start(&a, 1, at_boot).await;
    until("the good one", || a.knows("good")).await;
    assert!(!a.knows("foreign"));
    until("a refusal", || mesh_a.counters().members_refused.get() > 0).await;
    assert_eq!(mesh_a.counters().bad_pages.get(), 0);
    assert_eq!(mesh_a.peers()[0].offences, 0);
}
