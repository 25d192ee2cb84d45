//! `quadrille-testnet bench`: its figures, its report and its page agree.

use std::collections::BTreeSet;
use std::process::{Command, Output};

use quadrille_testnet::bench::{KEYS, Part};
use serde_json::Value;

#[path = "programs/mod.rs"]
mod programs;

/// Sizes that only a full run has.
const FULL_ONLY: [&str; 11] = [
    "postgres_2pc.clients16_per_s",
    "postgres_2pc.clients64_per_s",
    "scale.trades_per_s.ledgers_1m",
    "scale.trades_per_s.ledgers_10m",
    "scale.lower_at_10m_percent",
    "scale.pairs4_per_s",
    "scale.pairs8_per_s",
    "scale.pairs4_per_cpu_s",
    "scale.pairs8_per_cpu_s",
    // Ratios to what is measured in another part.
    "ratio_to_postgres_2pc",
    "memory_bytes_per_idle_ledger",
];

fn bench(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quadrille-testnet"));
    command.arg("bench").args(arguments).output().expect("the binary runs")
}

/// The keys that are figures in a report: its numbers, and its `null`s.
fn keys_in(report: &Value) -> BTreeSet<String> {
    fn walk(value: &Value, name: &str, into: &mut BTreeSet<String>) {
        match value {
            Value::Object(below) => {
                for (key, value) in below {
                    let name = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
                    walk(value, &name, into);
                }
            }
            Value::Null | Value::Number(_) => {
                into.insert(name.to_owned());
            }
            Value::Bool(_) | Value::String(_) | Value::Array(_) => {
                panic!("{name} is no figure: {value}");
            }
        }
    }
    let mut figures = report.as_object().expect("an object").clone();
    for other in ["units", "missing", "notes", "parameters", "machine"] {
        assert!(figures.remove(other).is_some(), "{other}");
    }
    let mut keys = BTreeSet::new();
    walk(&Value::Object(figures), "", &mut keys);
    keys
}

#[test]
fn the_page_documents_exactly_the_keys_that_are_written() {
    let page = include_str!("../BENCHMARKS.md");
    let (_, table) = page.split_once("<!-- figures: begin -->").expect("a first marker");
    let (table, _) = table.split_once("<!-- figures: end -->").expect("a last marker");
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
    let documented: BTreeSet<&str> = rows.map(|(name, _)| name).collect();
    let written: BTreeSet<&str> = KEYS.iter().map(|key| key.name).collect();
    assert_eq!(documented, written, "write the table anew with `bench --markdown`");
}

#[test]
fn a_part_that_is_left_out_says_so_under_its_keys() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("figures.json");
    let file = file.to_str().unwrap();
    let output = bench(&["--tiny", "--only", "floor", "--json", file]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let written: BTreeSet<String> = KEYS.iter().map(|key| key.name.to_owned()).collect();
    assert_eq!(keys_in(&report), written);
    for key in KEYS {
        let pointer = format!("/{}", key.name.replace('.', "/"));
        let value = report.pointer(&pointer).unwrap();
        assert_eq!(value.is_number(), key.part == Part::Floor, "{}: {value}", key.name);
        let missing = &report["missing"][key.name];
        assert_eq!(missing == "left out by --only", key.part != Part::Floor, "{}", key.name);
    }
    let floor = |name: &str| report.pointer(name).and_then(Value::as_f64).unwrap();
    let together = floor("/floor/trade_us/suite3");
    let alone = floor("/floor/trade_alone_us/suite3");
    assert!(2.0 * floor("/floor/verify_us/suite3") < together && together < alone);
    assert!(floor("/floor/trade_us/suite1") > together, "hybrid checks take longer");
    let table = String::from_utf8_lossy(&output.stdout);
    assert!(table.contains("FIGURE") && table.contains("floor.trades_per_s.suite3"), "{table}");
}

#[test]
fn a_report_that_cannot_be_written_is_refused_before_anything_is_measured() {
    let output = bench(&["--tiny", "--json", "/no/such/folder/figures.json"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty(), "nothing was measured");
    assert!(String::from_utf8_lossy(&output.stderr).contains("/no/such/folder"));
    assert_eq!(bench(&["--only", "nothing"]).status.code(), Some(2));
}

/// All parts at their smallest: real processes throughout.
#[test]
fn a_tiny_run_measures_every_part() {
    programs::build_programs();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("figures.json");
    let output = bench(&["--tiny", "--json", file.to_str().unwrap()]);
    let (told, table) =
        (String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
    assert!(output.status.success(), "{told}\n{table}");
    let report: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    for key in KEYS {
        let value = report.pointer(&format!("/{}", key.name.replace('.', "/"))).unwrap();
        let why = report["missing"][key.name].as_str();
        let excused = FULL_ONLY.contains(&key.name)
            || (key.part == Part::Postgres && why.is_some_and(|why| why.contains("Q-2381")));
        assert!(value.is_number() || excused, "{}: {why:?}\n{told}", key.name);
        assert!(!value.is_number() || value.as_f64() >= Some(0.0), "{}: {value}", key.name);
    }
}
