//! What banks owe each other: reconciled, netted in rings, settled through a central bank.

use quadrille_node::api::dto::{PaymentState, PositionView, SettleUp, StandingView};
use quadrille_protocol::error::Refusal;
use quadrille_protocol::ledger::Payment;
use quadrille_protocol::types::{Amount, Domain, Uai};

use super::correspondents::transit;
use super::payments::new_asset;
use super::stage::{Desk, PLENTY, Stage, only, same};
use crate::local::prepare::CENTRAL;
use crate::local::trader::otherwise;

const fn minor(units: u128) -> Amount {
    Amount::new(units.saturating_mul(100))
}

pub(super) fn chapter(stage: &Stage<'_>) -> Result<(), Refusal> {
    let franc = debts(stage)?;
    reconciled(stage, &franc)?;
    netted(stage, &franc)?;
    settled_up(stage, &franc)
}

/// central's francs: bank-a owes bank-b 100, bank-b owes bank-c 80, bank-c owes bank-a 60.
fn debts(stage: &Stage<'_>) -> Result<Uai, Refusal> {
    let alice = stage.customer("alice@central")?;
    let central = &alice.desk;
    let franc = central.ask(central.client.register_asset(&new_asset("CHF")?, "tour-chf"))?.asset;
    let issued = central.client.issue(&franc, alice.ledger, minor(1_000), "tour-issue-chf");
    central.ask(issued)?;
    let banks = ["bank-a", "bank-b", "bank-c"];
    for bank in banks {
        let desk = stage.desk(bank)?;
        desk.ask(desk.client.fetch_asset(&franc))?;
    }
    let every = ["bank-a", "bank-b", "bank-c", CENTRAL];
    let pairs = every.iter().flat_map(|of| every.iter().map(move |peer| (*of, *peer, PLENTY)));
    stage.trust(&franc, &pairs.filter(|(of, peer, _)| of != peer).collect::<Vec<_>>())?;
    for bank in every {
        let desk = transit(stage, bank, &franc, 0)?;
        desk.ask(desk.client.switch_netting(true))?;
    }
    for bank in banks {
        pay(stage, CENTRAL, bank, &franc, minor(200))?;
    }
    for (from, to, units) in
        [("bank-a", "bank-b", 100), ("bank-b", "bank-c", 80), ("bank-c", "bank-a", 60)]
    {
        pay(stage, from, to, &franc, minor(units))?;
    }
    Ok(franc)
}

/// alice at the one bank pays alice at the other; directly.
fn pay(
    stage: &Stage<'_>,
    from: &str,
    to: &str,
    asset: &Uai,
    amount: Amount,
) -> Result<(), Refusal> {
    let payer = stage.customer(&format!("alice@{from}"))?;
    let payee = stage.customer(&format!("alice@{to}"))?;
    payer.desk.reaches(&payee.desk, asset)?;
    let order = payer.pay(Payment::plain(payee.account(), asset.clone(), amount))?;
    let view = payer.paid(&order)?;
    same("the payment", &view.state, &PaymentState::Settled)?;
    let settlement = only("ways tried", &view.tries)?.settlement;
    payee.desk.settled(&settlement).map(|_| ())
}

fn position(desk: &Desk, peer: &Domain, asset: &Uai) -> Result<PositionView, Refusal> {
    let rows = desk.ask(desk.client.positions(Some(peer), Some(asset), 10))?;
    let rows: Vec<PositionView> = rows.into_iter().filter(|row| row.domain == *peer).collect();
    let row = rows.into_iter().next();
    row.ok_or_else(|| otherwise(format!("{} has no position with {peer}", desk.name)))
}

fn reconciled(stage: &Stage<'_>, franc: &Uai) -> Result<(), Refusal> {
    let (a, b) = (stage.desk("bank-a")?, stage.desk("bank-b")?);
    let known = position(&a, &b.domain, franc)?.exposure;
    same("what bank-a owes bank-b", &known.owe, &minor(100))?;
    stage.tell(
        format!(
            "bank-a's position with bank-b: owes 100 CHF, is owed {}, limit {}, headroom {}",
            units(known.claim),
            units(known.limit),
            units(known.headroom)
        ),
        franc,
    )?;
    let agreed = a.until("its books agree with bank-b's", async || {
        let rows = a.client.positions(Some(&b.domain), Some(franc), 10).await.ok()?;
        let row = rows.into_iter().find(|row| row.domain == b.domain)?;
        let same = row.broken.is_none();
        row.reconciled.filter(|known| same && known.booked == row.booked)
    })?;
    stage.tell(
        "the mirror ledgers of bank-a and bank-b agree, and no break is open",
        format!("{} legs at {}", agreed.booked, agreed.at),
    )
}

fn sum(
    standings: &[StandingView],
    of: impl Fn(&StandingView) -> Amount,
) -> Result<Amount, Refusal> {
    standings.iter().try_fold(Amount::ZERO, |sum, one| sum.try_plus(of(one)))
}

/// What a number of minor units is in units.
fn units(amount: Amount) -> u128 {
    amount.units().checked_div(100).unwrap_or(0)
}

fn netted(stage: &Stage<'_>, franc: &Uai) -> Result<(), Refusal> {
    let desks = ["bank-a", "bank-b", "bank-c"].map(|bank| stage.desk(bank));
    let desks = desks.into_iter().collect::<Result<Vec<_>, _>>()?;
    let (Some(a), Some(b)) = (desks.first(), desks.get(1)) else {
        return Err(otherwise("no banks"));
    };
    let view = a.ask(a.client.net(franc, false, "tour-net"))?;
    let cycle = only("rings", &view.cycles)?;
    same("the ring's parties", &cycle.parties.len(), &3)?;
    same("what falls", &cycle.amount, &minor(60))?;
    let id = cycle
        .settlement
        .ok_or_else(|| otherwise(format!("the ring was not proposed: {:?}", cycle.refused)))?;
    let mut places = Vec::new();
    for desk in &desks {
        places.push(desk.settled(&id)?);
    }
    let gross = (sum(&view.before, |it| it.gross)?, sum(&view.after, |it| it.gross)?);
    let net = (sum(&view.before, |it| it.net)?, sum(&view.after, |it| it.net)?);
    same("how much gross falls", &gross.0.minus_or_zero(gross.1), &minor(360))?;
    same("net", &net.0, &net.1)?;
    let left = position(a, &b.domain, franc)?.exposure.owe;
    same("what bank-a still owes bank-b", &left, &minor(40))?;
    stage.tell(
        format!(
            "a ring of debts of three banks falls by 60 each in one settlement: gross {} to {}, \
             net {} before and after",
            units(gross.0),
            units(gross.1),
            units(net.0)
        ),
        places.join("; "),
    )
}

fn settled_up(stage: &Stage<'_>, franc: &Uai) -> Result<(), Refusal> {
    let (a, b) = (stage.desk("bank-a")?, stage.desk("bank-b")?);
    let central = stage.desk(CENTRAL)?;
    let before = position(&b, &central.domain, franc)?.exposure.claim;
    let what = SettleUp {
        peer: b.domain.clone(),
        asset: franc.clone(),
        amount: minor(40),
        through: central.domain.clone(),
    };
    let receipt = a.ask(a.client.settle_up(&what, "tour-settle-up"))?;
    let id = receipt.settlement.ok_or_else(|| otherwise("settle-up began no settlement"))?;
    let mut places = Vec::new();
    for desk in [&a, &b, &central] {
        places.push(desk.settled(&id)?);
    }
    let left = position(&a, &b.domain, franc)?.exposure.owe;
    same("what bank-a owes bank-b", &left, &Amount::ZERO)?;
    let claim = position(&b, &central.domain, franc)?.exposure.claim;
    same("what central owes bank-b", &claim, &before.try_plus(minor(40))?)?;
    stage.tell("bank-a pays the 40 CHF left to bank-b with its claim on central", places.join("; "))
}
