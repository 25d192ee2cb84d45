//! A load as a step of a scenario.
//!
//! Invariant: every trade of it has to end; one that settles at one end and not at the other, or
//! is not known to have ended, is a mistake whatever the file says.

use std::ops::ControlFlow;
use std::time::Duration;

use quadrille_protocol::crypto::suite::Suite;

use super::checks;
use super::plan::{Act, LoadAct};
use super::source::{Field, Mistakes};
use super::stage::{Done, Stage, Trouble};
use super::steps::Reader;
use super::words;
use crate::load::{self, Kind, LoadPlan, Outcome, Pace};
use crate::local::fund::{BOND, CASH};

/// Most trades per second, and in flight, that a scenario may ask for.
const MOST: u64 = 10_000;
/// How long the load may go on.
const SPAN: Duration = Duration::from_secs(10);

/// Reads `load = { route, per-second, span, … }`.
pub fn read(reader: &mut Reader<'_, '_, '_>, mistakes: &mut Mistakes<'_>) -> Option<Act> {
    let kind = reader.table.find("kind").map_or(Some(Kind::Dvp), |field| {
        field.parsed(mistakes, "dvp, payment or path", |text| match text {
            "dvp" => Ok(Kind::Dvp),
            "payment" => Ok(Kind::Payment),
            "path" => Ok(Kind::Path),
            other => Err(format!("`{other}`: dvp, payment or path is expected")),
        })
    });
    let field =
        reader.table.need(mistakes, "route", "a list of banks, like [\"bank-a\", \"bank-b\"]");
    let route = route(field.as_ref(), reader, mistakes);
    if let (Some(field), Some(kind)) = (&field, kind) {
        assets(kind, &route, field, reader, mistakes);
    }
    let mut number = |name| {
        let field = reader.table.find(name);
        field.and_then(|field| field.number(mistakes, 1..MOST.saturating_add(1)))
    };
    let (rate, flight, holders) = (number("per-second"), number("in-flight"), number("holders"));
    let pace = match (rate, flight) {
        (Some(rate), None) => {
            let rate = u32::try_from(rate).map_or(f64::from(u32::MAX), f64::from);
            Some(Pace::Open { per_second: rate, random: true })
        }
        (None, Some(flight)) => {
            let in_flight = usize::try_from(flight).unwrap_or(usize::MAX);
            Some(Pace::Closed { in_flight, pause: Duration::ZERO })
        }
        (Some(_), Some(_)) | (None, None) => {
            let what = "one of `per-second` and `in-flight` is expected, as a whole number";
            mistakes.add(reader.table.at.clone(), &reader.table.key, what);
            None
        }
    };
    let span = reader.table.find("span");
    let span = span.and_then(|field| field.parsed(mistakes, "a span", words::span));
    let settled = reader.table.find("settled");
    let settled = settled.and_then(|field| checks::count(&field, mistakes));
    let plan = LoadPlan {
        kind: kind?,
        duration: span.unwrap_or(SPAN),
        holders: holders.and_then(|count| usize::try_from(count).ok()),
        routes: vec![route],
        suite: Suite::Ed25519,
        pace: pace?,
        ..LoadPlan::dvp("", "", 1.0, SPAN)
    };
    if let Err(refusal) = plan.check() {
        mistakes.add(reader.table.at.clone(), &reader.table.key, refusal.what);
        return None;
    }
    Some(Act::Load(LoadAct { plan, settled }))
}

fn route(
    field: Option<&Field<'_, '_>>,
    reader: &Reader<'_, '_, '_>,
    mistakes: &mut Mistakes<'_>,
) -> Vec<String> {
    let mut route = Vec::new();
    for one in field.map_or_else(Vec::new, |field| field.each(mistakes, "a bank's name")) {
        let name = one.parsed(mistakes, "a bank's name", |text| {
            words::one_of(text, "bank", &reader.cast.banks)
        });
        route.extend(name);
    }
    route
}

/// What a load trades has to be among the scenario's assets.
fn assets(
    kind: Kind,
    route: &[String],
    field: &Field<'_, '_>,
    reader: &Reader<'_, '_, '_>,
    mistakes: &mut Mistakes<'_>,
) {
    let (Some(first), Some(last)) = (route.first(), route.last()) else { return };
    let wanted = match kind {
        Kind::Dvp => vec![format!("{BOND}:{first}"), format!("{CASH}:{last}")],
        Kind::Payment => vec![format!("{CASH}:{first}")],
        // It brings an asset of its own.
        Kind::Path => Vec::new(),
    };
    for name in wanted {
        let known = reader.cast.assets.iter().any(|it| it.name == name && it.decimals == 2);
        if !known {
            field.wrong(mistakes, format!("the load trades {name} with 2 decimals: declare it"));
        }
    }
}

/// In words.
#[must_use]
pub fn describe(act: &LoadAct) -> String {
    let route = act.plan.routes.first().map_or_else(String::new, |route| route.join(" to "));
    let pace = match act.plan.pace {
        Pace::Open { per_second, .. } => format!("{per_second} {} a second", act.plan.kind.name()),
        Pace::Closed { in_flight, .. } => format!("{in_flight} {} in flight", act.plan.kind.name()),
    };
    format!("{pace} from {route} for {:.1} s", act.plan.duration.as_secs_f64())
}

/// Runs it, and looks how all of it has ended.
///
/// # Errors
/// What the load refuses; when not all of it has ended, or not as many have settled.
pub fn act(stage: &Stage<'_>, act: &LoadAct, what: String) -> Result<Done, Trouble> {
    let plan = LoadPlan { seed: stage.seed(), ..act.plan.clone() };
    let state = stage.held().state.clone();
    let running = load::run(&stage.layout, &state, &plan, |_| match stage.is_halted() {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    });
    let outcome = stage.talk(running)??;
    let seen = seen(&outcome);
    let counts = &outcome.counts;
    if counts.torn > 0 || counts.in_doubt > 0 {
        return Err(Trouble::new("every trade ends, the same at both ends", seen));
    }
    if let Some(wanted) = act.settled
        && !wanted.holds(counts.settled)
    {
        return Err(Trouble::new(format!("{} of them settle", wanted.words()), seen));
    }
    Ok(Done { what: format!("{what}: {seen}"), ..Done::default() })
}

fn seen(outcome: &Outcome) -> String {
    let counts = &outcome.counts;
    let refused: Vec<String> =
        counts.refused.iter().map(|(code, count)| format!("{count} {code}")).collect();
    let refused = if refused.is_empty() { "0".to_owned() } else { refused.join(", ") };
    format!(
        "of {} begun {} settled, {} refunded, {refused} refused, {} in doubt, {} torn; {} orders \
         sent again",
        counts.begun, counts.settled, counts.refunded, counts.in_doubt, counts.torn, counts.resent
    )
}
