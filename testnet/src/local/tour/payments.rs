//! Payments inside a bank and between two, and what a payee's bank may decline.

use quadrille_node::api::dto::{NewAsset, PaymentState, PaymentView, RefusalView};
use quadrille_node::files::{self, Access};
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::ledger::Payment;
use quadrille_protocol::settlement::Account;
use quadrille_protocol::types::{Amount, OrderId, Ubi};

use super::customer::{Customer, Registration};
use super::stage::{PLENTY, Stage, holds, only, same};
use crate::local::prepare::DENY_LIST;
use crate::local::trader::otherwise;

/// What nobody but the payee's bank reads.
const MEMO: &str = "Sommernachtstraum, invoice 4711";

pub(super) fn chapter(stage: &Stage<'_>) -> Result<(), Refusal> {
    inside_a_bank(stage)?;
    between_two_banks(stage)?;
    unknown_holder(stage)?;
    frozen(stage)?;
    tier_too_low(stage)?;
    on_the_deny_list(stage)
}

fn inside_a_bank(stage: &Stage<'_>) -> Result<(), Refusal> {
    let (alice, carol) = (stage.customer("alice@bank-a")?, stage.customer("carol@bank-a")?);
    let euro = stage.cash("bank-a")?;
    let before = carol.has(&euro)?.0;
    let order = alice.pay(Payment::plain(carol.account(), euro.clone(), Amount::new(10_000)))?;
    let view = alice.paid(&order)?;
    same("the payment", &view.state, &PaymentState::Paid)?;
    same("carol", &carol.has(&euro)?.0, &before.try_plus(Amount::new(10_000))?)?;
    stage.tell(
        "alice pays carol, both at bank-a, 100.00 EUR: booked at once",
        alice.desk.at(view.place),
    )
}

fn between_two_banks(stage: &Stage<'_>) -> Result<(), Refusal> {
    let bob = stage.customer("bob@bank-b")?;
    let euro = stage.cash("bank-a")?;
    let before = bob.has(&euro)?.0;
    let told = stage.json(
        "bank-a",
        &[
            "pay",
            &format!("bob@{}", bob.desk.domain),
            "250.00",
            &euro.to_string(),
            "--ledger",
            &format!("alice@{}", stage.desk("bank-a")?.domain),
            "--id",
            "tour-rent",
            "--memo",
            MEMO,
            "--wait",
            "30s",
        ],
    )?;
    same("the payment", &told["outcome"]["state"], &"settled".into())?;
    let order = told["order"].as_str().unwrap_or_default();
    let order: OrderId = order.parse()?;
    let a = stage.desk("bank-a")?;
    let view = a.ask(a.client.payment(&order))?;
    let tried = only("ways tried", &view.tries)?;
    let (here, there) = (a.settled(&tried.settlement)?, bob.desk.settled(&tried.settlement)?);
    same("bob", &bob.has(&euro)?.0, &before.try_plus(Amount::new(25_000))?)?;
    let what = "`quadrille pay bob@bank-b.example 250.00 EUR`: settled at both banks";
    stage.tell(what, format!("{here}; {there}"))?;
    for bank in ["bank-a", "bank-b"] {
        holds("the memo is sealed", !stage.stands_in_the_clear(bank, MEMO)?)?;
    }
    stage.tell(
        "its memo went sealed to bank-b and is in no file of either bank",
        format!("bound by hash into {}", tried.settlement),
    )?;
    let state = stage.json("bank-a", &["payment", "show", &order.to_string()])?;
    same("the state by id", &state["state"], &"settled".into())?;
    let then = state["then"].as_str().unwrap_or_default();
    stage.tell(format!("asked by its id, bank-a answers: {then}"), order)
}

/// Pays, and has it declined by the payee's bank for this reason; the money is back.
fn declined(
    stage: &Stage<'_>,
    payer: &Customer,
    payment: Payment,
    memo: &str,
    (code, what): (Code, &str),
) -> Result<PaymentView, Refusal> {
    let asset = payment.spend.clone();
    let bank = payment.to.domain.clone();
    let before = payer.has(&asset)?;
    let order = payer.pay_with(payment, memo, None)?;
    let view = payer.paid(&order)?;
    same("the payment", &view.state, &PaymentState::Refunded)?;
    same("the payer's money", &payer.has(&asset)?, &before)?;
    let refusal = refusal_of(&view)?;
    same("who declined", &refusal.by, &bank)?;
    same("the reason", &refusal.reason.code, &code.to_string())?;
    stage.tell(
        format!("{what}: {bank} declines with {code} {}; the money is back", code.title()),
        format!("signed refusal: {}", payer.desk.at(refusal.place)),
    )?;
    Ok(view)
}

/// The only signed refusal of a payment that was tried once.
pub(super) fn refusal_of(view: &PaymentView) -> Result<&RefusalView, Refusal> {
    only("signed refusals", &only("ways tried", &view.tries)?.refusals)
}

fn unknown_holder(stage: &Stage<'_>) -> Result<(), Refusal> {
    let alice = stage.customer("alice@bank-a")?;
    let nobody = Account { domain: stage.desk("bank-b")?.domain, ledger: Ubi([9; 32]) };
    let payment = Payment::plain(nobody, stage.cash("bank-a")?, Amount::new(1_000));
    let why = (Code::UnknownLedger, "alice pays a ledger that bank-b does not have");
    declined(stage, &alice, payment, "", why).map(|_| ())
}

fn frozen(stage: &Stage<'_>) -> Result<(), Refusal> {
    let (alice, carol) = (stage.customer("alice@bank-a")?, stage.customer("carol@bank-b")?);
    let b = &carol.desk;
    b.ask(b.client.freeze(&carol.ledger, true, "tour-freeze"))?;
    let payment = Payment::plain(carol.account(), stage.cash("bank-a")?, Amount::new(1_000));
    let why = (Code::LedgerFrozen, "alice pays carol, whose ledger bank-b has frozen");
    declined(stage, &alice, payment, "", why)?;
    b.ask(b.client.freeze(&carol.ledger, false, "tour-unfreeze"))?;
    Ok(())
}

fn tier_too_low(stage: &Stage<'_>) -> Result<(), Refusal> {
    let (a, b) = (stage.desk("bank-a")?, stage.desk("bank-b")?);
    let asset = NewAsset { minimum_tier: 3, ..new_asset("FUND")? };
    let fund = a.ask(a.client.register_asset(&asset, "tour-fund"))?.asset;
    b.ask(b.client.fetch_asset(&fund))?;
    b.ask(b.client.set_trust(&a.domain, &fund, PLENTY))?;
    let tina = Customer::open(&a, "tina", &Registration { tier: 3, ..Registration::default() })?;
    a.ask(a.client.issue(&fund, tina.ledger, Amount::new(50_000), "tour-issue-fund"))?;
    a.reaches(&b, &fund)?;
    let bob = stage.customer("bob@bank-b")?;
    let payment = Payment::plain(bob.account(), fund, Amount::new(1_000));
    let why = (Code::KycTierTooLow, "tina pays bob (tier 1) in an asset for tier 3");
    declined(stage, &tina, payment, "", why).map(|_| ())
}

/// An asset of the bank that registers it.
pub(super) fn new_asset(code: &str) -> Result<NewAsset, Refusal> {
    Ok(NewAsset {
        code: code.parse()?,
        issuer: None,
        name: format!("{code} of the tour").parse()?,
        decimals: 2,
        supply_limit: None,
        terms: None,
        minimum_tier: 0,
        denomination: None,
        documents: Vec::new(),
        jurisdictions: Vec::new(),
        holders: Vec::new(),
    })
}

fn on_the_deny_list(stage: &Stage<'_>) -> Result<(), Refusal> {
    let (alice, bob) = (stage.customer("alice@bank-a")?, stage.customer("bob@bank-c")?);
    let list = stage.held.layout.node("bank-c").join(DENY_LIST);
    let denied = format!("bob@{}\n", bob.desk.domain);
    files::replace(&list, denied.as_bytes(), Access::Public)?;
    let payment = Payment::plain(bob.account(), stage.cash("bank-a")?, Amount::new(1_000));
    let why = (Code::DenyListed, "alice pays bob, who is on bank-c's deny list");
    let view = declined(stage, &alice, payment, "for you", why)?;
    let proof = refusal_of(&view)?.place;
    let proof = format!("{}/{}", proof.height, proof.leaf);
    let file = stage.held.layout.root().join("refusal.json");
    let file = file.to_string_lossy();
    let got = stage.quadrille("bank-a", &["evidence", "get", &proof, "--out", &file])?;
    got.map_err(otherwise)?;
    let network = stage.held.layout.network().network_file();
    let network = network.to_string_lossy();
    let verify = ["evidence", "verify", &file, "--network", &network];
    let told = stage.quadrille("bank-a", &verify)?.map_err(otherwise)?;
    let lines: Vec<&str> = told.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    stage.tell(format!("that refusal verifies offline: {}", lines.join(" ")), &*file)?;
    files::replace(&list, b"", Access::Public)
}
