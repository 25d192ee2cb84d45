//! The terminal, taken over and given back.
//!
//! Plain escape sequences, and `stty` for the keys: no key needs a return, and none is echoed.
//! Where there is no `stty`, q needs a return; Ctrl-C always works.

use std::io::{self, Read as _, Write as _};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use quadrille_protocol::error::{Code, Refusal};

/// Another page of the terminal, without a cursor.
const TAKE: &str = "\x1b[?1049h\x1b[?25l\x1b[H\x1b[2J";
const GIVE_BACK: &str = "\x1b[?25h\x1b[?1049l";
/// Columns and rows where nobody says how many there are.
const SIZE: (usize, usize) = (80, 24);

/// The terminal while we have it.
#[derive(Debug)]
pub(super) struct Screen {
    /// How its keys were, in `stty`'s words.
    before: Option<String>,
    quits: Arc<AtomicBool>,
}

fn stty(arguments: &[&str]) -> Option<String> {
    let asked = Command::new("stty")
        .args(arguments)
        .stdin(Stdio::inherit())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    asked.status.success().then(|| String::from_utf8_lossy(&asked.stdout).trim().to_owned())
}

fn put(text: &str) -> Result<(), Refusal> {
    let mut out = io::stdout();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| Refusal::new(Code::CannotWrite, format!("terminal: {error}")))
}

impl Screen {
    /// Takes the terminal over.
    pub(super) fn enter() -> Result<Self, Refusal> {
        let before = stty(&["-g"]);
        if before.is_some() {
            let _ = stty(&["-icanon", "-echo", "min", "1", "time", "0"]);
        }
        let quits = Arc::new(AtomicBool::new(false));
        let screen = Self { before, quits: Arc::clone(&quits) };
        // It waits for keys until the process ends.
        let keys = std::thread::Builder::new().name("keys".to_owned()).spawn(move || {
            for key in io::stdin().lock().bytes() {
                if matches!(key, Ok(b'q' | b'Q') | Err(_)) {
                    quits.store(true, Ordering::SeqCst);
                    return;
                }
            }
        });
        drop(keys);
        put(TAKE)?;
        Ok(screen)
    }

    /// Whether somebody has pressed q.
    pub(super) fn quits(&self) -> bool {
        self.quits.load(Ordering::SeqCst)
    }

    /// Columns and rows.
    pub(super) fn size(&self) -> (usize, usize) {
        let told = stty(&["size"]);
        let (rows, columns) =
            told.as_deref().and_then(|text| text.split_once(' ')).unwrap_or(("", ""));
        match (columns.parse(), rows.parse()) {
            (Ok(columns), Ok(rows)) if columns > 0 && rows > 0 => (columns, rows),
            _ => SIZE,
        }
    }

    /// Draws a frame over the last.
    pub(super) fn show(&self, lines: &[String]) -> Result<(), Refusal> {
        // To the end of each line, and of the screen, nothing of the last frame stays.
        let body = lines.join("\x1b[K\r\n");
        put(&format!("\x1b[H{body}\x1b[K\x1b[J"))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = put(GIVE_BACK);
        if let Some(before) = &self.before {
            let _ = stty(&[before]);
        }
    }
}
