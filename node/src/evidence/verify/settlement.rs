//! A bundle about one settlement: who was bound, what was decided, what is owed for it.
//!
//! ```text
//!   header hashes to the id --> who initiates, who decides, who is a party
//!     Agreed: legs hash to the header's --> what moves
//!     Locked of each debtor, Decided(settle) with the secret of the header's lock --> claims
//! ```

use std::collections::BTreeSet;

use quadrille_protocol::crypto::hash::{Preimage, hash_lock};
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::ledger::transaction::{Cause, Transaction};
use quadrille_protocol::log::record::{Decided, Revealed};
use quadrille_protocol::log::{Outcome, OutcomeKind, Record, Statement};
use quadrille_protocol::settlement::agreement::{Agreement, Header, Leg};
use quadrille_protocol::types::{Domain, SettlementId};

use super::super::report::{Claim, Verdict};
use super::words::leg_words;
use super::{Finding, Proven};

/// What the proven statements say together.
struct Case<'a> {
    header: &'a Header,
    /// Empty where nobody's Agreed is in the bundle.
    legs: &'a [Leg],
    locked: BTreeSet<Domain>,
    booked: BTreeSet<Domain>,
    decided: Vec<(&'a Proven, OutcomeKind)>,
    revealed: bool,
    aborted: Option<Code>,
    declined: Vec<&'a Domain>,
}

pub(super) fn judge(id: &SettlementId, proven: &[Proven]) -> Result<Finding, Refusal> {
    let header = proven.iter().find_map(|known| header_of(&known.record, id));
    let header = header.ok_or_else(|| {
        let what = format!("the terms of {id} are not in it");
        Refusal::new(Code::ForeignEvidence, what)
    })?;
    header.check()?;
    // Whoever says it: legs that hash to the header's are the ones that were agreed on.
    let legs = proven.iter().find_map(|known| match &known.record {
        Record::Statement(Statement::Agreed(agreement))
            if agreement.header == *header && agreement.check().is_ok() =>
        {
            Some(&*agreement.legs)
        }
        _ => None,
    });
    let mut case = Case {
        header,
        legs: legs.unwrap_or_default(),
        locked: BTreeSet::new(),
        booked: BTreeSet::new(),
        decided: Vec::new(),
        revealed: false,
        aborted: None,
        declined: Vec::new(),
    };
    for known in proven {
        match case.take(id, known) {
            // Its sender chose what it put inside: what proves no party's lock counts for
            // nothing, and costs nobody else the bundle.
            Err(_) if known.inner => {}
            taken => taken?,
        }
    }
    Ok(case.finding())
}

fn header_of<'a>(record: &'a Record, id: &SettlementId) -> Option<&'a Header> {
    let header = match record {
        Record::Statement(Statement::Agreed(agreement)) => &agreement.header,
        Record::Statement(Statement::Appointed(header)) => header,
        Record::Queried(question) => &question.header,
        _ => return None,
    };
    (header.id() == *id).then_some(header)
}

impl<'a> Case<'a> {
    fn take(&mut self, id: &SettlementId, known: &'a Proven) -> Result<(), Refusal> {
        match &known.record {
            Record::Statement(statement) => self.take_statement(id, known, statement),
            Record::Transaction(transaction) => self.take_booking(id, known, transaction),
            Record::Queried(question) if question.header == *self.header => Ok(()),
            _ => Err(known.foreign("it says nothing of the settlement")),
        }
    }

    fn take_statement(
        &mut self,
        id: &SettlementId,
        known: &'a Proven,
        statement: &'a Statement,
    ) -> Result<(), Refusal> {
        let by = known.by();
        let is = |other: &SettlementId| match other == id {
            true => Ok(()),
            false => Err(known.foreign("it is of another settlement")),
        };
        match statement {
            Statement::Agreed(agreement) => {
                is(&agreement.header.id())?;
                self.by_initiator(known)?;
                Agreement::check(agreement)?;
                self.locked.insert(by.clone());
            }
            Statement::Appointed(header) => {
                is(&header.id())?;
                self.by_initiator(known)?;
                self.locked.insert(by.clone());
            }
            Statement::Locked(other) => {
                is(other)?;
                self.by_party(known)?;
                self.locked.insert(by.clone());
            }
            Statement::Declined { settlement, .. } => {
                is(settlement)?;
                self.by_party(known)?;
                self.declined.push(by);
            }
            Statement::Revealed(Revealed { settlement, preimage, .. }) => {
                is(settlement)?;
                self.by_initiator(known)?;
                self.opens(known, preimage)?;
                self.revealed = true;
            }
            Statement::Aborted(aborted) => {
                is(&aborted.settlement)?;
                self.by_initiator(known)?;
                self.aborted = Some(aborted.reason);
            }
            Statement::Decided(Decided { settlement, outcome }) => {
                is(settlement)?;
                if *by != self.header.decider {
                    return Err(known.foreign("it is not the decider"));
                }
                if let Outcome::Settle { preimage, .. } = outcome {
                    self.opens(known, preimage)?;
                    // A party that decides to settle has signed that it is bound.
                    if self.header.is_party(by) {
                        self.locked.insert(by.clone());
                    }
                }
                self.decided.push((known, outcome.kind()));
            }
            Statement::Finalised { settlement, .. } => {
                is(settlement)?;
                self.by_party(known)?;
                self.booked.insert(by.clone());
            }
            Statement::Take(_)
            | Statement::TakeRefused { .. }
            | Statement::Rotated(_)
            | Statement::Position(_) => {
                return Err(known.foreign("it says nothing of the settlement"));
            }
        }
        Ok(())
    }

    fn take_booking(
        &mut self,
        id: &SettlementId,
        known: &Proven,
        transaction: &Transaction,
    ) -> Result<(), Refusal> {
        let by = known.by();
        let ours = |leg: &&Leg| leg.from.domain == *by;
        let about = match &transaction.cause {
            Cause::Settled(other) | Cause::Refunded(other) => other == id,
            Cause::Ordered(order) => {
                self.legs.iter().filter(ours).any(|leg| leg.order == Some(order.id()))
            }
            Cause::Opened(_)
            | Cause::Issued(_)
            | Cause::Frozen
            | Cause::Unfrozen
            | Cause::Traded { .. }
            | Cause::OfferEnded { .. }
            | Cause::TakeEnded { .. }
            | Cause::PaymentEnded { .. }
            | Cause::KeyReplaced(_) => false,
        };
        if !about {
            return Err(known.foreign("it books something else"));
        }
        self.by_party(known)?;
        if !matches!(transaction.cause, Cause::Ordered(_)) {
            self.booked.insert(by.clone());
        }
        Ok(())
    }

    fn by_initiator(&self, known: &Proven) -> Result<(), Refusal> {
        if *known.by() != self.header.initiator {
            return Err(known.foreign("it is not the initiator"));
        }
        Ok(())
    }

    fn by_party(&self, known: &Proven) -> Result<(), Refusal> {
        if !self.header.is_party(known.by()) {
            return Err(known.foreign("it is no party"));
        }
        Ok(())
    }

    fn opens(&self, known: &Proven, preimage: &Preimage) -> Result<(), Refusal> {
        if hash_lock(preimage) != self.header.lock {
            return Err(known.foreign("its secret does not open the lock"));
        }
        Ok(())
    }

    fn finding(self) -> Finding {
        let (verdict, mut summary) = self.verdict();
        let legs: Vec<String> = self.legs.iter().map(leg_words).collect();
        if !legs.is_empty() {
            summary.push_str(&format!(" It was agreed: {}.", legs.join("; ")));
        }
        let mut not_proven = Vec::new();
        let mut claims = Vec::new();
        if verdict == Verdict::Settled {
            self.claims(&mut claims, &mut not_proven);
        }
        if self.legs.is_empty() {
            not_proven.push("What moves: the legs are not in the bundle, only their hash.".into());
        }
        if verdict == Verdict::Undecided {
            not_proven.push("How it was decided: ask its decider, or wait.".into());
        } else {
            for party in self.header.parties.iter().filter(|party| !self.booked.contains(party)) {
                not_proven.push(format!("That {party} has booked it."));
            }
            not_proven.push(format!(
                "That {} told nobody otherwise: another decision of its own would, together \
                 with this one, prove fraud.",
                self.header.decider
            ));
        }
        Finding { verdict, summary, claims, not_proven }
    }

    fn verdict(&self) -> (Verdict, String) {
        let Header { initiator, decider, .. } = self.header;
        let said = |kind| self.decided.iter().find(|(_, known)| *known == kind);
        let (settle, refund) = (said(OutcomeKind::Settle), said(OutcomeKind::Refund));
        if settle.is_some() && refund.is_some() {
            let summary = format!("{decider} decided twice, each way once: a proof of fraud.");
            return (Verdict::Fraud, summary);
        }
        if self.revealed && self.aborted.is_some() {
            let summary = format!("{initiator} both gave up and revealed: a proof of fraud.");
            return (Verdict::Fraud, summary);
        }
        if let Some((known, kind)) = settle.or(refund) {
            let time = known.evidence.checkpoint.checkpoint.time;
            let (verdict, word) = match kind {
                OutcomeKind::Settle => (Verdict::Settled, "settle"),
                OutcomeKind::Refund => (Verdict::Refunded, "refund"),
            };
            return (verdict, format!("{decider}, its decider, decided to {word} at {time}."));
        }
        let mut summary = format!("There is no decision of {decider} in the bundle.");
        if self.aborted.is_some() {
            summary.push_str(&format!(" {initiator}, its initiator, gave it up."));
        }
        for party in &self.declined {
            summary.push_str(&format!(" {party} declined to lock."));
        }
        (Verdict::Undecided, summary)
    }

    /// Each leg between two domains is owed if whoever owes it was bound.
    fn claims(&self, claims: &mut Vec<Claim>, not_proven: &mut Vec<String>) {
        for leg in self.legs.iter().filter(|leg| leg.from.domain != leg.to.domain) {
            let (debtor, creditor) = (&leg.from.domain, &leg.to.domain);
            if self.locked.contains(debtor) {
                claims.push(Claim {
                    debtor: debtor.clone(),
                    creditor: creditor.clone(),
                    asset: leg.asset.clone(),
                    amount: leg.amount,
                    from: leg.from.ledger,
                    to: leg.to.ledger,
                });
            } else {
                not_proven.push(format!(
                    "That {debtor} owes {creditor} {} {}: its lock is not in the bundle.",
                    leg.amount, leg.asset
                ));
            }
        }
    }
}
