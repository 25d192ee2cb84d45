//! Sending a holder's order: once, however often the command is repeated.
//!
//! ```text
//!  --id known?  yes -> the stored bytes, same words asked for      -> send -> note the answer
//!               no  -> build, sign, write down in the wallet first -> send -> note the answer
//! ```

use std::time::Duration as Wait;

use quadrille_protocol::codec;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::ledger::Action;
use quadrille_protocol::types::{Duration, Time};
use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::connect::{Connection, converse};
use super::exit::{Exit, Failure};
use super::ledger::rules::SecondKey;
use super::output::{Output, line};
use super::{OpenWallet, span};
use crate::api::dto::{NewPayment, OrderState, OrderView, Receipt};
use crate::client::{Client, ClientError, new_id};
use crate::signer::passphrase;
use crate::wallet::{Draft, OrderStatus, StoredOrder, Wallet, WalletLedger};

/// How often the outcome is asked for while a command waits for it.
const POLL: Wait = Wait::from_millis(100);

/// What every command that signs an order takes.
#[derive(Debug, clap::Args)]
pub(super) struct OrderOptions {
    /// The ledger: its holder (alice@bank-a.example), HOLDER/NUMBER, or ubi:…
    #[arg(long, value_name = "LEDGER")]
    pub ledger: String,
    /// Your name for this order. Repeating a command with the same id sends the same order, which
    /// happens once; made up and shown when left out
    #[arg(long, value_name = "TEXT")]
    id: Option<String>,
    /// How long the bank may accept the order after it was signed
    #[arg(long, value_name = "SPAN", default_value = "1h", value_parser = span::argument)]
    valid: Duration,
    #[command(flatten)]
    wallet: OpenWallet,
    #[command(flatten)]
    second: SecondKey,
    #[command(flatten)]
    connection: Connection,
}

/// Where an order's action is made.
pub(super) struct Desk<'a> {
    /// The node.
    pub client: &'a Client,
    /// The ledger that orders.
    pub ledger: &'a WalletLedger,
    /// Now.
    pub now: Time,
}

/// An order that is to be signed, and what is sent along with it.
pub(super) struct Built {
    /// The order.
    pub action: Action,
    /// What is sent along.
    pub enclosed: Option<serde_json::Value>,
}

impl From<Action> for Built {
    fn from(action: Action) -> Self {
        Self { action, enclosed: None }
    }
}

/// What was sent and what came of it.
#[derive(Debug, Serialize)]
struct Sent<'a> {
    id: &'a str,
    #[serde(flatten)]
    receipt: &'a Receipt,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'a OrderView>,
}

impl OrderOptions {
    /// Signs and sends the order that `build` makes, asked for in the words `intent`, and waits
    /// for its outcome for as long as `wait` says.
    pub fn submit<B: Into<Built>>(
        &self,
        intent: &str,
        wait: Option<Duration>,
        output: Output,
        build: impl AsyncFnOnce(Desk<'_>) -> Result<B, Failure>,
    ) -> Result<(), Failure> {
        let wallet = Wallet::open(&self.wallet.dir.wallet)?;
        let client = self.connection.client()?;
        let id = self.id.clone().unwrap_or_else(new_id);
        let intent = format!("{intent} --ledger {} --valid {}ms", self.ledger, self.valid.0);
        let repeat = format!("Repeat the command with --id {id}.");
        converse(async {
            let (stored, before) = match wallet.find_order(&id, &intent)? {
                Some(stored) => (stored, true),
                None => (self.sign(&wallet, &client, &id, &intent, build).await?, false),
            };
            let receipt = match send(&wallet, &client, &stored, before).await {
                Ok(receipt) => receipt,
                Err(failure) if failure.exit == Exit::Refused => return Err(failure),
                Err(failure) => return Err(failure.with_remedy(&repeat)),
            };
            let outcome = match wait {
                None => None,
                Some(span) => Some(outcome(&client, &stored, span).await?),
            };
            tell(&id, &stored, &receipt, outcome.as_ref(), output)
        })
    }

    async fn sign<B: Into<Built>>(
        &self,
        wallet: &Wallet,
        client: &Client,
        id: &str,
        intent: &str,
        build: impl AsyncFnOnce(Desk<'_>) -> Result<B, Failure>,
    ) -> Result<StoredOrder, Failure> {
        let ledger = wallet.find_ledger(&self.ledger)?;
        let now = span::now()?;
        let Built { action, enclosed } = build(Desk { client, ledger: &ledger, now }).await?.into();
        let highest = Some(client.ledger(&ledger.ledger).await?.highest_nonce);
        let prompt = format!("Passphrase of the wallet, for {}: ", ledger.holder);
        let secret = passphrase::read(self.wallet.passphrase_file.as_deref(), &prompt)?;
        let key = wallet.unlock(&ledger.holder, &secret)?;
        let second = self.second.unlock(&ledger.holder)?;
        let expiry = now.after(self.valid);
        let (ledger, second) = (&ledger, second.as_ref());
        let draft = Draft { id, intent, ledger, highest, expiry, action, enclosed, second };
        Ok(wallet.sign(&draft, &key)?)
    }
}

/// Sends an order, and what goes with it.
async fn hand_in(
    client: &Client,
    stored: &StoredOrder,
) -> Result<Result<Receipt, ClientError>, Failure> {
    let signed = stored.signed()?;
    let Some(enclosed) = &stored.enclosed else { return Ok(client.order(&signed).await) };
    let read = serde_json::from_value::<NewPayment>(enclosed.clone());
    let damaged = |_| Refusal::new(Code::CannotRead, format!("stored order `{}`", stored.id));
    let mut payment = read.map_err(damaged)?;
    payment.bytes = hex::encode(codec::encode(&signed));
    Ok(client.pay(&payment).await)
}

/// Sends an order and notes the answer. `before` says that it may have been sent before.
async fn send(
    wallet: &Wallet,
    client: &Client,
    stored: &StoredOrder,
    before: bool,
) -> Result<Receipt, Failure> {
    match hand_in(client, stored).await? {
        Ok(receipt) => {
            wallet.note_answer(stored, OrderStatus::Accepted)?;
            Ok(receipt)
        }
        Err(ClientError::Refused(problem)) => {
            // Long after it was accepted a bank knows an order by its record only.
            if before
                && is_used(&problem.code)
                && let Some(receipt) = accepted_earlier(client, stored).await?
            {
                wallet.note_answer(stored, OrderStatus::Accepted)?;
                return Ok(receipt);
            }
            if is_final(&problem.code) {
                wallet.note_answer(stored, OrderStatus::Refused)?;
            }
            Err((*problem).into())
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether the code says that the order's nonce is used up, perhaps by this very order.
fn is_used(code: &str) -> bool {
    let used = [Code::NonceUsed, Code::NonceTooOld, Code::OrderExpired];
    used.iter().any(|known| known.to_string() == code)
}

/// Whether the code is a judgement on the order (hundreds 14 to 17, and 26), rather than a busy
/// node or a wrong token.
fn is_final(code: &str) -> bool {
    let code = code.parse::<Code>();
    code.is_ok_and(|code| {
        (1400..1800).contains(&code.number()) || (2600..2700).contains(&code.number())
    })
}

async fn accepted_earlier(
    client: &Client,
    stored: &StoredOrder,
) -> Result<Option<Receipt>, Failure> {
    let view = match client.order_state(&stored.order).await {
        Ok(view) => view,
        Err(ClientError::Refused(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    Ok((view.state != OrderState::Refused).then_some(Receipt {
        order: Some(view.order),
        ledger: Some(view.ledger),
        settlement: view.settlement,
        height: Some(view.place.height),
        leaf: Some(view.place.leaf),
        repeated: true,
    }))
}

/// What has become of an order once nothing more is to come, or when `span` is over.
async fn outcome(
    client: &Client,
    stored: &StoredOrder,
    span: Duration,
) -> Result<OrderView, Failure> {
    let deadline = Instant::now() + Wait::from_millis(span.0);
    loop {
        let view = client.order_state(&stored.order).await?;
        let waits = match view.state {
            OrderState::Live | OrderState::Settling => true,
            OrderState::Done
            | OrderState::Settled
            | OrderState::Refunded
            | OrderState::Ended
            | OrderState::Refused => false,
        };
        if !waits || Instant::now() >= deadline {
            return Ok(view);
        }
        sleep(POLL).await;
    }
}

fn tell(
    id: &str,
    stored: &StoredOrder,
    receipt: &Receipt,
    outcome: Option<&OrderView>,
    output: Output,
) -> Result<(), Failure> {
    let sent = Sent { id, receipt, outcome };
    if output != Output::Table {
        output.done(&sent, "")?;
    } else {
        let again = if receipt.repeated { " (it had been accepted before)" } else { "" };
        line(format!("accepted{again}\norder       {}\nid          {id}", stored.order))?;
        let later = outcome.and_then(|view| view.settlement);
        if let Some(settlement) = receipt.settlement.or(later) {
            line(format!("settlement  {settlement}"))?;
        }
        if let Some(view) = outcome {
            line(format!("outcome     {}", super::order::state(view)))?;
        }
    }
    match outcome {
        Some(view) => super::order::failed(view).map_or(Ok(()), Err),
        None => Ok(()),
    }
}
