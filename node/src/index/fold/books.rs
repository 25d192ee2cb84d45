//! Ledgers, entries, orders and offers.

use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::ledger::order::{Action, VerifiedOrder};
use quadrille_protocol::ledger::transaction::{Cause, ContraAccount, Entry, Transaction};
use quadrille_protocol::ledger::{Opening, Replacement, SignedOpening};
use quadrille_protocol::log::record::SignedRefusal;
use quadrille_protocol::market::{OfferClosed, OfferNotice, OfferTerms};
use quadrille_protocol::types::{Amount, Hash, OrderId, Sequence, Ubi};

use super::super::keys::{Key, Kind};
use super::super::rows::{
    EntryCause, EntryRow, LedgerRow, OfferEnd, OfferRow, OrderKind, OrderRow, OrderState, Place,
};
use super::{At, Fold};

impl Fold<'_> {
    pub(super) fn transaction(&mut self, transaction: &Transaction, at: At) -> Result<(), Refusal> {
        if at.recovered && !self.continues(transaction)? {
            return Ok(());
        }
        self.counters.transactions = self.counters.transactions.saturating_add(1);
        if let Cause::Opened(signed) = &transaction.cause {
            self.opened(signed, at);
        }
        for entry in &transaction.entries {
            self.entry(entry, transaction, at)?;
        }
        match &transaction.cause {
            Cause::Opened(_) | Cause::Issued(_) | Cause::Frozen | Cause::Unfrozen => Ok(()),
            Cause::Ordered(order) => self.ordered(order, at),
            Cause::Settled(id) => self.booked(id, true, at),
            Cause::Refunded(id) => self.booked(id, false, at),
            Cause::Traded { take, .. } => self.order_state(take, OrderState::Filled, at),
            Cause::OfferEnded { offer, reason } => {
                self.order_state(offer, OrderState::Ended(*reason), at)
            }
            Cause::TakeEnded { take, reason } => {
                self.order_state(take, OrderState::Ended(*reason), at)
            }
            Cause::PaymentEnded { order, reason } => {
                self.order_state(order, OrderState::Ended(*reason), at)
            }
            Cause::KeyReplaced(replaced) => self.key_replaced(&replaced.signed.replacement),
        }
    }

    /// Whether every entry is the next one of its ledger, and what is issued is known. A loss may
    /// have taken the profile; then the books did not take the transaction back either.
    fn continues(&mut self, transaction: &Transaction) -> Result<bool, Refusal> {
        for entry in &transaction.entries {
            let (head, hash) = match self.draft.row::<LedgerRow>(&entry.ledger)? {
                Some(ledger) => (ledger.head, ledger.head_hash),
                None => (Sequence(0), Hash::ZERO),
            };
            if entry.sequence != head.next() || entry.previous != hash {
                return Ok(false);
            }
        }
        for contra in &transaction.contras {
            let key = Key::of(Kind::Asset).name(&contra.asset.to_string());
            if contra.account == ContraAccount::Issuance && !self.draft.has(key)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn opened(&mut self, signed: &SignedOpening, at: At) {
        let Opening { holder, number, key, rules, .. } = &signed.opening;
        let ledger = signed.opening.ubi();
        let row = LedgerRow {
            ledger,
            holder: holder.clone(),
            number: *number,
            opened: at.place(),
            time: at.time,
            key: key.id(),
            second_key: rules.second_key.as_ref().map(|key| key.id()),
            head: Sequence(0),
            head_hash: Hash::ZERO,
        };
        self.counters.ledgers = self.counters.ledgers.saturating_add(1);
        self.draft.keep(ledger, row);
        self.draft.put(Key::holder(holder, *number, &ledger), &ledger);
        for key in [Some(key), rules.second_key.as_ref()].into_iter().flatten() {
            self.draft.put(Key::public_key(&key.id()), key);
        }
    }

    fn entry(&mut self, entry: &Entry, transaction: &Transaction, at: At) -> Result<(), Refusal> {
        let Entry { ledger, sequence, movements, .. } = entry;
        let hash = entry.hash(&transaction.cause);
        let row = EntryRow {
            ledger: *ledger,
            sequence: *sequence,
            place: at.place(),
            hash,
            time: transaction.time,
            cause: EntryCause::of(&transaction.cause),
            movements: movements.clone(),
        };
        self.counters.entries = self.counters.entries.saturating_add(1);
        if let Some(known) = self.draft.change::<LedgerRow>(ledger)? {
            let head = known.head;
            known.head = *sequence;
            known.head_hash = hash;
            // Entries that came back after a loss and did not fit: the chain goes on without.
            for stray in sequence.0.saturating_add(1)..=head.0 {
                self.draft.remove(Key::entry(ledger, Sequence(stray)));
            }
        }
        self.draft.put(Key::entry(ledger, *sequence), &row);
        Ok(())
    }

    fn ordered(&mut self, order: &VerifiedOrder, at: At) -> Result<(), Refusal> {
        let (id, ledger) = (order.id(), order.order().ledger);
        let action = &order.order().action;
        let state = match action {
            Action::Offer(terms) => {
                self.offer_made(id, ledger, terms, at);
                OrderState::Open
            }
            Action::Take { .. } => OrderState::Open,
            Action::Pay(payment) if payment.to.domain != self.own()? => OrderState::Open,
            Action::Pay(_)
            | Action::Cancel { .. }
            | Action::Amend(_)
            | Action::RotateKey { .. }
            | Action::Redeem { .. }
            | Action::Close => OrderState::Done,
        };
        self.change_keys(ledger, action)?;
        self.counters.orders_accepted = self.counters.orders_accepted.saturating_add(1);
        self.unlist_order(&id)?;
        self.list_order(OrderRow {
            order: id,
            ledger,
            kind: Some(OrderKind::of(action)),
            place: at.place(),
            time: at.time,
            state,
            settlement: None,
            refused_by: None,
            changed: at.place(),
            changed_time: at.time,
        });
        Ok(())
    }

    fn change_keys(&mut self, ledger: Ubi, action: &Action) -> Result<(), Refusal> {
        let key = match action {
            Action::Amend(rules) => rules.second_key.as_ref(),
            Action::RotateKey { key } => Some(key),
            Action::Pay(_)
            | Action::Offer(_)
            | Action::Take { .. }
            | Action::Cancel { .. }
            | Action::Redeem { .. }
            | Action::Close => return Ok(()),
        };
        if let Some(key) = key {
            self.draft.put(Key::public_key(&key.id()), key);
        }
        let Some(row) = self.draft.change::<LedgerRow>(&ledger)? else { return Ok(()) };
        match (action, key) {
            (Action::RotateKey { .. }, Some(key)) => row.key = key.id(),
            (_, key) => row.second_key = key.map(|key| key.id()),
        }
        Ok(())
    }

    fn key_replaced(&mut self, replacement: &Replacement) -> Result<(), Refusal> {
        let Replacement { ledger, key, second_key, .. } = replacement;
        for key in [Some(key), second_key.as_ref()].into_iter().flatten() {
            self.draft.put(Key::public_key(&key.id()), key);
        }
        let Some(row) = self.draft.change::<LedgerRow>(ledger)? else { return Ok(()) };
        row.key = key.id();
        row.second_key = second_key.as_ref().map_or(row.second_key, |key| Some(key.id()));
        Ok(())
    }

    /// An order that was refused may be sent again and accepted; one that was accepted stays so,
    /// whatever is said to a repetition.
    pub(super) fn order_refused(&mut self, refused: &SignedRefusal, at: At) -> Result<(), Refusal> {
        self.counters.orders_refused = self.counters.orders_refused.saturating_add(1);
        let known = self.draft.row::<OrderRow>(&refused.order)?;
        if known.is_some_and(|known| !matches!(known.state, OrderState::Refused(_))) {
            return Ok(());
        }
        self.unlist_order(&refused.order)?;
        self.list_order(OrderRow {
            order: refused.order,
            ledger: refused.ledger,
            kind: None,
            place: at.place(),
            time: at.time,
            state: OrderState::Refused(refused.refusal.clone()),
            settlement: None,
            refused_by: None,
            changed: at.place(),
            changed_time: at.time,
        });
        Ok(())
    }

    fn unlist_order(&mut self, id: &OrderId) -> Result<(), Refusal> {
        if let Some(known) = self.draft.row::<OrderRow>(id)? {
            let listed = order_of_ledger(&known.ledger, known.place);
            self.draft.remove(listed);
        }
        Ok(())
    }

    fn list_order(&mut self, row: OrderRow) {
        self.draft.put(order_of_ledger(&row.ledger, row.place), &row.order);
        self.draft.keep(row.order, row);
    }

    pub(super) fn order_state(
        &mut self,
        id: &OrderId,
        state: OrderState,
        at: At,
    ) -> Result<(), Refusal> {
        self.change_order(id, |row| {
            row.state = state;
            row.changed = at.place();
            row.changed_time = at.time;
        })
    }

    pub(super) fn change_order(
        &mut self,
        id: &OrderId,
        change: impl FnOnce(&mut OrderRow),
    ) -> Result<(), Refusal> {
        if let Some(row) = self.draft.change::<OrderRow>(id)? {
            change(row);
        }
        Ok(())
    }

    fn offer_made(&mut self, offer: OrderId, ledger: Ubi, terms: &OfferTerms, at: At) {
        let row = OfferRow {
            offer,
            ledger,
            ordered: at.place(),
            time: at.time,
            terms: terms.clone(),
            version: 0,
            remaining: terms.give_amount,
            posted: None,
            closed: None,
        };
        self.counters.offers = self.counters.offers.saturating_add(1);
        for key in offer_lists(&row, [Kind::OfferByPlace, Kind::LedgerOffer]) {
            self.draft.put(key, &offer);
        }
        for key in offer_lists(&row, [Kind::LiveOffer, Kind::LedgerLiveOffer]) {
            self.draft.put_new(key, &offer);
        }
        self.draft.keep(offer, row);
    }

    pub(super) fn offer_posted(&mut self, notice: &OfferNotice, at: At) -> Result<(), Refusal> {
        let Some(row) = self.draft.change::<OfferRow>(&notice.offer)? else { return Ok(()) };
        if notice.version < row.version || row.closed.is_some() {
            return Ok(());
        }
        row.version = notice.version;
        row.remaining = notice.remaining;
        row.posted = Some(at.place());
        Ok(())
    }

    /// An offer that is gone may be said to be gone again, when its last settlement ends: the
    /// first reason and time stand.
    pub(super) fn offer_closed(&mut self, closed: &OfferClosed, at: At) -> Result<(), Refusal> {
        let Some(row) = self.draft.change::<OfferRow>(&closed.offer)? else { return Ok(()) };
        row.version = row.version.max(closed.version);
        row.remaining = Amount::ZERO;
        let first = row.closed.is_none();
        if first {
            let (place, time, reason) = (at.place(), at.time, closed.reason);
            row.closed = Some(OfferEnd { place, time, reason });
        }
        if !first {
            return Ok(());
        }
        let listed = offer_lists(row, [Kind::LiveOffer, Kind::LedgerLiveOffer]);
        self.counters.offers_closed = self.counters.offers_closed.saturating_add(1);
        for key in listed {
            self.draft.remove(key);
        }
        let state = match closed.reason {
            Code::UnknownOffer => OrderState::Filled,
            reason => OrderState::Ended(reason),
        };
        self.order_state(&closed.offer, state, at)
    }
}

fn order_of_ledger(ledger: &Ubi, place: Place) -> Key {
    Key::of(Kind::LedgerOrder).id(ledger.as_bytes()).place(place)
}

/// The keys under which an offer is listed: of all ledgers, and of its own.
fn offer_lists(row: &OfferRow, [all, of_ledger]: [Kind; 2]) -> [Key; 2] {
    [
        Key::of(all).place(row.ordered),
        Key::of(of_ledger).id(row.ledger.as_bytes()).place(row.ordered),
    ]
}
