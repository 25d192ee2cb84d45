//! Text armour: how certificates, requests, revocations and evidence are kept in files and sent
//! by mail.
//!
//! ```text
//! {"quadrille": "certificate", "version": 1, "domain": "bank-a.example", …, "bytes": "<hex>"}
//! ```
//!
//! Invariants:
//! * Only `bytes` counts: the canonical bytes of the thing. The fields between are for people;
//!   no reader looks at them, so nobody can be misled by them into doing anything.
//! * A file of one kind is never read as another.

use std::path::Path;

use quadrille_protocol::error::{Code, Refusal};
use serde::{Deserialize, Serialize};

use crate::files::{self, Access};

/// Largest armoured file that is read: an evidence bundle of the largest settlement fits.
pub const FILE_BYTES: usize = 32 * 1024 * 1024;

/// The layout of the armour itself.
pub const VERSION: u32 = 1;

/// What is inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A domain's certificate (`SignedCertificate`).
    Certificate,
    /// A domain asks for a certificate (`SignedEnrolmentRequest`).
    EnrolmentRequest,
    /// A key is revoked (`SignedRevocation`).
    Revocation,
    /// One record with its proof (`Evidence`).
    Evidence,
    /// All evidence about one settlement.
    EvidenceBundle,
    /// The list of a network's members.
    Members,
    /// A holder's signed opening of a ledger (`SignedOpening`), for the bank to approve.
    LedgerOpening,
    /// A holder's proof that it has the key that replaces a lost one (`SignedReplacement`).
    KeyReplacement,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 8] = [
        Kind::Certificate,
        Kind::EnrolmentRequest,
        Kind::Revocation,
        Kind::Evidence,
        Kind::EvidenceBundle,
        Kind::Members,
        Kind::LedgerOpening,
        Kind::KeyReplacement,
    ];

    /// The text form, as it stands in a file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::Certificate => "certificate",
            Kind::EnrolmentRequest => "enrolment-request",
            Kind::Revocation => "revocation",
            Kind::Evidence => "evidence",
            Kind::EvidenceBundle => "evidence-bundle",
            Kind::Members => "members",
            Kind::LedgerOpening => "ledger-opening",
            Kind::KeyReplacement => "key-replacement",
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

#[derive(Serialize)]
struct Written<'a, R: Serialize> {
    quadrille: Kind,
    version: u32,
    #[serde(flatten)]
    readable: &'a R,
    bytes: String,
}

#[derive(Deserialize)]
struct Read {
    quadrille: String,
    version: u32,
    bytes: String,
}

/// The armour around `bytes`. `readable` is a struct or map of what people want to see; its
/// fields are not called `quadrille`, `version` or `bytes`.
///
/// # Errors
/// `Q-2207` when `readable` is neither a struct nor a map.
pub fn wrap(kind: Kind, bytes: &[u8], readable: &impl Serialize) -> Result<String, Refusal> {
    let written =
        Written { quadrille: kind, version: VERSION, readable, bytes: hex::encode(bytes) };
    let mut text = serde_json::to_string_pretty(&written)
        .map_err(|error| Refusal::new(Code::BadArmour, error.to_string()))?;
    text.push('\n');
    Ok(text)
}

/// The bytes inside the armour of a file of this kind.
///
/// # Errors
/// `Q-2207` when it is no armour, of another kind or version, or its bytes are not hexadecimal.
pub fn unwrap(kind: Kind, text: &str) -> Result<Vec<u8>, Refusal> {
    unwrap_any(&[kind], text).map(|(_, bytes)| bytes)
}

/// As [`unwrap`] for a file of any of `kinds`, and which it is.
///
/// # Errors
/// As [`unwrap`].
pub fn unwrap_any(kinds: &[Kind], text: &str) -> Result<(Kind, Vec<u8>), Refusal> {
    let bad = |what: String| Refusal::new(Code::BadArmour, what);
    let wanted = kinds.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(" or ");
    let read: Read = serde_json::from_str(text)
        .map_err(|error| bad(format!("not the armour of {wanted}: {error}")))?;
    let Some(kind) = kinds.iter().copied().find(|kind| kind.as_str() == read.quadrille) else {
        let found = shortened(&read.quadrille);
        return Err(bad(format!("`{found}` where {wanted} is expected")));
    };
    if read.version != VERSION {
        return Err(bad(format!(
            "version {} of {kind}, this program reads {VERSION}",
            read.version
        )));
    }
    let bytes =
        hex::decode(&read.bytes).map_err(|error| bad(format!("bytes of {kind}: {error}")))?;
    Ok((kind, bytes))
}

/// Reads a file of this kind.
///
/// # Errors
/// Those of [`files::read_text`] and [`unwrap`], with the file's name.
pub fn load(kind: Kind, path: &Path) -> Result<Vec<u8>, Refusal> {
    load_any(&[kind], path).map(|(_, bytes)| bytes)
}

/// Reads a file of any of `kinds`, and says which it is.
///
/// # Errors
/// As [`load`].
pub fn load_any(kinds: &[Kind], path: &Path) -> Result<(Kind, Vec<u8>), Refusal> {
    let text = files::read_text(path, FILE_BYTES)?;
    unwrap_any(kinds, &text).map_err(|refusal| {
        Refusal::new(refusal.code, format!("{}: {}", path.display(), refusal.what))
    })
}

/// Writes a new file of this kind.
///
/// # Errors
/// Those of [`files::create`] and [`wrap`].
pub fn save(
    kind: Kind,
    path: &Path,
    bytes: &[u8],
    readable: &impl Serialize,
) -> Result<(), Refusal> {
    files::create(path, wrap(kind, bytes, readable)?.as_bytes(), Access::Public)
}

fn shortened(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Readable {
        domain: &'static str,
    }

    const READABLE: Readable = Readable { domain: "bank-a.example" };

    #[test]
    fn what_is_wrapped_is_unwrapped() {
        for kind in Kind::ALL {
            let text = wrap(kind, b"\x00\xff", &READABLE).unwrap();
            assert_eq!(unwrap(kind, &text).unwrap(), b"\x00\xff");
            assert!(text.starts_with(&format!("{{\n  \"quadrille\": \"{kind}\"")), "{text}");
        }
    }

    #[test]
    fn one_kind_is_not_read_as_another() {
        let text = wrap(Kind::Certificate, b"x", &READABLE).unwrap();
        let refusal = unwrap(Kind::Revocation, &text).unwrap_err();
        assert_eq!(refusal.code, Code::BadArmour);
        assert!(refusal.what.contains("`certificate` where revocation"), "{refusal}");
        let either = unwrap_any(&[Kind::Revocation, Kind::Certificate], &text).unwrap();
        assert_eq!(either, (Kind::Certificate, b"x".to_vec()));
    }

    #[test]
    fn readable_fields_do_not_count() {
        let text = wrap(Kind::Certificate, b"x", &READABLE).unwrap();
        let forged = text.replace("bank-a.example", "bank-z.example");
        assert_ne!(text, forged);
        assert_eq!(unwrap(Kind::Certificate, &forged), unwrap(Kind::Certificate, &text));
    }

    #[test]
    fn garbage_is_refused_with_a_code() {
        let bad = [
            "",
            "{}",
            "[]",
            "null",
            r#"{"quadrille":"certificate","version":2,"bytes":"00"}"#,
            r#"{"quadrille":"certificate","version":1,"bytes":"0"}"#,
            r#"{"quadrille":"certificate","version":1,"bytes":"zz"}"#,
            r#"{"quadrille":"certificate","version":1}"#,
            r#"{"quadrille":"certificate","version":1,"bytes":"00","bytes":"01"}"#,
        ];
        for text in bad {
            assert_eq!(
                unwrap(Kind::Certificate, text).unwrap_err().code,
                Code::BadArmour,
                "{text}"
            );
        }
    }
}
