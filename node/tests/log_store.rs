//! The log on a real disk: what is acknowledged stays, what is torn goes, what is damaged is said.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod log_store_support;

use std::fs;
use std::sync::atomic::Ordering;

use log_store_support::*;
use proptest::prelude::*;
use quadrille_node::log_store::{LogStore, Options, Snapshot};
use quadrille_protocol::error::Code;
use quadrille_protocol::types::{Hash, Height};

fn small_segments() -> Options {
    Options { segment_bytes: 2_000, ..Options::default() }
}

#[test]
fn a_log_reads_back_as_it_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, opening) = LogStore::open(dir.path()).unwrap();
    assert_eq!(opening, Default::default());
    let mut written = Vec::new();
    for height in 1..=20 {
        written.push(write(&mut store, height, 100 * usize::try_from(height).unwrap()));
    }
    store.sync().unwrap();
    drop(store);
    let (store, opening) = LogStore::open(dir.path()).unwrap();
    let last = written.last().unwrap().checkpoint();
    assert_eq!(opening.head, Some((Height(20), last.hash())));
    assert_eq!((opening.torn_bytes, opening.unsealed), (0, false));
    for batch in &written {
        let read = store.reader().batch(batch.checkpoint().height).unwrap().unwrap();
        assert_eq!(*read.stored, *batch.stored());
        assert_eq!(read.signature, Some(signature(batch)));
    }
    assert!(store.reader().batch(Height(0)).unwrap().is_none());
    assert!(store.reader().batch(Height(21)).unwrap().is_none());
    assert_eq!(readable(&store), (1..=20).collect::<Vec<u64>>());
}

#[test]
fn heights_may_skip_and_segments_roll() {
    let dir = tempfile::tempdir().unwrap();
    let heights = [1, 2, 5, 6, 900, 901, 902, 10_000_000_000, 10_000_000_001];
    let (mut store, _) = LogStore::open_with(dir.path(), small_segments()).unwrap();
    for height in heights {
        write(&mut store, height, 900);
    }
    assert_eq!(readable(&store), heights);
    drop(store);
    let (store, opening) = LogStore::open_with(dir.path(), small_segments()).unwrap();
    assert_eq!(opening.head.map(|head| head.0), Some(Height(10_000_000_001)));
    assert_eq!(readable(&store), heights);
    let reader = store.reader();
    for missing in [3, 4, 7, 899, 903, 9_999_999_999] {
        assert!(reader.batch(Height(missing)).unwrap().is_none(), "{missing} was never written");
    }
    let from = reader.from(Height(7)).next().unwrap().unwrap();
    assert_eq!(from.stored.checkpoint.height, Height(900));
    let segments = fs::read_dir(dir.path().join("log")).unwrap().count() - 1;
    assert!(segments >= 4, "{segments} segments");
}

#[test]
fn a_second_process_is_told_who_has_the_directory() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = LogStore::open(dir.path()).unwrap();
    let refusal = LogStore::open(dir.path()).unwrap_err();
    assert_eq!(refusal.code, Code::DirectoryInUse);
    assert!(refusal.what.contains(&std::process::id().to_string()), "{refusal}");
    drop(store);
    LogStore::open(dir.path()).unwrap();
}

#[test]
fn a_batch_that_does_not_continue_the_log_is_refused_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = LogStore::open(dir.path()).unwrap();
    write(&mut store, 1, 10);
    let length = segment(dir.path(), 1).metadata().unwrap().len();
    for height in [0, 1] {
        assert_eq!(store.append(&batch(height, 10)).unwrap_err().code, Code::LogOrder);
    }
    let other = batch_of("bank-b.example".parse().unwrap(), 2, Hash::ZERO, 10);
    assert_eq!(store.append(&other).unwrap_err().code, Code::WrongLog);
    let seal = signature(&other);
    assert_eq!(store.seal(Height(1), &seal).unwrap_err().code, Code::LogOrder);
    assert_eq!(segment(dir.path(), 1).metadata().unwrap().len(), length);
    store.append(&batch(2, 10)).unwrap();
    // The last one must be sealed first.
    assert_eq!(store.append(&batch(3, 10)).unwrap_err().code, Code::LogOrder);
    assert_eq!(store.seal(Height(1), &seal).unwrap_err().code, Code::LogOrder);
    store.seal(Height(2), &seal).unwrap();
    write(&mut store, 3, 10);
    assert_eq!(readable(&store), [1, 2, 3]);
}

#[test]
fn a_batch_without_a_seal_is_found_and_can_be_taken_off() {
    let dir = tempfile::tempdir().unwrap();
    for options in [Options::default(), Options { segment_bytes: 1, ..Options::default() }] {
        let (mut store, opening) = LogStore::open_with(dir.path(), options.clone()).unwrap();
        let base = opening.head.map_or(0, |head| head.0.0);
        let kept = write(&mut store, base + 1, 500);
        assert_eq!(store.drop_unsealed().unwrap_err().code, Code::LogOrder);
        store.append(&batch(base + 2, 500)).unwrap();
        drop(store);
        let (mut store, opening) = LogStore::open_with(dir.path(), options.clone()).unwrap();
        assert!(opening.unsealed);
        assert_eq!(opening.head.map(|head| head.0), Some(Height(base + 2)));
        store.drop_unsealed().unwrap();
        assert_eq!(store.head(), Some((Height(base + 1), kept.checkpoint().hash())));
        drop(store);
        let (mut store, opening) = LogStore::open_with(dir.path(), options.clone()).unwrap();
        assert_eq!(opening.head, Some((Height(base + 1), kept.checkpoint().hash())));
        assert_eq!((opening.torn_bytes, opening.unsealed), (0, false));
        // Another batch takes its height.
        write(&mut store, base + 2, 40);
        assert_eq!(readable(&store).last(), Some(&(base + 2)));
        drop(store);
    }
}

#[test]
fn the_only_batch_can_be_taken_off() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = LogStore::open(dir.path()).unwrap();
    store.append(&batch(1, 10)).unwrap();
    store.drop_unsealed().unwrap();
    assert_eq!(store.head(), None);
    write(&mut store, 1, 20);
    drop(store);
    let (store, _) = LogStore::open(dir.path()).unwrap();
    assert_eq!(readable(&store), [1]);
}

#[test]
fn a_failed_sync_is_final() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::new();
    let (mut store, _) = LogStore::open_with(dir.path(), disk.options()).unwrap();
    write(&mut store, 1, 100);
    disk.0.sync.store(true, Ordering::Relaxed);
    assert_eq!(store.append(&batch(2, 100)).unwrap_err().code, Code::LogFailed);
    // It would work now, and must not be believed.
    disk.0.sync.store(false, Ordering::Relaxed);
    assert_eq!(store.append(&batch(2, 100)).unwrap_err().code, Code::LogFailed);
    assert_eq!(store.seal(Height(1), &signature(&batch(1, 1))).unwrap_err().code, Code::LogFailed);
    assert_eq!(store.sync().unwrap_err().code, Code::LogFailed);
    assert_eq!(store.drop_unsealed().unwrap_err().code, Code::LogFailed);
    assert_eq!(readable(&store), [1], "readers see only what is durable");
    drop(store);
    let (store, opening) = LogStore::open(dir.path()).unwrap();
    assert!(opening.head.is_some_and(|head| head.0 >= Height(1)));
    assert_eq!(readable(&store)[0], 1);
}

#[test]
fn short_writes_are_continued() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::new();
    disk.0.short.store(7, Ordering::Relaxed);
    let (mut store, _) = LogStore::open_with(dir.path(), disk.options()).unwrap();
    for height in 1..=5 {
        write(&mut store, height, 300);
    }
    drop(store);
    let (store, opening) = LogStore::open(dir.path()).unwrap();
    assert_eq!((opening.torn_bytes, readable(&store)), (0, vec![1, 2, 3, 4, 5]));
}

#[test]
fn a_full_disk_loses_nothing_and_a_start_with_room_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::new();
    let (mut store, _) = LogStore::open_with(dir.path(), disk.options()).unwrap();
    write(&mut store, 1, 5_000);
    disk.0.room.store(6_000, Ordering::Relaxed);
    write(&mut store, 2, 3_000);
    assert_eq!(store.append(&batch(3, 5_000)).unwrap_err().code, Code::DiskFull);
    assert_eq!(store.append(&batch(3, 1)).unwrap_err().code, Code::LogFailed);
    drop(store);
    let (mut store, opening) = LogStore::open(dir.path()).unwrap();
    assert!(opening.torn_bytes > 0, "part of the third was written");
    assert_eq!(readable(&store), [1, 2]);
    write(&mut store, 3, 5_000);
    assert_eq!(readable(&store), [1, 2, 3]);
}

/// Whatever the order of calls, reopening gives what the calls have made.
#[derive(Debug, Clone)]
enum Step {
    Append { skip: u64, bytes: usize },
    Seal,
    Sync,
    Drop,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (prop_oneof![9 => Just(1_u64), 1 => 2..u64::from(u32::MAX) * 3], 0..2_500_usize)
            .prop_map(|(skip, bytes)| Step::Append { skip, bytes }),
        4 => Just(Step::Seal),
        1 => Just(Step::Sync),
        1 => Just(Step::Drop),
        1 => Just(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn any_life_of_a_log_is_as_its_calls_say(
        steps in prop::collection::vec(step(), 1..60),
        segment_bytes in 1..8_000_u64,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let options = || Options { segment_bytes, ..Options::default() };
        let (mut store, _) = LogStore::open_with(dir.path(), options()).unwrap();
        let mut heights: Vec<u64> = Vec::new();
        let mut sealed = true;
        for step in steps {
            match step {
                Step::Append { skip, bytes } => {
                    let height = heights.last().unwrap_or(&0) + skip;
                    let appended = store.append(&batch(height, bytes));
                    prop_assert_eq!(appended.is_ok(), sealed, "{:?}", appended);
                    if sealed {
                        heights.push(height);
                        sealed = false;
                    }
                }
                Step::Seal => {
                    let last = *heights.last().unwrap_or(&0);
                    let done = store.seal(Height(last), &signature(&batch(1, 1)));
                    prop_assert_eq!(done.is_ok(), !sealed, "{:?}", done);
                    sealed = true;
                }
                Step::Sync => store.sync().unwrap(),
                Step::Drop => {
                    let dropped = store.drop_unsealed();
                    prop_assert_eq!(dropped.is_ok(), !sealed, "{:?}", dropped);
                    if !sealed {
                        heights.pop();
                        sealed = true;
                    }
                }
                Step::Reopen => {
                    drop(store);
                    let (opened, opening) = LogStore::open_with(dir.path(), options()).unwrap();
                    prop_assert_eq!((opening.torn_bytes, opening.unsealed), (0, !sealed));
                    store = opened;
                }
            }
            prop_assert_eq!(store.head().map(|head| head.0.0), heights.last().copied());
            prop_assert_eq!(store.is_unsealed(), !sealed);
            prop_assert_eq!(&store.reader().heights(Height(0), 1_000), &to_heights(&heights));
        }
        prop_assert_eq!(readable(&store), heights);
    }
}

fn to_heights(heights: &[u64]) -> Vec<Height> {
    heights.iter().copied().map(Height).collect()
}

#[test]
fn a_snapshot_that_was_half_written_is_cleared_away() {
    let dir = tempfile::tempdir().unwrap();
    drop(LogStore::open(dir.path()).unwrap());
    let half = dir.path().join("snapshots/00000000000000000007.snap.new");
    fs::write(&half, b"half").unwrap();
    let (store, _) = LogStore::open(dir.path()).unwrap();
    assert!(!half.exists());
    assert_eq!(store.latest_snapshot().unwrap(), None);
}

#[test]
fn the_newest_snapshot_that_is_whole_and_fits_is_used() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = LogStore::open(dir.path()).unwrap();
    let snapshot = |batch: &quadrille_protocol::log::Batch, state: &[u8]| Snapshot {
        height: batch.checkpoint().height,
        head: batch.checkpoint().hash(),
        state: state.to_vec(),
    };
    assert_eq!(store.latest_snapshot().unwrap(), None);
    let mut saved = Vec::new();
    for height in 1..=4 {
        let batch = write(&mut store, height, 50);
        let snapshot = snapshot(&batch, &vec![7; 10_000 + usize::try_from(height).unwrap()]);
        store.save_snapshot(&snapshot).unwrap();
        assert_eq!(store.latest_snapshot().unwrap().as_ref(), Some(&snapshot));
        saved.push(snapshot);
    }
    let file = |height: u64| dir.path().join(format!("snapshots/{height:020}.snap"));
    let kept = fs::read_dir(dir.path().join("snapshots")).unwrap().count();
    assert_eq!((kept, file(4).exists(), file(3).exists()), (2, true, true));
    // Any bit of the newest: the one before is used.
    let whole = fs::read(file(4)).unwrap();
    for at in [0, 9, 17, 30, 60, 70, 100, whole.len() - 1] {
        let mut bad = whole.clone();
        bad[at] ^= 4;
        fs::write(file(4), &bad).unwrap();
        assert_eq!(store.latest_snapshot().unwrap().as_ref(), Some(&saved[2]), "byte {at}");
    }
    for length in [0, 10, 95, 96, whole.len() - 1] {
        fs::write(file(4), &whole[..length]).unwrap();
        assert_eq!(store.latest_snapshot().unwrap().as_ref(), Some(&saved[2]), "{length} bytes");
    }
    // One of another log at the same height, and one above the log.
    let other = Snapshot { head: Hash([9; 32]), ..saved[3].clone() };
    store.save_snapshot(&other).unwrap();
    assert_eq!(store.latest_snapshot().unwrap().as_ref(), Some(&saved[2]));
    let above = Snapshot { height: Height(9), ..saved[3].clone() };
    store.save_snapshot(&above).unwrap();
    assert_eq!(store.latest_snapshot().unwrap(), None);
}
