//! The program as its users meet it: files in, files out, exit codes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use quadrille_bootstrap::lock;
use quadrille_node::armour::{self, Kind};
use quadrille_node::enrol::{EnrolmentRequest, Readable, check_answer};
use quadrille_node::network_file::NetworkFile;
use quadrille_protocol::crypto::suite::{HybridSignatures, SecretKey, Suite};
use quadrille_protocol::error::Code;
use quadrille_protocol::identity::{Directory, Role, SignedCertificate, SignedRevocation};
use quadrille_protocol::types::{Bounded, Epoch, Time};

/// A folder with a network, made by the program.
struct Town {
    folder: tempfile::TempDir,
}

fn program(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quadrille-bootstrap"));
    command.args(arguments).env_remove("QUADRILLE_PASSPHRASE_FILE").output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

impl Town {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("secret"), "correct horse battery\n").unwrap();
        let town = Self { folder };
        fs::set_permissions(town.path("secret"), fs::Permissions::from_mode(0o600)).unwrap();
        let made = town.run(&[
            "network",
            "init",
            "--network",
            "town",
            "--authority",
            "authority.example",
            "--address",
            "/ip4/127.0.0.1/tcp/7000",
        ]);
        assert_eq!(made.status.code(), Some(0), "{}", text(&made.stderr));
        town
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let (dir, secret) = (self.path("net"), self.path("secret"));
        let mut all =
            vec!["--dir", dir.to_str().unwrap(), "--passphrase-file", secret.to_str().unwrap()];
        all.extend_from_slice(arguments);
        program(&all)
    }

    /// What the program answers, as JSON.
    fn json(&self, arguments: &[&str]) -> serde_json::Value {
        let output = self.run(&[arguments, &["-o", "json"]].concat());
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The code and exit code with which it refuses.
    fn refused(&self, arguments: &[&str]) -> (String, i32) {
        let output = self.run(&[arguments, &["-o", "json"]].concat());
        assert_eq!(text(&output.stdout), "");
        let problem: serde_json::Value = serde_json::from_slice(&output.stderr)
            .unwrap_or_else(|_| panic!("{}", text(&output.stderr)));
        assert!(!problem["remedy"].as_str().unwrap().is_empty());
        (problem["code"].as_str().unwrap().to_owned(), output.status.code().unwrap())
    }

    fn network(&self) -> NetworkFile {
        NetworkFile::load(&self.path("net/network.toml")).unwrap()
    }

    /// Writes a request and returns its file's path.
    fn request(&self, domain: &str, epoch: u32, key: &SecretKey) -> String {
        let request = EnrolmentRequest {
            network: "town".parse().unwrap(),
            domain: domain.parse().unwrap(),
            lei: Some("506700GE1G29325QX363".parse().unwrap()),
            roles: Bounded::new(vec![Role::Validator]).unwrap(),
            epoch: Epoch(epoch),
            signing_key: key.public().clone(),
            sealing_key: None,
            time: Time(1_790_000_000_000),
        };
        let signed = request.sign(key).unwrap();
        let path = self.path(&format!("{domain}-{epoch}.request"));
        let readable = Readable::from(&request);
        armour::save(Kind::EnrolmentRequest, &path, &signed.to_bytes(), &readable).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

static KEY: LazyLock<SecretKey> =
    LazyLock::new(|| SecretKey::generate(Suite::HybridMlDsa65, &[1; 32]));

fn now() -> Time {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Time(u64::try_from(since.as_millis()).unwrap())
}

#[test]
fn a_domain_is_admitted_listed_and_revoked() {
    let town = Town::new();
    let request = town.request("bank-a.example", 1, &KEY);
    let approved = town.json(&["approve", &request, "--days", "30"]);
    assert_eq!(approved["serial"], "2", "the bootstrap peer has number 1");
    assert_eq!(approved["roles"], serde_json::json!(["validator"]));
    let path = town.path("bank-a.example-1.certificate");
    assert_eq!(approved["file"], path.to_str().unwrap());
    let bytes = armour::load(Kind::Certificate, &path).unwrap();
    let certificate = SignedCertificate::from_bytes(&bytes).unwrap();
    let (domain, anchors) = ("bank-a.example".parse().unwrap(), town.network().anchors());
    let ours = [(Epoch(1), KEY.public().clone())];
    check_answer(&certificate, &domain, &ours, &anchors, now(), &HybridSignatures)
        .expect("the domain accepts it");
    let again = town.json(&["approve", &request]);
    assert_eq!((again["serial"].as_str(), again["repeated"].as_bool()), (Some("2"), Some(true)));
    assert_eq!(armour::load(Kind::Certificate, &path).unwrap(), bytes);

    let members = town.json(&["members"]);
    let standing = |members: &serde_json::Value, row: usize| {
        let row = &members[row];
        format!("{} {} {}", row["serial"], row["domain"], row["standing"]).replace('"', "")
    };
    assert_eq!(standing(&members, 0), "1 bootstrap.authority.example live");
    assert_eq!(members[0]["roles"], serde_json::json!([]), "the bootstrap peer may do nothing");
    assert_eq!(standing(&members, 1), "2 bank-a.example live");

    let out = town.path("gone.revocation");
    let out = out.to_str().unwrap();
    let revoked = town.json(&["revoke", "2", "--reason", "cessation", "--out", out]);
    assert_eq!(revoked["serial"], "3");
    assert_eq!(standing(&town.json(&["members"]), 1), "2 bank-a.example revoked for new business");
    let mut directory = Directory::new();
    let verified = anchors.verify_certificate(&certificate, &directory, now(), &HybridSignatures);
    directory.admit(&verified.unwrap()).unwrap();
    let bytes = armour::load(Kind::Revocation, Path::new(out)).unwrap();
    let revocation = SignedRevocation::from_bytes(&bytes).unwrap();
    anchors
        .verify_revocation(&revocation, &directory, &HybridSignatures)
        .expect("members take the revocation from the file");
    assert_eq!(town.refused(&["approve", &request]), (Code::CertificateRevoked.to_string(), 1));
}

#[test]
fn the_keys_are_nobody_else_s_and_the_network_file_names_the_first_peer() {
    let town = Town::new();
    for secret in ["net/authority/keys", "net/peer/keys"] {
        let mode = fs::metadata(town.path(secret)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{secret}");
        let folder = town.path(secret);
        let mode = fs::metadata(folder.parent().unwrap()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "the folder of {secret}");
    }
    let bootstrap = town.network().bootstrap()[0].to_string();
    assert!(bootstrap.starts_with("/ip4/127.0.0.1/tcp/7000/p2p/12D3KooW"), "{bootstrap}");
    let again = ["network", "init", "--network", "town", "--authority", "authority.example"];
    let before = fs::read(town.path("net/network.toml")).unwrap();
    assert_eq!(town.refused(&again), (Code::NetworkExists.to_string(), 1));
    assert_eq!(fs::read(town.path("net/network.toml")).unwrap(), before);
}

#[test]
fn a_network_that_cannot_be_finished_leaves_nothing_behind() {
    let town = Town::new();
    fs::remove_dir_all(town.path("net")).unwrap();
    let wrong = [
        "network",
        "init",
        "--network",
        "town",
        "--authority",
        "authority.example",
        "--suites",
        "hybrid-dilithium3",
    ];
    assert_eq!(town.refused(&wrong), (Code::BadConfiguration.to_string(), 1));
    let left: Vec<_> = fs::read_dir(town.path("net")).into_iter().flatten().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn refusals_have_codes_and_exit_codes() {
    let town = Town::new();
    let request = town.request("bank-a.example", 1, &KEY);
    fs::write(town.path("other"), "wrong horse battery\n").unwrap();
    fs::set_permissions(town.path("other"), fs::Permissions::from_mode(0o600)).unwrap();
    let other = town.path("other");
    let (dir, other) = (town.path("net"), other.to_str().unwrap());
    let dir = dir.to_str().unwrap();
    let wrong = program(&["--dir", dir, "--passphrase-file", other, "approve", &request]);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(text(&wrong.stderr).contains("Q-1915 wrong passphrase"), "{}", text(&wrong.stderr));

    let held = lock::take(&town.path("net/authority/register.lock"), Code::RegisterInUse).unwrap();
    assert_eq!(town.refused(&["approve", &request]), (Code::RegisterInUse.to_string(), 6));
    assert_eq!(town.json(&["members"]).as_array().unwrap().len(), 1, "reading needs no lock");
    drop(held);

    let stolen = ["revoke", "1", "--reason", "key-compromise"];
    assert_eq!(town.refused(&stolen), (Code::NeedsHeight.to_string(), 1));
    let nobody = ["revoke", "9", "--reason", "cessation"];
    assert_eq!(town.refused(&nobody), (Code::NoSuchSerial.to_string(), 1));
    let certificate = town.path("net/peer/certificate");
    let no_request = ["approve", certificate.to_str().unwrap()];
    assert_eq!(town.refused(&no_request), (Code::BadArmour.to_string(), 1));
    let empty = program(&["--dir", town.path("none").to_str().unwrap(), "members"]);
    assert_eq!(empty.status.code(), Some(1));
    assert!(text(&empty.stderr).contains("Q-2314"), "{}", text(&empty.stderr));
}

#[test]
fn a_register_cut_by_a_power_cut_is_mended_with_a_word() {
    let town = Town::new();
    let path = town.path("net/authority/register");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, [&whole[..], b"{\"serial\":2,"].concat()).unwrap();
    let request = town.request("bank-a.example", 1, &KEY);
    let approved = town.run(&["approve", &request]);
    assert_eq!(approved.status.code(), Some(0));
    assert!(text(&approved.stderr).contains("cut 12 bytes"), "{}", text(&approved.stderr));
    assert!(text(&approved.stdout).contains("certificate  2\n"), "{}", text(&approved.stdout));
}

#[test]
fn wrong_questions_exit_with_2_and_every_command_has_an_example() {
    let none = program(&[]);
    assert_eq!(none.status.code(), Some(2));
    let reason = program(&["revoke", "1", "--reason", "boredom"]);
    assert_eq!(reason.status.code(), Some(2));
    assert!(text(&reason.stderr).contains("key-compromise"), "{}", text(&reason.stderr));
    let domain = program(&["network", "init", "--network", "x", "--authority", "Bank A"]);
    assert_eq!(domain.status.code(), Some(2));
    for command in [&["network", "init"][..], &["approve"], &["revoke"], &["members"], &["serve"]] {
        let help = program(&[command, &["--help"]].concat());
        assert_eq!(help.status.code(), Some(0));
        assert!(text(&help.stdout).contains("Examples:"), "{command:?}");
    }
    let version = program(&["--version"]);
    let expected = format!("quadrille-bootstrap {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(text(&version.stdout), expected);
}
