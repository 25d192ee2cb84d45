//! Faults as steps of a scenario: made, for some time or until they are healed.

use std::time::Duration;

use quadrille_protocol::error::Refusal;
use serde::Deserialize as _;
use serde::de::IntoDeserializer as _;

use super::plan::{Act, Heal};
use super::read::Cast;
use super::source::{Field, Mistakes};
use super::stage::{Done, Stage, Trouble};
use super::steps;
use super::words;
use crate::local::faults::{self, Fault};
use crate::local::layout::BOOTSTRAP;

/// Reads `fault = { kind = "partition", … }`; the step says `for` how long.
pub fn read(
    field: &Field<'_, '_>,
    span: Option<Duration>,
    cast: &Cast,
    mistakes: &mut Mistakes<'_>,
) -> Option<Act> {
    let fault = match Fault::deserialize(field.value.clone().into_deserializer()) {
        Ok(fault) => fault,
        Err(error) => {
            let at = error.span().unwrap_or_else(|| field.value.span());
            mistakes.add(at, &field.key, error.message().lines().collect::<Vec<_>>().join("; "));
            return None;
        }
    };
    if let Err(refusal) = fault.check() {
        field.wrong(mistakes, refusal.what);
    }
    for name in fault.names() {
        if fault.is_of_links() && name == BOOTSTRAP {
            continue;
        }
        if let Err(what) = words::one_of(name, "bank", &cast.banks) {
            field.wrong(mistakes, what);
        }
    }
    Some(Act::Fault { fault, span })
}

/// Reads `heal = "all"` or `heal = "step"`.
pub fn read_heal(
    field: &Field<'_, '_>,
    index: usize,
    cast: &Cast,
    mistakes: &mut Mistakes<'_>,
) -> Option<Act> {
    let step = field.parsed(mistakes, "a step's name, or all", |text| {
        if text == "all" {
            return Ok(None);
        }
        steps::step_named(text, cast).map(Some)
    })?;
    match step {
        Some(step) if step >= index => {
            field.wrong(mistakes, "this step has to stand before the one that names it");
            None
        }
        Some(step) => Some(Act::Heal(Heal::Step(step))),
        None => Some(Act::Heal(Heal::All)),
    }
}

/// Makes a fault.
///
/// # Errors
/// Those of [`faults::apply`].
pub fn make(
    stage: &Stage<'_>,
    fault: &Fault,
    span: Option<Duration>,
    what: String,
) -> Result<Done, Trouble> {
    let id = faults::apply(&mut stage.held(), fault, span)?;
    Ok(Done { what, evidence: Some(format!("fault {id}")), fault: Some(id), ..Done::default() })
}

/// In words.
#[must_use]
pub fn describe(fault: &Fault, span: Option<Duration>) -> String {
    let span = span.map_or_else(String::new, |span| format!(" for {:.1} s", span.as_secs_f64()));
    format!("fault: {fault}{span}")
}

/// Ends a fault, or all.
///
/// # Errors
/// Those of [`faults::heal`]; that one whose time was over is no more is none.
pub fn heal(stage: &Stage<'_>, heal: &Heal) -> Result<Done, Trouble> {
    let id = match heal {
        Heal::All => None,
        Heal::Step(step) => {
            let made = stage.done(*step)?.fault;
            Some(made.ok_or_else(|| Trouble::new("a fault is healed", "that step made none"))?)
        }
    };
    let known = faults::in_force(&stage.layout)?;
    if known.iter().all(|found| id.is_some_and(|id| found.id != id)) {
        return Ok(Done { what: "no fault is in force any more".to_owned(), ..Done::default() });
    }
    let healed = faults::heal(&mut stage.held(), id)?;
    let healed: Vec<String> = healed.iter().map(ToString::to_string).collect();
    Ok(Done { what: format!("healed: {}", healed.join(", ")), ..Done::default() })
}

/// Whether any fault is in force.
///
/// # Errors
/// Those of [`faults::in_force`].
pub fn is_any(stage: &Stage<'_>) -> Result<bool, Refusal> {
    Ok(!faults::in_force(&stage.layout)?.is_empty())
}

/// Starts banks again whose kill was for some time that is over, unless somebody holds the network
/// now: it is asked again and again.
pub fn keep(stage: &Stage<'_>) {
    if let Some(mut held) = stage.held_if_free() {
        // One that cannot be started is told by whoever looks for it.
        let _ = faults::keep(&mut held);
    }
}
