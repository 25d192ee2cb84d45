//! The coordinator's durable memory: which trades are to be committed.
//!
//! Invariants:
//! * A decision that was answered for is on disk. Those that wait share one `fdatasync`.
//! * A trade without a line was not decided: after a crash it is rolled back on both sides.
//! * A torn line at the end was never answered for, and does not count.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use quadrille_node::files;
use quadrille_protocol::error::{Code, Refusal};
use tokio::sync::oneshot;

/// Decisions that may wait.
const WAITING: usize = 1_024;
/// Largest log that is read back.
const LOG_BYTES: usize = 1024 * 1024 * 1024;

type Waiting = (u64, oneshot::Sender<Result<(), String>>);

/// The log, kept by a thread of its own that ends with the last handle.
#[derive(Debug, Clone)]
pub(super) struct Decisions(SyncSender<Waiting>);

impl Decisions {
    /// Begins a log.
    ///
    /// # Errors
    /// `Q-2205`; `Q-2382` when there is no thread for it.
    pub fn create(path: &Path) -> Result<Self, Refusal> {
        let file = OpenOptions::new().create_new(true).append(true).open(path);
        let file = file.map_err(|error| files::cannot_write(path, &error))?;
        let (send, receive) = sync_channel(WAITING);
        std::thread::Builder::new()
            .name("decisions".to_owned())
            .spawn(move || keep(file, &receive))
            .map_err(|error| Refusal::new(Code::PostgresFailed, error.to_string()))?;
        Ok(Self(send))
    }

    /// Decides to commit a trade; durable when it returns.
    ///
    /// # Errors
    /// `Q-2382` when the disk fails, after which nothing more is decided.
    pub async fn commit(&self, trade: u64) -> Result<(), Refusal> {
        let ended = |what: String| Refusal::new(Code::PostgresFailed, what);
        let (answer, answered) = oneshot::channel();
        // No more can wait than there are clients, which are fewer than the room.
        let sent = self.0.try_send((trade, answer));
        sent.map_err(|error| ended(format!("the decision log: {error}")))?;
        let told = answered.await.map_err(|_| ended("the decision log has ended".to_owned()))?;
        told.map_err(|error| ended(format!("the decision log: {error}")))
    }
}

fn keep(mut file: File, waiting: &Receiver<Waiting>) {
    while let Ok(first) = waiting.recv() {
        let mut together = vec![first];
        together.extend(waiting.try_iter().take(WAITING));
        let mut lines = String::new();
        for (trade, _) in &together {
            lines.push_str(&format!("commit {trade}\n"));
        }
        let written = file.write_all(lines.as_bytes()).and_then(|()| file.sync_data());
        let told = written.map_err(|error: io::Error| error.to_string());
        for (_, answer) in together {
            // Whoever asked may have gone.
            let _ = answer.send(told.clone());
        }
        if told.is_err() {
            return;
        }
    }
}

/// The trades that were decided, as after a crash.
///
/// # Errors
/// `Q-2204`; `Q-2382` for a line that is none of ours.
pub(super) fn read(path: &Path) -> Result<BTreeSet<u64>, Refusal> {
    let text = files::read_text(path, LOG_BYTES)?;
    let (whole, _torn) = text.rsplit_once('\n').unwrap_or(("", &text));
    let trade = |line: &str| {
        let found = line.strip_prefix("commit ").and_then(|number| number.parse().ok());
        found.ok_or_else(|| Refusal::new(Code::PostgresFailed, format!("decision log: `{line}`")))
    };
    whole.lines().map(trade).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_decision_does_not_count_and_a_strange_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("decisions");
        std::fs::write(&path, "commit 4\ncommit 17\ncommit 9").unwrap();
        assert_eq!(read(&path).unwrap(), BTreeSet::from([4, 17]));
        std::fs::write(&path, "commit 4").unwrap();
        assert!(read(&path).unwrap().is_empty());
        std::fs::write(&path, "commit 4\nabort 5\n").unwrap();
        assert_eq!(read(&path).unwrap_err().code, Code::PostgresFailed);
    }

    #[tokio::test]
    async fn what_was_answered_for_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("decisions");
        let log = Decisions::create(&path).unwrap();
        for trade in 0..20 {
            log.commit(trade).await.unwrap();
        }
        assert_eq!(read(&path).unwrap(), (0..20).collect());
    }
}
