//! Trading to the end: parts, competition, cancelling, watching, notaries, delivery elsewhere.

use std::time::Duration;

use quadrille_node::api::dto::{EventKind, OfferState, OrderState};
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::ledger::Action;
use quadrille_protocol::types::{Amount, Bounded, Duration as Span, SettlementId};

use super::customer::{Customer, Registration, Standing, terms};
use super::stage::{Stage, holds, same};
use crate::local::prepare::CENTRAL;
use crate::local::trader::otherwise;

/// How long an offer gathers takes: long enough that all of them are in.
const WINDOW: Span = Span(2_000);

pub(super) fn chapter(stage: &Stage<'_>) -> Result<(), Refusal> {
    parts(stage)?;
    competition(stage)?;
    cancelled(stage)?;
    watched(stage)?;
    named_counterparties(stage)?;
    notary(stage)?;
    ledgers_at_both_banks(stage)
}

const fn minor(units: u128) -> Amount {
    Amount::new(units.saturating_mul(100))
}

/// Waits until a take has settled.
fn settled(
    taker: &Customer,
    take: &quadrille_protocol::types::OrderId,
) -> Result<SettlementId, Refusal> {
    let view = taker.ended(take)?;
    same("the take", &view.state, &OrderState::Settled)?;
    view.settlement.ok_or_else(|| otherwise("a take settled without a settlement"))
}

/// Waits until a take has ended for this reason; the evidence.
fn lost(
    taker: &Customer,
    take: &quadrille_protocol::types::OrderId,
    code: Code,
) -> Result<String, Refusal> {
    let view = taker.ended(take)?;
    let reason = view.reason.ok_or_else(|| otherwise(format!("the take is {:?}", view.state)))?;
    same("why the take ended", &reason.code, &code.to_string())?;
    let entries = taker.desk.ask(taker.desk.client.entries(&taker.ledger, super::stage::ROWS))?;
    let entry = entries.iter().rev().find(|entry| entry.order.as_ref() == Some(take));
    Ok(entry.map_or_else(|| take.to_string(), |entry| taker.desk.at(entry.place)))
}

fn parts(stage: &Stage<'_>) -> Result<(), Refusal> {
    let (alice, bob) = (stage.customer("alice@bank-a")?, stage.customer("bob@bank-b")?);
    let (bond, euro) = (stage.bond("bank-a")?, stage.cash("bank-b")?);
    let mut wanted = terms((&bond, minor(100)), (&euro, minor(200)))?;
    wanted.minimum_fill = minor(20);
    let offer = alice.offer(wanted, &bob.desk)?;
    let small = bob.take(&offer, minor(10), minor(20))?;
    let evidence = lost(&bob, &small, Code::BelowMinimum)?;
    let what = "alice offers 100 BOND for 200 EUR, 20 at least; bob's take of 10 is refused";
    stage
        .tell(format!("{what}: {} {}", Code::BelowMinimum, Code::BelowMinimum.title()), evidence)?;
    let mut evidence = Vec::new();
    for part in [30, 50, 20] {
        let take = bob.take(&offer, minor(part), minor(part.saturating_mul(2)))?;
        evidence.push(bob.desk.settled(&settled(&bob, &take)?)?);
    }
    let view = alice.outcome(&offer.id, |view| view.state == OrderState::Settled)?;
    same("the offer", &view.state, &OrderState::Settled)?;
    let last = alice.desk.ask(alice.desk.client.offer(&offer.id))?;
    same("the offer", &last.state, &OfferState::Filled)?;
    stage.tell(
        "bob takes 30, 50 and the last 20: three settlements, and the offer is filled",
        evidence.join("; "),
    )
}

fn competition(stage: &Stage<'_>) -> Result<(), Refusal> {
    let alice = stage.customer("alice@bank-a")?;
    let (bond, euro) = (stage.bond("bank-a")?, stage.cash("bank-b")?);
    let mut wanted = terms((&bond, minor(100)), (&euro, minor(200)))?;
    wanted.selection_window = WINDOW;
    wanted.minimum_fill = minor(100);
    let bob = stage.customer("bob@bank-b")?;
    let carol = stage.customer("carol@bank-b")?;
    let offer = alice.offer(wanted, &bob.desk)?;
    let loser = carol.take(&offer, minor(100), minor(210))?;
    let winner = bob.take(&offer, minor(100), minor(220))?;
    let won = bob.desk.settled(&settled(&bob, &winner)?)?;
    let told = lost(&carol, &loser, Code::TakeLost)?;
    stage.tell(
        "carol pays 210, then bob 220, within the offer's window: bob's take is selected",
        won,
    )?;
    let (code, title) = (Code::TakeLost, Code::TakeLost.title());
    stage.tell(format!("carol is told by bank-a, signed: {code} {title}"), told)
}

/// Both at once: whichever bank-a hears first counts, and only that.
fn cancelled(stage: &Stage<'_>) -> Result<(), Refusal> {
    let (alice, bob) = (stage.customer("alice@bank-a")?, stage.customer("bob@bank-b")?);
    let (a, b) = (&alice.desk, &bob.desk);
    let (bond, euro) = (stage.bond("bank-a")?, stage.cash("bank-b")?);
    let before = alice.has(&bond)?;
    let offer = alice.offer(terms((&bond, minor(10)), (&euro, minor(20)))?, b)?;
    let cancel = alice.sign(Action::Cancel { offer: offer.id })?;
    let take = bob.sign(Customer::taking(&offer, minor(10), minor(20))?)?;
    let (cancel, take) =
        a.runtime.block_on(async { tokio::join!(a.client.order(&cancel), b.client.order(&take)) });
    let take = match b.ask(async { take }) {
        Ok(receipt) => receipt.order.map(|order| bob.ended(&order)).transpose()?,
        Err(refusal) => {
            same("why the take is refused", &refusal.code, &Code::UnknownOffer)?;
            None
        }
    };
    if let Some(settlement) = take.as_ref().filter(|it| it.state == OrderState::Settled) {
        let id = settlement.settlement.ok_or_else(|| otherwise("settled by no settlement"))?;
        let place = a.settled(&id)?;
        let left = (before.0.minus_or_zero(minor(10)), before.1);
        same("alice's bond", &alice.has(&bond)?, &left)?;
        return stage.tell("alice cancels while bob takes: the take was first and settles", place);
    }
    let reason = take.and_then(|view| view.reason).map(|reason| reason.code);
    let ends = [Code::OfferCancelled, Code::UnknownOffer].map(|code| code.to_string());
    let ended = reason.as_ref().is_none_or(|reason| ends.contains(reason));
    holds(format!("{reason:?} is one of {ends:?}"), ended)?;
    let receipt = a.ask(async { cancel })?;
    same("alice's bond", &alice.has(&bond)?, &before)?;
    let told = reason.unwrap_or_else(|| Code::UnknownOffer.to_string());
    stage.tell(
        format!("alice cancels while bob takes: the cancel was first, the take ends with {told}"),
        a.receipt(&receipt),
    )
}

fn watched(stage: &Stage<'_>) -> Result<(), Refusal> {
    let alice = stage.customer("alice@bank-a")?;
    let d = stage.desk("bank-d")?;
    let (bond, euro) = (stage.bond("bank-a")?, stage.cash("bank-d")?);
    let mut follower =
        d.client.follow_offers(&["offer.seen"], None, None, Some(&bond), Some(&euro));
    d.ask(follower.connect())?;
    let offer = alice.offer(terms((&bond, minor(10)), (&euro, minor(20)))?, &d)?;
    let other = alice.offer(terms((&bond, minor(10)), (&stage.cash("bank-c")?, minor(20)))?, &d)?;
    let seen = d
        .runtime
        .block_on(async { tokio::time::timeout(Duration::from_secs(20), follower.next()).await });
    let seen = seen.map_err(|_| otherwise("no offer was told of"))?;
    let seen = d.ask(async { seen })?.event;
    same("the event", &seen.kind, &EventKind::OfferSeen)?;
    same("the offer", &seen.offer.map(|entry| entry.offer), &Some(offer.id))?;
    stage.tell(
        "bank-d watches for BOND against its EUR and is told of alice's offer, live",
        offer.id,
    )?;
    for offer in [&offer, &other] {
        alice.order(Action::Cancel { offer: offer.id })?;
    }
    Ok(())
}

fn named_counterparties(stage: &Stage<'_>) -> Result<(), Refusal> {
    let (alice, bob) = (stage.customer("alice@bank-a")?, stage.customer("bob@bank-b")?);
    let stranger = stage.customer("bob@bank-c")?;
    let (bond, euro) = (stage.bond("bank-a")?, stage.cash("bank-b")?);
    let carol = stage.customer("carol@bank-b")?;
    // bank-c's holder needs bank-b's euros to be refused for nothing but its bank.
    let pay =
        quadrille_protocol::ledger::Payment::plain(stranger.account(), euro.clone(), minor(20));
    let paid = carol.paid(&carol.pay(pay)?)?;
    same("the payment", &paid.state, &quadrille_node::api::dto::PaymentState::Settled)?;
    let mut wanted = terms((&bond, minor(10)), (&euro, minor(20)))?;
    wanted.counterparties = Bounded::new(vec![bob.desk.domain.clone()])?;
    let offer = alice.offer(wanted, &bob.desk)?;
    let refused = match stranger.take(&offer, minor(10), minor(20)) {
        Ok(take) => lost(&stranger, &take, Code::NotAllowedCounterparty)?,
        Err(refusal) => {
            same("the refusal", &refusal.code, &Code::NotAllowedCounterparty)?;
            "bank-c refused at once".to_owned()
        }
    };
    let take = bob.take(&offer, minor(10), minor(20))?;
    let won = bob.desk.settled(&settled(&bob, &take)?)?;
    let (code, title) = (Code::NotAllowedCounterparty, Code::NotAllowedCounterparty.title());
    stage.tell(
        format!("an offer to bank-b only: bob at bank-c ends with {code} {title}"),
        refused,
    )?;
    stage.tell("bob at bank-b takes it", won)
}

fn notary(stage: &Stage<'_>) -> Result<(), Refusal> {
    let (alice, bob) = (stage.customer("alice@bank-a")?, stage.customer("bob@bank-b")?);
    let central = stage.desk(CENTRAL)?;
    let (bond, euro) = (stage.bond("bank-a")?, stage.cash("bank-b")?);
    let mut wanted = terms((&bond, minor(10)), (&euro, minor(20)))?;
    wanted.notary = Some(central.domain.clone());
    let offer = alice.offer(wanted, &bob.desk)?;
    let take = bob.take(&offer, minor(10), minor(20))?;
    let settlement = settled(&bob, &take)?;
    let view = bob.desk.final_view(&settlement)?;
    same("the decider", &view.decider, &central.domain)?;
    let decision = central.ask(central.client.settlement(&settlement))?;
    same("what the notary is told of what moves", &decision.legs.len(), &0)?;
    let step = decision.steps.iter().find(|step| step.step == "Decided(settle)");
    let step = step.ok_or_else(|| otherwise("the notary has no decision"))?;
    stage.tell(
        "alice and bob trade with central as notary: it decides, and is not told what moves",
        central.at(step.place),
    )
}

fn ledgers_at_both_banks(stage: &Stage<'_>) -> Result<(), Refusal> {
    let (alice, bob) = (stage.customer("alice@bank-a")?, stage.customer("bob@bank-b")?);
    let alice_there = Customer::open(&bob.desk, "alice-of-a", &Registration::default())?;
    let bob_there = Customer::open(&alice.desk, "bob-of-b", &Registration::default())?;
    let (bond, euro) = (stage.bond("bank-a")?, stage.cash("bank-b")?);
    let owed = |from: &super::stage::Desk, to: &super::stage::Desk, asset| {
        let rows = from.ask(from.client.positions(Some(&to.domain), Some(asset), 1))?;
        Ok::<_, Refusal>(rows.first().map(|row| row.exposure.owe))
    };
    let before = owed(&alice.desk, &bob.desk, &bond)?;
    let mut wanted = terms((&bond, minor(10)), (&euro, minor(20)))?;
    wanted.receive = Some(alice_there.account());
    let offer = alice.offer(wanted, &bob.desk)?;
    let offer = Standing { deliver: Some(bob_there.account()), ..offer };
    let take = bob.take(&offer, minor(10), minor(20))?;
    let settlement = settled(&bob, &take)?;
    let (here, there) = (alice.desk.settled(&settlement)?, bob.desk.settled(&settlement)?);
    same("bob's bond at bank-a", &bob_there.has(&bond)?.0, &minor(10))?;
    same("alice's euros at bank-b", &alice_there.has(&euro)?.0, &minor(20))?;
    same("what bank-a owes bank-b", &owed(&alice.desk, &bob.desk, &bond)?, &before)?;
    stage.tell(
        "alice and bob have ledgers at both banks: each side is delivered inside one bank, \
                and neither bank owes the other anything new",
        format!("{here}; {there}"),
    )
}
