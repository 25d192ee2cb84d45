//! What the faults in force mean for the bytes that go from one process to another.
//!
//! * A cut: nothing is read from the sender any more, so nothing arrives and nobody is told. The
//!   sender's own buffers fill, as those of a sender do that hears no acknowledgement.
//! * A delay: each piece is handed on that much later, and never before an earlier one.
//! * A loss, on a stream that loses nothing in the end: the segments of a piece are thought of as
//!   sent one after the other. When one of the last three is lost, nobody notices before the
//!   sender's retransmission time is over, at least [`RETRANSMIT`]; an earlier one is noticed by
//!   those behind it and is there one round trip later. What is lost again costs twice as much
//!   again. All that is behind it waits along, as it does in a TCP stream.
//! * A rate: all that a bank sends shares one line, and all that is sent to it another; whoever
//!   comes first is served first, and a quarter of a second's worth waits in between.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::super::{Fault, FaultId, InForce};

/// Bytes of a segment that are not headers, on most networks.
const SEGMENT_BYTES: usize = 1448;
/// The shortest time after which Linux sends a segment again of which it has heard nothing.
const RETRANSMIT: Duration = Duration::from_millis(200);
/// A segment is lost again so many times at most.
const AGAIN: u32 = 6;
/// Segments behind a lost one by which the loss is noticed.
const NOTICED_BY: usize = 3;
/// The least that a round trip takes.
const ROUND_TRIP: Duration = Duration::from_millis(1);
/// What is on its way at most in one direction of a link.
const WINDOW_BYTES: usize = 4 * 1024 * 1024;
/// Largest piece that is handed on at once.
pub const PIECE_BYTES: usize = 64 * 1024;
/// What waits before a slow line, in parts of a second.
const QUEUE_PARTS: u64 = 4;
/// A piece on a slow line is what it carries in this part of a second.
const PIECE_PARTS: u64 = 20;

/// A line that carries so many bytes in a second.
#[derive(Debug)]
pub struct Line {
    bytes_per_second: u64,
    /// When it has carried all that it was given.
    free: Mutex<Option<Instant>>,
}

impl Line {
    const fn new(bytes_per_second: u64) -> Self {
        Self { bytes_per_second, free: Mutex::new(None) }
    }

    /// Gives it some bytes; when the last of them has come out.
    fn pass(&self, now: Instant, bytes: usize) -> Instant {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let micros = (bytes as u64).saturating_mul(1_000_000) / self.bytes_per_second.max(1);
        let at = free.map_or(now, |free| free.max(now)) + Duration::from_micros(micros);
        *free = Some(at);
        at
    }
}

/// The lines of a bank.
#[derive(Debug, Clone)]
struct Lines {
    out: Arc<Line>,
    into: Arc<Line>,
}

/// The faults of links, as they are in force.
#[derive(Debug, Default)]
pub struct Table {
    faults: Vec<(FaultId, Fault)>,
    /// Kept as long as the fault is, whatever comes and goes beside it.
    lines: BTreeMap<FaultId, Lines>,
}

/// What happens to the bytes from one process to another.
#[derive(Debug, Clone, Default)]
pub struct Rule {
    /// Nothing passes.
    pub cut: bool,
    delay: Duration,
    jitter: Duration,
    /// The probability that a segment is lost.
    loss: f64,
    lines: Vec<Arc<Line>>,
}

impl Table {
    /// Of what is in force, with the lines of `before`.
    #[must_use]
    pub fn of<'a>(known: impl Iterator<Item = &'a InForce>, before: &Self) -> Self {
        let faults: Vec<(FaultId, Fault)> = known
            .filter(|found| found.fault.is_of_links())
            .map(|found| (found.id, found.fault.clone()))
            .collect();
        let mut lines = BTreeMap::new();
        for (id, fault) in &faults {
            if let Fault::Bandwidth { bytes_per_second, .. } = fault {
                let fresh = || Lines {
                    out: Arc::new(Line::new(*bytes_per_second)),
                    into: Arc::new(Line::new(*bytes_per_second)),
                };
                lines.insert(*id, before.lines.get(id).cloned().unwrap_or_else(fresh));
            }
        }
        Self { faults, lines }
    }

    /// Whether nothing is in force.
    #[must_use]
    pub fn is_calm(&self) -> bool {
        self.faults.is_empty()
    }

    /// What is in force from `from` to `to`; `None` when nothing is.
    #[must_use]
    pub fn rule(&self, from: &str, to: &str) -> Option<Rule> {
        let mut rule = Rule::default();
        let mut any = false;
        let ends = |of: &String| of == from || of == to;
        for (id, fault) in &self.faults {
            match fault {
                Fault::Partition { a, b, one_way } => {
                    let among = |side: &[String], name: &str| side.iter().any(|it| it == name);
                    let forth = among(a, from) && among(b, to);
                    let back = among(b, from) && among(a, to);
                    rule.cut |= forth || (back && !one_way);
                }
                Fault::Latency { of, delay, jitter } if ends(of) => {
                    rule.delay = rule.delay.saturating_add(*delay);
                    rule.jitter = rule.jitter.saturating_add(*jitter);
                    any = true;
                }
                Fault::Loss { of, percent } if ends(of) => {
                    rule.loss = 1.0 - (1.0 - rule.loss) * (1.0 - percent / 100.0);
                    any = true;
                }
                Fault::Bandwidth { of, .. } if ends(of) => {
                    let lines = self.lines.get(id).map(|lines| match of == from {
                        true => lines.out.clone(),
                        false => lines.into.clone(),
                    });
                    rule.lines.extend(lines);
                    any = true;
                }
                Fault::Latency { .. }
                | Fault::Loss { .. }
                | Fault::Bandwidth { .. }
                | Fault::Reset { .. }
                | Fault::Pause { .. }
                | Fault::Kill { .. }
                | Fault::Skew { .. }
                | Fault::DiskFull { .. }
                | Fault::FsyncError { .. } => {}
            }
        }
        (any || rule.cut).then_some(rule)
    }
}

impl Rule {
    /// When a piece of so many bytes that was sent now has arrived.
    #[must_use]
    pub fn arrival(&self, now: Instant, bytes: usize) -> Instant {
        let mut at = now;
        for line in &self.lines {
            at = at.max(line.pass(now, bytes));
        }
        at + self.delay + self.jitter.mul_f64(rand::random::<f64>()) + self.held_up(bytes)
    }

    /// Most bytes that are on their way.
    #[must_use]
    pub fn window(&self) -> usize {
        let Some(slowest) = self.slowest() else { return WINDOW_BYTES };
        let flight = u64::try_from(self.delay.as_millis()).unwrap_or(u64::MAX);
        let flying = slowest.saturating_mul(flight) / 1000;
        let bytes = (slowest / QUEUE_PARTS).saturating_add(flying);
        usize::try_from(bytes).unwrap_or(usize::MAX).clamp(SEGMENT_BYTES, WINDOW_BYTES)
    }

    /// Largest piece.
    #[must_use]
    pub fn piece(&self) -> usize {
        let Some(slowest) = self.slowest() else { return PIECE_BYTES };
        let bytes = usize::try_from(slowest / PIECE_PARTS).unwrap_or(usize::MAX);
        bytes.clamp(SEGMENT_BYTES, PIECE_BYTES)
    }

    fn slowest(&self) -> Option<u64> {
        self.lines.iter().map(|line| line.bytes_per_second).min()
    }

    /// How long lost segments hold a piece of so many bytes up.
    fn held_up(&self, bytes: usize) -> Duration {
        if self.loss <= 0.0 {
            return Duration::ZERO;
        }
        let segments = bytes.div_ceil(SEGMENT_BYTES);
        let round_trip = (self.delay * 2).max(ROUND_TRIP);
        let mut longest = Duration::ZERO;
        for segment in 0..segments {
            let mut times = 0;
            while times <= AGAIN && rand::random::<f64>() < self.loss {
                times += 1;
            }
            if times == 0 {
                continue;
            }
            let unnoticed = segments - segment <= NOTICED_BY;
            let late = RETRANSMIT.max(round_trip);
            let first = if unnoticed { late } else { round_trip };
            // Lost again: nothing behind it tells of that, and each wait is twice the last.
            let again = late * (2_u32.saturating_pow(times) - 2);
            longest = longest.max(first + again);
        }
        longest
    }
}

#[cfg(test)]
mod tests {
    use quadrille_protocol::types::Time;

    use super::*;

    fn table(faults: &[Fault]) -> Table {
        let known: Vec<InForce> = (1..)
            .zip(faults)
            .map(|(id, fault)| InForce {
                id: FaultId(id),
                fault: fault.clone(),
                since: Time(0),
                until: None,
            })
            .collect();
        Table::of(known.iter(), &Table::default())
    }

    fn names(text: &str) -> Vec<String> {
        text.split(',').map(str::to_owned).collect()
    }

    #[test]
    fn a_partition_cuts_between_its_sides_and_nowhere_else() {
        let (a, b) = (names("a,b"), names("c,d"));
        let both = table(&[Fault::Partition { a: a.clone(), b: b.clone(), one_way: false }]);
        let cut =
            |table: &Table, from: &str, to: &str| table.rule(from, to).is_some_and(|rule| rule.cut);
        assert!(cut(&both, "a", "c") && cut(&both, "d", "b"));
        assert!(!cut(&both, "a", "b") && !cut(&both, "c", "d") && !cut(&both, "a", "e"));
        let one = table(&[Fault::Partition { a, b, one_way: true }]);
        assert!(cut(&one, "a", "c") && !cut(&one, "c", "a"));
        assert!(one.rule("a", "b").is_none() && !one.is_calm() && Table::default().is_calm());
    }

    #[test]
    fn latencies_of_both_ends_add_up_and_others_are_not_touched() {
        let latency = |of: &str, millis| Fault::Latency {
            of: of.to_owned(),
            delay: Duration::from_millis(millis),
            jitter: Duration::ZERO,
        };
        let table = table(&[latency("a", 100), latency("b", 50)]);
        let now = Instant::now();
        let late = |from: &str, to: &str| table.rule(from, to).unwrap().arrival(now, 10) - now;
        assert_eq!(late("a", "b"), Duration::from_millis(150));
        assert_eq!(late("b", "a"), Duration::from_millis(150));
        assert_eq!(late("c", "a"), Duration::from_millis(100));
        assert!(table.rule("c", "d").is_none());
    }

    #[test]
    fn a_line_is_shared_by_all_links_in_one_direction() {
        let slow = Fault::Bandwidth { of: "a".to_owned(), bytes_per_second: 1000 };
        let table = table(std::slice::from_ref(&slow));
        let now = Instant::now();
        let (to_b, to_c) = (table.rule("a", "b").unwrap(), table.rule("a", "c").unwrap());
        assert_eq!(to_b.arrival(now, 500) - now, Duration::from_millis(500));
        assert_eq!(to_c.arrival(now, 500) - now, Duration::from_secs(1), "behind the others");
        let back = table.rule("b", "a").unwrap();
        assert_eq!(back.arrival(now, 500) - now, Duration::from_millis(500), "its own line");
        assert!(to_b.window() <= PIECE_BYTES && to_b.piece() == SEGMENT_BYTES);
    }

    #[test]
    fn lost_segments_hold_a_piece_up_for_a_retransmission_or_a_round_trip() {
        let rule = |percent| {
            let loss = Fault::Loss { of: "a".to_owned(), percent };
            table(&[loss]).rule("a", "b").unwrap()
        };
        let often = rule(99.999);
        assert!(often.held_up(10) >= RETRANSMIT * 100, "lost again and again");
        assert!(often.held_up(10) <= RETRANSMIT * 200, "but not for ever");
        let seldom = rule(5.0);
        let held: Vec<Duration> = (0..2000).map(|_| seldom.held_up(100)).collect();
        let lost = held.iter().filter(|span| !span.is_zero()).count();
        assert!((40..200).contains(&lost), "about one in twenty: {lost}");
        assert!(held.iter().all(|span| span.is_zero() || *span >= RETRANSMIT));
    }
}
