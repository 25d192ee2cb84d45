//! The book: our own offers as published, and other validators' notices. It binds nobody and
//! is rebuilt from the state and from what peers publish.

use super::Validator;
use crate::log::Record;
use crate::market::OfferNotice;
use crate::types::{Domain, Time};

impl Validator {
    pub(super) fn list_own(&mut self, notice: &OfferNotice, now: Time) {
        self.volatile.notices_seen = self.volatile.notices_seen.saturating_add(1);
        // A stale or expired notice has no place in a book; that loses nothing.
        let _ = self.volatile.book.insert(notice.clone(), self.volatile.notices_seen, now);
    }

    pub(super) fn list_own_offers(&mut self, now: Time) {
        let domain = &self.state.domain;
        let notices: Vec<OfferNotice> = self
            .state
            .offers
            .sorted()
            .into_iter()
            .filter(|(_, offer)| offer.closed(domain.clone()).is_none())
            .map(|(_, offer)| offer.notice(domain.clone()))
            .collect();
        for notice in &notices {
            self.list_own(notice, now);
        }
    }

    /// A published record of another validator. It may speak of its own offers only.
    pub(super) fn handle_notice(&mut self, now: Time, from: &Domain, record: &Record) {
        self.volatile.book.expire(now);
        // Our own word coming back: the book has it from us, and it may be old.
        if *from == self.state.domain {
            return;
        }
        let refused = match record {
            Record::OfferPosted(notice) if notice.validator == *from => {
                self.volatile.notices_seen = self.volatile.notices_seen.saturating_add(1);
                let seen = self.volatile.notices_seen;
                self.volatile.book.insert(notice.clone(), seen, now).err()
            }
            Record::OfferClosed(closed) if closed.validator == *from => {
                self.volatile.book.close(closed, now).err()
            }
            other => {
                let code = crate::error::Code::WrongRecord;
                Some(crate::error::Refusal::new(code, other.kind()))
            }
        };
        // Late, repeated and expired notices are everyday; they are no misbehaviour.
        let everyday = [crate::error::Code::StaleSequence, crate::error::Code::OfferExpired];
        if let Some(refusal) = refused.filter(|refusal| !everyday.contains(&refusal.code)) {
            self.misbehaved(from, refusal.code, refusal.what);
        }
    }
}
