//! The life of an asset at its issuer, what holders of it are told, and keys that were lost.

use super::Validator;
use super::input::Accepted;
use super::orders::Failure;
use crate::error::{Code, Refusal};
use crate::ledger::account::Status;
use crate::ledger::replacement::{KeyReplaced, Replacement, VerifiedReplacement};
use crate::ledger::supply::Attestation;
use crate::ledger::transaction::{Cause, ContraAccount, MovementKind, Side};
use crate::ledger::{Ledger, Postings};
use crate::log::Record;
use crate::sabotage::{Bug, planted};
use crate::types::{Amount, Detail, Hash, Time, Uai, Ubi};

impl Validator {
    pub(super) fn check_issuer(&self, asset: &Uai) -> Result<(), Refusal> {
        self.state.books.asset(asset)?;
        if *asset.issuer() != self.state.domain {
            crate::refuse!(NotIssuer, "{}", asset.issuer());
        }
        Ok(())
    }

    pub(super) fn issue(
        &mut self,
        now: Time,
        asset: &Uai,
        ledger: Ubi,
        amount: Amount,
        name: Option<Hash>,
    ) -> Result<Accepted, Failure> {
        self.check_issuer(asset)?;
        let named = self.state.books.asset(asset)?;
        if let Some(done) = name.and_then(|name| named.named_issue(&name)) {
            if (done.ledger, done.amount) != (ledger, amount) {
                let what = format!("it issued {} to {}", done.amount, done.ledger);
                return Err(Refusal::new(Code::IssueNameUsed, what).into());
            }
            let ledger = Some(ledger);
            return Ok(Accepted { ledger, repeated: true, ..Accepted::default() });
        }
        if amount.is_zero() {
            return Err(Refusal::new(Code::ZeroAmount, "to issue").into());
        }
        if named.closed {
            return Err(Refusal::new(Code::AssetClosed, asset.to_string()).into());
        }
        named.profile.check_amount(amount)?;
        self.check_receipt(&ledger, asset)?;
        let known = self.state.books.asset(asset)?;
        let total = known.outstanding().try_plus(amount)?;
        known.issued.try_plus(amount)?;
        if let Some(limit) = known.profile.supply_limit.filter(|limit| total > *limit) {
            return Err(Refusal::new(Code::SupplyExceeded, format!("{total} of {limit}")).into());
        }
        let postings = Postings::new().with(ledger, MovementKind::Credit, asset, amount).against(
            ContraAccount::Issuance,
            Side::Debit,
            asset,
            amount,
        );
        let transaction = self.state.books.draw_up(Cause::Issued(name), now, &[], postings)?;
        let leaf = self.post(transaction)?;
        Ok(Accepted { ledger: Some(ledger), leaf: Some(leaf), ..Accepted::default() })
    }

    /// Closes an asset. What was never issued or was all redeemed is nowhere, so nobody loses.
    pub(super) fn close_asset(&mut self, asset: Uai) -> Result<Accepted, Failure> {
        self.check_issuer(&asset)?;
        let known = self.state.books.asset(&asset)?;
        if known.closed {
            return Ok(Accepted { repeated: true, ..Accepted::default() });
        }
        let outstanding = known.outstanding();
        if !outstanding.is_zero() {
            let what = format!("{outstanding} of {}", asset.code());
            return Err(Refusal::new(Code::AssetOutstanding, what).into());
        }
        self.write(Record::AssetClosed(asset))
    }

    /// Writes down how much of an asset there is here.
    pub(super) fn attest(&mut self, asset: &Uai) -> Result<Accepted, Failure> {
        let height = self.state.height.next();
        let mut attestation = Attestation::of(&self.state.books, asset, height)?;
        if planted(Bug::SupplyCountedWrong) {
            // As a count would that forgets what is set aside.
            let held = self.state.offers.sorted().into_iter();
            let held = held.filter(|(_, offer)| offer.terms().give == *asset);
            for (_, offer) in held {
                attestation.holders = attestation.holders.minus_or_zero(offer.remaining());
            }
        }
        self.write(Record::Attested(Box::new(attestation)))
    }

    /// Gives a ledger another key. Asked for again with the same keys, nothing happens again.
    pub(super) fn replace_key(
        &mut self,
        now: Time,
        verified: &VerifiedReplacement,
        reason: Detail,
    ) -> Result<Accepted, Failure> {
        let signed = verified.signed();
        let replacement = &signed.replacement;
        let known = self.state.books.ledger(&replacement.ledger)?;
        if known.status == Status::Closed {
            return Err(Refusal::new(Code::LedgerClosed, known.holder.to_string()).into());
        }
        let ledger = Some(replacement.ledger);
        if is_done(known, replacement) {
            return Ok(Accepted { ledger, repeated: true, ..Accepted::default() });
        }
        if known.key != replacement.lost {
            return Err(Refusal::new(Code::WrongKey, replacement.lost.to_string()).into());
        }
        if known.parameters.suite.is_hybrid() && !replacement.key.suite().is_hybrid() {
            let suite = replacement.key.suite().to_string();
            return Err(Refusal::new(Code::SuiteNotAllowed, suite).into());
        }
        let replaced = KeyReplaced { signed: signed.clone(), reason };
        let (touched, cause) = (replacement.ledger, Cause::KeyReplaced(Box::new(replaced)));
        let transaction = self.state.books.draw_up(cause, now, &[touched], Postings::new())?;
        let leaf = self.post(transaction)?;
        Ok(Accepted { ledger, leaf: Some(leaf), ..Accepted::default() })
    }
}

/// Whether the ledger has these keys already.
fn is_done(ledger: &Ledger, replacement: &Replacement) -> bool {
    let second = replacement.second_key.as_ref().map(crate::crypto::suite::PublicKey::id);
    ledger.key == replacement.key.id()
        && second.is_none_or(|second| ledger.parameters.second_key == Some(second))
}
