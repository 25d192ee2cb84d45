//! Asset codes and identifiers.

use std::cell::RefCell;
use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use bincode::{Decode, Encode};

use super::domain::shown;
use super::recent::Recent;
use super::{Domain, Hash, text_serde};
use crate::error::{Code, Refusal};
use crate::limits;

/// An asset's short code: 1 to 12 capital letters and digits, for instance `EUR`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AssetCode {
    bytes: [u8; limits::ASSET_CODE_BYTES],
    length: u8,
}

impl AssetCode {
    /// The text form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let used = self.bytes.get(..usize::from(self.length)).unwrap_or_default();
        std::str::from_utf8(used).unwrap_or_default()
    }
}

impl FromStr for AssetCode {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let bad = || Refusal::new(Code::BadAssetCode, shown(text));
        let length = u8::try_from(text.len()).map_err(|_| bad())?;
        let ok = text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
        let mut bytes = [0; limits::ASSET_CODE_BYTES];
        let slot = bytes.get_mut(..text.len()).filter(|_| ok && length > 0).ok_or_else(bad)?;
        slot.copy_from_slice(text.as_bytes());
        Ok(Self { bytes, length })
    }
}

impl fmt::Display for AssetCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

crate::name_codec!(AssetCode, |code| code.as_str(), str::parse);
text_serde!(AssetCode);

/// A unified asset identifier, independent of any ledger: the code, the issuing domain and the
/// first 8 bytes of the hash of its profile. Text form `EUR:bank-b.example#0011223344556677`.
#[derive(Clone)]
pub struct Uai(Arc<UaiParts>);

#[derive(PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
struct UaiParts {
    code: AssetCode,
    issuer: Domain,
    profile: [u8; 8],
}

impl Uai {
    /// The identifier of the asset that `issuer` describes by a profile with hash `profile`.
    #[must_use]
    pub fn new(code: AssetCode, issuer: Domain, profile: &Hash) -> Self {
        let mut short = [0; 8];
        short.copy_from_slice(profile.0.first_chunk::<8>().unwrap_or(&[0; 8]));
        Self(Arc::new(UaiParts { code, issuer, profile: short }))
    }

    /// The code.
    #[must_use]
    pub fn code(&self) -> AssetCode {
        self.0.code
    }

    /// The domain that issues and redeems it.
    #[must_use]
    pub fn issuer(&self) -> &Domain {
        &self.0.issuer
    }

    /// The first 8 bytes of its profile's hash.
    #[must_use]
    pub fn profile(&self) -> &[u8; 8] {
        &self.0.profile
    }
}

impl PartialEq for Uai {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

impl Eq for Uai {}

impl PartialOrd for Uai {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Uai {
    fn cmp(&self, other: &Self) -> Ordering {
        if Arc::ptr_eq(&self.0, &other.0) { Ordering::Equal } else { self.0.cmp(&other.0) }
    }
}

impl std::hash::Hash for Uai {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl fmt::Display for Uai {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = &self.0;
        write!(f, "{}:{}#{}", parts.code, parts.issuer, hex::encode(parts.profile))
    }
}

impl FromStr for Uai {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let bad = || Refusal::new(Code::BadUai, shown(text));
        let (code, rest) = text.split_once(':').ok_or_else(bad)?;
        let (issuer, short) = rest.split_once('#').ok_or_else(bad)?;
        let mut profile = [0; 8];
        hex::decode_to_slice(short, &mut profile).map_err(|_| bad())?;
        if short.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(bad());
        }
        let parts = UaiParts { code: code.parse()?, issuer: issuer.parse()?, profile };
        Ok(Self(Arc::new(parts)))
    }
}

impl Encode for Uai {
    fn encode<E: bincode::enc::Encoder>(
        &self,
        encoder: &mut E,
    ) -> Result<(), bincode::error::EncodeError> {
        self.0.as_ref().encode(encoder)
    }
}

impl<Context> Decode<Context> for Uai {
    fn decode<D: bincode::de::Decoder<Context = Context>>(
        decoder: &mut D,
    ) -> Result<Self, bincode::error::DecodeError> {
        let parts = UaiParts::decode(decoder)?;
        let key = parts.profile;
        Ok(ASSETS.with_borrow_mut(|recent| {
            if let Some(known) = recent.find(&key, |known| *known.0 == parts) {
                return known;
            }
            let asset = Self(Arc::new(parts));
            recent.put(&key, &asset);
            asset
        }))
    }
}

bincode::impl_borrow_decode!(Uai);

std::thread_local! {
    static ASSETS: RefCell<Recent<Uai>> = const { RefCell::new(Recent::new()) };
}
text_serde!(Uai);

/// An ordered pair of assets: what is given, what is wanted. Text form `GIVE/WANT`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct AssetPair {
    /// The asset that the maker gives.
    pub give: Uai,
    /// The asset that the maker wants.
    pub want: Uai,
}

impl FromStr for AssetPair {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let (give, want) =
            text.split_once('/').ok_or_else(|| Refusal::new(Code::BadUai, shown(text)))?;
        Ok(Self { give: give.parse()?, want: want.parse()? })
    }
}

impl fmt::Display for AssetPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.give, self.want)
    }
}

text_serde!(AssetPair);
