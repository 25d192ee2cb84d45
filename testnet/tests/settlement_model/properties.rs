//! What must hold of every settlement, and what must be possible.
//!
//! Purpose: the safety properties, which the checker searches for a counterexample, and the
//! liveness property, which this module searches itself: a checker that follows paths cannot
//! tell a cycle from an end, and re-asking is a cycle.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use stateright::{Model, Property};

use crate::network::{Action, Mode, Settlement, State};
use crate::roles::{Decision, Seat, Stage, Statement, Verdict};

pub const ATOMIC: &str = "never one party settled and another released";
pub const ONE_DECISION: &str = "one decision";
pub const OWED: &str = "no credit without the debtor's Locked";
pub const CAN_SETTLE: &str = "every party settled";
pub const CAN_REFUND: &str = "every party that locked refunded";

pub fn all() -> Vec<Property<Settlement>> {
    vec![
        Property::always(ATOMIC, is_atomic),
        Property::always(ONE_DECISION, has_one_decision),
        Property::always(OWED, is_every_credit_owed),
        Property::sometimes(CAN_SETTLE, |model, state| is_everyone(model, state, Stage::Settled)),
        Property::sometimes(CAN_REFUND, |model, state| is_everyone(model, state, Stage::Refunded)),
    ]
}

fn is_everyone(model: &Settlement, state: &State, stage: Stage) -> bool {
    model.shape.parties().iter().all(|seat| state.domain(*seat).journal.stage == stage)
}

fn is_settled(state: &State, seat: Seat) -> bool {
    state.domain(seat).journal.stage == Stage::Settled
}

/// A party that declined, aborted or was refunded has its funds free for other use.
fn is_atomic(model: &Settlement, state: &State) -> bool {
    let parties = model.shape.parties();
    let is_released = parties.iter().any(|seat| match state.domain(*seat).journal.stage {
        Stage::Declined | Stage::Aborted | Stage::Refunded => true,
        Stage::Idle | Stage::Locked | Stage::Revealed | Stage::Settled => false,
    });
    !(is_released && parties.iter().any(|seat| is_settled(state, *seat)))
}

/// Until a restore, whatever was said counts. A decision that nobody received and that a lost
/// disk took with it counts as never made: it is the fence's task that nobody receives it later.
fn has_one_decision(model: &Settlement, state: &State) -> bool {
    let is_binding = |verdict| {
        let statement = Statement::Decided(verdict);
        let is_held = model.shape.seats().iter().any(|seat| {
            let domain = state.domain(*seat);
            domain.seen.has(statement) || domain.journal.decision == Decision::Decided(verdict)
        });
        is_held || (state.restored.is_none() && state.said.has(statement))
    };
    !(is_binding(Verdict::Settle) && is_binding(Verdict::Refund))
}

fn is_every_credit_owed(model: &Settlement, state: &State) -> bool {
    model
        .shape
        .parties()
        .iter()
        .filter(|seat| is_settled(state, **seat))
        .all(|seat| state.said.has(Statement::Locked(model.shape.debtor(*seat))))
}

/// Nothing is pending: no domain still at work has funds set aside, or is in recovery.
fn is_final(model: &Settlement, state: &State) -> bool {
    model.shape.seats().iter().all(|seat| {
        let domain = state.domain(*seat);
        match domain.mode {
            Mode::Running => !domain.journal.is_holding(),
            Mode::Recovering { asked: _ } => false,
            Mode::Gone => true,
        }
    })
}

/// The whole graph of one model. States are numbered in the order in which they were found.
pub struct Graph {
    states: Vec<State>,
    /// For each state, those from which a fair step leads to it.
    fair_into: Vec<Vec<u32>>,
    pub steps: usize,
}

impl Graph {
    /// Searches every reachable state. `on_step` is told of each step that is taken.
    pub fn explore(model: &Settlement, mut on_step: impl FnMut(Action)) -> Graph {
        let mut states = model.init_states();
        let mut numbers: HashMap<State, u32> = states.iter().copied().zip(0..).collect();
        let mut fair_into = vec![Vec::new(); states.len()];
        let mut steps = 0;
        let mut from = 0;
        let mut actions = Vec::new();
        while from < states.len() {
            let state = states[from];
            model.actions(&state, &mut actions);
            for action in actions.drain(..) {
                let Some(next) = model.next_state(&state, action) else {
                    continue;
                };
                steps += 1;
                on_step(action);
                let number = match numbers.entry(next) {
                    Entry::Occupied(known) => *known.get(),
                    Entry::Vacant(new) => {
                        states.push(next);
                        fair_into.push(Vec::new());
                        *new.insert(number_of(states.len() - 1))
                    }
                };
                if model.is_fair(&state, action) {
                    fair_into[number as usize].push(number_of(from));
                }
            }
            from += 1;
        }
        Graph { states, fair_into, steps }
    }
}

/// What a search for states that cannot finish found.
pub struct Reach {
    pub states: usize,
    pub steps: usize,
    pub final_states: usize,
    /// States from which duties alone lead to no final state.
    pub stuck: Vec<State>,
}

/// Walks the fair steps backwards from the final states. What is not met on the way back can
/// never finish unless a fault or a choice helps it.
pub fn search(model: &Settlement) -> Reach {
    let Graph { states, fair_into, steps } = Graph::explore(model, |_| {});
    let mut can_finish: Vec<bool> = states.iter().map(|state| is_final(model, state)).collect();
    let mut pending: Vec<u32> =
        (0..number_of(states.len())).filter(|number| can_finish[*number as usize]).collect();
    let final_states = pending.len();
    while let Some(number) = pending.pop() {
        for earlier in &fair_into[number as usize] {
            if !std::mem::replace(&mut can_finish[*earlier as usize], true) {
                pending.push(*earlier);
            }
        }
    }
    let stuck =
        states.iter().zip(&can_finish).filter(|(_, can)| !**can).map(|(state, _)| *state).collect();
    Reach { states: states.len(), steps, final_states, stuck }
}

fn number_of(position: usize) -> u32 {
    u32::try_from(position).expect("the search is bounded far below 2^32 states")
}
