//! The operator's commands.

use super::input::{Accepted, Command, RequestId};
use super::orders::Failure;
use super::{Effect, Event, Validator};
use crate::error::{Code, Fault, Refusal};
use crate::identity::VerifiedRotation;
use crate::ledger::Postings;
use crate::ledger::account::Status;
use crate::ledger::transaction::Cause;
use crate::limits;
use crate::log::record::{BookRoot, CreditLimit};
use crate::log::{FraudProof, Record, Statement};
use crate::market::live_root;
use crate::payment::Fee;
use crate::types::{Amount, Domain, Sequence, Time, Uai, Ubi};

impl Validator {
    pub(super) fn handle_command(
        &mut self,
        now: Time,
        request: RequestId,
        command: Command,
    ) -> Result<(), Fault> {
        let result = match self.try_command(now, command) {
            Ok(accepted) => Ok(accepted),
            Err(Failure::Refused(refusal)) => Err(refusal),
            Err(Failure::Broken(fault)) => return Err(fault),
        };
        self.reply(request, result);
        Ok(())
    }

    fn try_command(&mut self, now: Time, command: Command) -> Result<Accepted, Failure> {
        match command {
            Command::Admit(verified) => {
                // Asked of a copy, so that only what can be applied is written.
                self.state.directory.clone().admit(&verified)?;
                self.write(Record::Admitted(Box::new(verified.signed().clone())))
            }
            Command::Revoke(verified) => {
                self.state.directory.clone().revoke(&verified)?;
                self.write(Record::Revoked(Box::new(verified.signed().clone())))
            }
            Command::Rotate(verified) => self.rotate(&verified),
            Command::SetCreditLimit { peer, asset, limit } => {
                self.set_credit_limit(peer, asset, limit)
            }
            Command::RegisterAsset(profile) => {
                let uai = profile.uai();
                if profile.denomination.is_zero() {
                    return Err(Refusal::new(Code::ZeroAmount, "the denomination").into());
                }
                if self.state.books.assets.contains_key(&uai) {
                    return Err(Refusal::new(Code::AssetExists, uai.to_string()).into());
                }
                self.write(Record::Asset(profile))
            }
            Command::LockAsset { asset, locked } => {
                self.check_issuer(&asset)?;
                self.write(Record::AssetLocked { asset, locked })
            }
            Command::Issue { asset, ledger, amount, name } => {
                self.issue(now, &asset, ledger, amount, name)
            }
            Command::CloseAsset(asset) => self.close_asset(asset),
            Command::AttestAsset(asset) => self.attest(&asset),
            Command::ReplaceKey { replacement, reason } => {
                self.replace_key(now, &replacement, reason)
            }
            Command::Freeze(ledger) => self.freeze(now, ledger, Cause::Frozen),
            Command::Unfreeze(ledger) => self.freeze(now, ledger, Cause::Unfrozen),
            Command::SetTransitLedger(ledger) => {
                if let Some(ubi) = &ledger {
                    self.state.books.ledger(ubi)?.check_open()?;
                }
                self.write(Record::TransitLedger(ledger))
            }
            Command::Drain => {
                self.volatile.draining = true;
                Ok(Accepted::default())
            }
            Command::Undrain => {
                self.volatile.draining = false;
                Ok(Accepted::default())
            }
            Command::Suspend(proof) => self.suspend(*proof),
            Command::Lift(peer) => self.write(Record::Lifted(peer)),
            Command::GiveUpOn(_) | Command::CustomersHeard => {
                Err(Refusal::new(Code::NotRecovering, "all is well").into())
            }
            Command::PublishBook => self.publish_book(),
            Command::SetTransitFee { asset, fee } => {
                self.state.books.asset(&asset)?;
                if fee.ppm > Fee::WHOLE {
                    let what = format!("{} millionths of {asset}", fee.ppm);
                    return Err(Refusal::new(Code::FeeTooHigh, what).into());
                }
                self.write(Record::TransitFee { asset, fee })
            }
            Command::SetTravelRule { asset, threshold } => {
                self.state.books.asset(&asset)?;
                self.write(Record::TravelRule { asset, threshold })
            }
            Command::SetNetting(takes_part) => self.write(Record::Netting(takes_part)),
            Command::Net { asset, cycle, amount } => self.net(now, &asset, &cycle, amount),
            Command::ExplainBreak { peer, asset, note } => self.explain_break(peer, asset, note),
        }
    }

    pub(super) fn write(&mut self, record: Record) -> Result<Accepted, Failure> {
        let leaf = self.commit(&record)?;
        Ok(Accepted { leaf: Some(leaf), ..Accepted::default() })
    }

    /// Our own rotation is told to every peer, still under the old key. Where there are more than
    /// a batch has pages for, only those hear it from us with whom we have spoken.
    fn rotate(&mut self, verified: &VerifiedRotation) -> Result<Accepted, Failure> {
        self.state.directory.clone().rotate(verified)?;
        let rotation = verified.rotation();
        let own = rotation.domain == self.state.domain;
        if own && rotation.from_height <= self.state.height.next() {
            let next = self.state.height.next();
            let what = format!("from height {}, the next is {next}", rotation.from_height);
            return Err(Refusal::new(Code::BadRotation, what).into());
        }
        let signed = Box::new(verified.signed().clone());
        let accepted = self.write(Record::Rotated(signed.clone()))?;
        if own {
            let peers = self.told_of_rotation();
            self.say(Statement::Rotated(signed), peers.iter())?;
        }
        Ok(accepted)
    }

    fn told_of_rotation(&self) -> Vec<Domain> {
        let everybody = self.acquaintances();
        let few = everybody.len() <= limits::ROTATION_LISTENERS;
        let met = |domain: &Domain| {
            let known = self.state.peer(domain);
            known.is_some_and(|peer| peer.sent.max(peer.received) > Sequence(0))
        };
        let told = everybody.into_iter().filter(|domain| few || met(domain));
        told.take(limits::ROTATION_LISTENERS).collect()
    }

    fn set_credit_limit(
        &mut self,
        peer: Domain,
        asset: Uai,
        limit: Amount,
    ) -> Result<Accepted, Failure> {
        self.state.directory.member(&peer)?;
        self.state.books.asset(&asset)?;
        if peer == self.state.domain {
            return Err(Refusal::new(Code::WrongDomain, "a credit limit for ourselves").into());
        }
        self.write(Record::CreditLimit(CreditLimit { peer, asset, limit }))
    }

    fn freeze(&mut self, now: Time, ledger: Ubi, cause: Cause) -> Result<Accepted, Failure> {
        let known = self.state.books.ledger(&ledger)?;
        if known.status == Status::Closed {
            return Err(Refusal::new(Code::LedgerClosed, known.holder.to_string()).into());
        }
        let transaction = self.state.books.draw_up(cause, now, &[ledger], Postings::new())?;
        let leaf = self.post(transaction)?;
        Ok(Accepted { ledger: Some(ledger), leaf: Some(leaf), ..Accepted::default() })
    }

    fn suspend(&mut self, proof: FraudProof) -> Result<Accepted, Failure> {
        let peer = proof.domain().clone();
        let accepted = self.write(Record::Suspended(Box::new(proof)))?;
        self.event(Event::Suspended { peer });
        Ok(accepted)
    }

    fn publish_book(&mut self) -> Result<Accepted, Failure> {
        // Nobody can check a list that is not shown to all.
        let published = self.volatile.book.live_of(&self.state.domain);
        let public = published.filter(|notice| notice.terms.counterparties.is_empty());
        let (root, count) = live_root(public);
        let leaf = self.commit(&Record::Book(BookRoot { root, count }))?;
        self.draft.after(Effect::Publish { leaf, only: Vec::new() });
        Ok(Accepted { leaf: Some(leaf), ..Accepted::default() })
    }
}
