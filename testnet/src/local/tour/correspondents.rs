//! Payments between banks that do not trust each other, over banks that do.

use quadrille_node::api::dto::{FeeView, PathView, PaymentState};
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::ledger::Payment;
use quadrille_protocol::types::{Amount, Uai};

use super::payments::new_asset;
use super::stage::{Desk, PLENTY, Stage, refused, same};
use crate::local::prepare::CENTRAL;
use crate::local::trader::otherwise;

const PAID: Amount = Amount::new(10_000);
/// The most that the payer gives.
const AT_MOST: Amount = Amount::new(10_100);

pub(super) fn chapter(stage: &Stage<'_>) -> Result<(), Refusal> {
    let pound = pound(stage)?;
    through_the_central_bank(stage, &pound)?;
    the_next_way(stage, &pound)?;
    no_way(stage, &pound)
}

/// An asset of bank-a that every bank knows, and alice has.
fn pound(stage: &Stage<'_>) -> Result<Uai, Refusal> {
    let alice = stage.customer("alice@bank-a")?;
    let a = &alice.desk;
    let pound = a.ask(a.client.register_asset(&new_asset("GBP")?, "tour-gbp"))?.asset;
    for bank in ["bank-b", "bank-c", "bank-d", CENTRAL] {
        let desk = stage.desk(bank)?;
        desk.ask(desk.client.fetch_asset(&pound))?;
    }
    a.ask(a.client.issue(&pound, alice.ledger, Amount::new(1_000_000), "tour-issue-gbp"))?;
    Ok(pound)
}

/// Has payments pass through a bank over carol's ledger there, for a flat fee.
pub(super) fn transit(
    stage: &Stage<'_>,
    bank: &str,
    asset: &Uai,
    flat: u128,
) -> Result<Desk, Refusal> {
    let carol = stage.customer(&format!("carol@{bank}"))?;
    let desk = &carol.desk;
    desk.ask(desk.client.set_transit(Some(carol.ledger)))?;
    desk.ask(desk.client.set_fee(asset, FeeView { flat: Amount::new(flat), ppm: 0 }))?;
    Ok(desk.clone())
}

/// Waits until bank-a sees ways to bank-d that are enough.
fn ways(
    stage: &Stage<'_>,
    asset: &Uai,
    enough: impl Fn(&[PathView]) -> bool,
) -> Result<Vec<PathView>, Refusal> {
    let (a, d) = (stage.desk("bank-a")?, stage.desk("bank-d")?);
    a.until("it sees the ways", async || {
        let found = a.client.paths(&d.domain, (asset, PAID), asset, None).await.ok()?;
        enough(&found).then_some(found)
    })
}

fn payment(stage: &Stage<'_>, pound: &Uai) -> Result<Payment, Refusal> {
    let bob = stage.customer("bob@bank-d")?;
    Ok(Payment { max_cost: AT_MOST, ..Payment::plain(bob.account(), pound.clone(), PAID) })
}

fn through_the_central_bank(stage: &Stage<'_>, pound: &Uai) -> Result<(), Refusal> {
    let (alice, bob) = (stage.customer("alice@bank-a")?, stage.customer("bob@bank-d")?);
    stage.trust(pound, &[(CENTRAL, "bank-a", PLENTY), ("bank-d", CENTRAL, PLENTY)])?;
    let central = transit(stage, CENTRAL, pound, 5)?;
    let cost = PAID.try_plus(Amount::new(5))?;
    let found =
        ways(stage, pound, |ways| ways.len() == 1 && ways[..1].iter().all(|way| way.cost == cost))?;
    let parties: Vec<u32> = found.iter().map(|way| way.parties).collect();
    same("parties of the way", &parties, &vec![3])?;
    let before = (alice.has(pound)?.0, bob.has(pound)?.0);
    let view = alice.paid(&alice.pay(payment(stage, pound)?)?)?;
    same("the payment", &view.state, &PaymentState::Settled)?;
    same("its cost", &view.cost, &Some(cost))?;
    let settled = view.tries.last().ok_or_else(|| otherwise("no way was tried"))?.settlement;
    let places = [&alice.desk, &central, &bob.desk].map(|desk| desk.settled(&settled));
    let places = places.into_iter().collect::<Result<Vec<_>, _>>()?;
    same("bob", &bob.has(pound)?.0, &before.1.try_plus(PAID)?)?;
    same("alice", &alice.has(pound)?.0, &before.0.minus_or_zero(cost))?;
    let what = "bank-a and bank-d do not trust each other: alice pays bob 100.00 GBP through \
                central for 0.05, in one settlement of three";
    stage.tell(what, places.join("; "))
}

fn the_next_way(stage: &Stage<'_>, pound: &Uai) -> Result<(), Refusal> {
    let (alice, d) = (stage.customer("alice@bank-a")?, stage.desk("bank-d")?);
    stage.trust(
        pound,
        &[
            (CENTRAL, "bank-a", PLENTY),
            ("bank-b", "bank-a", PLENTY),
            ("bank-d", CENTRAL, Amount::new(1)),
            ("bank-d", "bank-b", PLENTY),
        ],
    )?;
    transit(stage, "bank-b", pound, 50)?;
    ways(stage, pound, |ways| ways.len() == 2)?;
    let view = alice.paid(&alice.pay(payment(stage, pound)?)?)?;
    same("the payment", &view.state, &PaymentState::Settled)?;
    same("its cost", &view.cost, &Some(PAID.try_plus(Amount::new(50))?))?;
    let [first, second] = view.tries.as_slice() else {
        return Err(otherwise(format!("expected two ways, and {} came", view.tries.len())));
    };
    same("the first way", &first.settled, &Some(false))?;
    let refusal = super::stage::only("refusals of the first way", &first.refusals)?;
    same("who refused it", &refusal.by, &d.domain)?;
    same("why", &refusal.reason.code, &Code::CreditLimit.to_string())?;
    stage.tell(
        format!(
            "bank-d's limit for central is used up: it refuses with {} {}, signed",
            refusal.reason.code, refusal.reason.title
        ),
        alice.desk.at(refusal.place),
    )?;
    let settled = alice.desk.settled(&second.settlement)?;
    stage.tell("bank-a takes the next way at once, over bank-b for 0.50", settled)
}

fn no_way(stage: &Stage<'_>, pound: &Uai) -> Result<(), Refusal> {
    let (alice, d) = (stage.customer("alice@bank-a")?, stage.desk("bank-d")?);
    stage.trust(pound, &[(CENTRAL, "bank-a", PLENTY)])?;
    let a = &alice.desk;
    a.until("there is no way any more", async || {
        a.client.paths(&d.domain, (pound, PAID), pound, None).await.err()
    })?;
    let before = alice.has(pound)?;
    let answer = alice.pay(payment(stage, pound)?);
    let refusal = refused("a payment without a way", answer, Code::NoPathTrust)?;
    same("alice's pounds", &alice.has(pound)?, &before)?;
    stage.tell(
        format!("when nobody whom bank-d trusts is left, bank-a says why: {refusal}"),
        "refused before anything was held",
    )
}
