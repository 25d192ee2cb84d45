//! What happened in one settlement, as both banks' logs have it, with the milliseconds in between.

use quadrille_node::api::dto::{SettlementView, StepView};
use quadrille_protocol::types::{Domain, Time};

/// One line of the story.
struct Line {
    time: Time,
    bank: Domain,
    step: String,
}

/// The story of a settlement from the views of its parties, oldest step first. A step stands in
/// the log of whoever took it; what the others received of it is left out.
pub(super) fn tell(views: &[(Domain, SettlementView)]) -> String {
    let mut lines: Vec<Line> = Vec::new();
    for (bank, view) in views {
        let own = |step: &&StepView| step.by == *bank;
        lines.extend(view.steps.iter().filter(own).map(|step| Line {
            time: step.time,
            bank: bank.clone(),
            step: step.step.clone(),
        }));
    }
    // Stable: steps of one batch keep the order of the log.
    lines.sort_by_key(|line| line.time);
    let Some(first) = lines.first().map(|line| line.time) else {
        return "  nothing was written down\n".to_owned();
    };
    let line = |line: &Line| {
        let after = line.time.since(first).0;
        format!("  {after:>7} ms  {:16} {}\n", line.bank.as_str(), line.step)
    };
    lines.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use quadrille_node::api::dto::{PartyRole, Place, SettlementState};
    use quadrille_protocol::types::{Height, SettlementId};

    use super::*;

    fn domain(name: &str) -> Domain {
        format!("{name}.example").parse().unwrap()
    }

    fn view(steps: &[(&str, &str, u64)]) -> SettlementView {
        let step = |(step, by, after): &(&str, &str, u64)| StepView {
            step: (*step).to_owned(),
            satp: None,
            by: domain(by),
            time: Time(1_790_000_000_000 + after),
            reason: None,
            place: Place { height: Height(1), leaf: 0 },
        };
        SettlementView {
            settlement: SettlementId([1; 32]),
            state: SettlementState::Final,
            outcome: None,
            roles: vec![PartyRole::Initiator],
            initiator: domain("bank-a"),
            decider: domain("bank-b"),
            parties: Vec::new(),
            legs: Vec::new(),
            deadline: Time(0),
            locked: Vec::new(),
            steps: steps.iter().map(step).collect(),
            awaiting: Vec::new(),
            until: None,
            then: String::new(),
        }
    }

    #[test]
    fn each_step_is_told_once_by_whoever_took_it_in_the_order_of_time() {
        let a =
            view(&[("Agreed", "bank-a", 0), ("Locked", "bank-b", 5), ("Revealed", "bank-a", 6)]);
        let b = view(&[("Agreed", "bank-a", 2), ("Locked", "bank-b", 3)]);
        let told = tell(&[(domain("bank-a"), a), (domain("bank-b"), b)]);
        let steps: Vec<Vec<&str>> =
            told.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(
            steps,
            [
                ["0", "ms", "bank-a.example", "Agreed"],
                ["3", "ms", "bank-b.example", "Locked"],
                ["6", "ms", "bank-a.example", "Revealed"],
            ]
        );
        assert!(tell(&[]).contains("nothing"));
    }
}
