//! Webhooks: events of the log, posted to other systems, signed and tried again.
//!
//! ```text
//!   index + log --read_on--> cursor --offer--> POST, signed --2xx--> place kept --> next
//!                                       ^                    else
//!                                       '---- wait, doubling, up to patience ----'--> paused
//! ```
//!
//! One task and one place in the log per subscription: a receiver that is away holds up nobody
//! else. Invariants: an event counts as taken only after its receiver answered 2xx, and the next
//! one is sent only after that is on the disk, so each is delivered at least once and in the order
//! of the log; subscriptions, connections, waits and answers are bounded.

pub mod cursor;
mod deliver;
pub mod filter;
pub mod reach;
pub mod sign;
pub mod store;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::refuse;
use quadrille_protocol::types::Domain;
use quadrille_protocol::validator::Validator;
use tokio::sync::{Notify, Semaphore, broadcast};

use crate::api::dto::{EventView, NewSubscription, SubscriptionState, SubscriptionView};
use crate::api::ports::{Core, History};
use crate::engine::{Clock, EngineError};
use crate::index::EventId;
use deliver::{Running, Worker};
use filter::types_of;
use reach::{Dialer, Policy, Target};
use store::{Progress, Secret, Store, Subscription};

/// Deliveries under way at one time.
const DELIVERIES: usize = 16;
/// Most subscriptions that can be configured.
pub const SUBSCRIPTIONS_MOST: usize = 1_024;
/// Live events about subscriptions that may wait for a slow watcher.
const PAUSES: usize = 64;

/// What the operator sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookSettings {
    /// Where subscriptions are kept.
    pub dir: PathBuf,
    /// Which addresses may be called.
    pub policy: Policy,
    /// How long an answer may take.
    pub timeout: Duration,
    /// How long an event is tried before its subscription is paused.
    pub patience: Duration,
    /// Most subscriptions.
    pub subscriptions: usize,
}

impl HookSettings {
    /// The defaults, in this folder.
    #[must_use]
    pub fn at(dir: PathBuf) -> Self {
        Self {
            dir,
            policy: Policy::default(),
            timeout: Duration::from_secs(10),
            patience: Duration::from_secs(24 * 60 * 60),
            subscriptions: 64,
        }
    }
}

/// What all subscriptions share.
struct Shared {
    domain: Domain,
    store: Store,
    history: History,
    core: Arc<dyn Core>,
    clock: Arc<dyn Clock>,
    dialer: Dialer,
    slots: Semaphore,
    patience_ms: u64,
    paused: broadcast::Sender<EventView>,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    delivered: AtomicU64,
    failed: AtomicU64,
}

impl Shared {
    async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Validator) -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let (send, mut receive) = tokio::sync::oneshot::channel();
        let look = Box::new(move |validator: &Validator| {
            // Whoever asked is right here.
            let _ = send.send(look(validator));
        });
        self.core.look(look).await.map_err(EngineError::refusal)?;
        receive.try_recv().map_err(|_| Refusal::new(Code::NotLive, "the engine has stopped"))
    }

    fn count_delivered(&self) {
        self.counts.delivered.fetch_add(1, Ordering::Relaxed);
    }

    fn count_failed(&self) {
        self.counts.failed.fetch_add(1, Ordering::Relaxed);
    }
}

/// All subscriptions. Cheap to clone; they go on until the last one is dropped.
#[derive(Clone)]
pub struct Hooks {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    most: usize,
    running: Mutex<BTreeMap<String, Running>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        let running = self.running.get_mut().unwrap_or_else(PoisonError::into_inner);
        for known in running.values() {
            known.task.abort();
        }
    }
}

impl Hooks {
    /// Takes up all subscriptions where they were. Must be called inside a runtime.
    ///
    /// # Errors
    /// Those of the store and of TLS.
    pub fn start(
        settings: HookSettings,
        domain: Domain,
        history: History,
        core: Arc<dyn Core>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Refusal> {
        let store = Store::open(&settings.dir)?;
        let known = store.load()?;
        let shared = Shared {
            domain,
            store,
            history,
            core,
            clock,
            dialer: Dialer::new(settings.policy, settings.timeout)?,
            slots: Semaphore::new(DELIVERIES),
            patience_ms: u64::try_from(settings.patience.as_millis()).unwrap_or(u64::MAX),
            paused: broadcast::channel(PAUSES).0,
            counts: Arc::default(),
        };
        let most = settings.subscriptions.min(SUBSCRIPTIONS_MOST);
        let inner = Inner { shared: Arc::new(shared), most, running: Mutex::default() };
        let hooks = Self { inner: Arc::new(inner) };
        for (subscription, progress) in known {
            hooks.take_up(subscription, progress);
        }
        Ok(hooks)
    }

    /// Takes up a kept subscription. One whose address may no longer be called is listed as
    /// paused.
    fn take_up(&self, subscription: Subscription, mut progress: Progress) {
        let target = Target::read(&subscription.url, self.inner.shared.dialer.policy());
        if let Err(refusal) = &target {
            progress.paused = true;
            progress.trouble = Some(refusal.to_string());
        }
        self.run(subscription, progress, target.ok());
    }

    fn run(&self, subscription: Subscription, progress: Progress, target: Option<Target>) {
        let subscription = Arc::new(subscription);
        let (progress, again) = (Arc::new(Mutex::new(progress)), Arc::new(Notify::new()));
        let shared = self.inner.shared.clone();
        let task = match target {
            Some(target) => {
                let (progress, again) = (progress.clone(), again.clone());
                let worker = Worker::new(shared, subscription.clone(), progress, again, target);
                tokio::spawn(worker.run()).abort_handle()
            }
            None => tokio::spawn(async {}).abort_handle(),
        };
        let id = subscription.id.clone();
        let running = Running { subscription, progress, again, task };
        self.running().insert(id, running);
    }

    /// Makes a subscription; the answer alone has its secret.
    ///
    /// # Errors
    /// `Q-2801` it does not hold together, `Q-2803` too many, `Q-2804` an address that may not be
    /// called, `Q-2120` an event that is not there yet; those of the disk.
    pub fn add(&self, new: &NewSubscription) -> Result<SubscriptionView, Refusal> {
        let shared = &self.inner.shared;
        let target = Target::read(&new.url, shared.dialer.policy())?;
        let indexed = shared.history.index.indexed();
        let begin = match &new.after {
            Some(text) => text.parse::<EventId>()?,
            None => EventId::end_of(indexed),
        };
        if begin.height > indexed {
            refuse!(BadEventId, "the log is at height {indexed}");
        }
        let secret = match &new.secret {
            Some(text) => Secret::read(text)?,
            None => Secret::new(),
        };
        let running = self.running();
        if running.len() >= self.inner.most {
            refuse!(TooManySubscriptions, "{} already", running.len());
        }
        let id = loop {
            let id = format!("h-{}", hex::encode(rand::random::<[u8; 4]>()));
            if !running.contains_key(&id) {
                break id;
            }
        };
        let subscription = Subscription {
            id: id.clone(),
            url: new.url.clone(),
            secret,
            types: types_of(new.types.iter().map(String::as_str))?,
            ledger: new.ledger,
            give: new.give.clone(),
            want: new.want.clone(),
            created: shared.clock.now(),
            begin,
        };
        shared.store.add(&subscription)?;
        drop(running);
        let secret = subscription.secret.text().to_owned();
        self.run(subscription, Progress::at(begin), Some(target));
        let mut view = self.one(&id)?;
        view.secret = Some(secret);
        Ok(view)
    }

    /// All of them.
    #[must_use]
    pub fn list(&self) -> Vec<SubscriptionView> {
        self.running().values().map(view_of).collect()
    }

    /// Takes a subscription away: nothing more is sent for it.
    ///
    /// # Errors
    /// `Q-2802` there is none; those of the disk.
    pub fn remove(&self, id: &str) -> Result<SubscriptionView, Refusal> {
        let mut running = self.running();
        let known = running.get(id).ok_or_else(|| unknown(id))?;
        self.inner.shared.store.remove(id)?;
        known.task.abort();
        let view = view_of(known);
        running.remove(id);
        Ok(view)
    }

    /// Tries again at once, also after a pause.
    ///
    /// # Errors
    /// `Q-2802` there is none, `Q-2804` its address may not be called; those of the disk.
    pub fn resume(&self, id: &str) -> Result<SubscriptionView, Refusal> {
        let running = self.running();
        let known = running.get(id).ok_or_else(|| unknown(id))?;
        Target::read(&known.subscription.url, self.inner.shared.dialer.policy())?;
        {
            let mut progress = known.progress.lock().unwrap_or_else(PoisonError::into_inner);
            let begun = Progress::at(progress.after);
            self.inner.shared.store.advance(id, &begun)?;
            *progress = begun;
        }
        known.again.notify_one();
        Ok(view_of(known))
    }

    /// Posts a delivery that only shows that deliveries arrive.
    ///
    /// # Errors
    /// `Q-2802` there is none, `Q-2804`, `Q-2805`.
    pub async fn test(&self, id: &str) -> Result<SubscriptionView, Refusal> {
        let subscription = {
            let running = self.running();
            running.get(id).ok_or_else(|| unknown(id))?.subscription.clone()
        };
        let shared = &self.inner.shared;
        let target = Target::read(&subscription.url, shared.dialer.policy())?;
        deliver::test(shared, &subscription, &target).await?;
        self.one(id)
    }

    /// Live events about subscriptions that were paused.
    #[must_use]
    pub fn pauses(&self) -> broadcast::Receiver<EventView> {
        self.inner.shared.paused.subscribe()
    }

    /// Counts how many deliveries were taken, and how many attempts failed, since the start.
    pub fn counts(&self) -> impl Fn() -> (u64, u64) + Send + Sync + 'static {
        let counts = self.inner.shared.counts.clone();
        move || (counts.delivered.load(Ordering::Relaxed), counts.failed.load(Ordering::Relaxed))
    }

    fn one(&self, id: &str) -> Result<SubscriptionView, Refusal> {
        self.running().get(id).map(view_of).ok_or_else(|| unknown(id))
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<String, Running>> {
        self.inner.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unknown(id: &str) -> Refusal {
    let id: String = id.chars().take(40).collect();
    Refusal::new(Code::UnknownSubscription, id)
}

fn view_of(known: &Running) -> SubscriptionView {
    let subscription = &known.subscription;
    let progress = known.progress.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let state = match (progress.paused, progress.failing_since) {
        (true, _) => SubscriptionState::Paused,
        (false, Some(_)) => SubscriptionState::Failing,
        (false, None) => SubscriptionState::Active,
    };
    SubscriptionView {
        id: subscription.id.clone(),
        url: subscription.url.clone(),
        types: subscription.types.iter().copied().collect(),
        ledger: subscription.ledger,
        give: subscription.give.clone(),
        want: subscription.want.clone(),
        created: subscription.created,
        state,
        after: progress.after.to_string(),
        failing_since: progress.failing_since,
        attempts: progress.attempts,
        trouble: progress.trouble,
        secret: None,
    }
}
