//! A whole local network in one file, and back.
//!
//! ```text
//!   snapshot: end what runs -> pack into FILE.part -> rename -> start again what ran
//!   restore:  unpack into DIR.part-… -> new paths, new ports where needed -> rename
//! ```
//!
//! Invariants:
//! * The processes stand still while they are copied, so log, guard and wallets fit each other.
//! * FILE and DIR are there whole or not at all, whatever happens; what ran, runs again.
//! * A copy beside the original is the same banks twice: only one of them may run.

mod archive;
mod command;

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use quadrille_node::files;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::refuse;

pub use archive::Packed;
pub use command::{RestoreArgs, SnapshotArgs};

use super::layout::{BOOTSTRAP, Layout};
use super::process::Process;
use super::state::{self, Held, State};
use super::{interrupt, ports, prepare, room, start};

/// The name of the state among the files.
const STATE: &str = "state.json";

/// Packs the network into a new file. What runs is ended for it, and started again.
///
/// # Errors
/// `Q-2206` the file exists; `Q-2371` no room, with nothing done; `Q-2352`; those of starting.
pub fn save(held: &mut Held, file: &Path, say: &mut dyn FnMut(&str)) -> Result<Packed, Refusal> {
    let root = held.layout.root().to_owned();
    if file.exists() {
        refuse!(FileExists, "{}", file.display());
    }
    let whole =
        |path: &Path| std::path::absolute(path).map_err(|error| files::cannot_read(path, &error));
    if whole(file)?.starts_with(whole(&root)?) {
        refuse!(BadUsage, "{} is in the network's own folder", file.display());
    }
    let size = archive::members(&root, &wanted)?.iter().map(|member| member.length).sum();
    room::check(files::folder_of(file), size)?;
    let names = |(name, process): (&str, &Process)| process.is_alive().then(|| name.to_owned());
    let running: Vec<String> = held.state.processes().filter_map(names).collect();
    if !running.is_empty() {
        say(&format!("ending {} processes for the copy", running.len()));
        for name in start::down(held)? {
            say(&format!("{name} did not end when it was asked to, and was killed"));
        }
    }
    say("packing");
    let packed = write(held, &root, file);
    // What comes now puts things right, even when somebody wants to end.
    let _shield = interrupt::shield();
    if !running.is_empty() {
        say("starting what ran");
        again(held, &running)?;
    }
    packed
}

fn write(held: &Held, root: &Path, file: &Path) -> Result<Packed, Refusal> {
    interrupt::check()?;
    let members = archive::members(root, &wanted)?;
    let mut state = serde_json::to_vec_pretty(&held.state)
        .map_err(|error| Refusal::new(Code::CannotWrite, error.to_string()))?;
    state.push(b'\n');
    let part = beside(file);
    // There are keys in it.
    let opened = File::options().write(true).create_new(true).mode(0o600).open(&part);
    let opened = opened.map_err(|error| room::write_failed(&part, &error))?;
    let mut out = BufWriter::new(opened);
    let done = archive::pack(root, (Path::new(STATE), &state), &members, &part, &mut out).and_then(
        |packed| {
            let synced = out.flush().and_then(|()| out.get_ref().sync_all());
            synced
                .and_then(|()| fs::rename(&part, file))
                .map_err(|error| room::write_failed(&part, &error))?;
            Ok(packed)
        },
    );
    if done.is_err() {
        let _ = fs::remove_file(&part);
    }
    done
}

fn again(held: &mut Held, running: &[String]) -> Result<(), Refusal> {
    if running.iter().any(|name| name == BOOTSTRAP) {
        let _ = start::bootstrap(held)?;
    }
    let known = |name: &&String| held.state.bank(name).is_ok();
    let banks: Vec<String> = running.iter().filter(known).cloned().collect();
    start::banks(held, &banks, None, |_| ())
}

/// What goes into a snapshot: everything but locks, sockets, and where processes that have ended
/// were reached.
fn wanted(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let top = path.components().count() == 1;
    let left_out = ["lock", "endpoints.json", "control"].contains(&name)
        || (top && [STATE, "check", "state.json.new"].contains(&name));
    !left_out
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".part-{}", std::process::id()));
    path.with_file_name(name)
}

/// Unpacks a network into the folder `dir`, which is missing or empty. It stands still then. Says
/// whether it has new ports.
///
/// # Errors
/// `Q-2372` the folder is not empty; those of [`archive::unpack`]; `Q-2327` the state in it.
pub fn load(file: &Path, dir: &Path, new_ports: bool) -> Result<(State, Packed, bool), Refusal> {
    let dir = std::path::absolute(dir).map_err(|error| files::cannot_read(dir, &error))?;
    check_empty(&dir)?;
    let part = beside(&dir);
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&part);
    made.map_err(|error| room::write_failed(&part, &error))?;
    let done = fill(file, &part, &dir, new_ports).and_then(|done| {
        interrupt::check()?;
        if dir.exists() {
            fs::remove_dir(&dir).map_err(|error| files::cannot_write(&dir, &error))?;
        }
        fs::rename(&part, &dir).map_err(|error| files::cannot_write(&dir, &error))?;
        Ok(done)
    });
    if done.is_err() {
        let _ = fs::remove_dir_all(&part);
    }
    done
}

fn check_empty(dir: &Path) -> Result<(), Refusal> {
    match fs::read_dir(dir) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => refuse!(FolderNotEmpty, "{}", dir.display()),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(files::cannot_read(dir, &error)),
    }
}

/// Unpacks into `part` what is to be at `dir`.
fn fill(
    file: &Path,
    part: &Path,
    dir: &Path,
    new_ports: bool,
) -> Result<(State, Packed, bool), Refusal> {
    let packed = archive::unpack(file, part)?;
    let (here, later) = (Layout::new(part), Layout::new(dir));
    let mut state = state::load(&here)?;
    check_names(&state)?;
    state.bootstrap.process = None;
    for bank in &mut state.banks {
        bank.process = None;
        let guard = later.guard(&bank.name);
        prepare::configure(
            &here.node(&bank.name),
            &[("node.guard_dir", &guard.to_string_lossy())],
        )?;
    }
    let renewed = new_ports || ports::taken(&here, &state).is_some();
    if renewed {
        ports::renew_all(&here, &mut state)?;
    }
    state::save(&here, &state)?;
    Ok((state, packed, renewed))
}

/// Names become paths.
fn check_names(state: &State) -> Result<(), Refusal> {
    let plain = |name: &str| {
        let mut bytes = name.bytes();
        !name.is_empty()
            && bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    match state.banks.iter().find(|bank| !plain(&bank.name)) {
        Some(bank) => refuse!(BadNetworkCopy, "`{}` is no name of a bank", bank.name),
        None => Ok(()),
    }
}
