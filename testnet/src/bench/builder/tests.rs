//! What is built is what a node would have written.

use quadrille_node::log_store::verify::verify;

use super::*;
use crate::bench::cleanup::Cleanup;
use crate::bench::{Figures, Size};
use crate::local::command::Progress;

#[test]
fn a_built_log_verifies_offline_in_full() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench {
        size: Size::Tiny,
        dir: folder.path().to_owned(),
        figures: Figures::default(),
        progress: Progress::new(),
        cleanup: Cleanup::default(),
    };
    let layout = Layout::new(&folder.path().join("net"));
    let held = match prepare(&bench, &layout) {
        Ok(held) => held,
        // The programs of other packages are not built for a unit test alone.
        Err(refusal) if refusal.code == Code::ProgramMissing => return,
        Err(refusal) => panic!("{refusal}"),
    };
    let mut pair = Pair::found(&held, [true, true]).unwrap();
    pair.holders(&held, Suite::Ed25519, 3).unwrap();
    pair.settle(600, |_| ()).unwrap();
    let written = pair.finish_with_idle(Suite::Ed25519, 10).unwrap();
    assert!(written.iter().all(|bank| bank.batches > 10 && bank.bytes > 600 * 1_000));
    for (name, written) in NAMES.into_iter().zip(written) {
        let report = verify(&layout.node(name)).unwrap();
        assert!(report.is_good(), "{report:?}");
        assert_eq!((report.batches, report.signatures), (written.batches, written.batches));
    }
    bench.cleanup.all();
}
