//! The client against servers that answer, fall silent, hang up or talk nonsense.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;

use quadrille_protocol::types::Domain;

use super::*;
use crate::api::dto::EventKind;
use crate::index::EventId;

/// What a server does with one connection after it has read the request.
enum Turn {
    /// Sends this and closes.
    Say(String),
    /// Closes without a word.
    HangUp,
    /// Says nothing until the client gives up.
    Silence,
}

/// A server for as many connections as there are turns; gives back the requests.
fn serve(turns: Vec<Turn>) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let api = format!("http://{}", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let mut requests = Vec::new();
        for turn in turns {
            let (mut stream, _) = listener.accept().unwrap();
            requests.push(request(&mut stream));
            match turn {
                Turn::Say(text) => stream.write_all(text.as_bytes()).unwrap(),
                Turn::HangUp => {}
                Turn::Silence => {
                    // Longer than the client waits; it may keep the connection open.
                    stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
                    let mut rest = Vec::new();
                    let _ = stream.read_to_end(&mut rest);
                }
            }
        }
        requests
    });
    (api, server)
}

/// One whole request: head and body.
fn request(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .filter_map(|line| line.split_once(':'))
                .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
                .map_or(0, |(_, value)| value.trim().parse().unwrap());
            if body.len() >= length {
                return text;
            }
        }
        let read = stream.read(&mut chunk).unwrap();
        assert_ne!(read, 0, "the request ends early: {text}");
        bytes.extend_from_slice(&chunk[..read]);
    }
}

fn answer(status: &str, kind: &str, body: &str) -> Turn {
    let length = body.len();
    Turn::Say(format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    ))
}

fn ok(body: &str) -> Turn {
    answer("200 OK", "application/json", body)
}

fn problem(status: u16, code: Code) -> Turn {
    let problem = Problem::new(status, &Refusal::new(code, "told by the test"));
    let body = serde_json::to_string(&problem).unwrap();
    answer(&format!("{status} X"), "application/problem+json", &body)
}

fn client(api: &str) -> Client {
    let token = Zeroizing::new("qd_0123456789".to_owned());
    Client::new(api, Some(token)).unwrap().with_timeout(Duration::from_secs(5))
}

fn domain() -> Domain {
    "bank-b.example".parse().unwrap()
}

/// A change that no client may repeat by itself.
async fn change(client: &Client) -> Result<crate::api::dto::Receipt, ClientError> {
    client.lift(&domain(), "key-1").await
}

const RECEIPT: &str =
    r#"{"order":null,"ledger":null,"settlement":null,"height":"7","leaf":0,"repeated":false}"#;

#[tokio::test]
async fn a_node_that_is_not_there_has_done_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let api = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let client = client(&api);
    assert!(matches!(client.status().await, Err(ClientError::Unreachable(_))));
    assert!(matches!(change(&client).await, Err(ClientError::Unreachable(_))));
}

#[tokio::test]
async fn a_change_without_an_answer_has_an_unknown_outcome() {
    let lost = [
        Turn::HangUp,
        Turn::Say("HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{\"order\":".to_owned()),
        Turn::Say("nonsense\r\n\r\n".to_owned()),
        problem(504, Code::OutcomeUnknown),
        answer("502 Bad Gateway", "text/html", "<h1>a proxy</h1>"),
        answer("500 Oops", "text/plain", ""),
        ok("{}"),
    ];
    for turn in lost {
        let (api, server) = serve(vec![turn]);
        let failed = change(&client(&api)).await.unwrap_err();
        assert!(matches!(failed, ClientError::Unknown(_)), "{failed}");
        assert_eq!(server.join().unwrap().len(), 1, "it was sent once");
    }
}

#[tokio::test]
async fn a_change_that_is_answered_too_late_has_an_unknown_outcome() {
    let (api, server) = serve(vec![Turn::Silence]);
    let client = client(&api).with_timeout(Duration::from_millis(200));
    assert!(matches!(change(&client).await, Err(ClientError::Unknown(_))));
    assert_eq!(server.join().unwrap().len(), 1);
}

#[tokio::test]
async fn a_question_without_an_answer_has_changed_nothing() {
    for turn in [Turn::HangUp, Turn::Say("nonsense\r\n\r\n".to_owned())] {
        let (api, server) = serve(vec![turn]);
        let failed = client(&api).log_head().await.unwrap_err();
        assert!(matches!(failed, ClientError::Unreachable(_)), "{failed}");
        server.join().unwrap();
    }
    let (api, server) = serve(vec![ok("{}")]);
    assert!(matches!(client(&api).log_head().await, Err(ClientError::BadAnswer(_))));
    server.join().unwrap();
}

#[tokio::test]
async fn a_refusal_is_told_with_its_code() {
    let refused = [(409, Code::InsufficientFunds), (503, Code::QueueFull), (401, Code::BadUsage)];
    for (status, code) in refused {
        let (api, server) = serve(vec![problem(status, code)]);
        match change(&client(&api)).await {
            Err(ClientError::Refused(problem)) => {
                assert_eq!((problem.status, problem.code), (status, code.to_string()));
            }
            other => panic!("{other:?}"),
        }
        server.join().unwrap();
    }
}

#[tokio::test]
async fn a_request_shows_token_and_key_and_names_things_that_need_escapes() {
    let (api, server) = serve(vec![ok(RECEIPT)]);
    let asset = "EUR:bank-b.example#0011223344556677".parse().unwrap();
    let amount = quadrille_protocol::types::Amount::new(1);
    let done = client(&api).issue(&asset, Default::default(), amount, "issue-1").await.unwrap();
    assert_eq!(done.height.map(|height| height.0), Some(7));
    let request = server.join().unwrap().remove(0);
    let head = request.to_lowercase();
    assert!(
        request.starts_with("POST /v1/assets/EUR:bank-b.example%230011223344556677/issue HTTP/1.1"),
        "{request}"
    );
    assert!(head.contains("authorization: bearer qd_0123456789\r\n"), "{request}");
    assert!(head.contains("idempotency-key: issue-1\r\n"), "{request}");
    assert!(request.ends_with(r#""amount":"1"}"#), "{request}");
}

#[tokio::test]
async fn a_list_is_read_page_by_page_and_no_further_than_wanted() {
    let row = |name: &str| {
        format!(
            r#"{{"domain":"{name}.example","lei":null,"roles":[],"epoch":null,"suite":null,"valid_from":null,"valid_until":null,"revoked":false}}"#
        )
    };
    let page = |rows: &[String], next: &str| {
        ok(&format!(r#"{{"items":[{}],"next":{next}}}"#, rows.join(",")))
    };
    let turns = || vec![page(&[row("a"), row("b")], r#""after b""#), page(&[row("c")], "null")];
    let (api, server) = serve(turns());
    let members = client(&api).members(100).await.unwrap();
    assert_eq!(members.len(), 3);
    let requests = server.join().unwrap();
    assert!(requests[0].starts_with("GET /v1/members?limit=100 "), "{}", requests[0]);
    assert!(requests[1].starts_with("GET /v1/members?limit=98&cursor=after+b "), "{}", requests[1]);
    let (api, server) = serve(turns().into_iter().take(1).collect());
    assert_eq!(client(&api).members(2).await.unwrap().len(), 2);
    server.join().unwrap();
}

#[test]
fn an_address_that_is_none_is_refused_and_a_token_is_never_shown() {
    for api in ["", "bank-a", "https://127.0.0.1", "ftp://a", "http://a?b=c", "http://a#b"] {
        assert_eq!(Client::new(api, None).unwrap_err().code, Code::BadUsage, "{api}");
    }
    let shown = format!("{:?}", client("http://127.0.0.1:1"));
    assert!(!shown.contains("0123456789"), "{shown}");
}

const STATUS: &str = r#"{"domain":"bank-a.example","network":"demo","version":"0","epoch":"1",
    "suite":1,"height":"4","head":"sha256:0000000000000000000000000000000000000000000000000000000000000000",
    "time":"2026-11-21T09:30:00.000Z","indexed":"4","peers_up":0,"peers_known":0,
    "open_settlements":0,"recovering":false,"draining":false,"uptime_ms":"1"}"#;

fn stream(events: &[(u64, &str)]) -> Turn {
    let mut text =
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n\
                    : still here\n\n"
            .to_owned();
    for (height, extra) in events {
        text.push_str(&format!(
            "id: {height}.0.0\nevent: peer.lifted\ndata: {{\"place\":{{\"height\":\"{height}\",\
             \"leaf\":0}},\"time\":\"2026-11-21T09:30:00.000Z\",{extra}}}\n\n"
        ));
    }
    Turn::Say(text)
}

#[tokio::test]
async fn a_lost_stream_goes_on_behind_the_last_event() {
    let lifted = r#""type":"peer.lifted","domain":"bank-b.example""#;
    let unknown = r#""type":"not.yet.known","colour":"red""#;
    let (api, server) = serve(vec![
        ok(STATUS),
        stream(&[(5, lifted)]),
        Turn::HangUp,
        stream(&[(6, unknown), (7, lifted)]),
    ]);
    let mut follower = client(&api).follow(&["peer.lifted"], None, None);
    let mut heights = Vec::new();
    for _ in 0..2 {
        let followed = follower.next().await.unwrap();
        assert_eq!(followed.event.kind, EventKind::PeerLifted);
        assert_eq!(followed.event.domain, Some(domain()));
        heights.push(followed.id.height.0);
    }
    assert_eq!(heights, [5, 7]);
    let requests = server.join().unwrap();
    let after = |request: &String| {
        let lines = request.lines().map(str::to_lowercase);
        lines.filter_map(|line| line.strip_prefix("last-event-id: ").map(str::to_owned)).next()
    };
    let ends = [None, Some("4.4294967295.4294967295"), Some("5.0.0"), Some("5.0.0")];
    let ends = ends.map(|end| end.map(str::to_owned));
    assert_eq!(requests.iter().map(after).collect::<Vec<_>>(), ends);
    assert!(requests[1].starts_with("GET /v1/events?types=peer.lifted "), "{}", requests[1]);
}

#[tokio::test]
async fn a_stream_that_is_refused_ends_at_once() {
    let (api, server) = serve(vec![problem(403, Code::BadUsage)]);
    let after: EventId = "1.0.0".parse().unwrap();
    let mut follower = client(&api).follow(&[], None, Some(after));
    assert!(matches!(follower.next().await, Err(ClientError::Refused(_))));
    server.join().unwrap();
}

#[test]
fn a_stream_is_read_in_any_pieces() {
    let Turn::Say(text) = stream(&[(5, r#""type":"peer.lifted","domain":"bank-b.example""#)])
    else {
        unreachable!()
    };
    let text = text.split_once("\r\n\r\n").unwrap().1.replace('\n', "\r\n");
    for size in [1, 2, 7, 1000] {
        let mut parser = events::Parser::default();
        let mut found = Vec::new();
        for piece in text.as_bytes().chunks(size) {
            assert_eq!(parser.feed(piece), Some(()));
            while let Some(event) = parser.next() {
                found.push(event.id.to_string());
            }
        }
        assert_eq!(found, ["5.0.0"], "pieces of {size}");
    }
    let mut parser = events::Parser::default();
    let endless = vec![b'x'; 600 * 1024];
    assert_eq!(parser.feed(&endless), Some(()));
    assert_eq!(parser.feed(&endless), None, "a line without an end is given up");
}
