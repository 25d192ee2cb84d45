//! Verification before the core: on blocking threads, a bounded number at a time; what is short
//! where it is asked for.

use std::sync::Arc;

use quadrille_protocol::error::{Code, Refusal};
use tokio::sync::Semaphore;

use super::memo::CheckedOnce;

/// Verifications at a time, at most: one thread stands behind each.
pub const WORKERS_MOST: usize = 256;

/// What is checked at once: a signed order or a page with some statements, a tenth of a
/// millisecond or two.
const SHORT_BYTES: usize = 16 * 1024;

/// Runs verifications. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Verifier {
    permits: Arc<Semaphore>,
    signatures: Arc<CheckedOnce>,
}

impl Verifier {
    /// At most `workers` verifications at a time, and at least one.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        let workers = workers.clamp(1, WORKERS_MOST);
        let signatures = Arc::default();
        Self { permits: Arc::new(Semaphore::new(workers)), signatures }
    }

    /// What the checks verify with.
    #[must_use]
    pub fn signatures(&self) -> Arc<CheckedOnce> {
        self.signatures.clone()
    }

    /// Runs a check over so many bytes: a short one at once, where a worker would cost about as
    /// much as the check itself, any other as [`Verifier::run`].
    ///
    /// # Errors
    /// As [`Verifier::run`].
    pub async fn run_sized<T: Send + 'static>(
        &self,
        bytes: usize,
        check: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        if bytes <= SHORT_BYTES { check() } else { self.run(check).await }
    }

    /// Runs `check` on a worker; waits for a free one first.
    ///
    /// # Errors
    /// What `check` refuses; `Q-1801` while the node goes down.
    pub async fn run<T: Send + 'static>(
        &self,
        check: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let stopping = || Refusal::new(Code::NotLive, "the node is going down");
        let permit = self.permits.clone().acquire_owned().await.map_err(|_| stopping())?;
        let checked = tokio::task::spawn_blocking(move || {
            let result = check();
            drop(permit);
            result
        });
        checked.await.map_err(|_| stopping())?
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn no_more_run_at_a_time_than_are_configured() {
        let verifier = Verifier::new(2);
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (release, wait) = std::sync::mpsc::channel::<()>();
        let wait = Arc::new(std::sync::Mutex::new(wait));
        let mut checks = Vec::new();
        for _ in 0..6 {
            let (verifier, running) = (verifier.clone(), running.clone());
            let (most, wait) = (most.clone(), wait.clone());
            checks.push(tokio::spawn(async move {
                let check = move || {
                    let now = running.fetch_add(1, Ordering::SeqCst) + 1;
                    most.fetch_max(now, Ordering::SeqCst);
                    wait.lock().unwrap().recv().unwrap();
                    running.fetch_sub(1, Ordering::SeqCst);
                    Ok(())
                };
                verifier.run(check).await
            }));
        }
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while running.load(Ordering::SeqCst) < 2 {
            assert!(std::time::Instant::now() < deadline, "two never ran at once");
            tokio::task::yield_now().await;
        }
        for _ in 0..6 {
            release.send(()).unwrap();
        }
        for check in checks {
            assert_eq!(check.await.unwrap(), Ok(()));
        }
        assert_eq!(most.load(Ordering::SeqCst), 2);
    }
}
