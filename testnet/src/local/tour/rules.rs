//! What a holder and its bank lay down for a ledger.

use quadrille_node::api::dto::{LedgerStatus, PaymentState};
use quadrille_node::signer::generate_key;
use quadrille_protocol::codec;
use quadrille_protocol::crypto::hash::Tag;
use quadrille_protocol::crypto::suite::{SecretKey, Suite};
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::ledger::opening::{DailyLimit, Rules};
use quadrille_protocol::ledger::{Action, Payment, Replacement, SignedReplacement};
use quadrille_protocol::types::{Amount, Bounded, Holder, OrderId};

use super::customer::{Customer, Registration};
use super::stage::{ROWS, Stage, holds, refused, same, short};

const fn minor(units: u128) -> Amount {
    Amount::new(units.saturating_mul(100))
}

pub(super) fn chapter(stage: &Stage<'_>) -> Result<(), Refusal> {
    let mut rosa = opened(stage)?;
    daily_limit(stage, &mut rosa)?;
    frozen(stage, &rosa)?;
    rotated(stage, &mut rosa)?;
    replaced(stage, &mut rosa)?;
    several_and_closed(stage, &rosa)
}

fn opened(stage: &Stage<'_>) -> Result<Customer, Refusal> {
    let (a, b) = (stage.desk("bank-a")?, stage.desk("bank-b")?);
    let backups = vec![b.domain.clone()];
    let with = Registration { backups: backups.clone(), ..Registration::default() };
    let rosa = Customer::open(&a, "rosa", &with)?;
    let view = a.ask(a.client.ledger(&rosa.ledger))?;
    same("the backup validators", &view.rules.backups, &backups)?;
    let entries = a.ask(a.client.entries(&rosa.ledger, 1))?;
    let entry = super::stage::only("entries of a new ledger", &entries)?;
    stage.tell("rosa's opening entry names bank-b as backup validator", a.at(entry.place))?;
    a.ask(a.client.issue(&stage.cash("bank-a")?, rosa.ledger, minor(1_000), "tour-rosa"))?;
    Ok(rosa)
}

fn pays(stage: &Stage<'_>, rosa: &Customer, units: u128) -> Result<OrderId, Refusal> {
    let carol = stage.customer("carol@bank-a")?;
    let order = rosa.pay(Payment::plain(carol.account(), stage.cash("bank-a")?, minor(units)))?;
    same("the payment", &rosa.paid(&order)?.state, &PaymentState::Paid)?;
    Ok(order)
}

fn daily_limit(stage: &Stage<'_>, rosa: &mut Customer) -> Result<(), Refusal> {
    let second = generate_key(Suite::HybridMlDsa65)?;
    let limit = DailyLimit { asset: stage.cash("bank-a")?, amount: minor(100) };
    let rules = Rules {
        daily_limits: Bounded::new(vec![limit])?,
        second_key: Some(second.public().clone()),
        ..Rules::default()
    };
    let (_, receipt) = rosa.order(Action::Amend(rules))?;
    stage.tell(
        "rosa lays down: above 100 EUR a day a second key signs, too",
        rosa.desk.receipt(&receipt),
    )?;
    pays(stage, rosa, 60)?;
    let answer = pays(stage, rosa, 60);
    let refusal = refused("a second 60 with one key", answer, Code::LimitNeedsSecondKey)?;
    rosa.second = Some(second);
    let order = pays(stage, rosa, 60)?;
    stage.tell(
        format!(
            "60 pass with one key, the next 60 do not ({}), with both keys they do",
            refusal.code
        ),
        order,
    )
}

fn frozen(stage: &Stage<'_>, rosa: &Customer) -> Result<(), Refusal> {
    let a = &rosa.desk;
    let receipt = a.ask(a.client.freeze(&rosa.ledger, true, "tour-freeze-rosa"))?;
    let refusal = refused("an order of a frozen ledger", pays(stage, rosa, 1), Code::LedgerFrozen)?;
    a.ask(a.client.freeze(&rosa.ledger, false, "tour-unfreeze-rosa"))?;
    pays(stage, rosa, 1)?;
    let what = format!("bank-a freezes the ledger: {refusal}; unfrozen, rosa pays again");
    stage.tell(what, a.receipt(&receipt))
}

fn rotated(stage: &Stage<'_>, rosa: &mut Customer) -> Result<(), Refusal> {
    let new = generate_key(Suite::HybridMlDsa65)?;
    let (_, receipt) = rosa.order(Action::RotateKey { key: new.public().clone() })?;
    refused("the old key", pays(stage, rosa, 1), Code::WrongKey)?;
    rosa.key = new;
    pays(stage, rosa, 1)?;
    stage.tell(
        "rosa rotates her key: the old one signs nothing any more, the new one does",
        rosa.desk.receipt(&receipt),
    )
}

fn replaced(stage: &Stage<'_>, rosa: &mut Customer) -> Result<(), Refusal> {
    let new = generate_key(Suite::HybridMlDsa65)?;
    let signed = proof(rosa, &new);
    let a = rosa.desk.clone();
    let reason = "device stolen, passport seen";
    a.ask(a.client.replace_key(&signed, reason, "tour-replace"))?;
    refused("the lost key", pays(stage, rosa, 1), Code::WrongKey)?;
    rosa.key = new;
    pays(stage, rosa, 1)?;
    let entries = a.ask(a.client.entries(&rosa.ledger, ROWS))?;
    let shown = entries.iter().filter(|entry| entry.cause == "key replaced");
    let entry = *super::stage::only("entries that say so", &shown.collect::<Vec<_>>())?;
    stage.tell(
        format!("rosa has lost her key: bank-a replaces it, visibly (\"{reason}\")"),
        a.at(entry.place),
    )
}

fn proof(rosa: &Customer, new: &SecretKey) -> SignedReplacement {
    let replacement = Replacement {
        network: rosa.network.clone(),
        ledger: rosa.ledger,
        lost: rosa.key.public().id(),
        key: new.public().clone(),
        second_key: None,
    };
    let signature = new.sign(Tag::Replacement, &codec::encode(&replacement));
    SignedReplacement { replacement, signature }
}

fn several_and_closed(stage: &Stage<'_>, rosa: &Customer) -> Result<(), Refusal> {
    let a = &rosa.desk;
    let another = Registration { number: 2, ..Registration::default() };
    let savings = Customer::open(a, "rosa", &another)?;
    let holder: Holder = format!("rosa@{}", a.domain).parse()?;
    let ledgers = a.ask(a.client.ledgers(Some(&holder), ROWS))?;
    same("rosa's ledgers", &ledgers.len(), &2)?;
    stage.tell(
        "rosa opens a second ledger beside the first one",
        format!("{}, {}", short(&rosa.ledger), short(&savings.ledger)),
    )?;
    let answer = rosa.order(Action::Close);
    refused("closing a ledger with money on it", answer, Code::LedgerNotEmpty)?;
    let (_, receipt) = savings.order(Action::Close)?;
    let view = a.ask(a.client.ledger(&savings.ledger))?;
    holds("the ledger is closed", view.status == LedgerStatus::Closed)?;
    let order = savings.order(Action::Amend(Rules::default()));
    refused("an order of a closed ledger", order, Code::LedgerClosed)?;
    stage.tell(
        "she closes the empty one for good; the one with money on it stays open",
        a.receipt(&receipt),
    )
}
