//! A PostgreSQL cluster of our own, in the work folder, over a socket that only we have.
//!
//! Invariant: PostgreSQL refuses to run as root, so there it runs as the system's `postgres`, or
//! `nobody`, who owns the cluster's folder and nothing else of ours.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::refuse;
use tokio_postgres::{Client, Config, NoTls};

use crate::bench::cleanup::Cleanup;
use crate::local::process;

/// Where distributions put the programs, one folder for each version.
const DISTRIBUTION: &str = "/usr/lib/postgresql";
/// Who runs a cluster where we are root.
const USERS: [&str; 2] = ["postgres", "nobody"];
/// The superuser of the cluster.
const OWNER: &str = "bench";
/// How long a cluster may take to answer.
const READY: Duration = Duration::from_secs(60);
/// Between two looks whether it does.
const LOOK: Duration = Duration::from_millis(50);
/// Lines of its log that are shown when it does not.
const LAST_LINES: usize = 10;
/// Longest path of a socket that Linux takes.
const SOCKET_BYTES: usize = 107;
/// How each cluster is run. Everything that safety needs is said, although it is the default.
const SETTINGS: [&str; 11] = [
    "fsync=on",
    "synchronous_commit=on",
    "full_page_writes=on",
    "max_prepared_transactions=256",
    "max_connections=100",
    "shared_buffers=256MB",
    "max_wal_size=4GB",
    "checkpoint_timeout=30min",
    "autovacuum=on",
    "listen_addresses=",
    "log_min_messages=warning",
];

/// The programs of one version.
#[derive(Debug, Clone)]
pub(super) struct Programs {
    postgres: PathBuf,
    initdb: PathBuf,
}

impl Programs {
    /// On the path, or the newest of the distribution's.
    ///
    /// # Errors
    /// `Q-2381`.
    pub fn find() -> Result<Self, Refusal> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
        let mut versions: Vec<(u32, PathBuf)> = Vec::new();
        for entry in fs::read_dir(DISTRIBUTION).into_iter().flatten().flatten() {
            let version = entry.file_name().to_string_lossy().parse().unwrap_or(0);
            versions.push((version, entry.path().join("bin")));
        }
        versions.sort();
        folders.extend(versions.into_iter().rev().map(|(_, folder)| folder));
        let found = folders.into_iter().find_map(|folder| {
            let (postgres, initdb) = (folder.join("postgres"), folder.join("initdb"));
            (postgres.is_file() && initdb.is_file()).then_some(Self { postgres, initdb })
        });
        let missing = || {
            let what = format!("no `postgres` and `initdb` on the path or in {DISTRIBUTION}");
            Refusal::new(Code::PostgresMissing, what)
        };
        found.ok_or_else(missing)
    }

    /// What it calls itself.
    ///
    /// # Errors
    /// `Q-2381` when it does not run.
    pub fn version(&self) -> Result<String, Refusal> {
        let gone = |error: io::Error| {
            Refusal::new(Code::PostgresMissing, format!("{}: {error}", self.postgres.display()))
        };
        let output = Command::new(&self.postgres).arg("--version").output().map_err(gone)?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}

/// A running cluster.
#[derive(Debug)]
pub(super) struct Cluster {
    folder: PathBuf,
    log: PathBuf,
}

impl Cluster {
    /// Makes a cluster in a new folder and starts it.
    ///
    /// # Errors
    /// `Q-2382`.
    pub fn start(programs: &Programs, folder: &Path, cleanup: &Cleanup) -> Result<Self, Refusal> {
        let failed = |error: io::Error| {
            Refusal::new(Code::PostgresFailed, format!("{}: {error}", folder.display()))
        };
        if folder.as_os_str().len() + "/.s.PGSQL.5432.lock".len() > SOCKET_BYTES {
            refuse!(PostgresFailed, "{} is too long for a socket: use --dir", folder.display());
        }
        fs::create_dir(folder).map_err(failed)?;
        let user = other_user()?;
        if let Some((uid, gid)) = user {
            chown(folder, Some(uid), Some(gid)).map_err(failed)?;
        }
        let data = folder.join("data");
        let log = folder.join("log");
        let mut make = as_user(&programs.initdb, user);
        make.arg("-D").arg(&data).args(["-U", OWNER, "-A", "trust", "-E", "UTF8"]);
        make.args(["--locale=C", "--no-sync"]).current_dir(folder).stdin(Stdio::null());
        let made = make.output().map_err(failed)?;
        if !made.status.success() {
            let told = String::from_utf8_lossy(&made.stderr);
            refuse!(PostgresFailed, "initdb: {}", told.trim());
        }
        let output = File::create(&log).map_err(failed)?;
        let errors = output.try_clone().map_err(failed)?;
        let mut serve = as_user(&programs.postgres, user);
        serve.arg("-D").arg(&data).arg("-k").arg(folder).current_dir(folder);
        for setting in SETTINGS {
            serve.args(["-c", setting]);
        }
        // In a process group of its own: a signal to us reaches it through us.
        serve.stdin(Stdio::null()).stdout(output).stderr(errors).process_group(0);
        cleanup.database(folder, serve.spawn().map_err(failed)?);
        let cluster = Self { folder: folder.to_owned(), log };
        cluster.await_ready(cleanup)?;
        Ok(cluster)
    }

    fn await_ready(&self, cleanup: &Cleanup) -> Result<(), Refusal> {
        let runtime = crate::local::clients::runtime()?;
        let deadline = Instant::now() + READY;
        while let Err(refusal) = runtime.block_on(self.connect()) {
            if !cleanup.database_runs(&self.folder) || Instant::now() >= deadline {
                let last = process::tail(&self.log, LAST_LINES).unwrap_or_default();
                refuse!(PostgresFailed, "{}; its log ends: {}", refusal.what, last.join(" / "));
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    /// A connection, which lives as long as its client.
    ///
    /// # Errors
    /// `Q-2382`.
    pub async fn connect(&self) -> Result<Client, Refusal> {
        let mut config = Config::new();
        config.host_path(&self.folder).user(OWNER).dbname("postgres");
        let (client, connection) = config.connect(NoTls).await.map_err(super::failed)?;
        // What ends it shows at the next question.
        tokio::spawn(connection);
        Ok(client)
    }

    /// Stops it.
    pub fn stop(self, cleanup: &Cleanup) {
        cleanup.end_database(&self.folder);
    }
}

fn as_user(program: &Path, user: Option<(u32, u32)>) -> Command {
    let mut command = Command::new(program);
    if let Some((uid, gid)) = user {
        command.uid(uid).gid(gid);
    }
    command
}

/// Whom to run as: nobody else, unless we are root.
fn other_user() -> Result<Option<(u32, u32)>, Refusal> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let found = USERS.iter().find_map(|name| ids(&users, name));
    let none =
        || Refusal::new(Code::PostgresFailed, "root may not run it, and nobody else is here");
    found.map(Some).ok_or_else(none)
}

/// The numbers of a user and its group.
fn ids(users: &str, name: &str) -> Option<(u32, u32)> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next()? != name {
            return None;
        }
        let mut numbers = fields.skip(1);
        Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_its_whole_name() {
        let users =
            "root:x:0:0:root:/root:/bin/sh\npostgres2:x:7:8::/:/x\npostgres:x:105:109::/:/x\n";
        assert_eq!(ids(users, "postgres"), Some((105, 109)));
        assert_eq!(ids(users, "nobody"), None);
    }
}
