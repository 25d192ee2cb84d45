//! The figures of a run: collected under their keys, then as JSON, as a table, or as Markdown.

use std::collections::BTreeMap;

use comfy_table::{ContentArrangement, Table, presets};
use quadrille_protocol::error::{Code, Refusal};
use serde_json::{Map, Value, json};

use super::keys::{Aim, KEYS, Key, Part};
use super::machine::Machine;

/// Notes that one run keeps.
const NOTES: usize = 256;

/// What a run has measured so far.
#[derive(Debug, Default)]
pub struct Figures {
    values: BTreeMap<&'static str, f64>,
    missing: BTreeMap<Part, String>,
    notes: Vec<String>,
    parameters: Map<String, Value>,
}

impl Figures {
    /// Keeps a figure.
    ///
    /// # Errors
    /// `Q-2380` for a key that is not documented, or a value that is no number.
    pub fn set(&mut self, name: &str, value: f64) -> Result<(), Refusal> {
        let key = KEYS.iter().find(|key| key.name == name);
        match key.filter(|_| value.is_finite()) {
            Some(key) => {
                self.values.insert(key.name, value);
                Ok(())
            }
            None => Err(Refusal::new(Code::BenchFailed, format!("`{name}` is {value}"))),
        }
    }

    /// A figure that was measured.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<f64> {
        self.values.get(name).copied()
    }

    /// Keeps why the figures of a part are missing.
    pub fn miss(&mut self, part: Part, why: impl Into<String>) {
        self.missing.insert(part, why.into());
    }

    /// Something to know beside the figures.
    pub fn note(&mut self, what: impl Into<String>) {
        if self.notes.len() < NOTES {
            self.notes.push(what.into());
        }
    }

    /// A parameter of the run.
    pub fn parameter(&mut self, name: &str, value: impl Into<Value>) {
        self.parameters.insert(name.to_owned(), value.into());
    }

    /// Ratios whose both sides were measured.
    ///
    /// # Errors
    /// Those of [`Figures::set`].
    pub fn ratios(&mut self) -> Result<(), Refusal> {
        let ratios = [
            ("ratio_to_signature_floor", "trades_per_s.suite3", "floor.trades_per_s.suite3"),
            ("ratio_to_signature_floor_suite1", "trades_per_s.suite1", "floor.trades_per_s.suite1"),
            ("ratio_to_postgres_2pc", "trades_per_s.suite3", "postgres_2pc_per_s"),
        ];
        for (name, ours, other) in ratios {
            if let (Some(ours), Some(other)) = (self.get(ours), self.get(other)) {
                self.set(name, ours / other)?;
            }
        }
        Ok(())
    }

    /// Why this figure is missing.
    fn why(&self, key: &Key) -> &str {
        self.missing.get(&key.part).map_or("not measured in this run", String::as_str)
    }

    /// The report. Every documented key is in it.
    #[must_use]
    pub fn json(&self, machine: &Machine) -> Value {
        let mut report = Map::new();
        for key in KEYS {
            let value = self.get(key.name).map_or(Value::Null, |value| json!(rounded(value)));
            place(&mut report, key.name, value);
        }
        let units: Map<String, Value> =
            KEYS.iter().map(|key| (key.name.to_owned(), json!(key.unit))).collect();
        let missing: Map<String, Value> = KEYS
            .iter()
            .filter(|key| self.get(key.name).is_none())
            .map(|key| (key.name.to_owned(), json!(self.why(key))))
            .collect();
        report.insert("units".to_owned(), Value::Object(units));
        report.insert("missing".to_owned(), Value::Object(missing));
        report.insert("notes".to_owned(), json!(self.notes));
        report.insert("parameters".to_owned(), Value::Object(self.parameters.clone()));
        report.insert("machine".to_owned(), json!(machine));
        Value::Object(report)
    }

    /// In columns for people.
    #[must_use]
    pub fn table(&self) -> String {
        let mut table = Table::new();
        table.load_preset(presets::NOTHING);
        table.set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(["FIGURE", "MEASURED", "UNIT", "AIM", "VERDICT"]);
        for key in KEYS {
            let measured = self.get(key.name).map_or("-".to_owned(), shown);
            let aim = key.aim.map_or(String::new(), aim);
            table.add_row([key.name, &measured, key.unit, &aim, &self.verdict(key)]);
        }
        let mut text = format!("{}\n", table.trim_fmt());
        for note in &self.notes {
            text.push_str(&format!("note: {note}\n"));
        }
        text
    }

    /// Rows of a Markdown table.
    #[must_use]
    pub fn markdown(&self, machine: &Machine) -> String {
        let mut text =
            format!("{machine}\n\n| figure | measured | unit | aim | verdict | what |\n");
        text.push_str("| --- | ---: | --- | --- | --- | --- |\n");
        for key in KEYS {
            let measured = self.get(key.name).map_or("not measured yet".to_owned(), shown);
            let aim = key.aim.map_or(String::new(), aim);
            let verdict = match (self.get(key.name), key.aim) {
                (Some(_), Some(_)) => self.verdict(key),
                (Some(_), None) | (None, _) => String::new(),
            };
            let (name, unit, what) = (key.name, key.unit, key.what);
            text.push_str(&format!(
                "| `{name}` | {measured} | {unit} | {aim} | {verdict} | {what} |\n"
            ));
        }
        if !self.notes.is_empty() {
            text.push('\n');
        }
        for note in &self.notes {
            text.push_str(&format!("* {note}\n"));
        }
        text
    }

    fn verdict(&self, key: &Key) -> String {
        match (self.get(key.name), key.aim) {
            (None, _) => self.why(key).to_owned(),
            (Some(_), None) => String::new(),
            (Some(value), Some(aim)) => judge(value, aim),
        }
    }
}

/// Whether an aim is met, or by how much it is not.
fn judge(value: f64, aim: Aim) -> String {
    let (met, off) = match aim {
        Aim::AtLeast(least) => (value >= least, 1.0 - value / least),
        Aim::AtMost(most) => (value <= most, value / most - 1.0),
    };
    match (met, aim) {
        (true, _) => "met".to_owned(),
        (false, Aim::AtLeast(_)) => format!("short by {:.0} %", off * 100.0),
        (false, Aim::AtMost(_)) => format!("over by {:.0} %", off * 100.0),
    }
}

fn aim(aim: Aim) -> String {
    match aim {
        Aim::AtLeast(least) => format!(">= {}", shown(least)),
        Aim::AtMost(most) => format!("<= {}", shown(most)),
    }
}

/// A number with as many digits as it has meaning.
fn shown(value: f64) -> String {
    match value.abs() {
        large if large >= 100.0 => format!("{value:.0}"),
        middle if middle >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// Three digits behind the point are more than any of these figures has.
fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

/// Puts a value where the dots of its name lead.
fn place(into: &mut Map<String, Value>, name: &str, value: Value) {
    match name.split_once('.') {
        None => {
            into.insert(name.to_owned(), value);
        }
        Some((first, rest)) => {
            let below = into.entry(first).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(below) = below {
                place(below, rest, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_that_is_not_documented_cannot_be_written() {
        let mut figures = Figures::default();
        assert_eq!(figures.set("trades_per_h", 1.0).unwrap_err().code, Code::BenchFailed);
        let zero_time = figures.set("postgres_2pc_per_s", 1.0 / 0.0);
        assert_eq!(zero_time.unwrap_err().code, Code::BenchFailed);
        figures.set("postgres_2pc_per_s", 2_500.0).unwrap();
        assert_eq!(figures.get("postgres_2pc_per_s"), Some(2_500.0));
    }

    #[test]
    fn every_documented_key_is_in_the_report_measured_or_not() {
        let mut figures = Figures::default();
        figures.set("trades_per_s.suite3", 8_123.0).unwrap();
        figures.miss(Part::Postgres, "not installed");
        let report = figures.json(&Machine::look(std::path::Path::new("/tmp")));
        for key in KEYS {
            let pointer = format!("/{}", key.name.replace('.', "/"));
            assert!(report.pointer(&pointer).is_some(), "{}", key.name);
            assert!(report["units"][key.name].is_string(), "{}", key.name);
        }
        assert_eq!(report["trades_per_s"]["suite3"], 8_123.0);
        assert_eq!(report["postgres_2pc_per_s"], Value::Null);
        assert_eq!(report["missing"]["postgres_2pc_per_s"], "not installed");
        assert!(report["missing"].get("trades_per_s.suite3").is_none());
    }

    #[test]
    fn an_aim_is_met_or_missed_by_so_much() {
        assert_eq!(judge(8_000.0, Aim::AtLeast(8_000.0)), "met");
        assert_eq!(judge(6_000.0, Aim::AtLeast(8_000.0)), "short by 25 %");
        assert_eq!(judge(12.0, Aim::AtMost(12.0)), "met");
        assert_eq!(judge(18.0, Aim::AtMost(12.0)), "over by 50 %");
    }

    #[test]
    fn a_ratio_needs_both_of_its_sides() {
        let mut figures = Figures::default();
        figures.set("trades_per_s.suite3", 8_000.0).unwrap();
        figures.ratios().unwrap();
        assert_eq!(figures.get("ratio_to_postgres_2pc"), None);
        figures.set("postgres_2pc_per_s", 2_000.0).unwrap();
        figures.ratios().unwrap();
        assert_eq!(figures.get("ratio_to_postgres_2pc"), Some(4.0));
    }
}
