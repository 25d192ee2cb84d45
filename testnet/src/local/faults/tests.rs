//! Which faults make sense, and how they are written down.

use quadrille_protocol::crypto::suite::Suite;

use super::*;

fn partition(a: &[&str], b: &[&str]) -> Fault {
    let names = |side: &[&str]| side.iter().map(|name| (*name).to_owned()).collect();
    Fault::Partition { a: names(a), b: names(b), one_way: false }
}

fn all() -> Vec<Fault> {
    let of = || "bank-a".to_owned();
    let second = Duration::from_secs(1);
    vec![
        partition(&["bank-a"], &["bank-b"]),
        Fault::Latency { of: of(), delay: second, jitter: Duration::ZERO },
        Fault::Loss { of: of(), percent: 5.0 },
        Fault::Bandwidth { of: of(), bytes_per_second: 65_536 },
        Fault::Reset { of: of() },
        Fault::Pause { of: of() },
        Fault::Kill { of: of() },
        Fault::Skew { of: of(), by_ms: -30_000 },
        Fault::DiskFull { of: of() },
        Fault::FsyncError { of: of() },
    ]
}

fn state() -> State {
    let plan = up::Plan::of(2, Some(1), Suite::HybridMlDsa65).unwrap();
    plan.first_state().unwrap()
}

#[test]
fn every_fault_is_written_and_read_back_under_its_name() {
    for fault in all() {
        let text = serde_json::to_string(&fault).unwrap();
        assert!(text.contains(&format!("\"kind\":\"{}\"", fault.kind())), "{text}");
        assert_eq!(serde_json::from_str::<Fault>(&text).unwrap(), fault);
        assert!(fault.to_string().starts_with(fault.kind()), "{fault}");
        fault.check().unwrap();
    }
    let text = r#"{"kind":"latency","of":"bank-a","delay":"150ms"}"#;
    assert!(serde_json::from_str::<Fault>(text).is_ok(), "no jitter is none");
    for wrong in [
        r#"{"kind":"latency","of":"bank-a","delay":150}"#,
        r#"{"kind":"pause","of":"bank-a","for":"1s"}"#,
        r#"{"kind":"flood","of":"bank-a"}"#,
    ] {
        assert!(serde_json::from_str::<Fault>(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn domains_stand_for_banks_and_the_bootstrap_peer_has_only_links() {
    let state = state();
    let fault = partition(&["bank-a.example"], &["bank-b", "bootstrap"]);
    let expected = partition(&["bank-a"], &["bank-b", "bootstrap"]);
    assert_eq!(fault.of_network(&state).unwrap(), expected);
    let unknown = partition(&["bank-a"], &["bank-z"]).of_network(&state).unwrap_err();
    assert_eq!(unknown.code, Code::UnknownNode);
    let paused = Fault::Pause { of: BOOTSTRAP.to_owned() };
    assert_eq!(paused.of_network(&state).unwrap_err().code, Code::UnknownNode);
}

#[test]
fn faults_that_make_no_sense_are_refused() {
    let of = || "bank-a".to_owned();
    let wrong = [
        partition(&["bank-a"], &[]),
        partition(&["bank-a"], &["bank-b", "bank-a"]),
        Fault::Latency { of: of(), delay: Duration::ZERO, jitter: Duration::ZERO },
        Fault::Latency { of: of(), delay: DELAY * 2, jitter: Duration::ZERO },
        Fault::Loss { of: of(), percent: 0.0 },
        Fault::Loss { of: of(), percent: 100.0 },
        Fault::Loss { of: of(), percent: f64::NAN },
        Fault::Bandwidth { of: of(), bytes_per_second: 1 },
        Fault::Skew { of: of(), by_ms: 0 },
        Fault::Skew { of: of(), by_ms: i64::MIN },
    ];
    for fault in wrong {
        assert_eq!(fault.check().unwrap_err().code, Code::BadFault, "{fault}");
    }
    // The same bank under two names is on both sides, too.
    let twice = partition(&["bank-a"], &["bank-a.example"]).of_network(&state()).unwrap_err();
    assert_eq!(twice.code, Code::BadFault);
}

#[test]
fn a_span_is_neither_too_short_nor_too_long_and_a_reset_has_none() {
    let pause = Fault::Pause { of: "bank-a".to_owned() };
    for span in [Duration::from_millis(1), LONGEST * 2] {
        assert_eq!(check_span(&pause, Some(span)).unwrap_err().code, Code::BadFault);
    }
    check_span(&pause, Some(SHORTEST)).unwrap();
    let reset = Fault::Reset { of: "bank-a".to_owned() };
    assert_eq!(check_span(&reset, Some(SHORTEST)).unwrap_err().code, Code::BadFault);
    check_span(&reset, None).unwrap();
}
