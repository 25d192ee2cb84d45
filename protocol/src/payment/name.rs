//! Names: what a bank says of its holders to other banks.
//!
//! ```text
//!   asker                                    bank of alice@bank-b.example
//!     |--NameQuestion{holder, asset}-------------->|  policy: is this asker answered?
//!     |<--SignedNameRecord{asker, status, expires}-|  look_up; signed with the domain's key
//!     |  verify under the directory; NameCache until `expires` and no longer
//! ```
//!
//! Invariants:
//! * An answer names its question and its asker: shown to somebody else it proves nothing.
//! * A [`VerifiedName`] comes from [`SignedNameRecord::verify`] alone, and the cache holds no
//!   other.
//! * No answer is used at or after the time until which the bank gave its word. The bank's
//!   word is about addresses, not about money: a payment to an answer that has become false is
//!   declined by the bank itself.

use std::collections::{BTreeMap, BTreeSet};

use bincode::{Decode, Encode};

use crate::codec;
use crate::crypto::hash::Tag;
use crate::crypto::suite::{Signature, Signatures};
use crate::error::{Code, Refusal};
use crate::identity::Directory;
use crate::ledger::Ledger;
use crate::ledger::account::Status;
use crate::limits;
use crate::refuse;
use crate::sabotage::{Bug, planted};
use crate::settlement::agreement::Account;
use crate::types::{Bounded, Bytes, Domain, Duration, Epoch, Holder, Network, Time, Uai, Ubi};

/// What is asked of a bank.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct NameQuestion {
    /// The holder.
    pub holder: Holder,
    /// The asset that is to arrive: among several ledgers of the holder, one that takes it.
    pub asset: Option<Uai>,
}

/// What a bank says of a name.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum NameStatus {
    /// There is a ledger.
    Found(Found),
    /// There is no such holder.
    Unknown,
    /// All of the holder's ledgers are closed.
    Closed,
    /// The bank does not tell this asker.
    Refused,
}

/// A holder's ledger, as others may know it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Found {
    /// The ledger and its validator.
    pub account: Account,
    /// The assets that it takes; empty for all.
    pub assets: Bounded<Uai, { limits::LEDGER_ASSETS }>,
    /// The holder's KYC tier.
    pub tier: u8,
}

/// A bank's answer about a name.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct NameRecord {
    /// The network.
    pub network: Network,
    /// The bank.
    pub domain: Domain,
    /// The epoch of the key that signs.
    pub epoch: Epoch,
    /// Who has asked.
    pub asker: Domain,
    /// What was asked.
    pub question: NameQuestion,
    /// The answer.
    pub status: NameStatus,
    /// When it was given.
    pub issued: Time,
    /// The first millisecond at which it is not used any more.
    pub expires: Time,
}

impl NameRecord {
    /// What the domain signs.
    #[must_use]
    pub fn to_sign(&self) -> (Tag, Vec<u8>) {
        (Tag::Name, codec::encode(self))
    }
}

/// An answer as it travels: the signed bytes and the signature.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct SignedNameRecord {
    record: Bytes<{ limits::NAME_BYTES }>,
    signature: Signature,
}

/// Who verifies an answer, and when.
#[derive(Debug, Clone, Copy)]
pub struct Asking<'a> {
    /// The network.
    pub network: &'a Network,
    /// Who asked: us.
    pub asker: &'a Domain,
    /// What was asked.
    pub question: &'a NameQuestion,
    /// The members known.
    pub directory: &'a Directory,
    /// Now.
    pub now: Time,
}

impl SignedNameRecord {
    /// Puts together what was signed at the edge. Verifies nothing.
    ///
    /// # Errors
    /// `Q-1001` over [`limits::NAME_BYTES`].
    pub fn assemble(record: &NameRecord, signature: Signature) -> Result<Self, Refusal> {
        Ok(Self { record: Bytes::new(&codec::encode(record))?, signature })
    }

    /// The record, as yet unverified.
    ///
    /// # Errors
    /// Those of [`codec::decode`].
    pub fn parse(&self) -> Result<NameRecord, Refusal> {
        codec::decode::<NameRecord, { limits::NAME_BYTES }>(&self.record)
    }

    /// Checks an answer to a question of ours.
    ///
    /// # Errors
    /// `Q-1207` another network; `Q-2506` another question or asker, a bank that speaks for
    /// another's holder, an account at another bank; `Q-2505` out of date, or with a life over
    /// [`limits::NAME_LIFE_MAX_MS`]; `Q-1206` an epoch before the last two; `Q-1205`,
    /// `Q-1213`, `Q-1203` the key; `Q-1103`, `Q-1104` the signature.
    pub fn verify(
        &self,
        asking: &Asking<'_>,
        signatures: &dyn Signatures,
    ) -> Result<VerifiedName, Refusal> {
        let record = self.parse()?;
        if record.network != *asking.network {
            refuse!(WrongNetwork, "{}", record.network);
        }
        if record.question != *asking.question || record.asker != *asking.asker {
            refuse!(OtherAnswer, "about {} to {}", record.question.holder, record.asker);
        }
        let bank = asking.question.holder.domain();
        let elsewhere = match &record.status {
            NameStatus::Found(found) => found.account.domain != *bank,
            NameStatus::Unknown | NameStatus::Closed | NameStatus::Refused => false,
        };
        if record.domain != *bank || elsewhere {
            refuse!(OtherAnswer, "{} speaks for {}", record.domain, record.question.holder);
        }
        record.check_time(asking.now)?;
        let (latest, _) = asking.directory.member(bank)?.latest()?;
        if record.epoch.next() < latest {
            refuse!(StaleSequence, "epoch {} of {bank}, {latest} is known", record.epoch);
        }
        let key = asking.directory.good_key(bank, record.epoch)?;
        signatures.verify(key, Tag::Name, &self.record, &self.signature)?;
        Ok(VerifiedName { record })
    }
}

impl NameRecord {
    /// The ledger, or why there is none.
    ///
    /// # Errors
    /// `Q-2501` unknown; `Q-2502` closed; `Q-2503` the bank does not tell us.
    pub fn found(&self) -> Result<&Found, Refusal> {
        let holder = &self.question.holder;
        match &self.status {
            NameStatus::Found(found) => Ok(found),
            NameStatus::Unknown => refuse!(NameUnknown, "{holder}"),
            NameStatus::Closed => refuse!(NameClosed, "{holder}"),
            NameStatus::Refused => refuse!(NameRefused, "{holder}"),
        }
    }

    fn check_time(&self, now: Time) -> Result<(), Refusal> {
        let ahead = now.after(Duration(limits::NAME_AHEAD_MS));
        let most = self.issued.after(Duration(limits::NAME_LIFE_MAX_MS));
        if now >= self.expires || self.issued > ahead || self.expires > most {
            refuse!(NameStale, "of {}, until {}, at {now}", self.issued, self.expires);
        }
        Ok(())
    }
}

/// An answer that [`SignedNameRecord::verify`] has passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedName {
    record: NameRecord,
}

impl VerifiedName {
    /// The answer.
    #[must_use]
    pub const fn record(&self) -> &NameRecord {
        &self.record
    }

    /// See [`NameRecord::found`].
    ///
    /// # Errors
    /// As there.
    pub fn found(&self) -> Result<&Found, Refusal> {
        self.record.found()
    }
}

/// What a bank says of a holder with these ledgers, given in the order in which the bank prefers
/// them: the first open one that takes the asset, else the first open one.
#[must_use]
pub fn look_up<'a>(
    domain: &Domain,
    ledgers: impl Iterator<Item = (Ubi, &'a Ledger)>,
    asset: Option<&Uai>,
) -> NameStatus {
    let mut first = None;
    let mut closed = false;
    for (ubi, ledger) in ledgers {
        match ledger.status {
            Status::Closed => {
                closed = true;
                continue;
            }
            // That a ledger is frozen is between the bank and its holder.
            Status::Open | Status::Frozen => {}
        }
        let takes = asset.is_none_or(|asset| ledger.parameters.allows(asset));
        if !takes && first.is_some() {
            continue;
        }
        let found = Found {
            account: Account { domain: domain.clone(), ledger: ubi },
            assets: ledger.parameters.assets.clone(),
            tier: ledger.parameters.tier,
        };
        if takes {
            return NameStatus::Found(found);
        }
        first = Some(found);
    }
    match (first, closed) {
        (Some(found), _) => NameStatus::Found(found),
        (None, true) => NameStatus::Closed,
        (None, false) => NameStatus::Unknown,
    }
}

/// Answers that still count, at most [`limits::NAMES_CACHED`].
#[derive(Debug, Clone, Default)]
pub struct NameCache {
    names: BTreeMap<NameQuestion, VerifiedName>,
    /// The same, by the end of their lives.
    ends: BTreeSet<(Time, NameQuestion)>,
}

impl NameCache {
    /// Remembers an answer. The one whose life ends first makes room when there is none.
    pub fn insert(&mut self, name: VerifiedName) {
        let question = name.record.question.clone();
        let end = (name.record.expires, question.clone());
        if let Some(old) = self.names.insert(question.clone(), name) {
            self.ends.remove(&(old.record.expires, question));
        }
        self.ends.insert(end);
        while self.names.len() > limits::NAMES_CACHED {
            let Some((_, question)) = self.ends.pop_first() else { return };
            self.names.remove(&question);
        }
    }

    /// The answer that counts at `now`.
    #[must_use]
    pub fn get(&self, question: &NameQuestion, now: Time) -> Option<&VerifiedName> {
        let name = self.names.get(question)?;
        (now < name.record.expires || planted(Bug::NameCachedTooLong)).then_some(name)
    }

    /// Forgets an answer that has proved wrong.
    pub fn forget(&mut self, question: &NameQuestion) {
        if let Some(old) = self.names.remove(question) {
            self.ends.remove(&(old.record.expires, question.clone()));
        }
    }

    /// How many are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}

/// The refusal for a bank that could not be asked.
#[must_use]
pub fn unreachable(holder: &Holder, why: &Refusal) -> Refusal {
    Refusal::new(Code::NameUnreachable, format!("{holder}: {why}"))
}

#[cfg(test)]
mod tests;
