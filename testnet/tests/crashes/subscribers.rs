//! What is told of a bank's events over its deaths: nothing is missing and the order is the log's,
//! for one who reads the stream and for one whom the bank posts to.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use quadrille_node::api::dto::NewSubscription;
use quadrille_node::client::Client;
use quadrille_node::hooks::sign;
use quadrille_node::index::EventId;
use quadrille_protocol::types::{Duration as Span, Height};
use quadrille_testnet::local::clients;
use quadrille_testnet::local::trader::wait;
use quadrille_testnet::local::up;
use serde_json::Value;

use crate::stage::{Ending, STEP, Side, Stage};

/// Where the taker's bank is killed, one trade each: around its decision and its bookings.
const KILLS: [&str; 4] = [
    "after-append:Locked",
    "before-append:Decided(settle)",
    "after-sign:Transaction/settled",
    "after-effects:Received/Finalised",
];
/// How old a delivery may be: the whole test, and some.
const TOLERANCE: Span = Span(10 * 60 * 1000);

/// The beginning of every log.
const FIRST: EventId = EventId { height: Height(0), leaf: 0, number: 0 };
/// After so long without a new one, all past events were told.
const SILENCE: Duration = Duration::from_secs(2);

type Events = Vec<(EventId, Value)>;

/// A delivery as it came: its signature and its body.
type Delivery = (String, Vec<u8>);

/// Somebody whom the bank posts to. Every third delivery is not taken, and every fifth connection
/// is closed without an answer after the delivery was read.
struct Receiver {
    url: String,
    taken: Arc<Mutex<Vec<Delivery>>>,
}

impl Receiver {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let taken: Arc<Mutex<Vec<Delivery>>> = Arc::default();
        let known = taken.clone();
        std::thread::spawn(move || {
            let mut number = 0_usize;
            for stream in listener.incoming() {
                serve(&stream.unwrap(), &known, &mut number);
            }
        });
        Self { url, taken }
    }

    fn bodies(&self, secret: &str) -> Vec<Value> {
        let taken = self.taken.lock().unwrap();
        let now = up::now().unwrap();
        let read = |(signature, body): &Delivery| {
            sign::verify(secret, signature, body, now, TOLERANCE).unwrap();
            serde_json::from_slice(body).unwrap()
        };
        taken.iter().map(read).collect()
    }
}

/// Takes deliveries over one connection until it ends.
fn serve(stream: &TcpStream, taken: &Mutex<Vec<Delivery>>, number: &mut usize) {
    let mut reader = BufReader::new(stream);
    loop {
        let (mut signature, mut length) = (String::new(), 0);
        let mut line = String::new();
        // The bank was killed, or has had enough: the next connection goes on.
        while reader.read_line(&mut line).is_ok_and(|read| read > 0) && line != "\r\n" {
            let (name, value) = line.split_once(':').unwrap_or_default();
            match name.to_ascii_lowercase().as_str() {
                "quadrille-signature" => signature = value.trim().to_owned(),
                "content-length" => length = value.trim().parse().unwrap(),
                _ => {}
            }
            line.clear();
        }
        let mut body = vec![0; length];
        if line.is_empty() || reader.read_exact(&mut body).is_err() {
            return;
        }
        *number += 1;
        if number.is_multiple_of(5) {
            // It has the event, and the bank does not know.
            taken.lock().unwrap().push((signature, body));
            return;
        }
        let status = match number.is_multiple_of(3) {
            true => "503 Later",
            false => {
                taken.lock().unwrap().push((signature, body));
                "204 Taken"
            }
        };
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
        if (&*stream).write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

#[test]
fn over_a_bank_s_deaths_its_subscribers_hear_everything_in_the_order_of_the_log() {
    let mut stage = Stage::new();
    let receiver = Receiver::new();
    let new = NewSubscription {
        url: receiver.url.clone(),
        after: Some("0.0.0".to_owned()),
        ..NewSubscription::default()
    };
    let client = stage.client(Side::Taker).clone();
    let made = stage.runtime.block_on(client.subscribe(&new, "desk")).unwrap();
    let secret = made.secret.unwrap();
    let streamed = follow(client.clone());
    for point in KILLS {
        stage.arm(Side::Taker, point);
        let trade = stage.trade();
        assert!(stage.dies_of(Side::Taker, point, STEP), "not killed at {point}");
        stage.start(Side::Taker, None);
        stage.take_again(&trade);
        assert_eq!(stage.ending(&trade), Ending::Settled, "{point}: back in time");
    }
    stage.audit();
    let all = events(&stage, &client);
    let last = all.last().unwrap().0;
    let told = wait("the stream has come to the end", STEP, async || {
        let streamed = streamed.lock().unwrap();
        (streamed.last()?.0 >= last).then(|| streamed.clone())
    });
    assert_eq!(stage.runtime.block_on(told).unwrap(), all, "each event once, in order");
    let come = wait("everything is posted", STEP * 2, async || {
        let after = client.subscriptions().await.ok()?.first()?.after.clone();
        (after.parse::<EventId>().unwrap() >= last).then_some(())
    });
    stage.runtime.block_on(come).unwrap();
    check_posted(&receiver.bodies(&secret), &all);
}

/// Reads the bank's stream from the beginning, on a thread of its own: it goes on where it broke.
fn follow(client: Client) -> Arc<Mutex<Events>> {
    let streamed: Arc<Mutex<Events>> = Arc::default();
    let known = streamed.clone();
    std::thread::spawn(move || {
        clients::runtime().unwrap().block_on(async {
            let mut follower = client.follow(&[], None, Some(FIRST));
            loop {
                let next = follower.next().await.unwrap();
                let event = serde_json::to_value(&next.event).unwrap();
                known.lock().unwrap().push((next.id, event));
            }
        });
    });
    streamed
}

/// All that the bank says now has happened.
fn events(stage: &Stage, client: &Client) -> Events {
    let mut follower = client.follow(&[], None, Some(FIRST));
    stage.runtime.block_on(async {
        let mut events = Vec::new();
        while let Ok(next) = tokio::time::timeout(SILENCE, follower.next()).await {
            let next = next.unwrap();
            events.push((next.id, serde_json::to_value(&next.event).unwrap()));
        }
        events
    })
}

/// Whoever was posted to has had every event, each ledger's in its order; some came twice.
fn check_posted(posted: &[Value], all: &[(EventId, Value)]) {
    let mut firsts: Vec<&str> = Vec::new();
    let mut by_ledger: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for body in posted {
        let id = body["id"].as_str().unwrap();
        if firsts.contains(&id) {
            continue;
        }
        firsts.push(id);
        if let Some(ledger) = body["ledger"].as_str() {
            by_ledger.entry(ledger).or_default().push(body["sequence"].as_str().unwrap_or("-"));
        }
    }
    let ids: Vec<String> = all.iter().map(|(id, _)| id.to_string()).collect();
    assert_eq!(firsts[..ids.len()], ids, "every event, in the order of the log");
    assert!(posted.len() > firsts.len(), "some came twice, or this would show nothing");
    for (ledger, sequences) in by_ledger {
        let numbers: Vec<u64> = sequences.iter().filter_map(|text| text.parse().ok()).collect();
        assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{ledger}: {numbers:?}");
    }
    for (kind, what) in [("ledger.entry", "settled"), ("settlement.final", "settled")] {
        let told = posted.iter().any(|body| body["type"] == kind && body["what"] == what);
        assert!(told, "no {kind} that says {what}");
    }
}
