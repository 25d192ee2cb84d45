//! Batches to write, and disks that fail.

#![allow(dead_code, reason = "each test binary uses a part")]

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use quadrille_node::log_store::disk::{Disk, DiskFile, RealDisk};
use quadrille_node::log_store::{LogStore, Options};
use quadrille_protocol::crypto::hash::Tag;
use quadrille_protocol::crypto::suite::{SecretKey, Signature, Suite};
use quadrille_protocol::log::{Batch, Place, RecordBytes};
use quadrille_protocol::types::{Domain, Epoch, Hash, Height, Network, Time};

pub fn network() -> Network {
    "test-net".parse().unwrap()
}

pub fn domain() -> Domain {
    "bank-a.example".parse().unwrap()
}

pub fn key() -> SecretKey {
    SecretKey::generate(Suite::Ed25519, &[1; 32])
}

/// A batch at `height` with one record of `bytes` bytes.
pub fn batch(height: u64, bytes: usize) -> Batch {
    batch_after(height, Hash::ZERO, bytes)
}

pub fn batch_after(height: u64, previous: Hash, bytes: usize) -> Batch {
    batch_of(domain(), height, previous, bytes)
}

pub fn batch_of(domain: Domain, height: u64, previous: Hash, bytes: usize) -> Batch {
    let place = Place {
        network: network(),
        domain,
        epoch: Epoch(1),
        height: Height(height),
        previous,
        time: Time(1_790_000_000_000 + height),
    };
    let fill = u8::try_from(height % 251).unwrap();
    let record = RecordBytes::new(&vec![fill; bytes]).unwrap();
    Batch::close(place, [fill; 32], vec![record]).unwrap()
}

pub fn signature(batch: &Batch) -> Signature {
    key().sign(Tag::Checkpoint, &batch.checkpoint().to_sign())
}

/// Appends and seals.
pub fn write(store: &mut LogStore, height: u64, bytes: usize) -> Batch {
    let batch = batch(height, bytes);
    store.append(&batch).unwrap();
    store.seal(Height(height), &signature(&batch)).unwrap();
    batch
}

/// The heights that can be read, checking every batch and that all but the last are sealed.
pub fn readable(store: &LogStore) -> Vec<u64> {
    let batches: Vec<_> = store.reader().from(Height(0)).map(Result::unwrap).collect();
    for sealed in &batches {
        Batch::open(sealed.stored.clone()).unwrap();
    }
    for sealed in batches.iter().rev().skip(1) {
        assert!(sealed.signature.is_some(), "{:?} has no seal", sealed.stored.checkpoint.height);
    }
    batches.iter().map(|sealed| sealed.stored.checkpoint.height.0).collect()
}

/// What goes wrong from the moment it is set.
#[derive(Debug, Default)]
pub struct Faults {
    /// `sync_data` fails.
    pub sync: AtomicBool,
    /// `sync_data` does nothing and says that all is well.
    pub lying_sync: AtomicBool,
    /// At most this many bytes are taken at once; 0 means all.
    pub short: AtomicU64,
    /// Bytes until the disk is full; `u64::MAX` means never.
    pub room: AtomicU64,
    /// Bytes written so far.
    pub written: AtomicU64,
    /// Syncs of files so far.
    pub syncs: AtomicU64,
}

/// The real disk with faults.
#[derive(Debug, Clone)]
pub struct FaultyDisk(pub Arc<Faults>);

impl FaultyDisk {
    pub fn new() -> Self {
        let faults = Faults::default();
        faults.room.store(u64::MAX, Ordering::Relaxed);
        Self(Arc::new(faults))
    }

    pub fn options(&self) -> Options {
        Options { disk: Arc::new(self.clone()), ..Options::default() }
    }
}

#[derive(Debug)]
struct FaultyFile(Box<dyn DiskFile>, Arc<Faults>);

impl DiskFile for FaultyFile {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        let short = self.1.short.load(Ordering::Relaxed);
        let room = self.1.room.load(Ordering::Relaxed);
        let mut most = bytes.len() as u64;
        if short > 0 {
            most = most.min(short);
        }
        if room == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        most = most.min(room);
        if room < u64::MAX {
            self.1.room.store(room - most, Ordering::Relaxed);
        }
        self.1.written.fetch_add(most, Ordering::Relaxed);
        self.0.write_at(offset, &bytes[..usize::try_from(most).unwrap()])
    }

    fn sync_data(&mut self) -> io::Result<()> {
        if self.1.sync.load(Ordering::Relaxed) {
            return Err(io::Error::other("the disk says no"));
        }
        if self.1.lying_sync.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.1.syncs.fetch_add(1, Ordering::Relaxed);
        self.0.sync_data()
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.0.truncate(length)
    }
}

impl Disk for FaultyDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(FaultyFile(RealDisk.create(path)?, Arc::clone(&self.0))))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(FaultyFile(RealDisk.open(path)?, Arc::clone(&self.0))))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        if self.0.lying_sync.load(Ordering::Relaxed) {
            return Ok(());
        }
        RealDisk.sync_dir(path)
    }
}

/// The only segment of a log.
pub fn segment(dir: &Path, first: u64) -> std::path::PathBuf {
    dir.join("log").join(format!("{first:020}.seg"))
}
