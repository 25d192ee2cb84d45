//! `quadrille-testnet measure`, on a real network of two banks.

use std::process::Command;

use serde_json::Value;

/// A number in the report, by its path.
fn number(report: &Value, path: &str) -> f64 {
    report.pointer(path).and_then(Value::as_f64).unwrap_or_else(|| panic!("{path} in {report}"))
}

#[test]
fn a_small_run_reports_figures_that_can_be() {
    let output = Command::new(env!("CARGO_BIN_EXE_quadrille-testnet"))
        .args(["measure", "--trades", "20", "--in-flight", "1,8", "-o", "json"])
        .output()
        .expect("the binary runs");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{complaint}");
    let report: Value = serde_json::from_slice(&output.stdout).expect("one JSON document");
    let phases = report["phases"].as_array().expect("phases");
    let in_flight: Vec<_> = phases.iter().map(|phase| phase["in_flight"].as_u64()).collect();
    assert_eq!(in_flight, [Some(1), Some(1), Some(8)], "the first one with pauses");
    assert_eq!(phases[0]["idle_between"], true);
    for phase in phases {
        assert_eq!(phase["trades"], 20, "{phase}");
        let accepted = number(phase, "/accepted/p50_us");
        let (p50, p99) = (number(phase, "/settled/p50_us"), number(phase, "/settled/p99_us"));
        assert!(0.0 < accepted && accepted < p50 && p50 <= p99, "{phase}");
        assert!(number(phase, "/trades_per_second") > 0.0, "{phase}");
        // Both banks append and sync at least one batch for a trade that is alone, and a trade's
        // records and their signatures are some kilobytes.
        let batches = number(phase, "/cost/batches");
        assert!(number(phase, "/cost/log_fsyncs") >= batches && batches > 0.0, "{phase}");
        assert!(number(phase, "/cost/log_bytes") > 1_000.0, "{phase}");
        assert!(number(phase, "/cost/mesh_bytes") > 1_000.0, "{phase}");
        assert!(number(phase, "/cost/cpu_ms") > 0.0, "{phase}");
    }
    assert!(number(&phases[0], "/cost/batches") >= 2.0, "{report}");
    for bank in ["/resident_bytes/0", "/resident_bytes/1"] {
        assert!(number(&report, bank) > 1e6, "{report}");
    }
}
