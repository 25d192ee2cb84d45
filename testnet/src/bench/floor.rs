//! The floor: what a trade cannot do without on this machine, each operation measured alone.
//!
//! ```text
//!   signatures, hashes    in this process, by the same code that the banks run
//!   disk                  append and fdatasync of a file in the work folder
//!   loopback              a TCP connection between two threads
//!            \
//!             one trade = 2 orders checked + (7 checkpoints signed + 7 checked) / batch
//! ```
//!
//! Invariant: nothing here is faster than what a bank does. Ed25519 checks are the strict ones,
//! one by one, since that is what a bank must do (see `crypto::suite::verify`).

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use quadrille_node::files;
use quadrille_protocol::crypto::hash::{Tag, hash};
use quadrille_protocol::crypto::suite::{HybridSignatures, SecretKey, Signatures, Signed, Suite};
use quadrille_protocol::error::{Code, Refusal};

use super::figures::Figures;
use super::machine;
use super::{Bench, Size};

/// Orders whose signatures a trade needs checked: the offer at the maker's bank, the take at the
/// taker's.
pub const ORDERS_CHECKED: f64 = 2.0;
/// Checkpoints that a trade alone has signed. Maker: offer, agreement and lock, reveal, end.
/// Taker: take, lock, decision.
pub const CHECKPOINTS_SIGNED: f64 = 7.0;
/// Checkpoints that a trade alone has checked: of the offer, the take, the agreement, the lock,
/// the reveal, the decision and the end, each by the other bank.
pub const CHECKPOINTS_CHECKED: f64 = 7.0;
/// Batches that follow each other from the take until both banks have said that it is settled.
pub const STEPS: f64 = 6.0;
/// Trades that share a batch in the floor that rates are held against: as many as are in flight.
pub const BATCH: f64 = 256.0;
/// The batches of the arithmetic that is shown.
const BATCHES: [f64; 4] = [1.0, 16.0, 64.0, BATCH];
/// Signatures that are checked together.
const TOGETHER: usize = 64;
/// Bytes of an order that is signed: about what a take has.
const ORDER_BYTES: usize = 300;
/// Bytes of a page between two banks.
const PAGE_BYTES: usize = 1024;
/// How long loopback may stay silent.
const SILENCE: Duration = Duration::from_secs(10);
const KIB: usize = 1024;

/// How often each operation is measured.
#[derive(Debug, Clone, Copy)]
struct Counts {
    signatures: usize,
    syncs: usize,
    trips: usize,
}

impl Counts {
    const fn of(size: Size) -> Self {
        match size {
            Size::Tiny => Self { signatures: 5, syncs: 3, trips: 5 },
            Size::Quick => Self { signatures: 501, syncs: 101, trips: 2_001 },
            Size::Full => Self { signatures: 2_001, syncs: 501, trips: 10_001 },
        }
    }
}

/// What signing and checking by one suite takes, in microseconds.
#[derive(Debug, Clone, Copy)]
struct Costs {
    sign: f64,
    verify: f64,
    together: f64,
}

/// Measures the floor.
///
/// # Errors
/// `Q-2205` the work folder; `Q-2380` loopback.
pub fn run(bench: &mut Bench) -> Result<(), Refusal> {
    let counts = Counts::of(bench.size);
    bench.say("signatures, one after the other");
    let ed25519 = signatures(Suite::Ed25519, counts.signatures);
    let hybrid = signatures(Suite::HybridMlDsa65, counts.signatures);
    let block = [7_u8; 256];
    let sha256 = median_us(counts.signatures, 64, || {
        std::hint::black_box(hash(Tag::Order, &[std::hint::black_box(&block)]));
    });
    bench.say("appending and syncing");
    let syncs = [
        ("floor.fdatasync_us.kib4", 4 * KIB),
        ("floor.fdatasync_us.kib64", 64 * KIB),
        ("floor.fdatasync_us.mib1", KIB * KIB),
    ];
    for (name, bytes) in syncs {
        let took = fdatasync(&bench.dir, bytes, counts.syncs)?;
        bench.figures.set(name, took)?;
    }
    bench.say("round trips over loopback");
    let trip = loopback(counts.trips).map_err(|error| {
        Refusal::new(Code::BenchFailed, format!("a round trip over loopback: {error}"))
    })?;
    let figures = &mut bench.figures;
    figures.set("floor.loopback_us.kib1", trip)?;
    figures.set("floor.sha256_us.bytes256", sha256)?;
    for (suite, costs) in [("suite3", ed25519), ("suite1", hybrid)] {
        figures.set(&format!("floor.sign_us.{suite}"), costs.sign)?;
        figures.set(&format!("floor.verify_us.{suite}"), costs.verify)?;
        figures.set(&format!("floor.verify_batch_us.{suite}"), costs.together)?;
    }
    // Where noise makes the whole cheaper than its half, the half is nothing.
    figures.set("floor.ml_dsa_65_us.sign", (hybrid.sign - ed25519.sign).max(0.0))?;
    figures.set("floor.ml_dsa_65_us.verify", (hybrid.verify - ed25519.verify).max(0.0))?;
    arithmetic(figures, ed25519, hybrid)
}

/// From single operations to a trade. Banks sign with suite 1 whatever their holders use.
fn arithmetic(figures: &mut Figures, ed25519: Costs, hybrid: Costs) -> Result<(), Refusal> {
    let cores = machine::cores();
    for (suite, holder) in [("suite3", ed25519), ("suite1", hybrid)] {
        let trade = |batch: f64| trade_us(holder.verify, hybrid, batch);
        figures.set(&format!("floor.trade_us.{suite}"), trade(BATCH))?;
        figures.set(&format!("floor.trade_alone_us.{suite}"), trade(1.0))?;
        let per_s = f64::from(u32::try_from(cores).unwrap_or(1)) * 1e6 / trade(BATCH);
        figures.set(&format!("floor.trades_per_s.{suite}"), per_s)?;
        let rows: Vec<String> =
            BATCHES.iter().map(|batch| format!("{:.0} at {batch:.0}", trade(*batch))).collect();
        figures.note(format!(
            "floor of a trade, {suite}: {ORDERS_CHECKED} x {:.1} us (orders checked) + \
             ({CHECKPOINTS_SIGNED} x {:.1} us signed + {CHECKPOINTS_CHECKED} x {:.1} us checked) / \
             trades in a batch = {} us; {per_s:.0} trades/s on {cores} cores in batches of {BATCH}",
            holder.verify,
            hybrid.sign,
            hybrid.verify,
            rows.join(", ")
        ));
    }
    let sync = figures.get("floor.fdatasync_us.kib4").unwrap_or_default();
    let trip = figures.get("floor.loopback_us.kib1").unwrap_or_default();
    // The guard lies on the log's disk here, so that it is not synced for each batch.
    let step = sync + hybrid.sign + trip / 2.0 + hybrid.verify;
    let latency = (ed25519.verify + STEPS * step) / 1e3;
    figures.set("floor.trade_latency_ms", latency)?;
    figures.note(format!(
        "floor of a single trade's latency: {:.0} us (the take checked) + {STEPS} steps of ({sync:.0} \
         us fdatasync of the log + {:.0} us signed + {:.0} us on the way + {:.0} \
         us checked) = {latency:.1} ms",
        ed25519.verify,
        hybrid.sign,
        trip / 2.0,
        hybrid.verify
    ));
    Ok(())
}

/// Signature operations of one trade at both banks, in microseconds, with so many in a batch.
fn trade_us(order: f64, bank: Costs, batch: f64) -> f64 {
    let checkpoints = CHECKPOINTS_SIGNED * bank.sign + CHECKPOINTS_CHECKED * bank.verify;
    ORDERS_CHECKED * order + checkpoints / batch.max(1.0)
}

fn signatures(suite: Suite, times: usize) -> Costs {
    let key = SecretKey::generate(suite, &[3; 32]);
    let message = [5_u8; ORDER_BYTES];
    let signature = key.sign(Tag::Order, &message);
    let sign = median_us(times, 1, || {
        std::hint::black_box(key.sign(Tag::Order, std::hint::black_box(&message)));
    });
    let check = HybridSignatures;
    let verify = median_us(times, 1, || {
        let verdict = check.verify(key.public(), Tag::Order, &message, &signature);
        let _ = std::hint::black_box(verdict);
    });
    let one =
        Signed { key: key.public(), tag: Tag::Order, message: &message, signature: &signature };
    let many = [one; TOGETHER];
    let rounds = times.div_ceil(TOGETHER).max(3);
    let all = median_us(rounds, 1, || {
        std::hint::black_box(check.verify_batch(&many));
    });
    Costs { sign, verify, together: all / many.len() as f64 }
}

/// The median time of an operation in microseconds, which is done `each` times in every look at
/// the clock.
fn median_us(times: usize, each: u32, mut run: impl FnMut()) -> f64 {
    // What is loaded at the first use is not what a bank pays for each.
    run();
    let mut took: Vec<Duration> = (0..times.max(1))
        .map(|_| {
            let begun = Instant::now();
            for _ in 0..each {
                run();
            }
            begun.elapsed()
        })
        .collect();
    took.sort_unstable();
    let middle = took.get(took.len() / 2).copied().unwrap_or_default();
    middle.as_secs_f64() * 1e6 / f64::from(each.max(1))
}

/// The median time to append so many bytes and sync them, in microseconds.
fn fdatasync(folder: &Path, bytes: usize, times: usize) -> Result<f64, Refusal> {
    let path = folder.join(format!("fdatasync-{bytes}"));
    let failed = |error: std::io::Error| files::cannot_write(&path, &error);
    let mut file = File::create_new(&path).map_err(failed)?;
    let block = vec![1_u8; bytes];
    let mut broken = None;
    let took = median_us(times, 1, || {
        if let Err(error) = file.write_all(&block).and_then(|()| file.sync_data()) {
            broken.get_or_insert(error);
        }
    });
    drop(file);
    std::fs::remove_file(&path).map_err(failed)?;
    match broken {
        Some(error) => Err(failed(error)),
        None => Ok(took),
    }
}

/// The median time of a round trip with a page's bytes each way, in microseconds.
fn loopback(times: usize) -> std::io::Result<f64> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let echo = std::thread::spawn(move || -> std::io::Result<()> {
        let (mut stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        let mut page = [0_u8; PAGE_BYTES];
        // Ends when the other side has gone.
        while stream.read_exact(&mut page).is_ok() {
            stream.write_all(&page)?;
        }
        Ok(())
    });
    let mut stream = TcpStream::connect_timeout(&address, SILENCE)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(SILENCE))?;
    let mut page = [9_u8; PAGE_BYTES];
    let mut broken = None;
    let took = median_us(times, 1, || {
        let trip = stream.write_all(&page).and_then(|()| stream.read_exact(&mut page));
        if let Err(error) = trip {
            broken.get_or_insert(error);
        }
    });
    drop(stream);
    let echoed = echo.join().map_err(|_| std::io::Error::other("the echo panicked"))?;
    match broken {
        Some(error) => Err(error),
        None => echoed.map(|()| took),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_larger_batch_leaves_the_orders_and_nothing_else() {
        let bank = Costs { sign: 100.0, verify: 70.0, together: 70.0 };
        assert!((trade_us(36.0, bank, 1.0) - (72.0 + 700.0 + 490.0)).abs() < 1e-9);
        assert!((trade_us(36.0, bank, 1e12) - 72.0).abs() < 1e-6);
    }

    #[test]
    fn a_disk_that_cannot_be_written_is_reported() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("none");
        assert_eq!(fdatasync(&missing, 4096, 1).unwrap_err().code, Code::CannotWrite);
        assert!(fdatasync(folder.path(), 4096, 3).unwrap() > 0.0);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left");
    }
}
