//! What the specification says of the tests: each that it names exists, and is a test.

#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use std::path::Path;

/// The tests named as `file::test` in the specification, with the letter of their folder.
fn named(text: &str) -> Vec<(&str, &str, &str)> {
    let quoted = text.split('`').skip(1).step_by(2);
    quoted
        .filter_map(|word| {
            let (file, test) = word.split_once(".rs::")?;
            let (letter, file) = file.split_once('/')?;
            Some((letter, file, test))
        })
        .collect()
}

/// Whether a function with this name stands right behind the attributes of a test.
fn has_test(source: &str, test: &str) -> bool {
    let mut marked = false;
    source.lines().map(str::trim).any(|line| {
        if line.starts_with("#[") {
            marked |= line.starts_with("#[test") || line.starts_with("#[tokio::test");
            return false;
        }
        let was = std::mem::take(&mut marked);
        let name = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ");
        was && name.is_some_and(|name| name.strip_prefix(test).is_some_and(|r| r.starts_with('(')))
    })
}

#[test]
fn every_test_that_the_specification_names_exists() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(here.join("SPEC.md")).unwrap();
    let named = named(&text);
    assert!(named.len() > 40, "{} are named", named.len());
    for (letter, file, test) in named {
        let folder = match letter {
            "p" => here.join("tests"),
            "s" => here.join("src"),
            "n" => here.join("../node/tests"),
            "t" => here.join("../testnet/tests"),
            other => panic!("`{other}/` is no folder of tests"),
        };
        let source = std::fs::read_to_string(folder.join(file).with_extension("rs"));
        let source = source.unwrap_or_else(|error| panic!("{letter}/{file}.rs: {error}"));
        assert!(has_test(&source, test), "no test {test} in {letter}/{file}.rs");
    }
}
