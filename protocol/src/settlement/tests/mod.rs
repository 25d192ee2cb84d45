//! What the settlement's tests share: one agreement of three parties.

#![allow(clippy::arithmetic_side_effects, reason = "a test may overflow: it fails then")]

mod agreements;
mod machines;
mod open;

use super::*;
use crate::crypto::hash::{Preimage, hash_lock};
use crate::error::{Code, Refusal};
use crate::types::{
    AgreementNumber, Amount, Bounded, Domain, Hash, OrderId, SettlementId, Time, Uai, Ubi,
};

const BLINDING: [u8; 32] = [8; 32];

fn domain(name: &str) -> Domain {
    format!("{name}.example").parse().unwrap()
}

fn uai(code: &str) -> Uai {
    format!("{code}:issuer.example#0011223344556677").parse().unwrap()
}

fn amount(units: u128) -> Amount {
    Amount::new(units)
}

fn account(name: &str, ledger: u8) -> Account {
    Account { domain: domain(name), ledger: Ubi([ledger; 32]) }
}

/// A leg from the first ledger of one domain to the first of another, on an order.
fn leg(code: &str, units: u128, from: &str, to: &str) -> Leg {
    Leg {
        asset: uai(code),
        amount: amount(units),
        from: account(from, 1),
        to: account(to, 1),
        order: Some(OrderId([3; 32])),
    }
}

/// The same leg, in transit.
fn transit(code: &str, units: u128, from: &str, to: &str) -> Leg {
    Leg { order: None, ..leg(code, units, from, to) }
}

/// A ring: a gives to b, b to c, c to a.
fn ring() -> Vec<Leg> {
    vec![leg("EUR", 5, "a", "b"), leg("BOND", 7, "b", "c"), leg("GOLD", 9, "c", "a")]
}

/// `a` initiates, `b` decides.
fn header_of(legs: &[Leg]) -> Header {
    Header {
        network: "test".parse().unwrap(),
        number: AgreementNumber(3),
        initiator: domain("a"),
        decider: domain("b"),
        parties: Bounded::new(Agreement::parties_of(legs)).unwrap(),
        legs: Agreement::terms_hash(Purpose::Trade, legs, None, &BLINDING),
        lock: hash_lock(&Preimage([9; 32])),
        deadline: Time(30_000),
    }
}

fn agreement_of(legs: Vec<Leg>) -> Agreement {
    let header = header_of(&legs);
    let legs = Bounded::new(legs).unwrap();
    Agreement { header, purpose: Purpose::Trade, legs, enclosure: None, blinding: BLINDING }
}

fn settlement_of(legs: Vec<Leg>) -> Settlement {
    Settlement::of_agreement(&agreement_of(legs))
}

#[track_caller]
fn refused<T: std::fmt::Debug>(code: Code, result: Result<T, Refusal>) {
    assert_eq!(result.unwrap_err().code, code);
}
