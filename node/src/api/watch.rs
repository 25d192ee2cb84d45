//! The book as a subscriber is told of it: what is there now, and then every change.
//!
//! Offers of other domains are gossip and in nobody's log but their maker's, so these events are
//! of now: a subscriber that was away is told the book anew. Invariant: what was told last and
//! the changes since add up to the book, as far as the bound reaches.

use std::collections::BTreeMap;
use std::time::Duration;

use quadrille_protocol::types::{AssetPair, OrderId, Time, Uai};
use quadrille_protocol::validator::Validator;

use super::dto::{BookEntry, EventKind, EventView};
use super::view;

/// Offers that one subscriber can watch; of each pair the best are told first.
const WATCHED_OFFERS: usize = 4_096;
/// How often the book is looked at for a subscriber.
pub(crate) const LOOK: Duration = Duration::from_millis(500);

/// What a subscriber has been told of the book.
#[derive(Debug, Clone, Default)]
pub(crate) struct BookWatch {
    give: Option<Uai>,
    want: Option<Uai>,
    told: BTreeMap<OrderId, BookEntry>,
}

impl BookWatch {
    /// One of the offers that give and want these assets, where they are named.
    pub fn new(give: Option<Uai>, want: Option<Uai>) -> Self {
        Self { give, want, told: BTreeMap::new() }
    }

    /// A look that collects what it watches.
    pub fn look(&self) -> impl FnOnce(&Validator) -> Vec<BookEntry> + Send + 'static {
        let (give, want) = (self.give.clone(), self.want.clone());
        move |validator| {
            let (own, book) = (&validator.state().domain, validator.book());
            let fits = |pair: &&AssetPair| {
                give.as_ref().is_none_or(|give| pair.give == *give)
                    && want.as_ref().is_none_or(|want| pair.want == *want)
            };
            let notices = book.pairs().filter(fits).flat_map(|pair| book.iter_pair(pair));
            notices.take(WATCHED_OFFERS).map(|notice| view::book_entry(own, notice)).collect()
        }
    }

    /// What has changed since the last time, at `now`.
    pub fn changes(&mut self, book: Vec<BookEntry>, now: Time) -> Vec<EventView> {
        let mut gone = std::mem::take(&mut self.told);
        let mut events = Vec::new();
        for entry in book {
            if gone.remove(&entry.offer).as_ref() != Some(&entry) {
                events.push(event(EventKind::OfferSeen, &entry, now));
            }
            self.told.insert(entry.offer, entry);
        }
        events.extend(gone.values().map(|entry| event(EventKind::OfferGone, entry, now)));
        events
    }
}

fn event(kind: EventKind, entry: &BookEntry, now: Time) -> EventView {
    EventView {
        order: Some(entry.offer),
        domain: Some(entry.validator.clone()),
        amount: Some(entry.available),
        give: Some(entry.give.clone()),
        want: Some(entry.want.clone()),
        offer: Some(Box::new(entry.clone())),
        ..EventView::blank(kind, now, None)
    }
}

#[cfg(test)]
mod tests {
    use quadrille_protocol::types::Amount;

    use super::*;

    fn entry(offer: u8, available: u128) -> BookEntry {
        let asset = |code: &str| -> Uai {
            let zeros = "0".repeat(16);
            format!("{code}:bank-a.example#{zeros}").parse().unwrap()
        };
        BookEntry {
            offer: OrderId([offer; 32]),
            validator: "bank-a.example".parse().unwrap(),
            ours: false,
            give: asset("BOND"),
            want: asset("EUR"),
            available: Amount::new(available),
            price: Amount::new(available),
            give_amount: Amount::new(9),
            want_amount: Amount::new(9),
            minimum_fill: Amount::ZERO,
            expires: Time(9),
            counterparties: vec![],
            notary: None,
            selection_window_ms: 0,
        }
    }

    #[test]
    fn a_watcher_is_told_what_is_there_then_what_changes_and_then_what_goes() {
        let mut watch = BookWatch::new(None, None);
        let told = |watch: &mut BookWatch, book: &[BookEntry]| {
            let events = watch.changes(book.to_vec(), Time(1));
            let rows = events.iter().map(|event| (event.kind, event.order.unwrap().0[0]));
            rows.collect::<Vec<_>>()
        };
        use EventKind::{OfferGone, OfferSeen};
        let (one, two) = (entry(1, 5), entry(2, 5));
        assert_eq!(told(&mut watch, std::slice::from_ref(&one)), [(OfferSeen, 1)]);
        assert_eq!(told(&mut watch, std::slice::from_ref(&one)), []);
        assert_eq!(told(&mut watch, &[one, two.clone()]), [(OfferSeen, 2)]);
        assert_eq!(told(&mut watch, &[entry(1, 4), two.clone()]), [(OfferSeen, 1)]);
        assert_eq!(told(&mut watch, &[two]), [(OfferGone, 1)]);
        assert_eq!(told(&mut watch, &[]), [(OfferGone, 2)]);
    }
}
