//! What one settlement, notice or record costs: measured figures, and assumptions where there are
//! none.
//!
//! A file of figures is a JSON document; a figure is a number under its key, at the top or nested
//! at the dots of the key. Other keys are left alone, so that the file of a benchmark can be given
//! as it is: where it lacks the processor time of a trade but has `trades_per_s.suite3` (both banks
//! on `cores` cores, 2 when it does not say), that gives the most that a trade can have cost.
//!
//! Invariant: every figure says where it comes from; none is zero, below zero or no number.

use std::path::Path;

use quadrille_node::files;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::refuse;
use serde::Serialize;
use serde_json::Value;

/// Largest file of figures.
const FILE_BYTES: u64 = 1024 * 1024;

/// Where a figure comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// The file of figures has it.
    Measured,
    /// It follows from another figure in the file.
    Derived,
    /// Nobody has measured it for this page.
    Assumed,
}

impl Origin {
    /// In a word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Measured => "measured",
            Self::Derived => "derived",
            Self::Assumed => "ASSUMED",
        }
    }
}

/// One figure.
#[derive(Debug, Clone, Serialize)]
pub struct Figure {
    /// Its key in a file of figures.
    pub key: &'static str,
    /// The value.
    pub value: f64,
    /// Where it comes from.
    pub origin: Origin,
    /// What it is, and for an assumption why it is so.
    pub what: &'static str,
}

/// Every figure that the model takes.
#[derive(Debug, Clone, Serialize)]
pub struct Figures {
    /// Processor time of one bank for one settlement of two parties, in microseconds.
    pub cpu_us_per_party: Figure,
    /// How much longer every party works for each party beyond two, in microseconds.
    pub cpu_us_per_further_party: Figure,
    /// The part of it that one bank does one after the other, in microseconds.
    pub serial_us_per_party: Figure,
    /// Bytes that one bank logs for one settlement.
    pub log_bytes_per_party: Figure,
    /// Bytes that one bank sends for one settlement.
    pub mesh_bytes_per_party: Figure,
    /// Records that one bank logs for one settlement.
    pub records_per_party: Figure,
    /// Batches that one bank can make durable and sign in a second.
    pub batches_per_s: Figure,
    /// From the order to the end of a settlement, in milliseconds.
    pub settlement_ms: Figure,
    /// Bytes of a gossiped notice with its evidence.
    pub notice_bytes: Figure,
    /// Processor time to check a notice, in microseconds.
    pub notice_us: Figure,
    /// From one node to the next over a line, in milliseconds.
    pub hop_ms: Figure,
    /// Bytes of a member's certificate with its signatures.
    pub certificate_bytes: Figure,
    /// Bytes of the signature of a gateway record.
    pub signature_bytes: Figure,
}

const fn assumed(key: &'static str, value: f64, what: &'static str) -> Figure {
    Figure { key, value, origin: Origin::Assumed, what }
}

impl Default for Figures {
    fn default() -> Self {
        Self {
            cpu_us_per_party: assumed(
                "cpu_us_per_party",
                125.0,
                "processor time of one bank for a trade of two, us; 8,000 trades/s of two banks on \
                 two cores would give this",
            ),
            cpu_us_per_further_party: assumed(
                "cpu_us_per_further_party",
                25.0,
                "more of it at every party for each party beyond two, us; a lock to check and to \
                 pass on",
            ),
            serial_us_per_party: assumed(
                "serial_us_per_party",
                25.0,
                "of it on the one thread of the core, us; twice what the core alone takes without \
                 signatures",
            ),
            log_bytes_per_party: assumed(
                "log_bytes_per_party",
                2_470.0,
                "bytes logged by one bank for a trade; half of those in protocol/benches/README.md",
            ),
            mesh_bytes_per_party: assumed(
                "mesh_bytes_per_party",
                2_000.0,
                "bytes sent by one bank for a trade, in large batches",
            ),
            records_per_party: assumed(
                "records_per_party",
                7.1,
                "records logged by one bank for a trade; half of those in \
                 protocol/benches/README.md",
            ),
            batches_per_s: assumed(
                "batches_per_s",
                1_000.0,
                "batches that one bank makes durable and signs in a second; log and guard at 0.25 \
                 ms, a hybrid signature",
            ),
            settlement_ms: assumed(
                "settlement_ms",
                100.0,
                "from order to end under load, ms; each is open at both banks for so long",
            ),
            notice_bytes: assumed(
                "notice_bytes",
                4_700.0,
                "a notice with its evidence: a hybrid signature of 3.4 KB, terms, path",
            ),
            notice_us: assumed(
                "notice_us",
                100.0,
                "processor time to check a notice, us; two signatures, hashes, the book",
            ),
            hop_ms: assumed(
                "hop_ms",
                20.0,
                "from a node to the next, ms: half a round trip between cities and the node's own \
                 time",
            ),
            certificate_bytes: assumed(
                "certificate_bytes",
                7_500.0,
                "a member's certificate: 2.0 KB of keys to sign, 1.2 KB to seal, a signature of \
                 3.4 KB, names",
            ),
            signature_bytes: assumed(
                "signature_bytes",
                3_400.0,
                "the signature of a gateway record, Ed25519 and ML-DSA-65",
            ),
        }
    }
}

impl Figures {
    /// The figures of the file at `path`; assumptions for those that it lacks.
    ///
    /// # Errors
    /// `Q-2391` when it is no file of figures.
    pub fn read(path: &Path) -> Result<Self, Refusal> {
        let size = std::fs::metadata(path).map_err(|error| files::cannot_read(path, &error))?.len();
        if size > FILE_BYTES {
            refuse!(BadFigures, "{}: {size} bytes, at most {FILE_BYTES}", path.display());
        }
        let text = std::fs::read(path).map_err(|error| files::cannot_read(path, &error))?;
        let document = serde_json::from_slice(&text).map_err(|error| {
            Refusal::new(Code::BadFigures, format!("{}: {error}", path.display()))
        })?;
        Self::of(&document)
    }

    /// The figures of a document.
    ///
    /// # Errors
    /// `Q-2391` for a figure that is no number above zero.
    pub fn of(document: &Value) -> Result<Self, Refusal> {
        if !document.is_object() {
            refuse!(BadFigures, "not an object");
        }
        let mut figures = Self::default();
        for figure in figures.all_mut() {
            if let Some(value) = number(document, figure.key)? {
                (figure.value, figure.origin) = (value, Origin::Measured);
            }
        }
        let cpu = &mut figures.cpu_us_per_party;
        if cpu.origin == Origin::Assumed
            && let Some(rate) = number(document, "trades_per_s.suite3")?
        {
            let cores = number(document, "cores")?.unwrap_or(2.0);
            cpu.value = cores * 1e6 / rate / 2.0;
            cpu.origin = Origin::Derived;
            cpu.what = "processor time of one bank for a trade of two, us: all cores of the \
                        machine, divided by both banks' trades_per_s.suite3";
        }
        Ok(figures)
    }

    /// Every figure.
    #[must_use]
    pub fn all(&self) -> [&Figure; 13] {
        [
            &self.cpu_us_per_party,
            &self.cpu_us_per_further_party,
            &self.serial_us_per_party,
            &self.log_bytes_per_party,
            &self.mesh_bytes_per_party,
            &self.records_per_party,
            &self.batches_per_s,
            &self.settlement_ms,
            &self.notice_bytes,
            &self.notice_us,
            &self.hop_ms,
            &self.certificate_bytes,
            &self.signature_bytes,
        ]
    }

    fn all_mut(&mut self) -> [&mut Figure; 13] {
        [
            &mut self.cpu_us_per_party,
            &mut self.cpu_us_per_further_party,
            &mut self.serial_us_per_party,
            &mut self.log_bytes_per_party,
            &mut self.mesh_bytes_per_party,
            &mut self.records_per_party,
            &mut self.batches_per_s,
            &mut self.settlement_ms,
            &mut self.notice_bytes,
            &mut self.notice_us,
            &mut self.hop_ms,
            &mut self.certificate_bytes,
            &mut self.signature_bytes,
        ]
    }

    /// Processor time of each party of a settlement of so many, in microseconds.
    #[must_use]
    pub fn cpu_us(&self, parties: usize) -> f64 {
        let further = super::draw::real(parties.saturating_sub(2));
        self.cpu_us_per_party.value + further * self.cpu_us_per_further_party.value
    }

    /// The part of it on one thread, in microseconds: as large a part as with two parties.
    #[must_use]
    pub fn serial_us(&self, parties: usize) -> f64 {
        self.cpu_us(parties) * self.serial_us_per_party.value / self.cpu_us_per_party.value
    }
}

/// The number under `key`, where there is one.
fn number(document: &Value, key: &str) -> Result<Option<f64>, Refusal> {
    let nested = key.split('.').try_fold(document, |value, part| value.get(part));
    let Some(value) = document.get(key).or(nested) else { return Ok(None) };
    match value.as_f64().filter(|number| number.is_finite() && *number > 0.0) {
        Some(number) => Ok(Some(number)),
        None => refuse!(BadFigures, "`{key}` is {value}, not a number above zero"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_a_file_lacks_is_assumed_and_says_so() {
        let figures = Figures::of(&json!({"notice_us": 81, "other": "text"})).unwrap();
        assert_eq!(figures.notice_us.origin, Origin::Measured);
        assert!((figures.notice_us.value - 81.0).abs() < 1e-9);
        let assumed =
            figures.all().iter().filter(|figure| figure.origin == Origin::Assumed).count();
        assert_eq!(assumed, figures.all().len() - 1);
    }

    #[test]
    fn a_benchmark_gives_the_most_that_a_trade_can_have_cost() {
        let nested = json!({"trades_per_s": {"suite3": 4_000.0}, "cores": 2});
        let flat = json!({"trades_per_s.suite3": 4_000.0});
        for document in [nested, flat] {
            let cpu = Figures::of(&document).unwrap().cpu_us_per_party;
            assert_eq!((cpu.value, cpu.origin), (250.0, Origin::Derived));
        }
    }

    #[test]
    fn a_figure_that_is_no_number_above_zero_is_refused() {
        for wrong in
            [json!({"hop_ms": 0}), json!({"hop_ms": "20"}), json!({"hop_ms": -1}), json!([])]
        {
            assert_eq!(Figures::of(&wrong).unwrap_err().code, Code::BadFigures, "{wrong}");
        }
    }
}
