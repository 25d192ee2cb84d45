//! A ring of debts over four banks is netted in one settlement, whoever is killed in the middle.

use std::collections::BTreeMap;

use quadrille_node::api::dto::{
    PaymentState, PositionView, SettlementOutcome, SettlementState, StandingView,
};
use quadrille_protocol::types::{Amount, SettlementId};
use quadrille_testnet::local::trader::wait;

use crate::stage::{BANKS, ENDING, STEP, Stage};

/// Who pays whom, how much: each bank owes the next one, and the last one the first.
const RING: [(&str, &str, &str, &str, u128); 4] = [
    ("alice", "bank-a", "bob", "bank-b", 1_000),
    ("bob", "bank-b", "bob", "bank-c", 900),
    ("bob", "bank-c", "bob", "bank-d", 800),
    ("bob", "bank-d", "alice", "bank-a", 700),
];
/// What of it goes round.
const ROUND: u128 = 700;

/// Who is killed and when. bank-a proposes, bank-b decides.
const KILLS: [(&str, &str); 2] =
    [("bank-c", "after-append:Locked"), ("bank-b", "after-append:Decided(settle)")];

#[test]
fn a_ring_of_debts_is_netted_whole_whoever_is_killed_in_the_middle() {
    let mut stage = Stage::new();
    for bank in BANKS {
        let ledger = stage.trader("carol", bank).account().ledger;
        let client = stage.client(bank);
        stage.runtime.block_on(client.set_transit(Some(ledger))).unwrap();
        stage.runtime.block_on(client.switch_netting(true)).unwrap();
    }
    owe_around(&stage, "first");
    looking_changes_nothing(&stage);
    let was = gross(&stage);
    let nets = net_positions(&stage);
    let settlement = propose(&stage, "first");
    assert_eq!(ending(&stage, &settlement), SettlementOutcome::Settled);
    fell(&stage, &was);
    assert_eq!(net_positions(&stage), nets, "nobody is richer or poorer for it");
    books_agree(&stage);
    stage.audit();
    for (number, (bank, point)) in KILLS.into_iter().enumerate() {
        killed(&mut stage, number, bank, point);
    }
}

fn killed(stage: &mut Stage, number: usize, bank: &str, point: &str) {
    owe_around(stage, &format!("kill-{number}"));
    stage.arm(bank, point);
    let was = gross(stage);
    let settlement = propose(stage, &format!("kill-{number}"));
    stage.dies_of(bank, point);
    stage.start(bank, None);
    let outcome = ending(stage, &settlement);
    println!("{bank} {point}: {outcome:?}");
    if point.contains("ettle") {
        assert_eq!(outcome, SettlementOutcome::Settled, "{point}: it was decided");
    }
    match outcome {
        SettlementOutcome::Settled => fell(stage, &was),
        SettlementOutcome::Refunded => {
            assert_eq!(gross(stage), was, "{point}: nothing has changed");
            let again = propose(stage, &format!("kill-{number}-again"));
            assert_eq!(ending(stage, &again), SettlementOutcome::Settled, "{point}");
            fell(stage, &was);
        }
    }
    books_agree(stage);
    stage.audit();
}

/// Payments that leave each bank owing the next one.
fn owe_around(stage: &Stage, round: &str) {
    for (payer, from, payee, to, amount) in RING {
        let (payer, payee) = (stage.trader(payer, from), stage.trader(payee, to));
        let client = stage.client(from);
        let id = format!("{round}-{from}");
        let over = async {
            let amount = Amount::new(amount);
            let order = payer.pay(&id, &stage.euro, amount, payee.account()).await.unwrap();
            wait(&format!("{id} is over"), STEP, async || {
                let view = client.payment(&order).await.ok()?;
                (view.state != PaymentState::Trying).then_some(view)
            })
            .await
        };
        let view = stage.runtime.block_on(over).unwrap();
        assert_eq!(view.state, PaymentState::Settled, "{view:#?}");
    }
    books_agree(stage);
}

fn looking_changes_nothing(stage: &Stage) {
    let was = gross(stage);
    let found = stage.runtime.block_on(stage.client("bank-a").net(&stage.euro, true, "look"));
    let found = found.unwrap();
    assert!(found.silent.is_empty(), "{found:#?}");
    let [cycle] = &found.cycles[..] else { panic!("one ring: {found:#?}") };
    assert_eq!(cycle.parties, BANKS.map(|bank| stage.domain(bank)));
    assert_eq!((cycle.amount, cycle.settlement), (Amount::new(ROUND), None));
    let sum = |all: &[StandingView]| all.iter().map(|known| known.gross.units()).sum::<u128>();
    assert_eq!(sum(&found.before) - sum(&found.after), 8 * ROUND, "two sides of four debts");
    assert_eq!(gross(stage), was);
}

/// Has bank-a net the ring.
fn propose(stage: &Stage, id: &str) -> SettlementId {
    let net = stage.client("bank-a");
    let found = stage.runtime.block_on(net.net(&stage.euro, false, &format!("net-{id}"))).unwrap();
    let [cycle] = &found.cycles[..] else { panic!("one ring: {found:#?}") };
    assert_eq!(cycle.amount, Amount::new(ROUND), "{found:#?}");
    cycle.settlement.unwrap_or_else(|| panic!("not proposed: {found:#?}"))
}

/// Waits until the settlement is over at all banks, in the same way.
fn ending(stage: &Stage, settlement: &SettlementId) -> SettlementOutcome {
    let outcomes = BANKS.map(|bank| {
        let client = stage.client(bank);
        let what = format!("{settlement} is final at {bank}");
        let over = wait(&what, ENDING, async || {
            let view = client.settlement(settlement).await.ok()?;
            (view.state == SettlementState::Final).then_some(view.outcome)
        });
        stage.runtime.block_on(over).unwrap().unwrap()
    });
    assert_eq!(outcomes, [outcomes[0]; 4]);
    outcomes[0]
}

fn totals(stage: &Stage) -> Vec<StandingView> {
    let total = |bank| {
        let view = stage.runtime.block_on(stage.client(bank).standings()).unwrap();
        assert_eq!((view.netting, view.breaks), (true, 0), "{bank}");
        view.totals.into_iter().find(|known| known.asset == stage.euro).unwrap()
    };
    BANKS.map(total).to_vec()
}

/// What each bank owes and is owed in all.
fn gross(stage: &Stage) -> Vec<u128> {
    totals(stage).iter().map(|known| known.gross.units()).collect()
}

/// What each bank is owed, less what it owes.
fn net_positions(stage: &Stage) -> Vec<i128> {
    let signed = |amount: Amount| i128::try_from(amount.units()).unwrap();
    totals(stage).iter().map(|known| signed(known.owed) - signed(known.owes)).collect()
}

/// At each bank a debt and a claim fell by what went round.
fn fell(stage: &Stage, was: &[u128]) {
    let lower: Vec<u128> = was.iter().map(|gross| gross - 2 * ROUND).collect();
    assert_eq!(gross(stage), lower);
}

/// Waits until each bank's books were found to be the mirror of every other's, and checks that
/// they are.
fn books_agree(stage: &Stage) {
    let clients = BANKS.map(|bank| stage.client(bank));
    let compared = wait("the books were compared", STEP, async || {
        let mut all = BTreeMap::new();
        for (bank, client) in BANKS.iter().zip(&clients) {
            for line in client.positions(None, Some(&stage.euro), 100).await.ok()? {
                let at = line.reconciled.as_ref().map_or("0", |known| known.booked.as_str());
                if at != line.booked {
                    return None;
                }
                all.insert((stage.domain(bank), line.domain.clone()), line);
            }
        }
        Some(all)
    });
    let all: BTreeMap<_, PositionView> = stage.runtime.block_on(compared).unwrap();
    assert_eq!(all.len(), 12, "four banks, three peers each");
    for ((bank, peer), ours) in &all {
        let theirs = &all[&(peer.clone(), bank.clone())];
        assert_eq!(ours.exposure.owe, theirs.exposure.claim, "{bank} to {peer}");
        assert_eq!(ours.exposure.claim, theirs.exposure.owe, "{peer} to {bank}");
        assert_eq!((&ours.booked, &ours.broken), (&theirs.booked, &None), "{bank}, {peer}");
    }
}
