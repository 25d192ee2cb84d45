//! From rows and state to what travels.
//!
//! Pure functions: nothing here asks anybody or waits.

mod event;
mod market;
mod outlook;
mod settlement;

pub(crate) use event::event;
pub(super) use market::{book_entry, offer, order};
pub(super) use outlook::{RECOVERING, outlook};
pub(super) use settlement::{settlement, settlement_summary};

use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::identity::{Member, Role};
use quadrille_protocol::ledger::asset::Document;
use quadrille_protocol::ledger::correspondent::Correspondent;
use quadrille_protocol::ledger::opening::DailyLimit;
use quadrille_protocol::ledger::transaction::{Movement, MovementKind as Moved};
use quadrille_protocol::ledger::{Asset, Ledger, account};
use quadrille_protocol::types::{Country, Domain, Hash, Uai, Ubi};
use quadrille_protocol::validator::Validator;

use super::dto::{
    AssetView, BalanceView, Connection, DailyLimitView, DocumentView, EntryView, ExposureView,
    FeedView, LedgerStatus, LedgerView, MemberView, MovementKind, MovementView, PeerStanding,
    PeerView, Place, Reason, RulesView,
};
use super::ports::MeshPeer;
use crate::index::{self, EntryCause, EntryRow};

/// A count as JSON has it.
pub(super) fn count(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

pub(super) const fn place(place: index::Place) -> Place {
    Place { height: place.height, leaf: place.leaf }
}

fn reason_of(code: Code) -> Reason {
    Reason::from(&Refusal::new(code, ""))
}

pub(super) const fn ledger_status(status: account::Status) -> LedgerStatus {
    match status {
        account::Status::Open => LedgerStatus::Open,
        account::Status::Frozen => LedgerStatus::Frozen,
        account::Status::Closed => LedgerStatus::Closed,
    }
}

pub(super) fn ledger(ubi: Ubi, number: u32, ledger: &Ledger) -> LedgerView {
    let parameters = &ledger.parameters;
    let limit =
        |limit: &DailyLimit| DailyLimitView { asset: limit.asset.clone(), amount: limit.amount };
    let balance = |balance: &account::Balance| BalanceView {
        asset: balance.asset.clone(),
        free: balance.free,
        held: balance.held,
    };
    LedgerView {
        ledger: ubi,
        holder: ledger.holder.clone(),
        number,
        status: ledger_status(ledger.status),
        key: ledger.key,
        suite: parameters.suite.number(),
        tier: parameters.tier,
        jurisdiction: Some(parameters.jurisdiction).filter(|here| *here != Country::UNKNOWN),
        identity: Some(parameters.identity).filter(|hash| *hash != Hash::ZERO),
        rules: RulesView {
            assets: parameters.assets.to_vec(),
            daily_limits: parameters.daily_limits.iter().map(limit).collect(),
            second_key: parameters.second_key,
            backups: parameters.backups.to_vec(),
        },
        balances: ledger.balances().iter().map(balance).collect(),
        open_settlements: ledger.settlements,
        highest_nonce: ledger.highest_nonce(),
        sequence: ledger.sequence,
        head: ledger.head,
    }
}

pub(super) fn entry(row: &EntryRow) -> EntryView {
    let reason = match row.cause {
        EntryCause::OfferEnded { reason, .. }
        | EntryCause::TakeEnded { reason, .. }
        | EntryCause::PaymentEnded { reason, .. } => Some(reason_of(reason)),
        EntryCause::Opened
        | EntryCause::Ordered { .. }
        | EntryCause::Issued
        | EntryCause::Frozen
        | EntryCause::Unfrozen
        | EntryCause::Settled(_)
        | EntryCause::Refunded(_)
        | EntryCause::Traded { .. }
        | EntryCause::KeyReplaced => None,
    };
    EntryView {
        sequence: row.sequence,
        hash: row.hash,
        time: row.time,
        cause: row.cause.kind().to_owned(),
        order: row.cause.order(),
        settlement: row.cause.settlement(),
        reason,
        movements: row.movements.iter().map(movement).collect(),
        place: place(row.place),
    }
}

fn movement(movement: &Movement) -> MovementView {
    let kind = match movement.kind {
        Moved::Credit => MovementKind::Credit,
        Moved::Debit => MovementKind::Debit,
        Moved::Hold => MovementKind::Hold,
        Moved::Release => MovementKind::Release,
        Moved::Spend => MovementKind::Spend,
    };
    MovementView { asset: movement.asset.clone(), kind, amount: movement.amount }
}

pub(super) fn asset(own: &Domain, uai: &Uai, asset: &Asset) -> AssetView {
    let profile = &asset.profile;
    AssetView {
        asset: uai.clone(),
        code: profile.code,
        issuer: profile.issuer.clone(),
        name: profile.name.to_string(),
        decimals: profile.decimals,
        supply_limit: profile.supply_limit,
        terms: profile.terms,
        minimum_tier: profile.minimum_tier,
        denomination: profile.denomination,
        documents: profile.documents.iter().map(document).collect(),
        jurisdictions: profile.jurisdictions.to_vec(),
        holders: profile.holders.to_vec(),
        ours: profile.issuer == *own,
        locked: asset.locked,
        issued: asset.issued,
        redeemed: asset.redeemed,
        closed: asset.closed,
        here: None,
        places: Vec::new(),
    }
}

fn document(document: &Document) -> DocumentView {
    DocumentView { name: document.name.clone(), hash: document.hash }
}

pub(super) fn exposure(asset: &Uai, line: &Correspondent) -> ExposureView {
    ExposureView {
        asset: asset.clone(),
        owe: line.owe,
        claim: line.claim,
        reserved: line.reserved,
        limit: line.limit,
        headroom: line.headroom(),
    }
}

pub(super) fn peer(validator: &Validator, domain: &Domain, met: Option<&MeshPeer>) -> PeerView {
    let state = validator.state();
    let known = state.peer(domain);
    let lines = state.books.correspondents.iter().filter(|((peer, _), _)| peer == domain);
    let exposure: Vec<ExposureView> =
        lines.map(|((_, asset), line)| exposure(asset, line)).collect();
    let suspended = known.is_some_and(|known| known.suspended);
    let standing = if suspended || met.is_some_and(|met| met.blocked) {
        PeerStanding::Blocked
    } else if exposure.iter().any(|line| !line.limit.is_zero()) {
        PeerStanding::Trusted
    } else {
        PeerStanding::Member
    };
    let feed = known.map_or_else(FeedView::default, |known| FeedView {
        sent: known.sent,
        acknowledged: validator.acknowledged(domain),
        received: known.received,
    });
    PeerView {
        domain: domain.clone(),
        connection: met.map_or(Connection::Down, |met| met.connection),
        since: met.and_then(|met| met.since),
        address: met.and_then(|met| met.address.clone()),
        standing,
        suspended,
        score: met.map_or(0, |met| met.score),
        trouble: met.and_then(|met| met.trouble.clone()),
        feed,
        open_settlements: known.map_or(0, |known| known.open),
        exposure,
    }
}

pub(super) fn member(domain: &Domain, member: &Member) -> MemberView {
    let certificate = member.certificate();
    let role = |role: &Role| match role {
        Role::Validator => "validator",
        Role::Notary => "notary",
        Role::Observer => "observer",
        Role::Supervisor => "supervisor",
        Role::Authority => "authority",
    };
    let latest = member.latest().ok();
    MemberView {
        domain: domain.clone(),
        lei: certificate.lei.as_ref().map(ToString::to_string),
        roles: certificate.roles.iter().map(|one| role(one).to_owned()).collect(),
        epoch: latest.map(|(epoch, _)| epoch),
        suite: latest.map(|(_, record)| record.key.suite().number()),
        valid_from: Some(certificate.valid_from),
        valid_until: Some(certificate.valid_until),
        revoked: latest.is_some_and(|(_, record)| record.revoked.is_some()),
    }
}
