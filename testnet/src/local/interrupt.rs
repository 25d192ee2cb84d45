//! Ctrl-C and SIGTERM, for commands that must not leave half of something behind.
//!
//! Invariant: a signal ends nothing by itself. The command notices at its next look, puts right
//! what it has begun, and then says that it was broken off. Until [`watch`] was called signals do
//! what they always do.

use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::refuse;

/// Between two looks while something else is waited for.
const LOOK: Duration = Duration::from_millis(50);

static ASKED: AtomicBool = AtomicBool::new(false);
static SHIELDED: AtomicBool = AtomicBool::new(false);
static WATCHING: Once = Once::new();

/// From now on a signal is noted and ends nothing.
pub fn watch() {
    WATCHING.call_once(|| {
        let noted = std::thread::Builder::new().name("signals".to_owned()).spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            if let Ok(runtime) = runtime {
                runtime.block_on(note());
            }
        });
        // Without a thread for them signals do what they always do.
        drop(noted);
    });
}

async fn note() {
    use tokio::signal::unix::{SignalKind, signal};
    let both = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    let (Ok(mut interrupt), Ok(mut terminate)) = both else { return };
    loop {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        if !ASKED.swap(true, Ordering::SeqCst) {
            eprintln!("broken off; putting things right first");
        }
    }
}

/// Whether somebody has asked to end.
#[must_use]
pub fn asked() -> bool {
    ASKED.load(Ordering::SeqCst) && !SHIELDED.load(Ordering::SeqCst)
}

/// While it lives nobody has asked to end: for what puts things right. One at a time.
#[derive(Debug)]
pub struct Shield(());

/// Puts things right without being broken off.
#[must_use]
pub fn shield() -> Shield {
    SHIELDED.store(true, Ordering::SeqCst);
    Shield(())
}

impl Drop for Shield {
    fn drop(&mut self) {
        SHIELDED.store(false, Ordering::SeqCst);
    }
}

/// Goes on unless somebody has asked to end.
///
/// # Errors
/// `Q-2352` somebody has.
pub fn check() -> Result<(), Refusal> {
    if asked() {
        refuse!(BrokenOff, "by a signal");
    }
    Ok(())
}

/// Does the work unless somebody asks to end meanwhile.
///
/// # Errors
/// `Q-2352`, and those of the work.
pub async fn or<T>(work: impl Future<Output = Result<T, Refusal>>) -> Result<T, Refusal> {
    let ended = async {
        while !asked() {
            tokio::time::sleep(LOOK).await;
        }
        Refusal::new(Code::BrokenOff, "by a signal")
    };
    tokio::select! {
        biased;
        refusal = ended => Err(refusal),
        done = work => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_puts_things_right_is_not_broken_off() {
        check().unwrap();
        ASKED.store(true, Ordering::SeqCst);
        assert_eq!(check().unwrap_err().code, Code::BrokenOff);
        let shield = shield();
        check().unwrap();
        drop(shield);
        assert!(asked());
        ASKED.store(false, Ordering::SeqCst);
    }
}
