//! Records become state: the one place where state changes, live and in replay alike.
//!
//! Nothing is decided here. A record was allowed when it was written; if it cannot be applied
//! now, our own books are broken and the node must stop.

use std::collections::VecDeque;

use super::state::{OutgoingPayment, OutgoingTake, State};
use crate::error::Fault;
use crate::ledger::account::Status;
use crate::ledger::asset::{Asset, NamedIssue};
use crate::ledger::order::{Action, VerifiedOrder};
use crate::ledger::replacement::Replacement;
use crate::ledger::transaction::{Cause, Movement, Transaction};
use crate::log::record::Decided;
use crate::log::{OutcomeKind, Record, Statement};
use crate::market::Offer;
use crate::settlement::agreement::{Agreement, Header};
use crate::settlement::{Decider, Initiator, Leg, Participant, Settlement};
use crate::types::{Domain, Hash, Height, OrderId, SettlementId, TakeId};

impl State {
    /// Applies a record of the batch at `height`. Longer than a function should be, because it
    /// is the one match over every kind of record.
    ///
    /// # Errors
    /// A fault when it cannot follow what was applied before.
    pub(super) fn apply(&mut self, record: &Record, height: Height) -> Result<(), Fault> {
        match record {
            Record::Founded(_)
            | Record::Refused(_)
            | Record::OfferPosted(_)
            | Record::Book(_)
            | Record::Attested(_) => Ok(()),
            Record::Admitted(signed) => {
                self.directory.replay_certificate(signed).map(|_| ()).map_err(Fault::of)
            }
            Record::Revoked(signed) => {
                self.directory.replay_revocation(signed).map(|_| ()).map_err(Fault::of)
            }
            Record::Rotated(signed) => {
                self.directory.replay_rotation(signed).map(|_| ()).map_err(Fault::of)
            }
            Record::CreditLimit(set) => {
                self.books.correspondent_mut(&set.peer, &set.asset).limit = set.limit;
                Ok(())
            }
            Record::Asset(profile) => {
                self.books.assets.insert(profile.uai(), Asset::new(profile.clone()));
                Ok(())
            }
            Record::AssetLocked { asset, locked } => {
                if let Some(known) = self.books.assets.get_mut(asset) {
                    known.locked = *locked;
                }
                Ok(())
            }
            Record::AssetClosed(asset) => {
                if let Some(known) = self.books.assets.get_mut(asset) {
                    known.closed = true;
                }
                Ok(())
            }
            Record::TransitLedger(ledger) => {
                self.transit = *ledger;
                Ok(())
            }
            Record::Transaction(transaction) => self.apply_transaction(transaction),
            Record::TakeWaiting { offer, take, until } => {
                self.arrivals = self.arrivals.saturating_add(1);
                self.offer_mut(offer)?.enqueue(take.clone(), *until)
            }
            Record::OfferClosed(closed) => {
                if self.offers.get(&closed.offer).is_some_and(Offer::is_done) {
                    self.offers.remove(&closed.offer);
                }
                Ok(())
            }
            Record::Statement(statement) => self.apply_statement(statement),
            Record::Received(frame) => self.apply_received(frame),
            Record::Queried(question) => {
                self.open_decider(&question.header, Some(&question.by));
                Ok(())
            }
            Record::Page(page) => {
                let last = page.last();
                let peer = self.peer_mut(&page.to);
                peer.sent = last;
                peer.sent_height = height;
                Ok(())
            }
            Record::Suspended(proof) => {
                self.peer_mut(proof.domain()).suspended = true;
                Ok(())
            }
            Record::Lifted(peer) => {
                self.peer_mut(peer).suspended = false;
                Ok(())
            }
            Record::Recovered(evidence) => {
                let record = evidence.read().map_err(Fault::of)?;
                let height = evidence.checkpoint.checkpoint.height;
                self.adopting = Some((height, evidence.index));
                self.apply_recovered(&record, height)
            }
            Record::Restored => {
                self.adopting = None;
                Ok(())
            }
            Record::Broken(broken) => {
                let asset = &broken.theirs.asset;
                let known = self.books.correspondent_mut(&broken.peer, asset);
                known.mirror.broken = Some(broken.clone());
                Ok(())
            }
            Record::Explained(word) => {
                self.books.correspondent_mut(&word.peer, &word.asset).mirror.explain();
                Ok(())
            }
            Record::Routed { payment, plan } => {
                if let Some(known) = self.payments.get_mut(payment) {
                    known.routes = plan.routes.iter().cloned().collect();
                    known.enclosure.clone_from(&plan.enclosure);
                }
                Ok(())
            }
            Record::TransitFee { asset, fee } => {
                self.fees.insert(asset.clone(), *fee);
                Ok(())
            }
            Record::TravelRule { asset, threshold } => {
                match threshold {
                    Some(amount) => self.travel_rules.insert(asset.clone(), *amount),
                    None => self.travel_rules.remove(asset),
                };
                Ok(())
            }
            Record::Netting(takes_part) => {
                self.netting = *takes_part;
                Ok(())
            }
            Record::Recovering { lost_height, lost_hash } => {
                // Stopped in the middle of it, it goes on where it stopped.
                self.adopting = self.adopting.or(Some((self.height, u32::MAX)));
                self.height = *lost_height;
                self.head = *lost_hash;
                Ok(())
            }
            Record::Shown(evidence) => {
                let shown = evidence.read().map_err(Fault::of)?;
                // Where nothing is promised there is nothing left to book: it ends here.
                if let Record::Statement(Statement::Decided(decided)) = &shown
                    && self.learn_outcome(evidence.domain(), decided)
                {
                    self.close_if_done(&decided.settlement);
                }
                Ok(())
            }
        }
    }

    fn offer_mut(&mut self, id: &OrderId) -> Result<&mut Offer, Fault> {
        self.offers.get_mut(id).ok_or_else(|| Fault::new(format!("no offer {id}")))
    }

    pub(super) fn settlement_mut(&mut self, id: &SettlementId) -> Result<&mut Settlement, Fault> {
        self.settlements.get_mut(id).ok_or_else(|| Fault::new(format!("no settlement {id}")))
    }

    fn note_issue(&mut self, name: Hash, transaction: &Transaction) {
        let entry = transaction.entries.first();
        let credit = entry.and_then(|entry| Some((entry.ledger, entry.movements.first()?)));
        if let Some((ledger, Movement { asset, amount, .. })) = credit
            && let Some(asset) = self.books.assets.get_mut(asset)
        {
            asset.note_issue(NamedIssue { name, ledger, amount: *amount });
        }
    }

    pub(super) fn apply_transaction(&mut self, transaction: &Transaction) -> Result<(), Fault> {
        self.books.post(transaction)?;
        match &transaction.cause {
            Cause::Opened(_) | Cause::Issued(None) => Ok(()),
            Cause::PaymentEnded { order, .. } => {
                self.payments.remove(order);
                Ok(())
            }
            Cause::Issued(Some(name)) => {
                self.note_issue(*name, transaction);
                Ok(())
            }
            Cause::Ordered(order) => self.apply_order(order, transaction),
            Cause::Frozen => {
                self.set_status(transaction, Status::Frozen);
                Ok(())
            }
            Cause::Unfrozen => {
                self.set_status(transaction, Status::Open);
                Ok(())
            }
            Cause::KeyReplaced(replaced) => self.apply_replacement(&replaced.signed.replacement),
            Cause::Settled(id) => self.apply_outcome(id, OutcomeKind::Settle),
            Cause::Refunded(id) => self.apply_outcome(id, OutcomeKind::Refund),
            Cause::Traded { offer, take } => {
                let amount = match self.takes.remove(take) {
                    Some(known) => known.terms.take,
                    None => return Err(Fault::new(format!("no take {take}"))),
                };
                let offer = self.offer_mut(offer)?;
                offer.dismiss(TakeId(take.0));
                offer.reserve(amount).map_err(Fault::of)?;
                offer.fill(amount)
            }
            Cause::OfferEnded { offer, .. } => {
                let time = transaction.time;
                self.offer_mut(offer)?.expire(time);
                Ok(())
            }
            Cause::TakeEnded { take, .. } => {
                let known = self.takes.remove(take);
                // Where the offer is ours too, the take waited for it here.
                let offer = known.and_then(|known| self.offers.get_mut(&known.terms.offer));
                if let Some(offer) = offer {
                    offer.dismiss(TakeId(take.0));
                }
                Ok(())
            }
        }
    }

    fn apply_replacement(&mut self, replacement: &Replacement) -> Result<(), Fault> {
        let Replacement { ledger, key, second_key, .. } = replacement;
        let unknown = || Fault::new(format!("another key for unknown ledger {ledger}"));
        let known = self.books.ledgers.get_mut(ledger).ok_or_else(unknown)?;
        known.parameters.suite = key.suite();
        known.key = key.id();
        if let Some(second) = second_key {
            known.parameters.second_key = Some(second.id());
        }
        Ok(())
    }

    fn set_status(&mut self, transaction: &Transaction, status: Status) {
        for entry in &transaction.entries {
            if let Some(ledger) = self.books.ledgers.get_mut(&entry.ledger) {
                ledger.status = status;
            }
        }
    }

    fn apply_order(&mut self, verified: &VerifiedOrder, by: &Transaction) -> Result<(), Fault> {
        let (order, id) = (verified.order(), verified.id());
        let unknown = || Fault::new(format!("order for unknown ledger {}", order.ledger));
        let ledger = self.books.ledgers.get_mut(&order.ledger).ok_or_else(unknown)?;
        ledger.use_nonce(order.nonce, id);
        match &order.action {
            Action::Pay(payment) => {
                ledger.note_spent(&payment.spend, payment.max_cost, by.time);
                if payment.to.domain != self.domain {
                    let outgoing = OutgoingPayment {
                        ledger: order.ledger,
                        payment: payment.clone(),
                        expiry: order.expiry,
                        routes: VecDeque::new(),
                        enclosure: None,
                        settlement: None,
                    };
                    self.payments.insert(id, outgoing);
                }
            }
            Action::Offer(terms) => {
                ledger.note_spent(&terms.give, terms.give_amount, by.time);
                self.offers.insert(id, Offer::new(id, order.ledger, terms.clone()));
            }
            Action::Take { terms, pair } => {
                ledger.note_spent(&pair.want, terms.pay, by.time);
                let take = OutgoingTake {
                    ledger: order.ledger,
                    terms: terms.clone(),
                    pair: pair.clone(),
                    settlement: None,
                };
                self.takes.insert(id, take);
            }
            Action::Cancel { offer } => {
                self.offer_mut(offer)?.cancel().map_err(Fault::of)?;
            }
            Action::Amend(rules) => ledger.parameters.amend(rules),
            Action::RotateKey { key } => {
                ledger.parameters.suite = key.suite();
                ledger.key = key.id();
            }
            Action::Redeem { asset, amount } => ledger.note_spent(asset, *amount, by.time),
            Action::Close => ledger.status = Status::Closed,
        }
        Ok(())
    }

    /// What the outcome of a settlement means beyond the postings: reservations are used up or
    /// given back, the machines reach their ends.
    fn apply_outcome(&mut self, id: &SettlementId, outcome: OutcomeKind) -> Result<(), Fault> {
        let settlement = self.settlement_mut(id)?;
        let held = settlement.holds_legs();
        match (outcome, &mut settlement.initiator, &mut settlement.participant) {
            (OutcomeKind::Settle, Some(role), _) => *role = Initiator::Settled,
            (OutcomeKind::Settle, None, Some(role)) => *role = Participant::Settled,
            // Without a decision it gave up: it waits for the decider's word, its legs free
            // already. What said so may have been lost, the booking came back.
            (OutcomeKind::Refund, Some(role), _) => {
                *role = match settlement.decision {
                    Some(_) if *role != Initiator::Aborted => Initiator::Refunded,
                    Some(_) | None => Initiator::Aborted,
                };
            }
            (OutcomeKind::Refund, None, Some(role)) => *role = Participant::Refunded,
            (_, None, None) => {}
        }
        // Put back below: nothing in between asks for them.
        let legs = std::mem::take(&mut settlement.legs);
        let aborted = settlement.initiator == Some(Initiator::Aborted);
        if !held && !aborted {
            return Err(Fault::new(format!("{outcome:?} of {id} without legs held")));
        }
        self.release_headroom(&legs)?;
        self.touch_ledgers(&legs, false);
        if outcome == OutcomeKind::Settle {
            self.count_booked(id, &legs);
        }
        for leg in &legs {
            let Some(order) = leg.order.filter(|_| leg.from.domain == self.domain) else {
                continue;
            };
            if let Some(offer) = self.offers.get_mut(&order) {
                match outcome {
                    OutcomeKind::Settle => offer.fill(leg.amount)?,
                    OutcomeKind::Refund => {
                        offer.restore(leg.amount)?;
                    }
                }
            }
            self.takes.remove(&order);
            match outcome {
                OutcomeKind::Settle => {
                    self.payments.remove(&order);
                }
                OutcomeKind::Refund => self.detach_payment(&order, id),
            }
        }
        self.settlement_mut(id)?.legs = legs;
        self.close_if_done(id);
        Ok(())
    }

    /// The settlement leads to nothing; the payment may take another way.
    fn detach_payment(&mut self, order: &OrderId, id: &SettlementId) {
        if let Some(payment) = self.payments.get_mut(order)
            && payment.settlement == Some(*id)
        {
            payment.settlement = None;
        }
    }

    /// An agreement for a payment of ours: the ways up to the one that it takes are done with.
    fn attach_payment(&mut self, order: &OrderId, id: SettlementId, legs: &[Leg]) {
        let Some(payment) = self.payments.get_mut(order) else { return };
        payment.settlement = Some(id);
        if let Some(at) = payment.routes.iter().position(|route| route.is_way_of(legs)) {
            payment.routes.drain(..=at);
        }
    }

    fn apply_statement(&mut self, statement: &Statement) -> Result<(), Fault> {
        match statement {
            Statement::Take(_) | Statement::Rotated(_) | Statement::Appointed(_) => Ok(()),
            Statement::TakeRefused { offer, take, .. } => {
                if let Some(offer) = self.offers.get_mut(offer) {
                    offer.dismiss(*take);
                }
                Ok(())
            }
            Statement::Agreed(agreement) => self.apply_own_agreement(agreement),
            Statement::Locked(id) => self.apply_own_lock(id),
            Statement::Declined { settlement, .. } => {
                self.settlement_mut(settlement)?.participant = Some(Participant::Declined);
                self.close_if_done(settlement);
                Ok(())
            }
            Statement::Revealed(revealed) => {
                let settlement = self.settlement_mut(&revealed.settlement)?;
                settlement.initiator = Some(Initiator::Revealed);
                settlement.preimage = Some(revealed.preimage.clone());
                Ok(())
            }
            Statement::Aborted(aborted) => {
                self.settlement_mut(&aborted.settlement)?.initiator = Some(Initiator::Aborted);
                Ok(())
            }
            Statement::Decided(decided) => self.apply_own_decision(decided),
            Statement::Position(told) => {
                self.books.correspondent_mut(&told.with, &told.asset).mirror.said = told.count;
                Ok(())
            }
            Statement::Finalised { settlement, .. } => {
                self.close_if_done(settlement);
                Ok(())
            }
        }
    }

    fn apply_own_agreement(&mut self, agreement: &Agreement) -> Result<(), Fault> {
        let mut settlement = Settlement::of_agreement(agreement);
        settlement.initiator = Some(Initiator::Locking);
        settlement.locked.insert(self.domain.clone());
        for leg in agreement.legs.iter().filter(|leg| leg.from.domain == self.domain) {
            let Some(order) = leg.order else { continue };
            if let Some(offer) = self.offers.get_mut(&order) {
                offer.reserve(leg.amount).map_err(Fault::of)?;
                // The other leg names the take that this agreement answers.
                for other in agreement.legs.iter().filter_map(|leg| leg.order) {
                    offer.dismiss(TakeId(other.0));
                }
            }
            if let Some(take) = self.takes.get_mut(&order) {
                take.settlement = Some(settlement.id);
            }
        }
        if let Some(order) = agreement.legs.first().and_then(|leg| leg.order) {
            self.attach_payment(&order, settlement.id, &agreement.legs);
        }
        self.reserve_headroom(&agreement.legs)?;
        self.touch_ledgers(&agreement.legs, true);
        self.count_open(&agreement.header, true);
        self.settlements.insert(settlement.id, settlement);
        Ok(())
    }

    fn apply_own_lock(&mut self, id: &SettlementId) -> Result<(), Fault> {
        let domain = self.domain.clone();
        let settlement = self.settlement_mut(id)?;
        if settlement.participant != Some(Participant::Proposed) {
            // Said again after a recovery, to those who had not heard it.
            return Ok(());
        }
        settlement.participant = Some(Participant::Locked);
        settlement.locked.insert(domain.clone());
        // Put back below: nothing in between asks for them.
        let legs = std::mem::take(&mut settlement.legs);
        for leg in legs.iter().filter(|leg| leg.from.domain == domain) {
            let Some(order) = leg.order else { continue };
            if let Some(take) = self.takes.get_mut(&order) {
                take.settlement = Some(*id);
            }
            if let Some(offer) = self.offers.get_mut(&order) {
                offer.reserve(leg.amount).map_err(Fault::of)?;
            }
        }
        self.reserve_headroom(&legs)?;
        self.touch_ledgers(&legs, true);
        self.settlement_mut(id)?.legs = legs;
        Ok(())
    }

    fn apply_own_decision(&mut self, decided: &Decided) -> Result<(), Fault> {
        let outcome = decided.outcome.kind();
        // Said again after a recovery, to those who had not heard it.
        let Some(settlement) = self.settlements.get_mut(&decided.settlement) else {
            return Ok(());
        };
        if settlement.decider != Some(Decider::Open) && settlement.decision == Some(outcome) {
            return Ok(());
        }
        let sabotaged = crate::sabotage::planted(crate::sabotage::Bug::TwoDecisions);
        if settlement.decider != Some(Decider::Open) && !sabotaged {
            return Err(Fault::new(format!("second decision on {}", decided.settlement)));
        }
        settlement.decider = Some(match outcome {
            OutcomeKind::Settle => Decider::Settled,
            OutcomeKind::Refund => Decider::Refunded,
        });
        settlement.decision = Some(outcome);
        if outcome == OutcomeKind::Refund && settlement.participant == Some(Participant::Proposed) {
            settlement.participant = Some(Participant::Declined);
        }
        self.foregone.remove(&decided.settlement);
        self.close_if_done(&decided.settlement);
        Ok(())
    }

    /// Opens the decider's machine for a settlement known only by its header: told by its
    /// initiator, or named in a question.
    pub(super) fn open_decider(&mut self, header: &Header, asked: Option<&Domain>) {
        let id = header.id();
        if self.settlements.contains_key(&id) {
            return;
        }
        let mut settlement = Settlement::new(header.clone(), crate::types::Bounded::default());
        settlement.decider = Some(Decider::Open);
        self.recall(&mut settlement);
        settlement.asked = asked.cloned();
        match asked {
            Some(by) => self.count_asked(by, true),
            None => self.count_open(header, true),
        }
        if self.peer(&header.initiator).is_none_or(|peer| peer.number < header.number) {
            self.tombstones.insert((header.initiator.clone(), header.number, id));
        }
        self.settlements.insert(id, settlement);
    }
}
