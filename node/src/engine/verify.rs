//! Verification before the core: on blocking threads, as many at a time as there are processors.

use std::sync::Arc;

use quadrille_protocol::error::{Code, Refusal};
use tokio::sync::Semaphore;

/// Runs verifications. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Verifier {
    permits: Arc<Semaphore>,
}

impl Default for Verifier {
    fn default() -> Self {
        let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self { permits: Arc::new(Semaphore::new(workers)) }
    }
}

impl Verifier {
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
