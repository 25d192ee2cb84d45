//! Names of institutions, networks and holders.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::text_serde;
use crate::error::{Code, Refusal};
use crate::limits;

/// An institution's name: at least two DNS labels, lower case, at most 64 bytes, for instance
/// `bank-a.example`. Ordered as text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Domain(Arc<str>);

impl Domain {
    /// The text form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn checked(text: &str) -> Result<Self, Refusal> {
        let labels_ok = text.split('.').all(is_label);
        if text.len() > limits::DOMAIN_BYTES || !text.contains('.') || !labels_ok {
            return Err(Refusal::new(Code::BadDomain, shown(text)));
        }
        Ok(Self(text.into()))
    }
}

/// A network's name: one label, for instance `quadrille-main`. Everything signed names it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Network(Arc<str>);

impl Network {
    /// The text form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn checked(text: &str) -> Result<Self, Refusal> {
        if text.len() > limits::DOMAIN_BYTES || !is_label(text) {
            return Err(Refusal::new(Code::BadDomain, shown(text)));
        }
        Ok(Self(text.into()))
    }
}

/// A customer's name at its bank: `alice@bank-a.example`. The local part holds lower-case
/// letters, digits, `.`, `-`, `_` and `+`, and begins with a letter or digit.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Holder {
    domain: Domain,
    local: Arc<str>,
}

impl Holder {
    /// The bank.
    #[must_use]
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// The part before the `@`.
    #[must_use]
    pub fn local(&self) -> &str {
        &self.local
    }
}

impl FromStr for Holder {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let bad = || Refusal::new(Code::BadHolder, shown(text));
        let (local, domain) = text.split_once('@').ok_or_else(bad)?;
        let first_ok = local.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
        let rest_ok = local.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_+".contains(&byte)
        });
        if local.len() > limits::HOLDER_LOCAL_BYTES || !first_ok || !rest_ok {
            return Err(bad());
        }
        Ok(Self { domain: domain.parse()?, local: local.into() })
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.local, self.domain)
    }
}

fn is_label(label: &str) -> bool {
    let bytes = label.as_bytes();
    let inner_ok = bytes
        .iter()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-');
    !bytes.is_empty()
        && bytes.len() <= 63
        && inner_ok
        && bytes.first() != Some(&b'-')
        && bytes.last() != Some(&b'-')
}

/// The offending text, cut to a length that is safe to log.
pub(crate) fn shown(text: &str) -> String {
    let cut: String = text.chars().take(80).collect();
    format!("`{}`", cut.escape_debug())
}

macro_rules! name_type {
    ($type:ident) => {
        impl FromStr for $type {
            type Err = Refusal;

            fn from_str(text: &str) -> Result<Self, Refusal> {
                Self::checked(text)
            }
        }
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
        crate::checked_codec!($type, String, |name| name.as_str(), |text| {
            $type::checked(&text)
        });
        text_serde!($type);
    };
}

name_type!(Domain);
name_type!(Network);
crate::checked_codec!(Holder, String, |holder| holder.to_string(), |text| text.parse());
text_serde!(Holder);
