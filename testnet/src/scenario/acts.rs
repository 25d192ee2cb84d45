//! Doing what a step says.

use std::time::Duration;

use futures::{StreamExt as _, stream};
use quadrille_node::api::dto::{BookEntry, SettleUp};
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::ledger::{Action, Payment};
use quadrille_protocol::market::{OfferTerms, TakeTerms};
use quadrille_protocol::settlement::Purpose;
use quadrille_protocol::types::{
    Amount, AssetPair, Bounded, Duration as Span, Hash, OrderId, SettlementId,
};
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

use super::banks;
use super::claims;
use super::fate::{self, Fate};
use super::history::{lock, short};
use super::plan::{Act, Expect, OfferAct, PayAct, Step, StormAct, TakeAct};
use super::stage::{Done, Stage, Trouble};
use super::words::{Money, Who, show_units};
use crate::local::up::now;

/// How long an offer and a take may stand.
const ORDER_LIFE: Span = Span(10 * 60 * 1000);
/// Offers that a book shows at most.
const BOOK_ROWS: usize = 10_000;

/// Does a step, and waits for what has to come of it.
///
/// # Errors
/// What was expected and what was found.
pub fn act(stage: &Stage<'_>, index: usize, step: &Step) -> Result<Done, Trouble> {
    let mut random = stage.random(index);
    let begun = begin(stage, step, &mut random);
    let done = match (begun, &step.expect) {
        (Ok(done), _) => done,
        // A refusal is what some steps are for; that a bank cannot be reached is none.
        (Err(trouble), Expect::Refused(_)) if is_refusal(trouble.code) => {
            let refused = Some(Refusal::new(trouble.code, trouble.found));
            Done { what: describe(stage, step), refused, ..Done::default() }
        }
        (Err(trouble), _) => return Err(trouble),
    };
    // Others may ask what has become of it from now on.
    stage.note(index, done.clone());
    ended(stage, index, step, done)
}

/// Whether a bank has said no, rather than nothing.
fn is_refusal(code: Code) -> bool {
    !matches!(
        code,
        Code::Unreachable
            | Code::NoAnswer
            | Code::BadAnswer
            | Code::StepFailed
            | Code::BrokenOff
            | Code::ScenarioFailed
    )
}

/// Waits until an order has come to the end that is expected.
fn ended(stage: &Stage<'_>, index: usize, step: &Step, done: Done) -> Result<Done, Trouble> {
    if step.expect == Expect::Accepted {
        return Ok(done);
    }
    let expected = format!("it is {}", step.expect.words());
    let fate = stage.until(stage.patience(step), &expected, || {
        let fate = fate::of(stage, index, &done);
        if fate.is(&step.expect) { Ok(fate) } else { Err(fate.words()) }
    })?;
    let end = match &fate {
        Fate::Refused { what, code, .. } => format!("refused: {code} {what}"),
        Fate::Over { settled: true, .. } => "settled".to_owned(),
        Fate::Over { settled: false, .. } => "refunded".to_owned(),
        Fate::Open(what) | Fate::Torn(what) => what.clone(),
    };
    let what = format!("{}; {end}", done.what);
    Ok(Done { what, evidence: fate.evidence().or(done.evidence), ..done })
}

fn begin(stage: &Stage<'_>, step: &Step, random: &mut ChaCha8Rng) -> Result<Done, Trouble> {
    let what = describe(stage, step);
    match &step.act {
        Act::Offer(act) => offer(stage, step, act, random),
        Act::Take(act) => take(stage, step, act, random),
        Act::Pay(act) => pay(stage, step, act, random),
        Act::Cancel { offer } => cancel(stage, step, *offer),
        Act::Net { by, asset } => {
            let client = stage.client(by)?;
            let found = stage.ask(by, client.net(asset, false, &step.name))?;
            let settlement = found.cycles.iter().find_map(|cycle| cycle.settlement);
            let Some(settlement) = settlement else {
                let none = || Refusal::new(Code::NothingToNet, format!("{found:?}"));
                let refused = found.cycles.iter().find_map(|cycle| cycle.refused.as_ref());
                return Err(refused.map_or_else(none, of_reason).into());
            };
            let parties = found.cycles.first().map_or(0, |cycle| cycle.parties.len());
            Ok(carried(by, settlement, format!("{what}: a ring of {parties} banks")))
        }
        Act::SettleUp { by, to, amount, through } => {
            let wanted = SettleUp {
                peer: stage.domain(to)?,
                asset: amount.asset.clone(),
                amount: amount.units.draw(random),
                through: stage.domain(through)?,
            };
            let receipt = stage.ask(by, stage.client(by)?.settle_up(&wanted, &step.name))?;
            let settlement = receipt
                .settlement
                .ok_or_else(|| Trouble::new("a settlement begins", "the bank has begun none"))?;
            Ok(carried(by, settlement, what))
        }
        Act::Trust { by, to, limit } => {
            let (client, peer) = (stage.client(by)?, stage.domain(to)?);
            let receipt = stage.ask(by, client.set_trust(&peer, &limit.asset, limit.exact()))?;
            let evidence = receipt.height.map(|height| format!("{by} {height}.0"));
            Ok(Done { what, evidence, ..Done::default() })
        }
        Act::Crash { bank, at } => {
            banks::restart(stage, bank, Some(at))?;
            Ok(Done { what, ..Done::default() })
        }
        Act::Kill(bank) => {
            banks::kill(stage, bank)?;
            Ok(Done { what, ..Done::default() })
        }
        Act::Restart(bank) => {
            banks::restart(stage, bank, None)?;
            Ok(Done { what, ..Done::default() })
        }
        Act::Backup(bank) => {
            let copy = banks::backup(stage, bank, &step.name)?;
            Ok(Done { what, copy: Some(copy), ..Done::default() })
        }
        Act::Restore { bank, from } => {
            let copy = stage.done(*from)?.copy;
            let copy = copy.ok_or_else(|| Trouble::new("a copy was made", "there is none"))?;
            let back = banks::restore(stage, bank, &copy, stage.patience(step))?;
            Ok(Done { what: format!("{what}: {back}"), ..Done::default() })
        }
        Act::Storm(act) => storm(stage, step, act, random),
        Act::Check(check) => {
            let seen = claims::check(stage, step, check)?;
            Ok(Done { what: seen.0, evidence: seen.1, ..Done::default() })
        }
    }
}

fn carried(bank: &str, settlement: SettlementId, what: String) -> Done {
    let evidence = Some(short(&settlement.to_string()));
    Done { what, evidence, settlement: Some((bank.to_owned(), settlement)), ..Done::default() }
}

fn of_reason(reason: &quadrille_node::api::dto::Reason) -> Refusal {
    let code = reason.code.parse().unwrap_or(Code::BadAnswer);
    Refusal::new(code, format!("{} {}", reason.title, reason.what))
}

/// What a step does, in words.
#[must_use]
pub fn describe(stage: &Stage<'_>, step: &Step) -> String {
    let named = |index: &usize| {
        stage.scenario.steps.get(*index).map_or_else(String::new, |step| step.name.clone())
    };
    match &step.act {
        Act::Offer(act) => {
            format!("{} offers {} for {}", act.by, shown(&act.give), shown(&act.want))
        }
        Act::Take(act) => format!("{} takes the offer of {}", act.by, named(&act.offer)),
        Act::Pay(act) => format!("{} pays {} to {}", act.by, shown(&act.amount), act.to),
        Act::Cancel { offer } => format!("the offer of {} is taken back", named(offer)),
        Act::Net { by, asset } => {
            format!("{by} nets debts in {}:{}", asset.code(), stage.name_of(asset.issuer()))
        }
        Act::SettleUp { by, to, amount, through } => {
            format!("{by} pays {to} {} with its claim on {through}", shown(amount))
        }
        Act::Trust { by, to, limit } => format!("{by} trusts {to} up to {}", shown(limit)),
        Act::Crash { bank, at } => format!("{bank} will kill itself {at}"),
        Act::Kill(bank) => format!("{bank} is killed"),
        Act::Restart(bank) => format!("{bank} is started again"),
        Act::Backup(bank) => format!("{bank}'s data directory is copied away"),
        Act::Restore { bank, from } => {
            format!("{bank} is put back from the copy of {}", named(from))
        }
        Act::Storm(act) => format!("{} offers by {} holders", act.offers, act.by.len()),
        Act::Check(_) => "it is looked whether it is so".to_owned(),
    }
}

/// An amount for people, or its range.
#[must_use]
pub fn shown(money: &Money) -> String {
    let show = |units| show_units(units, money.decimals);
    let name = format!(
        "{}:{}",
        money.asset.code(),
        money.asset.issuer().as_str().split('.').next().unwrap_or_default()
    );
    if money.units.least == money.units.most {
        return format!("{} {name}", show(money.units.least));
    }
    format!("{}..{} {name}", show(money.units.least), show(money.units.most))
}

/// An amount that was drawn.
fn drawn(money: &Money, amount: Amount) -> String {
    let mut exact = money.clone();
    exact.units.least = amount.units();
    exact.units.most = amount.units();
    shown(&exact)
}

/// Has a customer give an order.
fn order(stage: &Stage<'_>, who: &Who, id: &str, action: Action) -> Result<OrderId, Trouble> {
    let (trader, pen) = (stage.trader(who)?, stage.pen(who));
    let _one_at_a_time = lock(&pen);
    Ok(stage.talk(trader.order(id, action))??)
}

fn ordered(who: &Who, order: OrderId, what: String) -> Done {
    let evidence = Some(short(&order.to_string()));
    Done { what, evidence, order: Some((who.bank.clone(), order)), ..Done::default() }
}

fn offer(
    stage: &Stage<'_>,
    step: &Step,
    act: &OfferAct,
    random: &mut ChaCha8Rng,
) -> Result<Done, Trouble> {
    let (give, want) = (act.give.units.draw(random), act.want.units.draw(random));
    let notary = act.notary.as_ref().map(|bank| stage.domain(bank)).transpose()?;
    let window = u64::try_from(act.window.as_millis()).unwrap_or(u64::MAX);
    let terms = OfferTerms {
        give: act.give.asset.clone(),
        give_amount: give,
        want: act.want.asset.clone(),
        want_amount: want,
        minimum_fill: act.minimum.as_ref().map_or(give, Money::exact),
        expiry: now()?.after(ORDER_LIFE),
        counterparties: Bounded::default(),
        notary,
        selection_window: Span(window),
        receive: None,
    };
    let id = order(stage, &act.by, &step.name, Action::Offer(terms))?;
    let (give, want) = (drawn(&act.give, give), drawn(&act.want, want));
    Ok(ordered(&act.by, id, format!("{} offers {give} for {want}", act.by)))
}

fn take(
    stage: &Stage<'_>,
    step: &Step,
    act: &TakeAct,
    random: &mut ChaCha8Rng,
) -> Result<Done, Trouble> {
    let made = stage.done(act.offer)?.order;
    let (_, offer) = made.ok_or_else(|| Trouble::new("there is an offer", "it was refused"))?;
    let seen = sees(stage, &act.by.bank, &offer, stage.patience(step))?;
    let amount = act.amount.as_ref().map_or(seen.give_amount, |it| it.units.draw(random));
    let pay = act.pay.as_ref().map_or(seen.want_amount, |it| it.units.draw(random));
    let terms = TakeTerms {
        offer: seen.offer,
        maker: seen.validator.clone(),
        take: amount,
        pay,
        notary: seen.notary.clone(),
        expiry: now()?.after(ORDER_LIFE),
        receive: None,
    };
    let pair = AssetPair { give: seen.give.clone(), want: seen.want.clone() };
    let id = order(stage, &act.by, &step.name, Action::Take { terms, pair })?;
    let paid = act.pay.as_ref().map(|money| format!(" for {}", drawn(money, pay)));
    let what = format!("{}{}", describe(stage, step), paid.unwrap_or_default());
    Ok(ordered(&act.by, id, what))
}

/// Waits until a bank's book shows an offer.
fn sees(
    stage: &Stage<'_>,
    bank: &str,
    offer: &OrderId,
    patience: Duration,
) -> Result<BookEntry, Trouble> {
    let client = stage.client(bank)?;
    stage.until(patience, &format!("{bank} sees the offer"), || {
        let book = stage.ask(bank, client.book(None, None, BOOK_ROWS));
        let book = book.map_err(|refusal| refusal.to_string())?;
        let count = book.len();
        let found = book.into_iter().find(|entry| entry.offer == *offer);
        found.ok_or_else(|| format!("its book shows {count} offers without it"))
    })
}

fn pay(
    stage: &Stage<'_>,
    step: &Step,
    act: &PayAct,
    random: &mut ChaCha8Rng,
) -> Result<Done, Trouble> {
    let amount = act.amount.units.draw(random);
    let (spend, most) = match &act.most {
        Some(most) => (most.asset.clone(), most.units.draw(random)),
        None => (act.amount.asset.clone(), amount),
    };
    let to = stage.trader(&act.to)?.account();
    if act.by.bank != act.to.bank && step.expect == Expect::Settled {
        reaches(stage, step, act, (amount, most))?;
    }
    let payment = Payment {
        to,
        asset: act.amount.asset.clone(),
        amount,
        spend,
        max_cost: most,
        purpose: Purpose::Payment,
        memo: Hash::ZERO,
    };
    let id = order(stage, &act.by, &step.name, Action::Pay(payment))?;
    let what = format!("{} pays {} to {}", act.by, drawn(&act.amount, amount), act.to);
    Ok(ordered(&act.by, id, what))
}

/// Waits until the payer's bank has heard of a way to the payee's.
fn reaches(
    stage: &Stage<'_>,
    step: &Step,
    act: &PayAct,
    (amount, most): (Amount, Amount),
) -> Result<(), Trouble> {
    let bank = &act.by.bank;
    let (client, to) = (stage.client(bank)?, stage.domain(&act.to.bank)?);
    let spend = act.most.as_ref().map_or(&act.amount.asset, |money| &money.asset);
    let expected = format!("{bank} sees a way to {}", act.to.bank);
    stage.until(stage.patience(step), &expected, || {
        let asked = client.paths(&to, (&act.amount.asset, amount), spend, Some(most));
        let ways = stage.ask(bank, asked).map_err(|refusal| refusal.to_string())?;
        if ways.is_empty() { Err("it sees none".to_owned()) } else { Ok(()) }
    })
}

fn cancel(stage: &Stage<'_>, step: &Step, offer: usize) -> Result<Done, Trouble> {
    let made = stage.done(offer)?.order;
    let (_, id) = made.ok_or_else(|| Trouble::new("there is an offer", "it was refused"))?;
    let who = match stage.scenario.steps.get(offer).map(|step| &step.act) {
        Some(Act::Offer(act)) => act.by.clone(),
        Some(_) | None => return Err(Trouble::new("an offer is cancelled", "it is none")),
    };
    let order = order(stage, &who, &step.name, Action::Cancel { offer: id })?;
    Ok(ordered(&who, order, describe(stage, step)))
}

/// Many offers, some of them under way at one time, each customer's one after the other.
fn storm(
    stage: &Stage<'_>,
    step: &Step,
    act: &StormAct,
    random: &mut ChaCha8Rng,
) -> Result<Done, Trouble> {
    let mut of_each: Vec<(&Who, Vec<(u64, OfferTerms)>)> =
        act.by.iter().map(|who| (who, Vec::new())).collect();
    for number in 0..act.offers {
        let at = random.random_range(0..of_each.len());
        let terms = OfferTerms {
            give: act.give.asset.clone(),
            give_amount: act.give.units.draw(random),
            want: act.want.asset.clone(),
            want_amount: act.want.units.draw(random),
            minimum_fill: Amount::new(1),
            expiry: now()?.after(ORDER_LIFE),
            counterparties: Bounded::default(),
            notary: None,
            selection_window: Span(0),
            receive: None,
        };
        if let Some((_, terms_of)) = of_each.get_mut(at) {
            terms_of.push((number, terms));
        }
    }
    let mut traders = Vec::new();
    for (who, terms) in of_each {
        traders.push((stage.trader(who)?, terms));
    }
    let begun = std::time::Instant::now();
    let each = traders.into_iter().map(|(trader, offers)| async move {
        for (number, terms) in offers {
            trader.order(&format!("{}-{number}", step.name), Action::Offer(terms)).await?;
        }
        Ok::<(), Refusal>(())
    });
    let all: Vec<Result<(), Refusal>> =
        stage.talk(stream::iter(each).buffer_unordered(act.at_once).collect())?;
    all.into_iter().collect::<Result<Vec<()>, Refusal>>()?;
    let (offers, took) = (act.offers, begun.elapsed().as_secs_f64());
    let what = format!("{offers} offers by {} holders in {took:.1} s", act.by.len());
    Ok(Done { what, ..Done::default() })
}
