//! A data directory that is put back from an old copy.
//!
//! The bank gets its own statements back from its peer, and the orders of its customers from the
//! evidence that they have kept: then its books are whole again and it goes on trading. With the
//! guard kept elsewhere it knows by itself that something is missing; with the guard inside of what
//! was put back, its peer tells it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use quadrille_node::config::Layout as DataDir;
use quadrille_protocol::types::{Hash, Height};
use quadrille_testnet::local::process;
use quadrille_testnet::local::trader::wait;
use quadrille_testnet::local::up;

use crate::stage::{Ending, ROWS, STEP, Side, Stage};

#[test]
fn a_bank_restored_from_an_old_copy_gets_everything_back_and_trades_on() {
    restored_from_an_old_copy(&mut Stage::new(), Guard::Apart);
}

#[test]
fn a_bank_whose_guard_was_restored_with_it_hears_from_its_peer_what_it_has_lost() {
    let mut stage = Stage::new();
    assert!(stage.stop(Side::Taker));
    move_guard_inside(&stage);
    stage.start(Side::Taker, None);
    up::meet(&stage.held).unwrap();
    restored_from_an_old_copy(&mut stage, Guard::Inside);
}

/// Where the guard is kept, and so what it remembers of a log that was put back.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Guard {
    Apart,
    Inside,
}

fn restored_from_an_old_copy(stage: &mut Stage, guard: Guard) {
    settle(stage);
    let data = stage.held.layout.node(Side::Taker.bank());
    let kept = tempfile::tempdir().unwrap();
    assert!(stage.stop(Side::Taker));
    copy(&data, kept.path());
    stage.start(Side::Taker, None);
    up::meet(&stage.held).unwrap();
    let old = height(stage);
    settle(stage);
    settle(stage);
    let before = checkpoints(stage, Height(0), height(stage));
    let signed = height(stage);
    assert!(signed > old, "something is lost");
    let evidence = tempfile::tempdir().unwrap();
    let files = keep_evidence(stage, evidence.path());

    assert!(stage.stop(Side::Taker));
    fs::remove_dir_all(&data).unwrap();
    copy(kept.path(), &data);
    stage.start_unready(Side::Taker);
    let status = stage.status(Side::Taker);
    assert!(status.recovering, "it has noticed, or asks");
    assert!(status.height <= old, "and signs nothing before it was heard out: {}", status.height);
    await_loss(stage);
    hand_in(stage, &files);
    let client = stage.client(Side::Taker);
    let early = stage.runtime.block_on(client.recovery()).unwrap();
    assert!(early.recovering && early.returned > 0, "it waits for the operator: {early:?}");
    recovery(stage, &["customers-heard".as_ref()]);
    let client = stage.client(Side::Taker);
    let recovered = wait("it has recovered", STEP, async || {
        client.status().await.ok().filter(|status| !status.recovering)
    });
    let status = stage.runtime.block_on(recovered).unwrap();
    // A last batch that nobody has heard anything of is known to the guard alone.
    let heard = if guard == Guard::Apart { signed } else { Height(signed.0 - 1) };
    assert!(status.height > heard, "above everything that was heard: {}", status.height);
    let after = checkpoints(stage, Height(0), status.height);
    for (height, hash) in after.iter().filter(|(height, _)| **height <= heard) {
        let known = before.get(height);
        assert!(known.is_none_or(|known| known == hash), "two checkpoints at height {height}");
        assert!(*height <= old, "height {height} is signed again");
    }
    up::meet(&stage.held).unwrap();
    stage.audit();
    settle(stage);
    accuses_nobody(stage);
}

/// Puts the taker's guard into its data directory, where a copy takes it along.
fn move_guard_inside(stage: &Stage) {
    let layout = &stage.held.layout;
    let (data, name) = (layout.node(Side::Taker.bank()), Side::Taker.bank());
    let inside = data.join("guard");
    fs::rename(layout.guard(name), &inside).unwrap();
    let config = DataDir::new(&data).config();
    let text = fs::read_to_string(&config).unwrap();
    let line = |line: &str| match line.starts_with("guard_dir =") {
        true => format!("guard_dir = {:?}\n", inside.display().to_string()),
        false => format!("{line}\n"),
    };
    let changed: String = text.lines().map(line).collect();
    assert_ne!(changed, text);
    fs::write(&config, changed).unwrap();
}

/// What every customer of the bank has kept: the evidence of each entry of its ledger, as
/// `quadrille evidence get` writes it.
fn keep_evidence(stage: &Stage, folder: &Path) -> Vec<PathBuf> {
    let client = stage.client(Side::Taker);
    stage.runtime.block_on(async {
        let mut files = Vec::new();
        for ledger in client.ledgers(None, ROWS).await.unwrap() {
            for entry in client.entries(&ledger.ledger, ROWS).await.unwrap() {
                let armour = client.entry_evidence(&ledger.ledger, entry.sequence).await.unwrap();
                let file = folder.join(format!("{}.json", files.len()));
                fs::write(&file, serde_json::to_vec(&armour).unwrap()).unwrap();
                files.push(file);
            }
        }
        files
    })
}

/// Waits until the bank knows that it has lost something, and has heard its peer out.
fn await_loss(stage: &Stage) {
    let client = stage.client(Side::Taker);
    let heard = wait("its peer is heard", STEP, async || {
        let recovery = client.recovery().await.ok()?;
        (recovery.lost && recovery.awaiting.is_empty()).then_some(())
    });
    stage.runtime.block_on(heard).unwrap();
}

fn hand_in(stage: &Stage, files: &[PathBuf]) {
    let mut arguments: Vec<&OsStr> = vec!["evidence".as_ref()];
    arguments.extend(files.iter().map(|file| file.as_os_str()));
    recovery(stage, &arguments);
}

/// Runs `quadrille recovery` against the taker's bank.
fn recovery(stage: &Stage, arguments: &[&OsStr]) {
    let layout = &stage.held.layout;
    let api = stage.client(Side::Taker).api().to_owned();
    let token = layout.token(Side::Taker.bank());
    let mut all: Vec<&OsStr> = vec!["recovery".as_ref()];
    all.extend(arguments);
    all.extend([OsStr::new("--api"), api.as_ref(), "--token-file".as_ref(), token.as_os_str()]);
    let program = process::program("quadrille").unwrap();
    process::ask(&program, &all).unwrap().unwrap();
}

/// Neither bank has said of the other, or of itself, that it misbehaved.
fn accuses_nobody(stage: &Stage) {
    for side in Side::BOTH {
        let log = fs::read_to_string(stage.held.layout.log(side.bank())).unwrap();
        let accusations: Vec<&str> =
            log.lines().filter(|line| line.contains("misbehaved")).collect();
        assert!(accusations.is_empty(), "{}: {accusations:#?}", side.bank());
    }
}

fn settle(stage: &mut Stage) {
    let trade = stage.trade();
    assert_eq!(stage.ending(&trade), Ending::Settled);
    stage.audit();
}

fn height(stage: &Stage) -> Height {
    stage.status(Side::Taker).height
}

/// The checkpoints that the bank shows, by height.
fn checkpoints(stage: &Stage, from: Height, to: Height) -> BTreeMap<Height, Hash> {
    let client = stage.client(Side::Taker);
    stage.runtime.block_on(async {
        let mut found = BTreeMap::new();
        for height in (from.0..=to.0).map(Height) {
            // Heights that the recovery skipped have none.
            if let Ok(view) = client.checkpoint(height).await {
                found.insert(height, view.hash);
            }
        }
        found
    })
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).unwrap();
        }
        fs::set_permissions(&target, entry.metadata().unwrap().permissions()).unwrap();
    }
}
