//! Bundles as text: the armour around their bytes, with what people want to see beside it.

use quadrille_protocol::codec;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::log::Evidence;
use quadrille_protocol::types::{Bounded, Domain, Height, Network, Time};
use serde::Serialize;
use serde_json::Value;

use super::{BUNDLE_BYTES, Bundle, Subject};
use crate::armour::{self, FILE_BYTES, Kind};

// Two digits a byte, and as much again for the readable part.
const _: () = assert!(4 * BUNDLE_BYTES <= FILE_BYTES);

/// The readable part.
#[derive(Debug, Serialize)]
struct Readable<'a> {
    network: &'a Network,
    about: String,
    records: Vec<Line<'a>>,
}

/// One record of it.
#[derive(Debug, Serialize)]
struct Line<'a> {
    domain: &'a Domain,
    height: Height,
    leaf: u32,
    time: Time,
    kind: &'static str,
}

const fn kind_of(subject: &Subject) -> Kind {
    match subject {
        Subject::Settlement(_) | Subject::Order(_) => Kind::EvidenceBundle,
        Subject::Record => Kind::Evidence,
    }
}

/// The armour as text.
///
/// # Errors
/// `Q-2207`, which no bundle that was made here gives.
pub fn to_text(bundle: &Bundle) -> Result<String, Refusal> {
    let line = |evidence: &'_ Evidence| evidence.read().map_or("unreadable", |known| known.kind());
    let records = bundle.evidence.iter().map(|evidence| {
        let checkpoint = &evidence.checkpoint.checkpoint;
        Line {
            domain: &checkpoint.domain,
            height: checkpoint.height,
            leaf: evidence.index,
            time: checkpoint.time,
            kind: line(evidence),
        }
    });
    let readable = Readable {
        network: &bundle.network,
        about: bundle.subject.to_string(),
        records: records.collect(),
    };
    armour::wrap(kind_of(&bundle.subject), &bundle.to_bytes(), &readable)
}

/// The armour as a value, for an HTTP answer.
///
/// # Errors
/// As [`to_text`].
pub fn to_json(bundle: &Bundle) -> Result<Value, Refusal> {
    let text = to_text(bundle)?;
    serde_json::from_str(&text).map_err(|error| Refusal::new(Code::BadArmour, error.to_string()))
}

/// Reads an armour. Verifies nothing. Bare evidence of one record is a bundle without papers:
/// give it some with [`Bundle::with_papers`].
///
/// # Errors
/// `Q-2207` not an armour of evidence, and those of [`Bundle::from_bytes`].
pub fn read(text: &str) -> Result<Bundle, Refusal> {
    let (kind, bytes) = armour::unwrap_any(&[Kind::EvidenceBundle, Kind::Evidence], text)?;
    from_bytes(kind, &bytes)
}

/// What the armour of this kind holds.
///
/// # Errors
/// As [`read`].
pub fn from_bytes(kind: Kind, bytes: &[u8]) -> Result<Bundle, Refusal> {
    let bundle = match Bundle::from_bytes(bytes) {
        Ok(bundle) => bundle,
        Err(refusal) if kind == Kind::Evidence => {
            let bare = codec::decode::<Evidence, BUNDLE_BYTES>(bytes).map_err(|_| refusal)?;
            let network = bare.checkpoint.checkpoint.network.clone();
            let evidence = Bounded::new(vec![bare])?;
            Bundle { network, subject: Subject::Record, evidence, papers: Bounded::default() }
        }
        Err(refusal) => return Err(refusal),
    };
    if kind != kind_of(&bundle.subject) {
        let what = format!("it is about {} and calls itself `{kind}`", bundle.subject);
        return Err(Refusal::new(Code::BadArmour, what));
    }
    Ok(bundle)
}
