//! The transfer of an asset between gateways: extinguished on the one ledger, recreated on the
//! other.

use quadrille_node::api::dto::{DocumentView, NewAsset, PaymentState};
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::ledger::Payment;
use quadrille_protocol::settlement::Purpose;
use quadrille_protocol::types::{Amount, Hash};

use super::payments::{new_asset, refusal_of};
use super::stage::{PLENTY, Stage, holds, only, same};
use crate::local::trader::otherwise;

/// The messages of SATP-core that have to be in the timeline.
const MESSAGES: [&str; 5] = [
    "lock-assert",
    "assertion-receipt",
    "commit-prepare",
    "ack-commit-final",
    "commit-transfer-complete",
];

pub(super) fn chapter(stage: &Stage<'_>) -> Result<(), Refusal> {
    let (a, b, c) = (stage.desk("bank-a")?, stage.desk("bank-b")?, stage.desk("bank-c")?);
    let (alice, bob) = (stage.customer("alice@bank-a")?, stage.customer("bob@bank-b")?);
    let asset = NewAsset {
        holders: vec![a.domain.clone(), b.domain.clone()],
        denomination: Some(Amount::new(100)),
        documents: vec![DocumentView { name: "prospectus".parse()?, hash: Hash([7; 32]) }],
        ..new_asset("NOTE")?
    };
    let note = a.ask(a.client.register_asset(&asset, "tour-note"))?.asset;
    for desk in [&b, &c] {
        let fetched = desk.ask(desk.client.fetch_asset(&note))?;
        same("the profile's documents", &fetched.documents, &asset.documents)?;
        desk.ask(desk.client.set_trust(&a.domain, &note, PLENTY))?;
    }
    stage.tell("bank-b and bank-c get the asset's profile from its issuer, bank-a", &note)?;
    a.ask(a.client.issue(&note, alice.ledger, Amount::new(100_000), "tour-issue-note"))?;
    a.reaches(&b, &note)?;
    a.reaches(&c, &note)?;
    let (amount, purpose) = (Amount::new(40_000), Purpose::Transfer);
    let payment = Payment { purpose, ..Payment::plain(bob.account(), note.clone(), amount) };
    let order = alice.pay(payment.clone())?;
    let view = alice.paid(&order)?;
    same("the transfer", &view.state, &PaymentState::Settled)?;
    let settlement = only("ways tried", &view.tries)?.settlement;
    let (here, there) = (a.settled(&settlement)?, b.settled(&settlement)?);
    stage.tell(
        "alice transfers 400.00 NOTE to bob: gone from bank-a's ledger, new on bank-b's",
        format!("{here}; {there}"),
    )?;
    let complete = a.until("the other gateway's completion", async || {
        let view = a.client.settlement(&settlement).await.ok()?;
        view.steps.iter().any(|step| step.step == "Finalised").then_some(view)
    })?;
    let named: Vec<&str> = complete.steps.iter().filter_map(|step| step.satp.as_deref()).collect();
    for message in MESSAGES {
        let there = named.iter().any(|names| names.split(", ").any(|name| name == message));
        holds(format!("{message} in the timeline {named:?}"), there)?;
    }
    let lines = complete.steps.iter().filter_map(|step| {
        let satp = step.satp.as_deref()?;
        Some(format!("\n      {} of {}: {satp}", step.step, step.by))
    });
    stage.tell(
        format!("its timeline names the messages:{}", lines.collect::<String>()),
        settlement,
    )?;
    let located = a.ask(a.client.asset(&note))?;
    let place = located.places.iter().find(|place| place.domain == b.domain);
    let place = place.ok_or_else(|| otherwise("no place of the asset at bank-b"))?;
    same("what is there", &place.there, &amount)?;
    stage.tell("bank-a's record of where its asset is: 400.00 at bank-b", here)?;
    not_for_that_bank(stage, payment)
}

/// The destination checks the profile.
fn not_for_that_bank(stage: &Stage<'_>, payment: Payment) -> Result<(), Refusal> {
    let (alice, bob) = (stage.customer("alice@bank-a")?, stage.customer("bob@bank-c")?);
    let before = alice.has(&payment.asset)?;
    let asset = payment.asset.clone();
    let order = alice.pay(Payment { to: bob.account(), ..payment })?;
    let view = alice.paid(&order)?;
    let refusal = refusal_of(&view)?;
    same("the reason", &refusal.reason.code, &Code::HolderNotPermitted.to_string())?;
    same("alice's asset", &alice.has(&asset)?, &before)?;
    stage.tell(
        format!(
            "to bob at bank-c, whose holders may not have it: bank-c declines with {} {}",
            refusal.reason.code, refusal.reason.title
        ),
        format!("signed refusal: {}", alice.desk.at(refusal.place)),
    )
}
