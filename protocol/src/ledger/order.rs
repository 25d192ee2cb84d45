//! Orders: what a holder signs.

use bincode::{Decode, Encode};

use super::opening::Rules;
use crate::codec;
use crate::crypto::hash::{Tag, hash};
use crate::crypto::suite::{PublicKey, Signature, Signatures};
use crate::error::{Code, Refusal};
use crate::limits;
use crate::market::{OfferTerms, TakeTerms};
use crate::settlement::agreement::{Account, Purpose};
use crate::types::{
    Amount, AssetPair, Bytes, Hash, KeyId, Network, Nonce, OrderId, Time, Uai, Ubi,
};

/// An order of a ledger's holder. Its hash is its id, so the same order is the same id.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Order {
    /// The network.
    pub network: Network,
    /// The ledger.
    pub ledger: Ubi,
    /// Never used twice on this ledger; up to 64 ahead of, and less than 64 behind, the highest
    /// used. The first order may use 1 to 64.
    pub nonce: Nonce,
    /// Not accepted after this; at most 24 hours ahead.
    pub expiry: Time,
    /// What is ordered.
    pub action: Action,
}

/// What a holder can order.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Action {
    /// Pay somebody, at this bank or another.
    Pay(Payment),
    /// Offer an exchange.
    Offer(OfferTerms),
    /// Take an offer.
    Take {
        /// The take.
        terms: TakeTerms,
        /// What the offer gives and wants.
        pair: AssetPair,
    },
    /// End an offer of this ledger.
    Cancel {
        /// The offer.
        offer: OrderId,
    },
    /// Change the ledger's rules.
    Amend(Rules),
    /// Change the ledger's key.
    RotateKey {
        /// The new key.
        key: PublicKey,
    },
    /// Give an asset back to its issuer, who is this bank.
    Redeem {
        /// The asset.
        asset: Uai,
        /// How much.
        amount: Amount,
    },
    /// Close the ledger; it must be empty.
    Close,
}

/// A payment.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Payment {
    /// Who receives.
    pub to: Account,
    /// The asset that arrives.
    pub asset: Uai,
    /// How much arrives.
    pub amount: Amount,
    /// The asset that the payer gives: the same, or one that is converted on the way.
    pub spend: Uai,
    /// The most that the payer gives, fees and conversions included. It is set aside until the
    /// payment has ended.
    pub max_cost: Amount,
    /// A payment, or the transfer of an asset in the sense of the gateway architecture.
    pub purpose: Purpose,
    /// The hash of a memo that travels sealed; zero for none.
    pub memo: Hash,
}

impl Payment {
    /// A payment of `amount` to `to` for which the payer gives just that.
    #[must_use]
    pub fn plain(to: Account, asset: Uai, amount: Amount) -> Self {
        let (spend, max_cost) = (asset.clone(), amount);
        Self { to, asset, amount, spend, max_cost, purpose: Purpose::Payment, memo: Hash::ZERO }
    }
}

/// An order with the holder's signature under [`Tag::Order`], and the second key's where the
/// ledger's rules ask for it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct SignedOrder {
    /// The order's canonical bytes.
    pub order: Bytes<{ limits::ORDER_BYTES }>,
    /// The key that signed.
    pub key: KeyId,
    /// Its signature.
    pub signature: Signature,
    /// The second key and its signature.
    pub second: Option<(KeyId, Signature)>,
}

impl SignedOrder {
    /// Checks the signatures with the keys that the order names.
    ///
    /// # Errors
    /// `Q-1412` a key is not the one named, `Q-1103` a signature does not verify, `Q-1207`
    /// another network, and the errors of [`codec::decode`].
    pub fn verify(
        self,
        network: &Network,
        key: &PublicKey,
        second: Option<&PublicKey>,
        signatures: &dyn Signatures,
    ) -> Result<VerifiedOrder, Refusal> {
        if key.id() != self.key {
            return Err(Refusal::new(Code::WrongKey, "not the key that the order names"));
        }
        signatures.verify(key, Tag::Order, &self.order, &self.signature)?;
        if let Some((id, signature)) = &self.second {
            let second = second.filter(|second| second.id() == *id).ok_or_else(|| {
                Refusal::new(Code::WrongKey, "not the second key that the order names")
            })?;
            signatures.verify(second, Tag::Order, &self.order, signature)?;
        }
        let verified = VerifiedOrder::read(self)?;
        if verified.order.network != *network {
            crate::refuse!(WrongNetwork, "{}", verified.order.network);
        }
        Ok(verified)
    }
}

/// An order whose signatures were checked. It can come only from [`SignedOrder::verify`], or
/// from our own log, where it was checked before it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedOrder {
    signed: SignedOrder,
    order: Order,
    id: OrderId,
}

impl VerifiedOrder {
    fn read(signed: SignedOrder) -> Result<Self, Refusal> {
        let order = codec::decode::<Order, { limits::ORDER_BYTES }>(&signed.order)?;
        let id = OrderId(hash(Tag::Order, &[&signed.order]).0);
        Ok(Self { signed, order, id })
    }

    /// The order.
    #[must_use]
    pub fn order(&self) -> &Order {
        &self.order
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> OrderId {
        self.id
    }

    /// The key that signed it.
    #[must_use]
    pub fn key(&self) -> &KeyId {
        &self.signed.key
    }

    /// The second key that signed it, if one did.
    #[must_use]
    pub fn second_key(&self) -> Option<&KeyId> {
        self.signed.second.as_ref().map(|(id, _)| id)
    }
}

impl Encode for VerifiedOrder {
    fn encode<E: bincode::enc::Encoder>(
        &self,
        encoder: &mut E,
    ) -> Result<(), bincode::error::EncodeError> {
        self.signed.encode(encoder)
    }
}

impl<Context> Decode<Context> for VerifiedOrder {
    fn decode<D: bincode::de::Decoder<Context = Context>>(
        decoder: &mut D,
    ) -> Result<Self, bincode::error::DecodeError> {
        Self::read(SignedOrder::decode(decoder)?)
            .map_err(|refusal| bincode::error::DecodeError::OtherString(refusal.to_string()))
    }
}

bincode::impl_borrow_decode!(VerifiedOrder);
