//! Which events somebody wants: by type, ledger and pair of assets.

use std::collections::BTreeSet;

use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::types::{Uai, Ubi};

use crate::api::dto::{EventKind, EventView};
use crate::index::events::Which;

/// Which events somebody wants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only these types; when there are none, all that come from the log.
    pub types: BTreeSet<EventKind>,
    /// Only events of this ledger.
    pub ledger: Option<Ubi>,
    /// Only events of offers that give this asset.
    pub give: Option<Uai>,
    /// Only events of offers that want this asset.
    pub want: Option<Uai>,
}

impl Filter {
    /// Which records of the log it needs.
    #[must_use]
    pub fn which(&self) -> Which {
        let of_transactions = [EventKind::LedgerEntry, EventKind::SettlementFinal];
        let only = self.types.iter().all(|kind| of_transactions.contains(kind) || kind.is_live());
        if only && !self.types.is_empty() { Which::Transactions } else { Which::All }
    }

    /// Whether it wants this one.
    #[must_use]
    pub fn wants(&self, event: &EventView) -> bool {
        let of_type = match self.types.is_empty() {
            true => !event.kind.is_live(),
            false => self.types.contains(&event.kind),
        };
        let same = |wanted: &Option<Uai>, known: &Option<Uai>| {
            wanted.is_none() || known.is_some() && wanted == known
        };
        of_type
            && self.ledger.is_none_or(|ledger| event.ledger == Some(ledger))
            && same(&self.give, &event.give)
            && same(&self.want, &event.want)
    }

    /// Whether it wants anything that the log does not have.
    #[must_use]
    pub fn wants_live(&self) -> bool {
        self.types.iter().any(|kind| kind.is_live())
    }
}

/// Reads names of types.
///
/// # Errors
/// `Q-2104` a name that is none; the message has them all.
pub fn types_of<'a>(names: impl Iterator<Item = &'a str>) -> Result<BTreeSet<EventKind>, Refusal> {
    let known = |name: &str| EventKind::ALL.into_iter().find(|kind| kind.name() == name);
    let types = names.map(|name| {
        known(name).ok_or_else(|| {
            let all: Vec<&str> = EventKind::ALL.iter().map(|kind| kind.name()).collect();
            Refusal::new(Code::BadQuery, format!("types are {}", all.join(", ")))
        })
    });
    types.collect()
}
