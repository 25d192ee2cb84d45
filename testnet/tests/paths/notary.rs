//! A third bank decides a trade that it has no part in, and learns nothing of it; and the
//! commands that show what has moved.

use quadrille_node::api::dto::{OrderState, PartyRole, SettlementOutcome, SettlementState};
use quadrille_protocol::ledger::Action;
use quadrille_protocol::market::{OfferTerms, TakeTerms};
use quadrille_protocol::types::{
    Amount, AssetPair, Bounded, Duration as Span, OrderId, SettlementId,
};
use quadrille_testnet::local::fund::{self, BOND, CASH, minor};
use quadrille_testnet::local::trader::wait;
use quadrille_testnet::local::up::now;

use crate::stage::{ENDING, STEP, Stage};

const NOTARY: &str = "bank-c";
/// The notary is killed when it has decided and has told nobody.
const KILL: &str = "after-append:Decided(settle)";

#[test]
fn a_notary_decides_a_trade_and_learns_nothing_of_it() {
    let mut stage = Stage::new();
    let trade = trade(&stage, "quiet");
    ends_settled(&stage, &trade);
    the_notary_knows_no_legs(&stage, &trade);
    stage.arm(NOTARY, KILL);
    let trade_over = begin(&stage, "killed");
    stage.dies_of(NOTARY, KILL);
    stage.start(NOTARY, None);
    let settlement = settled(&stage, &trade_over);
    ends_settled(&stage, &settlement);
    stage.audit();
    the_commands_show_what_has_moved(&stage);
    a_subscription_comes_and_goes(&stage);
}

/// alice sells 10 bonds to bob for 9.80; the notary is to decide.
fn begin(stage: &Stage, id: &str) -> OrderId {
    let bond = fund::profile(BOND, &stage.domain("bank-a")).unwrap().uai();
    let cash = fund::profile(CASH, &stage.domain("bank-b")).unwrap().uai();
    let (alice, bob) = (stage.trader("alice", "bank-a"), stage.trader("bob", "bank-b"));
    let notary = Some(stage.domain(NOTARY));
    let expiry = now().unwrap().after(Span(600_000));
    let terms = OfferTerms {
        give: bond.clone(),
        give_amount: minor(10),
        want: cash.clone(),
        want_amount: Amount::new(980),
        minimum_fill: minor(10),
        expiry,
        counterparties: Bounded::default(),
        notary: notary.clone(),
        selection_window: Span(0),
        receive: None,
    };
    stage.runtime.block_on(async {
        let offer = alice.order(&format!("sale-{id}"), Action::Offer(terms)).await.unwrap();
        let seen = bob.sees(&offer, STEP).await.unwrap();
        assert_eq!(seen.notary, notary);
        let terms = TakeTerms {
            offer,
            maker: seen.validator.clone(),
            take: seen.give_amount,
            pay: seen.want_amount,
            notary,
            expiry,
            receive: None,
        };
        let take = Action::Take { terms, pair: AssetPair { give: bond, want: cash } };
        bob.order(&format!("buy-{id}"), take).await.unwrap()
    })
}

/// Waits until bob's take is settled.
fn settled(stage: &Stage, take: &OrderId) -> SettlementId {
    let bob = stage.trader("bob", "bank-b");
    let over = bob.outcome(take, ENDING, |view| {
        !matches!(view.state, OrderState::Live | OrderState::Settling)
    });
    let view = stage.runtime.block_on(over).unwrap();
    assert_eq!(view.state, OrderState::Settled, "{view:#?}");
    view.settlement.unwrap()
}

fn trade(stage: &Stage, id: &str) -> SettlementId {
    settled(stage, &begin(stage, id))
}

fn ends_settled(stage: &Stage, settlement: &SettlementId) {
    for bank in ["bank-a", "bank-b", NOTARY] {
        let client = stage.client(bank);
        let what = format!("{settlement} is final at {bank}");
        let over = wait(&what, ENDING, async || {
            let view = client.settlement(settlement).await.ok()?;
            (view.state == SettlementState::Final).then_some(view)
        });
        let view = stage.runtime.block_on(over).unwrap();
        assert_eq!(view.outcome, Some(SettlementOutcome::Settled), "{bank}");
        assert_eq!(view.decider, stage.domain(NOTARY), "{bank}");
    }
}

fn the_notary_knows_no_legs(stage: &Stage, settlement: &SettlementId) {
    let view = stage.runtime.block_on(stage.client(NOTARY).settlement(settlement)).unwrap();
    assert_eq!((view.roles, view.legs.len()), (vec![PartyRole::Decider], 0));
    let view = stage.runtime.block_on(stage.client("bank-a").settlement(settlement)).unwrap();
    assert_eq!(view.legs.len(), 2);
}

fn the_commands_show_what_has_moved(stage: &Stage) {
    let shown = stage.quadrille("bank-a", "positions bank-b.example", &[]).done();
    assert!(shown.contains("RECONCILED") && shown.contains("19.60"), "{shown}");
    let shown = stage.quadrille("bank-a", "path bank-d.example 12.00 EUR:bank-a.example", &[]);
    assert!(shown.done().contains("12.00 EUR"));
    let line = "pay bob@bank-d.example 12.00 EUR:bank-a.example --ledger alice@bank-a.example \
                --id small --wait 30s -o json";
    let sent = stage.quadrille("bank-a", line, &[]).json();
    let show = format!("payment show {}", sent["order"].as_str().unwrap());
    let shown = stage.quadrille("bank-a", &show, &[]).done();
    assert!(shown.contains("settled") && shown.contains("bank-d.example"), "{shown}");
    let carol = stage.trader("carol", "bank-b").account().ledger;
    stage.quadrille("bank-b", &format!("correspondent transit {carol}"), &[]).done();
    stage.quadrille("bank-b", "correspondent fee EUR:bank-a.example --flat 0.07", &[]).done();
    let shown = stage.quadrille("bank-b", "correspondent show", &[]).done();
    assert!(shown.contains(&carol.to_string()) && shown.contains("0.07"), "{shown}");
}

fn a_subscription_comes_and_goes(stage: &Stage) {
    let secret = stage.held.layout.root().join("desk.secret");
    // Nobody listens there: it is only listed.
    let line = "hook add https://127.0.0.1:9/desk --types settlement.final --secret-file";
    stage.quadrille("bank-a", line, &[secret.to_str().unwrap()]).done();
    assert!(secret.is_file());
    let list = || stage.quadrille("bank-a", "hook list -o json", &[]).json();
    let all = list();
    let [one] = &all.as_array().unwrap()[..] else { panic!("{all:#}") };
    assert_eq!(one["url"], "https://127.0.0.1:9/desk");
    let remove = format!("hook remove {}", one["id"].as_str().unwrap());
    stage.quadrille("bank-a", &remove, &[]).done();
    assert_eq!(list().as_array().map(Vec::len), Some(0));
}
