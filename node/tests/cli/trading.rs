//! Orders that are sent once, however often a command is repeated; against a node that is a
//! stand-in, so that it can fail at any moment.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use super::bank::Bank;

/// What the stand-in does with an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    /// Accepts it.
    Accepts,
    /// Takes it and hangs up.
    HangsUp,
    /// Refuses it for want of funds.
    Refuses,
}

/// A node that knows one ledger and keeps the orders that came.
struct StandIn {
    api: String,
    mood: Arc<Mutex<Mood>>,
    orders: Arc<Mutex<Vec<String>>>,
}

const HASH: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";
const KEY: &str = "key:0000000000000000000000000000000000000000000000000000000000000000";
const OFFER: &str = "ord:0707070707070707070707070707070707070707070707070707070707070707";

impl StandIn {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let api = format!("http://{}", listener.local_addr().unwrap());
        let mood = Arc::new(Mutex::new(Mood::Accepts));
        let orders = Arc::new(Mutex::new(Vec::new()));
        let stand_in = Self { api, mood: mood.clone(), orders: orders.clone() };
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                answer(&mut stream.unwrap(), *mood.lock().unwrap(), &orders);
            }
        });
        stand_in
    }

    fn be(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    fn orders(&self) -> Vec<String> {
        self.orders.lock().unwrap().clone()
    }
}

fn answer(stream: &mut TcpStream, mood: Mood, orders: &Mutex<Vec<String>>) {
    let (head, body) = request(stream);
    let path = head.split_whitespace().nth(1).unwrap().to_owned();
    let (status, text) = if path == "/v1/orders" {
        orders.lock().unwrap().push(body);
        match mood {
            Mood::HangsUp => return,
            Mood::Accepts => (200, r#"{"order":null,"ledger":null,"settlement":null,"height":"9","leaf":0,"repeated":false}"#.to_owned()),
            Mood::Refuses => (409, r#"{"type":"about:blank","title":"not enough free funds","status":409,"detail":"","code":"Q-1405","remedy":"Lower the amount."}"#.to_owned()),
        }
    } else if path == "/v1/status" {
        (
            200,
            format!(
                r#"{{"domain":"bank-a.example","network":"demo","version":"0","epoch":"1","suite":1,"height":"4","head":"{HASH}","time":"2026-11-21T09:30:00.000Z","indexed":"4","peers_up":0,"peers_known":0,"open_settlements":0,"recovering":false,"draining":false,"uptime_ms":"1"}}"#
            ),
        )
    } else if path == "/v1/ledgers" {
        (200, r#"{"order":null,"ledger":null,"settlement":null,"height":"8","leaf":0,"repeated":false}"#.to_owned())
    } else if let Some(ledger) = path.strip_prefix("/v1/ledgers/") {
        (
            200,
            format!(
                r#"{{"ledger":"{ledger}","holder":"alice@bank-a.example","number":0,"status":"open","key":"{KEY}","suite":3,"tier":1,"rules":{{"assets":[],"daily_limits":[],"second_key":null,"backups":[]}},"balances":[],"open_settlements":0,"highest_nonce":"0","sequence":"1","head":"{HASH}"}}"#
            ),
        )
    } else {
        (404, "{}".to_owned())
    };
    let length = text.len();
    let _ = write!(
        stream,
        "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{text}"
    );
}

fn request(stream: &mut TcpStream) -> (String, String) {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let text = String::from_utf8(bytes.clone()).unwrap();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let lines = head.lines().filter_map(|line| line.split_once(": "));
            let length = lines
                .filter(|(name, _)| name.eq_ignore_ascii_case("content-length"))
                .map(|(_, value)| value.parse::<usize>().unwrap())
                .next();
            if body.len() >= length.unwrap_or(0) {
                return (head.to_owned(), body.to_owned());
            }
        }
        let read = stream.read(&mut chunk).unwrap();
        assert_ne!(read, 0, "the request ends early");
        bytes.extend_from_slice(&chunk[..read]);
    }
}

/// A bank whose customer Alice has a key and a ledger.
fn customer(node: &StandIn) -> Bank {
    let bank = Bank::new();
    std::fs::write(bank.path("token"), "qd_00\n").unwrap();
    bank.run(&["holder", "new", "alice@bank-a.example"]).good();
    bank.run(&["ledger", "open", "alice@bank-a.example", "--api", &node.api]).good();
    bank
}

fn cancel<'a>(node: &'a StandIn, offer: &'a str, id: &'a str) -> [&'a str; 9] {
    let alice = "alice@bank-a.example";
    ["offer", "cancel", offer, "--ledger", alice, "--api", &node.api, "--id", id]
}

#[test]
fn a_lost_answer_exits_5_and_the_same_id_sends_the_same_bytes() {
    let node = StandIn::start();
    let bank = customer(&node);
    node.be(Mood::HangsUp);
    let lost = bank.run(&cancel(&node, OFFER, "cancel-1"));
    assert_eq!((lost.exit, lost.out.as_str()), (5, ""), "{lost:?}");
    assert!(lost.err.contains("OUTCOME UNKNOWN: Q-2210"), "{lost:?}");
    assert!(lost.err.contains("Repeat the command with --id cancel-1."), "{lost:?}");
    node.be(Mood::Accepts);
    let done = bank.run(&cancel(&node, OFFER, "cancel-1")).good();
    assert!(done.contains("accepted"), "{done}");
    let orders = node.orders();
    assert_eq!(orders.len(), 2);
    assert_eq!(orders[0], orders[1]);
    bank.run(&cancel(&node, OFFER, "cancel-2")).good();
    assert_ne!(node.orders()[2], orders[0], "another id is another order");
}

#[test]
fn another_content_under_an_id_is_refused_and_not_sent() {
    let node = StandIn::start();
    let bank = customer(&node);
    bank.run(&cancel(&node, OFFER, "one")).good();
    let other = OFFER.replace("07", "08");
    let refused = bank.run(&cancel(&node, &other, "one"));
    assert_eq!(refused.exit, 2, "{refused:?}");
    assert!(refused.err.contains("Q-2213"), "{refused:?}");
    assert_eq!(node.orders().len(), 1);
}

#[test]
fn a_refusal_exits_1_with_the_bank_s_words_and_frees_the_number() {
    let node = StandIn::start();
    let bank = customer(&node);
    node.be(Mood::Refuses);
    let refused = bank.run(&cancel(&node, OFFER, "one"));
    assert_eq!(refused.exit, 1, "{refused:?}");
    assert!(refused.err.contains("Q-1405 not enough free funds"), "{refused:?}");
    node.be(Mood::Accepts);
    bank.run(&cancel(&node, OFFER, "two")).good();
    let stored: Vec<String> = std::fs::read_dir(bank.path("wallet/orders"))
        .unwrap()
        .map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap())
        .collect();
    assert_eq!(stored.len(), 2);
    assert!(stored.iter().all(|order| order.contains(r#""nonce": "1""#)), "{stored:?}");
}

#[test]
fn an_order_that_could_not_be_sent_is_sent_by_the_next_try() {
    let node = StandIn::start();
    let bank = customer(&node);
    let mut arguments = cancel(&node, OFFER, "one");
    arguments[6] = "http://127.0.0.1:1";
    let unreachable = bank.run(&arguments);
    assert_eq!(unreachable.exit, 3, "{unreachable:?}");
    bank.run(&cancel(&node, OFFER, "one")).good();
    assert_eq!(node.orders().len(), 1);
}
