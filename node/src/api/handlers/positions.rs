//! Positions, breaks, netting, settling up.
//!
//! ```text
//!   net: ask ourselves and our creditors, then theirs, whom they owe   (mesh)
//!        find rings through us                                         (payment::netting)
//!        propose each over the transit ledgers that its parties named  (Command::Net)
//! ```
//!
//! Invariant: what others say of their debts only decides what is proposed; each party's core
//! checks its own two debts.

use std::collections::{BTreeMap, BTreeSet};

use axum::Json;
use axum::extract::State;
use futures::future::join_all;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::ledger::Correspondent;
use quadrille_protocol::ledger::mirror::Position;
use quadrille_protocol::limits;
use quadrille_protocol::payment::netting::{Debts, Obligation, Standing, find_cycles};
use quadrille_protocol::settlement::Account;
use quadrille_protocol::types::{Amount, Domain, Uai};
use quadrille_protocol::validator::{Command, Validator};
use serde::Deserialize;
use utoipa::IntoParams;

use super::super::dto::{
    BreakView, CycleView, Explanation, NettingRequest, NettingSwitch, NettingView, Page,
    PositionView, Reason, Receipt, ReconciledView, SettleUp, SideView, SilentView, StandingView,
    StandingsView,
};
use super::super::extract::{Body, Params, Segments};
use super::super::problem::Answered;
use super::super::state::Shared;
use super::super::view;
use super::Wanted;
use super::peers::line_after;

/// Domains that one netting asks for their debts.
const ASKED: usize = 64;

/// Which positions.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct PositionsQuery {
    /// Only with this peer.
    #[param(value_type = Option<String>)]
    domain: Option<Domain>,
    /// Only in this asset.
    #[param(value_type = Option<String>)]
    asset: Option<Uai>,
    /// How many items at most: 1 to 200, 50 when it is left out.
    limit: Option<usize>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// What we and each peer owe each other, the limits, and how the books compare; sorted by peer
/// and asset.
#[utoipa::path(get, path = "/v1/positions", tag = "positions", params(PositionsQuery),
    responses((status = 200, body = Page<PositionView>)))]
pub(in super::super) async fn list(
    State(api): State<Shared>,
    Params(query): Params<PositionsQuery>,
) -> Answered<Json<Page<PositionView>>> {
    let wanted = Wanted::of(query.limit, query.cursor)?;
    let after = line_after(&wanted)?;
    let page = api.look(move |validator| {
        let lines = validator.state().books.correspondents.iter();
        let rest = lines.filter(|(key, _)| {
            after.as_ref().is_none_or(|after| *key > after)
                && query.domain.as_ref().is_none_or(|domain| key.0 == *domain)
                && query.asset.as_ref().is_none_or(|asset| key.1 == *asset)
        });
        let page = wanted.take(rest, |((domain, asset), _)| format!("{domain}/{asset}"));
        let items = page.items.iter().map(|((domain, asset), line)| position(domain, asset, line));
        Page { items: items.collect(), next: page.next }
    });
    Ok(Json(page.await?))
}

fn position(domain: &Domain, asset: &Uai, line: &Correspondent) -> PositionView {
    let side = |known: &Position| SideView {
        owe: known.owe,
        claim: known.claim,
        booked: known.count.to_string(),
    };
    PositionView {
        domain: domain.clone(),
        exposure: view::exposure(asset, line),
        booked: line.mirror.count.to_string(),
        reconciled: line
            .mirror
            .reconciled
            .map(|known| ReconciledView { at: known.at, booked: known.count.to_string() }),
        broken: line
            .mirror
            .broken
            .as_ref()
            .map(|known| BreakView { ours: side(&known.ours), theirs: side(&known.theirs) }),
    }
}

/// What we owe and are owed over all peers, per asset.
#[utoipa::path(get, path = "/v1/standings", tag = "positions",
    responses((status = 200, body = StandingsView)))]
pub(in super::super) async fn standings(
    State(api): State<Shared>,
) -> Answered<Json<StandingsView>> {
    let view = api.look(|validator| {
        let state = validator.state();
        let mut totals: BTreeMap<&Uai, Standing> = BTreeMap::new();
        let mut breaks = 0_u32;
        for ((_, asset), line) in &state.books.correspondents {
            let total = totals.entry(asset).or_default();
            total.owes = total.owes.plus(line.owe).unwrap_or(Amount::MAX);
            total.owed = total.owed.plus(line.claim).unwrap_or(Amount::MAX);
            breaks = breaks.saturating_add(u32::from(line.mirror.broken.is_some()));
        }
        let totals = totals.iter().map(|(asset, total)| standing(&state.domain, asset, total));
        StandingsView { netting: state.netting, breaks, totals: totals.collect() }
    });
    Ok(Json(view.await?))
}

fn standing(domain: &Domain, asset: &Uai, known: &Standing) -> StandingView {
    StandingView {
        domain: domain.clone(),
        asset: asset.clone(),
        owes: known.owes,
        owed: known.owed,
        gross: known.gross(),
        net: known.net(),
    }
}

/// Explains a break: new exposure to the peer in the asset is allowed again.
#[utoipa::path(post, path = "/v1/positions/{domain}/{asset}/explain", tag = "positions",
    request_body = Explanation,
    params(("domain" = String, Path, description = "The peer"),
        ("asset" = String, Path, description = "The asset, `#` written %23")),
    responses((status = 200, body = Receipt)))]
pub(in super::super) async fn explain(
    State(api): State<Shared>,
    Segments(peer, asset): Segments<Domain, Uai>,
    Body(Explanation { note }): Body<Explanation>,
) -> Answered<Json<Receipt>> {
    Ok(Json(api.command(Command::ExplainBreak { peer, asset, note }).await?))
}

/// Takes part in netting and settling up from here on, or no longer.
#[utoipa::path(put, path = "/v1/netting", tag = "positions", request_body = NettingSwitch,
    responses((status = 200, body = Receipt)))]
pub(in super::super) async fn switch(
    State(api): State<Shared>,
    Body(NettingSwitch { on }): Body<NettingSwitch>,
) -> Answered<Json<Receipt>> {
    Ok(Json(api.command(Command::SetNetting(on)).await?))
}

/// Looks for rings of debts through this bank and cancels them, each in one settlement. The
/// answer comes when they are proposed; each settlement says how it ends.
#[utoipa::path(post, path = "/v1/netting", tag = "positions", request_body = NettingRequest,
    responses((status = 200, body = NettingView)))]
pub(in super::super) async fn net(
    State(api): State<Shared>,
    Body(NettingRequest { asset, dry_run }): Body<NettingRequest>,
) -> Answered<Json<NettingView>> {
    let gathered = gather(&api, &asset).await?;
    let mut debts = Debts::of(&asset, &gathered.obligations);
    let shown = |debts: &Debts| -> Vec<StandingView> {
        let all = debts.standings();
        all.iter().map(|(domain, known)| standing(domain, &asset, known)).collect()
    };
    let before = shown(&debts);
    let mut cycles = Vec::new();
    for cycle in find_cycles(&gathered.own, &asset, &gathered.obligations) {
        debts.cancel(&cycle);
        let (parties, amount) = (cycle.parties, cycle.amount);
        let proposed = match dry_run {
            true => Ok(None),
            false => propose(&api, &asset, &gathered, &parties, amount).await,
        };
        let (settlement, refused) = match proposed {
            Ok(receipt) => (receipt.and_then(|receipt| receipt.settlement), None),
            Err(error) => (None, Some(error.reason())),
        };
        cycles.push(CycleView { parties, amount, settlement, refused });
    }
    Ok(Json(NettingView { cycles, before, after: shown(&debts), silent: gathered.silent }))
}

async fn propose(
    api: &Shared,
    asset: &Uai,
    gathered: &Gathered,
    parties: &[Domain],
    amount: Amount,
) -> Answered<Option<Receipt>> {
    let accounts = parties.iter().map(|party| gathered.transit(party)).collect::<Result<_, _>>()?;
    let command = Command::Net { asset: asset.clone(), cycle: accounts, amount };
    api.command(command).await.map(Some)
}

/// Pays a debt with a claim on a third domain that the peer accepts, or with what that domain
/// lends us: all of it in one settlement.
#[utoipa::path(post, path = "/v1/settle-up", tag = "positions", request_body = SettleUp,
    responses((status = 200, body = Receipt)))]
pub(in super::super) async fn settle_up(
    State(api): State<Shared>,
    Body(SettleUp { peer, asset, amount, through }): Body<SettleUp>,
) -> Answered<Json<Receipt>> {
    if amount.is_zero() {
        return Err(Refusal::new(Code::ZeroAmount, "").into());
    }
    // Before anybody is asked: nobody answers a question to itself.
    let own = api.node.core.domain();
    if peer == own || through == own || peer == through {
        let what = format!("{own}, {peer}, {through}");
        return Err(Refusal::new(Code::BadCycle, what).into());
    }
    let mut gathered = own_debts(&api, &asset).await?;
    for domain in [&peer, &through] {
        let owing = api.node.mesh.owing(domain, &asset).await?;
        gathered.note(domain, &asset, owing);
    }
    let parties = [gathered.own.clone(), peer, through];
    let receipt = propose(&api, &asset, &gathered, &parties, amount).await?;
    Ok(Json(receipt.unwrap_or_default()))
}

/// What was told of debts, and over which ledgers they can be netted.
struct Gathered {
    own: Domain,
    obligations: Vec<Obligation>,
    transit: BTreeMap<Domain, Account>,
    silent: Vec<SilentView>,
}

impl Gathered {
    fn note(&mut self, domain: &Domain, asset: &Uai, owing: crate::mesh::ask::Owing) {
        if let Some(ledger) = owing.transit {
            self.transit.insert(domain.clone(), Account { domain: domain.clone(), ledger });
        }
        self.obligations.extend(owing.creditors.iter().map(|(creditor, amount)| Obligation {
            debtor: domain.clone(),
            creditor: creditor.clone(),
            asset: asset.clone(),
            amount: *amount,
        }));
    }

    fn transit(&self, domain: &Domain) -> Result<Account, Refusal> {
        let known = self.transit.get(domain).cloned();
        known.ok_or_else(|| Refusal::new(Code::NettingOff, format!("{domain} names no ledger")))
    }
}

/// Our own debts.
async fn own_debts(api: &Shared, asset: &Uai) -> Answered<Gathered> {
    let wanted = asset.clone();
    let (own, owing) = api
        .look(move |validator: &Validator| {
            let owing = crate::runtime::owing(validator, &wanted)?;
            Ok::<_, Refusal>((validator.state().domain.clone(), owing))
        })
        .await??;
    let (obligations, transit, silent) = (Vec::new(), BTreeMap::new(), Vec::new());
    let mut gathered = Gathered { own: own.clone(), obligations, transit, silent };
    gathered.note(&own, asset, owing);
    Ok(gathered)
}

/// Our own debts, our creditors', and so on as far as a ring can reach.
async fn gather(api: &Shared, asset: &Uai) -> Answered<Gathered> {
    let mut gathered = own_debts(api, asset).await?;
    let mut asked = BTreeSet::from([gathered.own.clone()]);
    for _ in 1..limits::AGREEMENT_PARTIES {
        let creditors = gathered.obligations.iter().map(|known| known.creditor.clone());
        let mut next: BTreeSet<Domain> = creditors.filter(|one| !asked.contains(one)).collect();
        while asked.len().saturating_add(next.len()) > ASKED && next.pop_last().is_some() {}
        if next.is_empty() {
            break;
        }
        let answers = next.iter().map(|domain| api.node.mesh.owing(domain, asset));
        let answers = join_all(answers).await;
        for (domain, answer) in next.iter().zip(answers) {
            match answer {
                Ok(owing) => gathered.note(domain, asset, owing),
                Err(refusal) => gathered
                    .silent
                    .push(SilentView { domain: domain.clone(), reason: Reason::from(&refusal) }),
            }
        }
        asked.extend(next);
    }
    Ok(gathered)
}
