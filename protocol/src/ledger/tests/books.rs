//! The books: chains that cannot be changed, and transactions that are booked whole or stop
//! the node.

use super::*;

fn faulty(result: Result<(), Fault>, what: &str) {
    let fault = result.unwrap_err();
    assert!(fault.what.contains(what), "{}", fault.what);
}

/// The transaction with its first entry changed.
fn with_entry(transaction: &Transaction, change: impl FnOnce(&mut Entry)) -> Transaction {
    let mut entries = transaction.entries.to_vec();
    change(&mut entries[0]);
    Transaction { entries: Bounded::new(entries).unwrap(), ..transaction.clone() }
}

#[test]
fn an_opening_is_the_first_entry_of_its_chain() {
    let bank = Bank::new();
    let transaction = Bank { books: Books::default(), ..Bank::new() }.opens(1);
    let entry = &transaction.entries[0];
    assert_eq!((entry.ledger, entry.sequence, entry.previous), (bank.one, Sequence(1), Hash::ZERO));
    let ledger = bank.books.ledger(&bank.one).unwrap();
    assert_eq!((ledger.sequence, ledger.head), (Sequence(1), entry.hash(&transaction.cause)));
}

#[test]
fn each_entry_names_its_predecessors_hash_and_number() {
    let mut bank = Bank::funded();
    for number in 3..8u64 {
        let before = bank.books.ledger(&bank.one).unwrap().clone();
        let transaction = bank.pays(1);
        let entry = &transaction.entries[0];
        assert_eq!((entry.sequence, entry.previous), (Sequence(number), before.head));
        bank.books.post(&transaction).unwrap();
        let after = bank.books.ledger(&bank.one).unwrap();
        assert_eq!((after.sequence, after.head), (entry.sequence, entry.hash(&transaction.cause)));
        assert_ne!(after.head, before.head);
    }
    assert_eq!((bank.free(&bank.one), bank.free(&bank.two)), (amount(95), amount(5)));
}

#[test]
fn the_hash_of_an_entry_binds_all_of_it_and_its_cause() {
    let transaction = Bank::funded().pays(5);
    let (entry, cause) = (transaction.entries[0].clone(), transaction.cause.clone());
    let hash = entry.hash(&cause);
    let changes: [fn(&mut Entry); 7] = [
        |e| e.ledger.0[0] ^= 1,
        |e| e.sequence = Sequence(9),
        |e| e.previous.0[0] ^= 1,
        |e| e.movements = Bounded::default(),
        |e| e.movements = Bounded::new(vec![movement(MovementKind::Debit, "EUR", 5)]).unwrap(),
        |e| {
            let mut movements = e.movements.to_vec();
            movements[0].amount = amount(6);
            e.movements = Bounded::new(movements).unwrap();
        },
        |e| {
            let mut movements = e.movements.to_vec();
            movements[0].kind = MovementKind::Spend;
            e.movements = Bounded::new(movements).unwrap();
        },
    ];
    for change in changes {
        let mut changed = entry.clone();
        change(&mut changed);
        assert_ne!(changed.hash(&cause), hash);
    }
}

#[test]
fn every_cause_gives_an_entry_another_hash() {
    let entry = Bank::funded().pays(5).entries[0].clone();
    let (one, other) = (OrderId([1; 32]), OrderId([2; 32]));
    let mut causes = vec![
        Cause::Opened(Box::new(signed(opening(1)))),
        Cause::Opened(Box::new(signed(opening(2)))),
        Cause::Issued(None),
        Cause::Frozen,
        Cause::Unfrozen,
        Cause::Settled(SettlementId([1; 32])),
        Cause::Settled(SettlementId([2; 32])),
        Cause::Refunded(SettlementId([1; 32])),
        Cause::Traded { offer: one, take: other },
        Cause::Traded { offer: other, take: one },
        Cause::OfferEnded { offer: one, reason: Code::OfferExpired },
        Cause::OfferEnded { offer: one, reason: Code::OfferCancelled },
        Cause::TakeEnded { take: one, reason: Code::OfferExpired },
        Cause::PaymentEnded { order: one, reason: Code::OfferExpired },
    ];
    for nonce in [1, 2] {
        causes.push(Cause::Ordered(Box::new(orders::verified(nonce))));
    }
    let mut hashes: Vec<Hash> = causes.iter().map(|cause| entry.hash(cause)).collect();
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), causes.len());
}

#[test]
fn a_broken_chain_is_a_fault() {
    let bank = Bank::funded();
    let good = bank.pays(5);
    let changes: [fn(&mut Entry); 4] = [
        |e| e.sequence = e.sequence.next(),
        |e| e.sequence = Sequence(e.sequence.0 - 1),
        |e| e.previous = Hash::ZERO,
        |e| e.previous.0[31] ^= 1,
    ];
    for change in changes {
        let broken = with_entry(&good, change);
        assert!(!bank.books.continues(&broken));
        faulty(bank.books.clone().post(&broken), "does not follow");
    }
    assert!(bank.books.continues(&good));
    let mut books = bank.books.clone();
    books.post(&good).unwrap();
    assert!(!books.continues(&good));
    faulty(books.post(&good), "does not follow");
}

#[test]
fn an_unbalanced_transaction_is_a_fault_and_changes_nothing() {
    let bank = Bank::funded();
    let postings = Postings::new().with(bank.one, MovementKind::Debit, &bank.eur, amount(5)).with(
        bank.two,
        MovementKind::Credit,
        &bank.eur,
        amount(6),
    );
    let unbalanced = bank.draw_up(Cause::Issued(None), postings);
    let mut books = bank.books.clone();
    faulty(books.post(&unbalanced), "does not sum to zero");
    assert_eq!(books, bank.books);
}

#[test]
fn a_ledger_opened_twice_is_a_fault() {
    let first = Bank { books: Books::default(), ..Bank::new() }.opens(1);
    faulty(Bank::funded().books.post(&first), "opened twice");
}

#[test]
fn an_entry_or_issuance_of_something_unknown_is_a_fault() {
    let mut bank = Bank::funded();
    let unknown = with_entry(&bank.pays(5), |entry| entry.ledger = Ubi([9; 32]));
    assert!(!bank.books.continues(&unknown));
    faulty(bank.books.clone().post(&unknown), "unknown ledger");
    let issues = bank.issues(5);
    bank.books.assets.clear();
    faulty(bank.books.post(&issues), "issuance of unknown");
}

#[test]
fn what_cannot_be_posted_does_not_continue_the_books() {
    // A record given back after a loss is applied only if it continues what is here; otherwise
    // its ledgers are frozen, and the node goes on.
    let mut bank = Bank::funded();
    let issues = bank.issues(5);
    assert!(bank.books.continues(&issues));
    let overdraws = bank.pays(101);
    assert!(!bank.books.continues(&overdraws), "overdraws");
    let postings = Postings::new().with(bank.one, MovementKind::Credit, &bank.eur, amount(1));
    let unbalanced = bank.draw_up(Cause::Issued(None), postings);
    assert!(!bank.books.continues(&unbalanced), "does not sum to zero");
    assert!(!bank.books.continues(&bank.opens_again()), "opened twice");
    bank.books.assets.clear();
    assert!(!bank.books.continues(&issues), "issues what is not known");
}

#[test]
fn whatever_continues_the_books_can_be_posted() {
    let bank = Bank::funded();
    let third = bank.opens(3);
    for transaction in [bank.issues(5), bank.pays(100), third] {
        assert!(bank.books.continues(&transaction));
        bank.books.clone().post(&transaction).unwrap();
    }
}

#[test]
fn an_overdraft_stops_the_node_with_half_of_it_applied() {
    // Not undone: a fault means that our own books are broken. The caller stops, and the state
    // is made anew from the log, where the transaction never was.
    let bank = Bank::funded();
    let postings = Postings::new()
        .with(bank.two, MovementKind::Credit, &bank.eur, amount(101))
        .with(bank.one, MovementKind::Debit, &bank.eur, amount(101));
    let overdraws = bank.draw_up(Cause::Issued(None), postings);
    let mut books = bank.books.clone();
    faulty(books.post(&overdraws), "Debit of 101");
    assert_ne!(books, bank.books, "never to be used again");
}

#[test]
fn a_transaction_has_one_entry_per_ledger_in_the_order_of_first_mention() {
    let bank = Bank::funded();
    let postings = Postings::new()
        .with(bank.one, MovementKind::Hold, &bank.eur, amount(5))
        .with(bank.two, MovementKind::Credit, &bank.eur, amount(2))
        .with(bank.one, MovementKind::Spend, &bank.eur, amount(2));
    let touched = [bank.two];
    let drawn = bank.books.draw_up(Cause::Issued(None), NOW, &touched, postings).unwrap();
    let ledgers: Vec<_> = drawn.entries.iter().map(|e| (e.ledger, e.movements.len())).collect();
    assert_eq!(ledgers, [(bank.two, 1), (bank.one, 2)]);
    let unknown = [Ubi([9; 32])];
    let missing = bank.books.draw_up(Cause::Frozen, NOW, &unknown, Postings::new());
    refused(Code::UnknownLedger, missing);
}

#[test]
fn more_movements_than_a_transaction_can_have_are_refused() {
    let bank = Bank::funded();
    let mut movements = Postings::new();
    let mut contras = Postings::new();
    for _ in 0..=crate::limits::ENTRY_MOVEMENTS {
        movements = movements.with(bank.one, MovementKind::Credit, &bank.eur, amount(1));
        contras = contras.against(ContraAccount::Issuance, Side::Debit, &bank.eur, amount(1));
    }
    for postings in [movements, contras] {
        let drawn = bank.books.draw_up(Cause::Issued(None), NOW, &[], postings);
        refused(Code::TooMany, drawn);
    }
}

#[test]
fn a_posting_against_a_peer_changes_what_we_owe_one_another() {
    let mut bank = Bank::funded();
    let peer = ContraAccount::Correspondent(domain("peer"));
    let postings = Postings::new()
        .with(bank.one, MovementKind::Debit, &bank.eur, amount(30))
        .against(peer, Side::Credit, &bank.eur, amount(30));
    let transaction = bank.draw_up(Cause::Settled(SettlementId([1; 32])), postings);
    bank.books.post(&transaction).unwrap();
    assert_eq!(bank.books.correspondent(&domain("peer"), &bank.eur).owe, amount(30));
    assert_eq!(bank.books.correspondent(&domain("other"), &bank.eur), Correspondent::default());
}

#[test]
fn the_supply_is_what_was_issued_and_not_redeemed() {
    let mut bank = Bank::funded();
    let again = bank.issues(20);
    bank.books.post(&again).unwrap();
    let postings = Postings::new()
        .with(bank.one, MovementKind::Debit, &bank.eur, amount(50))
        .against(ContraAccount::Issuance, Side::Credit, &bank.eur, amount(50));
    let redeems = bank.draw_up(Cause::Issued(None), postings);
    bank.books.post(&redeems).unwrap();
    let asset = bank.books.asset(&bank.eur).unwrap();
    assert_eq!((asset.issued, asset.redeemed), (amount(120), amount(50)));
    assert_eq!(asset.outstanding(), amount(70));
    assert_eq!(bank.free(&bank.one), amount(70));
    refused(Code::UnknownAsset, bank.books.asset(&uai("GOLD")));
}

#[test]
fn an_assets_identifier_binds_its_whole_profile() {
    let changes: [fn(&mut AssetProfile); 7] = [
        |p| p.code = "USD".parse().unwrap(),
        |p| p.issuer = domain("other"),
        |p| p.name = "Euro".parse().unwrap(),
        |p| p.decimals = 3,
        |p| p.supply_limit = Some(Amount::ZERO),
        |p| p.terms.0[0] = 1,
        |p| p.minimum_tier = 1,
    ];
    for change in changes {
        let mut changed = profile();
        change(&mut changed);
        assert_ne!(changed.uai(), profile().uai());
    }
    assert_eq!(
        (profile().uai().code(), profile().uai().issuer()),
        (profile().code, &domain("bank"))
    );
}

#[test]
fn books_are_read_back_as_they_were_written() {
    let bank = Bank::funded();
    let again = codec::decode::<Books, 65_536>(&codec::encode(&bank.books)).unwrap();
    assert_eq!(again, bank.books);
}
