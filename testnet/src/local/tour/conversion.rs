//! A payment in one currency that arrives in another, through a market maker's standing offer.

use quadrille_node::api::dto::{PathBy, PaymentState};
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::ledger::Payment;
use quadrille_protocol::types::Amount;

use super::customer::terms;
use super::payments::new_asset;
use super::stage::{PLENTY, Stage, only, refused, same};

/// What arrives: 30.00 USD.
const ARRIVES: Amount = Amount::new(3_000);
/// What it costs: 40.00 EUR.
const COSTS: Amount = Amount::new(4_000);

pub(super) fn chapter(stage: &Stage<'_>) -> Result<(), Refusal> {
    let (alice, bob) = (stage.customer("alice@bank-a")?, stage.customer("bob@bank-d")?);
    let maker = stage.customer("carol@bank-d")?;
    let (a, d) = (&alice.desk, &maker.desk);
    let euro = stage.cash("bank-a")?;
    let dollar = d.ask(d.client.register_asset(&new_asset("USD")?, "tour-usd"))?.asset;
    a.ask(a.client.fetch_asset(&dollar))?;
    a.ask(a.client.set_trust(&d.domain, &dollar, PLENTY))?;
    d.ask(d.client.issue(&dollar, maker.ledger, Amount::new(1_000_000), "tour-issue-usd"))?;
    let offered = (&dollar, Amount::new(300_000));
    let offer = maker.offer(terms(offered, (&euro, Amount::new(400_000)))?, a)?;
    stage.tell("carol at bank-d makes a market: USD for EUR at 3 for 4", offer.id)?;
    let paths = a.until("a way with a conversion", async || {
        let wanted = (&dollar, ARRIVES);
        a.client.paths(&d.domain, wanted, &euro, None).await.ok().filter(|it| !it.is_empty())
    })?;
    let converts = paths.first().is_some_and(|path| {
        path.cost == COSTS && path.legs.iter().any(|leg| leg.by == PathBy::Offer)
    });
    same("the first way costs 40.00 EUR and converts", &converts, &true)?;
    let payment = Payment {
        spend: euro.clone(),
        max_cost: COSTS,
        ..Payment::plain(bob.account(), dollar.clone(), ARRIVES)
    };
    let short = Payment { max_cost: COSTS.minus_or_zero(Amount::new(1)), ..payment.clone() };
    let refusal = refused("a maximum of 39.99", alice.pay(short), Code::PathTooDear)?;
    let before = (alice.has(&euro)?.0, bob.has(&dollar)?.0, maker.has(&euro)?.0);
    let view = alice.paid(&alice.pay(payment)?)?;
    same("the payment", &view.state, &PaymentState::Settled)?;
    same("its cost", &view.cost, &Some(COSTS))?;
    let settlement = only("ways tried", &view.tries)?.settlement;
    let (here, there) = (a.settled(&settlement)?, d.settled(&settlement)?);
    same("alice's euros", &alice.has(&euro)?.0, &before.0.minus_or_zero(COSTS))?;
    same("bob's dollars", &bob.has(&dollar)?.0, &before.1.try_plus(ARRIVES)?)?;
    same("the maker's euros", &maker.has(&euro)?.0, &before.2.try_plus(COSTS)?)?;
    stage.tell(
        "alice pays 40.00 EUR at most, bob gets 30.00 USD, carol the euros: one settlement",
        format!("{here}; {there}"),
    )?;
    stage.tell(format!("with 39.99 EUR at most it was refused: {refusal}"), "nothing was held")
}
