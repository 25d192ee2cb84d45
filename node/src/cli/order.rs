//! `quadrille order`: what has become of an order.

use quadrille_protocol::types::OrderId;

use super::Output;
use super::connect::{Connection, converse};
use super::exit::{Exit, Failure};
use super::output::or_dash;
use crate::api::dto::{OrderState, OrderView};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  quadrille order ord:53c1…          (all 64 digits)
  quadrille order ord:53c1… -o json")]
pub(super) struct Arguments {
    /// The order
    order: OrderId,
    #[command(flatten)]
    connection: Connection,
}

pub(super) fn run(arguments: &Arguments, output: Output) -> Result<(), Failure> {
    let client = arguments.connection.client()?;
    let view = converse(async { Ok(client.order_state(&arguments.order).await?) })?;
    let place = format!("height {}, leaf {}", view.place.height, view.place.leaf);
    output.one(
        &view,
        &[
            ("order", view.order.to_string()),
            ("ledger", view.ledger.to_string()),
            ("state", state(&view)),
            ("settlement", or_dash(view.settlement.as_ref())),
            ("since", format!("{} ({place})", view.time)),
            ("then", view.then.clone()),
        ],
    )
}

/// An order's state in words, with the reason where there is one.
pub(super) fn state(view: &OrderView) -> String {
    let word = match view.state {
        OrderState::Done => "done",
        OrderState::Live => "live",
        OrderState::Settling => "settling",
        OrderState::Settled => "settled",
        OrderState::Refunded => "refunded",
        OrderState::Ended => "ended",
        OrderState::Refused => "refused",
    };
    match &view.reason {
        Some(reason) if reason.what.is_empty() => {
            format!("{word}: {} {}", reason.code, reason.title)
        }
        Some(reason) => format!("{word}: {} {}: {}", reason.code, reason.title, reason.what),
        None => word.to_owned(),
    }
}

/// The failure of somebody who has waited for this outcome; `None` where it is not one.
pub(super) fn failed(view: &OrderView) -> Option<Failure> {
    match view.state {
        OrderState::Done | OrderState::Live | OrderState::Settling | OrderState::Settled => None,
        OrderState::Refunded | OrderState::Ended | OrderState::Refused => {
            let reason = view.reason.clone();
            let title = state(view);
            Some(Failure {
                code: reason.as_ref().map(|reason| reason.code.clone()).unwrap_or_default(),
                what: reason.as_ref().map(|reason| reason.what.clone()).unwrap_or_default(),
                remedy: reason.map_or_else(|| view.then.clone(), |reason| reason.remedy),
                title,
                exit: Exit::Refused,
            })
        }
    }
}
