//! What comes from people who mean harm, or programs that are broken.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use quadrille_node::telemetry::{Format, subscriber};
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::bank::{Bank, Got, Town, levels, settings};

async fn alive(bank: &Bank) {
    assert_eq!(bank.get("/v1/status").await.status, 200);
}

#[tokio::test]
async fn wrong_paths_methods_types_and_bodies_are_named() {
    let town = Town::new().await;
    let a = &town.banks[0];
    for path in ["/", "/v1", "/v1/", "/v2/status", "/v1/status/", "/v1/ledgers/a/b/c", "/%00"] {
        let got = a.get(path).await;
        assert_eq!((got.status, got.code().as_str()), (404, "Q-2101"), "{path}");
    }
    let wrong = a.send("DELETE", "/v1/status", &json!({})).await;
    assert_eq!((wrong.status, wrong.code()), (405, "Q-2102".to_owned()));
    assert_eq!(wrong.headers["allow"], "GET,HEAD");
    for (path, code) in [
        ("/v1/ledgers/ubi:12", "Q-1013"),
        ("/v1/assets/EUR", "Q-1011"),
        ("/v1/assets/%FF", "Q-2104"),
        ("/v1/log/checkpoints/01", "Q-1016"),
        ("/v1/evidence/1/-1", "Q-1016"),
        ("/v1/peers/UPPER.example", "Q-1006"),
        ("/v1/ledgers?limit=0", "Q-2104"),
        ("/v1/ledgers?limit=201", "Q-2104"),
        ("/v1/ledgers?limit=x", "Q-2104"),
        ("/v1/ledgers?holder=alice", "Q-2104"),
        ("/v1/ledgers?cursor=zz", "Q-2118"),
        ("/v1/book?cursor=-1", "Q-2118"),
        ("/v1/trust?cursor=x", "Q-2118"),
        ("/v1/settlements?state=dead", "Q-2104"),
        ("/v1/assets?surprise=1", "Q-2104"),
    ] {
        let got = a.get(path).await;
        assert_eq!((got.status, got.code().as_str()), (400, code), "{path}");
    }
    let post = |body: &'static str, kind: &'static str| {
        a.request("POST", "/v1/orders", &a.trader).header("content-type", kind).body(body)
    };
    for (body, kind, status, code) in [
        ("{}", "text/plain", 415, "Q-2105"),
        ("{}", "application/json", 400, "Q-2103"),
        ("{\"bytes\":", "application/json; charset=utf-8", 400, "Q-2103"),
        ("{\"bytes\":\"zz\"}", "application/json", 400, "Q-2103"),
        ("{\"bytes\":\"00\"}", "application/json", 400, "Q-1002"),
        ("{\"bytes\":\"\"}", "APPLICATION/JSON", 400, "Q-1002"),
    ] {
        let got = Got::of(post(body, kind).send().await.unwrap()).await;
        assert_eq!((got.status, got.code().as_str()), (status, code), "{body} {kind}");
    }
    let large = json!({ "bytes": "0".repeat(70 * 1024) });
    let got = a.post("/v1/ledgers", &large).await;
    assert_eq!((got.status, got.code()), (413, "Q-2106".to_owned()));
    alive(a).await;
}

/// Sends bytes on a connection of their own and reads until the end or a while of silence.
async fn raw(bank: &Bank, bytes: &[u8], finish: bool) -> Vec<u8> {
    let mut stream = TcpStream::connect(bank.server.address()).await.unwrap();
    let _ = stream.write_all(bytes).await;
    if finish {
        let _ = stream.shutdown().await;
    }
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    let _ =
        tokio::time::timeout(Duration::from_millis(if finish { 5_000 } else { 50 }), read).await;
    answer
}

fn status_of(answer: &[u8]) -> Option<u16> {
    let head = std::str::from_utf8(answer.get(..12)?).ok()?;
    head.strip_prefix("HTTP/1.1 ")?.parse().ok()
}

fn random_text(random: &mut SmallRng, most: usize) -> String {
    const PIECES: &[&str] = &[
        "v1",
        "ledgers",
        "orders",
        "..",
        "%2F",
        "%23",
        "%00",
        "%FF",
        "#",
        "?",
        "&",
        "=",
        "limit",
        "cursor",
        "\u{1F980}",
        "ubi:",
        "stl:",
        "ord:",
        "EUR:bank-b.example",
        "0",
        "-1",
        "99999999999999999999999",
        "'",
        "\"",
        "{}",
        "[",
        "null",
        "a b",
        "/",
        "//",
        ";",
        "\\",
    ];
    (0..random.random_range(0..most)).map(|_| *PIECES.choose(random).unwrap()).collect()
}

/// A request that HTTP allows, with nonsense wherever there is room for it.
fn nonsense(random: &mut SmallRng, bank: &Bank) -> (Vec<u8>, bool) {
    const METHODS: &[&str] = &["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "BREW"];
    const PATHS: &[&str] = &[
        "/v1/orders",
        "/v1/ledgers",
        "/v1/assets",
        "/v1/status",
        "/v1/book",
        "/v1/trust/a/b",
        "/v1/log-level",
        "/v1/settlements/x",
        "/v1/peers/y/lift",
        "/v1/events",
        "/metrics",
        "/v1/evidence/1/2",
        "/v1/recovery/give-up/z",
        "/v1/drain",
        "/v1/undrain",
        "",
    ];
    let method = *METHODS.choose(random).unwrap();
    let text = random_text(random, 8);
    // Only what is allowed in a request line.
    let tail: String =
        text.chars().filter(|c| c.is_ascii_graphic() && !"\"<>\\^`{|}#".contains(*c)).collect();
    let mut path = format!("{}{tail}", PATHS.choose(random).unwrap());
    if !path.starts_with('/') {
        path.insert(0, '/');
    }
    // A stream would not end.
    if path.starts_with("/v1/events") {
        path.push_str("?after=no");
    }
    let body: Vec<u8> = match random.random_range(0..4) {
        0 => Vec::new(),
        1 => random_text(random, 30).into_bytes(),
        2 => (0..random.random_range(0..2_000)).map(|_| random.random::<u8>()).collect(),
        _ => json!({ "bytes": hex::encode(random_text(random, 60)) }).to_string().into_bytes(),
    };
    let tokens = ["", "qd_x", &bank.operator, &bank.trader, &bank.auditor];
    let token = *tokens.choose(random).unwrap();
    let kind = *["application/json", "text/plain", "", "\u{e9}"].choose(random).unwrap();
    let key = random_text(random, 6);
    let key: String = key.chars().filter(|c| !c.is_control()).collect();
    let mut bytes = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
         authorization: Bearer {token}\r\n\
         content-type: {kind}\r\nidempotency-key: {key}\r\nlast-event-id: {key}\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    bytes.extend(body);
    (bytes, method == "HEAD")
}

#[tokio::test]
async fn nonsense_gets_a_coded_problem_and_the_server_lives() {
    let seed = std::env::var("QUADRILLE_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or(7);
    let mut random = SmallRng::seed_from_u64(seed);
    let town = Town::new().await;
    let a = &town.banks[0];
    let mut problems = 0;
    for round in 0..1_500 {
        let (bytes, no_body) = nonsense(&mut random, a);
        let shown = || format!("seed {seed} round {round}: {}", String::from_utf8_lossy(&bytes));
        let answer = raw(a, &bytes, false).await;
        let answer = if answer.is_empty() { raw(a, &bytes, true).await } else { answer };
        let status = status_of(&answer).unwrap_or_else(|| panic!("no answer, {}", shown()));
        assert!(status < 500 || [503, 504].contains(&status), "{status}, {}", shown());
        if status < 400 || no_body {
            continue;
        }
        let text = String::from_utf8_lossy(&answer);
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let coded = head.contains("application/problem+json");
        // The HTTP library answers a head that it cannot read by itself, without a body.
        assert!(coded || (status == 400 && body.is_empty()), "{text}, {}", shown());
        if coded {
            let problem: serde_json::Value = serde_json::from_str(body).unwrap();
            assert_eq!(problem["status"], status);
            assert!(problem["code"].as_str().unwrap().starts_with("Q-"));
            problems += 1;
        }
    }
    assert!(problems > 500, "{problems}");
    alive(a).await;
}

#[tokio::test]
async fn bytes_that_are_no_http_and_requests_that_break_off_leave_the_server_up() {
    let mut random = SmallRng::seed_from_u64(11);
    let town = Town::new().await;
    let a = &town.banks[0];
    for _ in 0..100 {
        let junk: Vec<u8> =
            (0..random.random_range(0..4_000)).map(|_| random.random::<u8>()).collect();
        raw(a, &junk, true).await;
        let (whole, _) = nonsense(&mut random, a);
        let cut = random.random_range(0..whole.len());
        let answer = raw(a, &whole[..cut], true).await;
        assert!(status_of(&answer).is_none_or(|status| status < 500 || status == 503));
    }
    let many: String = (0..200).map(|n| format!("x-{n}: y\r\n")).collect();
    let many = format!("GET /livez HTTP/1.1\r\nhost: x\r\n{many}\r\n");
    assert_eq!(status_of(&raw(a, many.as_bytes(), true).await), Some(431));
    let long = format!("GET /livez HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "y".repeat(100_000));
    assert!(matches!(status_of(&raw(a, long.as_bytes(), true).await), None | Some(431)));
    alive(a).await;
}

#[tokio::test]
async fn slow_senders_are_cut_off_and_make_room_for_others() {
    let mut tight = settings();
    tight.connections = 3;
    tight.head_timeout = Duration::from_millis(300);
    tight.body_timeout = Duration::from_millis(300);
    let town = Town::with(tight, levels()).await;
    let a = &town.banks[0];
    let address = a.server.address();
    let mut slow = Vec::new();
    for _ in 0..3 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /v1/status HTTP/1.1\r\nhost:").await.unwrap();
        slow.push(stream);
    }
    // Nobody gets in until they are cut off; then everybody does.
    let began = std::time::Instant::now();
    alive(a).await;
    assert!(began.elapsed() < Duration::from_secs(10));
    let head = format!(
        "POST /v1/orders HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ncontent-length: 100\r\n\r\n{{",
        a.trader
    );
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    let read = tokio::time::timeout(Duration::from_secs(10), stream.read(&mut answer));
    let length = read.await.unwrap().unwrap();
    let text = String::from_utf8_lossy(&answer[..length]).into_owned();
    assert!(text.starts_with("HTTP/1.1 408") && text.contains("Q-2107"), "{text}");
}

#[tokio::test]
async fn a_reader_that_takes_nothing_is_disconnected() {
    let mut tight = settings();
    tight.stall_timeout = Duration::from_millis(300);
    let town = Town::with(tight, levels()).await;
    let a = &town.banks[0];
    let mut stream = TcpStream::connect(a.server.address()).await.unwrap();
    // More than the sockets' buffers hold.
    let asked = "GET /v1/openapi.json HTTP/1.1\r\nhost: x\r\n\r\n".repeat(300);
    stream.write_all(asked.as_bytes()).await.unwrap();
    let connections = &a.metrics.http.connections;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    for wanted in [1, 0] {
        while connections.get() != wanted {
            assert!(tokio::time::Instant::now() < deadline, "{wanted}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    drop(stream);
    alive(a).await;
}

#[tokio::test]
async fn a_stopping_server_finishes_what_it_has_begun_and_ends_streams() {
    let mut town = Town::new().await;
    let a = town.banks.remove(0);
    let stream = a.request("GET", "/v1/events", &a.auditor).send().await.unwrap();
    assert_eq!(stream.status(), 200);
    a.conduct.slow.store(true, std::sync::atomic::Ordering::SeqCst);
    let waiting = tokio::spawn(a.request("POST", "/v1/drain", &a.operator).send());
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while a.metrics.http.in_flight.get() == 0 {
        assert!(tokio::time::Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let address = a.server.address();
    let stopping = tokio::spawn(a.server.shutdown(Duration::from_secs(20)));
    stream.text().await.unwrap();
    a.conduct.slow.store(false, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(waiting.await.unwrap().unwrap().status(), 200);
    let began = std::time::Instant::now();
    stopping.await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(15));
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn too_many_requests_at_once_are_told_to_come_back() {
    let mut tight = settings();
    tight.in_flight = 1;
    let town = Town::with(tight, levels()).await;
    let a = &town.banks[0];
    a.conduct.slow.store(true, std::sync::atomic::Ordering::SeqCst);
    let waiting = a.request("POST", "/v1/drain", &a.operator).send();
    let waiting = tokio::spawn(waiting);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while a.metrics.http.in_flight.get() == 0 {
        assert!(tokio::time::Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let refused = a.get("/v1/status").await;
    assert_eq!((refused.status, refused.code()), (503, "Q-2112".to_owned()));
    assert!(refused.headers.contains_key("retry-after"));
    a.conduct.slow.store(false, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(waiting.await.unwrap().unwrap().status(), 200);
    alive(a).await;
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> tracing_subscriber::fmt::MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn no_token_gets_into_the_log_however_much_is_logged() {
    let lines = Lines::default();
    let (subscriber, levels) = subscriber(Format::Json, "info", lines.clone()).unwrap();
    let _guard = tracing::subscriber::set_default(subscriber);
    let town = Town::with(settings(), levels).await;
    let a = &town.banks[0];
    let set = json!({ "filter": "trace" });
    assert_eq!(a.send("PUT", "/v1/log-level", &set).await.ok(), set);
    let bad = a.send("PUT", "/v1/log-level", &json!({ "filter": "a=b=c" })).await;
    assert_eq!(bad.code(), "Q-2123");
    alive(a).await;
    let wrong = format!("qd_{}", "ab".repeat(32));
    Got::of(a.request("GET", "/v1/status", &wrong).send().await.unwrap()).await;
    a.post("/v1/drain", &serde_json::Value::Null).await.ok();
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert!(text.contains("\"route\":\"/v1/status\""), "{text}");
    for secret in [&a.operator, &a.auditor, &wrong] {
        assert!(!text.contains(secret.trim_start_matches("qd_")), "a token is in the log");
    }
}
