//! The client as its users meet it: a process with arguments, output and an exit code.

use std::process::{Command, Output};

fn quadrille(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_quadrille")).args(arguments).output().unwrap()
}

/// Standard output, standard error, exit code.
fn run(arguments: &[&str]) -> (String, String, i32) {
    let output = quadrille(arguments);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr), output.status.code().unwrap())
}

#[test]
fn a_code_is_explained_with_its_title_and_remedy() {
    let (out, err, exit) = run(&["explain", "Q-1010"]);
    assert_eq!(
        out,
        "Q-1010 not an asset code\nUse 1 to 12 capital letters and digits, like EUR.\n"
    );
    assert_eq!((err.as_str(), exit), ("", 0));
}

#[test]
fn a_code_is_explained_to_programs_too() {
    let (out, _, exit) = run(&["explain", "Q-1010", "-o", "json"]);
    let answer: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(answer["code"], "Q-1010");
    assert_eq!(answer["title"], "not an asset code");
    assert_eq!(answer["remedy"], "Use 1 to 12 capital letters and digits, like EUR.");
    assert_eq!(exit, 0);
}

#[test]
fn all_codes_are_listed_in_both_forms() {
    let (json, _, exit) = run(&["explain", "--all", "-o", "json"]);
    assert_eq!(exit, 0);
    let rows: Vec<serde_json::Value> = serde_json::from_str(&json).unwrap();
    assert_eq!(rows.len(), quadrille_protocol::error::Code::ALL.len());
    let (table, _, exit) = run(&["explain", "--all"]);
    assert_eq!(exit, 0);
    for row in rows {
        assert!(table.contains(row["code"].as_str().unwrap()), "{row}");
    }
}

#[test]
fn an_unknown_code_is_a_usage_error_with_a_remedy() {
    for bad in ["Q-9999", "1010", "q-1010", "Q-+1010", ""] {
        let (out, err, exit) = run(&["explain", bad]);
        assert_eq!((out.as_str(), exit), ("", 2), "{bad}");
        assert!(err.contains("Q-1005 no such code"), "{bad}: {err}");
        assert!(err.contains("See the list of codes. `quadrille explain --all`"), "{bad}: {err}");
    }
}

#[test]
fn wrong_arguments_are_a_usage_error() {
    for bad in [&[][..], &["explain"], &["explain", "Q-1010", "--all"], &["settle"]] {
        let (out, err, exit) = run(bad);
        assert_eq!((out.as_str(), exit), ("", 2), "{bad:?}");
        assert!(err.contains("Usage:"), "{bad:?}: {err}");
    }
}

#[test]
fn the_version_is_the_workspace_s() {
    let (out, _, exit) = run(&["--version"]);
    assert_eq!((out, exit), (format!("quadrille {}\n", env!("CARGO_PKG_VERSION")), 0));
}
