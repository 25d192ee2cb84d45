//! Logs in memory, made by banks that really trade, and what an index of one must say.

use std::path::Path;

use quadrille_node::index::{BatchSource, Cursor, Index, Page, SettlementFilter};
use quadrille_node::log_store::SealedBatch;
use quadrille_protocol::error::Refusal;
use quadrille_protocol::types::*;
use quadrille_protocol::validator::State;

use crate::support::{Bank, Net};

/// A log as a list.
#[derive(Clone, Default)]
pub struct MemoryLog(pub Vec<SealedBatch>);

impl BatchSource for MemoryLog {
    fn batch(&self, height: Height) -> Result<Option<SealedBatch>, Refusal> {
        Ok(self.0.iter().find(|batch| batch.stored.checkpoint.height == height).cloned())
    }

    fn batches(
        &self,
        height: Height,
    ) -> Box<dyn Iterator<Item = Result<SealedBatch, Refusal>> + '_> {
        let later = self.0.iter().filter(move |batch| batch.stored.checkpoint.height >= height);
        Box::new(later.cloned().map(Ok))
    }
}

impl MemoryLog {
    pub fn of(bank: &Bank) -> Self {
        let sealed = bank.log.iter().map(|stored| SealedBatch {
            stored: stored.clone().into(),
            signature: bank
                .batches
                .get(&stored.checkpoint.height)
                .map(|(_, signature)| signature.clone()),
        });
        Self(sealed.collect())
    }

    pub fn head(&self) -> Option<(Height, Hash)> {
        let last = &self.0.last()?.stored.checkpoint;
        Some((last.height, last.hash()))
    }
}

/// An index of `log` that is caught up.
pub fn indexed(dir: &Path, log: &MemoryLog) -> Index {
    let index = Index::open(dir).unwrap();
    index.catch_up(log, log.head()).unwrap();
    index
}

/// The whole list, asked for in pieces of `limit`.
pub fn whole<T>(
    limit: usize,
    ask: impl Fn(Option<&Cursor>, usize) -> Result<Page<T>, Refusal>,
) -> Vec<T> {
    let mut items = Vec::new();
    let mut next: Option<Cursor> = None;
    loop {
        let page = ask(next.as_ref(), limit).unwrap();
        assert!(page.items.len() <= limit);
        items.extend(page.items);
        // As it travels.
        next = match page.next {
            Some(cursor) => Some(cursor.to_string().parse().unwrap()),
            None => return items,
        };
    }
}

/// Everything that both the state and the index know must be the same.
pub fn agrees(index: &Index, state: &State) {
    let ledgers = whole(2, |after, limit| index.ledgers(after, limit));
    assert_eq!(ledgers.len(), state.books.ledgers.sorted().len());
    for row in ledgers {
        let known = state.books.ledgers.get(&row.ledger).unwrap();
        assert_eq!((row.head, row.head_hash), (known.sequence, known.head), "{}", row.ledger);
        assert_eq!((row.holder, row.key), (known.holder.clone(), known.key));
        assert_eq!(row.second_key, known.parameters.second_key);
        assert!(index.key(&row.key).unwrap().is_some_and(|key| key.id() == row.key));
        let last = index.entry(&row.ledger, row.head).unwrap();
        assert_eq!(last.map(|entry| entry.hash), Some(row.head_hash));
    }
    let open = whole(2, |after, limit| index.settlements(SettlementFilter::Open, after, limit));
    for row in &open {
        let known = state.settlement(&row.settlement);
        assert!(known.is_ok(), "open in the index alone: {row:?}");
    }
    for (id, known) in state.settlements.sorted() {
        let row = index.settlement(id).unwrap().unwrap();
        assert_eq!(row.header, known.header);
        assert_eq!(row.decision, known.decision, "{row:?}");
        assert_eq!(open.iter().any(|open| open.settlement == *id), !row.is_final());
        let idle = known.initiator.is_none() && known.participant.is_none();
        assert!(idle || row.is_final() == known.is_final(), "{row:?} {known:?}");
    }
    let live = whole(2, |after, limit| index.offers(None, true, after, limit));
    for row in &live {
        let known = state.offers.get(&row.offer).unwrap();
        assert_eq!(row.remaining, known.available(), "{row:?}");
    }
    let listed = state
        .offers
        .sorted()
        .into_iter()
        .filter(|(_, offer)| offer.state() == quadrille_protocol::market::OfferState::Live);
    assert_eq!(listed.count(), live.len());
    for (peer, known) in &state.peers {
        let pages = index.received_after(peer, Sequence(0), 1_000).unwrap();
        assert_eq!(pages.last().map_or(Sequence(0), |(last, _)| *last), known.received);
    }
}

/// Indexes every bank's log in all the ways there are and compares.
pub fn every_way(net: &Net) -> Vec<(tempfile::TempDir, Index)> {
    net.banks.iter().map(one_bank_every_way).collect()
}

fn one_bank_every_way(bank: &Bank) -> (tempfile::TempDir, Index) {
    let log = MemoryLog::of(bank);
    let dir = tempfile::tempdir().unwrap();
    let index = indexed(&dir.path().join("whole"), &log);
    agrees(&index, bank.validator.state());
    let whole = index.fingerprint().unwrap();
    let single = Index::open(&dir.path().join("single")).unwrap();
    for batch in &log.0 {
        single.apply(batch).unwrap();
    }
    assert_eq!(single.fingerprint().unwrap(), whole, "batch by batch");
    let runs = Index::open(&dir.path().join("runs")).unwrap();
    for run in log.0.chunks(3) {
        runs.apply_run(run).unwrap();
    }
    assert_eq!(runs.fingerprint().unwrap(), whole, "in runs of three");
    (dir, index)
}
