//! `quadrille offer`.

use clap::Subcommand;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::ledger::Action;
use quadrille_protocol::market::{OfferTerms, TakeTerms};
use quadrille_protocol::settlement::Account;
use quadrille_protocol::types::{Amount, AssetPair, Bounded, Domain, Duration, OrderId, Uai, Ubi};

use super::amount::{Assets, read_number};
use super::connect::{Connection, converse};
use super::exit::Failure;
use super::ledger;
use super::output::{Output, short};
use super::span;
use super::submit::OrderOptions;
use super::trade::beginning;
use super::watch;
use crate::api::dto::{BookEntry, OfferState, OfferView};
use crate::client::Client;

/// Offers among which a take looks for the one that is named.
const BOOK_ROWS: usize = 65_536;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Offer an exchange; what is given is set aside
    #[command(after_help = "Examples:
  quadrille offer create --ledger alice@bank-a.example --id sale-1 \\
      --give \"10000000 BOND:bank-a.example\" --want \"9850000.00 EUR:bank-b.example\"
  quadrille offer create --ledger alice@bank-a.example --give \"100 BOND\" --want \"98.50 EUR\" \\
      --least 10 --expires 30m --window 2s --to bank-b.example --to bank-c.example")]
    Create(Box<Create>),
    /// List offers of the node's holders
    #[command(after_help = "Examples:
  quadrille offer list
  quadrille offer list --ledger alice@bank-a.example --all")]
    List {
        /// Of one ledger
        #[arg(long, value_name = "LEDGER")]
        ledger: Option<String>,
        /// Closed ones too
        #[arg(long)]
        all: bool,
        /// Most rows
        #[arg(long, default_value_t = 100)]
        limit: usize,
        #[command(flatten)]
        connection: Connection,
    },
    /// End an offer; what open settlements have reserved is settled or released as they end
    #[command(after_help = "Examples:
  quadrille offer cancel ord:53c1a0 --ledger alice@bank-a.example")]
    Cancel {
        /// The offer, or its first digits
        offer: String,
        #[command(flatten)]
        order: Box<OrderOptions>,
    },
    /// Take an offer; what is paid is set aside
    #[command(after_help = "Examples:
  quadrille offer take ord:53c1… --ledger bob@bank-b.example --id buy-1 --wait 30s
  quadrille offer take ord:53c1… --ledger bob@bank-b.example --amount 250 --pay 247.10
An offer of the book may be named by its first digits, like ord:53c1a0.")]
    Take(Box<Take>),
    /// Follow the offers that give and want something: those that are there, then every change
    #[command(after_help = "Examples:
  quadrille offer watch --give BOND:bank-a.example --want EUR:bank-b.example
  quadrille offer watch --want EUR:bank-b.example -o ndjson")]
    Watch(Box<watch::Arguments>),
}

#[derive(Debug, clap::Args)]
pub(super) struct Create {
    /// The most that is given: NUMBER ASSET
    #[arg(long, value_name = "AMOUNT")]
    give: String,
    /// What is wanted for all of it: NUMBER ASSET
    #[arg(long, value_name = "AMOUNT")]
    want: String,
    /// The numbers are of minor units
    #[arg(long)]
    minor: bool,
    /// The least of what is given in one take
    #[arg(long, value_name = "NUMBER", visible_alias = "minimum")]
    least: Option<String>,
    /// How long it stands
    #[arg(long, value_name = "SPAN", default_value = "1h", value_parser = span::argument)]
    expires: Duration,
    /// How long takes are gathered after the first before the best are selected
    #[arg(long, value_name = "SPAN", default_value = "0s", value_parser = span::argument)]
    window: Duration,
    /// Banks whose holders may take it; anybody when left out
    #[arg(long, value_name = "BANK", visible_alias = "only")]
    to: Vec<Domain>,
    /// A notary that is to decide, rather than the taker's bank
    #[arg(long, value_name = "DOMAIN")]
    notary: Option<Domain>,
    /// Receive somewhere else: a ledger of this bank, or ubi:…@BANK at another one
    #[arg(long, value_name = "LEDGER")]
    receive_at: Option<String>,
    #[command(flatten)]
    order: OrderOptions,
}

#[derive(Debug, clap::Args)]
pub(super) struct Take {
    /// The offer, or its first digits
    offer: String,
    /// How much of what the offer gives; all that is available when left out
    #[arg(long, value_name = "NUMBER")]
    amount: Option<String>,
    /// How much to pay for it; the offer's price when left out
    #[arg(long, value_name = "NUMBER")]
    pay: Option<String>,
    /// The numbers are of minor units
    #[arg(long)]
    minor: bool,
    /// How long the take stands
    #[arg(long, value_name = "SPAN", default_value = "2m", value_parser = span::argument)]
    expires: Duration,
    /// Wait for the outcome, at most so long
    #[arg(long, value_name = "SPAN", num_args = 0..=1, default_missing_value = "60s",
          value_parser = span::argument)]
    wait: Option<Duration>,
    /// Receive somewhere else: a ledger of this bank, or ubi:…@BANK at another one
    #[arg(long, value_name = "LEDGER")]
    receive_at: Option<String>,
    #[command(flatten)]
    order: OrderOptions,
}

pub(super) fn run(command: &Command, output: Output) -> Result<(), Failure> {
    match command {
        Command::Create(create) => create.run(output),
        Command::List { ledger, all, limit, connection } => {
            let client = connection.client()?;
            converse(async {
                let ledger = match ledger {
                    Some(text) => Some(ledger::resolve(&client, text).await?),
                    None => None,
                };
                let offers = client.offers(ledger.as_ref(), *all, *limit).await?;
                list(&offers, &Assets::fetch(&client).await?, output)
            })
        }
        Command::Cancel { offer, order } => {
            let intent = format!("offer cancel {offer}");
            order.submit(&intent, None, output, async |desk| {
                let offer = of_ledger(desk.client, &desk.ledger.ledger, offer).await?;
                Ok(Action::Cancel { offer })
            })
        }
        Command::Take(take) => take.run(output),
        Command::Watch(arguments) => watch::run(arguments, output),
    }
}

impl Create {
    fn run(&self, output: Output) -> Result<(), Failure> {
        let Self { give, want, minor, least, expires, window, to, notary, receive_at, order } =
            self;
        let intent = format!(
            "offer create --give {give} --want {want} --minor={minor} --least {} --expires {}ms \
             --window {}ms --to {} --notary {}{}",
            least.as_deref().unwrap_or("any"),
            expires.0,
            window.0,
            to.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
            notary.as_ref().map(ToString::to_string).unwrap_or_default(),
            also(receive_at.as_deref())
        );
        order.submit(&intent, None, output, async |desk| {
            let assets = Assets::fetch(desk.client).await?;
            let (give, give_amount) = assets.read(give, *minor)?;
            let (want, want_amount) = assets.read(want, *minor)?;
            let decimals = assets.find(&give.to_string())?.decimals;
            let least = least.as_deref().map(|text| read_number(text, decimals, *minor));
            let terms = OfferTerms {
                give,
                give_amount,
                want,
                want_amount,
                minimum_fill: least.transpose()?.unwrap_or(Amount::ZERO),
                expiry: desk.now.after(*expires),
                counterparties: Bounded::new(to.clone())?,
                notary: notary.clone(),
                selection_window: *window,
                receive: receive(desk.client, receive_at.as_deref()).await?,
            };
            // What the bank would refuse anyway is told before anything is signed.
            terms.check(desk.now)?;
            Ok(Action::Offer(terms))
        })
    }
}

impl Take {
    fn run(&self, output: Output) -> Result<(), Failure> {
        let Self { offer, amount, pay, minor, expires, wait, receive_at, order } = self;
        let intent = format!(
            "offer take {} --amount {} --pay {} --minor={minor} --expires {}ms{}",
            beginning(offer),
            amount.as_deref().unwrap_or("all"),
            pay.as_deref().unwrap_or("as asked"),
            expires.0,
            also(receive_at.as_deref())
        );
        order.submit(&intent, *wait, output, async |desk| {
            let assets = Assets::fetch(desk.client).await?;
            let entry = in_book(desk.client, offer).await?;
            let number = |text: &Option<String>, asset: &Uai| {
                let decimals = assets.find(&asset.to_string()).map(|view| view.decimals);
                let read = |text: &String| read_number(text, decimals?, *minor);
                text.as_ref().map(read).transpose()
            };
            let take = number(amount, &entry.give)?.unwrap_or(entry.available);
            let fair = || {
                let price = take.scaled_up(entry.want_amount, entry.give_amount);
                let whole = assets.find(&entry.want.to_string())?.denomination;
                price.and_then(|price| rounded_up(price, whole)).ok_or_else(|| {
                    Refusal::new(Code::AmountOverflow, format!("the price of {take}"))
                })
            };
            let pay = match number(pay, &entry.want)? {
                Some(pay) => pay,
                None => fair()?,
            };
            let terms = TakeTerms {
                offer: entry.offer,
                maker: entry.validator,
                take,
                pay,
                notary: entry.notary,
                expiry: desk.now.after(*expires).min(entry.expires),
                receive: receive(desk.client, receive_at.as_deref()).await?,
            };
            terms.check(desk.now)?;
            Ok(Action::Take { terms, pair: AssetPair { give: entry.give, want: entry.want } })
        })
    }
}

/// What the words of an order say of where its holder receives.
fn also(receive_at: Option<&str>) -> String {
    receive_at.map(|at| format!(" --receive-at {at}")).unwrap_or_default()
}

/// The ledger that is to receive: of this bank, or `ubi:…@BANK` at another one.
async fn receive(client: &Client, text: Option<&str>) -> Result<Option<Account>, Failure> {
    let Some(text) = text else { return Ok(None) };
    if let Some((ledger, domain)) = text.strip_prefix("ubi:").and_then(|_| text.split_once('@')) {
        return Ok(Some(Account { domain: domain.parse()?, ledger: ledger.parse()? }));
    }
    let ledger = ledger::resolve(client, text).await?;
    Ok(Some(Account { domain: client.status().await?.domain, ledger }))
}

/// The least multiple of `whole` that is not below `amount`.
fn rounded_up(amount: Amount, whole: Amount) -> Option<Amount> {
    let rest = amount.units().checked_rem(whole.units())?;
    if rest == 0 { Some(amount) } else { amount.plus(whole.minus(Amount::new(rest))?) }
}

/// The live offer of a ledger that `text` names, by all of its identifier or the beginning.
async fn of_ledger(client: &Client, ledger: &Ubi, text: &str) -> Result<OrderId, Failure> {
    if let Ok(id) = text.parse() {
        return Ok(id);
    }
    let offers = client.offers(Some(ledger), false, BOOK_ROWS).await?;
    one_of(text, offers.into_iter().map(|offer| (offer.offer, offer.offer)))
}

/// The offer of the book that `text` names, by all of its identifier or the beginning.
async fn in_book(client: &Client, text: &str) -> Result<BookEntry, Failure> {
    let entries = client.book(None, None, BOOK_ROWS).await?;
    one_of(text, entries.into_iter().map(|entry| (entry.offer, entry)))
}

/// The only one of `known` whose identifier begins with `text`.
fn one_of<T>(text: &str, known: impl Iterator<Item = (OrderId, T)>) -> Result<T, Failure> {
    let text = beginning(text);
    let mut found = known.filter(|(id, _)| text.len() > 4 && id.to_string().starts_with(text));
    match (found.next(), found.next()) {
        (Some((_, one)), None) => Ok(one),
        (None, _) => {
            let what = format!("`{text}` is not there, or not any more");
            Err(Refusal::new(Code::UnknownOffer, what).into())
        }
        (Some((first, _)), Some((second, _))) => {
            let (first, second) = (short(&first), short(&second));
            Err(Failure::usage(format!("`{text}` begins several offers: {first}, {second}")))
        }
    }
}

fn list(offers: &[OfferView], assets: &Assets, output: Output) -> Result<(), Failure> {
    let columns = ["OFFER", "STATE", "GIVES", "FOR", "LEFT", "RESERVED", "TAKES", "EXPIRES"];
    output.list(offers, &columns, |offer| {
        vec![
            short(&offer.offer),
            state(offer.state).to_owned(),
            assets.show(&offer.give, offer.give_amount),
            assets.show(&offer.want, offer.want_amount),
            assets.show(&offer.give, offer.remaining),
            assets.show(&offer.give, offer.reserved),
            offer.waiting.len().to_string(),
            offer.expires.to_string(),
        ]
    })
}

const fn state(state: OfferState) -> &'static str {
    match state {
        OfferState::Live => "live",
        OfferState::Cancelled => "cancelled",
        OfferState::Expired => "expired",
        OfferState::Filled => "filled",
    }
}
