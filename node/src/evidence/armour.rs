//! Bundles as text: the armour around their bytes, with what people want to see beside it.

use quadrille_protocol::codec;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::log::Evidence;
use quadrille_protocol::types::Bounded;
use serde_json::{Value, json};

use super::{BUNDLE_BYTES, Bundle, Subject};
use crate::armour::{self, FILE_BYTES, Kind};

// Two digits a byte, and as much again for the readable part.
const _: () = assert!(4 * BUNDLE_BYTES <= FILE_BYTES);

const fn kind_of(subject: &Subject) -> Kind {
    match subject {
        Subject::Settlement(_) | Subject::Order(_) => Kind::EvidenceBundle,
        Subject::Record => Kind::Evidence,
    }
}

/// What people want to see of it.
fn readable(bundle: &Bundle) -> Value {
    let records: Vec<Value> = bundle
        .evidence
        .iter()
        .map(|evidence| {
            let checkpoint = &evidence.checkpoint.checkpoint;
            json!({
                "domain": checkpoint.domain,
                "height": checkpoint.height,
                "leaf": evidence.index,
                "time": checkpoint.time,
                "kind": evidence.read().map_or("unreadable", |record| record.kind()),
            })
        })
        .collect();
    json!({
        "network": bundle.network,
        "about": bundle.subject.to_string(),
        "records": records,
    })
}

/// The armour as text.
///
/// # Errors
/// `Q-2207`, which no bundle that was made here gives.
pub fn to_text(bundle: &Bundle) -> Result<String, Refusal> {
    armour::wrap(kind_of(&bundle.subject), &bundle.to_bytes(), &readable(bundle))
}

/// The armour as a value, for an HTTP answer.
#[must_use]
pub fn to_json(bundle: &Bundle) -> Value {
    let mut value = readable(bundle);
    value["quadrille"] = json!(kind_of(&bundle.subject));
    value["version"] = json!(armour::VERSION);
    value["bytes"] = json!(hex::encode(bundle.to_bytes()));
    value
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
