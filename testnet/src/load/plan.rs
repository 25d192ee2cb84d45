//! What load is wanted.

use std::time::Duration;

use quadrille_protocol::crypto::suite::Suite;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::refuse;
use serde::{Serialize, Serializer};

/// Longest load.
pub const DURATION: Duration = Duration::from_secs(60 * 60);
/// Most trades per second that are asked for.
pub const RATE: f64 = 100_000.0;
/// Most trades that are open at one time: begun, and not known to have ended.
pub const OPEN: usize = 65_536;
/// Most holders of one bank of one route.
pub const HOLDERS: usize = 4_096;
/// Most routes.
pub const ROUTES: usize = 64;
/// Parties of the longest way of a payment.
pub const PARTIES: usize = 5;
/// Holders unless it is said how many: enough for trades that take two seconds.
const HOLDERS_LEAST: usize = 64;
/// The same at the most.
const HOLDERS_DEFAULT_MOST: usize = 2_048;

/// What is done, over and over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A bond at one bank against cash at another: an offer, and the take of it.
    Dvp,
    /// A payment inside one bank.
    Payment,
    /// A payment from the first bank of a route to its last, over those in between.
    Path,
}

impl Kind {
    /// In a word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dvp => "dvp",
            Self::Payment => "payment",
            Self::Path => "path",
        }
    }
}

/// When the next one is begun.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "loop")]
pub enum Pace {
    /// Open loop: each has its moment, whatever has become of those before it, and its latency
    /// counts from that moment.
    Open {
        /// So many in a second.
        per_second: f64,
        /// Whether the moments are drawn (a Poisson process) or evenly spaced.
        random: bool,
    },
    /// Closed loop: so many are in flight, and the end of one begins the next.
    Closed {
        /// So many.
        in_flight: usize,
        /// How long each waits before it begins, so that the banks are idle then.
        #[serde(serialize_with = "seconds")]
        pause: Duration,
    },
}

/// A load.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LoadPlan {
    /// What is done.
    pub kind: Kind,
    /// How fast.
    pub pace: Pace,
    /// For how long new ones are begun.
    #[serde(rename = "duration_s", serialize_with = "seconds")]
    pub duration: Duration,
    /// How many at most; as many as there is time for when it is left out.
    pub most: Option<u64>,
    /// Open at one time at most, in an open loop too.
    pub open: usize,
    /// The banks of each route, by name: maker and taker; one bank; payer to payee.
    pub routes: Vec<Vec<String>>,
    /// The suite of the holders' keys.
    #[serde(serialize_with = "suite")]
    pub suite: Suite,
    /// Holders at each end of each route; by pace and duration when it is left out.
    pub holders: Option<usize>,
    /// How long before its moment a trade's offer is handed in; it stands by then.
    #[serde(rename = "lead_s", serialize_with = "seconds")]
    pub lead: Duration,
    /// How long what is open at the end may take to end.
    #[serde(rename = "patience_s", serialize_with = "seconds")]
    pub patience: Duration,
    /// What random moments are drawn from.
    pub seed: u64,
}

impl LoadPlan {
    /// Trades between two banks, in an open loop.
    #[must_use]
    pub fn dvp(maker: &str, taker: &str, per_second: f64, duration: Duration) -> Self {
        Self {
            kind: Kind::Dvp,
            pace: Pace::Open { per_second, random: false },
            duration,
            most: None,
            open: OPEN,
            routes: vec![vec![maker.to_owned(), taker.to_owned()]],
            suite: Suite::HybridMlDsa65,
            holders: None,
            lead: Duration::from_millis(500),
            patience: Duration::from_secs(60),
            seed: 1,
        }
    }

    /// Checks that the parts fit each other.
    ///
    /// # Errors
    /// `Q-2360`.
    pub fn check(&self) -> Result<(), Refusal> {
        if self.duration.is_zero() || self.duration > DURATION {
            refuse!(BadLoad, "a duration of more than 0 and at most {} s", DURATION.as_secs());
        }
        match self.pace {
            Pace::Open { per_second, .. } if !(per_second > 0.0 && per_second <= RATE) => {
                refuse!(BadLoad, "a rate of more than 0 and at most {RATE} per second");
            }
            Pace::Closed { in_flight, .. } if !(1..=HOLDERS).contains(&in_flight) => {
                refuse!(BadLoad, "from 1 to {HOLDERS} in flight");
            }
            Pace::Open { .. } | Pace::Closed { .. } => {}
        }
        if !(1..=OPEN).contains(&self.open) {
            refuse!(BadLoad, "from 1 to {OPEN} open at one time");
        }
        if self.holders.is_some_and(|holders| !(1..=HOLDERS).contains(&holders)) {
            refuse!(BadLoad, "from 1 to {HOLDERS} holders");
        }
        if !(1..=ROUTES).contains(&self.routes.len()) {
            refuse!(BadLoad, "from 1 to {ROUTES} pairs");
        }
        self.routes.iter().try_for_each(|route| self.check_route(route))
    }

    fn check_route(&self, route: &[String]) -> Result<(), Refusal> {
        let shown = route.join(",");
        let distinct = route.iter().enumerate().all(|(at, bank)| {
            let before = route.get(..at).unwrap_or_default();
            !before.contains(bank)
        });
        let fits = match self.kind {
            Kind::Dvp => route.len() == 2,
            Kind::Payment => route.len() == 1,
            Kind::Path => (3..=PARTIES).contains(&route.len()),
        };
        if !fits || !distinct {
            let wanted = match self.kind {
                Kind::Dvp => "two banks, like bank-a,bank-b",
                Kind::Payment => "one bank, like bank-a",
                Kind::Path => "3 to 5 banks, like bank-a,bank-b,bank-c",
            };
            return Err(Refusal::new(Code::BadLoad, format!("`{shown}`: {wanted}, all different")));
        }
        Ok(())
    }

    /// How many are begun at most, where that is known beforehand.
    #[must_use]
    pub fn total(&self) -> Option<u64> {
        let scheduled = match self.pace {
            Pace::Open { per_second, .. } => {
                Some((per_second * self.duration.as_secs_f64()).ceil().max(1.0) as u64)
            }
            Pace::Closed { .. } => None,
        };
        match (scheduled, self.most) {
            (Some(scheduled), Some(most)) => Some(scheduled.min(most)),
            (scheduled, most) => scheduled.or(most),
        }
    }

    /// How many a second there may be, all routes together; a guess in a closed loop.
    #[must_use]
    pub fn expected_rate(&self) -> f64 {
        match self.pace {
            Pace::Open { per_second, .. } => per_second,
            // One at a time takes some ten milliseconds; many share batches.
            Pace::Closed { in_flight, .. } => (in_flight as f64 * 100.0).min(10_000.0),
        }
    }

    /// Holders at each end of each route. No holder has two trades at one time.
    #[must_use]
    pub fn holders_each(&self) -> usize {
        if let Some(holders) = self.holders {
            return holders;
        }
        let routes = self.routes.len().max(1);
        let wanted = match self.pace {
            Pace::Open { per_second, .. } => (2.0 * per_second).ceil() as usize,
            Pace::Closed { in_flight, .. } => in_flight.saturating_mul(3),
        };
        wanted.div_ceil(routes).clamp(HOLDERS_LEAST, HOLDERS_DEFAULT_MOST)
    }
}

fn seconds<S: Serializer>(span: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(span.as_secs_f64())
}

fn suite<S: Serializer>(suite: &Suite, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(suite)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> LoadPlan {
        LoadPlan::dvp("bank-a", "bank-b", 100.0, Duration::from_secs(10))
    }

    #[test]
    fn a_plan_that_does_not_hold_together_is_refused() {
        plan().check().unwrap();
        let banks = |names: &[&str]| vec![names.iter().map(|name| (*name).to_owned()).collect()];
        let open = |per_second| Pace::Open { per_second, random: false };
        let closed = |in_flight| Pace::Closed { in_flight, pause: Duration::ZERO };
        let wrong = [
            LoadPlan { duration: Duration::ZERO, ..plan() },
            LoadPlan { duration: DURATION + Duration::from_secs(1), ..plan() },
            LoadPlan { pace: open(0.0), ..plan() },
            LoadPlan { pace: open(f64::NAN), ..plan() },
            LoadPlan { pace: closed(0), ..plan() },
            LoadPlan { pace: closed(HOLDERS + 1), ..plan() },
            LoadPlan { open: 0, ..plan() },
            LoadPlan { holders: Some(HOLDERS + 1), ..plan() },
            LoadPlan { routes: Vec::new(), ..plan() },
            LoadPlan { routes: banks(&["bank-a"]), ..plan() },
            LoadPlan { routes: banks(&["bank-a", "bank-a"]), ..plan() },
            LoadPlan { kind: Kind::Path, ..plan() },
            LoadPlan { kind: Kind::Payment, ..plan() },
        ];
        for plan in wrong {
            assert_eq!(plan.check().unwrap_err().code, Code::BadLoad, "{plan:?}");
        }
    }

    #[test]
    fn how_many_there_will_be_is_known_of_an_open_loop_alone() {
        assert_eq!(plan().total(), Some(1_000));
        assert_eq!(LoadPlan { most: Some(7), ..plan() }.total(), Some(7));
        let pace = Pace::Closed { in_flight: 16, pause: Duration::ZERO };
        assert_eq!(LoadPlan { pace, ..plan() }.total(), None);
        assert_eq!(LoadPlan { pace, ..plan() }.holders_each(), HOLDERS_LEAST);
    }
}
