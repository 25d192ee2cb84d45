//! The travel rule: who pays whom, from an amount on, sealed to the payee's bank.

use quadrille_node::api::dto::PaymentState;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::ledger::Payment;
use quadrille_protocol::policy::ivms101::Person;
use quadrille_protocol::types::Amount;

use super::names::person;
use super::payments::refusal_of;
use super::stage::{Stage, holds, only, refused, same};
use crate::local::trader::otherwise;

/// From this amount on: 10,000.00.
const FROM: Amount = Amount::new(1_000_000);
/// What is paid: above it.
const PAID: Amount = Amount::new(1_500_000);
/// A customer's name that is nowhere in the clear.
const PAYEE: &str = "Castorp";

pub(super) fn chapter(stage: &Stage<'_>) -> Result<(), Refusal> {
    missing_at_the_payee_s_bank(stage)?;
    missing_at_the_payer_s_bank(stage)?;
    malformed(stage)?;
    with_the_data(stage)
}

fn payment(stage: &Stage<'_>) -> Result<Payment, Refusal> {
    let bob = stage.customer("bob@bank-b")?;
    Ok(Payment::plain(bob.account(), stage.cash("bank-a")?, PAID))
}

fn missing_at_the_payee_s_bank(stage: &Stage<'_>) -> Result<(), Refusal> {
    let (alice, b) = (stage.customer("alice@bank-a")?, stage.desk("bank-b")?);
    let euro = stage.cash("bank-a")?;
    let set = b.ask(b.client.set_travel_rule(&euro, Some(FROM)))?;
    stage.tell("bank-b asks for the travel rule's data from 10,000.00 EUR on", b.receipt(&set))?;
    let before = alice.has(&euro)?;
    let order = alice.pay(payment(stage)?)?;
    let view = alice.paid(&order)?;
    same("the payment", &view.state, &PaymentState::Refunded)?;
    let refusal = refusal_of(&view)?;
    same("the reason", &refusal.reason.code, &Code::TravelDataMissing.to_string())?;
    same("alice's money", &alice.has(&euro)?, &before)?;
    stage.tell(
        format!(
            "alice pays 15,000.00 without them: bank-b declines with {} {}",
            refusal.reason.code, refusal.reason.title
        ),
        format!("signed refusal: {}", alice.desk.at(refusal.place)),
    )
}

fn missing_at_the_payer_s_bank(stage: &Stage<'_>) -> Result<(), Refusal> {
    let (ida, a) = (ida(stage)?, stage.desk("bank-a")?);
    let euro = stage.cash("bank-a")?;
    let set = a.ask(a.client.set_travel_rule(&euro, Some(FROM)))?;
    let nameless = serde_json::json!({ "naturalPerson": { "name": { "nameIdentifier": [{
        "primaryIdentifier": PAYEE, "nameIdentifierType": "ALIA" }]}}});
    let nameless = read(nameless)?;
    let before = ida.has(&euro)?;
    let answer = ida.pay_with(payment(stage)?, "", Some(nameless));
    let refusal = refused("data without a legal name", answer, Code::TravelFieldMissing)?;
    let field = "naturalPerson.name.nameIdentifier";
    holds("the refusal names the field", refusal.what.contains(field))?;
    holds("and not what is in it", !refusal.what.contains(PAYEE))?;
    same("ida's money", &ida.has(&euro)?, &before)?;
    let what = format!("ida names bob without a legal name: bank-a refuses at once: {refusal}");
    stage.tell(what, format!("its rule: {}", a.receipt(&set)))
}

fn malformed(stage: &Stage<'_>) -> Result<(), Refusal> {
    let ida = ida(stage)?;
    let firm = serde_json::json!({ "legalPerson": {
        "name": { "nameIdentifier": [{
            "legalPersonName": "Berghof AG", "legalPersonNameIdentifierType": "LEGL" }]},
        "nationalIdentification": {
            "nationalIdentifier": "5299000J2N45DDNE4Y29",
            "nationalIdentifierType": "LEIX" },
        "countryOfRegistration": "DE",
    }});
    let answer = ida.pay_with(payment(stage)?, "", Some(read(firm)?));
    let refusal = refused("an LEI with wrong check digits", answer, Code::TravelFieldBad)?;
    let field = "nationalIdentification";
    holds("the refusal names the field", refusal.what.contains(field))?;
    stage.tell(
        format!("a legal person whose LEI has wrong check digits: {refusal}"),
        "nothing was held, nothing is in the log",
    )
}

fn with_the_data(stage: &Stage<'_>) -> Result<(), Refusal> {
    let (ida, bob) = (ida(stage)?, stage.customer("bob@bank-b")?);
    let order = ida.pay_with(payment(stage)?, "house", Some(person(PAYEE, "CUST-12")?))?;
    let view = ida.paid(&order)?;
    same("the payment", &view.state, &PaymentState::Settled)?;
    let settlement = only("ways tried", &view.tries)?.settlement;
    let (here, there) = (ida.desk.settled(&settlement)?, bob.desk.settled(&settlement)?);
    for bank in ["bank-a", "bank-b"] {
        holds("the data are sealed", !stage.stands_in_the_clear(bank, PAYEE)?)?;
    }
    stage.tell(
        "ida pays 15,000.00 with both sides' data: bank-b opens, checks and settles",
        format!("{here}; {there}; hash of the data bound into {settlement}"),
    )?;
    for bank in ["bank-a", "bank-b"] {
        let desk = stage.desk(bank)?;
        desk.ask(desk.client.set_travel_rule(&stage.cash("bank-a")?, None))?;
    }
    Ok(())
}

/// ida, with enough euros.
fn ida(stage: &Stage<'_>) -> Result<std::rc::Rc<super::customer::Customer>, Refusal> {
    let ida = stage.customer("ida@bank-a")?;
    let euro = stage.cash("bank-a")?;
    let a = &ida.desk;
    a.ask(a.client.issue(&euro, ida.ledger, Amount::new(5_000_000), "tour-issue-ida"))?;
    Ok(ida)
}

fn read(value: serde_json::Value) -> Result<Person, Refusal> {
    serde_json::from_value(value).map_err(|error| otherwise(error.to_string()))
}
