//! The simulator itself: it repeats itself, it holds, and its command line says what it found.

use std::process::{Command, Output};

use quadrille_testnet::sim::broken::Broken;
use quadrille_testnet::sim::report::exit_code;
use quadrille_testnet::sim::{Options, run_seed, run_seeds};

fn sim(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_quadrille-testnet"))
        .arg("sim")
        .args(arguments)
        .output()
        .expect("the binary runs")
}

#[test]
fn a_seed_tells_the_same_story_twice() {
    // 20 runs the real suites, whose signatures are not the same twice.
    for seed in [3, 7, 20] {
        let options = Options { steps: Some(400), trace: true, ..Options::default() };
        let (one, other) = (run_seed(seed, options), run_seed(seed, options));
        assert!(!one.trace.is_empty());
        assert_eq!(one.trace, other.trace, "seed {seed}");
        assert_eq!(one.figures, other.figures, "seed {seed}");
    }
}

#[test]
fn figures_do_not_depend_on_threads() {
    let options = Options { steps: Some(300), ..Options::default() };
    let (one, broken) = run_seeds(1, 12, options, 1, &|_| {});
    let (three, _) = run_seeds(1, 12, options, 3, &|_| {});
    assert!(broken.is_none(), "{broken:?}");
    assert_eq!(one, three);
}

#[test]
fn a_short_range_holds() {
    let output = sim(&["--seeds", "1..12", "--steps", "800"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(text.contains("settlements settled"), "{text}");
    assert!(text.contains("seeds 1..12: everything held"), "{text}");
}

#[test]
fn a_trace_is_a_story() {
    let output = sim(&["--seed", "3", "--steps", "300", "--trace"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(text.contains("Agreed stl:"), "{text}");
    assert!(text.contains("all faults stop"), "{text}");
}

#[test]
fn every_kind_of_failure_has_its_exit_code() {
    assert_eq!(exit_code(None), 0);
    assert_eq!(exit_code(Some(&Broken::safety("s", "what"))), 129);
    assert_eq!(exit_code(Some(&Broken::liveness("l", "what"))), 128);
    assert_eq!(exit_code(Some(&Broken::crash("what"))), 127);
}

#[test]
fn bad_arguments_exit_with_2_and_a_remedy() {
    let cases: [&[&str]; 7] = [
        &[],
        &["--seeds", "5"],
        &["--seeds", "5..1"],
        &["--seeds", "a..b"],
        &["--seeds", "1..2", "--domains", "9"],
        &["--seeds", "1..2", "--seed", "1"],
        &["--seeds", "1..2", "--trace"],
    ];
    for case in cases {
        let output = sim(case);
        assert_eq!(output.status.code(), Some(2), "{case:?}: {output:?}");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains("--help") || text.contains("like 1..500"), "{case:?}: {text}");
    }
}
