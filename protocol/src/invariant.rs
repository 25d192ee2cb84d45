//! What must hold of every validator's state after every record: the simulator checks it after
//! every step, an auditor may check it at any time. None of it reads a clock.

use std::collections::BTreeMap;

use crate::error::Fault;
use crate::settlement::Settlement;
use crate::types::{Amount, Domain, Uai, Ubi};
use crate::validator::State;

/// Checks everything.
///
/// # Errors
/// A fault that names the invariant that is broken and where.
pub fn check(state: &State) -> Result<(), Fault> {
    conservation(state)?;
    permissions(state)?;
    holds(state)?;
    correspondents(state)?;
    exposure(state)?;
    for (_, offer) in state.offers.sorted() {
        offer.check_invariants()?;
    }
    counts(state)
}

type Sums<K> = BTreeMap<K, Amount>;

fn add<K: Ord>(sums: &mut Sums<K>, key: K, amount: Amount) -> Result<(), Fault> {
    let sum = sums.entry(key).or_default();
    *sum = sum.plus(amount).ok_or_else(|| Fault::new("a sum of balances cannot be written"))?;
    Ok(())
}

/// Per asset: what holders have and what we owe peers is what we issued and what peers owe us.
///
/// # Errors
/// A fault that names the asset.
pub fn conservation(state: &State) -> Result<(), Fault> {
    let (mut owed, mut owned) = (Sums::<&Uai>::new(), Sums::<&Uai>::new());
    for (_, ledger) in state.books.ledgers.sorted() {
        for balance in ledger.balances() {
            add(&mut owed, &balance.asset, balance.free)?;
            add(&mut owed, &balance.asset, balance.held)?;
        }
    }
    for ((_, asset), correspondent) in &state.books.correspondents {
        add(&mut owed, asset, correspondent.owe)?;
        add(&mut owned, asset, correspondent.claim)?;
    }
    for (uai, asset) in &state.books.assets {
        add(&mut owned, uai, asset.outstanding())?;
        add(&mut owed, uai, Amount::ZERO)?;
    }
    for (asset, owed) in &owed {
        let owned = owned.get(asset).copied().unwrap_or_default();
        if *owed != owned {
            let domain = &state.domain;
            let what = format!("conservation at {domain}: {owed} owed, {owned} owned of {asset}");
            return Err(Fault::new(what));
        }
    }
    Ok(())
}

/// Nobody has what an asset's profile excludes them from, and all of it in whole denominations.
/// Holds because neither a profile nor a holder's tier and jurisdiction ever change.
///
/// # Errors
/// A fault that names the ledger.
pub fn permissions(state: &State) -> Result<(), Fault> {
    for (_, ledger) in state.books.ledgers.sorted() {
        for balance in ledger.balances() {
            let Some(asset) = state.books.assets.get(&balance.asset) else { continue };
            let all = balance.free.plus(balance.held).unwrap_or(Amount::MAX);
            if all.is_zero() {
                continue;
            }
            let profile = &asset.profile;
            let permitted = profile.check_holder(&state.domain, &ledger.parameters);
            let whole = [balance.free, balance.held].map(|part| profile.check_amount(part));
            for checked in whole.into_iter().chain([permitted]) {
                checked.map_err(|refusal| {
                    Fault::new(format!("{} has {}: {refusal}", ledger.holder, balance.asset))
                })?;
            }
        }
    }
    Ok(())
}

/// What offers, takes and payments hold, by ledger and asset: settlements only carry them.
///
/// # Errors
/// A fault when a sum cannot be written.
pub fn reasons_to_hold(state: &State) -> Result<BTreeMap<(Ubi, &Uai), Amount>, Fault> {
    let mut reasons = Sums::<(Ubi, &Uai)>::new();
    for (_, offer) in state.offers.sorted() {
        add(&mut reasons, (offer.ledger(), &offer.terms().give), offer.remaining())?;
    }
    for (_, take) in state.takes.sorted() {
        add(&mut reasons, (take.ledger, &take.pair.want), take.terms.pay)?;
    }
    for (_, known) in state.payments.sorted() {
        add(&mut reasons, (known.ledger, &known.payment.spend), known.payment.max_cost)?;
    }
    Ok(reasons)
}

/// What is held on each ledger is exactly what offers, takes and payments hold: nothing is
/// held twice and nothing is held for nobody.
///
/// # Errors
/// A fault that names the ledger.
pub fn holds(state: &State) -> Result<(), Fault> {
    let mut reasons = reasons_to_hold(state)?;
    for (ubi, ledger) in state.books.ledgers.sorted() {
        for balance in ledger.balances() {
            let reason = reasons.remove(&(*ubi, &balance.asset)).unwrap_or_default();
            if reason != balance.held {
                let (held, holder) = (balance.held, &ledger.holder);
                let what = format!("holds: {held} {} held at {holder}", balance.asset);
                return Err(Fault::new(format!("{what}, for {reason} there is a reason")));
            }
        }
    }
    match reasons.into_iter().find(|(_, amount)| !amount.is_zero()) {
        None => Ok(()),
        Some(((ubi, asset), amount)) => {
            Err(Fault::new(format!("holds: {amount} {asset} should be held at {ubi}")))
        }
    }
}

/// What is reserved of each credit limit is exactly what settlements with legs held will bring.
///
/// # Errors
/// A fault that names the peer and the asset.
pub fn correspondents(state: &State) -> Result<(), Fault> {
    let mut expected = Sums::<(&Domain, &Uai)>::new();
    let holding = |settlement: &&Settlement| settlement.holds_legs();
    let settlements = state.settlements.sorted();
    for settlement in settlements.iter().map(|(_, known)| *known).filter(holding) {
        for leg in &settlement.legs {
            if leg.to.domain == state.domain && leg.from.domain != state.domain {
                add(&mut expected, (&leg.from.domain, &leg.asset), leg.amount)?;
            }
        }
    }
    for ((peer, asset), correspondent) in &state.books.correspondents {
        let expected = expected.remove(&(peer, asset)).unwrap_or_default();
        if expected != correspondent.reserved {
            let reserved = correspondent.reserved;
            let what = format!("credit: {reserved} of {asset} reserved for {peer}");
            return Err(Fault::new(format!("{what}, {expected} is open")));
        }
        if !correspondent.owe.is_zero() && !correspondent.claim.is_zero() {
            return Err(Fault::new(format!("credit: {peer} both owes and is owed {asset}")));
        }
    }
    match expected.into_iter().next() {
        None => Ok(()),
        Some(((peer, asset), amount)) => {
            Err(Fault::new(format!("credit: {amount} of {asset} is open for {peer}")))
        }
    }
}

/// No peer owes us more than its limit, open settlements included. Holds as long as the
/// operator has not lowered a limit below what was owed already.
///
/// # Errors
/// A fault that names the peer and the asset.
pub fn exposure(state: &State) -> Result<(), Fault> {
    for ((peer, asset), correspondent) in &state.books.correspondents {
        let total = correspondent.exposure();
        if total > correspondent.limit {
            let limit = correspondent.limit;
            let what = format!("exposure to {peer}: {total} {asset}, limit {limit}");
            return Err(Fault::new(what));
        }
    }
    Ok(())
}

/// Ledgers and peers count the settlements that touch them.
///
/// # Errors
/// A fault that names the ledger or the peer.
pub fn counts(state: &State) -> Result<(), Fault> {
    let (mut ledgers, mut peers) = (BTreeMap::<Ubi, u32>::new(), BTreeMap::<&Domain, u32>::new());
    let mut askers = BTreeMap::<&Domain, u32>::new();
    for (_, settlement) in state.settlements.sorted() {
        if let Some(by) = &settlement.asked {
            let count = askers.entry(by).or_default();
            *count = count.saturating_add(1);
        }
        let shared = settlement.header.counted_with(&state.domain);
        for other in shared.filter(|_| settlement.asked.is_none()) {
            let count = peers.entry(other).or_default();
            *count = count.saturating_add(1);
        }
        if !settlement.holds_legs() {
            continue;
        }
        for account in settlement.legs.iter().flat_map(|leg| [&leg.from, &leg.to]) {
            if account.domain == state.domain {
                let count = ledgers.entry(account.ledger).or_default();
                *count = count.saturating_add(1);
            }
        }
    }
    for (ubi, ledger) in state.books.ledgers.sorted() {
        let counted = ledgers.get(ubi).copied().unwrap_or_default();
        if counted != ledger.settlements {
            let (holder, noted) = (&ledger.holder, ledger.settlements);
            return Err(Fault::new(format!("counts: {noted} of {counted} at {holder}")));
        }
    }
    for (domain, peer) in &state.peers {
        let counted = peers.get(domain).copied().unwrap_or_default();
        if counted != peer.open {
            return Err(Fault::new(format!("counts: {} of {counted} with {domain}", peer.open)));
        }
        let asked = askers.get(domain).copied().unwrap_or_default();
        if asked != peer.asked {
            return Err(Fault::new(format!("counts: {} of {asked} asked by {domain}", peer.asked)));
        }
    }
    Ok(())
}
