//! `quadrille payment`: what has become of a payment.

use clap::Subcommand;
use quadrille_protocol::types::OrderId;

use super::Output;
use super::amount::Assets;
use super::connect::{Connection, converse};
use super::exit::Failure;
use super::output::short;
use crate::api::dto::{PaymentState, PaymentView, TryView};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show a payment: the ways tried, every signed refusal, who is awaited and what happens then
    #[command(after_help = "Examples:
  quadrille payment show ord:53c1…          (all 64 digits)
  quadrille payment show ord:53c1… -o json")]
    Show {
        /// The payment: its order
        order: OrderId,
        #[command(flatten)]
        connection: Connection,
    },
}

pub(super) fn run(command: &Command, output: Output) -> Result<(), Failure> {
    let Command::Show { order, connection } = command;
    let client = connection.client()?;
    converse(async {
        let view = client.payment(order).await?;
        let assets = Assets::fetch(&client).await?;
        output.one(&view, &facts(&view, &assets))
    })
}

fn facts(view: &PaymentView, assets: &Assets) -> Vec<(&'static str, String)> {
    let state = match view.state {
        PaymentState::Refused => "refused",
        PaymentState::Trying => "trying",
        PaymentState::Paid => "paid",
        PaymentState::Settled => "settled",
        PaymentState::Refunded => "refunded",
    };
    let state = match &view.reason {
        Some(reason) => format!("{state}: {} {}: {}", reason.code, reason.title, reason.what),
        None => state.to_owned(),
    };
    let mut facts = vec![("payment", view.order.to_string()), ("state", state)];
    if let Some(terms) = &view.terms {
        let to = format!("{}@{}", terms.to_ledger, terms.to_domain);
        facts.push(("arrives", assets.show(&terms.asset, terms.amount)));
        facts.push(("to", to));
        facts.push(("at most", assets.show(&terms.spend, terms.max_cost)));
        facts.extend(view.cost.map(|cost| ("cost", assets.show(&terms.spend, cost))));
    }
    let tries: Vec<String> = view.tries.iter().map(|one| try_words(one, view.planned)).collect();
    facts.push(("ways", if tries.is_empty() { "-".to_owned() } else { tries.join("\n") }));
    if !view.awaiting.is_empty() {
        let awaited: Vec<String> = view.awaiting.iter().map(ToString::to_string).collect();
        facts.push(("awaiting", awaited.join(", ")));
    }
    facts.extend(view.until.map(|until| ("until", until.to_string())));
    facts.push(("then", view.then.clone()));
    facts
}

fn try_words(one: &TryView, planned: u32) -> String {
    let parties: Vec<String> = one.parties.iter().map(ToString::to_string).collect();
    let outcome = match one.settled {
        Some(true) => "settled",
        Some(false) => "refunded",
        None => "open",
    };
    let mut words = format!(
        "{} of {planned}: {} over {}: {outcome}",
        one.number,
        short(&one.settlement),
        parties.join(", ")
    );
    for refusal in &one.refusals {
        let (reason, place) = (&refusal.reason, refusal.place);
        words.push_str(&format!(
            "\n  {} refused: {} {} {} (evidence: height {}, leaf {})",
            refusal.by, reason.code, reason.title, reason.what, place.height, place.leaf
        ));
    }
    words
}
