//! What a step of a scenario file looks at, and how orders can end.

use super::plan::{Check, Count, Expect};
use super::source::{Field, Mistakes};
use super::steps::{self, Reader};

/// Highest count.
const MANY: u64 = 1_000_000;
/// What a check can look at: the key that says so.
const KINDS: [&str; 8] =
    ["order", "among", "holder", "owes", "settled", "refunded", "offers", "runs"];

/// How an order ends: `accepted`, `settled`, `refunded`, `over`, `refused`, `refused Q-1421`.
///
/// # Errors
/// What was expected.
pub fn end(text: &str) -> Result<Expect, String> {
    match text {
        "accepted" => Ok(Expect::Accepted),
        "settled" => Ok(Expect::Settled),
        "refunded" => Ok(Expect::Refunded),
        "over" => Ok(Expect::Over),
        "refused" => Ok(Expect::Refused(None)),
        other => match other.strip_prefix("refused ") {
            Some(code) => steps::code(code).map(|code| Expect::Refused(Some(code))),
            None => Err(format!(
                "`{text}`: accepted, settled, refunded, over, refused or refused CODE is expected"
            )),
        },
    }
}

/// Reads a check.
pub fn read(reader: &mut Reader<'_, '_, '_>, mistakes: &mut Mistakes<'_>) -> Option<Check> {
    let found: Vec<(&str, Field<'_, '_>)> =
        KINDS.into_iter().filter_map(|kind| Some((kind, reader.table.find(kind)?))).collect();
    let [(kind, field)] = &found[..] else {
        let what = format!("just one of these keys is expected: {}", KINDS.join(", "));
        mistakes.add(reader.table.at.clone(), &reader.table.key, what);
        // Its other keys cannot be judged.
        for key in ["ends", "count", "has", "held", "bank", "to", "amount"] {
            let _ = reader.table.find(key);
        }
        return None;
    };
    match *kind {
        "order" => {
            let (step, how) = (reader.earlier(field, mistakes), ends(reader, mistakes));
            Some(Check::Ends { step: step?, how: how? })
        }
        "among" => among(reader, field, mistakes),
        "holder" => holder(reader, mistakes),
        "owes" => {
            let (bank, to) = (reader.bank("owes", mistakes), reader.bank("to", mistakes));
            let amount = reader.money("amount", mistakes);
            Some(Check::Owes { bank: bank?, to: to?, amount: amount? })
        }
        "settled" | "refunded" => {
            let (bank, count) = (reader.bank("bank", mistakes), count(field, mistakes));
            let settled = *kind == "settled";
            Some(Check::Settlements { bank: bank?, count: count?, settled })
        }
        "offers" => {
            let (bank, count) = (reader.bank("bank", mistakes), count(field, mistakes));
            Some(Check::Book { bank: bank?, count: count? })
        }
        "runs" => {
            let (bank, up) = (reader.bank("bank", mistakes), field.flag(mistakes));
            Some(Check::Runs { bank: bank?, up: up? })
        }
        _ => None,
    }
}

fn ends(reader: &mut Reader<'_, '_, '_>, mistakes: &mut Mistakes<'_>) -> Option<Expect> {
    let field = reader.table.need(mistakes, "ends", "how it ends, like settled")?;
    field.parsed(mistakes, "an end", end)
}

fn among(
    reader: &mut Reader<'_, '_, '_>,
    field: &Field<'_, '_>,
    mistakes: &mut Mistakes<'_>,
) -> Option<Check> {
    let mut found = Vec::new();
    let named = field.each(mistakes, "a step's name");
    for one in &named {
        found.extend(reader.earlier(one, mistakes));
    }
    if named.len() < 2 {
        field.wrong(mistakes, "a list of two steps or more is expected");
    }
    let count = reader.table.find("count").map_or(Some(1), |it| it.number(mistakes, 0..MANY));
    let how = ends(reader, mistakes);
    Some(Check::Among { steps: found, count: count?, how: how? })
}

fn holder(reader: &mut Reader<'_, '_, '_>, mistakes: &mut Mistakes<'_>) -> Option<Check> {
    let who = reader.who("holder", mistakes);
    let held = reader.table.find("held").is_some();
    let amount = if held { reader.money("held", mistakes) } else { reader.money("has", mistakes) };
    Some(Check::Holds { who: who?, amount: amount?, held })
}

/// `3` or `3..5` or `3..`, as a number or a text.
fn count(field: &Field<'_, '_>, mistakes: &mut Mistakes<'_>) -> Option<Count> {
    if field.value.get_ref().as_integer().is_some() {
        let number = field.number(mistakes, 0..MANY)?;
        return Some(Count { least: number, most: number });
    }
    field.parsed(mistakes, "a count like 3, 3..5 or 3..", |text| {
        let bad = || format!("`{text}`: a count like 3, 3..5 or 3.. is expected");
        let number = |text: &str| text.parse::<u64>().map_err(|_| bad());
        let (least, most) = text.split_once("..").unwrap_or((text, text));
        let least = number(least)?;
        let most = if most.is_empty() { MANY } else { number(most)? };
        if least <= most { Ok(Count { least, most }) } else { Err(bad()) }
    })
}
