//! The audit of what holders and issuers have laid down: keys, limits, who may have an asset.

use std::collections::BTreeMap;

use quadrille_protocol::crypto::suite::PublicKey;
use quadrille_protocol::ledger::AssetProfile;
use quadrille_protocol::ledger::opening::{DailyLimit, Opening, Rules};
use quadrille_protocol::ledger::order::{Action, VerifiedOrder};
use quadrille_protocol::ledger::transaction::{Cause, Entry, MovementKind, Transaction};
use quadrille_protocol::types::{Amount, Country, Domain, KeyId, Time, Uai, Ubi};

use super::super::broken::Checked;
use crate::demand;

/// What one ledger's holder has laid down, and what the bank has done with it.
#[derive(Debug, Clone)]
struct LedgerRules {
    tier: u8,
    jurisdiction: Country,
    key: KeyId,
    second: Option<KeyId>,
    limits: Vec<DailyLimit>,
    /// Per asset, what was ordered away on which day.
    spent: BTreeMap<Uai, (u64, u128)>,
    open: bool,
}

/// The rules of one domain's ledgers and of the assets that it knows.
#[derive(Debug, Clone, Default)]
pub struct RulesAudit {
    ledgers: BTreeMap<Ubi, LedgerRules>,
    assets: BTreeMap<Uai, AssetProfile>,
}

impl LedgerRules {
    fn opened(opening: &Opening) -> Self {
        let mut rules = Self {
            tier: opening.tier,
            jurisdiction: opening.jurisdiction,
            key: opening.key.id(),
            second: None,
            limits: Vec::new(),
            spent: BTreeMap::new(),
            open: true,
        };
        rules.amend(&opening.rules);
        rules
    }

    fn amend(&mut self, rules: &Rules) {
        self.second = rules.second_key.as_ref().map(PublicKey::id);
        self.limits = rules.daily_limits.to_vec();
    }

    fn limit(&self, asset: &Uai) -> Option<Amount> {
        self.limits.iter().find(|limit| limit.asset == *asset).map(|limit| limit.amount)
    }

    /// Adds up what is ordered away; the sum of the day.
    fn spend(&mut self, asset: &Uai, amount: Amount, time: Time) -> u128 {
        let (day, sum) = self.spent.entry(asset.clone()).or_default();
        if *day != time.day() {
            (*day, *sum) = (time.day(), 0);
        }
        *sum += amount.units();
        *sum
    }
}

impl RulesAudit {
    pub fn note_asset(&mut self, profile: &AssetProfile) {
        self.assets.insert(profile.uai(), profile.clone());
    }

    pub fn check_open(&self, domain: &Domain, ledger: &Ubi, what: &str) -> Checked {
        let open = self.ledgers.get(ledger).is_none_or(|rules| rules.open);
        demand!(open, "a frozen ledger takes no new locks", "{domain} {what}: {ledger}");
        Ok(())
    }

    /// A transaction, after it was booked. What is given back after a loss was held against the
    /// rules when it was first written: then only what follows from it is noted.
    pub fn read(&mut self, domain: &Domain, transaction: &Transaction, strict: bool) -> Checked {
        if let Cause::Opened(signed) = &transaction.cause {
            self.ledgers.insert(signed.opening.ubi(), LedgerRules::opened(&signed.opening));
        }
        for entry in &transaction.entries {
            self.check_movements(domain, entry, &transaction.cause, strict)?;
        }
        match &transaction.cause {
            Cause::Ordered(order) => self.ordered(domain, order, transaction.time, strict)?,
            Cause::Frozen | Cause::Unfrozen => {
                let open = matches!(transaction.cause, Cause::Unfrozen);
                for entry in &transaction.entries {
                    if let Some(rules) = self.ledgers.get_mut(&entry.ledger) {
                        rules.open = open;
                    }
                }
            }
            Cause::KeyReplaced(replaced) => {
                let replacement = &replaced.signed.replacement;
                if let Some(rules) = self.ledgers.get_mut(&replacement.ledger) {
                    rules.key = replacement.key.id();
                }
            }
            Cause::Opened(_)
            | Cause::Issued(_)
            | Cause::Settled(_)
            | Cause::Refunded(_)
            | Cause::Traded { .. }
            | Cause::OfferEnded { .. }
            | Cause::TakeEnded { .. }
            | Cause::PaymentEnded { .. } => {}
        }
        Ok(())
    }

    fn check_movements(
        &self,
        domain: &Domain,
        entry: &Entry,
        cause: &Cause,
        strict: bool,
    ) -> Checked {
        let Some(rules) = self.ledgers.get(&entry.ledger) else { return Ok(()) };
        // What was promised before a freeze is still kept.
        let at_once = matches!(cause, Cause::Ordered(_) | Cause::Issued(_) | Cause::Traded { .. });
        for movement in &entry.movements {
            let credit = movement.kind == MovementKind::Credit;
            if credit && at_once && strict {
                self.check_open(domain, &entry.ledger, "credits")?;
            }
            let Some(profile) = self.assets.get(&movement.asset) else { continue };
            let whole = movement.amount.units().is_multiple_of(profile.denomination.units());
            demand!(whole, "whole denominations move", "{domain} {}: {movement:?}", entry.ledger);
            let country = &profile.jurisdictions;
            let permitted = rules.tier >= profile.minimum_tier
                && (country.is_empty() || country.contains(&rules.jurisdiction))
                && (profile.holders.is_empty() || profile.holders.contains(domain));
            demand!(
                permitted || !credit,
                "only whom the profile permits gets an asset",
                "{domain} credits {} with {}",
                entry.ledger,
                movement.asset
            );
        }
        Ok(())
    }

    fn ordered(
        &mut self,
        domain: &Domain,
        order: &VerifiedOrder,
        time: Time,
        strict: bool,
    ) -> Checked {
        let ledger = order.order().ledger;
        let Some(rules) = self.ledgers.get_mut(&ledger) else { return Ok(()) };
        demand!(
            *order.key() == rules.key || !strict,
            "only the ledger's key orders",
            "{domain} {ledger}: {}",
            order.key()
        );
        let leaves = match &order.order().action {
            Action::Pay(payment) => Some((&payment.spend, payment.max_cost)),
            Action::Offer(terms) => Some((&terms.give, terms.give_amount)),
            Action::Take { terms, pair } => Some((&pair.want, terms.pay)),
            Action::Redeem { asset, amount } => Some((asset, *amount)),
            Action::Cancel { .. } => None,
            Action::Amend(new) => {
                rules.amend(new);
                None
            }
            Action::RotateKey { key } => {
                rules.key = key.id();
                None
            }
            Action::Close => {
                rules.open = false;
                None
            }
        };
        let Some((asset, amount)) = leaves else { return Ok(()) };
        let Some(limit) = rules.limit(asset) else { return Ok(()) };
        let total = rules.spend(asset, amount, time);
        let signed = rules.second.is_some() && order.second_key() == rules.second.as_ref();
        demand!(
            total <= limit.units() || signed || !strict,
            "above the limit the second key signs",
            "{domain} {ledger}: {total} of {asset} today, limit {limit}"
        );
        Ok(())
    }
}
