//! The audit of settlements: who may do what, and on which evidence.

use std::collections::{BTreeMap, BTreeSet};

use quadrille_protocol::crypto::hash::hash_lock;
use quadrille_protocol::ledger::transaction::{Cause, ContraAccount, Side, Transaction};
use quadrille_protocol::log::{Lock, Outcome, OutcomeKind, Statement};
use quadrille_protocol::settlement::{Agreement, Header, Leg};
use quadrille_protocol::types::{Domain, SettlementId, Uai};

use super::super::broken::Checked;
use super::super::workload::pay::opened;
use super::{Audit, News};
use crate::demand;

/// What one log says of one settlement.
#[derive(Debug, Clone, Default)]
pub struct SettlementAudit {
    /// The header.
    pub header: Option<Header>,
    /// The legs, where the log knows them.
    pub legs: Vec<Leg>,
    /// Whether what is enclosed for this domain is not what the agreement names.
    pub misenclosed: bool,
    /// Whether this domain has locked.
    pub locked: bool,
    /// Whose locks this log can prove.
    pub proven: BTreeSet<Domain>,
    /// Whether this domain has written the reveal.
    pub revealed: bool,
    /// Whether this domain has written the abort.
    pub aborted: bool,
    /// Whether the initiator's reveal was heard, with the right secret.
    pub reveal_heard: bool,
    /// What the decider was heard to have decided.
    pub heard: Option<OutcomeKind>,
    /// What this domain decided.
    pub decided: Option<OutcomeKind>,
    /// What this domain applied.
    pub applied: Option<OutcomeKind>,
    /// What the application moved between us and each peer.
    pub moved: BTreeMap<(Domain, Uai), i128>,
}

impl SettlementAudit {
    /// Whether it nets debts or settles one up: nobody's order is in it.
    pub fn is_netting(&self) -> bool {
        !self.legs.is_empty() && self.legs.iter().all(|leg| leg.order.is_none())
    }

    fn decision(&self) -> Option<OutcomeKind> {
        self.decided.or(self.heard)
    }
}

impl Audit {
    pub(super) fn note_header(&mut self, header: &Header) -> &mut SettlementAudit {
        let settlement = self.settlements.entry(header.id()).or_default();
        if settlement.header.is_none() {
            settlement.header = Some(header.clone());
        }
        settlement
    }

    fn note_agreement(&mut self, agreement: &Agreement) -> &mut SettlementAudit {
        let own = self.domain.clone();
        let opens = self.opens_enclosures;
        let settlement = self.note_header(&agreement.header);
        let enclosure =
            agreement.enclosure.as_ref().filter(|enclosure| opens && enclosure.to == own);
        settlement.misenclosed = enclosure.is_some_and(|enclosure| {
            opened(&enclosure.sealed).is_none_or(|opened| opened.hash != enclosure.hash)
        });
        if settlement.legs.is_empty() {
            settlement.legs = agreement.legs.to_vec();
        }
        settlement
    }

    pub(super) fn read_own(&mut self, statement: &Statement) -> Checked {
        let domain = self.domain.clone();
        let strict = !self.recovering;
        match statement {
            Statement::Agreed(agreement) => {
                self.check_promise(&agreement.legs)?;
                let settlement = self.note_agreement(agreement);
                settlement.locked = true;
                settlement.proven.insert(domain);
            }
            Statement::Locked(id) => {
                let legs = self.settlements.get(id).map(|known| known.legs.clone());
                if !self.restoring {
                    self.check_promise(&legs.unwrap_or_default())?;
                }
                let settlement = self.settlements.entry(*id).or_default();
                if self.restoring && settlement.locked {
                    return Ok(());
                }
                demand!(
                    !settlement.misenclosed,
                    "what is enclosed is what was agreed upon",
                    "{domain} locked for {id}"
                );
                demand!(
                    !settlement.locked || !strict,
                    "a party locks once",
                    "{domain} locked twice for {id}"
                );
                demand!(
                    settlement.applied.is_none() && settlement.decision().is_none() || !strict,
                    "nobody locks after the decision",
                    "{domain} locked for {id}"
                );
                settlement.locked = true;
                settlement.proven.insert(domain);
            }
            Statement::Revealed(revealed) => self.read_own_reveal(&revealed.settlement, strict)?,
            Statement::Aborted(aborted) => {
                let settlement = self.settlements.entry(aborted.settlement).or_default();
                demand!(
                    !settlement.revealed,
                    "no way back from a reveal",
                    "{domain} aborted {}",
                    aborted.settlement
                );
                settlement.aborted = true;
            }
            Statement::Decided(decided) => {
                let settles = matches!(decided.outcome, Outcome::Settle { .. });
                self.read_own_decision(&decided.settlement, settles, strict)?;
            }
            Statement::Appointed(header) => {
                self.note_header(header);
            }
            Statement::Take(_)
            | Statement::TakeRefused { .. }
            | Statement::Declined { .. }
            | Statement::Finalised { .. }
            | Statement::Position(_)
            | Statement::Rotated(_) => {}
        }
        Ok(())
    }

    /// No peer may owe us more while our books and its differ; nobody nets who has not said so.
    fn check_promise(&self, legs: &[Leg]) -> Checked {
        let incoming = legs.iter().filter(|leg| leg.to.domain == self.domain);
        let stopped = incoming
            .map(|leg| (leg.from.domain.clone(), leg.asset.clone()))
            .find(|pair| self.breaks.contains(pair));
        demand!(
            stopped.is_none() || self.recovering,
            "a break stops new exposure",
            "{} locked for {stopped:?}",
            self.domain
        );
        let netting = !legs.is_empty() && legs.iter().all(|leg| leg.order.is_none());
        demand!(
            !netting || self.netting || self.recovering,
            "who nets has opted in",
            "{} has not",
            self.domain
        );
        Ok(())
    }

    fn read_own_reveal(&mut self, id: &SettlementId, strict: bool) -> Checked {
        let domain = self.domain.clone();
        let settlement = self.settlements.entry(*id).or_default();
        demand!(!settlement.aborted, "no reveal after an abort", "{domain} revealed {id}");
        let parties = settlement.header.as_ref().map(|header| header.parties.to_vec());
        let missing = parties.unwrap_or_default();
        let missing = missing.iter().find(|party| !settlement.proven.contains(party));
        demand!(
            missing.is_none() || !strict,
            "the reveal follows every lock",
            "{domain} revealed {id} without {missing:?}"
        );
        settlement.revealed = true;
        self.news.push(News::Revealed(*id));
        Ok(())
    }

    fn read_own_decision(&mut self, id: &SettlementId, settles: bool, strict: bool) -> Checked {
        let domain = self.domain.clone();
        let settlement = self.settlements.entry(*id).or_default();
        let outcome = if settles { OutcomeKind::Settle } else { OutcomeKind::Refund };
        if self.restoring && settlement.decided == Some(outcome) {
            return Ok(());
        }
        let again = settlement.decided.is_some_and(|known| strict || known != outcome);
        demand!(!again, "one decision per settlement", "{domain} decided {id} again");
        settlement.decided = Some(outcome);
        self.news.push(News::Decided(*id));
        if !settles || !strict {
            return Ok(());
        }
        let Some(header) = &settlement.header else {
            demand!(false, "settled only on every lock", "{domain}: {id} is unknown");
            return Ok(());
        };
        demand!(
            settlement.reveal_heard,
            "settled only on the initiator's reveal",
            "{domain} decided {id}"
        );
        let missing = header.parties.iter().find(|party| !settlement.proven.contains(*party));
        demand!(
            missing.is_none(),
            "settled only on every lock",
            "{domain} decided {id} without {missing:?}"
        );
        demand!(header.decider == domain, "only the decider decides", "{domain} decided {id}");
        Ok(())
    }

    /// What a peer said, and what that proves.
    pub(super) fn hear(&mut self, from: &Domain, statement: &Statement, locks: &[Option<Lock>]) {
        match statement {
            Statement::Agreed(agreement) => {
                if agreement.check().is_err() {
                    return;
                }
                let initiates = agreement.header.initiator == *from;
                let settlement = self.note_agreement(agreement);
                if initiates {
                    settlement.proven.insert(from.clone());
                }
            }
            Statement::Appointed(header) => {
                let initiates = header.initiator == *from;
                let settlement = self.note_header(header);
                if initiates {
                    settlement.proven.insert(from.clone());
                }
            }
            Statement::Locked(id) => {
                self.settlements.entry(*id).or_default().proven.insert(from.clone());
            }
            Statement::Revealed(revealed) => {
                self.hear_bundle(&revealed.settlement, locks);
                let settlement = self.settlements.entry(revealed.settlement).or_default();
                let right = settlement.header.as_ref().is_some_and(|header| {
                    header.initiator == *from && header.lock == hash_lock(&revealed.preimage)
                });
                settlement.reveal_heard |= right;
            }
            Statement::Decided(decided) => {
                self.hear_bundle(&decided.settlement, locks);
                let settlement = self.settlements.entry(decided.settlement).or_default();
                let right = settlement.header.as_ref().is_some_and(|header| {
                    let secret = match &decided.outcome {
                        Outcome::Settle { preimage, .. } => header.lock == hash_lock(preimage),
                        Outcome::Refund { .. } => true,
                    };
                    header.decider == *from && secret
                });
                // A party that decides to settle has signed that it is bound.
                let bound = settlement.header.as_ref().is_some_and(|header| header.is_party(from));
                if right && bound && decided.outcome.kind() == OutcomeKind::Settle {
                    settlement.proven.insert(from.clone());
                }
                if right && settlement.heard.is_none() {
                    settlement.heard = Some(decided.outcome.kind());
                }
            }
            Statement::Take(_)
            | Statement::TakeRefused { .. }
            | Statement::Declined { .. }
            | Statement::Aborted(_)
            | Statement::Finalised { .. }
            | Statement::Position(_)
            | Statement::Rotated(_) => {}
        }
    }

    fn hear_bundle(&mut self, id: &SettlementId, locks: &[Option<Lock>]) {
        for lock in locks.iter().flatten().filter(|lock| lock.settlement == *id) {
            let settlement = self.settlements.entry(*id).or_default();
            settlement.proven.insert(lock.domain.clone());
        }
    }

    pub(super) fn settle_transaction(&mut self, transaction: &Transaction) -> Checked {
        match &transaction.cause {
            Cause::Settled(id) => self.apply(id, OutcomeKind::Settle, transaction),
            Cause::Refunded(id) => self.apply(id, OutcomeKind::Refund, transaction),
            Cause::Opened(_)
            | Cause::Ordered(_)
            | Cause::Issued(_)
            | Cause::Frozen
            | Cause::Unfrozen
            | Cause::Traded { .. }
            | Cause::OfferEnded { .. }
            | Cause::TakeEnded { .. }
            | Cause::PaymentEnded { .. }
            | Cause::KeyReplaced(_) => Ok(()),
        }
    }

    fn apply(&mut self, id: &SettlementId, outcome: OutcomeKind, by: &Transaction) -> Checked {
        let domain = self.domain.clone();
        let strict = !self.recovering;
        let settlement = self.settlements.entry(*id).or_default();
        demand!(
            settlement.applied.is_none(),
            "a settlement is applied once",
            "{domain} applied {outcome:?} of {id} after {:?}",
            settlement.applied
        );
        settlement.applied = Some(outcome);
        for contra in &by.contras {
            if let ContraAccount::Correspondent(peer) = &contra.account {
                let units = i128::try_from(contra.amount.units()).unwrap_or(i128::MAX);
                let amount = if contra.side == Side::Debit { units } else { -units };
                let key = (peer.clone(), contra.asset.clone());
                *settlement.moved.entry(key).or_default() += amount;
            }
        }
        settlement.moved.retain(|_, amount| *amount != 0);
        self.news.push(News::Applied(*id));
        if strict { check_application(&domain, id, settlement, outcome) } else { Ok(()) }
    }
}

fn check_application(
    domain: &Domain,
    id: &SettlementId,
    settlement: &SettlementAudit,
    outcome: OutcomeKind,
) -> Checked {
    demand!(settlement.locked, "nothing moves without a lock", "{domain} {outcome:?} of {id}");
    let decision = settlement.decision();
    match outcome {
        OutcomeKind::Refund => {
            let allowed = decision == Some(OutcomeKind::Refund)
                || (settlement.aborted && !settlement.revealed);
            demand!(allowed, "holds end only on the decision", "{domain} refunded {id}");
            demand!(settlement.moved.is_empty(), "a refund moves nothing", "{domain} {id}");
        }
        OutcomeKind::Settle => {
            demand!(
                decision == Some(OutcomeKind::Settle),
                "settled only on the decision",
                "{domain} settled {id} on {decision:?}"
            );
            check_debtors(domain, id, settlement)?;
        }
    }
    Ok(())
}

/// Whoever gives up an asset holds evidence for what it is owed, and books just the legs.
fn check_debtors(domain: &Domain, id: &SettlementId, settlement: &SettlementAudit) -> Checked {
    let mut legs: BTreeMap<(Domain, Uai), i128> = BTreeMap::new();
    for leg in &settlement.legs {
        let units = i128::try_from(leg.amount.units()).unwrap_or(i128::MAX);
        let (from, to) = (&leg.from.domain, &leg.to.domain);
        if from == to || (from != domain && to != domain) {
            continue;
        }
        if to == domain {
            demand!(
                settlement.proven.contains(from),
                "evidence for what is owed",
                "{domain} settled {id} without proof of {from}'s lock"
            );
            *legs.entry((from.clone(), leg.asset.clone())).or_default() += units;
        } else {
            *legs.entry((to.clone(), leg.asset.clone())).or_default() -= units;
        }
    }
    legs.retain(|_, amount| *amount != 0);
    demand!(
        legs == settlement.moved,
        "a settlement books its legs",
        "{domain} {id}: {legs:?} agreed, {:?} booked",
        settlement.moved
    );
    Ok(())
}
