//! Who may do what, how often, and what a repeated or lost request means.

use std::sync::atomic::Ordering;
use std::time::Duration;

use quadrille_node::api::{HolderPolicy, Rate};
use quadrille_protocol::codec;
use quadrille_protocol::crypto::hash::Tag;
use quadrille_protocol::crypto::suite::{SecretKey, Suite};
use quadrille_protocol::error::Code;
use quadrille_protocol::ledger::opening::Rules;
use quadrille_protocol::ledger::{Action, Opening, SignedOpening};
use quadrille_protocol::types::{Amount, Country, Hash};
use serde_json::{Value, json};

use crate::bank::{Bank, Got, Town, levels, settings};

/// Every documented operation, with something in the places of its parameters.
async fn operations(bank: &Bank) -> Vec<(String, String, bool)> {
    let document = bank.get("/v1/openapi.json").await.ok();
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let path = path
                .replace("{height}", "1")
                .replace("{leaf}", "0")
                .replace("{sequence}", "1")
                .replace("{holder}", "bob@bank-b.example")
                .replace("{domain}", "bank-b.example")
                .replace("{asset}", "EUR:bank-b.example%230011223344556677")
                .replace("{ledger}", &format!("ubi:{}", "1".repeat(64)))
                .replace("{order}", &format!("ord:{}", "1".repeat(64)))
                .replace("{offer}", &format!("ord:{}", "1".repeat(64)))
                .replace("{settlement}", &format!("stl:{}", "1".repeat(64)))
                .replace("{subscription}", "h-11111111");
            assert!(!path.contains('{'), "{path}");
            let open = operation.get("security").is_none();
            found.push((method.to_uppercase(), path, open));
        }
    }
    found
}

#[tokio::test]
async fn without_a_token_only_health_and_the_document_are_open() {
    let town = Town::new().await;
    let a = &town.banks[0];
    let operations = operations(a).await;
    assert!(operations.len() > 40, "{}", operations.len());
    let client = reqwest::Client::new();
    for (method, path, open) in operations {
        let verb = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let none = Got::of(client.request(verb, a.url(&path)).send().await.unwrap()).await;
        if open {
            assert_eq!(none.status, 200, "{method} {path}");
            continue;
        }
        assert_eq!((none.status, none.code().as_str()), (401, "Q-2108"), "{method} {path}");
        assert!(none.headers.contains_key("www-authenticate"));
        let wrong = a.request(&method, &path, &format!("qd_{}", "0".repeat(64)));
        let wrong = Got::of(wrong.send().await.unwrap()).await;
        assert_eq!(wrong.code(), "Q-2108", "{method} {path}");
    }
}

#[tokio::test]
async fn an_auditor_changes_nothing_and_a_trader_only_hands_in_orders() {
    let town = Town::new().await;
    let a = &town.banks[0];
    let before = a.get("/v1/log/head").await.text;
    for (method, path, open) in operations(a).await {
        if method == "GET" || open {
            continue;
        }
        let trades = matches!(path.as_str(), "/v1/orders" | "/v1/orders/batch" | "/v1/payments");
        for (token, barred) in [(&a.auditor, true), (&a.trader, !trades)] {
            let got = Got::of(a.request(&method, &path, token).send().await.unwrap()).await;
            let code = got.code();
            assert_eq!(code == "Q-2109", barred, "{method} {path} {got:?}");
            assert_eq!(got.status == 403, barred);
        }
    }
    assert_eq!(a.get("/v1/log/head").await.text, before);
}

#[tokio::test]
async fn the_document_names_only_schemas_that_it_has_and_problems_for_every_route() {
    let town = Town::new().await;
    let document = town.banks[0].get("/v1/openapi.json").await.ok();
    let text = document.to_string();
    let mut references = 0;
    for rest in text.split("#/components/schemas/").skip(1) {
        let name = &rest[..rest.find('"').unwrap()];
        assert!(document["components"]["schemas"].get(name).is_some(), "no {name}");
        references += 1;
    }
    assert!(references > 50);
    for (path, item) in document["paths"].as_object().unwrap() {
        for operation in item.as_object().unwrap().values() {
            let problem = &operation["responses"]["default"]["content"]["application/problem+json"];
            assert!(problem.is_object(), "{path}");
        }
    }
}

async fn issue(town: &Town, key: Option<&str>, amount: u64) -> Got {
    let a = &town.banks[0];
    let (bond, ledger) = {
        let market = town.world.lock().unwrap();
        (market.bond.to_string().replace('#', "%23"), market.alice.ledger.to_string())
    };
    let body = json!({ "ledger": ledger, "amount": amount.to_string() });
    let path = format!("/v1/assets/{bond}/issue");
    let mut request = a.request("POST", &path, &a.operator).json(&body);
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    Got::of(request.send().await.unwrap()).await
}

fn issued(town: &Town) -> u128 {
    let market = town.world.lock().unwrap();
    market.net.banks[0].validator.state().books.asset(&market.bond).unwrap().issued.units()
}

#[tokio::test]
async fn a_change_sent_twice_with_one_key_happens_once() {
    let town = Town::new().await;
    let before = issued(&town);
    let first = issue(&town, Some("k1"), 10).await;
    let again = issue(&town, Some("k1"), 10).await;
    assert_eq!((first.status, &first.text), (again.status, &again.text));
    assert_eq!(issued(&town), before + 10);
    let other = issue(&town, Some("k1"), 11).await;
    assert_eq!((other.status, other.code()), (409, "Q-2116".to_owned()));
    issue(&town, Some("k2"), 10).await.ok();
    issue(&town, None, 10).await.ok();
    assert_eq!(issued(&town), before + 30);
    assert_eq!(issue(&town, Some("not a key"), 1).await.code(), "Q-2115");
    // A refusal is an answer, too.
    let refused = issue(&town, Some("k3"), 0).await;
    assert_eq!(refused.code(), issue(&town, Some("k3"), 0).await.code());
}

#[tokio::test]
async fn a_busy_engine_is_an_announced_503_and_the_key_may_be_used_again() {
    let town = Town::new().await;
    let before = issued(&town);
    town.banks[0].conduct.busy.store(true, Ordering::SeqCst);
    let busy = issue(&town, Some("k"), 10).await;
    assert_eq!((busy.status, busy.code()), (503, "Q-1803".to_owned()));
    assert!(busy.headers.contains_key("retry-after"));
    town.banks[0].conduct.busy.store(false, Ordering::SeqCst);
    issue(&town, Some("k"), 10).await.ok();
    assert_eq!(issued(&town), before + 10);
}

#[tokio::test]
async fn a_lost_answer_is_an_unknown_outcome_and_the_same_order_again_tells_it() {
    let town = Town::new().await;
    let a = &town.banks[0];
    let order = {
        let mut market = town.world.lock().unwrap();
        let action = Action::Offer(market.terms(3, 15));
        let market = &mut *market;
        market.net.sign(&mut market.alice, action)
    };
    a.conduct.dying.store(true, Ordering::SeqCst);
    let lost = a.order(&order).await;
    assert_eq!((lost.status, lost.code()), (504, "Q-2111".to_owned()));
    a.conduct.dying.store(false, Ordering::SeqCst);
    let receipt = a.order(&order).await.ok();
    assert_eq!(receipt["repeated"], json!(true));
    assert!(receipt["height"].is_string(), "{receipt}");
}

#[tokio::test]
async fn a_change_that_takes_too_long_is_finished_and_its_key_tells_how_it_ended() {
    let mut hasty = settings();
    hasty.answer_timeout = Duration::from_millis(200);
    let town = Town::with(hasty, levels()).await;
    let before = issued(&town);
    town.banks[0].conduct.slow.store(true, Ordering::SeqCst);
    let late = issue(&town, Some("k"), 10).await;
    assert_eq!((late.status, late.code()), (504, "Q-2111".to_owned()));
    let busy = issue(&town, Some("k"), 10).await;
    assert_eq!((busy.status, busy.code()), (409, "Q-2117".to_owned()));
    assert!(busy.headers.contains_key("retry-after"));
    town.banks[0].conduct.slow.store(false, Ordering::SeqCst);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    let done = loop {
        let got = issue(&town, Some("k"), 10).await;
        if got.status == 200 {
            break got.json();
        }
        assert!(tokio::time::Instant::now() < deadline, "{got:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert!(done["height"].is_string());
    assert_eq!(issued(&town), before + 10);
}

#[tokio::test]
async fn orders_per_token_and_refusals_per_ledger_are_bounded() {
    let mut slow = settings();
    slow.orders = Rate { per_second: 0.001, burst: 8.0 };
    slow.refused = Rate { per_second: 0.001, burst: 3.0 };
    let town = Town::with(slow, levels()).await;
    let a = &town.banks[0];
    let sign = |give| {
        let mut market = town.world.lock().unwrap();
        let action = Action::Offer(market.terms(give, 15));
        let market = &mut *market;
        market.net.sign(&mut market.alice, action)
    };
    // Somebody else's junk in the ledger's name costs the ledger nothing.
    for _ in 0..3 {
        let mut forged = sign(1);
        forged.signature = sign(2).signature;
        assert_eq!(a.order(&forged).await.code(), "Q-1103");
    }
    for _ in 0..3 {
        assert_eq!(a.order(&sign(1_000_000)).await.code(), "Q-1405");
    }
    let height = a.get("/v1/log/head").await.text;
    let bounded = a.order(&sign(1_000_000)).await;
    assert_eq!((bounded.status, bounded.code()), (429, "Q-2114".to_owned()));
    assert!(bounded.headers.contains_key("retry-after"));
    assert_eq!(a.get("/v1/log/head").await.text, height, "nothing was written");
    a.order(&sign(1)).await;
    let bounded = a.order(&sign(1)).await;
    assert_eq!((bounded.status, bounded.code()), (429, "Q-2113".to_owned()));
    assert_eq!(a.get("/v1/status").await.status, 200);
}

/// The body that opens a ledger of somebody new with such a key and tier.
fn opening(town: &Town, suite: Suite, tier: u8) -> Value {
    let key = SecretKey::generate(suite, &[77; 32]);
    let (network, domain) = {
        let market = town.world.lock().unwrap();
        (market.net.network.clone(), market.net.domain(0))
    };
    let opening = Opening {
        network,
        holder: format!("dora@{domain}").parse().unwrap(),
        number: 1,
        key: key.public().clone(),
        tier,
        jurisdiction: Country::UNKNOWN,
        identity: Hash::ZERO,
        rules: Rules::default(),
    };
    let signature = key.sign(Tag::Opening, &codec::encode(&opening));
    json!({ "bytes": hex::encode(codec::encode(&SignedOpening { opening, signature })) })
}

#[tokio::test]
async fn keys_and_tiers_that_the_bank_does_not_grant_are_refused() {
    let mut strict = settings();
    strict.holders = HolderPolicy { suites: vec![Suite::HybridMlDsa65], highest_tier: 1 };
    let town = Town::with(strict, levels()).await;
    let a = &town.banks[0];
    let cases = [(Suite::Ed25519, 1, 422, "Q-1107"), (Suite::HybridMlDsa65, 2, 422, "Q-2128")];
    for (suite, tier, status, code) in cases {
        let got = a.post("/v1/ledgers", &opening(&town, suite, tier)).await;
        assert_eq!((got.status, got.code().as_str()), (status, code), "{suite}, tier {tier}");
    }
    let opened = a.post("/v1/ledgers", &opening(&town, Suite::HybridMlDsa65, 1)).await;
    assert_eq!(opened.status, 201, "{}", opened.text);
    let rotate = {
        let mut market = town.world.lock().unwrap();
        let key = SecretKey::generate(Suite::Ed25519, &[78; 32]).public().clone();
        let market = &mut *market;
        market.net.sign(&mut market.alice, Action::RotateKey { key })
    };
    let height = a.get("/v1/log/head").await.text;
    assert_eq!(a.order(&rotate).await.code(), "Q-1107");
    assert_eq!(a.get("/v1/log/head").await.text, height, "nothing was written");
}

#[tokio::test]
async fn requests_and_refusals_are_counted_by_route_and_code() {
    let town = Town::new().await;
    let a = &town.banks[0];
    a.get("/v1/status").await.ok();
    a.get("/v1/nowhere").await;
    a.get("/v1/ledgers/nonsense").await;
    let text = a.get("/metrics").await.text;
    let bad = "quadrille_http_requests_total{method=\"GET\",route=\"/v1/ledgers/{ledger}\",";
    for line in [
        &format!("{bad}status=\"400\"}} 1"),
        "quadrille_http_requests_total{method=\"GET\",route=\"/v1/status\",status=\"200\"} 1",
        "quadrille_http_requests_total{method=\"GET\",route=\"unmatched\",status=\"404\"} 1",
        "quadrille_refused_total{code=\"Q-2101\"} 1",
        "quadrille_refused_total{code=\"Q-1013\"} 1",
    ] {
        assert!(text.lines().any(|known| known == line), "no `{line}` in\n{text}");
    }
}

#[tokio::test]
async fn amounts_are_strings_and_what_is_not_asked_for_is_refused() {
    let town = Town::new().await;
    let a = &town.banks[0];
    let bond = town.world.lock().unwrap().bond.to_string().replace('#', "%23");
    let path = format!("/v1/trust/bank-b.example/{bond}");
    for body in [
        json!({ "limit": 5 }),
        json!({ "limit": "05" }),
        json!({ "limit": "-5" }),
        json!({ "limit": "5", "more": 1 }),
        json!({}),
        json!([]),
        Value::Null,
    ] {
        let got = a.send("PUT", &path, &body).await;
        assert_eq!((got.status, got.code().as_str()), (400, "Q-2103"), "{body}");
    }
    let most = Amount::MAX.to_string();
    a.send("PUT", &path, &json!({ "limit": most })).await.ok();
    assert!(a.get("/v1/trust").await.text.contains(&most));
}

#[tokio::test]
async fn evidence_is_taken_only_while_recovering_and_only_if_it_is_evidence() {
    let town = Town::new().await;
    let a = &town.banks[0];
    let path = "/v1/recovery/evidence";
    let evidence = a.get("/v1/evidence/1/0").await.ok();
    let bundle = hex::decode(evidence["bytes"].as_str().unwrap()).unwrap();
    let bundle = quadrille_node::evidence::Bundle::from_bytes(&bundle).unwrap();
    let one = quadrille_protocol::codec::encode(bundle.evidence.iter().next().unwrap());
    let body = |bytes: &[u8]| json!({ "bytes": hex::encode(bytes) });
    assert_eq!(a.post(path, &body(&one)).await.code(), Code::NotRecovering.to_string());
    assert_eq!(a.post(path, &body(&one[..one.len() - 1])).await.status, 400);
    // More than other bodies may have, and less than the bound of this one.
    assert_eq!(a.post(path, &body(&vec![0; 100_000])).await.status, 400);
    assert_eq!(a.post(path, &body(&vec![0; 200_000])).await.code(), "Q-2106");
    assert_eq!(a.get("/v1/recovery").await.ok()["recovering"], json!(false));
}
