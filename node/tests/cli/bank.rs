//! What the tests share: a network of one bank, its folder, and the program.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use quadrille_node::armour::{self, Kind};
use quadrille_node::enrol::{Readable, SignedEnrolmentRequest};
use quadrille_node::network_file::NetworkFile;
use quadrille_protocol::crypto::suite::{HybridSignatures, SecretKey, Suite};
use quadrille_protocol::identity::{
    Anchors, AuthorityKey, Certificate, Issuer, SignedCertificate, SuitePolicy,
};
use quadrille_protocol::types::{Bounded, Duration as Span, Network, Time};
use tempfile::TempDir;

/// The passphrase of everything in these tests; it must never be printed.
pub const PASSPHRASE: &str = "correct horse battery staple";

/// Longest wait for a process of these tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process that has ended.
#[derive(Debug)]
pub struct Ended {
    pub out: String,
    pub err: String,
    pub exit: i32,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let ended = Self {
            out: text(output.stdout),
            err: text(output.stderr),
            exit: output.status.code().unwrap(),
        };
        assert!(!ended.out.contains(PASSPHRASE) && !ended.err.contains(PASSPHRASE), "{ended:?}");
        ended
    }
}

impl Ended {
    /// Its answer, when it did what was asked.
    pub fn good(self) -> String {
        assert_eq!(self.exit, 0, "{self:?}");
        self.out
    }

    pub fn json(self) -> serde_json::Value {
        serde_json::from_str(&self.good()).unwrap()
    }
}

/// The program, in an environment without anything of ours.
pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quadrille"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("QUADRILLE_")) {
        command.env_remove(name);
    }
    command.stdin(std::process::Stdio::null());
    command
}

/// Runs the program to its end.
pub fn quadrille(arguments: &[&str]) -> Ended {
    program().args(arguments).output().unwrap().into()
}

/// A node process; killed when a test ends early.
pub struct Running {
    pub child: Child,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Looks again and again until there is something to see.
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "still waiting for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A folder with a network whose authority is the test.
pub struct Bank {
    folder: TempDir,
    authority: SecretKey,
}

impl Bank {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = SecretKey::generate(Suite::HybridMlDsa65, &[9; 32]);
        let anchors = Anchors {
            network: "demo".parse().unwrap(),
            authorities: Bounded::new(vec![AuthorityKey {
                authority: "authority.example".parse().unwrap(),
                key: authority.public().clone(),
            }])
            .unwrap(),
            endorsers: Bounded::default(),
            threshold: std::num::NonZeroU32::MIN,
            suites: SuitePolicy::FINAL,
        };
        let bank = Self { folder, authority };
        NetworkFile::new(anchors, Vec::new()).unwrap().save(&bank.path("network.toml")).unwrap();
        std::fs::write(bank.path("passphrase"), format!("{PASSPHRASE}\n")).unwrap();
        bank
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// The program, with this bank's folders in its environment.
    pub fn program(&self) -> Command {
        let mut command = program();
        command
            .current_dir(self.folder.path())
            .env("QUADRILLE_DIR", self.path("node"))
            .env("QUADRILLE_WALLET", self.path("wallet"))
            .env("QUADRILLE_TOKEN_FILE", self.path("token"))
            .env("QUADRILLE_PASSPHRASE_FILE", self.path("passphrase"));
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Ended {
        self.program().args(arguments).output().unwrap().into()
    }

    /// `init` of bank A.
    pub fn init(&self) -> Ended {
        self.init_as("bank-a.example")
    }

    /// `init` with everything on ports that the system chooses.
    pub fn init_as(&self, domain: &str) -> Ended {
        self.run(&[
            "init",
            "--network",
            "network.toml",
            "--domain",
            domain,
            "--guard-dir",
            "guard",
            "--api-listen",
            "127.0.0.1:0",
            "--mesh-listen",
            "/ip4/127.0.0.1/tcp/0",
            "--token-file",
            "token",
        ])
    }

    /// What the authority does with a request: checks it and signs a certificate.
    pub fn approve(&self, request: &Path, certificate: &Path, serial: u64) {
        let bytes = armour::load(Kind::EnrolmentRequest, request).unwrap();
        let signed = SignedEnrolmentRequest::from_bytes(&bytes).unwrap();
        let network: Network = "demo".parse().unwrap();
        let request = signed.verify(&network, &HybridSignatures).unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let now = Time(u64::try_from(now.as_millis()).unwrap());
        let approved = Certificate {
            network,
            serial,
            domain: request.domain,
            lei: request.lei,
            roles: request.roles,
            epoch: request.epoch,
            signing_key: request.signing_key,
            sealing_key: request.sealing_key,
            valid_from: now.before(Span(60_000)),
            valid_until: now.after(Span(86_400_000 * 365)),
            issuer: Issuer::Authority("authority.example".parse().unwrap()),
        };
        let (tag, to_sign) = approved.to_sign();
        let signature = self.authority.sign(tag, &to_sign);
        let signed = SignedCertificate::assemble(&approved, signature, Vec::new()).unwrap();
        let readable = Readable::from(&approved);
        armour::save(Kind::Certificate, certificate, &signed.to_bytes(), &readable).unwrap();
    }

    /// `run`, and what its endpoints file says when it is ready. Its log is in `stderr`.
    pub fn start(&self, options: &[&str]) -> (Running, serde_json::Value) {
        let log = std::fs::File::create(self.path("stderr")).unwrap();
        let mut command = self.program();
        let command = command.arg("run").args(options).stderr(log).stdout(Stdio::null());
        let mut node = Running { child: command.spawn().unwrap() };
        let endpoints = wait_for("endpoints", || {
            if let Some(status) = node.child.try_wait().unwrap() {
                panic!("ended with {status}: {}", self.log());
            }
            let text = std::fs::read_to_string(self.path("node/run/endpoints.json")).ok()?;
            serde_json::from_str::<serde_json::Value>(&text).ok()
        });
        (node, endpoints)
    }

    /// What the node that was started last has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("stderr")).unwrap()
    }

    /// A node that is ready to run.
    pub fn enrolled() -> Self {
        Self::enrolled_as("bank-a.example")
    }

    /// A node of this domain that is ready to run. All are in one network.
    pub fn enrolled_as(domain: &str) -> Self {
        let bank = Self::new();
        bank.init_as(domain).good();
        bank.run(&["enroll", "request", "--out", "request.json"]).good();
        bank.approve(&bank.path("request.json"), &bank.path("certificate.json"), 1);
        bank.run(&["enroll", "accept", "certificate.json"]).good();
        bank
    }
}
