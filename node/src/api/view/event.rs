//! Events of the log as they travel.

use quadrille_protocol::error::{Code, Refusal};

use super::super::dto::{EventKind, EventView, Place, Reason};
use crate::index::{Event, EventKind as Was};

/// An event. Longer than a function should be, because it is one match over every kind.
#[expect(clippy::too_many_lines, reason = "one match over every kind")]
pub(crate) fn event(event: &Event) -> EventView {
    let place = Place { height: event.id.height, leaf: event.id.leaf };
    let blank = |kind| EventView::blank(kind, event.time, Some(place));
    match &event.kind {
        Was::Entry { ledger, sequence, cause, order, settlement } => EventView {
            ledger: Some(*ledger),
            sequence: Some(*sequence),
            what: Some(cause.clone()),
            order: *order,
            settlement: *settlement,
            ..blank(EventKind::LedgerEntry)
        },
        Was::OrderRefused { ledger, order, code, refusal } => EventView {
            ledger: Some(*ledger),
            order: Some(*order),
            reason: reason(code, refusal),
            ..blank(EventKind::OrderRefused)
        },
        Was::TakeRefused { order, offer: _, by, code, refusal } => EventView {
            order: Some(*order),
            domain: Some(by.clone()),
            reason: reason(code, refusal),
            ..blank(EventKind::TakeRefused)
        },
        Was::OfferPosted { offer, version: _, remaining, pair } => EventView {
            order: Some(*offer),
            give: Some(pair.give.clone()),
            want: Some(pair.want.clone()),
            amount: Some(*remaining),
            ..blank(EventKind::OfferPosted)
        },
        Was::OfferClosed { offer, code, pair } => EventView {
            order: Some(*offer),
            give: Some(pair.give.clone()),
            want: Some(pair.want.clone()),
            what: Some(ending_of(code).to_owned()),
            reason: reason(code, ""),
            ..blank(EventKind::OfferClosed)
        },
        Was::SettlementStep { settlement, step, by, reason: why } => EventView {
            settlement: Some(*settlement),
            what: Some(step.clone()),
            domain: Some(by.clone()),
            reason: why.as_deref().and_then(|why| reason(why.get(..CODE_BYTES)?, why)),
            ..blank(EventKind::SettlementStep)
        },
        Was::SettlementFinal { settlement, outcome } => EventView {
            settlement: Some(*settlement),
            what: Some(outcome.clone()),
            ..blank(EventKind::SettlementFinal)
        },
        Was::PeerSuspended { peer } => {
            EventView { domain: Some(peer.clone()), ..blank(EventKind::PeerSuspended) }
        }
        Was::PeerLifted { peer } => {
            EventView { domain: Some(peer.clone()), ..blank(EventKind::PeerLifted) }
        }
        Was::CreditLimit { peer, asset, limit } => EventView {
            domain: Some(peer.clone()),
            asset: Some(asset.clone()),
            amount: Some(*limit),
            ..blank(EventKind::TrustChanged)
        },
        Was::MemberAdmitted { domain } => EventView {
            domain: Some(domain.clone()),
            what: Some("admitted".to_owned()),
            ..blank(EventKind::MemberChanged)
        },
        Was::MemberRotated { domain } => EventView {
            domain: Some(domain.clone()),
            what: Some("rotated".to_owned()),
            ..blank(EventKind::MemberChanged)
        },
        Was::MemberRevoked { domain } => EventView {
            domain: Some(domain.clone()),
            what: Some("revoked".to_owned()),
            ..blank(EventKind::MemberChanged)
        },
        Was::AssetRegistered { asset } => EventView {
            asset: Some(asset.clone()),
            what: Some("registered".to_owned()),
            ..blank(EventKind::AssetChanged)
        },
        Was::AssetLocked { asset, locked } => EventView {
            asset: Some(asset.clone()),
            what: Some(if *locked { "locked" } else { "unlocked" }.to_owned()),
            ..blank(EventKind::AssetChanged)
        },
        Was::AssetClosed { asset } => EventView {
            asset: Some(asset.clone()),
            what: Some("closed".to_owned()),
            ..blank(EventKind::AssetChanged)
        },
        Was::AssetAttested { asset, holders } => EventView {
            asset: Some(asset.clone()),
            what: Some("attested".to_owned()),
            amount: Some(*holders),
            ..blank(EventKind::AssetChanged)
        },
        Was::RecoveryStarted { lost_height } => EventView {
            what: Some(format!("up to height {lost_height}")),
            ..blank(EventKind::RecoveryStarted)
        },
        Was::RecoveryRecord { kind, height } => EventView {
            what: Some(format!("{kind} of height {height}")),
            ..blank(EventKind::RecoveryRecord)
        },
        Was::RecoveryDone {} => blank(EventKind::RecoveryDone),
        Was::BooksBroken { peer, asset } => EventView {
            domain: Some(peer.clone()),
            asset: Some(asset.clone()),
            ..blank(EventKind::BooksBroken)
        },
        Was::BooksExplained { peer, asset, note } => EventView {
            domain: Some(peer.clone()),
            asset: Some(asset.clone()),
            what: Some(note.clone()),
            ..blank(EventKind::BooksExplained)
        },
        Was::NettingChanged { on } => EventView {
            what: Some(if *on { "on" } else { "off" }.to_owned()),
            ..blank(EventKind::NettingChanged)
        },
    }
}

/// How an offer ended, by the code with which it was closed: one of which nothing is left is
/// known to nobody any more.
fn ending_of(code: &str) -> &'static str {
    match code.parse() {
        Ok(Code::UnknownOffer) => "filled",
        Ok(Code::OfferCancelled) => "cancelled",
        Ok(Code::OfferExpired) => "expired",
        Ok(_) | Err(_) => "closed",
    }
}

/// Length of `Q-1042`.
const CODE_BYTES: usize = 6;

/// A reason by the text of its code, and the refusal's own text where there is one.
fn reason(code: &str, text: &str) -> Option<Reason> {
    let code: Code = code.parse().ok()?;
    let head = format!("{code} {}: ", code.title());
    let what = text.strip_prefix(&head).unwrap_or_default();
    Some(Reason::from(&Refusal::new(code, what)))
}
