//! The bootstrap peer as a process: dialled over the mesh, fed by the register, ended by a signal.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use quadrille_bootstrap::found::{self, Founding};
use quadrille_bootstrap::host::BootstrapHost;
use quadrille_bootstrap::layout::Layout;
use quadrille_bootstrap::office::{Office, Terms};
use quadrille_bootstrap::serve::Endpoints;
use quadrille_node::enrol::EnrolmentRequest;
use quadrille_node::mesh::host::Host as _;
use quadrille_node::mesh::{Mesh, MeshConfig, MeshHandle};
use quadrille_protocol::crypto::suite::{SecretKey, Suite};
use quadrille_protocol::identity::{Role, SignedCertificate};
use quadrille_protocol::types::{Bounded, Epoch, Time};
use rustix::process::{Pid, Signal, kill_process};

const PATIENCE: Duration = Duration::from_secs(30);
const PASSPHRASE: &str = "correct horse battery";

struct Town {
    folder: tempfile::TempDir,
    layout: Layout,
}

/// A process that is killed when the test is over, whatever happened in it.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn now() -> Time {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Time(u64::try_from(since.as_millis()).unwrap())
}

/// Asks until there is an answer.
fn poll<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

impl Town {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let secret = folder.path().join("secret");
        std::fs::write(&secret, format!("{PASSPHRASE}\n")).unwrap();
        std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
        let layout = Layout::new(&folder.path().join("net"));
        let founding = Founding {
            network: "town".parse().unwrap(),
            authority: "authority.example".parse().unwrap(),
            peer: "bootstrap.authority.example".parse().unwrap(),
            suite: Suite::HybridMlDsa65,
            suites: vec![Suite::HybridMlDsa65],
            addresses: Vec::new(),
        };
        found::found(&layout, &founding, PASSPHRASE, now()).unwrap();
        Self { folder, layout }
    }

    fn serve(&self) -> Running {
        let mut command = Command::new(env!("CARGO_BIN_EXE_quadrille-bootstrap"));
        command
            .arg("--dir")
            .arg(self.folder.path().join("net"))
            .arg("--passphrase-file")
            .arg(self.folder.path().join("secret"))
            .args(["serve", "--listen", "/ip4/127.0.0.1/tcp/0"])
            .stdin(Stdio::null())
            .stderr(Stdio::piped());
        Running(command.spawn().unwrap())
    }

    fn endpoints(&self) -> Endpoints {
        poll("endpoints.json", || Endpoints::load(&self.layout.endpoints()).ok())
    }

    fn admit(&self, domain: &str, key: &SecretKey) -> SignedCertificate {
        let request = EnrolmentRequest {
            network: "town".parse().unwrap(),
            domain: domain.parse().unwrap(),
            lei: None,
            roles: Bounded::new(vec![Role::Observer]).unwrap(),
            epoch: Epoch(1),
            signing_key: key.public().clone(),
            sealing_key: None,
            time: now(),
        };
        let authority = found::authority_key(&self.layout, PASSPHRASE).unwrap();
        let mut office = Office::open(&self.layout, authority).unwrap();
        let request = request.sign(key).unwrap();
        office.approve(&request, &Terms::default(), now()).unwrap().signed
    }

    /// A member's mesh that knows nothing but the bootstrap peer's address.
    async fn join(&self, domain: &str, seed: u8) -> (Arc<BootstrapHost>, MeshHandle) {
        let key = SecretKey::generate(Suite::HybridMlDsa65, &[seed; 32]);
        let certificate = self.admit(domain, &key);
        let anchors = self.layout.network().unwrap().anchors();
        let host = Arc::new(BootstrapHost::new(anchors, certificate, key).unwrap());
        let bootstrap = self.endpoints().p2p[0].as_str().parse().unwrap();
        let config = MeshConfig {
            listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
            bootstrap: vec![bootstrap],
            ..MeshConfig::default()
        };
        let mesh = Mesh::start(config, [seed; 32], host.clone()).await.unwrap();
        (host, mesh)
    }
}

fn terminate(running: &mut Running) -> Option<i32> {
    let pid = Pid::from_raw(i32::try_from(running.0.id()).unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    poll("the process ends", || running.0.try_wait().unwrap()).code()
}

#[test]
fn a_member_admitted_while_it_runs_is_let_in_and_a_signal_ends_it_well() {
    let town = Town::new();
    let mut running = town.serve();
    let endpoints = town.endpoints();
    assert_eq!(endpoints.pid, running.0.id());
    assert_eq!(endpoints.domain, "bootstrap.authority.example");
    assert!(endpoints.p2p[0].as_str().ends_with(&endpoints.peer_id));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (host, mesh) = runtime.block_on(town.join("bank-a.example", 7));
    poll("the member is connected to the bootstrap peer", || {
        mesh.peers().into_iter().find(|peer| peer.connected)
    });
    let bootstrap = "bootstrap.authority.example".parse().unwrap();
    assert!(host.directory().member(&bootstrap).is_ok(), "it has shown its certificate");
    runtime.block_on(mesh.shutdown());
    assert_eq!(terminate(&mut running), Some(0));
    assert!(!town.layout.endpoints().exists(), "nobody is sent to a peer that is gone");
}

#[test]
fn a_second_one_is_refused_and_a_killed_one_locks_nobody_out() {
    let town = Town::new();
    let mut first = town.serve();
    let pid = town.endpoints().pid;
    let mut second = town.serve();
    let code = poll("the second ends", || second.0.try_wait().unwrap()).code();
    assert_eq!(code, Some(6));
    let mut errors = String::new();
    std::io::Read::read_to_string(second.0.stderr.as_mut().unwrap(), &mut errors).unwrap();
    assert!(errors.contains("Q-2330 bootstrap peer runs already"), "{errors}");
    assert!(errors.contains(&format!("by process {pid}")), "{errors}");
    first.0.kill().unwrap();
    first.0.wait().unwrap();
    std::fs::remove_file(town.layout.endpoints()).unwrap();
    let mut third = town.serve();
    assert_eq!(town.endpoints().pid, third.0.id());
    assert_eq!(terminate(&mut third), Some(0));
}
