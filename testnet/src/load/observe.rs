//! Looking on while a load runs: what banks owe each other, and which faults are in force.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use quadrille_node::client::Client;
use quadrille_protocol::types::{Amount, Domain, Uai};
use tokio::sync::mpsc;

use super::outcome::{Exposure, ExposurePoint, Span};
use super::plan::Kind;
use super::run::Note;
use super::stage::Stage;
use crate::local::layout::Layout;
use crate::local::state;

/// Between two looks at what is owed.
const LOOK: Duration = Duration::from_secs(1);
/// How long a bank may take to say it.
const ANSWER: Duration = Duration::from_secs(2);
/// Between two looks at faults.
const FAULT_LOOK: Duration = Duration::from_millis(250);
/// Lines of exposure that are followed at most.
const LINES: usize = 16;
/// Faults that are noted at most.
const SPANS: usize = 1_024;

/// One bank's claim on another that is followed.
pub(super) struct Line {
    client: Client,
    peer: Domain,
    asset: Uai,
}

/// The claims that a load moves, and what is noted of them.
pub(super) fn lines(stage: &Stage, kind: Kind) -> (Vec<Line>, Vec<Exposure>) {
    let mut lines: Vec<Line> = Vec::new();
    let mut exposures: Vec<Exposure> = Vec::new();
    for route in &stage.routes {
        let steps = route.seats.iter().zip(&route.domains).zip(route.seats.iter().skip(1));
        for (((giver, giver_domain), taker), taker_domain) in
            steps.zip(route.domains.iter().skip(1))
        {
            // What the giver hands over it owes the taker from then on, and the other way round.
            let mut add = |seat: usize, peer: &Domain, asset: &Uai| {
                let Some(seat) = stage.seats.get(seat) else { return };
                let bank = seat.bank.name.clone();
                let (peer_name, asset_name) = (peer.to_string(), asset.to_string());
                let known = |one: &Exposure| {
                    one.bank == bank && one.peer == peer_name && one.asset == asset_name
                };
                if exposures.len() >= LINES || exposures.iter().any(known) {
                    return;
                }
                let client = seat.client.clone().with_timeout(ANSWER);
                lines.push(Line { client, peer: peer.clone(), asset: asset.clone() });
                let points = Vec::new();
                exposures.push(Exposure {
                    bank,
                    peer: peer_name,
                    asset: asset_name,
                    limit: 0.0,
                    points,
                });
            };
            add(*taker, giver_domain, &route.give);
            if kind == Kind::Dvp {
                add(*giver, taker_domain, &route.want);
            }
        }
    }
    (lines, exposures)
}

/// Asks for ever.
pub(super) async fn exposures(lines: Vec<Line>, inbox: mpsc::Sender<Note>) {
    loop {
        for (number, line) in lines.iter().enumerate() {
            let found = line.client.positions(Some(&line.peer), Some(&line.asset), 1).await;
            let Some(one) = found.ok().and_then(|rows| rows.into_iter().next()) else { continue };
            let seen = Seen {
                net: units(one.exposure.claim) - units(one.exposure.owe),
                reserved: units(one.exposure.reserved),
                limit: units(one.exposure.limit),
            };
            if inbox.send(Note::Exposure(number, Instant::now(), seen)).await.is_err() {
                return;
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// One look at a line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    net: f64,
    reserved: f64,
    limit: f64,
}

impl Seen {
    pub fn note(self, exposure: &mut Exposure, at_s: f64) {
        exposure.limit = self.limit;
        let point = ExposurePoint { at_s, net: self.net, reserved: self.reserved };
        exposure.points.push(point);
    }
}

/// For a plot: digits that get lost are not seen there.
fn units(amount: Amount) -> f64 {
    amount.units() as f64
}

/// What is wrong with the network on purpose, as it comes and goes.
pub(super) struct Faults {
    layout: Layout,
    since: BTreeMap<String, f64>,
    over: Vec<Span>,
    looked: Instant,
}

impl Faults {
    pub fn new(layout: &Layout) -> Self {
        let looked = Instant::now();
        Self { layout: layout.clone(), since: BTreeMap::new(), over: Vec::new(), looked }
    }

    /// Looks, if it is time to.
    pub fn look(&mut self, now: Instant, at_s: f64) {
        if now.saturating_duration_since(self.looked) < FAULT_LOOK {
            return;
        }
        self.looked = now;
        let in_force = in_force(&self.layout);
        self.note(in_force, at_s);
    }

    fn note(&mut self, in_force: Vec<String>, at_s: f64) {
        let ended: Vec<String> =
            self.since.keys().filter(|what| !in_force.contains(what)).cloned().collect();
        for what in ended {
            if let Some(from_s) = self.since.remove(&what) {
                self.over.push(Span { what, from_s, to_s: at_s });
            }
        }
        for what in in_force {
            if self.over.len() + self.since.len() < SPANS {
                self.since.entry(what).or_insert(at_s);
            }
        }
    }

    /// All of them, in order; what is still in force until `end_s`.
    pub fn spans(self, end_s: f64) -> Vec<Span> {
        let mut spans = self.over;
        let open = self.since.into_iter();
        spans.extend(open.map(|(what, from_s)| Span { what, from_s, to_s: end_s }));
        spans.sort_by(|one, other| one.from_s.total_cmp(&other.from_s));
        spans
    }
}

/// Banks that do not run.
fn in_force(layout: &Layout) -> Vec<String> {
    // A state that is being replaced is looked at the next time.
    let Ok(state) = state::load(layout) else { return Vec::new() };
    let down = state.banks.iter().filter(|bank| !bank.is_up());
    down.map(|bank| format!("{} is down", bank.name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_lasts_from_when_it_is_seen_until_it_is_not() {
        let mut faults = Faults::new(&Layout::new(std::path::Path::new("/nowhere")));
        let down = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        faults.note(down(&["a is down"]), 1.0);
        faults.note(down(&["a is down", "b is down"]), 2.0);
        faults.note(down(&["b is down"]), 3.0);
        faults.note(down(&["a is down", "b is down"]), 4.0);
        let spans = faults.spans(9.0);
        let shown: Vec<(&str, f64, f64)> =
            spans.iter().map(|span| (span.what.as_str(), span.from_s, span.to_s)).collect();
        let wanted = [("a is down", 1.0, 3.0), ("b is down", 2.0, 9.0), ("a is down", 4.0, 9.0)];
        assert_eq!(shown, wanted);
    }
}
