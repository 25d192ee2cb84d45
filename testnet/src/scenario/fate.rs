//! What has become of an order: asked of its bank, and of every bank that took part.
//!
//! Invariant: a settlement counts as ended only when every bank in it has the same end; two
//! different ends are told as what they are.

use quadrille_node::api::dto::{
    OrderState, PaymentState, Reason, SettlementOutcome, SettlementState, SettlementView,
};
use quadrille_protocol::types::SettlementId;

use super::history::short;
use super::plan::{Act, Expect};
use super::stage::{Done, Stage};

/// What has become of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// Not yet known, or not yet the same everywhere; in words.
    Open(String),
    /// Every leg has moved, or none; and where that is written down.
    Over {
        /// Whether they have moved.
        settled: bool,
        /// A bank and a place in its log.
        evidence: String,
    },
    /// Refused, or ended without effect.
    Refused {
        /// The code.
        code: String,
        /// In words.
        what: String,
        /// A bank and a place in its log.
        evidence: Option<String>,
    },
    /// Two banks say different things of one settlement.
    Torn(String),
}

impl Fate {
    /// What is seen, for a story.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Open(what) | Self::Torn(what) => what.clone(),
            Self::Over { settled: true, evidence } => format!("it has settled ({evidence})"),
            Self::Over { settled: false, evidence } => format!("it was refunded ({evidence})"),
            Self::Refused { code, what, .. } => format!("it was refused: {code} {what}"),
        }
    }

    /// Whether it is what was expected.
    #[must_use]
    pub fn is(&self, expected: &Expect) -> bool {
        match (self, expected) {
            (Self::Open(_), Expect::Accepted) | (Self::Over { .. }, Expect::Over) => true,
            (Self::Over { settled, .. }, Expect::Settled) => *settled,
            (Self::Over { settled, .. }, Expect::Refunded) => !*settled,
            (Self::Over { .. }, Expect::Accepted) => true,
            (Self::Refused { .. }, Expect::Refused(None)) => true,
            (Self::Refused { code, .. }, Expect::Refused(Some(wanted))) => {
                *code == wanted.to_string()
            }
            (Self::Open(_), _)
            | (Self::Over { .. }, Expect::Refused(_))
            | (Self::Refused { .. }, _)
            | (Self::Torn(_), _) => false,
        }
    }

    /// Where it is written down.
    #[must_use]
    pub fn evidence(&self) -> Option<String> {
        match self {
            Self::Over { evidence, .. } => Some(evidence.clone()),
            Self::Refused { evidence, .. } => evidence.clone(),
            Self::Open(_) | Self::Torn(_) => None,
        }
    }
}

/// What has become of what a step has ordered.
#[must_use]
pub fn of(stage: &Stage<'_>, step: usize, done: &Done) -> Fate {
    if let Some(refusal) = &done.refused {
        let (code, what) = (refusal.code.to_string(), refusal.to_string());
        return Fate::Refused { code, what, evidence: None };
    }
    if let Some((bank, settlement)) = &done.settlement {
        return of_settlement(stage, bank, settlement);
    }
    let Some((bank, _)) = &done.order else {
        return Fate::Open("it has ordered nothing".to_owned());
    };
    let act = stage.scenario.steps.get(step).map(|step| &step.act);
    let asked = match act {
        Some(Act::Pay(_)) => of_payment(stage, done),
        Some(_) | None => of_order(stage, done),
    };
    asked.unwrap_or_else(|refusal| Fate::Open(format!("{bank} does not say: {refusal}")))
}

type Asked = Result<Fate, quadrille_protocol::error::Refusal>;

fn of_order(stage: &Stage<'_>, done: &Done) -> Asked {
    let Some((bank, order)) = &done.order else { return Ok(Fate::Open("no order".to_owned())) };
    let client = stage.client(bank)?;
    let view = stage.ask(bank, client.order_state(order))?;
    let place = format!("{bank} {}.{}", view.place.height, view.place.leaf);
    let refused = |reason: &Option<Reason>| refused(reason.as_ref(), Some(place.clone()));
    Ok(match (view.state, view.settlement) {
        (OrderState::Live | OrderState::Settling, _) => {
            Fate::Open(format!("it is {:?}", view.state))
        }
        (OrderState::Done, _) => Fate::Over { settled: true, evidence: place },
        (OrderState::Settled | OrderState::Refunded, Some(settlement)) => {
            of_settlement(stage, bank, &settlement)
        }
        (OrderState::Settled, None) => Fate::Over { settled: true, evidence: place },
        (OrderState::Refunded, None) => Fate::Over { settled: false, evidence: place },
        (OrderState::Ended | OrderState::Refused, _) => refused(&view.reason),
    })
}

fn of_payment(stage: &Stage<'_>, done: &Done) -> Asked {
    let Some((bank, order)) = &done.order else { return Ok(Fate::Open("no order".to_owned())) };
    let client = stage.client(bank)?;
    let view = stage.ask(bank, client.payment(order))?;
    let place = format!("{bank} {}.{}", view.place.height, view.place.leaf);
    Ok(match (view.state, view.tries.last()) {
        (PaymentState::Trying, _) => Fate::Open(format!("it is under way: {}", view.then)),
        (PaymentState::Paid, _) => Fate::Over { settled: true, evidence: place },
        (PaymentState::Settled | PaymentState::Refunded, Some(last)) => {
            of_settlement(stage, bank, &last.settlement)
        }
        (PaymentState::Settled, None) => Fate::Over { settled: true, evidence: place },
        (PaymentState::Refunded | PaymentState::Refused, _) => {
            refused(view.reason.as_ref(), Some(place))
        }
    })
}

fn refused(reason: Option<&Reason>, evidence: Option<String>) -> Fate {
    let code = reason.map_or_else(|| "no code".to_owned(), |reason| reason.code.clone());
    let what = reason.map_or_else(String::new, |it| format!("{} {}", it.title, it.what));
    Fate::Refused { code, what, evidence }
}

/// What every bank that took part says of a settlement.
fn of_settlement(stage: &Stage<'_>, bank: &str, settlement: &SettlementId) -> Fate {
    let id = short(&settlement.to_string());
    let first = match look(stage, bank, settlement) {
        Ok(view) => view,
        Err(what) => return Fate::Open(what),
    };
    let mut others = first.parties.clone();
    others.push(first.decider.clone());
    others.sort();
    others.dedup();
    let mut ends = Vec::new();
    for domain in &others {
        let name = stage.name_of(domain);
        match look(stage, &name, settlement) {
            Ok(view) => ends.push((name, view.state, view.outcome, step_of(&view))),
            Err(what) => return Fate::Open(what),
        }
    }
    let is_over = |state: SettlementState| state == SettlementState::Final;
    let told: Vec<String> = ends
        .iter()
        .map(|(name, state, outcome, _)| match (is_over(*state), outcome) {
            (true, Some(SettlementOutcome::Settled)) => format!("settled at {name}"),
            (true, Some(SettlementOutcome::Refunded)) => format!("refunded at {name}"),
            (true, None) => format!("over without effect at {name}"),
            (false, _) => format!("open at {name}"),
        })
        .collect();
    let told = format!("{id} is {}", told.join(", "));
    let settled = |wanted| ends.iter().any(|(_, state, end, _)| is_over(*state) && *end == wanted);
    let (some_settled, some_refunded) =
        (settled(Some(SettlementOutcome::Settled)), settled(Some(SettlementOutcome::Refunded)));
    if some_settled && some_refunded {
        return Fate::Torn(told);
    }
    if ends.iter().any(|(_, state, ..)| !is_over(*state)) {
        return Fate::Open(told);
    }
    let evidence: Vec<String> = ends
        .iter()
        .filter_map(|(name, _, _, at)| Some(format!("{name} {}", at.as_ref()?)))
        .collect();
    Fate::Over { settled: some_settled, evidence: evidence.join(", ") }
}

fn look(
    stage: &Stage<'_>,
    bank: &str,
    settlement: &SettlementId,
) -> Result<SettlementView, String> {
    let asked = stage.client(bank).and_then(|it| stage.ask(bank, it.settlement(settlement)));
    asked.map_err(|refusal| format!("{bank} does not say: {refusal}"))
}

/// The place of the last step in a bank's log.
fn step_of(view: &SettlementView) -> Option<String> {
    let last = view.steps.last()?;
    Some(format!("{}.{}", last.place.height, last.place.leaf))
}

#[cfg(test)]
mod tests {
    use super::*;
    use quadrille_protocol::error::Code;

    #[test]
    fn a_fate_is_only_what_was_expected_of_it() {
        let over = |settled| Fate::Over { settled, evidence: String::new() };
        let refused =
            Fate::Refused { code: "Q-1421".to_owned(), what: String::new(), evidence: None };
        let torn = Fate::Torn(String::new());
        let open = Fate::Open(String::new());
        assert!(over(true).is(&Expect::Settled) && !over(true).is(&Expect::Refunded));
        assert!(over(false).is(&Expect::Refunded) && over(false).is(&Expect::Over));
        assert!(refused.is(&Expect::Refused(Some(Code::NoTrust))));
        assert!(!refused.is(&Expect::Refused(Some(Code::CreditLimit))));
        assert!(refused.is(&Expect::Refused(None)) && !refused.is(&Expect::Over));
        for expected in [Expect::Settled, Expect::Refunded, Expect::Over, Expect::Accepted] {
            assert!(!torn.is(&expected), "{expected:?}");
        }
        assert!(!open.is(&Expect::Settled) && open.is(&Expect::Accepted));
    }
}
