//! Names of institutions, networks and holders.

use std::cell::RefCell;
use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::recent::Recent;
use super::text_serde;
use crate::error::{Code, Refusal};
use crate::limits;

/// An institution's name: at least two DNS labels, lower case, at most 64 bytes, for instance
/// `bank-a.example`. Ordered as text.
#[derive(Clone, Eq)]
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

    /// As `checked`, but a name that was read lately is shared rather than made anew.
    fn known_or_checked(text: &str) -> Result<Self, Refusal> {
        let key = text.as_bytes();
        DOMAINS.with_borrow_mut(|recent| {
            if let Some(known) = recent.find(key, |known| known.as_str() == text) {
                return Ok(known);
            }
            let name = Self::checked(text)?;
            recent.put(key, &name);
            Ok(name)
        })
    }
}

// Most names that are compared share their text, so the common answer needs no look at it.
impl PartialEq for Domain {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

impl std::hash::Hash for Domain {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl PartialOrd for Domain {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Domain {
    fn cmp(&self, other: &Self) -> Ordering {
        if Arc::ptr_eq(&self.0, &other.0) { Ordering::Equal } else { self.0.cmp(&other.0) }
    }
}

std::thread_local! {
    static DOMAINS: RefCell<Recent<Domain>> = const { RefCell::new(Recent::new()) };
    static NETWORKS: RefCell<Recent<Network>> = const { RefCell::new(Recent::new()) };
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

    fn known_or_checked(text: &str) -> Result<Self, Refusal> {
        let key = text.as_bytes();
        NETWORKS.with_borrow_mut(|recent| {
            if let Some(known) = recent.find(key, |known| known.as_str() == text) {
                return Ok(known);
            }
            let name = Self::checked(text)?;
            recent.put(key, &name);
            Ok(name)
        })
    }
}

// A name's length is written in one byte.
const _: () = assert!(limits::DOMAIN_BYTES + 1 + limits::HOLDER_LOCAL_BYTES <= u8::MAX as usize);

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
        crate::name_codec!($type, |name| name.as_str(), $type::known_or_checked);
        text_serde!($type);
    };
}

name_type!(Domain);
name_type!(Network);
crate::name_codec!(Holder, |holder| &holder.to_string(), str::parse);
text_serde!(Holder);
