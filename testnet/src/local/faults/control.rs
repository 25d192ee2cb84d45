//! What the proxy is asked, and how: one line of JSON to its socket, one line back.
//!
//! Invariant: a line has at most [`LINE_BYTES`] bytes and comes within [`PATIENCE`], at either
//! end; the socket is its owner's alone.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use quadrille_node::files;
use quadrille_protocol::error::{Code, Refusal};
use serde::{Deserialize, Serialize};

use super::super::layout::Layout;
use super::{Fault, FaultId};

/// Longest line.
pub const LINE_BYTES: u64 = 256 * 1024;
/// Longest wait for a line.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// What is asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// Make a fault.
    Apply {
        /// Which.
        fault: Fault,
        /// For how long, in milliseconds.
        span_ms: Option<u64>,
    },
    /// End a fault, or all.
    Heal {
        /// Which; all when it is left out.
        id: Option<FaultId>,
    },
}

/// What is answered.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// The fault is in force under this number.
    Applied(FaultId),
    /// These are in force no more.
    Healed(Vec<Fault>),
    /// It was not done.
    Refused {
        /// The number of the code.
        code: u16,
        /// What is wrong.
        what: String,
    },
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        Self::Refused { code: refusal.code.number(), what: refusal.what }
    }
}

/// A path to the control socket that is short enough for a socket's address, however long the
/// folder's is; it counts as long as the file is open.
///
/// # Errors
/// `Q-2342` when the folder is not there.
pub fn address(layout: &Layout) -> Result<(File, PathBuf), Refusal> {
    let path = layout.control();
    let folder = File::open(layout.faults()).map_err(|error| failed(&path, &error))?;
    let name = path.file_name().unwrap_or_default();
    let short = Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name);
    Ok((folder, short))
}

/// Asks the proxy.
///
/// # Errors
/// `Q-2342` it does not answer; else what it refuses with.
pub fn ask(layout: &Layout, request: &Request) -> Result<Answer, Refusal> {
    let path = layout.control();
    let broken = |error: std::io::Error| failed(&path, &error);
    let (_folder, short) = address(layout)?;
    let mut stream = UnixStream::connect(short).map_err(broken)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(broken)?;
    stream.set_write_timeout(Some(PATIENCE)).map_err(broken)?;
    let mut line = serde_json::to_vec(request)
        .map_err(|error| Refusal::new(Code::CannotWrite, error.to_string()))?;
    line.push(b'\n');
    stream.write_all(&line).map_err(broken)?;
    let mut text = String::new();
    BufReader::new(stream.take(LINE_BYTES)).read_line(&mut text).map_err(broken)?;
    let answer: Answer = serde_json::from_str(&text)
        .map_err(|error| Refusal::new(Code::ProxyFailed, format!("its answer: {error}")))?;
    match answer {
        Answer::Refused { code, what } => {
            let code = Code::from_number(code).unwrap_or(Code::ProxyFailed);
            Err(Refusal::new(code, what))
        }
        Answer::Applied(_) | Answer::Healed(_) => Ok(answer),
    }
}

fn failed(path: &Path, error: &std::io::Error) -> Refusal {
    let unreadable = files::cannot_read(path, error);
    Refusal::new(Code::ProxyFailed, unreadable.what)
}
