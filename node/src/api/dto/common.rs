//! What answers of every kind are made of.

use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::types::{Height, OrderId, SettlementId, Ubi};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    /// The items, at most as many as `limit` asked for.
    pub items: Vec<T>,
    /// What `cursor` is to be for the next page; `null` after the last one.
    pub next: Option<String>,
}

/// The most items on one page.
pub const PAGE_MAX: usize = 200;
/// Items on one page when nothing is said.
pub const PAGE_DEFAULT: usize = 50;

/// Which part of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// How many items at most: 1 to 200, 50 when it is left out.
    pub limit: Option<usize>,
    /// `next` of the page before; the first page when it is left out.
    pub cursor: Option<String>,
}

/// Something signed, in canonical bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignedBytes {
    /// The canonical bytes in hexadecimal digits.
    pub bytes: String,
}

/// Where a record is in the node's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub struct Place {
    /// The height of the batch.
    #[schema(value_type = String, example = "12")]
    pub height: Height,
    /// The record in it, from 0.
    pub leaf: u32,
}

/// The answer to an accepted change. It is durable and signed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Receipt {
    /// The order, where there was one.
    #[schema(value_type = Option<String>)]
    pub order: Option<OrderId>,
    /// The ledger, where there is one.
    #[schema(value_type = Option<String>)]
    pub ledger: Option<Ubi>,
    /// The settlement that it started, where it started one at once.
    #[schema(value_type = Option<String>)]
    pub settlement: Option<SettlementId>,
    /// The batch that holds it; `null` where nothing was written.
    #[schema(value_type = Option<String>, example = "12")]
    pub height: Option<Height>,
    /// Its transaction's place in that batch, from 0.
    pub leaf: Option<u32>,
    /// Whether this very thing had been accepted before, so that nothing new has happened.
    pub repeated: bool,
}

/// Why something was refused or ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reason {
    /// The stable code.
    #[schema(example = "Q-1405")]
    pub code: String,
    /// What the code means.
    pub title: String,
    /// What was wrong this time; may be empty.
    pub what: String,
    /// What can be done about it.
    pub remedy: String,
}

impl From<&Refusal> for Reason {
    fn from(refusal: &Refusal) -> Self {
        Self { what: refusal.what.clone(), ..Self::from(refusal.code) }
    }
}

impl From<Code> for Reason {
    fn from(code: Code) -> Self {
        Self {
            code: code.to_string(),
            title: code.title().to_owned(),
            what: String::new(),
            remedy: code.remedy().to_owned(),
        }
    }
}

/// What went wrong (RFC 9457, `application/problem+json`). Every answer of 400 and above is one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// Always `about:blank`: `code` tells kinds of problems apart.
    #[serde(rename = "type")]
    pub kind: String,
    /// What the code means.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What was wrong this time.
    pub detail: String,
    /// The stable code; `quadrille explain` knows it.
    #[schema(example = "Q-1405")]
    pub code: String,
    /// What can be done about it.
    pub remedy: String,
}

impl Problem {
    /// The problem that `refusal` is, answered with `status`.
    #[must_use]
    pub fn new(status: u16, refusal: &Refusal) -> Self {
        Self {
            kind: "about:blank".to_owned(),
            title: refusal.code.title().to_owned(),
            status,
            detail: refusal.what.clone(),
            code: refusal.code.to_string(),
            remedy: refusal.code.remedy().to_owned(),
        }
    }
}

/// Something with a canonical form, as text. Only `bytes` counts; what else is there says the
/// same in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Armour {
    /// The kind: `evidence` or `evidence-bundle` here.
    #[schema(example = "evidence")]
    pub quadrille: String,
    /// The version of this form: 1.
    pub version: u32,
    /// The canonical bytes in hexadecimal digits.
    pub bytes: String,
    /// The same in readable fields, for people; not to be relied on.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    pub readable: serde_json::Map<String, serde_json::Value>,
}
