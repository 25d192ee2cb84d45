//! The handlers, by subject.

pub(super) mod assets;
pub(super) mod events;
pub(super) mod hooks;
pub(super) mod ledgers;
pub(super) mod market;
pub(super) mod names;
pub(super) mod node;
pub(super) mod orders;
pub(super) mod payments;
pub(super) mod peers;
pub(super) mod positions;
pub(super) mod recovery;
pub(super) mod settlements;

use quadrille_protocol::error::{Code, Refusal};

use super::dto::{ListQuery, PAGE_DEFAULT, PAGE_MAX, Page};
use crate::index::Cursor;

/// A page that was asked for.
pub(super) struct Wanted {
    pub cursor: Option<String>,
    pub limit: usize,
}

impl Wanted {
    pub fn of(limit: Option<usize>, cursor: Option<String>) -> Result<Self, Refusal> {
        let limit = limit.unwrap_or(PAGE_DEFAULT);
        if limit == 0 || limit > PAGE_MAX {
            return Err(Refusal::new(Code::BadQuery, format!("limit is 1 to {PAGE_MAX}")));
        }
        Ok(Self { cursor, limit })
    }

    /// The cursor of a list that the index makes.
    pub fn position(&self) -> Result<Option<Cursor>, Refusal> {
        let bad = |_| Refusal::new(Code::BadCursor, "not one that this list gave");
        self.cursor.as_deref().map(|text| text.parse().map_err(bad)).transpose()
    }

    /// The page of a sorted list that is made anew each time: its cursor is the last item's own
    /// text form. `all` begins after it.
    pub fn take<T>(&self, all: impl Iterator<Item = T>, name: impl Fn(&T) -> String) -> Page<T> {
        let mut items: Vec<T> = all.take(self.limit.saturating_add(1)).collect();
        let more = items.len() > self.limit;
        items.truncate(self.limit);
        let next = items.last().filter(|_| more).map(name);
        Page { items, next }
    }

    /// The name that a list of the kind of [`Wanted::take`] begins after.
    pub fn after<T: std::str::FromStr<Err = Refusal>>(&self) -> Result<Option<T>, Refusal> {
        let bad = |_| Refusal::new(Code::BadCursor, "not one that this list gave");
        self.cursor.as_deref().map(|text| text.parse().map_err(bad)).transpose()
    }
}

impl TryFrom<ListQuery> for Wanted {
    type Error = Refusal;

    fn try_from(query: ListQuery) -> Result<Self, Refusal> {
        Self::of(query.limit, query.cursor)
    }
}
