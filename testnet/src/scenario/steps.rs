//! The steps of a scenario file.
//!
//! A step has the keys that every step may have, and one key that says what is done.

use std::time::Duration;

use quadrille_protocol::error::Code;

use super::plan::{Act, Begins, Expect, OfferAct, PayAct, Step, StormAct, TakeAct};
use super::read::Cast;
use super::source::{Field, Mistakes, Table};
use super::words::{self, Money, Who};
use super::{checks, order};

/// Most steps of a scenario.
const STEPS: usize = 256;
/// Most offers of one storm.
const STORM: u64 = 2_000;
/// Offers of a storm that are under way at one time, when nothing is said.
const AT_ONCE: u64 = 8;

/// What a step can do.
const ACTS: [&str; 17] = [
    "offer",
    "take",
    "pay",
    "cancel",
    "net",
    "settle-up",
    "trust",
    "crash",
    "kill",
    "restart",
    "backup",
    "restore",
    "storm",
    "check",
    "fault",
    "heal",
    "load",
];

/// Reads all steps.
pub fn read(field: &Field<'_, '_>, cast: &mut Cast, mistakes: &mut Mistakes<'_>) -> Vec<Step> {
    let mut tables = field.tables(mistakes);
    if tables.is_empty() || tables.len() > STEPS {
        field.wrong(mistakes, format!("1 to {STEPS} steps are expected"));
    }
    cast.steps = names(&mut tables, mistakes);
    let mut steps = Vec::new();
    for (index, table) in tables.into_iter().enumerate() {
        let at = (table.key.clone(), table.at.clone());
        // One that cannot be read keeps its place, so that what others name is still there.
        steps.push((at, step(index, table, cast, mistakes)));
    }
    let begins: Vec<Vec<usize>> = steps
        .iter()
        .map(|(_, step)| step.as_ref().map_or_else(Vec::new, |it| it.begins.after.clone()))
        .collect();
    for index in order::in_circles(&begins) {
        if let Some(((key, at), _)) = steps.get(index) {
            mistakes.add(at.clone(), key, "this step waits for itself: see `after`");
        }
    }
    steps.into_iter().filter_map(|(_, step)| step).collect()
}

/// The names of the steps, which are their own.
fn names(tables: &mut [Table<'_, '_>], mistakes: &mut Mistakes<'_>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for (index, table) in tables.iter_mut().enumerate() {
        let named = table.find("name").and_then(|field| {
            field.parsed(mistakes, "a name", |text| {
                let good = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
                if text.is_empty() || !text.chars().all(good) {
                    return Err(format!("`{text}`: a name of letters, digits, - _ . is expected"));
                }
                if names.iter().any(|known| known == text) {
                    return Err(format!("another step is called `{text}`"));
                }
                Ok(text.to_owned())
            })
        });
        names.push(named.unwrap_or_else(|| format!("step {}", index.saturating_add(1))));
    }
    names
}

fn step(
    index: usize,
    mut table: Table<'_, '_>,
    cast: &Cast,
    mistakes: &mut Mistakes<'_>,
) -> Option<Step> {
    let begins = begins(index, &mut table, cast, mistakes);
    let within = table.find("within").and_then(|it| it.parsed(mistakes, "a span", words::span));
    let expect = table.find("expect");
    let acts: Vec<(&str, Field<'_, '_>)> =
        ACTS.into_iter().filter_map(|name| Some((name, table.find(name)?))).collect();
    let act = match &acts[..] {
        [(name, field)] => act(name, field, index, cast, mistakes),
        [] => {
            let what = format!("one of these keys is expected: {}", ACTS.join(", "));
            mistakes.add(table.at.clone(), &table.key, what);
            None
        }
        [_, second, ..] => {
            let what = "a step does one thing; put this into a step of its own";
            second.1.wrong(mistakes, what);
            None
        }
    };
    let expect = match (expect, &act) {
        (None, _) => Expect::Accepted,
        (Some(field), Some(act)) if !is_order(act) => {
            field.wrong(mistakes, "only orders (offer, take, pay, net, settle-up) have an end");
            Expect::Accepted
        }
        (Some(field), _) => {
            let read = field.parsed(mistakes, "an end", checks::end);
            read.unwrap_or(Expect::Accepted)
        }
    };
    let line = mistakes.line(&table.at);
    let name = cast.steps.get(index).cloned().unwrap_or_default();
    table.done(mistakes);
    Some(Step { name, line, begins, within, act: act?, expect })
}

const fn is_order(act: &Act) -> bool {
    match act {
        Act::Offer(_) | Act::Take(_) | Act::Pay(_) | Act::Net { .. } | Act::SettleUp { .. } => true,
        Act::Cancel { .. } => true,
        Act::Trust { .. }
        | Act::Crash { .. }
        | Act::Kill(_)
        | Act::Restart(_)
        | Act::Backup(_)
        | Act::Restore { .. }
        | Act::Storm(_)
        | Act::Check(_) => false,
    }
}

fn begins(
    index: usize,
    table: &mut Table<'_, '_>,
    cast: &Cast,
    mistakes: &mut Mistakes<'_>,
) -> Begins {
    let at = table.find("at").and_then(|it| it.parsed(mistakes, "a time", words::spans));
    let named = table.find("after");
    let mut after: Vec<usize> = Vec::new();
    for one in named.iter().flat_map(|it| it.each(mistakes, "a step's name")).collect::<Vec<_>>() {
        let found = one.parsed(mistakes, "a step's name", |text| step_named(text, cast));
        after.extend(found);
    }
    // Steps follow each other as they stand in the file, unless something else is said.
    if at.is_none() && named.is_none() {
        after.extend(index.checked_sub(1));
    }
    let pause = table.find("pause").and_then(|it| it.parsed(mistakes, "a span", words::spans));
    let when = table.find("when").and_then(|field| {
        field.parsed(mistakes, "a condition", |text| words::when(text, &cast.banks))
    });
    Begins { at, after, pause, when }
}

/// The number of a step.
///
/// # Errors
/// What was expected.
pub fn step_named(text: &str, cast: &Cast) -> Result<usize, String> {
    let found = cast.steps.iter().position(|name| name == text);
    found.ok_or_else(|| format!("there is no step `{text}`; there are {}", cast.steps.join(", ")))
}

/// What a step does.
fn act(
    name: &str,
    field: &Field<'_, '_>,
    index: usize,
    cast: &Cast,
    mistakes: &mut Mistakes<'_>,
) -> Option<Act> {
    let mut bank = |field: &Field<'_, '_>| {
        field.parsed(mistakes, "a bank's name", |text| words::one_of(text, "bank", &cast.banks))
    };
    match name {
        "kill" => return bank(field).map(Act::Kill),
        "restart" => return bank(field).map(Act::Restart),
        "backup" => return bank(field).map(Act::Backup),
        _ => {}
    }
    let table = field.table(mistakes, "{ … }")?;
    let mut reader = Reader { table, index, cast };
    let act = match name {
        "offer" => reader.offer(mistakes),
        "take" => reader.take(mistakes),
        "pay" => reader.pay(mistakes),
        "cancel" => reader.step("offer", mistakes).map(|offer| Act::Cancel { offer }),
        "net" => reader.net(mistakes),
        "settle-up" => reader.settle_up(mistakes),
        "trust" => reader.trust(mistakes),
        "crash" => reader.crash(mistakes),
        "restore" => reader.restore(mistakes),
        "storm" => reader.storm(mistakes),
        "check" => checks::read(&mut reader, mistakes).map(Act::Check),
        _ => None,
    };
    reader.table.done(mistakes);
    act
}

/// The table of an act, and what it may name.
#[derive(Debug)]
pub struct Reader<'t, 'i, 'c> {
    /// The table.
    pub table: Table<'t, 'i>,
    /// The number of the step.
    index: usize,
    /// Who and what there is.
    pub cast: &'c Cast,
}

impl<'t, 'i> Reader<'t, 'i, '_> {
    /// A bank that has to be named.
    pub fn bank(&mut self, name: &'static str, mistakes: &mut Mistakes<'_>) -> Option<String> {
        let field = self.table.need(mistakes, name, "a bank's name")?;
        field.parsed(mistakes, "a bank's name", |it| words::one_of(it, "bank", &self.cast.banks))
    }

    /// A holder that has to be named.
    pub fn who(&mut self, name: &'static str, mistakes: &mut Mistakes<'_>) -> Option<Who> {
        let field = self.table.need(mistakes, name, "a holder, like alice@bank-a")?;
        field.parsed(mistakes, "a holder", |text| words::who(text, &self.cast.holders))
    }

    /// An amount that has to be there.
    pub fn money(&mut self, name: &'static str, mistakes: &mut Mistakes<'_>) -> Option<Money> {
        let field = self.table.need(mistakes, name, "an amount, like 10.00 EUR:bank-b")?;
        field.parsed(mistakes, "an amount", |text| words::money(text, &self.cast.assets))
    }

    fn may_money(&mut self, name: &'static str, mistakes: &mut Mistakes<'_>) -> Option<Money> {
        let field = self.table.find(name)?;
        field.parsed(mistakes, "an amount", |text| words::money(text, &self.cast.assets))
    }

    /// A step that has to be named, and comes before this one.
    pub fn step(&mut self, name: &'static str, mistakes: &mut Mistakes<'_>) -> Option<usize> {
        let field = self.table.need(mistakes, name, "a step's name")?;
        self.earlier(&field, mistakes)
    }

    /// The step that a text names, which comes before this one.
    pub fn earlier(&self, field: &Field<'_, '_>, mistakes: &mut Mistakes<'_>) -> Option<usize> {
        let step = field.parsed(mistakes, "a step's name", |text| step_named(text, self.cast))?;
        if step >= self.index {
            field.wrong(mistakes, "this step has to stand before the one that names it");
            return None;
        }
        Some(step)
    }

    fn offer(&mut self, mistakes: &mut Mistakes<'_>) -> Option<Act> {
        let (by, give) = (self.who("by", mistakes), self.money("give", mistakes));
        let (want, minimum) = (self.money("want", mistakes), self.may_money("minimum", mistakes));
        let window = self.table.find("window");
        let window = window.and_then(|field| field.parsed(mistakes, "a span", words::span));
        let notary = self.table.find("notary").and_then(|field| {
            field.parsed(mistakes, "a bank", |it| words::one_of(it, "bank", &self.cast.banks))
        });
        let window = window.unwrap_or(Duration::ZERO);
        Some(Act::Offer(OfferAct { by: by?, give: give?, want: want?, minimum, window, notary }))
    }

    fn take(&mut self, mistakes: &mut Mistakes<'_>) -> Option<Act> {
        let (by, offer) = (self.who("by", mistakes), self.step("offer", mistakes));
        let (pay, amount) = (self.may_money("pay", mistakes), self.may_money("amount", mistakes));
        Some(Act::Take(TakeAct { by: by?, offer: offer?, pay, amount }))
    }

    fn pay(&mut self, mistakes: &mut Mistakes<'_>) -> Option<Act> {
        let (by, to) = (self.who("by", mistakes), self.who("to", mistakes));
        let (amount, most) = (self.money("amount", mistakes), self.may_money("most", mistakes));
        Some(Act::Pay(PayAct { by: by?, to: to?, amount: amount?, most }))
    }

    fn net(&mut self, mistakes: &mut Mistakes<'_>) -> Option<Act> {
        let by = self.bank("by", mistakes);
        let field = self.table.need(mistakes, "asset", "an asset, like EUR:bank-b");
        let asset = field.and_then(|field| {
            field.parsed(mistakes, "an asset", |text| {
                words::asset(text, &self.cast.assets).map(|known| known.uai.clone())
            })
        });
        Some(Act::Net { by: by?, asset: asset? })
    }

    fn settle_up(&mut self, mistakes: &mut Mistakes<'_>) -> Option<Act> {
        let (by, to) = (self.bank("by", mistakes), self.bank("to", mistakes));
        let (amount, through) = (self.money("amount", mistakes), self.bank("through", mistakes));
        Some(Act::SettleUp { by: by?, to: to?, amount: amount?, through: through? })
    }

    fn trust(&mut self, mistakes: &mut Mistakes<'_>) -> Option<Act> {
        let (by, to) = (self.bank("by", mistakes), self.bank("to", mistakes));
        Some(Act::Trust { by: by?, to: to?, limit: self.money("limit", mistakes)? })
    }

    fn crash(&mut self, mistakes: &mut Mistakes<'_>) -> Option<Act> {
        let bank = self.bank("bank", mistakes);
        let at = self.table.need(mistakes, "at", "a moment, like after-append:Locked");
        let at = at.and_then(|field| field.parsed(mistakes, "a moment", words::crash_point));
        Some(Act::Crash { bank: bank?, at: at? })
    }

    fn restore(&mut self, mistakes: &mut Mistakes<'_>) -> Option<Act> {
        let (bank, from) = (self.bank("bank", mistakes), self.step("from", mistakes));
        Some(Act::Restore { bank: bank?, from: from? })
    }

    fn storm(&mut self, mistakes: &mut Mistakes<'_>) -> Option<Act> {
        let by = self.table.need(mistakes, "by", "one holder or a list of them");
        let mut who = Vec::new();
        for one in by.map_or_else(Vec::new, |field| field.each(mistakes, "a holder")) {
            who.extend(one.parsed(mistakes, "a holder", |it| words::who(it, &self.cast.holders)));
        }
        let offers = self.table.need(mistakes, "offers", "how many");
        let offers = offers.and_then(|field| field.number(mistakes, 1..STORM.saturating_add(1)));
        let (give, want) = (self.money("give", mistakes), self.money("want", mistakes));
        let at_once = self.table.find("at-once").and_then(|it| it.number(mistakes, 1..65));
        let at_once = usize::try_from(at_once.unwrap_or(AT_ONCE)).unwrap_or(1);
        if who.is_empty() {
            return None;
        }
        let (give, want) = (give?, want?);
        Some(Act::Storm(StormAct { by: who, offers: offers?, give, want, at_once }))
    }
}

/// A code of a refusal, as `Q-1421`.
///
/// # Errors
/// What was expected.
pub fn code(text: &str) -> Result<Code, String> {
    text.parse().map_err(|_| format!("`{text}`: there is no such code; Q-1421 is one"))
}
