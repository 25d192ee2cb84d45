//! The store against a plain map, whatever is put, removed, written, merged and lost.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use super::super::{NOTE, open_rows};
use super::*;

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// So little that a few rows are a run and a few runs a merge.
const SMALL: Limits = Limits { memory: 4_000, runs: 3 };

fn opened(dir: &Path, limits: Limits) -> Store {
    Store::open(open_rows(&dir.join("rows")).unwrap(), dir, limits).unwrap()
}

fn changes(list: &[(Vec<u8>, Option<Vec<u8>>)]) -> MemoryTable {
    let mut table = MemoryTable::default();
    for (key, value) in list {
        let value = value.clone().map(Vec::into_boxed_slice);
        table.change(key.clone(), Change { value, born: false });
    }
    table
}

fn row(number: u32, bytes: usize) -> (Vec<u8>, Option<Vec<u8>>) {
    // Spread over the keys, as hashes are.
    let spread = number.wrapping_mul(0x9e37_79b1);
    (spread.to_be_bytes().to_vec(), Some(vec![number.to_be_bytes()[3]; bytes]))
}

/// Everything, read upwards in pages, downwards in others, and one by one.
fn agrees(store: &Store, model: &Rows) -> Result<(), TestCaseError> {
    let wanted: Vec<(Vec<u8>, Vec<u8>)> = model.clone().into_iter().collect();
    for (ascending, limit) in [(true, 7), (false, 3), (true, 1_000)] {
        let mut found = Vec::new();
        let mut interval = Interval::ALL;
        loop {
            let page = store.page(interval.clone(), ascending, limit).unwrap();
            let Some((last, _)) = page.last() else { break };
            interval = interval.behind(&last.clone(), ascending);
            found.extend(page);
        }
        if !ascending {
            found.reverse();
        }
        prop_assert_eq!(&found, &wanted);
    }
    for key in 0..=u8::MAX {
        prop_assert_eq!(store.get(&[key]).unwrap(), model.get([key].as_slice()).cloned());
    }
    Ok(())
}

#[derive(Debug, Clone)]
enum Act {
    /// Keys with their values; a key without one is removed.
    Commit(Vec<(u8, Option<u16>)>),
    /// A row that is put for the first time, and goes in the same or a later commit.
    Brief(bool),
    WriteSoon,
    Sync,
    /// A stop without a sync.
    Crash,
    Page {
        from: u8,
        to: u8,
        ascending: bool,
        limit: usize,
    },
    Clear,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let change = (any::<u8>(), proptest::option::weighted(0.7, 0..900u16));
    let act = prop_oneof![
        8 => proptest::collection::vec(change, 1..12).prop_map(Act::Commit),
        3 => any::<bool>().prop_map(Act::Brief),
        1 => Just(Act::WriteSoon),
        2 => Just(Act::Sync),
        2 => Just(Act::Crash),
        4 => (any::<u8>(), any::<u8>(), any::<bool>(), 1..20usize)
            .prop_map(|(from, to, ascending, limit)| Act::Page { from, to, ascending, limit }),
        1 => Just(Act::Clear),
    ];
    proptest::collection::vec(act, 1..60)
}

/// The number of the commit that a store ends with: its mark.
const MARK: &[u8] = b"";

struct Play {
    dir: tempfile::TempDir,
    store: Option<Store>,
    /// What was so after each commit, the last one last; the first is the empty store.
    history: Vec<Rows>,
    durable: usize,
    briefs: Vec<Vec<u8>>,
    born: u32,
}

impl Play {
    fn now(&self) -> Rows {
        self.history.last().cloned().unwrap_or_default()
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    fn commit(&mut self, mut table: MemoryTable, mut rows: Rows) {
        let mark = (self.history.len() as u32).to_be_bytes();
        let value = Some(Box::from(mark.as_slice()));
        table.change(MARK.to_vec(), Change { value, born: false });
        rows.insert(MARK.to_vec(), mark.to_vec());
        self.store().commit(table).unwrap();
        self.history.push(rows);
    }

    fn act(&mut self, act: Act) -> Result<(), TestCaseError> {
        match act {
            Act::Commit(list) => {
                let mut rows = self.now();
                let list: Vec<(Vec<u8>, Option<Vec<u8>>)> = list
                    .into_iter()
                    .map(|(key, bytes)| (vec![key], bytes.map(|bytes| vec![key; bytes.into()])))
                    .collect();
                for (key, value) in &list {
                    match value {
                        Some(value) => rows.insert(key.clone(), value.clone()),
                        None => rows.remove(key),
                    };
                }
                self.commit(changes(&list), rows);
            }
            Act::Brief(now) => self.brief(now),
            Act::WriteSoon => self.store().write_soon(),
            Act::Sync => {
                self.store().sync().unwrap();
                self.durable = self.history.len() - 1;
            }
            Act::Crash => {
                self.store = None;
                self.store = Some(opened(self.dir.path(), SMALL));
                let mark = self.store().get(MARK).unwrap();
                let mark = mark.map_or(0, |mark| u32::from_be_bytes(mark.try_into().unwrap()));
                let mark = usize::try_from(mark).unwrap();
                prop_assert!(mark >= self.durable, "{} < {}", mark, self.durable);
                self.history.truncate(mark + 1);
                self.durable = mark;
                self.briefs.clear();
                agrees(self.store(), &self.now())?;
            }
            Act::Page { from, to, ascending, limit } => {
                let interval = Interval { from: vec![from], to: Some(vec![to]) };
                let rows = self.now();
                let all = rows.into_iter().filter(|(key, _)| {
                    key.as_slice() >= [from].as_slice() && key.as_slice() < [to].as_slice()
                });
                let mut wanted: Vec<_> = all.collect();
                if !ascending {
                    wanted.reverse();
                }
                wanted.truncate(limit);
                prop_assert_eq!(self.store().page(interval, ascending, limit).unwrap(), wanted);
            }
            Act::Clear => {
                self.store().clear().unwrap();
                self.history = vec![Rows::new()];
                (self.durable, self.briefs) = (0, Vec::new());
            }
        }
        Ok(())
    }

    fn brief(&mut self, now: bool) {
        let mut rows = self.now();
        let mut table = MemoryTable::default();
        if let Some(key) = self.briefs.pop() {
            rows.remove(&key);
            table.change(key, Change { value: None, born: false });
        }
        self.born += 1;
        let key = [b"brief".as_slice(), &self.born.to_be_bytes()].concat();
        let value = vec![1; 40];
        table.change(key.clone(), Change { value: Some(value.clone().into()), born: true });
        if now {
            table.change(key, Change { value: None, born: false });
        } else {
            rows.insert(key.clone(), value);
            self.briefs.push(key);
        }
        self.commit(table, rows);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_store_says_what_a_map_says_and_a_crash_leaves_a_prefix(acts in acts()) {
        let dir = tempfile::tempdir().unwrap();
        let store = Some(opened(dir.path(), SMALL));
        let (history, briefs) = (vec![Rows::new()], Vec::new());
        let mut play = Play { dir, store, history, durable: 0, briefs, born: 0 };
        for act in acts {
            play.act(act)?;
        }
        agrees(play.store(), &play.now())?;
        play.store().sync().unwrap();
        agrees(play.store(), &play.now())?;
    }
}

#[test]
fn levels_are_merged_and_tombstones_vanish_at_the_last_one() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(dir.path(), SMALL);
    for number in 0..9u32 {
        let rows: Vec<_> = (0..40).map(|at| row(number * 40 + at, 90)).collect();
        store.commit(changes(&rows)).unwrap();
        store.sync().unwrap();
    }
    let gone: Vec<_> = (0..360u32).map(|number| (row(number, 0).0, None)).collect();
    for part in gone.chunks(20) {
        store.commit(changes(part)).unwrap();
        store.sync().unwrap();
    }
    assert_eq!(store.page(Interval::ALL, true, 10).unwrap(), []);
    // Small runs come until the levels with the rows and with their tombstones are merged.
    let small = vec![(vec![0xff; 5], Some(vec![1]))];
    let stored = || store.sizes().2.iter().map(|(_, rows)| rows).sum::<u64>();
    let mut rounds = 0;
    while stored() > 100 {
        store.commit(changes(&small)).unwrap();
        store.sync().unwrap();
        rounds += 1;
        assert!(rounds < 400, "{:?}", store.sizes());
    }
    let rows = store.page(Interval::ALL, false, 10).unwrap();
    assert_eq!(rows, [(vec![0xff; 5], vec![1])]);
    // The blocks of what was merged away are gone.
    drop(store);
    let store = opened(dir.path(), Limits { runs: usize::MAX, ..SMALL });
    let begun = run::begun(&store.shared.db).unwrap();
    assert_eq!(begun.len(), store.sizes().2.len(), "{begun:?}");
    assert_eq!(store.page(Interval::ALL, true, 10).unwrap(), rows);
}

#[test]
fn memory_is_bounded_however_fast_rows_come() {
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits { memory: 100_000, runs: 4 };
    let store = opened(dir.path(), limits);
    for number in 0..4_000u32 {
        store.commit(changes(&[row(number, 500)])).unwrap();
        let (memory, frozen, _) = store.sizes();
        assert!(memory <= limits.memory + limits.memory / 2 + 1_000, "{memory}");
        assert!(frozen <= limits.memory + limits.memory / 2 + 1_000, "{frozen}");
    }
    for number in 0..4_000u32 {
        let (key, value) = row(number, 500);
        assert_eq!(store.get(&key).unwrap(), value);
    }
}

#[test]
fn what_is_put_and_removed_in_memory_leaves_nothing() {
    let mut table = MemoryTable::default();
    let born = |value: Option<&[u8]>| Change { value: value.map(Box::from), born: true };
    let gone = || Change { value: None, born: false };
    table.change(vec![1], born(Some(b"row")));
    table.change(vec![1], gone());
    assert!(table.is_empty());
    assert_eq!(table.bytes(), 0);
    // Of what may be older, a tombstone stays, also when it was put in between.
    table.change(vec![2], gone());
    table.change(vec![2], born(Some(b"row")));
    table.change(vec![2], gone());
    assert_eq!(table.get(&[2]), Some(None));
}

#[test]
fn a_damaged_block_is_refused_and_noted_for_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(dir.path(), SMALL);
    let rows: Vec<_> = (0..30).map(|number| row(number, 90)).collect();
    store.commit(changes(&rows)).unwrap();
    store.sync().unwrap();
    let (key, block) = store.shared.db.scan_prefix(b"b").next().unwrap().unwrap();
    for at in 0..block.len() {
        let mut broken = block.to_vec();
        broken[at] ^= 0x10;
        assert!(block::checked(&broken).is_err(), "byte {at}");
    }
    for cut in 0..block.len() {
        assert!(block::checked(&block[..cut]).is_err(), "cut at {cut}");
    }
    let mut broken = block.to_vec();
    broken[40] ^= 1;
    store.shared.db.insert(&key, broken).unwrap();
    let wanted = &rows[3].0;
    assert_eq!(store.get(wanted).unwrap_err().code, Code::IndexFailed);
    assert!(store.page(Interval::ALL, true, 5).is_err());
    assert!(dir.path().join(NOTE).exists());
    store.shared.db.remove(&key).unwrap();
    assert_eq!(store.get(wanted).unwrap_err().code, Code::IndexFailed);
}

#[test]
fn a_run_without_its_whole_fence_does_not_open() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(dir.path(), SMALL);
    store.commit(changes(&[row(1, 90)])).unwrap();
    store.sync().unwrap();
    let db = store.shared.db.clone();
    drop(store);
    let (key, part) = db.scan_prefix(b"f").next().unwrap().unwrap();
    let mut broken = part.to_vec();
    broken[9] ^= 1;
    db.insert(&key, broken).unwrap();
    let refused = Store::open(db.clone(), dir.path(), SMALL).err().map(|refusal| refusal.code);
    assert_eq!(refused, Some(Code::IndexFailed));
    db.remove(&key).unwrap();
    assert!(Store::open(db, dir.path(), SMALL).is_err());
}

#[test]
fn what_was_begun_and_never_finished_is_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(dir.path(), SMALL);
    store.commit(changes(&[row(1, 90)])).unwrap();
    store.sync().unwrap();
    let db = store.shared.db.clone();
    drop(store);
    // As a crash in the middle of a merge leaves it.
    let mut writer = run::RunWriter::new(&db, 77, 1, 10);
    writer.push(b"key", Some(&[0; 9_000])).unwrap();
    drop(writer);
    assert_eq!(run::begun(&db).unwrap().len(), 2);
    let store = Store::open(db, dir.path(), SMALL).unwrap();
    assert_eq!(run::begun(&store.shared.db).unwrap().len(), 1);
    assert_eq!(store.get(b"key").unwrap(), None);
}

#[test]
fn a_filter_knows_what_it_was_told_and_little_else() {
    let mut bloom = bloom::Bloom::with_room(10_000);
    for number in 0..10_000u32 {
        bloom.add(bloom::hash_of(&number.to_be_bytes()));
    }
    assert!((0..10_000u32).all(|number| bloom.may_have(bloom::hash_of(&number.to_be_bytes()))));
    let wrong = (10_000..20_000u32)
        .filter(|number| bloom.may_have(bloom::hash_of(&number.to_be_bytes())))
        .count();
    assert!(wrong < 300, "{wrong} of 10000");
    // It is stored: it must never change.
    assert_eq!(bloom::hash_of(b"quadrille"), 7_858_427_134_177_259_753);
}
