//! An offer at its maker's validator: the one place that decides who takes it.
//!
//! ```text
//!   take --> consider --+-- no window --> SelectNow --> reserve --> ... --> fill | restore
//!                       \-- window -----> Wait --> select --> reserve each winner, in order
//! ```
//!
//! Invariants: `reserved <= remaining <= give_amount`. `remaining` is what the maker's ledger
//! still keeps aside for the offer; once the offer is not live that is `reserved` alone, the
//! rest has been released. Takes wait exactly while `closes` is set, and never on an offer that
//! was cancelled or has expired.
//! The sum of all fills and releases is `give_amount` when the offer is done.

use std::cmp::Reverse;

use bincode::{Decode, Encode};

use super::{OfferClosed, OfferNotice, OfferTerms, Price};
use crate::error::{Code, Fault, Refusal};
use crate::limits::TAKES_PER_OFFER;
use crate::refuse;
use crate::settlement::agreement::Account;
use crate::types::{Amount, Bounded, Domain, Duration, OrderId, TakeId, Time, Ubi};

/// Whether an offer takes takes, and if not, why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum OfferState {
    /// It does.
    Live,
    /// The maker cancelled it.
    Cancelled,
    /// Its time is over.
    Expired,
    /// All of it has been settled.
    Filled,
}

/// What can happen to an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    Take,
    Select,
    Reserve,
    Fill,
    Restore,
    Cancel,
    Expire,
}

/// What an event means in a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// It goes ahead.
    Allow,
    /// It goes ahead, and what comes back goes to the ledger rather than on offer again.
    Release,
    /// The offer ends in this state.
    End(OfferState),
    /// It comes too late: refused with this code.
    Refuse(Code),
    /// It changes nothing.
    Ignore,
    /// It cannot happen unless our own books are wrong.
    Broken,
}

/// The machine: one line per pair of state and event.
const fn rule(state: OfferState, event: Event) -> Rule {
    use Event::{Cancel, Expire, Fill, Reserve, Restore, Select, Take};
    use OfferState::{Cancelled, Expired, Filled, Live};
    match (state, event) {
        (Live, Take | Select | Reserve | Fill | Restore) => Rule::Allow,
        (Live, Cancel) => Rule::End(Cancelled),
        (Live, Expire) => Rule::End(Expired),
        (Cancelled | Expired, Fill) => Rule::Allow,
        (Cancelled | Expired, Restore) => Rule::Release,
        (Filled, Fill | Restore) => Rule::Broken,
        (Cancelled, Take | Reserve | Cancel) => Rule::Refuse(Code::OfferCancelled),
        (Expired, Take | Reserve | Cancel) => Rule::Refuse(Code::OfferExpired),
        (Filled, Take | Reserve | Cancel) => Rule::Refuse(Code::UnknownOffer),
        // A window can outlast the rest that it was opened for: its takes lose then.
        (Cancelled, Select) => Rule::Refuse(Code::OfferCancelled),
        (Expired, Select) => Rule::Refuse(Code::OfferExpired),
        (Filled, Select) => Rule::Refuse(Code::TakeLost),
        (Cancelled | Expired | Filled, Expire) => Rule::Ignore,
    }
}

/// A take that has reached the maker's validator.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct WaitingTake {
    /// The take.
    pub id: TakeId,
    /// The taker's validator.
    pub taker: Domain,
    /// The taker's account, as its validator names it; nothing here looks into it.
    pub account: Ubi,
    /// Where the taker receives, when that is not this account.
    pub receive: Option<Account>,
    /// How much of the asset that the offer gives, in minor units.
    pub take: Amount,
    /// How much of the asset that the offer wants, in minor units.
    pub pay: Amount,
    /// Its number in the order of arrival at the maker's validator.
    pub received: u64,
    /// From this time on it no longer stands.
    pub expiry: Time,
}

/// What becomes of a take that may trade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Considered {
    /// It is selected: the caller reserves its amount and draws up the agreement.
    SelectNow,
    /// It waits with the others until this time, when the caller calls `select`.
    Wait {
        /// When the window closes.
        until: Time,
    },
}

/// Who won and who lost when a window closed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selection {
    /// Selected takes, best first; together they fit what can be taken.
    pub winners: Vec<WaitingTake>,
    /// The others and why: `Q-1507` the winners took everything, `Q-1504` more than they left,
    /// `Q-1503` below the minimum, `Q-1408` expired while it waited.
    pub losers: Vec<(WaitingTake, Code)>,
}

/// What ending an offer gives back.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Withdrawal {
    /// What the maker's ledger releases now, in minor units of the given asset. What open
    /// settlements have reserved is not in it.
    pub release: Amount,
    /// The takes that waited, each with the reason it is told.
    pub losers: Vec<(WaitingTake, Code)>,
}

/// One offer and what has become of it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Offer {
    id: OrderId,
    ledger: Ubi,
    terms: OfferTerms,
    remaining: Amount,
    reserved: Amount,
    version: u32,
    waiting: Bounded<WaitingTake, TAKES_PER_OFFER>,
    closes: Option<Time>,
    state: OfferState,
}

impl Offer {
    /// A live offer of `ledger`, which keeps `terms.give_amount` aside for it. The terms have
    /// passed [`OfferTerms::check`].
    #[must_use]
    pub fn new(id: OrderId, ledger: Ubi, terms: OfferTerms) -> Self {
        let remaining = terms.give_amount;
        Self {
            id,
            ledger,
            terms,
            remaining,
            reserved: Amount::ZERO,
            version: 1,
            waiting: Bounded::default(),
            closes: None,
            state: OfferState::Live,
        }
    }

    /// The order that made it.
    #[must_use]
    pub const fn id(&self) -> OrderId {
        self.id
    }

    /// The maker's ledger.
    #[must_use]
    pub const fn ledger(&self) -> Ubi {
        self.ledger
    }

    /// The terms.
    #[must_use]
    pub const fn terms(&self) -> &OfferTerms {
        &self.terms
    }

    /// What the ledger still keeps aside for it, in minor units of the given asset.
    #[must_use]
    pub const fn remaining(&self) -> Amount {
        self.remaining
    }

    /// The part of `remaining` that is inside open settlements.
    #[must_use]
    pub const fn reserved(&self) -> Amount {
        self.reserved
    }

    /// The part of `remaining` that is not: what can be taken while the offer is live.
    #[must_use]
    pub const fn available(&self) -> Amount {
        self.remaining.minus_or_zero(self.reserved)
    }

    /// Rises with every change that its notice shows.
    #[must_use]
    pub const fn version(&self) -> u32 {
        self.version
    }

    /// The takes that wait for selection, in order of arrival.
    #[must_use]
    pub fn waiting(&self) -> &[WaitingTake] {
        &self.waiting
    }

    /// When the selection window closes, while one is open.
    #[must_use]
    pub const fn closes(&self) -> Option<Time> {
        self.closes
    }

    /// The state.
    #[must_use]
    pub const fn state(&self) -> OfferState {
        self.state
    }

    /// Whether nothing can happen to it any more, so that it may be forgotten.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        match self.state {
            OfferState::Live => false,
            OfferState::Cancelled | OfferState::Expired | OfferState::Filled => {
                self.reserved.is_zero() && self.closes.is_none()
            }
        }
    }

    /// What is published of it while it is live.
    #[must_use]
    pub fn notice(&self, validator: Domain) -> OfferNotice {
        OfferNotice {
            offer: self.id,
            validator,
            version: self.version,
            // Where the maker receives is between it and who takes the offer.
            terms: OfferTerms { receive: None, ..self.terms.clone() },
            remaining: self.available(),
        }
    }

    /// What is published of it when it is live no more; `None` while it is.
    #[must_use]
    pub fn closed(&self, validator: Domain) -> Option<OfferClosed> {
        let reason = match self.state {
            OfferState::Live => return None,
            OfferState::Cancelled => Code::OfferCancelled,
            OfferState::Expired => Code::OfferExpired,
            OfferState::Filled => Code::UnknownOffer,
        };
        let pair = self.terms.pair();
        Some(OfferClosed { offer: self.id, validator, pair, version: self.version, reason })
    }

    /// Considers a take that arrived at `now`; changes nothing. A take that waits already is told
    /// so again.
    ///
    /// # Errors
    /// `Q-1510`, `Q-1502`, `Q-1501` the offer is cancelled, expired or filled; `Q-1506` it names
    /// other counterparties; `Q-1417` nothing is taken; `Q-1503` below the minimum; `Q-1504`
    /// more than is left; `Q-1505` price too low; `Q-1408` the take expires before it could be
    /// selected; `Q-1508` too many wait.
    pub fn consider(&self, take: &WaitingTake, now: Time) -> Result<Considered, Refusal> {
        self.allows(Event::Take)?;
        // Before anything that reads the clock: repeating a take must not change its fate.
        if let (Some(until), true) = (self.closes, self.waits(take.id)) {
            return Ok(Considered::Wait { until });
        }
        if now >= self.terms.expiry {
            refuse!(OfferExpired, "expired {}", self.terms.expiry);
        }
        if !self.terms.admits(&take.taker) {
            refuse!(NotAllowedCounterparty, "{}", take.taker);
        }
        let available = self.available();
        if let Err(code) = fits(&self.terms, available, take.take) {
            let minimum = self.terms.minimum_fill;
            let what = format!("{} of {available} left, minimum {minimum}", take.take);
            return Err(Refusal::new(code, what));
        }
        if !self.terms.price_accepts(take.take, take.pay) {
            let (want, give) = (self.terms.want_amount, self.terms.give_amount);
            refuse!(PriceTooLow, "{} for {}, the price is {want} for {give}", take.pay, take.take);
        }
        if take.expiry <= now {
            refuse!(OrderExpired, "expired {}", take.expiry);
        }
        if self.terms.selection_window == Duration(0) {
            return Ok(Considered::SelectNow);
        }
        self.wait(take, now)
    }

    /// Until when a take that may trade waits; it opens the window if it is the first.
    fn wait(&self, take: &WaitingTake, now: Time) -> Result<Considered, Refusal> {
        // A window closes before the offer expires, so that takes that came in time are still
        // selected when both timers are due.
        let last = self.terms.expiry.before(Duration(1));
        let until = self.closes.unwrap_or_else(|| now.after(self.terms.selection_window).min(last));
        if take.expiry <= until {
            refuse!(OrderExpired, "expires {}, selection is {until}", take.expiry);
        }
        if self.waiting.len() >= TAKES_PER_OFFER {
            refuse!(TooManyTakes, "{TAKES_PER_OFFER} wait");
        }
        Ok(Considered::Wait { until })
    }

    /// Puts a take that was told to wait `until` among those that wait; once, however often.
    ///
    /// # Errors
    /// A fault when too many wait already.
    pub fn enqueue(&mut self, take: WaitingTake, until: Time) -> Result<(), Fault> {
        if self.waits(take.id) {
            return Ok(());
        }
        let mut waiting = std::mem::take(&mut self.waiting).into_vec();
        waiting.push(take);
        self.waiting = Bounded::new(waiting).map_err(Fault::of)?;
        self.closes = Some(until);
        Ok(())
    }

    /// A take no longer waits: it was answered. With the last one the window is closed.
    pub fn dismiss(&mut self, take: TakeId) {
        if !self.waits(take) {
            return;
        }
        let mut waiting = std::mem::take(&mut self.waiting).into_vec();
        waiting.retain(|waiting| waiting.id != take);
        if waiting.is_empty() {
            self.closes = None;
        }
        self.waiting = Bounded::new(waiting).unwrap_or_default();
    }

    fn waits(&self, take: TakeId) -> bool {
        self.waiting.iter().any(|waiting| waiting.id == take)
    }

    /// Selects at `now` among the takes that wait: the best price first, then the earlier
    /// arrival, each in full or not at all. Changes nothing: the caller answers each take, which
    /// dismisses it, and reserves each winner's amount; together they fit `available`.
    #[must_use]
    pub fn select(&self, now: Time) -> Selection {
        let waiting = self.waiting.to_vec();
        match rule(self.state, Event::Select) {
            Rule::Allow => select(&self.terms, self.available(), waiting, now),
            Rule::Refuse(code) => Selection {
                winners: Vec::new(),
                losers: waiting.into_iter().map(|take| (take, code)).collect(),
            },
            Rule::Release | Rule::End(_) | Rule::Ignore | Rule::Broken => Selection::default(),
        }
    }

    fn close_window(&mut self) -> Vec<WaitingTake> {
        self.closes = None;
        std::mem::take(&mut self.waiting).into_vec()
    }

    /// Sets `amount` aside for one settlement.
    ///
    /// # Errors
    /// `Q-1510`, `Q-1502`, `Q-1501` the offer is not live; `Q-1417` nothing; `Q-1504` more than
    /// is left. Nothing changes then.
    pub fn reserve(&mut self, amount: Amount) -> Result<(), Refusal> {
        self.allows(Event::Reserve)?;
        if amount.is_zero() {
            refuse!(ZeroAmount, "nothing to reserve");
        }
        let available = self.available();
        let reserved = self.reserved.plus(amount).filter(|sum| *sum <= self.remaining);
        let Some(reserved) = reserved else {
            refuse!(AboveRemaining, "{amount} of {available} left");
        };
        self.reserved = reserved;
        self.changed();
        Ok(())
    }

    /// A settlement of `amount` reserved before has settled.
    ///
    /// # Errors
    /// A fault when that much was not reserved: nothing changes then.
    pub fn fill(&mut self, amount: Amount) -> Result<(), Fault> {
        let (reserved, remaining) = self.taken_out(Event::Fill, amount)?;
        self.reserved = reserved;
        self.remaining = remaining;
        if self.state == OfferState::Live && remaining.is_zero() {
            self.state = OfferState::Filled;
            self.changed();
        }
        Ok(())
    }

    /// A settlement of `amount` reserved before was refunded. Returns what the maker's ledger
    /// releases now: nothing while the offer is live, for then the amount is on offer again.
    ///
    /// # Errors
    /// A fault when that much was not reserved: nothing changes then.
    pub fn restore(&mut self, amount: Amount) -> Result<Amount, Fault> {
        let (reserved, remaining) = self.taken_out(Event::Restore, amount)?;
        self.reserved = reserved;
        match rule(self.state, Event::Restore) {
            Rule::Release => {
                self.remaining = remaining;
                Ok(amount)
            }
            Rule::Allow | Rule::End(_) | Rule::Refuse(_) | Rule::Ignore | Rule::Broken => {
                self.changed();
                Ok(Amount::ZERO)
            }
        }
    }

    /// The maker takes the offer back.
    ///
    /// # Errors
    /// `Q-1510`, `Q-1502`, `Q-1501` it was not live.
    pub fn cancel(&mut self) -> Result<Withdrawal, Refusal> {
        self.allows(Event::Cancel)?;
        Ok(self.end(Event::Cancel, Code::OfferCancelled))
    }

    /// Ends the offer if it is live and `now` is its expiry or later; `None` otherwise. Call
    /// `select` first when its window is due too, or the takes that wait lose with the offer.
    pub fn expire(&mut self, now: Time) -> Option<Withdrawal> {
        let due = self.state == OfferState::Live && now >= self.terms.expiry;
        due.then(|| self.end(Event::Expire, Code::OfferExpired))
    }

    fn end(&mut self, event: Event, reason: Code) -> Withdrawal {
        match rule(self.state, event) {
            Rule::End(state) => {
                let release = self.available();
                let waiting = self.close_window();
                self.remaining = self.reserved;
                self.state = state;
                self.changed();
                let losers = waiting.into_iter().map(|take| (take, reason)).collect();
                Withdrawal { release, losers }
            }
            Rule::Allow | Rule::Release | Rule::Refuse(_) | Rule::Ignore | Rule::Broken => {
                Withdrawal::default()
            }
        }
    }

    fn allows(&self, event: Event) -> Result<(), Refusal> {
        match rule(self.state, event) {
            Rule::Refuse(code) => Err(Refusal::new(code, self.id.to_string())),
            Rule::Allow | Rule::Release | Rule::End(_) | Rule::Ignore | Rule::Broken => Ok(()),
        }
    }

    /// `reserved` and `remaining` without `amount`, which `event` takes out of a reservation.
    fn taken_out(&self, event: Event, amount: Amount) -> Result<(Amount, Amount), Fault> {
        let less = self.reserved.minus(amount).zip(self.remaining.minus(amount));
        match (rule(self.state, event), less) {
            (Rule::Allow | Rule::Release, Some(less)) => Ok(less),
            (Rule::Allow | Rule::Release, None)
            | (Rule::End(_) | Rule::Refuse(_) | Rule::Ignore | Rule::Broken, _) => {
                let Self { id, state, reserved, .. } = self;
                let what = format!("{event:?} of {amount}, {reserved} reserved: {state:?} {id}");
                Err(Fault::new(what))
            }
        }
    }

    const fn changed(&mut self) {
        self.version = self.version.saturating_add(1);
    }

    /// Checks the module's invariants on this offer.
    ///
    /// # Errors
    /// A fault that names the one that is broken.
    pub fn check_invariants(&self) -> Result<(), Fault> {
        let broken = |what: &str| Err(Fault::new(format!("{what}: {self:?}")));
        if self.reserved > self.remaining || self.remaining > self.terms.give_amount {
            return broken("reserved <= remaining <= give_amount");
        }
        if self.closes.is_some() == self.waiting.is_empty() {
            return broken("takes wait exactly while a window is open");
        }
        match self.state {
            OfferState::Live if self.remaining.is_zero() => broken("a live offer has a rest"),
            OfferState::Live => Ok(()),
            OfferState::Filled if !self.remaining.is_zero() => broken("a filled offer has none"),
            OfferState::Filled => Ok(()),
            OfferState::Cancelled | OfferState::Expired => {
                if self.remaining != self.reserved || self.closes.is_some() {
                    return broken("an ended offer keeps only what is reserved");
                }
                Ok(())
            }
        }
    }
}

/// Whether a take of `amount` fits an offer of which `left` can be taken. Less than the minimum
/// will do only where less than the minimum is left and the take is for all of it: otherwise a
/// rest could never be sold.
fn fits(terms: &OfferTerms, left: Amount, amount: Amount) -> Result<(), Code> {
    if amount.is_zero() {
        return Err(Code::ZeroAmount);
    }
    if amount > left {
        return Err(Code::AboveRemaining);
    }
    let takes_the_rest = left < terms.minimum_fill && amount == left;
    if amount < terms.minimum_fill && !takes_the_rest {
        return Err(Code::BelowMinimum);
    }
    Ok(())
}

fn select(
    terms: &OfferTerms,
    available: Amount,
    mut waiting: Vec<WaitingTake>,
    now: Time,
) -> Selection {
    // No take of nothing ever waits, so each has a price and the order is total.
    waiting.sort_by_cached_key(|take| {
        (Reverse(Price::new(take.pay, take.take)), take.received, take.id)
    });
    let mut left = available;
    let mut selection = Selection::default();
    for take in waiting {
        let verdict = if take.expiry <= now {
            Err(Code::OrderExpired)
        } else if left.is_zero() && !selection.winners.is_empty() {
            Err(Code::TakeLost)
        } else {
            fits(terms, left, take.take)
        };
        match verdict {
            Ok(()) => {
                left = left.minus_or_zero(take.take);
                selection.winners.push(take);
            }
            Err(code) => selection.losers.push((take, code)),
        }
    }
    selection
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test may overflow: it fails then")]
mod tests;
