//! Gateway records: which node speaks for a domain, and where it is reached.
//!
//! A record is published under the hash of the domain's name and shown to every peer right
//! after connecting. libp2p authenticates the peer identifier; the domain's hybrid signature
//! over the record is what makes that identifier the domain's. Invariant: of two records the
//! one with the higher sequence stands.

use bincode::{Decode, Encode};

use super::address::{Address, GatewayPeer};
use super::anchors::Anchors;
use super::directory::Directory;
use crate::codec;
use crate::crypto::hash::Tag;
use crate::crypto::suite::{Signature, Signatures};
use crate::error::Refusal;
use crate::limits;
use crate::refuse;
use crate::types::{Bounded, Bytes, Domain, Epoch, Network, Time, Uai};

/// A node that speaks for a domain.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct GatewayRecord {
    /// The network it is for.
    pub network: Network,
    /// The domain.
    pub domain: Domain,
    /// The epoch of the key that signs it: the latest, or the one before while peers catch up.
    pub epoch: Epoch,
    /// The node's libp2p identifier.
    pub peer_id: GatewayPeer,
    /// Where it listens.
    pub addresses: Bounded<Address, { limits::GATEWAY_ADDRESSES }>,
    /// Rises with every record of the domain.
    pub sequence: u64,
    /// The first millisecond at which it is not used any more.
    pub expires: Time,
    /// The assets that the domain deals in, as far as it wants this known.
    pub services: Bounded<Uai, { limits::GATEWAY_SERVICES }>,
}

impl GatewayRecord {
    /// What the domain signs.
    #[must_use]
    pub fn to_sign(&self) -> (Tag, Vec<u8>) {
        (Tag::Gateway, codec::encode(self))
    }
}

/// A gateway record as it travels: the signed bytes and the signature, 8 KiB together at most.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct SignedGatewayRecord {
    record: Bytes<{ limits::DIRECTORY_RECORD_BYTES }>,
    signature: Signature,
}

impl SignedGatewayRecord {
    /// Puts together what was signed at the edge. Verifies nothing.
    ///
    /// # Errors
    /// `Q-1001` over 8 KiB with the signature.
    pub fn assemble(record: &GatewayRecord, signature: Signature) -> Result<Self, Refusal> {
        let signed = Self { record: Bytes::new(&codec::encode(record))?, signature };
        signed.check_size()?;
        Ok(signed)
    }

    /// From canonical bytes.
    ///
    /// # Errors
    /// Those of [`codec::decode`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Refusal> {
        codec::decode::<Self, { limits::DIRECTORY_RECORD_BYTES }>(bytes)
    }

    /// The canonical bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// The record, as yet unverified.
    ///
    /// # Errors
    /// Those of [`codec::decode`].
    pub fn parse(&self) -> Result<GatewayRecord, Refusal> {
        codec::decode::<GatewayRecord, { limits::DIRECTORY_RECORD_BYTES }>(&self.record)
    }

    fn check_size(&self) -> Result<(), Refusal> {
        let (size, most) = (self.to_bytes().len(), limits::DIRECTORY_RECORD_BYTES);
        if size > most {
            refuse!(TooLarge, "gateway record of {size} bytes, at most {most}");
        }
        Ok(())
    }
}

/// A gateway record that [`Anchors::verify_gateway_record`] has passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedGatewayRecord {
    signed: SignedGatewayRecord,
    record: GatewayRecord,
}

impl VerifiedGatewayRecord {
    /// The record.
    #[must_use]
    pub const fn record(&self) -> &GatewayRecord {
        &self.record
    }

    /// Its signed form, to store and to pass on.
    #[must_use]
    pub const fn signed(&self) -> &SignedGatewayRecord {
        &self.signed
    }
}

impl Anchors {
    /// Checks a gateway record. `known` is the highest sequence seen from the domain.
    ///
    /// The domain's certificate may have expired: running settlements must still find the way
    /// to it. Whether a peer may begin new business is [`Directory::is_valid_at`]'s to say.
    ///
    /// # Errors
    /// `Q-1001` over 8 KiB; those of [`SignedGatewayRecord::parse`]; `Q-1207` another network;
    /// `Q-1202` expired at `now`; `Q-1206` sequence not above `known`, or an epoch before the
    /// last two; `Q-1205` unknown domain; `Q-1213` unknown epoch; `Q-1203` key revoked;
    /// `Q-1103`, `Q-1104` the signature does not verify.
    pub fn verify_gateway_record(
        &self,
        signed: &SignedGatewayRecord,
        directory: &Directory,
        known: Option<u64>,
        now: Time,
        signatures: &impl Signatures,
    ) -> Result<VerifiedGatewayRecord, Refusal> {
        signed.check_size()?;
        let record = signed.parse()?;
        self.check_network(&record.network)?;
        let (domain, sequence) = (&record.domain, record.sequence);
        if now >= record.expires {
            refuse!(CertificateExpired, "gateway record of {domain} at {}", record.expires);
        }
        if let Some(known) = known.filter(|known| sequence <= *known) {
            refuse!(StaleSequence, "gateway record {sequence} of {domain}, {known} is known");
        }
        let (latest, _) = directory.member(domain)?.latest()?;
        if record.epoch.next() < latest {
            refuse!(StaleSequence, "epoch {} of {domain}, {latest} is known", record.epoch);
        }
        let key = directory.good_key(domain, record.epoch)?;
        signatures.verify(key, Tag::Gateway, &signed.record, &signed.signature)?;
        Ok(VerifiedGatewayRecord { signed: signed.clone(), record })
    }
}
