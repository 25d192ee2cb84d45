//! What other systems do when something has happened: signed webhooks, and the stream of events.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use quadrille_node::api::dto::{EventKind, EventView, NewSubscription, PaymentState};
use quadrille_node::client::Follower;
use quadrille_node::hooks::sign;
use quadrille_node::index::EventId;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::ledger::Payment;
use quadrille_protocol::types::{Amount, Duration as Span};

use super::stage::{Desk, Stage, holds, refused, same};
use crate::local::trader::otherwise;
use crate::local::up::now;

/// How long a delivery or an event may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// How old a delivery may be.
const TOLERANCE: Span = Span(300_000);
/// Longest delivery that is read.
const BODY_BYTES: usize = 256 * 1024;
/// Lines of a request's head that are read.
const HEAD_LINES: usize = 64;
/// The ledger's entries that are waited for.
const PAYMENTS: usize = 3;

/// A delivery as it arrived.
struct Delivery {
    signature: String,
    body: Vec<u8>,
    taken: bool,
}

pub(super) fn chapter(stage: &Stage<'_>) -> Result<(), Refusal> {
    posted(stage)?;
    resumed(stage)
}

/// Listens on this machine; refuses the first delivery and takes the others.
fn receiver() -> Result<(String, Receiver<Delivery>), Refusal> {
    let failed = |error: std::io::Error| otherwise(format!("the receiver: {error}"));
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).map_err(failed)?;
    let url = format!("http://{}/tour", listener.local_addr().map_err(failed)?);
    let (sender, arrived) = mpsc::channel();
    std::thread::spawn(move || {
        let mut taken = false;
        for stream in listener.incoming().flatten() {
            // Whoever breaks off is heard again.
            let Some(delivery) = take(stream, taken) else { continue };
            taken = true;
            if sender.send(delivery).is_err() {
                return;
            }
        }
    });
    Ok((url, arrived))
}

/// Reads one request and answers it.
fn take(stream: TcpStream, taken: bool) -> Option<Delivery> {
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let mut reader = BufReader::new(stream);
    let (mut length, mut signature) = (0_usize, String::new());
    for _ in 0..HEAD_LINES {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.split_once(':') else {
            if line.trim().is_empty() {
                break;
            }
            continue;
        };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().ok()?,
            "quadrille-signature" => value.trim().clone_into(&mut signature),
            _ => {}
        }
    }
    let mut body = vec![0; length.min(BODY_BYTES)];
    reader.read_exact(&mut body).ok()?;
    let answer = if taken { "204 No Content" } else { "503 Service Unavailable" };
    let answer = format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    reader.get_mut().write_all(answer.as_bytes()).ok()?;
    Some(Delivery { signature, body, taken })
}

/// alice pays carol, both at bank-a, some times.
fn pay(stage: &Stage<'_>) -> Result<(), Refusal> {
    let (alice, carol) = (stage.customer("alice@bank-a")?, stage.customer("carol@bank-a")?);
    for _ in 0..PAYMENTS {
        let payment = Payment::plain(carol.account(), stage.cash("bank-a")?, Amount::new(100));
        let view = alice.paid(&alice.pay(payment)?)?;
        same("the payment", &view.state, &PaymentState::Paid)?;
    }
    Ok(())
}

fn posted(stage: &Stage<'_>) -> Result<(), Refusal> {
    let carol = stage.customer("carol@bank-a")?;
    let a = &carol.desk;
    let (url, arrived) = receiver()?;
    let new = NewSubscription {
        url,
        types: vec![EventKind::LedgerEntry.name().to_owned()],
        ledger: Some(carol.ledger),
        ..NewSubscription::default()
    };
    let made = a.ask(a.client.subscribe(&new, "tour-hook"))?;
    let secret = made.secret.ok_or_else(|| otherwise("a subscription without a secret"))?;
    pay(stage)?;
    let mut deliveries = Vec::new();
    while deliveries.len() <= PAYMENTS {
        let none = |_| otherwise(format!("{} deliveries came", deliveries.len()));
        let delivery = arrived.recv_timeout(PATIENCE).map_err(none)?;
        let checked = sign::verify(&secret, &delivery.signature, &delivery.body, now()?, TOLERANCE);
        checked.map_err(|refusal| otherwise(format!("a delivery does not verify: {refusal}")))?;
        deliveries.push(delivery);
    }
    in_order(stage, a, &deliveries)?;
    let first = deliveries.first().ok_or_else(|| otherwise("no delivery came"))?;
    let forged = [first.body.as_slice(), b" "].concat();
    let verdict = sign::verify(&secret, &first.signature, &forged, now()?, TOLERANCE);
    let refusal = refused("a forged delivery", verdict, Code::BadHookSignature)?;
    stage.tell(
        format!("a delivery with one byte more does not verify: {}", refusal.code),
        &made.id,
    )?;
    a.ask(a.client.unsubscribe(&made.id))?;
    Ok(())
}

/// The first one was refused and came again; then each entry once, in the order of the ledger.
fn in_order(stage: &Stage<'_>, a: &Desk, deliveries: &[Delivery]) -> Result<(), Refusal> {
    let read = |delivery: &Delivery| {
        serde_json::from_slice::<EventView>(&delivery.body)
            .map_err(|error| otherwise(format!("a delivery: {error}")))
    };
    let again = deliveries.first().zip(deliveries.get(1));
    let again = again.is_some_and(|(first, second)| !first.taken && first.body == second.body);
    holds("what was not taken came again", again)?;
    let events = deliveries.iter().skip(1).map(read).collect::<Result<Vec<_>, _>>()?;
    let numbers: Vec<u64> = events.iter().filter_map(|it| it.sequence.map(|at| at.0)).collect();
    same("entries", &numbers.len(), &PAYMENTS)?;
    let rises =
        numbers.windows(2).all(|pair| matches!(pair, [a, b] if a.checked_add(1) == Some(*b)));
    holds(format!("one after the other: {numbers:?}"), rises)?;
    let places: Vec<String> =
        events.iter().filter_map(|event| event.place).map(|place| a.at(place)).collect();
    stage.tell(
        format!(
            "a webhook in the tour gets carol's entries {numbers:?}, signed, in order; the first \
             was refused with 503 and came again"
        ),
        places.join("; "),
    )
}

fn next(desk: &Desk, follower: &mut Follower) -> Result<(EventId, EventView), Refusal> {
    let next =
        desk.runtime.block_on(async { tokio::time::timeout(PATIENCE, follower.next()).await });
    let next = next.map_err(|_| otherwise("no event came"))?;
    desk.ask(async { next }).map(|followed| (followed.id, followed.event))
}

fn resumed(stage: &Stage<'_>) -> Result<(), Refusal> {
    let carol = stage.customer("carol@bank-a")?;
    let a = &carol.desk;
    let types = [EventKind::LedgerEntry.name()];
    let mut first = a.client.follow(&types, Some(&carol.ledger), None);
    a.ask(first.connect())?;
    pay(stage)?;
    let heard = next(a, &mut first)?;
    // The connection is lost here, with two events not yet heard.
    drop(first);
    let mut second = a.client.follow(&types, Some(&carol.ledger), Some(heard.0));
    let rest = [next(a, &mut second)?, next(a, &mut second)?];
    let number = |event: &EventView| event.sequence.map(|at| at.0);
    let numbers: Vec<Option<u64>> =
        std::iter::once(&heard).chain(&rest).map(|(_, event)| number(event)).collect();
    let rises = numbers.windows(2).all(|pair| match pair {
        [Some(a), Some(b)] => a.checked_add(1) == Some(*b),
        _ => false,
    });
    holds(format!("nothing is missed and nothing comes twice: {numbers:?}"), rises)?;
    stage.tell(
        "the event stream is lost after one event and goes on behind its id: the next two, once",
        rest.map(|(id, _)| id.to_string()).join(", "),
    )
}
