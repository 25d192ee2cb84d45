//! Events that are posted to other systems, to a real receiver on a real socket.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use quadrille_node::api::dto::{NewSubscription, SubscriptionState};
use quadrille_node::api::ports::History;
use quadrille_node::engine::{Clock, SystemClock};
use quadrille_node::hooks::reach::Policy;
use quadrille_node::hooks::{HookSettings, Hooks, sign};
use quadrille_protocol::types::Duration as Span;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::bank::{Conduct, FakeCore, Got, Town};
use crate::events::{offers, read};

const LIMIT: Duration = Duration::from_secs(20);

/// A delivery as it arrived.
#[derive(Debug, Clone)]
struct Arrived {
    id: String,
    kind: String,
    signature: String,
    body: Bytes,
    answered: u16,
}

impl Arrived {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

type Verdict = Box<dyn FnMut(usize) -> u16 + Send>;

/// What a receiver answers the delivery with this number, and what it got.
struct Desk {
    verdict: Mutex<Verdict>,
    arrived: Mutex<Vec<Arrived>>,
    changed: Notify,
}

struct Receiver {
    url: String,
    desk: Arc<Desk>,
}

async fn take(State(desk): State<Arc<Desk>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let text = |name: &str| headers[name].to_str().unwrap().to_owned();
    let mut arrived = desk.arrived.lock().unwrap();
    let answered = (desk.verdict.lock().unwrap())(arrived.len());
    arrived.push(Arrived {
        id: text("quadrille-delivery"),
        kind: text("quadrille-event"),
        signature: text("quadrille-signature"),
        body,
        answered,
    });
    desk.changed.notify_one();
    StatusCode::from_u16(answered).unwrap()
}

impl Receiver {
    async fn new(verdict: impl FnMut(usize) -> u16 + Send + 'static) -> Self {
        let desk = Arc::new(Desk {
            verdict: Mutex::new(Box::new(verdict)),
            arrived: Mutex::default(),
            changed: Notify::new(),
        });
        let listener =
            tokio::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let router = Router::new().route("/hook", post(take)).with_state(desk.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, desk }
    }

    fn answers(&self, verdict: impl FnMut(usize) -> u16 + Send + 'static) {
        *self.desk.verdict.lock().unwrap() = Box::new(verdict);
    }

    fn arrived(&self) -> Vec<Arrived> {
        self.desk.arrived.lock().unwrap().clone()
    }

    /// Waits until what has arrived is as it should be.
    async fn wait(&self, enough: impl Fn(&[Arrived]) -> bool) -> Vec<Arrived> {
        let waiting = async {
            loop {
                let arrived = self.arrived();
                if enough(&arrived) {
                    return arrived;
                }
                self.desk.changed.notified().await;
            }
        };
        let waited = tokio::time::timeout(LIMIT, waiting).await;
        waited.unwrap_or_else(|_| panic!("not enough: {:#?}", self.arrived()))
    }
}

fn taken(arrived: &[Arrived]) -> Vec<String> {
    let taken = arrived.iter().filter(|one| one.answered < 300);
    taken.map(|one| one.json()["id"].as_str().unwrap().to_owned()).collect()
}

/// Subscriptions of the first bank, in a folder of their own.
fn hooks(town: &Town, dir: &Path, patience: Duration) -> Hooks {
    let memory = &town.memories[0];
    let core = FakeCore {
        world: town.world.clone(),
        bank: 0,
        memories: town.memories.clone(),
        conduct: Arc::new(Conduct::default()),
    };
    let mut settings = HookSettings::at(dir.to_owned());
    settings.policy = Policy { allow_http: false, allow_private: true };
    settings.patience = patience;
    let history = History::new(memory.index.clone(), Arc::new(memory.log.clone()));
    let domain = town.world.lock().unwrap().net.domain(0);
    Hooks::start(settings, domain, history, Arc::new(core), Arc::new(SystemClock)).unwrap()
}

fn from_the_beginning(url: &str) -> NewSubscription {
    let after = Some("0.0.0".to_owned());
    NewSubscription { url: url.to_owned(), after, ..NewSubscription::default() }
}

const LONG: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn every_event_is_posted_signed_and_in_the_order_of_the_log() {
    let town = Town::new().await;
    let a = &town.banks[0];
    offers(&town, 4).await;
    let all = read(a, "?after=0.0.0", None, 12).await;
    let receiver = Receiver::new(|_| 204).await;
    let new = json!({ "url": receiver.url, "after": "0.0.0" });
    let made = a.post("/v1/subscriptions", &new).await.ok();
    let (id, secret) = (made["id"].as_str().unwrap(), made["secret"].as_str().unwrap());
    assert!(secret.starts_with("qs_"));
    let arrived = receiver.wait(|arrived| arrived.len() >= all.len()).await;
    for (one, (event, data)) in arrived.iter().zip(&all) {
        let now = SystemClock.now();
        sign::verify(secret, &one.signature, &one.body, now, Span(60_000)).unwrap();
        let mut body = one.json();
        assert_eq!(body["id"], json!(event));
        assert_eq!((&body["delivery"], &body["subscription"]), (&json!(one.id), &json!(id)));
        assert_eq!(one.id, format!("{id}.{event}"));
        assert_eq!(body["type"], json!(one.kind));
        let said = body.as_object_mut().unwrap();
        for added in ["id", "delivery", "subscription", "bank"] {
            said.remove(added).unwrap();
        }
        assert_eq!(body, *data);
    }
    let listed = a.send("GET", "/v1/subscriptions", &json!(null)).await;
    assert!(!listed.text.contains(secret), "it is shown once");
    assert_eq!(listed.ok()[0]["state"], "active");
}

#[tokio::test]
async fn only_what_was_asked_for_is_posted() {
    let town = Town::new().await;
    let a = &town.banks[0];
    let receiver = Receiver::new(|_| 200).await;
    let ledger = town.world.lock().unwrap().alice.ledger.to_string();
    let new = json!({ "url": receiver.url, "after": "0.0.0", "ledger": ledger,
        "types": ["ledger.entry"] });
    a.post("/v1/subscriptions", &new).await.ok();
    offers(&town, 2).await;
    let query = format!("?after=0.0.0&ledger={ledger}&types=ledger.entry");
    let all = read(a, &query, None, 4).await;
    let arrived = receiver.wait(|arrived| arrived.len() >= all.len()).await;
    let ids: Vec<&String> = all.iter().map(|(id, _)| id).collect();
    assert_eq!(taken(&arrived).iter().collect::<Vec<_>>(), ids);
}

#[tokio::test]
async fn what_is_not_taken_is_sent_again_before_anything_else() {
    let town = Town::new().await;
    let a = &town.banks[0];
    offers(&town, 1).await;
    let all = read(a, "?after=0.0.0", None, 8).await;
    // A redirect is not followed and counts as not taken, like any other answer but 2xx.
    let verdicts = [500, 302, 204, 404, 204];
    let receiver = Receiver::new(move |number| verdicts.get(number).copied().unwrap_or(200)).await;
    let folder = tempfile::tempdir().unwrap();
    let hooks = hooks(&town, folder.path(), LONG);
    hooks.add(&from_the_beginning(&receiver.url)).unwrap();
    let arrived = receiver.wait(|arrived| taken(arrived).len() >= all.len()).await;
    let ids: Vec<String> = all.iter().map(|(id, _)| id.clone()).collect();
    assert_eq!(taken(&arrived)[..ids.len()], ids);
    let tried: Vec<Value> = arrived.iter().take(5).map(|one| one.json()["id"].clone()).collect();
    assert_eq!(tried, [&ids[0], &ids[0], &ids[0], &ids[1], &ids[1]].map(|id| json!(id)));
    assert_eq!(arrived[0].id, arrived[1].id, "a delivery keeps its name");
    assert_eq!((hooks.counts()().1), 3);
}

#[tokio::test]
async fn a_restart_goes_on_behind_what_was_taken() {
    let town = Town::new().await;
    offers(&town, 2).await;
    let all = read(&town.banks[0], "?after=0.0.0", None, 8).await;
    let ids: Vec<String> = all.iter().map(|(id, _)| id.clone()).collect();
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::new(|number| if number < 3 { 200 } else { 503 }).await;
    let before = hooks(&town, folder.path(), LONG);
    let made = before.add(&from_the_beginning(&receiver.url)).unwrap();
    receiver.wait(|arrived| arrived.len() > 3).await;
    drop(before);
    receiver.answers(|_| 200);
    let after = hooks(&town, folder.path(), LONG);
    assert_eq!(after.list()[0].id, made.id);
    let arrived = receiver.wait(|arrived| taken(arrived).len() >= ids.len()).await;
    assert_eq!(taken(&arrived)[..ids.len()], ids, "none is missing and none came twice");
}

#[tokio::test]
async fn a_receiver_that_stays_away_is_paused_told_of_and_goes_on_when_resumed() {
    let town = Town::new().await;
    offers(&town, 1).await;
    let all = read(&town.banks[0], "?after=0.0.0", None, 6).await;
    let ids: Vec<String> = all.iter().map(|(id, _)| id.clone()).collect();
    let receiver = Receiver::new(|number| if number < 2 { 200 } else { 500 }).await;
    let folder = tempfile::tempdir().unwrap();
    let hooks = hooks(&town, folder.path(), Duration::ZERO);
    let mut pauses = hooks.pauses();
    let id = hooks.add(&from_the_beginning(&receiver.url)).unwrap().id;
    let told = tokio::time::timeout(LIMIT, pauses.recv()).await.unwrap().unwrap();
    assert_eq!(told.what.as_deref(), Some(id.as_str()));
    assert_eq!(told.reason.unwrap().code, "Q-2805");
    let paused = &hooks.list()[0];
    assert_eq!((paused.state, &paused.after), (SubscriptionState::Paused, &ids[1]));
    assert!(paused.trouble.as_ref().unwrap().contains("500"), "{paused:?}");
    assert_eq!(receiver.arrived().len(), 3, "and nothing more is sent");
    receiver.answers(|_| 200);
    assert_eq!(hooks.resume(&id).unwrap().state, SubscriptionState::Active);
    let arrived = receiver.wait(|arrived| taken(arrived).len() >= ids.len()).await;
    assert_eq!(taken(&arrived)[..ids.len()], ids);
}

#[tokio::test]
async fn a_receiver_that_is_not_there_holds_up_nobody_else() {
    let town = Town::new().await;
    offers(&town, 1).await;
    let all = read(&town.banks[0], "?after=0.0.0", None, 6).await;
    let folder = tempfile::tempdir().unwrap();
    let hooks = hooks(&town, folder.path(), LONG);
    // A port that nobody listens on.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let away = hooks.add(&from_the_beginning(&format!("http://{free}/hook"))).unwrap().id;
    let receiver = Receiver::new(|_| 200).await;
    hooks.add(&from_the_beginning(&receiver.url)).unwrap();
    receiver.wait(|arrived| arrived.len() >= all.len()).await;
    let stuck = hooks.list().into_iter().find(|view| view.id == away).unwrap();
    assert_eq!((stuck.state, stuck.after.as_str()), (SubscriptionState::Failing, "0.0.0"));
    assert_eq!(hooks.test(&away).await.unwrap_err().code.to_string(), "Q-2805");
}

#[tokio::test]
async fn a_removed_subscription_hears_nothing_more_and_is_forgotten() {
    let town = Town::new().await;
    let a = &town.banks[0];
    let receiver = Receiver::new(|_| 200).await;
    let made = a.post("/v1/subscriptions", &json!({ "url": receiver.url })).await.ok();
    let path = format!("/v1/subscriptions/{}", made["id"].as_str().unwrap());
    a.post(&format!("{path}/test"), &json!({})).await.ok();
    let arrived = receiver.wait(|arrived| arrived.len() == 1).await;
    assert_eq!(arrived[0].kind, "subscription.test");
    a.send("DELETE", &path, &json!({})).await.ok();
    offers(&town, 1).await;
    // Somebody who is still subscribed has heard of it by now.
    read(a, "?after=0.0.0", None, 6).await;
    assert_eq!(receiver.arrived().len(), 1);
    for gone in [a.send("DELETE", &path, &json!({})).await, a.post(&path, &json!({})).await] {
        assert!([404, 405].contains(&gone.status), "{gone:?}");
    }
    let gone = a.post(&format!("{path}/resume"), &json!({})).await;
    assert_eq!((gone.status, gone.code()), (404, "Q-2802".to_owned()));
}

#[tokio::test]
async fn addresses_and_terms_that_may_not_be_are_refused_and_only_the_operator_subscribes() {
    let town = Town::new().await;
    let a = &town.banks[0];
    for (new, code) in [
        (json!({ "url": "http://10.0.0.1/" }), "Q-2804"),
        (json!({ "url": "https://0.0.0.0/" }), "Q-2804"),
        (json!({ "url": "ftp://desk.example/" }), "Q-2801"),
        (json!({ "url": "https://desk.example/", "secret": "short" }), "Q-2801"),
        (json!({ "url": "https://desk.example/", "types": ["nonsense"] }), "Q-2104"),
        (json!({ "url": "https://desk.example/", "after": "999999.0.0" }), "Q-2120"),
        (json!({ "url": "https://desk.example/", "unknown": 1 }), "Q-2103"),
    ] {
        let got = a.post("/v1/subscriptions", &new).await;
        assert_eq!(got.code(), code, "{new}");
    }
    for token in [&a.trader, &a.auditor] {
        for method in ["GET", "POST"] {
            let request = a.request(method, "/v1/subscriptions", token).json(&json!({}));
            let got = Got::of(request.send().await.unwrap()).await;
            assert_eq!((got.status, got.code().as_str()), (403, "Q-2109"));
        }
    }
    assert_eq!(a.send("GET", "/v1/subscriptions", &json!(null)).await.ok(), json!([]));
}

#[tokio::test]
async fn a_watcher_is_told_the_matching_offers_of_now_and_then_every_change() {
    let town = Town::new().await;
    // The maker's bank is the first; the second hears of its offers.
    let b = &town.banks[1];
    offers(&town, 1).await;
    let entry = b.get("/v1/book").await.ok()["items"][0].clone();
    let pair = |give: &str, want: &str| {
        let escaped = |name: &str| entry[name].as_str().unwrap().replace('#', "%23");
        format!("?types=offer.seen,offer.gone&give={}&want={}", escaped(give), escaped(want))
    };
    let seen = read(b, &pair("give", "want"), None, 1).await;
    assert_eq!(seen[0].1["type"], "offer.seen");
    assert_eq!(seen[0].1["offer"], entry);
    assert!(seen[0].1.get("place").is_none(), "it is of no record of ours");
    let receiver = Receiver::new(|_| 200).await;
    let new = json!({ "url": receiver.url, "types": ["offer.seen"], "want": entry["want"] });
    b.post("/v1/subscriptions", &new).await.ok();
    let arrived = receiver.wait(|arrived| !arrived.is_empty()).await;
    assert_eq!(arrived[0].json()["offer"], entry);
    // Of the other direction there is nothing until somebody offers it.
    let other = b.request("GET", &format!("/v1/events{}", pair("want", "give")), &b.auditor);
    let mut other = other.send().await.unwrap();
    offers(&town, 1).await;
    receiver.wait(|arrived| arrived.len() == 2).await;
    let more = tokio::time::timeout(Duration::from_millis(50), other.chunk()).await;
    assert!(more.is_err(), "{more:?}");
}
