//! How peers behave: points for each offence, fewer with time, a block at too many.
//!
//! ```text
//!   well behaved --LIMITED points--> limited --BLOCKED points--> blocked --time--> well behaved
//!                                    (its notices are not heard)  (not connected)
//! ```
//!
//! Invariant: as many entries as members that have offended; only proven members get this far.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::types::Domain;

use super::counters::Counters;

/// From here on a peer's notices are not heard.
const LIMITED: f64 = 50.0;
/// From here on a peer is blocked.
const BLOCKED: f64 = 100.0;
/// Points that a second takes away.
const FORGIVEN_PER_SECOND: f64 = 0.5;
/// A block is at most this many times the first one.
const BLOCK_GROWTH: u32 = 64;

/// Characters that are kept of the last trouble with a peer.
const TROUBLE_CHARACTERS: usize = 300;

/// What a peer did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offence {
    /// What came over its session was refused with this code.
    Refused(Code),
    /// Bytes that are no frame of the protocol.
    BadFrame,
    /// A stream that it had no right to open.
    StrangeStream,
    /// A request that cannot be read, or not in time.
    BadRequest,
    /// A page or record that does not verify.
    BadPage,
    /// A gossiped notice that does not verify.
    BadNotice,
    /// More than the rate allows.
    TooFast,
}

impl Offence {
    /// How bad it is.
    fn points(self) -> f64 {
        match self {
            Self::Refused(code) if proves_a_fault(code) => 10.0,
            // What we do not know yet, have no room for, or see otherwise: it is named in the
            // log and costs nothing. A counterparty cut off for it would cost us more.
            Self::Refused(_) => 0.0,
            Self::BadFrame => 40.0,
            Self::StrangeStream | Self::BadRequest => 10.0,
            Self::BadPage => 20.0,
            Self::BadNotice => 5.0,
            // What is over the rate is dropped anyway. Up to 25 a second are forgiven as they
            // come: a busy market is no attack, and its sessions must not suffer.
            Self::TooFast => 0.02,
        }
    }

    fn code(self) -> Code {
        match self {
            Self::Refused(code) => code,
            Self::BadFrame | Self::StrangeStream | Self::BadRequest => Code::BadSessionFrame,
            Self::BadPage => Code::BadBookRoot,
            Self::BadNotice => Code::BadEvidence,
            Self::TooFast => Code::TooFast,
        }
    }
}

/// Whether a refusal with this code shows that the peer's software or intent is at fault, and
/// not merely that two honest nodes know different things.
fn proves_a_fault(code: Code) -> bool {
    // Bytes and text, cryptography.
    if matches!(code.number() / 100, 10 | 11) {
        return true;
    }
    matches!(
        code,
        Code::WrongNetwork
            | Code::WrongDomain
            | Code::BadRotation
            | Code::FeedReplay
            | Code::NotAddressed
            | Code::Equivocation
            | Code::WrongRecord
            | Code::BadEvidence
            | Code::BadBookRoot
            | Code::BadSessionFrame
    )
}

#[derive(Debug)]
struct Record {
    points: f64,
    at: Instant,
    offences: u64,
    limited: bool,
    blocks: u32,
    blocked_until: Option<Instant>,
    /// The last offence, in words.
    trouble: String,
}

/// Everybody's conduct.
#[derive(Debug)]
pub struct Conduct {
    records: Mutex<BTreeMap<Domain, Record>>,
    counters: Arc<Counters>,
    block_first: Duration,
}

impl Conduct {
    /// Nobody has done anything.
    pub fn new(counters: Arc<Counters>, block_first: Duration) -> Self {
        Self { records: Mutex::default(), counters, block_first }
    }

    fn records(&self) -> MutexGuard<'_, BTreeMap<Domain, Record>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes an offence, names it in the log, and says whether the peer is to be cut off.
    pub fn note(&self, domain: &Domain, offence: Offence, what: &str) -> bool {
        let code = offence.code();
        tracing::warn!(%domain, %code, ?offence, what, "a peer misbehaves");
        self.count(domain, offence, what)
    }

    /// Notes an offence without a line for it in the log.
    pub fn note_quietly(&self, domain: &Domain, offence: Offence) -> bool {
        self.count(domain, offence, "")
    }

    fn count(&self, domain: &Domain, offence: Offence, what: &str) -> bool {
        let now = Instant::now();
        let mut records = self.records();
        let record = records.entry(domain.clone()).or_insert(Record {
            points: 0.0,
            at: now,
            offences: 0,
            limited: false,
            blocks: 0,
            blocked_until: None,
            trouble: String::new(),
        });
        record.trouble = in_words(offence.code(), what);
        record.offences = record.offences.saturating_add(1);
        record.forgive(now);
        record.points += offence.points();
        let (code, offences) = (offence.code(), record.offences);
        if !record.limited && record.points >= LIMITED {
            record.limited = true;
            self.counters.peers_limited.one();
            tracing::warn!(%domain, %code, offences, "the peer's notices are not heard any more");
        }
        if record.points < BLOCKED || record.blocked_until.is_some_and(|until| until > now) {
            return false;
        }
        let factor = 1_u32.checked_shl(record.blocks).unwrap_or(BLOCK_GROWTH).min(BLOCK_GROWTH);
        let span = self.block_first.saturating_mul(factor);
        record.blocked_until = now.checked_add(span);
        record.blocks = record.blocks.saturating_add(1);
        record.points = 0.0;
        record.limited = false;
        self.counters.peers_blocked.one();
        let seconds = span.as_secs_f64();
        tracing::error!(%domain, %code, offences, seconds, "the peer is blocked");
        true
    }

    /// Whether a peer's notices are heard.
    pub fn is_heard(&self, domain: &Domain) -> bool {
        let mut records = self.records();
        let Some(record) = records.get_mut(domain) else { return true };
        record.forgive(Instant::now());
        !record.limited
    }

    /// Checks that a peer is not blocked.
    ///
    /// # Errors
    /// `Q-2005`.
    pub fn check(&self, domain: &Domain) -> Result<(), Refusal> {
        let records = self.records();
        let until = records.get(domain).and_then(|record| record.blocked_until);
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        match left.filter(|left| !left.is_zero()) {
            Some(left) => {
                let what = format!("{domain} for {:.1} more seconds", left.as_secs_f64());
                Err(Refusal::new(Code::PeerBlocked, what))
            }
            None => Ok(()),
        }
    }

    /// Forgets what a peer did: the operator's word.
    pub fn pardon(&self, domain: &Domain) {
        self.records().remove(domain);
    }

    /// Offences counted, and points now.
    pub fn of(&self, domain: &Domain) -> (u64, f64) {
        let mut records = self.records();
        let Some(record) = records.get_mut(domain) else { return (0, 0.0) };
        record.forgive(Instant::now());
        (record.offences, record.points)
    }

    /// The last offence, in words.
    pub fn trouble(&self, domain: &Domain) -> Option<String> {
        self.records().get(domain).map(|record| record.trouble.clone())
    }
}

/// A code with its meaning and what was said, shortened: a peer has a say in the words.
fn in_words(code: Code, what: &str) -> String {
    let text = match what.is_empty() {
        true => format!("{code} {}", code.title()),
        false => format!("{code} {}: {what}", code.title()),
    };
    text.chars().filter(|character| !character.is_control()).take(TROUBLE_CHARACTERS).collect()
}

impl Record {
    fn forgive(&mut self, now: Instant) {
        let seconds = now.saturating_duration_since(self.at).as_secs_f64();
        self.points = (self.points - seconds * FORGIVEN_PER_SECOND).max(0.0);
        self.at = now;
        // Heard again only well below where it was cut off.
        if self.points < LIMITED / 2.0 {
            self.limited = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_trouble_is_kept_in_few_words_until_a_pardon() {
        let conduct = Conduct::new(Arc::default(), Duration::from_secs(60));
        let peer: Domain = "bank-b.example".parse().unwrap();
        assert_eq!(conduct.trouble(&peer), None);
        conduct.note(&peer, Offence::Refused(Code::BadSignature), "key 2\u{1b}[31m of bank-b");
        let first = conduct.trouble(&peer).unwrap();
        assert!(first.starts_with("Q-1103") && first.ends_with("key 2[31m of bank-b"), "{first}");
        // What costs no points is trouble all the same.
        conduct.note(&peer, Offence::Refused(Code::CreditLimit), &"long ".repeat(1000));
        let second = conduct.trouble(&peer).unwrap();
        assert!(second.starts_with("Q-1420"), "{second}");
        assert_eq!(second.chars().count(), TROUBLE_CHARACTERS);
        conduct.note_quietly(&peer, Offence::TooFast);
        assert!(conduct.trouble(&peer).unwrap().starts_with(&Code::TooFast.to_string()));
        conduct.pardon(&peer);
        assert_eq!(conduct.trouble(&peer), None);
    }
}
