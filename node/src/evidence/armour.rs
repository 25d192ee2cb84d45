//! Bundles as text: JSON in which only `bytes` counts; the rest is for people.

use quadrille_protocol::error::{Code, Refusal};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{BUNDLE_BYTES, Bundle, Subject};

/// The kind of a bundle about a settlement or an order.
pub const BUNDLE: &str = "evidence-bundle";
/// The kind of a bundle with one record.
pub const EVIDENCE: &str = "evidence";
/// The version of the armour.
const VERSION: u32 = 1;
/// Largest armoured text: two digits a byte, and the readable part.
const TEXT_BYTES: usize = 4 * BUNDLE_BYTES;

/// What every armour has.
#[derive(Debug, Serialize, Deserialize)]
struct Armour {
    quadrille: String,
    version: u32,
    bytes: String,
}

const fn kind_of(subject: &Subject) -> &'static str {
    match subject {
        Subject::Settlement(_) | Subject::Order(_) => BUNDLE,
        Subject::Record => EVIDENCE,
    }
}

/// The armour as a value, for an HTTP answer.
#[must_use]
pub fn to_json(bundle: &Bundle) -> Value {
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
    let about = match &bundle.subject {
        Subject::Settlement(id) => id.to_string(),
        Subject::Order(id) => id.to_string(),
        Subject::Record => "record".to_owned(),
    };
    json!({
        "quadrille": kind_of(&bundle.subject),
        "version": VERSION,
        "network": bundle.network,
        "about": about,
        "records": records,
        "bytes": hex::encode(bundle.to_bytes()),
    })
}

/// The armour as text.
#[must_use]
pub fn to_text(bundle: &Bundle) -> String {
    format!("{:#}\n", to_json(bundle))
}

/// Reads an armour. Verifies nothing.
///
/// # Errors
/// `Q-2406` not an armour of evidence, and those of [`Bundle::from_bytes`].
pub fn read(text: &str) -> Result<Bundle, Refusal> {
    let bad = |what: String| Refusal::new(Code::BadArmour, what);
    if text.len() > TEXT_BYTES {
        return Err(bad(format!("{} bytes, at most {TEXT_BYTES}", text.len())));
    }
    let armour: Armour = serde_json::from_str(text).map_err(|error| bad(error.to_string()))?;
    if armour.quadrille != BUNDLE && armour.quadrille != EVIDENCE {
        return Err(bad("it is no evidence".to_owned()));
    }
    if armour.version != VERSION {
        return Err(bad(format!("version {}, known is {VERSION}", armour.version)));
    }
    let bytes = hex::decode(&armour.bytes).map_err(|error| bad(error.to_string()))?;
    let bundle = Bundle::from_bytes(&bytes)?;
    if armour.quadrille != kind_of(&bundle.subject) {
        return Err(bad(format!("it calls itself `{}`", armour.quadrille)));
    }
    Ok(bundle)
}
