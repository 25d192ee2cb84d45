//! The plan for one payment: the ways with all their accounts, and what travels sealed.

use std::collections::BTreeMap;

use futures::future::join_all;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::identity::Lei;
use quadrille_protocol::ledger::Payment;
use quadrille_protocol::payment::{Plan, Route, Wanted, Way};
use quadrille_protocol::policy::ivms101::{Ivms101, Person};
use quadrille_protocol::policy::payload::{Memo, Payload};
use quadrille_protocol::policy::travel::{self, Paid, Side};
use quadrille_protocol::refuse;
use quadrille_protocol::settlement::{Account, Enclosure};
use quadrille_protocol::types::{Domain, Hash, OrderId, Ubi};
use quadrille_protocol::validator::Validator;

use super::{Payments, untold};
use crate::compliance::{Direction, Facts};
use crate::engine::EngineError;
use crate::mesh::ask::{Answer, Question};

/// What the payer gives its bank with the order, for the payee's bank to read.
#[derive(Clone)]
pub struct Enclosed {
    /// 32 random bytes, the same that the order's memo is salted with.
    pub salt: [u8; 32],
    /// The memo; may be empty.
    pub memo: Memo,
    /// Who is paid.
    pub beneficiary: Option<Person>,
}

type Accounts = BTreeMap<(Domain, OrderId), Result<Ubi, Refusal>>;

impl Payments {
    /// The plan for `payment` from the ledger `payer`.
    ///
    /// # Errors
    /// Those of [`Payments::ways`]; `Q-2608` a memo that the order does not name; `Q-2606`,
    /// `Q-1703`, `Q-1704` the travel rule; `Q-1102` the payee's bank has no sealing key.
    pub async fn plan(
        &self,
        payer: Ubi,
        payment: &Payment,
        enclosed: Enclosed,
    ) -> Result<Plan, Refusal> {
        let wanted = Wanted {
            payee: payment.to.domain.clone(),
            asset: payment.asset.clone(),
            amount: payment.amount,
            spend: payment.spend.clone(),
            max_cost: payment.max_cost,
        };
        let sealed = self.enclose(payer, payment, enclosed).await?;
        let ways = self.ways(wanted).await?;
        let mut plan = Plan::of(self.routes(&ways, &payment.to).await?)?;
        if let Some((enclosure, travel)) = sealed {
            plan.enclosure = Some(enclosure);
            plan.travel = travel;
        }
        Ok(plan)
    }

    /// The routes of `ways`, without those for which an account is not told.
    async fn routes(&self, ways: &[Way], to: &Account) -> Result<Vec<Route>, Refusal> {
        let accounts = self.accounts(ways).await;
        let mut routes = Vec::new();
        let mut first = None;
        for way in ways {
            let made = way.route(to, |domain, offer| {
                let told = accounts.get(&(domain.clone(), offer)).cloned();
                told.unwrap_or_else(|| {
                    Err(Refusal::new(Code::UnknownOffer, format!("{offer} at {domain}")))
                })
            });
            match made {
                Ok(route) => routes.push(route),
                Err(refusal) => {
                    first.get_or_insert(refusal);
                }
            }
        }
        match first {
            Some(refusal) if routes.is_empty() => Err(refusal),
            Some(_) | None => Ok(routes),
        }
    }

    /// The ledgers of all offers on these ways: our own from our books, the others asked for.
    async fn accounts(&self, ways: &[Way]) -> Accounts {
        let mut wanted: Vec<(Domain, OrderId)> = ways
            .iter()
            .flat_map(Way::offers)
            .map(|(domain, offer)| (domain.clone(), offer))
            .collect();
        wanted.sort_unstable();
        wanted.dedup();
        let asked = wanted.into_iter().map(|(domain, offer)| async move {
            let told = match domain == *self.engine.domain() {
                true => self.own_account(offer).await,
                false => self.ask_account(&domain, offer).await,
            };
            ((domain, offer), told)
        });
        join_all(asked.collect::<Vec<_>>()).await.into_iter().collect()
    }

    async fn own_account(&self, offer: OrderId) -> Result<Ubi, Refusal> {
        let look = move |validator: &Validator| {
            let known = validator.state().offers.get(&offer);
            known.map(quadrille_protocol::market::Offer::ledger)
        };
        let found = self.engine.read(look).await.map_err(EngineError::refusal)?;
        found.ok_or_else(|| Refusal::new(Code::UnknownOffer, offer.to_string()))
    }

    async fn ask_account(&self, domain: &Domain, offer: OrderId) -> Result<Ubi, Refusal> {
        let told = self.mesh.ask(domain, &Question::OfferAccount(offer)).await;
        match told.map_err(|refusal| untold(domain, &refusal))? {
            Answer::OfferAccount(account) if account.domain == *domain => Ok(account.ledger),
            Answer::OfferAccount(_)
            | Answer::Name(_)
            | Answer::AssetProfile(_)
            | Answer::Obligations(_) => {
                refuse!(OtherAnswer, "of {domain} about the offer {offer}")
            }
        }
    }

    /// What travels sealed, and whether the travel rule's data are in it; nothing when there is
    /// nothing to say and nothing is asked for.
    async fn enclose(
        &self,
        payer: Ubi,
        payment: &Payment,
        enclosed: Enclosed,
    ) -> Result<Option<(Enclosure, bool)>, Refusal> {
        let Enclosed { salt, memo, beneficiary } = enclosed;
        let mut payload = Payload { salt, memo, travel: None };
        if payload.memo_hash() != payment.memo {
            refuse!(EnclosureDiffers, "the memo is not the one that the order names");
        }
        let asset = payment.asset.clone();
        let look = move |validator: &Validator| {
            let state = validator.state();
            let ledger = state.books.ledgers.get(&payer);
            let holder = ledger.map(|known| (known.holder.to_string(), known.parameters.identity));
            (state.travel_rules.get(&asset).copied(), holder)
        };
        let (threshold, holder) = self.engine.read(look).await.map_err(EngineError::refusal)?;
        let (holder, identity) =
            holder.ok_or_else(|| Refusal::new(Code::UnknownLedger, payer.to_string()))?;
        if let Some(beneficiary) = beneficiary {
            let data = self.travel_data((payer, identity), payment, &beneficiary).await?;
            payload.travel = data.map(Box::new);
        }
        let now = self.clock.now();
        let paid = Paid { amount: payment.amount, threshold, to: &payment.to.ledger, now };
        travel::check(Some(&payload), &paid)?;
        let facts = Facts {
            direction: Direction::Out,
            from: holder,
            to: format!("{}@{}", payment.to.ledger, payment.to.domain),
            asset: payment.asset.clone(),
            amount: payment.amount,
        };
        self.screening.check(&facts, Some(&payload)).await?;
        if payload.travel.is_none() && payload.memo.as_str().is_empty() {
            return Ok(None);
        }
        let travel = payload.travel.is_some();
        let to = payment.to.domain.clone();
        let directory = self.engine.directory();
        let (_, key) = directory.member(&to)?.latest()?;
        let key = key.sealing_key.clone();
        let key =
            key.ok_or_else(|| Refusal::new(Code::BadKey, format!("{to} has none to seal")))?;
        let seal = move || payload.enclose(to, &key, &mut rand::rng());
        Ok(Some((self.engine.verifier().run(seal).await?, travel)))
    }

    /// Who pays whom, when we know who our holder is.
    async fn travel_data(
        &self,
        (payer, identity): (Ubi, Hash),
        payment: &Payment,
        beneficiary: &Person,
    ) -> Result<Option<Ivms101>, Refusal> {
        if identity == Hash::ZERO {
            return Ok(None);
        }
        let vault = self.vault.clone();
        let read = move || vault.read(&payer, &identity);
        let originator = self.engine.verifier().run(read).await?.person;
        let (own, other) = (self.engine.domain(), &payment.to.domain);
        let originator =
            Side { person: &originator, account: payer, bank: own, lei: self.lei(own) };
        let beneficiary = Side {
            person: beneficiary,
            account: payment.to.ledger,
            bank: other,
            lei: self.lei(other),
        };
        travel::compose(&originator, &beneficiary).map(Some)
    }

    fn lei(&self, domain: &Domain) -> Option<Lei> {
        let directory = self.engine.directory();
        directory.member(domain).ok().and_then(|member| member.certificate().lei)
    }
}

impl Enclosed {
    /// Nothing enclosed.
    #[must_use]
    pub fn nothing() -> Self {
        Self { salt: [0; 32], memo: Memo::default(), beneficiary: None }
    }
}

impl std::fmt::Debug for Enclosed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Enclosed(hidden)")
    }
}
