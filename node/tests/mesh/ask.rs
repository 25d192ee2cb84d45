//! Questions to other members over real sockets.

use libp2p::StreamProtocol;
use quadrille_node::mesh::MeshConfig;
use quadrille_node::mesh::ask::{Answer, Owing, Question};
use quadrille_protocol::crypto::suite::HybridSignatures;
use quadrille_protocol::error::Code;
use quadrille_protocol::payment::name::{
    Asking, Found, NameQuestion, NameRecord, NameStatus, SignedNameRecord,
};
use quadrille_protocol::settlement::agreement::Account;
use quadrille_protocol::types::{Bounded, Epoch, Hash, Time, Uai, Ubi};

use crate::support::*;

fn question() -> NameQuestion {
    NameQuestion { holder: "alice@b.example".parse().unwrap(), asset: None }
}

/// What b says of alice to `asker`, signed with the key of this number.
fn signed(asker: &str, number: u8) -> SignedNameRecord {
    let record = NameRecord {
        network: "test-net".parse().unwrap(),
        domain: domain("b"),
        epoch: Epoch(1),
        asker: domain(asker),
        question: question(),
        status: NameStatus::Found(Found {
            account: Account { domain: domain("b"), ledger: Ubi([7; 32]) },
            assets: Bounded::default(),
            tier: 2,
        }),
        issued: Time(1_000),
        expires: Time(61_000),
    };
    let (tag, bytes) = record.to_sign();
    SignedNameRecord::assemble(&record, secret(number).sign(tag, &bytes)).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_is_answered_signed_and_the_asked_bank_knows_who_asks() {
    let (a, mesh_a, b, _mesh_b) = pair().await;
    b.state.lock().unwrap().answer = Some(Ok(Answer::Name(signed("a", 2))));
    let asked = Question::Name(question());
    let Answer::Name(answer) = mesh_a.ask(&domain("b"), &asked).await.unwrap() else {
        panic!("no name")
    };
    let directory = a.directory.lock().unwrap().clone();
    let asking = Asking {
        network: &"test-net".parse().unwrap(),
        asker: &domain("a"),
        question: &question(),
        directory: &directory,
        now: Time(2_000),
    };
    let name = answer.verify(&asking, &HybridSignatures).unwrap();
    assert_eq!(name.found().unwrap().tier, 2);
    assert_eq!(b.state.lock().unwrap().asked, [(domain("a"), asked)]);
    // The same answer shown to another member, or signed with another key, proves nothing.
    let other = signed("c", 2).verify(&asking, &HybridSignatures).unwrap_err();
    assert_eq!(other.code, Code::OtherAnswer);
    let forged = signed("a", 1).verify(&asking, &HybridSignatures).unwrap_err();
    assert_eq!(forged.code, Code::BadSignature);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_comes_with_the_code_that_the_asked_bank_gave() {
    let (_a, mesh_a, _b, _mesh_b) = pair().await;
    let asset = Uai::new("EUR".parse().unwrap(), domain("b"), &Hash::ZERO);
    let refusal = mesh_a.ask(&domain("b"), &Question::AssetProfile(asset)).await.unwrap_err();
    assert_eq!(refusal.code, Code::QuestionRefused);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_to_another_question_is_refused_and_held_against_the_peer() {
    let (_a, mesh_a, b, _mesh_b) = pair().await;
    b.state.lock().unwrap().answer = Some(Ok(Answer::Obligations(Owing::default())));
    let refusal = mesh_a.ask(&domain("b"), &Question::Name(question())).await.unwrap_err();
    assert_eq!(refusal.code, Code::OtherAnswer);
    assert_eq!(mesh_a.peers()[0].offences, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_was_never_met_is_found_and_asked() {
    let world = World::new();
    let (boot, a, b) = (world.bootstrap("boot", 9), world.host("a", 1), world.host("b", 2));
    let mesh = start(&boot, 9, config()).await;
    let at_boot = || MeshConfig { bootstrap: mesh.listen_addresses(), ..config() };
    let mesh_b = start(&b, 2, at_boot()).await;
    until("b at the bootstrap peer", || !mesh_b.peers().is_empty()).await;
    let mesh_a = start(&a, 1, at_boot()).await;
    b.state.lock().unwrap().answer = Some(Ok(Answer::Name(signed("a", 2))));
    let answer = mesh_a.ask(&domain("b"), &Question::Name(question())).await;
    assert!(matches!(answer, Ok(Answer::Name(_))), "{answer:?}");
    // Nobody of this name is a member: that is said, and soon enough.
    let (nobody, asked) = (domain("nobody"), Question::Name(question()));
    let asking = tokio::time::timeout(PATIENCE, mesh_a.ask(&nobody, &asked));
    assert_eq!(asking.await.unwrap().unwrap_err().code, Code::UnknownDomain);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_more_than_the_rate_gets_no_answers_and_harms_nobody() {
    let (_a, mesh_a, b, _mesh_b) = pair().await;
    b.state.lock().unwrap().answer = Some(Ok(Answer::Name(signed("a", 2))));
    let mut refused = 0;
    for _ in 0..600 {
        match mesh_a.ask(&domain("b"), &Question::Name(question())).await {
            Ok(_) => {}
            Err(refusal) => {
                assert_eq!(refusal.code, Code::SessionStalled);
                refused += 1;
            }
        }
    }
    assert!(refused > 0);
    assert!(b.state.lock().unwrap().asked.len() < 600);
    assert_eq!(quadrille_node::mesh::ask::ASK, StreamProtocol::new("/quadrille/ask/1"));
}
