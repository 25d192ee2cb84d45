//! Asking banks what has become of trades that had no end for long, and, when all is over, how
//! long each step of some settlements took by the banks' own records.

use std::time::{Duration, Instant};

use futures::{StreamExt as _, stream};
use quadrille_node::api::dto::{OrderState, SettlementOutcome, SettlementView};
use quadrille_node::client::Client;
use quadrille_protocol::error::Refusal;
use quadrille_protocol::types::{Domain, OrderId, SettlementId, Time};
use tokio::sync::mpsc;

use super::book::{Question, Remembered, Said};
use super::latency::Latencies;
use super::outcome::Step;
use super::plan::Kind;
use super::run::Note;
use super::stage::Stage;

/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(5);
/// Settlements that are looked at together.
const AT_A_TIME: usize = 8;
/// How long all of that may take.
const READING: Duration = Duration::from_secs(30);

/// Asks about one trade, and reports.
pub(super) async fn ask(clients: Vec<Client>, question: Question, inbox: mpsc::Sender<Note>) {
    let client = |seat: usize| clients.get(seat).cloned().map(|it| it.with_timeout(ANSWER));
    let (mut said, mut carried) = ([None, None], None);
    let (seat, order) = question.main;
    if let Some(client) = client(seat) {
        let (word, settlement) = state_of(&client, &order, question.kind, false).await;
        carried = settlement;
        match question.kind {
            Kind::Dvp => said[1] = word,
            Kind::Payment | Kind::Path => said[0] = word,
        }
    }
    if let Some((seat, order)) = question.first
        && let Some(client) = client(seat)
    {
        let (word, _) = state_of(&client, &order, question.kind, true).await;
        // An offer that is still there, or was ended, says that this take of it did not settle;
        // that counts once the take's bank has said that it was refunded.
        said[0] = match (word, &said[1]) {
            (None, Some(Said::Refunded)) => Some(Said::Refunded),
            (word, _) => word,
        };
    }
    if let Some(seat) = question.far
        && let Some(client) = client(seat)
        && let Some(settlement) = question.settlement.or(carried)
        && let Ok(view) = client.settlement(&settlement).await
    {
        said[1] = outcome_of(&view);
    }
    let _ = inbox.send(Note::Told(Instant::now(), question.trade, said, carried)).await;
}

fn outcome_of(view: &SettlementView) -> Option<Said> {
    let booked = |name: &str| view.steps.iter().any(|step| step.step == name);
    match view.outcome? {
        SettlementOutcome::Settled if booked("Settled") => Some(Said::Settled),
        SettlementOutcome::Refunded if booked("Refunded") => Some(Said::Refunded),
        SettlementOutcome::Settled | SettlementOutcome::Refunded => None,
    }
}

/// What has become of an order; nothing where it is not over.
async fn state_of(
    client: &Client,
    order: &OrderId,
    kind: Kind,
    is_offer: bool,
) -> (Option<Said>, Option<SettlementId>) {
    // A bank that does not answer, or does not know it yet, is asked again later.
    let Ok(view) = client.order_state(order).await else { return (None, None) };
    let why = || view.reason.as_ref().map(|reason| reason.code.clone());
    let said = match view.state {
        OrderState::Settled => Some(Said::Settled),
        OrderState::Done if kind == Kind::Payment => Some(Said::Settled),
        OrderState::Refunded => Some(Said::Refunded),
        OrderState::Ended | OrderState::Refused if !is_offer => {
            Some(Said::Ended(Some(why().unwrap_or_else(|| "ended".to_owned()))))
        }
        OrderState::Ended
        | OrderState::Refused
        | OrderState::Done
        | OrderState::Live
        | OrderState::Settling => None,
    };
    (said, view.settlement)
}

/// The moments of one settlement, by the records of those who made them.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Moments {
    accepted: Option<Time>,
    agreed: Option<Time>,
    locked: Option<Time>,
    revealed: Option<Time>,
    decided: Option<Time>,
    settled: Option<Time>,
}

/// How long each step of the remembered settlements took. Also returns of how many that is.
pub(super) async fn steps(
    stage: &Stage,
    kind: Kind,
    remembered: &[Remembered],
) -> Result<(Vec<Step>, usize), Refusal> {
    let deadline = Instant::now() + READING;
    let reading = remembered.iter().map(|one| async move {
        if Instant::now() >= deadline { None } else { moments(stage, one).await }
    });
    let found: Vec<Moments> =
        stream::iter(reading).buffered(AT_A_TIME).filter_map(std::future::ready).collect().await;
    Ok((summed(kind, &found)?, found.len()))
}

async fn moments(stage: &Stage, one: &Remembered) -> Option<Moments> {
    let (seat, order) = one.main;
    let accepted = stage.seats.get(seat)?.client.order_state(&order).await.ok()?.time;
    let mut moments = Moments { accepted: Some(accepted), ..Moments::default() };
    for seat in &stage.routes.get(one.route)?.seats {
        let seat = stage.seats.get(*seat)?;
        let view = seat.client.settlement(&one.settlement).await.ok()?;
        moments.add(&seat.bank.domain, &view);
    }
    Some(moments)
}

impl Moments {
    /// What a bank has recorded of its own doing.
    fn add(&mut self, own: &Domain, view: &SettlementView) {
        for step in view.steps.iter().filter(|step| step.by == *own) {
            let slot = match step.step.as_str() {
                "Agreed" => &mut self.agreed,
                "Locked" => &mut self.locked,
                "Revealed" => &mut self.revealed,
                "Decided(settle)" => &mut self.decided,
                "Settled" => &mut self.settled,
                _ => continue,
            };
            // Of all who did it the last one counts.
            *slot = (*slot).max(Some(step.time));
        }
    }
}

/// From one moment to the next, over all settlements.
fn summed(kind: Kind, found: &[Moments]) -> Result<Vec<Step>, Refusal> {
    let order = if kind == Kind::Dvp { "take" } else { "payment" };
    type Get = fn(&Moments) -> Option<Time>;
    let steps: [(&str, String, Get, Get); 5] = [
        (
            "Agreed",
            format!("the {order} is durable; the terms are drawn up and signed"),
            |it| it.accepted,
            |it| it.agreed,
        ),
        ("Locked", "every bank has set its side aside".to_owned(), |it| it.agreed, |it| it.locked),
        (
            "Revealed",
            "the initiator has seen all locks and gives the secret".to_owned(),
            |it| it.locked.max(it.agreed),
            |it| it.revealed,
        ),
        (
            "Decided",
            "the decider has written its decision down".to_owned(),
            |it| it.revealed,
            |it| it.decided,
        ),
        ("Settled", "every bank has booked it".to_owned(), |it| it.decided, |it| it.settled),
    ];
    let mut summed = Vec::new();
    for (name, what, from, to) in steps {
        let mut took = Latencies::new()?;
        for (from, to) in found.iter().filter_map(|it| from(it).zip(to(it))) {
            took.record(Duration::from_millis(to.0.saturating_sub(from.0)));
        }
        if took.count() > 0 {
            summed.push(Step { name: name.to_owned(), what, took: took.summary() });
        }
    }
    Ok(summed)
}

/// Clients by seat, for questions that run beside the rest.
pub(super) fn clients(stage: &Stage) -> Vec<Client> {
    stage.seats.iter().map(|seat| seat.client.clone()).collect()
}

/// Names of the steps with their times, for tests of what is shown.
#[cfg(test)]
fn times(steps: &[Step]) -> std::collections::HashMap<&str, u64> {
    steps.iter().map(|step| (step.name.as_str(), step.took.p50_us / 1_000)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_the_time_between_moments_and_missing_moments_make_none() {
        let at = |ms| Some(Time(ms));
        let whole = Moments {
            accepted: at(1_000),
            agreed: at(1_003),
            locked: at(1_010),
            revealed: at(1_012),
            decided: at(1_017),
            settled: at(1_030),
        };
        let steps = summed(Kind::Dvp, &[whole.clone(), whole.clone()]).unwrap();
        let times = times(&steps);
        let wanted =
            [("Agreed", 3), ("Locked", 7), ("Revealed", 2), ("Decided", 5), ("Settled", 13)];
        for (name, ms) in wanted {
            assert_eq!(times.get(name), Some(&ms), "{name}");
        }
        assert!(steps.iter().all(|step| step.took.count == 2));
        let half = Moments { revealed: None, ..whole };
        let names: Vec<String> =
            summed(Kind::Path, &[half]).unwrap().into_iter().map(|step| step.name).collect();
        assert_eq!(names, ["Agreed", "Locked", "Settled"]);
    }
}
