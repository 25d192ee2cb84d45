//! The words of the protocol as types: parsed once, valid for ever after.
//!
//! Each type documents its text form; `FromStr` and `Display` are inverse to each other, and no
//! invalid value can be decoded, deserialised or parsed. Nothing here knows of any other module.

mod amount;
mod asset;
mod bounded;
mod country;
mod domain;
mod id;
mod recent;
mod table;
mod time;

pub use amount::Amount;
pub use asset::{AssetCode, AssetPair, Uai};
pub use bounded::{Bounded, Bytes, Detail, Text};
pub use country::Country;
pub(crate) use domain::shown;
pub use domain::{Domain, Holder, Network};
pub use id::{
    AgreementNumber, Epoch, Hash, HashLock, Height, KeyId, Nonce, OrderId, Sequence, SettlementId,
    TakeId, Ubi,
};
pub use table::Table;
pub use time::{Duration, Time};

/// `serde` through the documented text form, for configuration, HTTP and reports.
macro_rules! text_serde {
    ($type:ty) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <String as serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
        impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(self, f)
            }
        }
    };
}
pub(crate) use text_serde;

#[cfg(test)]
mod tests;
