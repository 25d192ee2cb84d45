//! Values of options: how they are read from TOML and from plain text, and written.
//!
//! In the environment and on the command line a list is its elements with commas between them,
//! or TOML in square brackets; everything else is written as it is, without quotes.

use std::net::SocketAddr;
use std::path::PathBuf;

use quadrille_protocol::crypto::suite::Suite;
use quadrille_protocol::identity::Address;
use quadrille_protocol::types::Domain;
use serde::{Deserialize, Serialize};
use toml::Value;

use super::LIST_ENTRIES;

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

/// A member with fixed addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StaticPeer {
    /// The member.
    pub domain: Domain,
    /// Where it is reached.
    pub addresses: Vec<Address>,
}

/// Which members are told of this bank's holders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnswerTo {
    /// Those with a credit limit of ours.
    Trusted,
    /// All.
    Members,
    /// These, and those with a credit limit of ours.
    Listed(Vec<Domain>),
}

/// A value that an option can have.
pub(super) trait Setting: Sized {
    /// From TOML; the error says what is wanted.
    fn read(value: &Value) -> Result<Self, String>;
    /// As TOML.
    fn write(&self) -> Value;
    /// Plain text as the TOML of this type.
    fn of_text(text: &str) -> Result<Value, String>;
}

/// Values that are TOML strings.
trait Word: Sized {
    /// What is wanted, with an example.
    const WANTED: &'static str;
    fn of_word(word: &str) -> Option<Self>;
    fn to_word(&self) -> String;
}

macro_rules! words {
    ($($type:ty, $wanted:literal, |$text:ident| $read:expr, |$value:ident| $write:expr;)*) => {
        $(
            impl Word for $type {
                const WANTED: &'static str = $wanted;
                fn of_word($text: &str) -> Option<Self> {
                    $read
                }
                fn to_word(&self) -> String {
                    let $value = self;
                    $write
                }
            }

            impl Setting for $type {
                fn read(value: &Value) -> Result<Self, String> {
                    let wanted = || format!("{} is wanted", Self::WANTED);
                    value.as_str().and_then(Self::of_word).ok_or_else(wanted)
                }
                fn write(&self) -> Value {
                    Value::String(self.to_word())
                }
                fn of_text(text: &str) -> Result<Value, String> {
                    Ok(Value::String(text.to_owned()))
                }
            }
        )*
    };
}

words! {
    String, "a text in quotes", |text| Some(text.to_owned()), |value| value.clone();
    PathBuf, "a path in quotes",
        |text| (!text.is_empty()).then(|| PathBuf::from(text)), |value| value.display().to_string();
    SocketAddr, "an address and port like \"127.0.0.1:4000\"",
        |text| text.parse().ok(), |value| value.to_string();
    Address, "a multiaddress like \"/ip4/127.0.0.1/tcp/5000\"",
        |text| text.parse().ok(), |value| value.to_string();
    Domain, "a domain like \"bank-b.example\"",
        |text| text.parse().ok(), |value| value.to_string();
    Suite, "\"hybrid-ml-dsa-65\", \"hybrid-dilithium3\" or \"ed25519\"",
        |text| text.parse().ok(), |value| value.to_string();
    LogFormat, "\"human\" or \"json\"",
        |text| match text {
            "human" => Some(LogFormat::Human),
            "json" => Some(LogFormat::Json),
            _ => None,
        },
        |value| match value {
            LogFormat::Human => "human".to_owned(),
            LogFormat::Json => "json".to_owned(),
        };
}

impl Setting for bool {
    fn read(value: &Value) -> Result<Self, String> {
        value.as_bool().ok_or_else(|| "true or false is wanted".to_owned())
    }

    fn write(&self) -> Value {
        Value::Boolean(*self)
    }

    fn of_text(text: &str) -> Result<Value, String> {
        match text {
            "true" => Ok(Value::Boolean(true)),
            "false" => Ok(Value::Boolean(false)),
            _ => Err("true or false is wanted".to_owned()),
        }
    }
}

macro_rules! numbers {
    ($($type:ty),*) => {
        $(impl Setting for $type {
            fn read(value: &Value) -> Result<Self, String> {
                let wanted = || {
                    // Nothing beyond what TOML's integers hold.
                    let most = i64::try_from(<$type>::MAX).unwrap_or(i64::MAX);
                    format!("a whole number from 0 to {most} is wanted")
                };
                value.as_integer().and_then(|n| n.try_into().ok()).ok_or_else(wanted)
            }

            fn write(&self) -> Value {
                Value::Integer(i64::try_from(*self).unwrap_or(i64::MAX))
            }

            fn of_text(text: &str) -> Result<Value, String> {
                let wanted = || "a whole number is wanted".to_owned();
                text.parse().map(Value::Integer).map_err(|_| wanted())
            }
        })*
    };
}

numbers!(u8, u32, u64, usize);

impl<T: Word> Setting for Vec<T> {
    fn read(value: &Value) -> Result<Self, String> {
        let wanted = || format!("a list in square brackets of {} is wanted", T::WANTED);
        let items = value.as_array().ok_or_else(wanted)?;
        check_length(items)?;
        let read = |item: &Value| item.as_str().and_then(T::of_word).ok_or_else(wanted);
        items.iter().map(read).collect()
    }

    fn write(&self) -> Value {
        Value::Array(self.iter().map(|item| Value::String(item.to_word())).collect())
    }

    fn of_text(text: &str) -> Result<Value, String> {
        if text.starts_with('[') {
            return toml_value(text);
        }
        let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
        Ok(Value::Array(words.map(|word| Value::String(word.to_owned())).collect()))
    }
}

impl Setting for AnswerTo {
    fn read(value: &Value) -> Result<Self, String> {
        match value {
            Value::String(word) if word == "trusted" => Ok(Self::Trusted),
            Value::String(word) if word == "members" => Ok(Self::Members),
            Value::Array(items) => {
                check_length(items)?;
                let domain = |item: &Value| item.as_str().and_then(|text| text.parse().ok());
                let domains: Option<Vec<Domain>> = items.iter().map(domain).collect();
                domains.map(Self::Listed).ok_or_else(|| ANSWER_TO.to_owned())
            }
            Value::String(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::Boolean(_)
            | Value::Datetime(_)
            | Value::Table(_) => Err(ANSWER_TO.to_owned()),
        }
    }

    fn write(&self) -> Value {
        match self {
            Self::Trusted => Value::String("trusted".to_owned()),
            Self::Members => Value::String("members".to_owned()),
            Self::Listed(domains) => {
                Value::Array(domains.iter().map(|name| Value::String(name.to_string())).collect())
            }
        }
    }

    fn of_text(text: &str) -> Result<Value, String> {
        match text {
            "trusted" | "members" => Ok(Value::String(text.to_owned())),
            list => <Vec<String> as Setting>::of_text(list),
        }
    }
}

const ANSWER_TO: &str =
    "\"trusted\", \"members\" or a list of domains like [\"bank-b.example\"] is wanted";

impl Setting for Vec<StaticPeer> {
    fn read(value: &Value) -> Result<Self, String> {
        let items = value.as_array().ok_or_else(|| STATIC_PEERS.to_owned())?;
        check_length(items)?;
        let read = |item: &Value| {
            let peer: StaticPeer = item
                .clone()
                .try_into()
                .map_err(|error: toml::de::Error| format!("{}; {STATIC_PEERS}", error.message()))?;
            if peer.addresses.is_empty() {
                return Err(format!("{} has no address", peer.domain));
            }
            if peer.addresses.len() > LIST_ENTRIES {
                return Err(format!("at most {LIST_ENTRIES} addresses are wanted"));
            }
            Ok(peer)
        };
        items.iter().map(read).collect()
    }

    fn write(&self) -> Value {
        let peer = |peer: &StaticPeer| {
            let mut table = toml::Table::new();
            table.insert("domain".to_owned(), Value::String(peer.domain.to_string()));
            table.insert("addresses".to_owned(), peer.addresses.write());
            Value::Table(table)
        };
        Value::Array(self.iter().map(peer).collect())
    }

    fn of_text(text: &str) -> Result<Value, String> {
        toml_value(text)
    }
}

const STATIC_PEERS: &str = "a list like \
     [{ domain = \"bank-b.example\", addresses = [\"/ip4/192.0.2.7/tcp/5000\"] }] is wanted";

fn check_length(items: &[Value]) -> Result<(), String> {
    if items.len() > LIST_ENTRIES {
        return Err(format!("a list of at most {LIST_ENTRIES} is wanted"));
    }
    Ok(())
}

fn toml_value(text: &str) -> Result<Value, String> {
    let mut table: toml::Table =
        toml::from_str(&format!("value = {text}")).map_err(|error| error.message().to_owned())?;
    table.remove("value").ok_or_else(|| "a TOML value is wanted".to_owned())
}
