//! What opening makes of files as crashes leave them, and of files that have rotted.
//!
//! Two promises stand against each other: a broken end must never keep a node from starting, and
//! nothing that was acknowledged may go without a word. Every byte of small logs is tried.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod log_store_support;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use log_store_support::*;
use proptest::prelude::*;
use quadrille_node::log_store::{LogStore, Opening, Options};
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::types::Height;

const HEADER_BYTES: usize = 84;

/// Opens a log whose only segment has these bytes.
fn open_bytes(dir: &Path, bytes: &[u8]) -> Result<(LogStore, Opening), Refusal> {
    fs::write(segment(dir, 1), bytes).unwrap();
    LogStore::open(dir)
}

/// A log of batches of these sizes, sealed but for the last: the file, and where each batch ends.
fn built(sizes: &[usize], sealed: bool) -> (Vec<u8>, Vec<usize>) {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = LogStore::open(dir.path()).unwrap();
    let file = segment(dir.path(), 1);
    let mut ends = Vec::new();
    for (bytes, height) in sizes.iter().zip(1..) {
        let batch = batch(height, *bytes);
        store.append(&batch).unwrap();
        ends.push(usize::try_from(file.metadata().unwrap().len()).unwrap());
        if sealed || ends.len() < sizes.len() {
            store.seal(Height(height), &signature(&batch)).unwrap();
        }
    }
    (fs::read(file).unwrap(), ends)
}

fn empty_log() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("log")).unwrap();
    dir
}

#[test]
fn cut_at_any_byte_a_log_opens_with_every_whole_batch() {
    let (whole, ends) = built(&[0, 300, 40, 700], true);
    let dir = empty_log();
    for length in 0..=whole.len() {
        let (mut store, opening) = open_bytes(dir.path(), &whole[..length]).unwrap();
        let expected = ends.iter().filter(|end| **end <= length).count() as u64;
        assert_eq!(readable(&store), (1..=expected).collect::<Vec<_>>(), "{length} bytes");
        assert_eq!(opening.head.map_or(0, |head| head.0.0), expected, "{length} bytes");
        if length == whole.len() {
            assert_eq!((opening.torn_bytes, opening.unsealed), (0, false));
        }
        // It goes on from there.
        if opening.unsealed {
            store.seal(Height(expected), &signature(&batch(expected, 0))).unwrap();
        }
        write(&mut store, expected + 1, 10);
        drop(store);
        let (store, opening) = LogStore::open(dir.path()).unwrap();
        assert_eq!((opening.torn_bytes, opening.unsealed), (0, false), "{length} bytes");
        assert_eq!(readable(&store).len() as u64, expected + 1, "{length} bytes");
        drop(store);
        fs::remove_file(segment(dir.path(), 1)).unwrap();
    }
}

#[test]
fn a_flipped_bit_before_the_last_write_is_damage_and_nothing_is_changed() {
    let (whole, ends) = built(&[0, 300, 40, 700], true);
    let last_seal = *ends.last().unwrap();
    let dir = empty_log();
    for at in 0..whole.len() {
        let mut bad = whole.clone();
        bad[at] ^= 1 << (at % 8);
        match open_bytes(dir.path(), &bad) {
            Err(refusal) => {
                assert!(at < last_seal, "byte {at}, in what can be made again: {refusal}");
                assert_eq!(refusal.code, Code::LogDamaged, "byte {at}");
                assert_eq!(fs::read(segment(dir.path(), 1)).unwrap(), bad, "byte {at}");
            }
            Ok((store, opening)) => {
                assert!(at >= last_seal, "byte {at} passed, {opening:?}");
                assert!(opening.unsealed && opening.torn_bytes > 0);
                assert_eq!(readable(&store), [1, 2, 3, 4]);
            }
        }
    }
}

#[test]
fn bytes_of_a_peer_that_look_like_frames_do_not_pass_for_them() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = LogStore::open(dir.path()).unwrap();
    write(&mut store, 1, 100);
    write(&mut store, 2, 100);
    let file = segment(dir.path(), 1);
    let durable = usize::try_from(file.metadata().unwrap().len()).unwrap();
    // A record that holds a longer log, whose frames say that much was durable before them.
    let (copy, _) = built(&[1_000; 6], true);
    let place = quadrille_protocol::log::Place {
        network: network(),
        domain: domain(),
        epoch: quadrille_protocol::types::Epoch(1),
        height: Height(3),
        previous: quadrille_protocol::types::Hash::ZERO,
        time: quadrille_protocol::types::Time(0),
    };
    let record = quadrille_protocol::log::RecordBytes::new(&copy).unwrap();
    let hostile = quadrille_protocol::log::Batch::close(place, [1; 32], vec![record; 3]).unwrap();
    store.append(&hostile).unwrap();
    drop(store);
    let whole = fs::read(&file).unwrap();
    for length in (durable..whole.len()).step_by(41).chain([whole.len() - 1]) {
        fs::write(&file, &whole[..length]).unwrap();
        let (store, opening) = LogStore::open(dir.path()).unwrap();
        assert_eq!(readable(&store), [1, 2], "{length} bytes, {opening:?}");
    }
}

#[test]
fn an_older_segment_must_be_whole_and_there() {
    let options = || Options { segment_bytes: 1_500, ..Options::default() };
    let build = || {
        let dir = tempfile::tempdir().unwrap();
        let (mut store, _) = LogStore::open_with(dir.path(), options()).unwrap();
        for height in 1..=12 {
            write(&mut store, height, 500);
        }
        drop(store);
        let mut files: Vec<_> = fs::read_dir(dir.path().join("log")).unwrap().collect();
        files.retain(|file| file.as_ref().unwrap().path().extension().is_some());
        let mut files: Vec<_> = files.into_iter().map(|file| file.unwrap().path()).collect();
        files.sort();
        assert!(files.len() >= 3, "{files:?}");
        (dir, files)
    };
    let refused = |dir: &Path| LogStore::open_with(dir, options()).unwrap_err().code;
    for victim in 0..2 {
        let (dir, files) = build();
        fs::remove_file(&files[victim]).unwrap();
        assert_eq!(refused(dir.path()), Code::LogDamaged, "segment {victim} is gone");

        let (dir, files) = build();
        let whole = fs::read(&files[victim]).unwrap();
        for length in [0, 50, HEADER_BYTES, HEADER_BYTES + 20, whole.len() - 1] {
            fs::write(&files[victim], &whole[..length]).unwrap();
            assert_eq!(refused(dir.path()), Code::LogDamaged, "segment {victim}, {length} bytes");
        }
        for at in [3, HEADER_BYTES - 1, HEADER_BYTES + 5] {
            let mut bad = whole.clone();
            bad[at] ^= 8;
            fs::write(&files[victim], &bad).unwrap();
            assert_eq!(refused(dir.path()), Code::LogDamaged, "segment {victim}, byte {at}");
        }
    }
    // One of another log among them.
    let (dir, files) = build();
    let other = tempfile::tempdir().unwrap();
    let (mut store, _) = LogStore::open(other.path()).unwrap();
    store.append(&batch(1, 10)).unwrap();
    fs::copy(segment(other.path(), 1), &files[0]).unwrap();
    assert_eq!(refused(dir.path()), Code::LogDamaged);
}

/// The roll to a new segment, cut short at every byte of its header.
#[test]
fn a_segment_that_was_never_begun_is_cleared_away() {
    let (header, _) = built(&[10], false);
    for length in 0..=HEADER_BYTES {
        let dir = tempfile::tempdir().unwrap();
        let (mut store, _) = LogStore::open(dir.path()).unwrap();
        write(&mut store, 1, 100);
        write(&mut store, 2, 100);
        drop(store);
        let next = segment(dir.path(), 3);
        if length < HEADER_BYTES {
            fs::write(&next, &header[..length]).unwrap();
        } else {
            fs::write(&next, vec![0; length]).unwrap();
        }
        let (mut store, opening) = LogStore::open(dir.path()).unwrap();
        assert_eq!((opening.torn_bytes, next.exists()), (length as u64, false), "{length} bytes");
        write(&mut store, 3, 100);
        assert_eq!(readable(&store), [1, 2, 3]);
    }
}

/// After a failed or missing sync the frames can be read from memory, and prove nothing.
#[test]
fn what_was_not_synced_is_written_and_synced_again_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::new();
    let (mut store, _) = LogStore::open_with(dir.path(), disk.options()).unwrap();
    write(&mut store, 1, 1_000);
    store.sync().unwrap();
    disk.0.sync.store(true, Ordering::Relaxed);
    store.append(&batch(2, 3_000)).unwrap_err();
    drop(store);
    let disk = FaultyDisk::new();
    let (store, opening) = LogStore::open_with(dir.path(), disk.options()).unwrap();
    assert_eq!(opening.head.unwrap().0, Height(2), "it is whole, as far as memory goes");
    assert!(disk.0.written.load(Ordering::Relaxed) > 3_000, "the frame was not written again");
    assert!(disk.0.syncs.load(Ordering::Relaxed) >= 1, "it was not synced");
    drop(store);
    // Where the sync fails again, nothing is relied on.
    disk.0.sync.store(true, Ordering::Relaxed);
    let refusal = LogStore::open_with(dir.path(), disk.options()).unwrap_err();
    assert_eq!(refusal.code, Code::LogFailed);
}

#[test]
fn readers_see_a_growing_prefix_while_the_writer_appends() {
    const LAST: u64 = 300;
    let dir = tempfile::tempdir().unwrap();
    let options = Options { segment_bytes: 20_000, ..Options::default() };
    let (mut store, _) = LogStore::open_with(dir.path(), options).unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let (reader, done) = (store.reader(), Arc::clone(&done));
            std::thread::spawn(move || {
                let mut seen = 0;
                loop {
                    let finished = done.load(Ordering::Acquire);
                    let heights: Vec<_> =
                        reader.from(Height(1)).map(|read| read.unwrap()).collect();
                    for (sealed, height) in heights.iter().zip(1..) {
                        let expected = batch(height, usize::try_from(height * 7 % 900).unwrap());
                        assert_eq!(*sealed.stored, *expected.stored());
                    }
                    assert!(heights.len() >= seen, "a batch went away");
                    seen = heights.len();
                    if finished {
                        return seen;
                    }
                }
            })
        })
        .collect();
    for height in 1..=LAST {
        write(&mut store, height, usize::try_from(height * 7 % 900).unwrap());
    }
    done.store(true, Ordering::Release);
    for reader in readers {
        assert_eq!(reader.join().unwrap() as u64, LAST);
    }
}

/// What a power cut may make of the bytes that were not durable yet.
#[derive(Debug, Clone)]
enum Loss {
    /// The file ends earlier.
    Cut(prop::sample::Index),
    /// The file has its length, and these of its sectors are zero.
    Zeros(Vec<bool>),
    /// The file ends earlier, and then there are other bytes.
    Junk(prop::sample::Index, Vec<u8>),
}

fn loss() -> impl Strategy<Value = Loss> {
    prop_oneof![
        any::<prop::sample::Index>().prop_map(Loss::Cut),
        prop::collection::vec(any::<bool>(), 1..64).prop_map(Loss::Zeros),
        (any::<prop::sample::Index>(), prop::collection::vec(any::<u8>(), 0..200))
            .prop_map(|(at, junk)| Loss::Junk(at, junk)),
    ]
}

impl Loss {
    /// Spoils what is not durable; sectors stand in the file, as on a disk.
    fn spoil(&self, bytes: &mut Vec<u8>, durable: usize) {
        const SECTOR: usize = 512;
        match self {
            Loss::Cut(at) => bytes.truncate(durable + at.index(bytes.len() - durable + 1)),
            Loss::Zeros(lost) => {
                let mut lost = lost.iter().cycle();
                let mut from = durable;
                while from < bytes.len() {
                    let to = bytes.len().min((from / SECTOR + 1) * SECTOR);
                    if *lost.next().unwrap() {
                        bytes[from..to].fill(0);
                    }
                    from = to;
                }
            }
            Loss::Junk(at, junk) => {
                bytes.truncate(durable + at.index(bytes.len() - durable + 1));
                bytes.extend_from_slice(junk);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// The cut comes while the last batch is written: the seal before it and the batch itself
    /// were never durable, all before them was.
    #[test]
    fn a_power_cut_in_a_write_costs_nothing_that_was_acknowledged(
        sizes in prop::collection::vec(0..6_000_usize, 1..6),
        loss in loss(),
    ) {
        let (mut bytes, ends) = built(&sizes, false);
        let acknowledged = ends.len() - 1;
        let durable = if acknowledged == 0 { HEADER_BYTES } else { ends[acknowledged - 1] };
        loss.spoil(&mut bytes, durable);
        let dir = empty_log();
        let opened = open_bytes(dir.path(), &bytes);
        prop_assert!(opened.is_ok(), "{:?}", opened.err());
        let (store, opening) = opened.unwrap();
        let heights = readable(&store);
        prop_assert!(heights.len() >= acknowledged, "{heights:?}, {opening:?}");
        prop_assert!(heights.iter().copied().eq(1..=heights.len() as u64));
        drop(store);
        // What was cut off stays off.
        let (store, again) = LogStore::open(dir.path()).unwrap();
        prop_assert_eq!(again, Opening { torn_bytes: 0, ..opening });
        prop_assert_eq!(readable(&store), heights);
    }

    /// Whatever becomes of what was durable, no batch goes missing from the middle, and none is
    /// read that was not written.
    #[test]
    fn rot_is_refused_or_costs_the_last_write_only(
        sizes in prop::collection::vec(0..3_000_usize, 2..6),
        at in any::<prop::sample::Index>(),
        length in 1..700_usize,
        value in any::<u8>(),
    ) {
        let (whole, ends) = built(&sizes, true);
        let mut bytes = whole.clone();
        let at = at.index(bytes.len());
        let to = bytes.len().min(at + length);
        bytes[at..to].fill(value);
        let dir = empty_log();
        match open_bytes(dir.path(), &bytes) {
            Err(refusal) => {
                prop_assert_eq!(refusal.code, Code::LogDamaged);
                prop_assert_eq!(fs::read(segment(dir.path(), 1)).unwrap(), bytes);
            }
            Ok((store, _)) => {
                let last = *ends.last().unwrap();
                let kept = ends.len() as u64;
                // Rot that takes the last seal's header with it cannot be told from a torn
                // write: then the guard knows what was signed.
                if to <= last {
                    prop_assert_eq!(readable(&store), (1..=kept).collect::<Vec<_>>());
                    prop_assert_eq!(&bytes, &whole, "rot was not noticed");
                }
                let heights = readable(&store);
                prop_assert!(heights.iter().copied().eq(1..=heights.len() as u64));
            }
        }
    }
}
