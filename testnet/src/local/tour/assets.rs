//! The life of an asset, from its profile to its end, and the proof of what is outstanding.

use quadrille_node::api::dto::{NewAsset, PaymentState};
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::ledger::{Action, Payment};
use quadrille_protocol::types::{Amount, Uai};

use super::customer::{Customer, Registration};
use super::payments::new_asset;
use super::stage::{PLENTY, Stage, refused, same};
use crate::local::trader::otherwise;

const fn minor(units: u128) -> Amount {
    Amount::new(units.saturating_mul(100))
}

pub(super) fn chapter(stage: &Stage<'_>) -> Result<(), Refusal> {
    let share = issued(stage)?;
    moved_and_redeemed(stage, &share)?;
    locked(stage, &share)?;
    proven(stage, &share)?;
    closed(stage, &share)
}

fn issued(stage: &Stage<'_>) -> Result<Uai, Refusal> {
    let (ida, a) = (stage.customer("ida@bank-a")?, stage.desk("bank-a")?);
    let asset = NewAsset {
        supply_limit: Some(minor(1_000)),
        jurisdictions: vec!["DE".parse()?],
        ..new_asset("SHARE")?
    };
    let share = a.ask(a.client.register_asset(&asset, "tour-share"))?.asset;
    let issue = |ledger, amount, id| a.ask(a.client.issue(&share, ledger, amount, id));
    let receipt = issue(ida.ledger, minor(900), "tour-issue-share")?;
    stage.tell(
        "bank-a issues 900 SHARE to ida; the profile allows 1,000, for holders in DE",
        a.receipt(&receipt),
    )?;
    let again = issue(ida.ledger, minor(200), "tour-issue-share-2");
    let refusal = refused("above the supply limit", again, Code::SupplyExceeded)?;
    stage.tell(format!("200 more would be above the limit: {refusal}"), "nothing was issued")?;
    let alice = stage.customer("alice@bank-a")?;
    let elsewhere = issue(alice.ledger, minor(1), "tour-issue-share-3");
    let refusal = refused("a holder elsewhere", elsewhere, Code::JurisdictionNotPermitted)?;
    stage.tell(format!("alice, who is not in DE, gets none: {refusal}"), "nothing was issued")?;
    Ok(share)
}

fn moved_and_redeemed(stage: &Stage<'_>, share: &Uai) -> Result<(), Refusal> {
    let (ida, b) = (stage.customer("ida@bank-a")?, stage.desk("bank-b")?);
    let a = &ida.desk;
    b.ask(b.client.fetch_asset(share))?;
    b.ask(b.client.set_trust(&a.domain, share, PLENTY))?;
    let dieter = Registration { jurisdiction: "DE".parse()?, ..Registration::default() };
    let dieter = Customer::open(&b, "dieter", &dieter)?;
    a.reaches(&b, share)?;
    let order = ida.pay(Payment::plain(dieter.account(), share.clone(), minor(300)))?;
    let paid = ida.paid(&order)?;
    same("the payment", &paid.state, &PaymentState::Settled)?;
    same("dieter", &dieter.has(share)?.0, &minor(300))?;
    let redeem = Action::Redeem { asset: share.clone(), amount: minor(100) };
    let (_, receipt) = ida.order(redeem)?;
    let view = a.ask(a.client.asset(share))?;
    same("issued, redeemed", &(view.issued, view.redeemed), &(minor(900), minor(100)))?;
    stage.tell(
        "ida pays 300 to dieter at bank-b and redeems 100: issued 900, redeemed 100, \
         outstanding 800",
        a.receipt(&receipt),
    )
}

fn locked(stage: &Stage<'_>, share: &Uai) -> Result<(), Refusal> {
    let ida = stage.customer("ida@bank-a")?;
    let a = &ida.desk;
    let receipt = a.ask(a.client.lock_asset(share, true, "tour-lock"))?;
    let answer = ida.order(Action::Redeem { asset: share.clone(), amount: minor(1) });
    let refusal = refused("an order while the asset is locked", answer, Code::AssetLocked)?;
    a.ask(a.client.lock_asset(share, false, "tour-unlock"))?;
    let what = format!("bank-a locks the asset: ida's order is refused: {refusal}; then unlocks");
    stage.tell(what, a.receipt(&receipt))
}

fn proven(stage: &Stage<'_>, share: &Uai) -> Result<(), Refusal> {
    let mut files = Vec::new();
    for bank in ["bank-a", "bank-b"] {
        let file = stage.held.layout.root().join(format!("share-{bank}.json"));
        let file = file.to_string_lossy().into_owned();
        stage.json(bank, &["asset", "attest", &share.to_string(), "--out", &file])?;
        files.push(file);
    }
    let network = stage.held.layout.network().network_file();
    let network = network.to_string_lossy();
    let mut verify = vec!["evidence", "verify-supply", "--network", &*network];
    verify.extend(files.iter().map(String::as_str));
    let report = stage.json("bank-a", &verify)?;
    same("what the attestations prove", &report["holds"], &true.into())?;
    let said = report["said"].as_array().map(Vec::as_slice).unwrap_or_default();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let places = said.iter().map(|one| {
        format!("attested by {} at height {}", text(&one["domain"]), text(&one["height"]))
    });
    let places: Vec<String> = places.collect();
    let eight = minor(800).to_string();
    same("outstanding", &report["outstanding"], &eight.clone().into())?;
    same("held", &report["held"], &eight.into())?;
    stage.tell(
        "both banks attest; `quadrille evidence verify-supply` proves offline: outstanding 800 \
         is what holders have",
        places.join("; "),
    )
}

fn closed(stage: &Stage<'_>, share: &Uai) -> Result<(), Refusal> {
    let alice = stage.customer("alice@bank-a")?;
    let a = &alice.desk;
    let answer = a.ask(a.client.close_asset(share, "tour-close-share"));
    let refusal = refused("closing with some outstanding", answer, Code::AssetOutstanding)?;
    let bill = a.ask(a.client.register_asset(&new_asset("BILL")?, "tour-bill"))?.asset;
    a.ask(a.client.issue(&bill, alice.ledger, minor(50), "tour-issue-bill"))?;
    alice.order(Action::Redeem { asset: bill.clone(), amount: minor(50) })?;
    let receipt = a.ask(a.client.close_asset(&bill, "tour-close-bill"))?;
    let answer = a.ask(a.client.issue(&bill, alice.ledger, minor(1), "tour-issue-bill-2"));
    refused("an issue of a closed asset", answer, Code::AssetClosed)?;
    if !a.ask(a.client.asset(&bill))?.closed {
        return Err(otherwise("the asset is not shown as closed"));
    }
    stage.tell(
        format!("SHARE cannot be closed ({}); BILL, all redeemed, can, for good", refusal.code),
        a.receipt(&receipt),
    )
}
