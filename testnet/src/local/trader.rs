//! A customer at a bank: signs with its own key, as a customer's program would, and sends the
//! order to its bank.

use std::time::{Duration, Instant};

use quadrille_node::api::dto::{BookEntry, OrderView};
use quadrille_node::client::{Client, ClientError};
use quadrille_node::wallet::{Draft, Wallet, WalletLedger};
use quadrille_protocol::crypto::suite::SecretKey;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::ledger::{Action, Payment};
use quadrille_protocol::market::{OfferTerms, TakeTerms};
use quadrille_protocol::refuse;
use quadrille_protocol::settlement::agreement::Account;
use quadrille_protocol::types::{Amount, Bounded, Domain, Duration as Span, Holder, OrderId, Uai};

use crate::local::clients;
use crate::local::layout::Layout;
use crate::local::state::Bank;
use crate::local::up::now;

/// How long an order may be accepted after it was signed.
const ORDER_LIFE: Span = Span(10 * 60 * 1000);
/// How long a bank that runs may take to answer.
const ANSWER: Duration = Duration::from_secs(10);
/// Between two questions.
const LOOK: Duration = Duration::from_millis(20);
/// Offers that a book shows at most.
const BOOK_ROWS: usize = 1_000;

/// A customer.
pub struct Trader {
    /// Its name at the bank.
    pub name: String,
    /// Its bank.
    pub bank: Domain,
    /// The bank's HTTP interface.
    pub client: Client,
    wallet: Wallet,
    ledger: WalletLedger,
    key: SecretKey,
}

impl Trader {
    /// The customer `local` of `bank`.
    ///
    /// # Errors
    /// Those of the wallet; `Q-2209` when the bank has never run.
    pub fn new(
        layout: &Layout,
        bank: &Bank,
        local: &str,
        passphrase: &str,
    ) -> Result<Self, Refusal> {
        let wallet = Wallet::open(&layout.wallet(&bank.name))?;
        let holder: Holder = format!("{local}@{}", bank.domain).parse()?;
        let ledger = wallet.find_ledger(&holder.to_string())?;
        let key = wallet.unlock(&holder, passphrase)?;
        let client = clients::of(layout, bank)?;
        Ok(Self { name: local.to_owned(), bank: bank.domain.clone(), client, wallet, ledger, key })
    }

    /// Where others pay to.
    #[must_use]
    pub fn account(&self) -> Account {
        Account { domain: self.bank.clone(), ledger: self.ledger.ledger }
    }

    /// Signs an order under `id`, writes it down and sends it.
    ///
    /// # Errors
    /// What the bank refuses; `Q-2209` when it is not there.
    pub async fn order(&self, id: &str, action: Action) -> Result<OrderId, Refusal> {
        // More than once: the bank may have been restarted, and the first question then goes into
        // a connection that is gone.
        let what = format!("{} answers about the ledger of {}", self.bank, self.name);
        let view = wait(&what, ANSWER, async || self.client.ledger(&self.ledger.ledger).await.ok())
            .await?;
        let draft = Draft {
            id,
            intent: id,
            ledger: &self.ledger,
            highest: Some(view.highest_nonce),
            expiry: now()?.after(ORDER_LIFE),
            action,
            enclosed: None,
            second: None,
        };
        let stored = self.wallet.sign(&draft, &self.key)?;
        match self.client.order(&stored.signed()?).await {
            // The bank may be killed over it; what became of the order is asked later.
            Ok(_) | Err(ClientError::Unknown(_)) => Ok(stored.order),
            Err(error) => Err(clients::refusal(self.bank.as_str(), error)),
        }
    }

    /// Pays. Under an `id` that was used, the same order is sent again; so for all orders.
    ///
    /// # Errors
    /// What the bank refuses; `Q-2209` when it is not there.
    pub async fn pay(
        &self,
        id: &str,
        asset: &Uai,
        amount: Amount,
        to: Account,
    ) -> Result<OrderId, Refusal> {
        let payment = Payment::plain(to, asset.clone(), amount);
        self.order(id, Action::Pay(payment)).await
    }

    /// Offers all or nothing of something for something else.
    ///
    /// # Errors
    /// Those of [`Trader::pay`].
    pub async fn offer(
        &self,
        id: &str,
        (give, give_amount): (&Uai, Amount),
        (want, want_amount): (&Uai, Amount),
        window: Span,
    ) -> Result<OrderId, Refusal> {
        let terms = OfferTerms {
            give: give.clone(),
            give_amount,
            want: want.clone(),
            want_amount,
            minimum_fill: give_amount,
            expiry: now()?.after(ORDER_LIFE),
            counterparties: Bounded::default(),
            notary: None,
            selection_window: window,
            receive: None,
        };
        self.order(id, Action::Offer(terms)).await
    }

    /// Takes all of an offer for `pay`.
    ///
    /// # Errors
    /// Those of [`Trader::pay`].
    pub async fn take(&self, id: &str, offer: &BookEntry, pay: Amount) -> Result<OrderId, Refusal> {
        let terms = TakeTerms {
            offer: offer.offer,
            maker: offer.validator.clone(),
            take: offer.give_amount,
            pay,
            notary: None,
            expiry: now()?.after(ORDER_LIFE),
            receive: None,
        };
        let (give, want) = (offer.give.clone(), offer.want.clone());
        let pair = quadrille_protocol::types::AssetPair { give, want };
        self.order(id, Action::Take { terms, pair }).await
    }

    /// Waits until the bank shows the offer in its book.
    ///
    /// # Errors
    /// When it does not in time.
    pub async fn sees(&self, offer: &OrderId, patience: Duration) -> Result<BookEntry, Refusal> {
        let what = format!("{} sees {offer}", self.bank);
        wait(&what, patience, async || {
            let book = self.client.book(None, None, BOOK_ROWS).await.ok()?;
            book.into_iter().find(|entry| entry.offer == *offer)
        })
        .await
    }

    /// Waits until what became of the order is `enough`.
    ///
    /// # Errors
    /// When it is not in time.
    pub async fn outcome(
        &self,
        order: &OrderId,
        patience: Duration,
        enough: impl Fn(&OrderView) -> bool,
    ) -> Result<OrderView, Refusal> {
        let what = format!("{} at {} hears of {order}", self.name, self.bank);
        wait(&what, patience, async || {
            self.client.order_state(order).await.ok().filter(|view| enough(view))
        })
        .await
    }
}

/// Asks until there is an answer.
///
/// # Errors
/// When there is none in time.
pub async fn wait<T>(
    what: &str,
    patience: Duration,
    mut ask: impl AsyncFnMut() -> Option<T>,
) -> Result<T, Refusal> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(answer) = ask().await {
            return Ok(answer);
        }
        if Instant::now() >= deadline {
            refuse!(StepFailed, "not within {} s: {what}", patience.as_secs());
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The refusal of a step that went another way than it had to.
pub(super) fn otherwise(what: impl Into<String>) -> Refusal {
    Refusal::new(Code::StepFailed, what)
}
