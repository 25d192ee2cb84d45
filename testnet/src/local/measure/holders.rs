//! The holders that trade: fresh ledgers with funds, whose keys and orders stay in this process.

use futures::{StreamExt as _, TryStreamExt as _, stream};
use quadrille_node::api::tokens::{self, Role};
use quadrille_node::client::Client;
use quadrille_node::config;
use quadrille_node::signer::generate_key;
use quadrille_protocol::codec;
use quadrille_protocol::crypto::hash::{Tag, hash};
use quadrille_protocol::crypto::suite::{SecretKey, Suite};
use quadrille_protocol::error::Refusal;
use quadrille_protocol::ledger::{Action, Order, SignedOrder};
use quadrille_protocol::market::{OfferTerms, TakeTerms};
use quadrille_protocol::types::{
    Amount, AssetPair, Bounded, Bytes, Duration as Span, Holder, Network, Nonce, OrderId, Time,
    Uai, Ubi,
};
use zeroize::Zeroizing;

use crate::local::clients;
use crate::local::fund;
use crate::local::layout::Layout;
use crate::local::state::Bank;
use crate::local::up::now;

/// Requests that are under way at one time while ledgers are opened.
const AT_A_TIME: usize = 48;
/// Tokens at each bank: one bearer may hand in some 200 orders a second, and many holders'
/// programs are played here.
const TOKENS: usize = 16;
/// How long orders and offers stand.
const ORDER_LIFE: Span = Span(60 * 60 * 1000);
/// What each ledger is given.
const FUNDS: Amount = Amount::new(1_000_000_000);
/// What each trade moves, either way.
const AMOUNT: Amount = Amount::new(100);

/// The ledgers of one bank.
pub(super) struct Holders<'a> {
    pub bank: &'a Bank,
    /// The operator's.
    pub client: Client,
    /// The traders'.
    pub traders: Vec<Client>,
    pub ledgers: Vec<HolderLedger>,
    network: Network,
}

/// One ledger.
pub(super) struct HolderLedger {
    pub ledger: Ubi,
    key: SecretKey,
    nonce: Nonce,
}

/// An offer and the take of all of it, signed.
pub(super) struct SignedTrade {
    /// Which ledger at either bank.
    pub ledger: usize,
    pub offer: SignedOrder,
    pub offer_id: OrderId,
    pub take: SignedOrder,
}

/// What is traded: the maker's asset and the taker's.
pub(super) struct Pair {
    pub give: Uai,
    pub want: Uai,
}

impl<'a> Holders<'a> {
    /// Opens so many ledgers at the bank and gives them some of the asset. `run` tells them from
    /// those of other runs.
    pub async fn open(
        layout: &Layout,
        network: &Network,
        bank: &'a Bank,
        (asset, count, run): (&Uai, usize, &str),
    ) -> Result<Self, Refusal> {
        let client = clients::of(layout, bank)?;
        let mut ledgers = Vec::with_capacity(count);
        let mut openings = Vec::with_capacity(count);
        for number in 0..count {
            let holder: Holder = format!("m{run}-{number}@{}", bank.domain).parse()?;
            let key = generate_key(Suite::HybridMlDsa65)?;
            let opening = fund::opening(network, &holder, &key);
            let ledger = opening.opening.ubi();
            openings.push(opening);
            ledgers.push(HolderLedger { ledger, key, nonce: Nonce(0) });
        }
        let open = openings.iter().map(|opening| {
            let client = &client;
            async move {
                let told = |error| clients::refusal(&bank.name, error);
                let ledger = opening.opening.ubi();
                client.open_ledger(opening).await.map_err(told)?;
                let once = format!("measure:{asset}:{ledger}");
                client.issue(asset, ledger, FUNDS, &once).await.map_err(told)?;
                Ok::<_, Refusal>(())
            }
        });
        stream::iter(open).buffer_unordered(AT_A_TIME).try_collect::<()>().await?;
        Ok(Self { bank, client, traders: Vec::new(), ledgers, network: network.clone() })
    }

    /// The client of the trader who plays the `index`th holder.
    pub fn trader(&self, index: usize) -> &Client {
        let count = self.traders.len().max(1);
        self.traders.get(index % count).unwrap_or(&self.client)
    }

    /// Signs the next order of a ledger.
    fn sign(&mut self, index: usize, action: Action) -> Result<(SignedOrder, OrderId), Refusal> {
        let count = self.ledgers.len().max(1);
        let Some(holder) = self.ledgers.get_mut(index % count) else {
            quadrille_protocol::refuse!(StepFailed, "no ledgers at {}", self.bank.name);
        };
        holder.nonce = holder.nonce.next();
        let order = Order {
            network: self.network.clone(),
            ledger: holder.ledger,
            nonce: holder.nonce,
            expiry: now()?.after(ORDER_LIFE),
            action,
        };
        let bytes = codec::encode(&order);
        let signature = holder.key.sign(Tag::Order, &bytes);
        let key = holder.key.public().id();
        let signed = SignedOrder { order: Bytes::new(&bytes)?, key, signature, second: None };
        let id = OrderId(hash(Tag::Order, &[&signed.order]).0);
        Ok((signed, id))
    }
}

/// Signs one trade between the ledgers of this number at both banks.
pub(super) fn sign_trade(
    maker: &mut Holders<'_>,
    taker: &mut Holders<'_>,
    pair: &Pair,
    ledger: usize,
) -> Result<SignedTrade, Refusal> {
    let expiry: Time = now()?.after(ORDER_LIFE);
    let terms = OfferTerms {
        give: pair.give.clone(),
        give_amount: AMOUNT,
        want: pair.want.clone(),
        want_amount: AMOUNT,
        minimum_fill: AMOUNT,
        expiry,
        // To this bank alone, over the session: what is published to all is limited in number.
        counterparties: Bounded::new(vec![taker.bank.domain.clone()])?,
        notary: None,
        selection_window: Span(0),
        receive: None,
    };
    let (offer, offer_id) = maker.sign(ledger, Action::Offer(terms))?;
    let terms = TakeTerms {
        offer: offer_id,
        maker: maker.bank.domain.clone(),
        take: AMOUNT,
        pay: AMOUNT,
        notary: None,
        expiry,
        receive: None,
    };
    let pair = AssetPair { give: pair.give.clone(), want: pair.want.clone() };
    let (take, _) = taker.sign(ledger, Action::Take { terms, pair })?;
    Ok(SignedTrade { ledger, offer, offer_id, take })
}

/// Traders' tokens at one bank, revoked when dropped.
pub(super) struct Tokens {
    file: std::path::PathBuf,
    made: Vec<(String, Zeroizing<String>)>,
}

impl Tokens {
    /// Makes them.
    pub fn make(layout: &Layout, bank: &Bank) -> Result<Self, Refusal> {
        let file = config::Layout::new(&layout.node(&bank.name)).tokens();
        let mut tokens = Self { file, made: Vec::with_capacity(TOKENS) };
        for _ in 0..TOKENS {
            let made = tokens::create(&tokens.file, Role::Trader, "a measurement", now()?)?;
            tokens.made.push((made.entry.id, made.token));
        }
        Ok(tokens)
    }

    /// A client for each.
    pub fn clients(&self, api: &str) -> Result<Vec<Client>, Refusal> {
        self.made.iter().map(|(_, token)| Client::new(api, Some(token.clone()))).collect()
    }
}

impl Drop for Tokens {
    fn drop(&mut self) {
        for (id, _) in &self.made {
            if let Err(refusal) = tokens::revoke(&self.file, id) {
                eprintln!("the token {id} of a measurement is left: {refusal}");
            }
        }
    }
}
