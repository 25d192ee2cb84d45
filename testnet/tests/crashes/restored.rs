//! A data directory that is put back from an old copy, while the guard, which is kept elsewhere,
//! remembers what was signed since.
//!
//! Not tested here: that the books are whole again. The lost orders are in the hands of the bank's
//! customers alone, and the interface does not take them yet; without them the statements that
//! rest on them are back, and the ledgers that they concern are frozen.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use quadrille_protocol::types::{Domain, Hash, Height};
use quadrille_testnet::local::audit::{self, Rule};
use quadrille_testnet::local::trader::wait;
use quadrille_testnet::local::up;

use crate::stage::{Ending, STEP, Side, Stage};

#[test]
fn a_bank_restored_from_an_old_copy_signs_no_height_twice_and_gets_its_statements_back() {
    let mut stage = Stage::new();
    settle(&mut stage);
    let data = stage.held.layout.node(Side::Taker.bank());
    let kept = tempfile::tempdir().unwrap();
    assert!(stage.stop(Side::Taker));
    copy(&data, kept.path());
    stage.start(Side::Taker, None);
    up::meet(&stage.held).unwrap();
    let old = height(&stage);
    settle(&mut stage);
    settle(&mut stage);
    let before = checkpoints(&stage, Height(0), height(&stage));
    let signed = height(&stage);
    assert!(signed > old, "something is lost");

    assert!(stage.stop(Side::Taker));
    fs::remove_dir_all(&data).unwrap();
    copy(kept.path(), &data);
    stage.start_unready(Side::Taker);
    let client = stage.client(Side::Taker);
    let status = stage.status(Side::Taker);
    assert!(status.recovering, "it has noticed");
    assert!(status.height <= old, "and signs nothing before it was heard out: {}", status.height);
    // The bootstrap peer keeps no ledgers, so there is nothing that it could have heard.
    let bootstrap: Domain = "bootstrap.example".parse().unwrap();
    stage.runtime.block_on(client.give_up_on(&bootstrap)).unwrap();
    stage.runtime.block_on(client.customers_heard()).unwrap();
    let recovered = wait("it has recovered", STEP, async || {
        client.status().await.ok().filter(|status| !status.recovering)
    });
    let status = stage.runtime.block_on(recovered).unwrap();
    assert!(status.height > signed, "above everything that was signed: {}", status.height);
    let after = checkpoints(&stage, Height(0), status.height);
    for (height, hash) in &after {
        let known = before.get(height);
        assert!(known.is_none_or(|known| known == hash), "two checkpoints at height {height}");
        assert!(*height <= old || *height > signed, "height {height} is signed again");
    }
    up::meet(&stage.held).unwrap();
    let observed = audit::observe(&stage.held.layout, &stage.held.state);
    let banks = stage.runtime.block_on(observed).unwrap();
    let [_, restored] = &banks[..] else { panic!("two banks: {banks:?}") };
    assert_eq!(restored.settlements.len(), 3, "it knows those again that it had lost");
    let torn = audit::check(&banks).into_iter().find(|finding| finding.rule == Rule::Atomicity);
    assert_eq!(torn, None, "nothing that was decided is decided otherwise");
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
