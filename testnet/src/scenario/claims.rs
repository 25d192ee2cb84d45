//! Looking whether something is so, until it is or the time is over.

use quadrille_node::api::dto::{ExposureView, SettlementOutcome, SettlementState};
use quadrille_protocol::types::{Amount, Uai};

use super::acts::shown;
use super::fate;
use super::plan::{Check, Count, Expect, Step};
use super::stage::{Stage, Trouble};
use super::words::{Money, Who, show_units};

/// Rows of a list that are asked for.
const ROWS: usize = 100_000;

/// What was seen, in words, and where that is written down.
pub type Seen = (String, Option<String>);

/// Looks.
///
/// # Errors
/// What was expected and what was found.
pub fn check(stage: &Stage<'_>, step: &Step, check: &Check) -> Result<Seen, Trouble> {
    let expected = expected(stage, check);
    stage.until(stage.patience(step), &expected, || look(stage, check))
}

/// The claim in words.
fn expected(stage: &Stage<'_>, check: &Check) -> String {
    let named =
        |index: &usize| stage.scenario.steps.get(*index).map_or("", |step| step.name.as_str());
    match check {
        Check::Ends { step, how } => format!("{} is {}", named(step), how.words()),
        Check::Among { steps, count, how } => {
            let names: Vec<&str> = steps.iter().map(named).collect();
            format!(
                "{count} of {} is {}, and the others are refused",
                names.join(", "),
                how.words()
            )
        }
        Check::Holds { who, amount, held: false } => format!("{who} has {} free", shown(amount)),
        Check::Holds { who, amount, held: true } => format!("{who} has {} held", shown(amount)),
        Check::Owes { bank, to, amount } => {
            format!("{bank} owes {to} {}, as both say", shown(amount))
        }
        Check::Settlements { bank, count, settled } => {
            let word = if *settled { "settled" } else { "refunded" };
            format!("{} settlements are {word} at {bank}", count.words())
        }
        Check::Book { bank, count } => {
            format!("{} offers are in the book of {bank}", count.words())
        }
        Check::Runs { bank, up: true } => format!("{bank} runs and is ready"),
        Check::Runs { bank, up: false } => format!("{bank} does not run"),
    }
}

impl Count {
    fn words(&self) -> String {
        if self.least == self.most {
            self.least.to_string()
        } else {
            format!("{}..{}", self.least, self.most)
        }
    }

    fn holds(&self, count: usize) -> bool {
        u64::try_from(count).is_ok_and(|count| (self.least..=self.most).contains(&count))
    }
}

fn look(stage: &Stage<'_>, check: &Check) -> Result<Seen, String> {
    match check {
        Check::Ends { step, how } => ends(stage, *step, how),
        Check::Among { steps, count, how } => among(stage, steps, *count, how),
        Check::Holds { who, amount, held } => {
            let (free, kept) = balance(stage, who, &amount.asset)?;
            let (is, word) = if *held { (kept, "held") } else { (free, "free") };
            let seen = format!("{who} has {} {word}", units(is, amount));
            if within(is, amount) { Ok((seen, None)) } else { Err(seen) }
        }
        Check::Owes { bank, to, amount } => {
            let owes = position(stage, bank, to, &amount.asset)?.owe;
            let owed = position(stage, to, bank, &amount.asset)?.claim;
            let seen = format!(
                "{bank} says that it owes {to} {}, and {to} that it is owed {}",
                units(owes, amount),
                units(owed, amount)
            );
            if within(owes, amount) && owed == owes { Ok((seen, None)) } else { Err(seen) }
        }
        Check::Settlements { bank, count, settled } => {
            let client = stage.client(bank).map_err(|refusal| refusal.to_string())?;
            let all = stage.ask(bank, client.settlements(Some(SettlementState::Final), ROWS));
            let all = all.map_err(|refusal| refusal.to_string())?;
            let wanted =
                if *settled { SettlementOutcome::Settled } else { SettlementOutcome::Refunded };
            let found = all.iter().filter(|known| known.outcome == Some(wanted)).count();
            let word = if *settled { "settled" } else { "refunded" };
            let seen = format!("{found} of {} settlements are {word} at {bank}", all.len());
            if count.holds(found) { Ok((seen, None)) } else { Err(seen) }
        }
        Check::Book { bank, count } => {
            let client = stage.client(bank).map_err(|refusal| refusal.to_string())?;
            let book = stage.ask(bank, client.book(None, None, ROWS));
            let found = book.map_err(|refusal| refusal.to_string())?.len();
            let seen = format!("{found} offers are in the book of {bank}");
            if count.holds(found) { Ok((seen, None)) } else { Err(seen) }
        }
        Check::Runs { bank, up } => runs(stage, bank, *up),
    }
}

fn ends(stage: &Stage<'_>, step: usize, how: &Expect) -> Result<Seen, String> {
    let done = stage.done(step).map_err(|trouble| trouble.found)?;
    let fate = fate::of(stage, step, &done);
    let name = stage.scenario.steps.get(step).map_or("", |step| step.name.as_str());
    let seen = format!("{name}: {}", fate.words());
    if fate.is(how) { Ok((seen, fate.evidence())) } else { Err(seen) }
}

fn among(stage: &Stage<'_>, steps: &[usize], count: u64, how: &Expect) -> Result<Seen, String> {
    let (mut found, mut others, mut seen, mut evidence) = (0_u64, true, Vec::new(), None);
    for step in steps {
        let done = stage.done(*step).map_err(|trouble| trouble.found)?;
        let fate = fate::of(stage, *step, &done);
        let name = stage.scenario.steps.get(*step).map_or("", |step| step.name.as_str());
        seen.push(format!("{name}: {}", fate.words()));
        if fate.is(how) {
            found = found.saturating_add(1);
            evidence = fate.evidence();
        } else {
            others &= fate.is(&Expect::Refused(None));
        }
    }
    let seen = seen.join("; ");
    if found == count && others { Ok((seen, evidence)) } else { Err(seen) }
}

fn within(amount: Amount, wanted: &Money) -> bool {
    (wanted.units.least..=wanted.units.most).contains(&amount.units())
}

fn units(amount: Amount, like: &Money) -> String {
    show_units(amount.units(), like.decimals)
}

fn balance(stage: &Stage<'_>, who: &Who, asset: &Uai) -> Result<(Amount, Amount), String> {
    let view = stage
        .trader(who)
        .and_then(|trader| stage.ask(&who.bank, trader.client.ledger(&trader.account().ledger)));
    let view = view.map_err(|refusal| refusal.to_string())?;
    let found = view.balances.into_iter().find(|balance| balance.asset == *asset);
    Ok(found.map_or((Amount::ZERO, Amount::ZERO), |balance| (balance.free, balance.held)))
}

/// What is between two banks, as the first one says.
fn position(
    stage: &Stage<'_>,
    bank: &str,
    with: &str,
    asset: &Uai,
) -> Result<ExposureView, String> {
    let told = |refusal: quadrille_protocol::error::Refusal| refusal.to_string();
    let (client, peer) = (stage.client(bank).map_err(told)?, stage.domain(with).map_err(told)?);
    let rows = stage.ask(bank, client.positions(Some(&peer), Some(asset), ROWS)).map_err(told)?;
    let row = rows.into_iter().find(|row| row.domain == peer && row.exposure.asset == *asset);
    let none = || ExposureView {
        asset: asset.clone(),
        owe: Amount::ZERO,
        claim: Amount::ZERO,
        reserved: Amount::ZERO,
        limit: Amount::ZERO,
        headroom: Amount::ZERO,
    };
    Ok(row.map_or_else(none, |row| row.exposure))
}

fn runs(stage: &Stage<'_>, bank: &str, up: bool) -> Result<Seen, String> {
    let process = stage.held().state.bank(bank).map_err(|it| it.to_string())?.process.clone();
    let alive = process.is_some_and(|process| process.is_alive());
    match (alive, up) {
        (false, false) => Ok((format!("{bank} does not run"), None)),
        (true, false) => Err(format!("{bank} runs")),
        (false, true) => Err(format!("{bank} does not run")),
        (true, true) => {
            let ready = stage.client(bank).and_then(|it| stage.ask(bank, it.ready()));
            ready.map_err(|refusal| refusal.to_string())?;
            Ok((format!("{bank} runs and is ready"), None))
        }
    }
}
