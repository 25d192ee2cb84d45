//! The proxy: a process that stands between all others of a local network, and keeps its faults.
//!
//! ```text
//!   bank-a --dials--> front of bank-b --dials--> bank-b's listener
//!                     ^ the only address of bank-b that others know: its gateway record and the
//!                       network file name it (`mesh.external`, `serve --advertise`)
//! ```
//!
//! It understands nothing of what it passes on, so links are as secure with it as without. No
//! rights are needed: everything is in processes of one user. What a fault does to the bytes of a
//! link is told in `rules`, who has dialled it in `owners`.
//!
//! What differs from a real network: the proxy's machine accepts a connection at once, so what
//! hangs or is late at a partition or with a latency is not TCP's own handshake but the TLS
//! handshake after it; and to a process that does not run a dial succeeds and is then reset. Of a
//! one-way partition the other way goes on: a real TCP would stall there too once its window is
//! full, since it hears no acknowledgements.
//!
//! Invariants:
//! * A fault ends in time whether or not anybody asks (see `keeper`).
//! * When the process ends, links end; when it was asked to, everything is undone.

pub mod book;
mod keeper;
mod link;
mod owners;
mod rules;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quadrille_bootstrap::lock;
use quadrille_node::files::{self, Access};
use quadrille_protocol::error::{Code, Refusal};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, Semaphore};
use tokio::time::timeout;

use super::super::command::{self, Folder};
use super::super::layout::{BOOTSTRAP, Layout};
use super::control::{self, Answer, LINE_BYTES, PATIENCE, Request};
use super::start::Fronts;
use super::{Fault, FaultId};
use book::Book;
use keeper::Keeper;
use link::{Link, Rules, reset};
use owners::Owners;

/// Most links; further ones are reset.
const LINKS: usize = 16 * 1024;
/// Requests that are answered at one time.
const REQUESTS: usize = 8;
/// Between two tries to have a killed bank started.
const TRY_AGAIN: Duration = Duration::from_millis(500);
/// Between two tries to accept, when the system had nothing left for that.
const SHORT_OF: Duration = Duration::from_millis(100);

/// Runs the proxy of a local network until SIGTERM or SIGINT; `up` starts it
#[derive(Debug, clap::Args)]
pub struct ProxyArgs {
    #[command(flatten)]
    folder: Folder,
}

impl ProxyArgs {
    /// Does it.
    #[must_use]
    pub fn run(&self) -> ExitCode {
        // One thread: it copies several times what local banks can sign, and wakes no other core.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let served = runtime
            .map_err(|error| Refusal::new(Code::ProxyFailed, error.to_string()))
            .and_then(|runtime| runtime.block_on(serve(self.folder.layout())));
        match served {
            Ok(()) => ExitCode::SUCCESS,
            Err(refusal) => command::complain(&refusal),
        }
    }
}

/// What everything here shares.
struct Proxy {
    layout: Layout,
    book: Arc<Book>,
    owners: Arc<Owners>,
    keeper: Mutex<Keeper>,
    rules: Rules,
    links: Mutex<HashMap<u64, Arc<Link>>>,
    next: AtomicU64,
    room: Arc<Semaphore>,
    /// The list has changed.
    changed: Notify,
}

async fn serve(layout: Layout) -> Result<(), Refusal> {
    files::private_folder(&layout.faults())?;
    let _lock = lock::take(&layout.faults().join("lock"), Code::ProxyFailed)?;
    let failed = |error: std::io::Error| Refusal::new(Code::ProxyFailed, error.to_string());
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let book = Arc::new(Book::new(layout.clone()));
    let listeners = listen(&book).await?;
    let mut fronts = BTreeMap::new();
    for (name, listener) in &listeners {
        fronts.insert(name.clone(), listener.local_addr().map_err(failed)?);
    }
    let keeper = Keeper::open(layout.clone(), book.clone())?;
    let addresses: HashSet<SocketAddr> = fronts.values().copied().collect();
    let proxy = Arc::new(Proxy {
        owners: Arc::new(Owners::new(book.clone(), addresses)),
        rules: keeper.table(),
        keeper: Mutex::new(keeper),
        book,
        links: Mutex::default(),
        next: AtomicU64::new(0),
        room: Arc::new(Semaphore::new(LINKS)),
        changed: Notify::new(),
        layout,
    });
    let control = open_control(&proxy.layout)?;
    announce(&proxy.layout, fronts)?;
    for (name, listener) in listeners {
        tokio::spawn(proxy.clone().accept(name, listener));
    }
    tokio::spawn(proxy.clone().answer(control));
    tokio::spawn(proxy.clone().keep());
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    proxy.keeper().close();
    let _ = std::fs::remove_file(proxy.layout.fronts());
    let _ = std::fs::remove_file(proxy.layout.control());
    Ok(())
}

/// Listens for everybody in the network, where it did before.
async fn listen(book: &Book) -> Result<Vec<(String, TcpListener)>, Refusal> {
    let state = book.state().ok_or_else(|| {
        Refusal::new(Code::NoLocalNetwork, "the proxy's network has no state that can be read")
    })?;
    if state.direct {
        return Ok(Vec::new());
    }
    let banks = state.banks.iter().map(|bank| (bank.name.as_str(), bank.front));
    let all = std::iter::once((BOOTSTRAP, state.bootstrap.front)).chain(banks);
    let mut listeners = Vec::new();
    for (name, front) in all {
        let at = front.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)));
        let listener = TcpListener::bind(at).await.map_err(|error| {
            Refusal::new(Code::ProxyFailed, format!("the front of {name} at {at}: {error}"))
        })?;
        listeners.push((name.to_owned(), listener));
    }
    Ok(listeners)
}

fn open_control(layout: &Layout) -> Result<UnixListener, Refusal> {
    let path = layout.control();
    // Of a proxy that was killed; the lock says that none runs.
    let _ = std::fs::remove_file(&path);
    let (_folder, short) = control::address(layout)?;
    let failed = |error: std::io::Error| {
        Refusal::new(Code::ProxyFailed, format!("{}: {error}", path.display()))
    };
    let listener = UnixListener::bind(short).map_err(failed)?;
    let private = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(&path, private).map_err(failed)?;
    Ok(listener)
}

fn announce(layout: &Layout, fronts: BTreeMap<String, SocketAddr>) -> Result<(), Refusal> {
    let text = serde_json::to_vec(&Fronts { pid: std::process::id(), fronts })
        .map_err(|error| Refusal::new(Code::CannotWrite, error.to_string()))?;
    files::replace(&layout.fronts(), &text, Access::Private)
}

impl Proxy {
    fn keeper(&self) -> MutexGuard<'_, Keeper> {
        self.keeper.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn links(&self) -> MutexGuard<'_, HashMap<u64, Arc<Link>>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the connections of one front.
    async fn accept(self: Arc<Self>, name: String, listener: TcpListener) {
        loop {
            let (client, peer) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    eprintln!("the front of {name}: {error}");
                    tokio::time::sleep(SHORT_OF).await;
                    continue;
                }
            };
            let Ok(room) = self.room.clone().try_acquire_owned() else {
                reset(&client);
                continue;
            };
            let (proxy, listener) = (self.clone(), name.clone());
            tokio::spawn(async move {
                proxy.carry(listener, client, peer).await;
                drop(room);
            });
        }
    }

    /// Carries one connection to its end.
    async fn carry(&self, listener: String, client: TcpStream, peer: SocketAddr) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let owners = self.owners.clone();
        let link = Arc::new(Link { listener, peer, owners, reset: Notify::new() });
        self.links().insert(number, link.clone());
        let connected = tokio::select! {
            connected = self.connect(&link) => connected,
            () = link.reset.notified() => None,
        };
        match connected {
            Some(server) => {
                // Small frames are waited for; the two ends have said so for theirs.
                let _ = (client.set_nodelay(true), server.set_nodelay(true));
                link.run(&client, &server, &self.rules).await;
            }
            None => reset(&client),
        }
        self.links().remove(&number);
        self.owners.forget(peer);
    }

    async fn connect(&self, link: &Link) -> Option<TcpStream> {
        link.passable(&mut self.rules.clone()).await;
        let at = self.book.listener(&link.listener)?;
        TcpStream::connect(at).await.ok()
    }

    /// Answers requests.
    async fn answer(self: Arc<Self>, listener: UnixListener) {
        let room = Arc::new(Semaphore::new(REQUESTS));
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(SHORT_OF).await;
                continue;
            };
            let Ok(permit) = room.clone().acquire_owned().await else { return };
            let proxy = self.clone();
            tokio::spawn(async move {
                // Whoever does not take the answer can see in the list what was done.
                let _ = timeout(PATIENCE, proxy.answer_one(stream)).await;
                drop(permit);
            });
        }
    }

    async fn answer_one(&self, stream: UnixStream) -> std::io::Result<()> {
        let (reader, mut writer) = stream.into_split();
        let mut line = String::new();
        BufReader::new(reader.take(LINE_BYTES)).read_line(&mut line).await?;
        let answer = match serde_json::from_str(&line) {
            Ok(request) => self.on_request(request).unwrap_or_else(Answer::from),
            Err(error) => Refusal::new(Code::BadFault, error.to_string()).into(),
        };
        let mut text = serde_json::to_vec(&answer)?;
        text.push(b'\n');
        writer.write_all(&text).await
    }

    fn on_request(&self, request: Request) -> Result<Answer, Refusal> {
        let answer = match request {
            Request::Apply { fault, span_ms } => {
                fault.check()?;
                Answer::Applied(self.apply(fault, span_ms.map(Duration::from_millis))?)
            }
            Request::Heal { id } => Answer::Healed(self.keeper().heal(id)?),
        };
        self.changed.notify_one();
        Ok(answer)
    }

    fn apply(&self, fault: Fault, span: Option<Duration>) -> Result<FaultId, Refusal> {
        let id = self.keeper().apply(fault.clone(), span)?;
        if let Fault::Reset { of } = &fault {
            let links: Vec<Arc<Link>> = self.links().values().cloned().collect();
            for link in links {
                if link.listener == *of || link.dialler() == *of {
                    link.reset.notify_one();
                }
            }
        }
        Ok(id)
    }

    /// Ends faults in time.
    async fn keep(self: Arc<Self>) {
        let mut starting = None;
        loop {
            let looked = self.keeper().look();
            let (waits, next) = looked.unwrap_or_else(|refusal| {
                eprintln!("{refusal}");
                (false, TRY_AGAIN)
            });
            let busy = starting.as_ref().is_some_and(|task: &Starting| !task.is_finished());
            if waits && !busy {
                starting = Some(tokio::spawn(start_banks(self.layout.root().to_owned())));
            }
            tokio::select! {
                () = tokio::time::sleep(next) => {}
                () = self.changed.notified() => {}
            }
        }
    }
}

type Starting = tokio::task::JoinHandle<()>;

/// Has a command start the banks whose kill is over: it takes the network's lock, and the banks
/// are not our children, so they outlive us.
async fn start_banks(root: std::path::PathBuf) {
    if let Err(error) = run_keep(&root).await {
        eprintln!("a killed bank cannot be started: {error}");
    }
    tokio::time::sleep(TRY_AGAIN).await;
}

async fn run_keep(root: &Path) -> std::io::Result<()> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["fault", "keep", "--dir"]).arg(root).stdin(std::process::Stdio::null());
    command.process_group(0);
    let status = command.status().await?;
    if status.success() { Ok(()) } else { Err(std::io::Error::other(status.to_string())) }
}
