//! What must hold between logs.
//!
//! Invariant: totals (mirrors, conservation, whether all that was said was heard) are asked for
//! only when no settlement is open in any log; each settlement that has ended is held against the
//! others' logs always.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use quadrille_protocol::log::OutcomeKind;
use quadrille_protocol::types::{Domain, Hash, Height, SettlementId, Uai};

use super::super::rules::{Finding, Rule};
use super::Findings;
use super::sheet::{Page, Row, Sheet};

/// What the logs say together.
#[derive(Debug, Clone, Default)]
pub struct Across {
    /// Settlements, each counted once.
    pub settlements: usize,
    /// Those that are not over everywhere.
    pub open: usize,
    /// Pages that were sent and are not in the receiver's log.
    pub unheard: usize,
    /// Everything that is wrong, the findings of each log alone with it.
    pub findings: Vec<Finding>,
}

/// Holds the logs against each other. `all_said` asks that all that was said was heard, too, which
/// holds once the network is at rest.
#[must_use]
pub fn across(sheets: &[Sheet], all_said: bool) -> Across {
    let mut found = Findings::default();
    let mut across = Across::default();
    settlements(sheets, &mut across, &mut found);
    if across.open == 0 {
        mirrors(sheets, &mut found);
        conservation(sheets, &mut found);
    }
    across.unheard = feeds(sheets, all_said && across.open == 0, &mut found);
    equivocations(sheets, &mut found);
    across.findings = sheets.iter().flat_map(Sheet::findings).collect();
    across.findings.extend(found.into_list("all logs"));
    across.findings.sort();
    across
}

fn names(sheets: &[Sheet], bits: u64) -> String {
    let named = members(bits).filter_map(|place| sheets.get(place));
    named.map(|sheet| sheet.domain.as_str()).collect::<Vec<_>>().join(", ")
}

fn members(bits: u64) -> impl Iterator<Item = usize> {
    (0..u64::BITS).filter(move |place| bits >> place & 1 == 1).map(|place| place as usize)
}

/// What all logs together say of one settlement.
#[derive(Debug, Default)]
struct Joined {
    parties: u64,
    strangers: bool,
    bound: u64,
    settled: u64,
    refunded: u64,
    decided_settle: u64,
    decided_refund: u64,
    moved: u128,
}

impl Joined {
    fn take(&mut self, place: usize, row: &Row) {
        let bit = u32::try_from(place).ok().and_then(|place| 1_u64.checked_shl(place));
        let bit = bit.unwrap_or(0);
        self.parties |= row.parties;
        self.strangers |= row.strangers;
        if row.locked || row.applied.is_some() {
            self.bound |= bit;
        }
        match row.applied {
            Some(OutcomeKind::Settle) => self.settled |= bit,
            Some(OutcomeKind::Refund) => self.refunded |= bit,
            None => {}
        }
        match row.decided {
            Some(OutcomeKind::Settle) => self.decided_settle |= bit,
            Some(OutcomeKind::Refund) => self.decided_refund |= bit,
            None => {}
        }
        self.moved = self.moved.wrapping_add(row.moved);
    }

    const fn is_open(&self) -> bool {
        self.bound & !(self.settled | self.refunded) != 0
            || self.settled != 0 && self.parties & !self.settled != 0
    }
}

fn settlements(sheets: &[Sheet], across: &mut Across, found: &mut Findings) {
    let all = u32::try_from(sheets.len()).ok().and_then(|count| 1_u64.checked_shl(count));
    let all = all.map_or(u64::MAX, |above| above.saturating_sub(1));
    for (place, sheet) in sheets.iter().enumerate() {
        for (id, row) in &sheet.rows {
            let others = if row.concerned == 0 { all } else { row.concerned };
            let rows = || {
                let at = move |other: usize| Some((other, sheets.get(other)?.rows.get(id)?));
                members(others).filter(move |other| *other != place).filter_map(at)
            };
            // Each settlement once: at the first bank whose log has it.
            if rows().any(|(other, _)| other < place) {
                continue;
            }
            let mut joined = Joined::default();
            joined.take(place, row);
            for (other, row) in rows() {
                joined.take(other, row);
            }
            across.settlements = across.settlements.saturating_add(1);
            across.open = across.open.saturating_add(usize::from(joined.is_open()));
            settlement(sheets, id, &joined, found);
        }
    }
}

fn settlement(sheets: &[Sheet], id: &SettlementId, joined: &Joined, found: &mut Findings) {
    let Joined { settled, refunded, parties, bound, .. } = *joined;
    let named = |bits| names(sheets, bits);
    if settled != 0 && refunded != 0 {
        found.add(Rule::Atomicity, || {
            format!("{id} is settled at {} and refunded at {}", named(settled), named(refunded))
        });
    }
    let unbound = parties & !bound;
    if settled != 0 && unbound != 0 {
        found.add(Rule::Atomicity, || {
            format!("{id} is settled at {} and unknown at {}", named(settled), named(unbound))
        });
    }
    for (decided, word, applied, other) in [
        (joined.decided_refund, "refunded", settled, "settled"),
        (joined.decided_settle, "settled", refunded, "refunded"),
    ] {
        if decided != 0 && applied != 0 {
            found.add(Rule::Atomicity, || {
                let (by, at) = (named(decided), named(applied));
                format!("{id} is to be {word} by the word of {by} and {other} at {at}")
            });
        }
    }
    let ended = settled != 0 && parties & !settled == 0 && !joined.strangers;
    if ended && joined.moved != 0 {
        found.add(Rule::Mirrors, || {
            format!("{id}: what {} have booked with each other does not cancel", named(settled))
        });
    }
}

fn mirrors(sheets: &[Sheet], found: &mut Findings) {
    let by_name: HashMap<&Domain, &Sheet> =
        sheets.iter().map(|known| (&known.domain, known)).collect();
    for sheet in sheets {
        let us = &sheet.domain;
        for ((peer, asset), claim) in &sheet.audit.books.claims {
            let Some(other) = by_name.get(peer) else { continue };
            let mirror = other.audit.books.claims.get(&(us.clone(), asset.clone())).copied();
            // Each pair once, where both name it.
            if mirror.is_some() && us > peer {
                continue;
            }
            let theirs = mirror.unwrap_or(0);
            if claim.checked_add(theirs) != Some(0) {
                found.add(Rule::Mirrors, || {
                    format!(
                        "{asset}: {us} has booked {claim} with {peer}, {peer} {theirs} with {us}"
                    )
                });
            }
        }
    }
}

fn conservation(sheets: &[Sheet], found: &mut Findings) {
    let mut held: BTreeMap<&Uai, i128> = BTreeMap::new();
    for (asset, amount) in sheets.iter().flat_map(|sheet| &sheet.held) {
        let sum = held.entry(asset).or_default();
        *sum = sum.saturating_add(*amount);
    }
    let ours: BTreeSet<&Domain> = sheets.iter().map(|sheet| &sheet.domain).collect();
    let mut issued: BTreeMap<&Uai, i128> = BTreeMap::new();
    for (asset, amount) in sheets.iter().flat_map(|sheet| &sheet.audit.books.issued) {
        issued.insert(asset, *amount);
    }
    let assets: BTreeSet<&Uai> = held.keys().chain(issued.keys()).copied().collect();
    for asset in assets.into_iter().filter(|asset| ours.contains(asset.issuer())) {
        let held = held.get(asset).copied().unwrap_or(0);
        let issued = issued.get(asset).copied().unwrap_or(0);
        if held != issued {
            found.add(Rule::Conservation, || {
                format!("{asset}: issued and not redeemed {issued}, holders have {held}")
            });
        }
    }
}

/// What was received must be what was sent. Counts what was sent and is not received.
fn feeds(sheets: &[Sheet], all_said: bool, found: &mut Findings) -> usize {
    let mut unheard = 0_usize;
    for sender in sheets {
        for receiver in sheets.iter().filter(|receiver| receiver.domain != sender.domain) {
            let none = Vec::new();
            let sent = sender.sent.get(&receiver.domain).unwrap_or(&none);
            let received = receiver.received.get(&sender.domain).unwrap_or(&none);
            for page in received {
                page_heard(sender, receiver, sent, page, found);
            }
            let heard = received.iter().map(|page| page.last).max().unwrap_or(0);
            let mut missing = sent.iter().filter(|page| page.last > heard);
            let Some(first) = missing.next() else { continue };
            let count = missing.count().saturating_add(1);
            unheard = unheard.saturating_add(count);
            if all_said {
                found.add(Rule::Feeds, || {
                    let (from, to, height) = (&sender.domain, &receiver.domain, first.height);
                    format!("{to} has not heard what {from} said to it from height {height} on")
                });
            }
        }
    }
    unheard
}

fn page_heard(sender: &Sheet, receiver: &Sheet, sent: &[Page], page: &Page, found: &mut Findings) {
    let (from, to) = (&sender.domain, &receiver.domain);
    let (first, height) = (page.first, page.height);
    let from_here = sent.get(sent.partition_point(|known| known.first < first)..).unwrap_or(&[]);
    let mut candidates = from_here.iter().take_while(|known| known.first == first).peekable();
    if candidates.peek().is_some() {
        if !candidates.any(|known| known == page) && !sender.is_lost(height) {
            found.add(Rule::Feeds, || {
                format!("{to} heard another page {first} of {from} (height {height}) than was said")
            });
        }
    // What was said after its log was read is no matter, nor what it has lost.
    } else if height <= sender.head().0 && !sender.is_lost(height) {
        found.add(Rule::Feeds, || {
            format!("{to} heard page {first} of {from} at height {height}; {from}'s log has none")
        });
    }
}

fn equivocations(sheets: &[Sheet], found: &mut Findings) {
    let own: HashMap<&Domain, &Sheet> = sheets.iter().map(|known| (&known.domain, known)).collect();
    // Heights that the domain's own log does not have: the first to name one counts.
    let mut elsewhere: HashMap<(&Domain, Height), (Hash, &Domain)> = HashMap::new();
    for sheet in sheets {
        let heard = sheet.audit.heard.iter().flat_map(|(of, heights)| {
            heights.iter().map(move |(height, hash)| (of, *height, *hash))
        });
        let shown = sheet
            .shown
            .iter()
            .flat_map(|(of, points)| points.iter().map(move |(height, hash)| (of, *height, *hash)));
        for (of, height, hash) in heard.chain(shown) {
            let said = own.get(of).and_then(|own| {
                let place = own.own.binary_search_by_key(&height, |(height, _)| *height).ok()?;
                own.own.get(place).map(|(_, hash)| (*hash, of))
            });
            let (known, by) = said
                .unwrap_or_else(|| *elsewhere.entry((of, height)).or_insert((hash, &sheet.domain)));
            if known != hash {
                let at = &sheet.domain;
                found.add(Rule::Equivocation, || {
                    format!("{of} said two things at height {height}: {at} holds one, {by} another")
                });
            }
        }
    }
}
