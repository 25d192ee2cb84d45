//! The stream of events.

use std::time::Duration;

use futures::StreamExt;
use quadrille_protocol::ledger::Action;
use serde_json::Value;

use crate::bank::{Bank, Got, Town, levels, settings};

const LIMIT: Duration = Duration::from_secs(20);

/// Reads events from a stream until `wanted` are there.
pub async fn read(
    bank: &Bank,
    query: &str,
    last: Option<&str>,
    wanted: usize,
) -> Vec<(String, Value)> {
    let mut request = bank.request("GET", &format!("/v1/events{query}"), &bank.auditor);
    if let Some(last) = last {
        request = request.header("last-event-id", last);
    }
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200);
    let mut chunks = response.bytes_stream();
    let mut text = String::new();
    let reading = async {
        loop {
            let events = parse(&text);
            if events.len() >= wanted {
                return events;
            }
            match chunks.next().await {
                Some(Ok(chunk)) => text.push_str(std::str::from_utf8(&chunk).unwrap()),
                ended => panic!("{ended:?} after {text}"),
            }
        }
    };
    tokio::time::timeout(LIMIT, reading).await.unwrap()
}

fn parse(text: &str) -> Vec<(String, Value)> {
    let whole = text.split("\n\n").filter(|event| event.contains("data:"));
    // The last piece may be cut off.
    let whole: Vec<&str> = whole.collect();
    let complete = if text.ends_with("\n\n") { whole.len() } else { whole.len().saturating_sub(1) };
    let field = |event: &str, name: &str| {
        let line = event.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("no {name} in {event}")).trim().to_owned()
    };
    whole[..complete]
        .iter()
        .map(|event| {
            let data: Value = serde_json::from_str(&field(event, "data:")).unwrap();
            assert_eq!(data["type"].as_str().unwrap(), field(event, "event:"));
            (field(event, "id:"), data)
        })
        .collect()
}

pub async fn offers(town: &Town, count: usize) {
    for _ in 0..count {
        let order = {
            let mut market = town.world.lock().unwrap();
            let action = Action::Offer(market.terms(1, 5));
            let market = &mut *market;
            market.net.sign(&mut market.alice, action)
        };
        town.banks[0].order(&order).await.ok();
    }
}

#[tokio::test]
async fn a_subscriber_hears_everything_once_however_often_it_is_cut_off() {
    let town = Town::new().await;
    let a = &town.banks[0];
    offers(&town, 4).await;
    let all = read(a, "?after=0.0.0", None, 12).await;
    let ids: Vec<&String> = all.iter().map(|(id, _)| id).collect();
    let mut pieces: Vec<(String, Value)> = Vec::new();
    while pieces.len() < all.len() {
        let last = pieces.last().map_or("0.0.0".to_owned(), |(id, _)| id.clone());
        let next = read(a, "", Some(&last), 1).await;
        pieces.extend(next);
    }
    pieces.truncate(all.len());
    assert_eq!(pieces.iter().map(|(id, _)| id).collect::<Vec<_>>(), ids);
    assert_eq!(pieces, all);
}

#[tokio::test]
async fn a_new_subscriber_hears_what_happens_from_now_on() {
    let town = Town::new().await;
    let a = &town.banks[0];
    offers(&town, 1).await;
    let (events, ()) = tokio::join!(read(a, "?types=offer.posted", None, 2), async {
        while a.metrics.http.subscribers.get() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        offers(&town, 2).await;
    });
    assert!(events.iter().all(|(_, data)| data["type"] == "offer.posted"), "{events:?}");
    let heights: Vec<u64> =
        events.iter().map(|(id, _)| id.split('.').next().unwrap().parse().unwrap()).collect();
    assert!(heights.is_sorted() && heights[0] < heights[1], "{heights:?}");
}

#[tokio::test]
async fn a_ledgers_own_events_can_be_had_alone() {
    let town = Town::new().await;
    let a = &town.banks[0];
    offers(&town, 2).await;
    let ledger = town.world.lock().unwrap().alice.ledger.to_string();
    let query = format!("?after=0.0.0&ledger={ledger}&types=ledger.entry,order.refused");
    let events = read(a, &query, None, 4).await;
    assert!(events.iter().all(|(_, data)| data["ledger"] == ledger.as_str()), "{events:?}");
}

#[tokio::test]
async fn what_is_no_place_in_the_log_and_no_type_is_refused() {
    let town = Town::new().await;
    let a = &town.banks[0];
    for (query, code) in [
        ("?after=x", "Q-2120"),
        ("?after=1.2", "Q-2120"),
        ("?after=999999.0.0", "Q-2120"),
        ("?types=nonsense", "Q-2104"),
        ("?types=", "Q-2104"),
        ("?ledger=ubi:12", "Q-2104"),
        ("?other=1", "Q-2104"),
    ] {
        let got = a.get(&format!("/v1/events{query}")).await;
        assert_eq!((got.status, got.code().as_str()), (400, code), "{query}");
    }
}

#[tokio::test]
async fn there_are_no_more_subscribers_than_the_bound_and_a_left_place_is_free_again() {
    let mut few = settings();
    few.subscribers = 2;
    let town = Town::with(few, levels()).await;
    let a = &town.banks[0];
    let subscribe = || a.request("GET", "/v1/events", &a.auditor).send();
    let (one, two) = (subscribe().await.unwrap(), subscribe().await.unwrap());
    assert_eq!((one.status(), two.status()), (200.try_into().unwrap(), 200.try_into().unwrap()));
    let full = Got::of(subscribe().await.unwrap()).await;
    assert_eq!((full.status, full.code()), (503, "Q-2119".to_owned()));
    drop(one);
    let deadline = tokio::time::Instant::now() + LIMIT;
    // Its end is noticed with the next word sent to it.
    loop {
        offers(&town, 1).await;
        let again = subscribe().await.unwrap();
        if again.status() == 200 {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_revoked_token_hears_nothing_more() {
    let town = Town::new().await;
    let a = &town.banks[0];
    let made = quadrille_node::api::tokens::create(
        &a.token_file,
        quadrille_node::api::tokens::Role::Auditor,
        "short",
        quadrille_protocol::types::Time(0),
    )
    .unwrap();
    let response = a.request("GET", "/v1/events", &made.token).send().await.unwrap();
    assert_eq!(response.status(), 200);
    quadrille_node::api::tokens::revoke(&a.token_file, &made.entry.id).unwrap();
    offers(&town, 1).await;
    let rest = tokio::time::timeout(LIMIT, response.text()).await.unwrap().unwrap();
    assert!(!rest.contains("data:"), "{rest}");
}

#[tokio::test]
async fn how_things_ended_is_told_where_they_ended() {
    let town = Town::new().await;
    let (a, b) = (&town.banks[0], &town.banks[1]);
    offers(&town, 1).await;
    let offer = b.get("/v1/book").await.ok()["items"][0]["offer"].as_str().unwrap().to_owned();
    let take = {
        let mut market = town.world.lock().unwrap();
        let action = market.take(offer.parse().unwrap(), 1, 5);
        let market = &mut *market;
        market.net.sign(&mut market.bob, action)
    };
    let take = b.order(&take).await.ok()["order"].clone();
    let settled = |events: &[(String, Value)], ledger: &str, order: &Value| {
        let told = |data: &Value| {
            data["ledger"] == ledger
                && data["what"] == "settled"
                && data["settlement"] != Value::Null
        };
        assert!(events.iter().any(|(_, data)| told(data)), "{order}: {events:#?}");
    };
    let (alice, bob) = {
        let market = town.world.lock().unwrap();
        (market.alice.ledger.to_string(), market.bob.ledger.to_string())
    };
    let types = "?after=0.0.0&types=ledger.entry,settlement.final,offer.closed";
    let at = |ledger: &str| format!("{types}&ledger={ledger}");
    settled(&read(a, &at(&alice), None, 4).await, &alice, &take);
    settled(&read(b, &at(&bob), None, 4).await, &bob, &take);
    let closed = read(a, "?after=0.0.0&types=offer.closed", None, 1).await;
    assert_eq!(
        (closed[0].1["order"].as_str(), closed[0].1["what"].as_str()),
        (Some(offer.as_str()), Some("filled"))
    );
    for bank in [a, b] {
        let last = read(bank, "?after=0.0.0&types=settlement.final", None, 1).await;
        assert_eq!(last[0].1["what"], "settled");
    }
}
