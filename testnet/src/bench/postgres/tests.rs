//! The comparison against real clusters, where PostgreSQL is installed.

use super::*;
use crate::bench::cleanup::Cleanup;

/// Two clusters in a folder that every user may enter.
fn clusters(folder: &std::path::Path, cleanup: &Cleanup) -> Option<[Cluster; 2]> {
    use std::os::unix::fs::PermissionsExt as _;
    let programs = match cluster::Programs::find() {
        Ok(programs) => programs,
        Err(refusal) => {
            assert_eq!(refusal.code, Code::PostgresMissing);
            eprintln!("not tested: {refusal}");
            return None;
        }
    };
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
    let start = |name: &str| Cluster::start(&programs, &folder.join(name), cleanup).unwrap();
    Some([start("a"), start("b")])
}

/// Ends what was started, also when a test fails.
struct Ending(Cleanup);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.all();
    }
}

fn with_clusters<F: Future<Output = ()>>(test: impl FnOnce([Cluster; 2], std::path::PathBuf) -> F) {
    let folder = tempfile::tempdir().unwrap();
    let cleanup = Ending(Cleanup::default());
    let cleanup = &cleanup.0;
    if let Some(clusters) = clusters(folder.path(), cleanup) {
        let log = folder.path().join("decisions");
        tokio::runtime::Runtime::new().unwrap().block_on(test(clusters, log));
    }
}

#[test]
fn after_a_crash_what_was_decided_is_committed_and_the_rest_rolled_back() {
    with_clusters(|clusters, log| async move {
        let coordinator = Coordinator::open(&clusters, &log, 640).await.unwrap();
        let mut client = coordinator.client().await.unwrap();
        let decided = client.prepare().await.unwrap();
        client.decide(decided).await.unwrap();
        // Another one: what is prepared holds its accounts.
        let mut other = coordinator.client().await.unwrap();
        let undecided = other.prepare().await.unwrap();
        assert_ne!(decided, undecided);
        // The coordinator stops here, before either cluster has heard of a decision.
        drop((client, other));
        let broken = coordinator.check().await.unwrap_err();
        assert_eq!(broken.code, Code::BenchUnsound, "what is left prepared is noticed");
        assert_eq!(coordinator.recover().await.unwrap(), (2, 2));
        coordinator.check().await.unwrap();
        assert_eq!(coordinator.recover().await.unwrap(), (0, 0));
    });
}

#[test]
fn many_clients_conserve_every_sum_and_a_lost_unit_is_noticed() {
    with_clusters(|clusters, log| async move {
        let coordinator = Coordinator::open(&clusters, &log, 640).await.unwrap();
        let outcome = coordinator.load(4, Duration::from_millis(300)).await.unwrap();
        assert!(outcome.per_s > 0.0 && outcome.clients == 4);
        coordinator.check().await.unwrap();
        let [a, _] = &clusters;
        let client = a.connect().await.unwrap();
        client
            .batch_execute("UPDATE account SET balance = balance - 1 WHERE id = 3")
            .await
            .unwrap();
        assert_eq!(coordinator.check().await.unwrap_err().code, Code::BenchUnsound);
    });
}
