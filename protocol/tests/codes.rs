//! The refusal codes are a public contract: a published code never changes its meaning.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::PathBuf;

use quadrille_protocol::error::{Code, Fault, Refusal};

const UPDATE: &str = "QUADRILLE_PUBLISH_CODES";

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/codes.txt")
}

/// Published codes: number to title.
fn published() -> BTreeMap<u16, String> {
    let text = std::fs::read_to_string(path()).unwrap();
    let mut codes = BTreeMap::new();
    for line in text.lines() {
        let (code, title) = line.split_once(' ').unwrap_or_else(|| panic!("bad line `{line}`"));
        let number = code.strip_prefix("Q-").and_then(|digits| digits.parse().ok());
        let number = number.unwrap_or_else(|| panic!("bad line `{line}`"));
        let twice = codes.insert(number, title.to_owned());
        assert_eq!(twice, None, "{code} is published twice");
    }
    codes
}

fn lines<'a>(codes: impl Iterator<Item = &'a Code>) -> String {
    codes.map(|code| format!("{code} {}\n", code.title())).collect()
}

#[test]
fn a_published_code_keeps_its_meaning() {
    let published = published();
    for (number, title) in &published {
        let now = Code::from_number(*number).map(Code::title);
        assert_eq!(
            now,
            Some(title.as_str()),
            "Q-{number} is published as `{title}` and must keep that meaning for ever: restore \
             its line in src/error/codes.rs and give the new meaning a new number. (Where only \
             the wording improves, change tests/vectors/codes.txt by hand in the same commit \
             and say so in its message.)",
        );
    }
    let new: Vec<&Code> =
        Code::ALL.iter().filter(|code| !published.contains_key(&code.number())).collect();
    for code in &new {
        let hundred = code.number() / 100;
        let later = published.keys().find(|n| **n / 100 == hundred && **n > code.number());
        assert_eq!(later, None, "{code} is new: it belongs at the end of its hundred");
    }
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(path(), lines(Code::ALL.iter())).unwrap();
    } else if !new.is_empty() {
        let lines = lines(new.into_iter());
        panic!(
            "not yet published:\n{lines}Check the wording, then publish with\n  \
             {UPDATE}=1 cargo test -p quadrille-protocol --test codes\nand commit \
             protocol/tests/vectors/codes.txt."
        );
    }
}

#[test]
fn numbers_rise_and_stay_in_their_range() {
    for pair in Code::ALL.windows(2) {
        assert!(pair[0].number() < pair[1].number(), "{} stands before {}", pair[0], pair[1]);
    }
    for code in Code::ALL {
        assert!((10..=28).contains(&(code.number() / 100)), "{code} is in no documented hundred");
        assert_ne!(code.number() % 100, 0, "{code}: hundreds begin at 1");
    }
}

#[test]
fn every_code_says_what_is_wrong_and_what_to_do() {
    let mut titles = BTreeMap::new();
    for code in Code::ALL {
        let (title, remedy) = (code.title(), code.remedy());
        assert!(!title.is_empty() && title.len() <= 80, "{code}: `{title}`");
        assert!(!title.ends_with('.') && title.trim() == title, "{code}: `{title}`");
        assert!(remedy.ends_with('.') && remedy.trim() == remedy, "{code}: `{remedy}`");
        assert!(remedy.len() > 5 && remedy.len() <= 200, "{code}: `{remedy}`");
        if let Some(other) = titles.insert(title, code) {
            panic!("{code} and {other} have one title");
        }
    }
}

#[test]
fn codes_show_and_parse_in_one_form() {
    for code in Code::ALL {
        let text = code.to_string();
        assert_eq!(text, format!("Q-{}", code.number()));
        assert_eq!(text.parse(), Ok(*code));
        assert_eq!(Code::from_number(code.number()), Some(*code));
    }
    let bad = [
        "", "Q", "Q-", "1001", "q-1001", "Q1001", "Q-+1001", "Q-01001", "Q-1001 ", "Q-0", "Q-1000",
        "Q-9999", "Q-65536", "Q--1001", "Q-10 01", " Q-1001",
    ];
    for text in bad {
        let refusal = text.parse::<Code>().unwrap_err();
        assert_eq!(refusal.code, Code::UnknownCode, "`{text}`");
    }
}

#[test]
fn refusals_and_faults_say_all_they_know() {
    let refusal = Refusal::new(Code::BadAmount, "`-1`");
    assert_eq!(refusal.to_string(), "Q-1008 not an amount: `-1`");
    assert_eq!(format!("{refusal:?}"), refusal.to_string());
    assert_eq!(Fault::new("1 + 1 = 3").to_string(), "broken invariant: 1 + 1 = 3");
}
