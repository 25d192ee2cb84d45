//! One sample of every kind of record and statement.

use super::*;
use crate::crypto::hash::{HashLock, hash_lock};
use crate::identity::{Revocation, RevocationReason, Rotation, SignedRevocation, SignedRotation};
use crate::ledger::mirror::{Break, Position};
use crate::ledger::supply::{self, Attestation};
use crate::ledger::transaction::{Contra, ContraAccount, Entry, Movement, MovementKind, Side};
use crate::ledger::{AssetProfile, Cause, Transaction};
use crate::market::{OfferClosed, OfferNotice, OfferTerms, WaitingTake};
use crate::payment::{Fee, Hop, Plan, Route};
use crate::settlement::{Account, Agreement, Header, Leg, Purpose};
use crate::types::{AgreementNumber, Duration, OrderId, TakeId, Ubi};

fn account(name: &str) -> Account {
    Account { domain: domain(name), ledger: Ubi([1; 32]) }
}

pub(super) fn agreement() -> Agreement {
    let leg = |code: &str, from: &str, to: &str| Leg {
        asset: uai(code),
        amount: Amount::new(5),
        from: account(from),
        to: account(to),
        order: Some(OrderId([2; 32])),
    };
    let legs = vec![leg("EUR", "a", "b"), leg("BOND", "b", "a")];
    let blinding = [8; 32];
    let header = Header {
        network: network(),
        number: AgreementNumber(3),
        initiator: domain("a"),
        decider: domain("b"),
        parties: Bounded::new(Agreement::parties_of(&legs)).unwrap(),
        legs: Agreement::terms_hash(Purpose::Payment, &legs, None, &blinding),
        lock: hash_lock(&Preimage([9; 32])),
        deadline: Time(30_000),
    };
    assert_ne!(header.lock, HashLock::default());
    let legs = Bounded::new(legs).unwrap();
    Agreement { header, purpose: Purpose::Payment, legs, enclosure: None, blinding }
}

fn rotation() -> SignedRotation {
    let rotation = Rotation {
        network: network(),
        domain: domain("a"),
        from_epoch: Epoch(1),
        to_epoch: Epoch(2),
        new_key: key("new").public().clone(),
        new_sealing_key: None,
        from_height: Height(9),
    };
    let (tag, bytes) = rotation.to_sign();
    let (old, new) = (key("a").sign(tag, &bytes), key("new").sign(tag, &bytes));
    SignedRotation::assemble(&rotation, old, new).unwrap()
}

fn revocation() -> SignedRevocation {
    let revocation = Revocation {
        network: network(),
        serial: 1,
        domain: domain("a"),
        epoch: Epoch(1),
        from_height: Height(9),
        reason: RevocationReason::KeyLost,
        time: NOW,
        issuer: Issuer::SelfSigned,
    };
    let (tag, bytes) = revocation.to_sign();
    SignedRevocation::assemble(&revocation, key("a").sign(tag, &bytes)).unwrap()
}

fn transaction() -> Transaction {
    let amount = Amount::new(5);
    let movement = Movement { asset: uai("EUR"), kind: MovementKind::Credit, amount };
    let entry = Entry {
        ledger: Ubi([1; 32]),
        sequence: Sequence(2),
        previous: Hash([4; 32]),
        movements: Bounded::new(vec![movement]).unwrap(),
    };
    let account = ContraAccount::Correspondent(domain("b"));
    let contra = Contra { account, asset: uai("EUR"), side: Side::Debit, amount };
    Transaction {
        cause: Cause::Settled(settlement(1)),
        time: NOW,
        entries: Bounded::new(vec![entry]).unwrap(),
        contras: Bounded::new(vec![contra]).unwrap(),
    }
}

fn notice() -> OfferNotice {
    let terms = OfferTerms {
        give: uai("EUR"),
        give_amount: Amount::new(10),
        want: uai("BOND"),
        want_amount: Amount::new(20),
        minimum_fill: Amount::ZERO,
        expiry: Time(9_000),
        counterparties: Bounded::new(vec![domain("b")]).unwrap(),
        notary: Some(domain("c")),
        selection_window: Duration(5),
        receive: None,
    };
    let (offer, validator) = (OrderId([1; 32]), domain("a"));
    OfferNotice { offer, validator, version: 1, terms, remaining: Amount::new(10) }
}

fn refusal() -> Refusal {
    Refusal::new(Code::CreditLimit, "of b.example")
}

pub(super) fn statements() -> Vec<Statement> {
    let evidence = Said::by("c", &[locked(1)]).evidence(0);
    let of = |record: Record| match record {
        Record::Statement(statement) => statement,
        other => panic!("{} is no statement", other.kind()),
    };
    let take = record::TakeRequest {
        take: TakeId([1; 32]),
        offer: OrderId([2; 32]),
        amount: Amount::new(5),
        pay: Amount::new(10),
        account: account("b"),
        receive: Some(account("c")),
        expiry: Time(9_000),
    };
    vec![
        Statement::Take(take),
        Statement::TakeRefused {
            offer: OrderId([2; 32]),
            take: TakeId([1; 32]),
            refusal: refusal(),
        },
        Statement::Agreed(Box::new(agreement())),
        Statement::Appointed(Box::new(agreement().header)),
        of(locked(1)),
        Statement::Declined { settlement: settlement(1), refusal: refusal() },
        of(revealed(1)),
        of(aborted(1)),
        of(settles(1, vec![evidence])),
        of(refunds(1)),
        Statement::Finalised { settlement: settlement(1), outcome: OutcomeKind::Settle },
        Statement::Rotated(Box::new(rotation())),
        Statement::Position(position()),
    ]
}

fn position() -> Position {
    Position {
        with: domain("b"),
        asset: uai("EUR"),
        owe: Amount::new(7),
        claim: Amount::ZERO,
        count: 3,
        digest: Hash([9; 32]),
    }
}

pub(super) fn received() -> ReceivedFrame {
    let evidence = Said::by("c", &[locked(1)]).evidence(0);
    let said = Said::by("a", &[settles(1, vec![evidence]), locked(2), page("b", &[0, 1])]);
    receive(&said.frame(2), &members()).unwrap()
}

fn own_records() -> Vec<Record> {
    let take = WaitingTake {
        id: TakeId([1; 32]),
        taker: domain("b"),
        account: Ubi([2; 32]),
        receive: None,
        take: Amount::new(5),
        pay: Amount::new(10),
        received: 3,
        expiry: Time(9_000),
    };
    let profile = AssetProfile {
        code: "EUR".parse().unwrap(),
        issuer: domain("a"),
        name: "euro".parse().unwrap(),
        decimals: 2,
        supply_limit: Some(Amount::new(100)),
        terms: Hash::ZERO,
        minimum_tier: 1,
        denomination: Amount::new(1),
        documents: Bounded::default(),
        jurisdictions: Bounded::default(),
        holders: Bounded::default(),
    };
    let (network, epoch) = (network(), Epoch(1));
    let (one, other) = (Said::by("c", &[locked(1)]).signed(), Said::by("c", &[locked(2)]).signed());
    let (offer, validator) = (OrderId([1; 32]), domain("a"));
    let pair = crate::types::AssetPair { give: profile.uai(), want: profile.uai() };
    let closed = OfferClosed { offer, validator, pair, version: 2, reason: Code::OfferExpired };
    vec![
        Record::Founded(record::Founding { network, domain: domain("a"), epoch, time: NOW }),
        Record::Admitted(Box::new(signed_certificate("b"))),
        Record::Revoked(Box::new(revocation())),
        Record::Rotated(Box::new(rotation())),
        Record::CreditLimit(record::CreditLimit {
            peer: domain("b"),
            asset: uai("EUR"),
            limit: Amount::MAX,
        }),
        Record::Asset(profile),
        Record::AssetLocked { asset: uai("EUR"), locked: true },
        Record::TransitLedger(Some(Ubi([1; 32]))),
        Record::Transaction(Box::new(transaction())),
        Record::Refused(record::SignedRefusal {
            ledger: Ubi([1; 32]),
            order: offer,
            refusal: refusal(),
        }),
        Record::TakeWaiting { offer, take, until: Time(8_000) },
        Record::OfferPosted(notice()),
        Record::OfferClosed(closed),
        Record::Book(record::BookRoot { root: Hash([1; 32]), count: 3 }),
        Record::Received(Box::new(received())),
        Record::Queried(Box::new(record::Question { header: agreement().header, by: domain("b") })),
        page("b", &[0, 1, 2]),
        Record::Suspended(Box::new(FraudProof::Equivocation(Box::new((one, other))))),
        Record::Lifted(domain("c")),
        Record::Recovered(Box::new(Said::by("a", &[locked(1)]).evidence(0))),
        Record::Recovering { lost_height: Height(3), lost_hash: Hash([1; 32]) },
        Record::Shown(Box::new(Said::by("a", &[locked(1)]).evidence(0))),
        Record::Restored,
        Record::Routed { payment: OrderId([2; 32]), plan: Box::new(plan()) },
        Record::TransitFee { asset: uai("EUR"), fee: Fee { flat: Amount::new(2), ppm: 500 } },
        Record::TravelRule { asset: uai("EUR"), threshold: Some(Amount::new(1_000)) },
        Record::Netting(true),
        Record::Broken(Box::new(Break { peer: domain("b"), ours: position(), theirs: position() })),
        Record::Explained(record::Explained {
            peer: domain("b"),
            asset: uai("EUR"),
            note: "a leg booked by hand".parse().unwrap(),
        }),
        Record::AssetClosed(uai("EUR")),
        Record::Attested(Box::new(attestation())),
    ]
}

fn plan() -> Plan {
    let (to, asset, amount) = (account("b"), uai("EUR"), Amount::new(5));
    let hops = vec![Hop { to, asset, amount, offer: Some(OrderId([6; 32])) }];
    Plan::of(vec![Route { hops: Bounded::new(hops).unwrap() }]).unwrap()
}

fn attestation() -> Attestation {
    let (owe, claim) = (Amount::new(40), Amount::ZERO);
    Attestation {
        asset: uai("EUR"),
        issued: Amount::new(100),
        redeemed: Amount::new(10),
        holders: Amount::new(50),
        peers: Bounded::new(vec![supply::Position { peer: domain("b"), owe, claim }]).unwrap(),
        height: Height(4),
    }
}

/// Every kind of record, statements included.
pub(super) fn records() -> Vec<Record> {
    own_records().into_iter().chain(statements().into_iter().map(Record::Statement)).collect()
}

/// The number of a record's kind in the format. Whoever adds a kind adds it at the end, here,
/// and to the samples.
pub(super) const fn number(record: &Record) -> u32 {
    match record {
        Record::Founded(_) => 0,
        Record::Admitted(_) => 1,
        Record::Revoked(_) => 2,
        Record::Rotated(_) => 3,
        Record::CreditLimit(_) => 4,
        Record::Asset(_) => 5,
        Record::AssetLocked { .. } => 6,
        Record::TransitLedger(_) => 7,
        Record::Transaction(_) => 8,
        Record::Refused(_) => 9,
        Record::TakeWaiting { .. } => 10,
        Record::OfferPosted(_) => 11,
        Record::OfferClosed(_) => 12,
        Record::Book(_) => 13,
        Record::Statement(_) => 14,
        Record::Received(_) => 15,
        Record::Queried(_) => 16,
        Record::Page(_) => 17,
        Record::Suspended(_) => 18,
        Record::Lifted(_) => 19,
        Record::Recovered(_) => 20,
        Record::Recovering { .. } => 21,
        Record::Shown(_) => 22,
        Record::Restored => 23,
        Record::Routed { .. } => 24,
        Record::TransitFee { .. } => 25,
        Record::TravelRule { .. } => 26,
        Record::Netting(_) => 27,
        Record::Broken(_) => 28,
        Record::Explained(_) => 29,
        Record::AssetClosed(_) => 30,
        Record::Attested(_) => 31,
    }
}

/// The number of a statement's kind in the format.
pub(super) const fn statement_number(statement: &Statement) -> u32 {
    match statement {
        Statement::Take(_) => 0,
        Statement::TakeRefused { .. } => 1,
        Statement::Agreed(_) => 2,
        Statement::Appointed(_) => 3,
        Statement::Locked(_) => 4,
        Statement::Declined { .. } => 5,
        Statement::Revealed(_) => 6,
        Statement::Aborted(_) => 7,
        Statement::Decided(_) => 8,
        Statement::Finalised { .. } => 9,
        Statement::Rotated(_) => 10,
        Statement::Position(_) => 11,
    }
}
