//! Keys on disk, the guard, and what a signer refuses.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;

use quadrille_node::signer::{GuardFile, Keys, LocalSigner, Signer, Syncing, keyfile, passphrase};
use quadrille_protocol::crypto::hash::Tag;
use quadrille_protocol::crypto::suite::{HybridSignatures, Signatures, Suite};
use quadrille_protocol::error::Code;
use quadrille_protocol::log::Checkpoint;
use quadrille_protocol::types::{Domain, Epoch, Hash, Height, Network, Time};
use quadrille_protocol::validator::Guard;

const PASSPHRASE: &str = "correct horse battery staple";

fn network() -> Network {
    "test-net".parse().unwrap()
}

fn domain() -> Domain {
    "bank-a.example".parse().unwrap()
}

fn keys(suite: Suite) -> Keys {
    Keys::generate(network(), domain(), suite).unwrap()
}

fn guard(dir: &Path) -> GuardFile {
    GuardFile::open(dir, &network(), &domain(), Syncing::EachNote).unwrap()
}

fn checkpoint(height: u64, count: u32) -> Checkpoint {
    Checkpoint {
        network: network(),
        domain: domain(),
        epoch: Epoch(1),
        height: Height(height),
        previous: Hash::ZERO,
        time: Time(1_790_000_000_000),
        count,
        records_root: Hash::ZERO,
    }
}

fn same(one: &Keys, other: &Keys) -> bool {
    let public = |keys: &Keys| -> Vec<_> {
        keys.epochs.iter().map(|(epoch, key)| (*epoch, key.public().clone())).collect()
    };
    (&one.network, &one.domain, public(one)) == (&other.network, &other.domain, public(other))
        && one.sealing.public() == other.sealing.public()
        && one.preimage_seed == other.preimage_seed
        && one.gateway_seed == other.gateway_seed
}

#[test]
fn keys_of_every_suite_come_back_from_their_file() {
    let dir = tempfile::tempdir().unwrap();
    for suite in Suite::ALL {
        let path = dir.path().join(format!("{suite}/identity/keys"));
        let made = keys(suite);
        keyfile::create(&path, &made, PASSPHRASE).unwrap();
        let read = keyfile::open(&path, PASSPHRASE).unwrap();
        assert!(same(&made, &read), "{suite}");
        assert!(!same(&made, &keys(suite)), "{suite}: two sets of keys are alike");
        let signed = read.key(Epoch(1)).unwrap().sign(Tag::Gateway, b"hello");
        let public = made.key(Epoch(1)).unwrap().public();
        HybridSignatures.verify(public, Tag::Gateway, b"hello", &signed).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    }
}

#[test]
fn under_a_random_passphrase_a_file_may_be_cheap_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let (path, made) = (dir.path().join("keys"), keys(Suite::Ed25519));
    let passphrase = "0123456789abcdef0123456789abcdef";
    keyfile::create_at(keyfile::Cost::RANDOM, &path, &made, passphrase).unwrap();
    assert!(same(&made, &keyfile::open(&path, passphrase).unwrap()));
    let wrong = keyfile::open(&path, PASSPHRASE).unwrap_err();
    assert_eq!(wrong.code, Code::WrongPassphrase);
    let file: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert_eq!((&file["memory_kib"], &file["passes"]), (&1024.into(), &1.into()));
}

#[test]
fn a_new_epoch_replaces_the_file_and_loses_no_key() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys");
    let mut made = keys(Suite::HybridDilithium3);
    keyfile::create(&path, &made, PASSPHRASE).unwrap();
    assert_eq!(made.add_epoch(Suite::HybridMlDsa65).unwrap(), Epoch(2));
    keyfile::replace(&path, &made, PASSPHRASE).unwrap();
    let read = keyfile::open(&path, PASSPHRASE).unwrap();
    assert!(same(&made, &read));
    assert_eq!(read.latest().unwrap().0, Epoch(2));
    assert_eq!(read.key(Epoch(1)).unwrap().suite(), Suite::HybridDilithium3);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing else is left behind");
    let none = Keys { epochs: Vec::new(), ..keys(Suite::Ed25519) };
    let refusal = keyfile::replace(&path, &none, PASSPHRASE).unwrap_err();
    assert_eq!(refusal.code, Code::NoSecretKey);
    assert!(same(&made, &keyfile::open(&path, PASSPHRASE).unwrap()));
}

#[test]
fn a_key_file_says_what_is_wrong_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys");
    let code = |path: &Path, passphrase: &str| keyfile::open(path, passphrase).unwrap_err().code;
    assert_eq!(code(&path, PASSPHRASE), Code::SecretFileFailed);
    keyfile::create(&path, &keys(Suite::Ed25519), PASSPHRASE).unwrap();
    assert_eq!(code(&path, "wrong"), Code::WrongPassphrase);
    assert_eq!(code(&path, ""), Code::WrongPassphrase);
    let again = keyfile::create(&path, &keys(Suite::Ed25519), PASSPHRASE).unwrap_err();
    assert_eq!(again.code, Code::SecretFileExists);

    let whole = fs::read_to_string(&path).unwrap();
    let damaged = |text: String| {
        fs::write(&path, text).unwrap();
        code(&path, PASSPHRASE)
    };
    assert_eq!(damaged(whole[..whole.len() / 2].to_owned()), Code::SecretFileDamaged);
    assert_eq!(damaged(String::new()), Code::SecretFileDamaged);
    let digit = whole.find("\"ciphertext\": \"").unwrap() + 20;
    let other = if &whole[digit..=digit] == "0" { "1" } else { "0" };
    let mut flipped = whole.clone();
    flipped.replace_range(digit..=digit, other);
    assert_eq!(damaged(flipped), Code::SecretFileDamaged);
    let cheaper = whole.replace("\"passes\": 3", "\"passes\": 1");
    assert_eq!(damaged(cheaper), Code::SecretFileDamaged);
    let later = whole.replace("\"version\": 1", "\"version\": 2");
    assert_eq!(damaged(later), Code::UnknownFormat);
    fs::write(&path, &whole).unwrap();
    keyfile::open(&path, PASSPHRASE).unwrap();
}

#[test]
fn a_key_file_that_others_can_read_is_not_opened() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys");
    keyfile::create(&path, &keys(Suite::Ed25519), PASSPHRASE).unwrap();
    for mode in [0o604, 0o640, 0o610, 0o602] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let refusal = keyfile::open(&path, PASSPHRASE).unwrap_err();
        assert_eq!(refusal.code, Code::OpenToOthers, "{mode:o}");
        assert!(refusal.what.contains(&format!("chmod 600 {}", path.display())), "{refusal}");
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
    keyfile::open(&path, PASSPHRASE).unwrap();
}

#[test]
fn a_file_of_another_kind_is_not_taken_for_keys() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("wallet");
    keyfile::seal_bytes(&path, "wallet", b"all of alice's keys", PASSPHRASE).unwrap();
    let opened = keyfile::open_bytes(&path, "wallet", PASSPHRASE).unwrap();
    assert_eq!(opened.as_slice(), b"all of alice's keys");
    assert_eq!(keyfile::open(&path, PASSPHRASE).unwrap_err().code, Code::WrongSecretFile);
    let text = fs::read_to_string(&path).unwrap();
    assert!(!text.contains("alice") && !text.contains(&hex::encode("alice")));
    keyfile::replace_bytes(&path, "wallet", b"more", "another passphrase").unwrap();
    let refusal = keyfile::open_bytes(&path, "wallet", PASSPHRASE).unwrap_err();
    assert_eq!(refusal.code, Code::WrongPassphrase);
}

#[test]
fn nothing_secret_is_in_debug_output() {
    let dir = tempfile::tempdir().unwrap();
    let keys = keys(Suite::HybridMlDsa65);
    let secret = keys.key(Epoch(1)).unwrap().to_bytes();
    let signer = LocalSigner::new(&keys, guard(dir.path())).unwrap();
    let shown = format!("{keys:?} {keys:#?} {signer:?} {signer:#?}");
    let seeds = [*keys.preimage_seed, *keys.gateway_seed, *keys.sealing.to_bytes()];
    let secrets = seeds.iter().map(|seed| seed.as_slice()).chain([&secret[1..33], &secret[33..65]]);
    for secret in secrets {
        let forms = [hex::encode(secret), format!("{secret:?}"), format!("{secret:#?}")];
        let start = format!("{}, {}, {}, {}", secret[0], secret[1], secret[2], secret[3]);
        for form in forms.iter().chain([&start]) {
            assert!(!shown.contains(form.as_str()), "{form} is in {shown}");
        }
    }
}

#[test]
fn the_guard_notes_each_height_once_and_never_goes_back() {
    let dir = tempfile::tempdir().unwrap();
    let (one, other) = (Hash([1; 32]), Hash([2; 32]));
    let file = guard(dir.path());
    assert_eq!(file.last(), None);
    for height in [1, 2, 3, 10] {
        file.note(Height(height), one).unwrap();
        file.note(Height(height), one).unwrap();
        assert_eq!(file.note(Height(height), other).unwrap_err().code, Code::GuardRefused);
        assert_eq!(file.note(Height(height - 1), one).unwrap_err().code, Code::GuardRefused);
        assert_eq!(file.last(), Some(Guard { height: Height(height), hash: one }));
    }
    let held = GuardFile::open(dir.path(), &network(), &domain(), Syncing::EachNote).unwrap_err();
    assert_eq!(held.code, Code::DirectoryInUse);
    drop(file);
    let file = guard(dir.path());
    assert_eq!(file.last(), Some(Guard { height: Height(10), hash: one }));
    assert_eq!(file.note(Height(9), one).unwrap_err().code, Code::GuardRefused);
    assert_eq!(file.note(Height(10), other).unwrap_err().code, Code::GuardRefused);
    file.note(Height(10), one).unwrap();
    file.note(Height(11), other).unwrap();
    drop(file);
    let stranger = "bank-b.example".parse().unwrap();
    let refusal =
        GuardFile::open(dir.path(), &network(), &stranger, Syncing::EachNote).unwrap_err();
    assert_eq!(refusal.code, Code::WrongLog);
}

/// A write that a power cut breaks spoils the slot that it goes to: what was noted before stays.
#[test]
fn a_broken_note_leaves_the_one_before() {
    let dir = tempfile::tempdir().unwrap();
    for height in 1..=6 {
        let file = guard(dir.path());
        file.note(Height(height), Hash([1; 32])).unwrap();
        drop(file);
        let path = dir.path().join("guard");
        let whole = fs::read(&path).unwrap();
        let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        // The slot that the next note goes to is the other one: spoil it.
        let next = height % 2 * 4096;
        file.write_all_at(&[0xff; 60], next + 20).unwrap();
        assert_eq!(guard(dir.path()).last().unwrap().height, Height(height));
        // Spoil both: nothing can be said, and so nothing is.
        file.write_all_at(&[0xff; 60], 20).unwrap();
        file.write_all_at(&[0xff; 60], 4096 + 20).unwrap();
        let refusal =
            GuardFile::open(dir.path(), &network(), &domain(), Syncing::EachNote).unwrap_err();
        assert_eq!(refusal.code, Code::GuardDamaged);
        fs::write(&path, whole).unwrap();
    }
}

#[test]
fn a_signer_signs_one_checkpoint_per_height() {
    let dir = tempfile::tempdir().unwrap();
    let keys = keys(Suite::HybridMlDsa65);
    let signer = LocalSigner::new(&keys, guard(dir.path())).unwrap();
    let (first, twin) = (checkpoint(5, 1), checkpoint(5, 2));
    let signature = signer.sign_checkpoint(&first).unwrap();
    let public = signer.public_key(Epoch(1)).unwrap();
    HybridSignatures.verify(&public, Tag::Checkpoint, &first.to_sign(), &signature).unwrap();
    assert_eq!(signer.guard(), Some(Guard { height: Height(5), hash: first.hash() }));
    signer.sign_checkpoint(&first).unwrap();
    assert_eq!(signer.sign_checkpoint(&twin).unwrap_err().code, Code::GuardRefused);
    assert_eq!(signer.sign_checkpoint(&checkpoint(4, 1)).unwrap_err().code, Code::GuardRefused);
    drop(signer);
    let signer = LocalSigner::new(&keys, guard(dir.path())).unwrap();
    assert_eq!(signer.sign_checkpoint(&twin).unwrap_err().code, Code::GuardRefused);
    // What cannot be signed is not noted.
    let unknown = Checkpoint { epoch: Epoch(2), ..checkpoint(6, 1) };
    assert_eq!(signer.sign_checkpoint(&unknown).unwrap_err().code, Code::NoSecretKey);
    let foreign = Checkpoint { domain: "bank-b.example".parse().unwrap(), ..checkpoint(6, 1) };
    assert_eq!(signer.sign_checkpoint(&foreign).unwrap_err().code, Code::WrongLog);
    assert_eq!(signer.guard().unwrap().height, Height(5));
}

#[test]
fn checkpoints_are_signed_through_the_guard_only() {
    let dir = tempfile::tempdir().unwrap();
    let mut keys = keys(Suite::Ed25519);
    let signer = LocalSigner::new(&keys, guard(dir.path())).unwrap();
    let bytes = checkpoint(1, 1).to_sign();
    let refusal = signer.sign(Epoch(1), Tag::Checkpoint, &bytes).unwrap_err();
    assert_eq!(refusal.code, Code::GuardNeeded);
    signer.sign(Epoch(1), Tag::Gateway, &bytes).unwrap();
    assert_eq!(signer.sign(Epoch(2), Tag::Gateway, &bytes).unwrap_err().code, Code::NoSecretKey);
    keys.add_epoch(Suite::HybridMlDsa65).unwrap();
    let (epoch, key) = keys.epochs.pop().unwrap();
    let public = key.public().clone();
    signer.add(epoch, key).unwrap();
    assert_eq!(signer.public_key(Epoch(2)), Some(public));
    let other = Keys::generate(network(), domain(), Suite::Ed25519).unwrap().epochs.remove(0).1;
    assert_eq!(signer.add(Epoch(2), other).unwrap_err().code, Code::BadRotation);
}

#[test]
fn a_passphrase_is_the_first_line_of_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("passphrase");
    for (text, passphrase) in [("secret", "secret"), ("a b\n", "a b"), ("x\r\ny\n", "x")] {
        fs::write(&path, text).unwrap();
        assert_eq!(*passphrase::read(Some(&path), "").unwrap(), passphrase);
        assert_eq!(*passphrase::read_new(Some(&path), "").unwrap(), passphrase);
    }
    for text in [String::new(), "\nsecret\n".to_owned(), "x".repeat(5_000)] {
        fs::write(&path, text).unwrap();
        let refusal = passphrase::read(Some(&path), "").unwrap_err();
        assert_eq!(refusal.code, Code::NoPassphrase);
    }
    let missing = dir.path().join("nothing");
    assert_eq!(passphrase::read(Some(&missing), "").unwrap_err().code, Code::NoPassphrase);
}

#[test]
fn a_guard_that_is_not_synced_each_time_is_relied_on_until_the_machine_boots_anew() {
    let dir = tempfile::tempdir().unwrap();
    let open = || GuardFile::open(dir.path(), &network(), &domain(), Syncing::NowAndThen).unwrap();
    let marker = dir.path().join("unsynced");
    let guard = open();
    assert!(guard.is_certain() && !marker.exists(), "nothing was noted yet");
    guard.note(Height(1), Hash([1; 32])).unwrap();
    assert!(marker.exists());
    guard.note(Height(2), Hash([2; 32])).unwrap();
    drop(guard);
    assert!(!marker.exists(), "an orderly end leaves nothing unsynced");

    let guard = open();
    guard.note(Height(3), Hash([3; 32])).unwrap();
    let this_boot = std::fs::read(&marker).unwrap();
    drop(guard);
    std::fs::write(&marker, &this_boot).unwrap();
    assert!(open().is_certain(), "a process that was killed leaves its notes to the system");

    for (height, other) in [(4, &b"another boot"[..]), (5, b"")] {
        std::fs::write(&marker, other).unwrap();
        let guard = open();
        assert!(!guard.is_certain(), "a power cut may have taken notes");
        drop(guard);
        assert!(marker.exists() && !open().is_certain(), "it stays so until somebody signs");
        let guard = open();
        guard.note(Height(height), Hash([4; 32])).unwrap();
        assert_eq!(std::fs::read(&marker).unwrap(), this_boot);
        drop(guard);
        assert!(open().is_certain());
    }
}
