//! Lost records applied again, where what they rested on may be lost for good.
//!
//! Given back by peers and customers they come in their old order, so nearly always they fit.
//! What does not fit must not bring the node down and must not be guessed at: its ledgers are
//! frozen, and the operator resolves it with the counterparties' signed statements.

use super::state::State;
use crate::error::Fault;
use crate::ledger::Transaction;
use crate::ledger::account::Status;
use crate::ledger::order::Action;
use crate::ledger::transaction::Cause;
use crate::log::record::{Aborted, Decided, Revealed};
use crate::log::{OutcomeKind, Record, Statement};
use crate::settlement::{Decider, Initiator, Leg, Participant, Settlement};
use crate::types::{Height, Ubi};

impl State {
    /// Applies one of our own lost records.
    pub(super) fn apply_recovered(&mut self, record: &Record, height: Height) -> Result<(), Fault> {
        if let Record::Statement(Statement::Rotated(rotation)) = record {
            // Of a rotation of our own only what we said of it comes back.
            let _ = self.directory.replay_rotation(rotation);
        }
        if self.fits(record) {
            self.apply(record, height)?;
            self.infer_decision(record);
            return Ok(());
        }
        match record {
            // Refunded before anybody had heard of it: only the booking is left to say so.
            Record::Transaction(transaction) if self.refunds_unheard(transaction) => {
                self.books.post(transaction)?;
            }
            Record::Transaction(transaction) => {
                for entry in &transaction.entries {
                    self.freeze(&entry.ledger);
                }
            }
            // What it promises is no longer set aside here: nobody may spend it meanwhile.
            Record::Statement(Statement::Agreed(agreement)) => self.freeze_givers(&agreement.legs),
            Record::Statement(Statement::Locked(id)) => {
                let legs = self.settlements.get(id).map(|known| known.legs.clone());
                self.freeze_givers(&legs.unwrap_or_default());
            }
            Record::Statement(Statement::Decided(decided)) => {
                self.foregone.insert(decided.settlement, decided.outcome.kind());
            }
            _ => {}
        }
        Ok(())
    }

    fn refunds_unheard(&self, transaction: &Transaction) -> bool {
        matches!(&transaction.cause, Cause::Refunded(id) if !self.settlements.contains_key(id))
            && self.books.continues(transaction)
    }

    /// A holder brought back how a settlement ended here, and nobody the decision on it, which
    /// was ours: it can only be decided that way again.
    fn infer_decision(&mut self, record: &Record) {
        let Record::Transaction(transaction) = record else { return };
        let (id, outcome) = match &transaction.cause {
            Cause::Settled(id) => (id, OutcomeKind::Settle),
            Cause::Refunded(id) => (id, OutcomeKind::Refund),
            _ => return,
        };
        if self.settlements.get(id).is_some_and(|known| known.decider == Some(Decider::Open)) {
            self.foregone.insert(*id, outcome);
        }
    }

    fn freeze(&mut self, ledger: &Ubi) {
        if let Some(ledger) = self.books.ledgers.get_mut(ledger) {
            ledger.status = Status::Frozen;
        }
    }

    fn freeze_givers(&mut self, legs: &[Leg]) {
        for leg in legs {
            if leg.from.domain == self.domain && leg.order.is_some() {
                self.freeze(&leg.from.ledger);
            }
        }
    }

    /// A settlement that we meet again after our decision on it was lost and given back: the
    /// decision stands.
    pub(super) fn recall(&mut self, settlement: &mut Settlement) {
        if settlement.decider.is_none() {
            return;
        }
        let Some(outcome) = self.foregone.remove(&settlement.id) else { return };
        settlement.decider = Some(match outcome {
            OutcomeKind::Settle => Decider::Settled,
            OutcomeKind::Refund => Decider::Refunded,
        });
        settlement.decision = Some(outcome);
    }

    /// Whether everything that a lost record of ours rests on is here.
    pub(super) fn fits(&self, record: &Record) -> bool {
        match record {
            Record::Transaction(transaction) => {
                self.books.continues(transaction) && self.cause_fits(transaction)
            }
            Record::Statement(statement) => self.statement_fits(statement),
            Record::TakeWaiting { offer, .. } => self.offers.contains_key(offer),
            Record::Page(page) => {
                self.peer(&page.to).is_none_or(|peer| page.first >= peer.sent.next())
            }
            Record::Founded(_)
            | Record::Admitted(_)
            | Record::Revoked(_)
            | Record::Rotated(_)
            | Record::CreditLimit(_)
            | Record::Asset(_)
            | Record::AssetLocked { .. }
            | Record::TransitLedger(_)
            | Record::Refused(_)
            | Record::OfferPosted(_)
            | Record::OfferClosed(_)
            | Record::Book(_)
            | Record::Received(_)
            | Record::Queried(_)
            | Record::Suspended(_)
            | Record::Lifted(_)
            | Record::Recovered(_)
            | Record::Recovering { .. }
            | Record::Shown(_)
            | Record::Restored
            | Record::TransitFee { .. }
            | Record::TravelRule { .. }
            | Record::Broken(_)
            | Record::Explained(_)
            | Record::Netting(_)
            | Record::AssetClosed(_)
            | Record::Attested(_) => true,
            Record::Routed { payment, .. } => self.payments.contains_key(payment),
        }
    }

    fn cause_fits(&self, transaction: &Transaction) -> bool {
        match &transaction.cause {
            Cause::Opened(_)
            | Cause::Issued(_)
            | Cause::Frozen
            | Cause::Unfrozen
            | Cause::PaymentEnded { .. }
            | Cause::KeyReplaced(_) => true,
            Cause::Ordered(order) => match &order.order().action {
                Action::Cancel { offer } => self.offers.contains_key(offer),
                Action::Pay(_)
                | Action::Offer(_)
                | Action::Take { .. }
                | Action::Amend(_)
                | Action::RotateKey { .. }
                | Action::Redeem { .. }
                | Action::Close => true,
            },
            Cause::Settled(id) => self.settlements.get(id).is_some_and(Settlement::holds_legs),
            Cause::Refunded(id) => self.settlements.get(id).is_some_and(|known| {
                known.holds_legs() || known.initiator == Some(Initiator::Aborted)
            }),
            Cause::Traded { offer, take } => {
                self.offers.contains_key(offer) && self.takes.contains_key(take)
            }
            Cause::OfferEnded { offer, .. } => self.offers.contains_key(offer),
            Cause::TakeEnded { take, .. } => self.takes.contains_key(take),
        }
    }

    fn statement_fits(&self, statement: &Statement) -> bool {
        match statement {
            Statement::Locked(id) | Statement::Declined { settlement: id, .. } => {
                self.settlements.get(id).is_some_and(|known| {
                    known.participant == Some(Participant::Proposed) && self.legs_are_held(known)
                })
            }
            Statement::Revealed(Revealed { settlement: id, .. })
            | Statement::Aborted(Aborted { settlement: id, .. }) => self
                .settlements
                .get(id)
                .is_some_and(|known| known.initiator == Some(Initiator::Locking)),
            Statement::Decided(Decided { settlement: id, .. }) => {
                self.settlements.get(id).is_some_and(|known| known.decider == Some(Decider::Open))
            }
            Statement::Agreed(agreement) => {
                self.legs_are_held(&Settlement::of_agreement(agreement))
            }
            Statement::Take(_)
            | Statement::TakeRefused { .. }
            | Statement::Appointed(_)
            | Statement::Finalised { .. }
            | Statement::Rotated(_)
            | Statement::Position(_) => true,
        }
    }

    /// Whether what a settlement takes from our ledgers is set aside here.
    fn legs_are_held(&self, settlement: &Settlement) -> bool {
        settlement.legs.iter().filter(|leg| leg.from.domain == self.domain).all(|leg| {
            let Some(order) = leg.order else { return true };
            if let Some(offer) = self.offers.get(&order) {
                return offer.available() >= leg.amount;
            }
            let held = self.books.ledgers.get(&leg.from.ledger);
            held.is_some_and(|ledger| ledger.balance(&leg.asset).1 >= leg.amount)
        })
    }
}
