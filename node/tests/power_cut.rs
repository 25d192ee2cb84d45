//! What a power cut leaves: an ext4 image on a loop device, a writer in a process of its own, and
//! a forced shutdown of the file system in the middle of its work.
//!
//! The writer notes the time and reports each height once it is durable; after the cut the image
//! is mounted again, and every height that was reported before the cut began must be there. (A
//! sync that is under way while the file system is shut down may come back without an error and
//! without effect. After a real cut nobody is left to hear of it.) The same with a disk whose
//! `fdatasync` does nothing shows that the test can fail.
//!
//! Needs root, loop devices and a few tools; says so and passes where it has none of them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod log_store_support;

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use log_store_support::*;
use quadrille_node::log_store::{LogStore, Options};
use quadrille_node::signer::{GuardFile, Syncing};
use quadrille_protocol::types::Height;

const ROUNDS: u64 = 20;
/// The longest wait for anything here.
const PATIENCE: Duration = Duration::from_secs(60);
const IMAGE_BYTES: u64 = 512 * 1024 * 1024;
/// Set for the writer: the data directory, and whether its syncs are real.
const DIRECTORY: &str = "QUADRILLE_POWER_CUT_DIRECTORY";
const LYING: &str = "QUADRILLE_POWER_CUT_LYING";
/// `EXT4_IOC_SHUTDOWN` without a flush of the journal: what a power cut is to the file system.
/// Prints the time right before.
const SHUT_DOWN: &str = "import fcntl,os,struct,sys,time
fd = os.open(sys.argv[1], os.O_RDONLY)
print(time.time_ns(), flush=True)
fcntl.ioctl(fd, 0x8004587d, struct.pack('I', 2))";

/// A file system of its own; unmounted when dropped, whatever happens.
struct Image {
    _dir: tempfile::TempDir,
    file: PathBuf,
    mount: PathBuf,
    mounted: bool,
}

fn run(command: &mut Command) -> Result<String, String> {
    let shown = format!("{command:?}");
    let output = command.output().map_err(|error| format!("{shown}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("{shown}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

impl Image {
    /// A new file system, or why this machine cannot have one.
    fn new() -> Result<Self, String> {
        let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
        let (file, mount) = (dir.path().join("image"), dir.path().join("mount"));
        fs::create_dir(&mount).map_err(|error| error.to_string())?;
        let image = File::create(&file).map_err(|error| error.to_string())?;
        image.set_len(IMAGE_BYTES).map_err(|error| error.to_string())?;
        run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&file))?;
        let mut image = Self { _dir: dir, file, mount, mounted: false };
        image.mount()?;
        Ok(image)
    }

    fn mount(&mut self) -> Result<(), String> {
        run(Command::new("mount").args(["-o", "loop"]).arg(&self.file).arg(&self.mount))?;
        self.mounted = true;
        Ok(())
    }

    /// Nothing that is not on the disk now will ever be; says when it began.
    fn cut_power(&self) -> Result<u128, String> {
        let said = run(Command::new("python3").args(["-c", SHUT_DOWN]).arg(&self.mount))?;
        said.trim().parse().map_err(|_| format!("no time but `{said}`"))
    }

    fn unmount(&mut self) -> Result<(), String> {
        run(Command::new("umount").arg(&self.mount))?;
        self.mounted = false;
        Ok(())
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        if self.mounted {
            let _ = run(Command::new("umount").args(["-l"]).arg(&self.mount));
        }
    }
}

/// A process that is ended when the test is.
struct Writer(Child);

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Not a test of its own: what the writing process does.
#[test]
fn writer() {
    let Some(dir) = std::env::var_os(DIRECTORY).map(PathBuf::from) else { return };
    let disk = FaultyDisk::new();
    disk.0.lying_sync.store(std::env::var_os(LYING).is_some(), Ordering::Relaxed);
    let options = Options { segment_bytes: 300_000, ..disk.options() };
    let (mut store, opening) = LogStore::open_with(&dir, options).unwrap();
    let guard =
        GuardFile::open(&dir.join("guard"), &network(), &domain(), Syncing::EachNote).unwrap();
    let mut height = opening.head.map_or(1, |head| head.0.0 + 1);
    if opening.unsealed {
        let (last, _) = opening.head.unwrap();
        let stored = store.reader().batch(last).unwrap().unwrap().stored;
        guard.note(last, stored.checkpoint.hash()).unwrap();
        let batch = quadrille_protocol::log::Batch::open(stored).unwrap();
        store.seal(last, &signature(&batch)).unwrap();
    }
    let mut out = std::io::stdout().lock();
    loop {
        // Sizes from a few bytes to several pages, and some far larger.
        let bytes = match height % 17 {
            0 => 60_000,
            other => 40 + usize::try_from(other * other * 90).unwrap(),
        };
        let batch = batch(height, bytes);
        // Its error is the power cut.
        if store.append(&batch).is_err() {
            return;
        }
        writeln!(out, "\ndurable {height} {}", now()).unwrap();
        if guard.note(Height(height), batch.checkpoint().hash()).is_err() {
            return;
        }
        writeln!(out, "noted {height} {}", now()).unwrap();
        out.flush().unwrap();
        if store.seal(Height(height), &signature(&batch)).is_err() {
            return;
        }
        height += 1;
    }
}

/// Nanoseconds since 1970, as Python counts them too.
fn now() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos()
}

/// Writes until the power is cut; the last height that was durable, and the last one noted in
/// the guard, before the cut.
fn write_and_cut(image: &Image, round: u64, lying: bool) -> Result<(u64, u64), String> {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "writer", "--nocapture", "--test-threads=1"]);
    command.env(DIRECTORY, &image.mount).env_remove(LYING);
    if lying {
        command.env(LYING, "1");
    }
    let child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut writer = Writer(child);
    let out = writer.0.stdout.take().unwrap();
    let (send, heights) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            let words: Vec<&str> = line.split(' ').collect();
            let [what @ ("durable" | "noted"), height, time] = words[..] else { continue };
            let said = (what == "noted", height.parse().unwrap(), time.parse().unwrap());
            if send.send(said).is_err() {
                return;
            }
        }
    });
    // The cut comes after so many batches, and then wherever in the next one the writer is.
    let mut seen: Vec<(bool, u64, u128)> = Vec::new();
    while (seen.len() as u64) < 1 + round * 37 % 180 {
        seen.push(heights.recv_timeout(PATIENCE).map_err(|error| error.to_string())?);
    }
    std::thread::sleep(Duration::from_micros(round * 211 % 1_700));
    let cut = image.cut_power()?;
    // Every write fails now, and so it ends.
    let deadline = Instant::now() + PATIENCE;
    while writer.0.try_wait().unwrap().is_none() {
        assert!(Instant::now() < deadline, "the writer goes on without a disk");
        std::thread::sleep(Duration::from_millis(2));
    }
    reader.join().unwrap();
    seen.extend(heights.try_iter());
    let last = |noted: bool, until: u128| {
        let before = seen.iter().filter(|said| said.0 == noted && said.2 < until);
        before.map(|said| said.1).max().unwrap_or(0)
    };
    let late = seen.iter().filter(|said| !said.0 && said.2 >= cut).count();
    println!("power cut {round}: {late} batches acknowledged after it began");
    Ok((last(false, cut), last(true, cut)))
}

/// What is there after the cut: heights in the log, and the guard's.
fn after_the_cut(dir: &Path) -> Result<(Vec<u64>, u64, u64), String> {
    let (store, opening) = LogStore::open(dir).map_err(|refusal| refusal.to_string())?;
    let guard = GuardFile::open(&dir.join("guard"), &network(), &domain(), Syncing::EachNote);
    let guard = guard.map_err(|refusal| refusal.to_string())?;
    let noted = guard.last().map_or(0, |guard| guard.height.0);
    Ok((readable(&store), noted, opening.torn_bytes))
}

/// Whether the round lost something that was acknowledged.
fn round(image: &mut Image, round: u64, lying: bool) -> Result<bool, String> {
    let (durable, noted) = write_and_cut(image, round, lying)?;
    image.unmount()?;
    image.mount()?;
    let found = after_the_cut(&image.mount);
    println!(
        "power cut {round}: acknowledged {durable}, {}",
        match &found {
            Ok((heights, guard, torn)) =>
                format!("found {}, guard {guard}, {torn} bytes torn", heights.len()),
            Err(refusal) => refusal.clone(),
        }
    );
    let Ok((heights, guard, _)) = found else { return Ok(true) };
    let whole = heights.iter().copied().eq(1..=heights.len() as u64);
    Ok(!whole || (heights.len() as u64) < durable || guard < noted)
}

/// A new image, or a clear word that there can be none.
fn image() -> Option<Image> {
    let made = Image::new().and_then(|image| {
        run(Command::new("python3").args(["-c", "import fcntl"]))?;
        Ok(image)
    });
    made.map_err(|reason| println!("power cut: not run: {reason}")).ok()
}

#[test]
fn what_was_acknowledged_survives_a_power_cut() {
    let Some(mut image) = image() else { return };
    for number in 0..ROUNDS {
        assert!(!round(&mut image, number, false).unwrap(), "round {number} lost something");
    }
    let (heights, _, _) = after_the_cut(&image.mount).unwrap();
    assert!(heights.len() as u64 > ROUNDS, "only {} batches were written", heights.len());
    image.unmount().unwrap();
}

/// The test above can fail: without a real `fdatasync` it does.
#[test]
fn without_a_sync_a_power_cut_loses_what_was_acknowledged() {
    let mut lost = 0;
    for number in 0..3 {
        let Some(mut image) = image() else { return };
        lost += u32::from(round(&mut image, number, true).unwrap());
        image.unmount().unwrap();
    }
    assert!(lost > 0, "nothing was lost without a single sync: the cut is none");
}
