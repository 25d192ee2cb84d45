//! Gateway records: which node speaks for a domain, and where it is reached.
//!
//! A record is published under the hash of the domain's name and shown to every peer right
//! after connecting. libp2p authenticates the peer identifier; the domain's hybrid signature
//! over the record is what makes that identifier the domain's. Invariant: of two records the
//! one with the higher sequence stands.
//!
//! A record also says, as far as the domain wants it known, whose obligations it accepts in which
//! asset and what it asks for passing payments on: of that, paths are found. It says nothing of
//! limits and balances.

use std::collections::BTreeSet;

use bincode::{Decode, Encode};

use super::address::{Address, GatewayPeer};
use super::anchors::Anchors;
use super::directory::Directory;
use crate::codec;
use crate::crypto::hash::Tag;
use crate::crypto::suite::{Signature, Signatures};
use crate::error::Refusal;
use crate::limits;
use crate::payment::Fee;
use crate::refuse;
use crate::types::{Bounded, Bytes, Domain, Epoch, Network, Time, Uai, Ubi};

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
    /// The ledger that payments pass through; none when the domain passes nothing on.
    pub transit: Option<Ubi>,
    /// The domains with which it keeps correspondent ledgers; none when it does not say.
    pub correspondents: Option<Bounded<Domain, { limits::GATEWAY_CORRESPONDENTS }>>,
    /// The assets that the domain deals in, as far as it wants this known.
    pub services: Bounded<Service, { limits::GATEWAY_SERVICES }>,
}

/// What a domain does with one asset.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Service {
    /// The asset.
    pub asset: Uai,
    /// What it asks for passing a payment on; none when it passes none on in this asset.
    pub fee: Option<Fee>,
    /// Whose obligations it accepts in this asset: bit `n` is the record's correspondent `n`.
    pub accepts: u64,
}

impl Service {
    /// Whether it accepts the obligations of the record's correspondent `place`.
    #[must_use]
    pub fn accepts_place(&self, place: usize) -> bool {
        bit(place).is_some_and(|bit| self.accepts & bit != 0)
    }
}

/// What a domain wants known of one asset, before it is put into a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dealing {
    /// The asset.
    pub asset: Uai,
    /// What it asks for passing a payment on; none when it passes none on in this asset.
    pub fee: Option<Fee>,
    /// Whose obligations it accepts in this asset.
    pub accepts: BTreeSet<Domain>,
}

impl GatewayRecord {
    /// Says in the record what the domain deals in, the first first, and with whom: as much as
    /// fits. `named` is whether it says with whom at all.
    #[must_use]
    pub fn dealing(mut self, dealings: &[Dealing], named: bool) -> Self {
        let all: BTreeSet<&Domain> = dealings.iter().flat_map(|it| &it.accepts).collect();
        let mut peers: Vec<Domain> = all.into_iter().cloned().collect();
        peers.truncate(limits::GATEWAY_CORRESPONDENTS);
        let mut count = dealings.len().min(limits::GATEWAY_SERVICES);
        loop {
            let services = dealings.iter().take(count).map(|dealing| Service {
                asset: dealing.asset.clone(),
                fee: dealing.fee.filter(|_| named),
                accepts: match named {
                    true => places(&peers, &dealing.accepts),
                    false => 0,
                },
            });
            self.services = Bounded::new(services.collect()).unwrap_or_default();
            let listed = named.then(|| Bounded::new(peers.clone()).unwrap_or_default());
            self.correspondents = listed;
            if codec::encode(&self).len() <= limits::GATEWAY_RECORD_BYTES {
                return self;
            }
            // Whom it deals with is cut before what it deals in.
            if !named || peers.pop().is_none() {
                if count == 0 {
                    return self;
                }
                count = count.saturating_sub(1);
            }
        }
    }

    /// The assets that it names.
    pub fn assets(&self) -> impl Iterator<Item = &Uai> {
        self.services.iter().map(|service| &service.asset)
    }

    /// Whose obligations the domain accepts in `service`, by its own word.
    pub fn accepted<'a>(&'a self, service: &'a Service) -> impl Iterator<Item = &'a Domain> {
        let listed = self.correspondents.iter().flat_map(|listed| listed.iter());
        listed.enumerate().filter(|(at, _)| service.accepts_place(*at)).map(|(_, peer)| peer)
    }

    /// What the domain signs.
    #[must_use]
    pub fn to_sign(&self) -> (Tag, Vec<u8>) {
        (Tag::Gateway, codec::encode(self))
    }
}

fn bit(place: usize) -> Option<u64> {
    u32::try_from(place).ok().and_then(|place| 1_u64.checked_shl(place))
}

/// The places of those of `peers` that are in `accepts`.
fn places(peers: &[Domain], accepts: &BTreeSet<Domain>) -> u64 {
    let marked = peers.iter().enumerate().filter(|(_, peer)| accepts.contains(*peer));
    marked.filter_map(|(place, _)| bit(place)).fold(0, |bits, bit| bits | bit)
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
