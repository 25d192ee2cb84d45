//! What a bank tells other members that ask, and whom it tells nothing.

use quadrille_node::mesh::ask::{Answer, Question};
use quadrille_protocol::crypto::suite::HybridSignatures;
use quadrille_protocol::error::Code;
use quadrille_protocol::payment::name::{Asking, NameQuestion, NameRecord};
use quadrille_protocol::types::{Domain, OrderId};
use quadrille_protocol::validator::Command;

use super::banks::Net;

/// What bank 1 says of a name to `asker`, verified.
async fn name(net: &Net, asker: &Domain, name: &str) -> NameRecord {
    let bank = &net.banks[1];
    let holder = format!("{name}@{}", bank.domain()).parse().unwrap();
    let question = NameQuestion { holder, asset: None };
    let asked = bank.answer(asker, Question::Name(question.clone())).await.unwrap();
    let Answer::Name(signed) = asked else { panic!("{asked:?}") };
    let engine = net.banks[0].engine();
    let directory = engine.directory();
    let now = signed.parse().unwrap().issued;
    let asking = Asking {
        network: engine.network(),
        asker,
        question: &question,
        directory: &directory,
        now,
    };
    signed.verify(&asking, &HybridSignatures).unwrap().record().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trusted_bank_is_told_of_holders_and_a_stranger_not_even_whether_they_exist() {
    let net = Net::of(2).await;
    let (_, bob) = net.holders().await;
    let (trusted, stranger) = (net.banks[0].domain(), "stranger.example".parse().unwrap());
    let found = name(&net, &trusted, "bob").await;
    assert_eq!(found.found().unwrap().account.ledger, bob.ledger);
    let code = |record: NameRecord| record.found().unwrap_err().code;
    let nobody = name(&net, &trusted, "nobody").await;
    assert!(nobody.expires < found.expires, "who is not there today may be there tomorrow");
    assert_eq!(code(nobody), Code::NameUnknown);
    for holder in ["bob", "nobody"] {
        assert_eq!(code(name(&net, &stranger, holder).await), Code::NameRefused);
    }
    let foreign = NameQuestion { holder: "bob@other.example".parse().unwrap(), asset: None };
    let refusal = net.banks[1].answer(&trusted, Question::Name(foreign)).await.unwrap_err();
    assert_eq!(refusal.code, Code::WrongDomain);
    net.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn offers_profiles_and_obligations_are_told_to_whom_they_concern() {
    let net = Net::of(2).await;
    let (alice, _) = net.holders().await;
    let (asker, stranger) = (net.banks[1].domain(), "stranger.example".parse().unwrap());
    let bank = &net.banks[0];
    let offer = net.offer(&alice, 1_000, 990).await;
    let account = bank.answer(&asker, Question::OfferAccount(offer)).await.unwrap();
    let Answer::OfferAccount(account) = account else { panic!("{account:?}") };
    assert_eq!((account.domain, account.ledger), (bank.domain(), alice.ledger));
    let none = bank.answer(&asker, Question::OfferAccount(OrderId([1; 32]))).await.unwrap_err();
    assert_eq!(none.code, Code::UnknownOffer);
    let profile = bank.answer(&stranger, Question::AssetProfile(net.bond.clone())).await.unwrap();
    let Answer::AssetProfile(profile) = profile else { panic!("{profile:?}") };
    assert_eq!(profile.uai(), net.bond);
    let foreign = bank.answer(&asker, Question::AssetProfile(net.eur.clone())).await.unwrap_err();
    assert_eq!(foreign.code, Code::UnknownAsset);
    let owed = Question::Obligations(net.bond.clone());
    let refusal = bank.answer(&asker, owed.clone()).await.unwrap_err();
    assert_eq!(refusal.code, Code::NettingOff);
    bank.command(Command::SetNetting(true)).await;
    let answer = bank.answer(&asker, owed.clone()).await.unwrap();
    assert!(matches!(answer, Answer::Obligations(_)), "{answer:?}");
    let refusal = bank.answer(&stranger, owed).await.unwrap_err();
    assert_eq!(refusal.code, Code::QuestionRefused);
    net.stop().await;
}
