//! What the ledger's tests share: a bank with an asset and two holders.

#![allow(clippy::arithmetic_side_effects, reason = "small numbers in tests")]

mod account;
mod balances;
mod books;
mod correspondent;
mod mirror;
mod openings;
mod orders;

use super::account::{NonceState, Status};
use super::opening::{DailyLimit, Rules};
use super::transaction::{Contra, ContraAccount, Entry, Movement, MovementKind, Side};
use super::*;
use crate::codec;
use crate::crypto::hash::Tag;
use crate::crypto::suite::{HybridSignatures, SecretKey, Suite};
use crate::error::{Code, Fault, Refusal};
use crate::types::Country;
use crate::types::{
    Amount, Bounded, Domain, Hash, Network, Nonce, OrderId, Sequence, SettlementId, Time, Uai, Ubi,
};

const NOW: Time = Time(1_800_000_000_000);
const SIGNATURES: HybridSignatures = HybridSignatures;

fn network() -> Network {
    "test".parse().unwrap()
}

fn domain(name: &str) -> Domain {
    format!("{name}.example").parse().unwrap()
}

fn amount(units: u128) -> Amount {
    Amount::new(units)
}

fn uai(code: &str) -> Uai {
    format!("{code}:issuer.example#0011223344556677").parse().unwrap()
}

fn key(number: u8) -> SecretKey {
    SecretKey::generate(Suite::Ed25519, &[number; 32])
}

#[track_caller]
fn refused<T: std::fmt::Debug>(code: Code, result: Result<T, Refusal>) {
    assert_eq!(result.unwrap_err().code, code);
}

fn profile() -> AssetProfile {
    AssetProfile {
        code: "EUR".parse().unwrap(),
        issuer: domain("bank"),
        name: "euro".parse().unwrap(),
        decimals: 2,
        supply_limit: None,
        terms: Hash::ZERO,
        minimum_tier: 0,
        denomination: Amount::new(1),
        documents: Bounded::default(),
        jurisdictions: Bounded::default(),
        holders: Bounded::default(),
    }
}

/// Of holder `alice` with key 1.
fn opening(number: u32) -> Opening {
    Opening {
        network: network(),
        holder: "alice@bank.example".parse().unwrap(),
        number,
        key: key(1).public().clone(),
        tier: 1,
        jurisdiction: Country::UNKNOWN,
        identity: Hash::ZERO,
        rules: Rules::default(),
    }
}

fn signed(opening: Opening) -> SignedOpening {
    let signature = key(1).sign(Tag::Opening, &codec::encode(&opening));
    SignedOpening { opening, signature }
}

fn ledger() -> Ledger {
    Ledger::new(&opening(1))
}

fn movement(kind: MovementKind, code: &str, units: u128) -> Movement {
    Movement { asset: uai(code), kind, amount: amount(units) }
}

/// Books that know the asset and the ledgers of two openings, nothing on them.
struct Bank {
    books: Books,
    eur: Uai,
    one: Ubi,
    two: Ubi,
}

impl Bank {
    fn new() -> Self {
        let mut bank = Self {
            books: Books::default(),
            eur: profile().uai(),
            one: opening(1).ubi(),
            two: opening(2).ubi(),
        };
        bank.books.assets.insert(bank.eur.clone(), Asset::new(profile()));
        for number in [1, 2] {
            let transaction = bank.opens(number);
            bank.books.post(&transaction).unwrap();
        }
        bank
    }

    /// With 100 issued to the first ledger.
    fn funded() -> Self {
        let mut bank = Self::new();
        let transaction = bank.issues(100);
        bank.books.post(&transaction).unwrap();
        bank
    }

    fn opens(&self, number: u32) -> Transaction {
        let opening = opening(number);
        let ubi = opening.ubi();
        let cause = Cause::Opened(Box::new(signed(opening)));
        self.books.draw_up(cause, NOW, &[ubi], Postings::new()).unwrap()
    }

    /// The opening of the first ledger once more.
    fn opens_again(&self) -> Transaction {
        Bank { books: Books::default(), ..Bank::new() }.opens(1)
    }

    fn issues(&self, units: u128) -> Transaction {
        let (account, side) = (ContraAccount::Issuance, Side::Debit);
        let postings = Postings::new()
            .with(self.one, MovementKind::Credit, &self.eur, amount(units))
            .against(account, side, &self.eur, amount(units));
        self.draw_up(Cause::Issued(None), postings)
    }

    fn pays(&self, units: u128) -> Transaction {
        let postings = Postings::new()
            .with(self.one, MovementKind::Debit, &self.eur, amount(units))
            .with(self.two, MovementKind::Credit, &self.eur, amount(units));
        self.draw_up(Cause::Settled(SettlementId([1; 32])), postings)
    }

    fn draw_up(&self, cause: Cause, postings: Postings) -> Transaction {
        self.books.draw_up(cause, NOW, &[], postings).unwrap()
    }

    fn free(&self, ubi: &Ubi) -> Amount {
        self.books.ledger(ubi).unwrap().balance(&self.eur).0
    }
}
