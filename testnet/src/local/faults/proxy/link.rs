//! One connection between two processes, with the proxy between them.
//!
//! ```text
//!   dialler --client--> [ way out ] --server--> listener
//!           <---------- [ way back ] <---------
//! ```
//!
//! A way without a fault reads into a buffer that all links share and writes at once: an idle
//! link costs no memory. A way with one keeps what it has read until it has arrived.
//!
//! Invariants:
//! * What is read is written, in order, or the link is reset at both ends.
//! * While a way is cut nothing of its sender is seen at the other end, also not its end.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::AsFd as _;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until};

use super::owners::Owners;
use super::rules::{PIECE_BYTES, Rule, Table};

/// Pieces that one way hands on before the others get their turn.
const TURN_PIECES: usize = 16;

thread_local! {
    /// What is between a read and the write that follows at once.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; PIECE_BYTES]);
}

/// The faults in force, as they change.
pub type Rules = watch::Receiver<Arc<Table>>;

/// A connection.
#[derive(Debug)]
pub struct Link {
    /// Who was dialled.
    pub listener: String,
    /// Where the connection comes from.
    pub peer: SocketAddr,
    /// Who is where.
    pub owners: Arc<Owners>,
    /// Told when the link is to be reset.
    pub reset: Notify,
}

/// How a way goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Other faults are in force.
    Changed,
    /// The sender has said all, and it has arrived.
    Ended,
}

/// What became of a piece.
enum Piece {
    /// It was handed on, but for this rest.
    Passed(Vec<u8>),
    /// There is nothing to read now.
    Nothing,
    /// There will be nothing any more.
    End,
}

/// What is on its way.
#[derive(Debug, Default)]
struct Queue {
    pieces: VecDeque<(Instant, Vec<u8>)>,
    bytes: usize,
    /// When the last of them arrives.
    last: Option<Instant>,
    /// Nothing more comes after them.
    ended: bool,
}

impl Queue {
    fn push(&mut self, at: Instant, piece: Vec<u8>) {
        let at = self.last.map_or(at, |last| last.max(at));
        self.last = Some(at);
        self.bytes = self.bytes.saturating_add(piece.len());
        self.pieces.push_back((at, piece));
    }

    fn pop(&mut self) -> Option<Vec<u8>> {
        let (_, piece) = self.pieces.pop_front()?;
        self.bytes = self.bytes.saturating_sub(piece.len());
        Some(piece)
    }
}

impl Link {
    /// The name of the dialler. Looked up at the first time, which takes a look at all processes.
    #[must_use]
    pub fn dialler(&self) -> String {
        self.owners.of(self.peer)
    }

    /// What is in force on the way out, or back.
    fn rule(&self, table: &Table, out: bool) -> Option<Rule> {
        if table.is_calm() {
            return None;
        }
        let (dialler, listener) = (self.dialler(), &self.listener);
        if out { table.rule(&dialler, listener) } else { table.rule(listener, &dialler) }
    }

    fn is_cut(&self, table: &Table) -> bool {
        [true, false].into_iter().any(|out| self.rule(table, out).is_some_and(|rule| rule.cut))
    }

    /// Waits until nothing is cut between the two.
    pub async fn passable(&self, rules: &mut Rules) {
        while self.is_cut(&rules.borrow_and_update().clone()) {
            changed(rules).await;
        }
    }

    /// Passes everything on, until both ends have ended or one has failed.
    pub async fn run(&self, client: &TcpStream, server: &TcpStream, rules: &Rules) {
        let out = self.way(client, server, rules.clone(), true);
        let back = self.way(server, client, rules.clone(), false);
        let failed = tokio::select! {
            done = async { tokio::try_join!(out, back) } => done.is_err(),
            () = self.reset.notified() => true,
        };
        if failed {
            // That an end is gone is not heard through a cut either.
            self.passable(&mut rules.clone()).await;
            reset(client);
            reset(server);
        }
    }

    async fn way(
        &self,
        from: &TcpStream,
        to: &TcpStream,
        mut rules: Rules,
        out: bool,
    ) -> io::Result<()> {
        let mut queue = Queue::default();
        loop {
            let table = rules.borrow_and_update().clone();
            let step = match self.rule(&table, out) {
                None => calm(from, to, &mut queue, &mut rules).await?,
                Some(rule) if rule.cut => {
                    changed(&mut rules).await;
                    Step::Changed
                }
                Some(rule) => rough(from, to, &mut queue, &mut rules, &rule).await?,
            };
            match step {
                Step::Changed => {}
                Step::Ended => return end(to),
            }
        }
    }
}

/// Closes the connection, once it is dropped, with a reset.
pub fn reset(stream: &TcpStream) {
    // One that is closed already cannot be reset.
    let _ = stream.set_zero_linger();
}

/// Tells the receiver that nothing more comes.
fn end(to: &TcpStream) -> io::Result<()> {
    let same = std::net::TcpStream::from(to.as_fd().try_clone_to_owned()?);
    match same.shutdown(Shutdown::Write) {
        Err(error) if error.kind() != io::ErrorKind::NotConnected => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Waits until other faults are in force.
async fn changed(rules: &mut Rules) {
    if rules.changed().await.is_err() {
        // Nobody can change them any more: the proxy is about to end.
        std::future::pending::<()>().await;
    }
}

/// A way without a fault.
async fn calm(
    from: &TcpStream,
    to: &TcpStream,
    queue: &mut Queue,
    rules: &mut Rules,
) -> io::Result<Step> {
    // What a healed fault had held up.
    while let Some(piece) = queue.pop() {
        write_all(to, &piece).await?;
    }
    queue.last = None;
    if queue.ended {
        return Ok(Step::Ended);
    }
    loop {
        tokio::select! {
            biased;
            () = changed(rules) => return Ok(Step::Changed),
            ready = from.readable() => ready?,
        }
        for _ in 0..TURN_PIECES {
            if rules.has_changed().unwrap_or(false) {
                return Ok(Step::Changed);
            }
            match pass(from, to)? {
                Piece::Passed(rest) if rest.is_empty() => {}
                Piece::Passed(rest) => write_all(to, &rest).await?,
                Piece::Nothing => break,
                Piece::End => return Ok(Step::Ended),
            }
        }
        tokio::task::yield_now().await;
    }
}

/// A way with a fault that lets something pass.
async fn rough(
    from: &TcpStream,
    to: &TcpStream,
    queue: &mut Queue,
    rules: &mut Rules,
    rule: &Rule,
) -> io::Result<Step> {
    loop {
        let due = queue.pieces.front().map(|(at, _)| *at);
        if queue.ended && due.is_none() {
            return Ok(Step::Ended);
        }
        let room = !queue.ended && queue.bytes < rule.window();
        tokio::select! {
            biased;
            () = changed(rules) => return Ok(Step::Changed),
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                if let Some(piece) = queue.pop() {
                    write_all(to, &piece).await?;
                }
            }
            ready = from.readable(), if room => {
                ready?;
                let mut piece = vec![0; rule.piece()];
                match from.try_read(&mut piece) {
                    Ok(0) => queue.ended = true,
                    Ok(read) => {
                        piece.truncate(read);
                        piece.shrink_to_fit();
                        queue.push(rule.arrival(Instant::now(), read), piece);
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error),
                }
            }
        }
    }
}

/// Reads what is there and writes what there is room for.
fn pass(from: &TcpStream, to: &TcpStream) -> io::Result<Piece> {
    BUFFER.with_borrow_mut(|buffer| {
        let read = match from.try_read(buffer) {
            Ok(0) => return Ok(Piece::End),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Piece::Nothing),
            Err(error) => return Err(error),
        };
        let piece = buffer.get(..read).unwrap_or_default();
        let written = match to.try_write(piece) {
            Ok(written) => written,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => return Err(error),
        };
        Ok(Piece::Passed(piece.get(written..).unwrap_or_default().to_vec()))
    })
}

async fn write_all(to: &TcpStream, piece: &[u8]) -> io::Result<()> {
    let mut rest = piece;
    while !rest.is_empty() {
        to.writable().await?;
        match to.try_write(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => rest = rest.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::time::Duration;

    use quadrille_protocol::types::Time;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio::time::timeout;

    use super::super::super::super::layout::Layout;
    use super::super::super::{Fault, FaultId, InForce};
    use super::super::book::Book;
    use super::*;

    /// Nothing more is coming.
    const SILENCE: Duration = Duration::from_millis(200);
    const STEP: Duration = Duration::from_secs(10);

    fn table(faults: &[Fault]) -> Arc<Table> {
        let known: Vec<InForce> = (1..)
            .zip(faults.iter().cloned())
            .map(|(id, fault)| InForce { id: FaultId(id), fault, since: Time(0), until: None })
            .collect();
        Arc::new(Table::of(known.iter(), &Table::default()))
    }

    fn cut(one_way: bool) -> Arc<Table> {
        let (a, b) = (vec![String::new()], vec!["bank-b".to_owned()]);
        table(&[Fault::Partition { a, b, one_way }])
    }

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let (dialled, accepted) = tokio::join!(TcpStream::connect(at), listener.accept());
        (dialled.unwrap(), accepted.unwrap().0)
    }

    /// A stranger, a link to bank-b, bank-b, and what changes the faults.
    async fn link() -> (TcpStream, TcpStream, watch::Sender<Arc<Table>>) {
        let (dialler, client) = pair().await;
        let (server, listener) = pair().await;
        let (sender, rules) = watch::channel(Arc::new(Table::default()));
        let nowhere = Layout::new(std::path::Path::new("/nonexistent"));
        let owners = Arc::new(Owners::new(Arc::new(Book::new(nowhere)), HashSet::new()));
        let (name, peer) = ("bank-b".to_owned(), client.peer_addr().unwrap());
        let link = Link { listener: name, peer, owners, reset: Notify::new() };
        tokio::spawn(async move { link.run(&client, &server, &rules).await });
        (dialler, listener, sender)
    }

    async fn hears(stream: &mut TcpStream, expected: &[u8]) {
        let mut heard = vec![0; expected.len()];
        timeout(STEP, stream.read_exact(&mut heard)).await.unwrap().unwrap();
        assert_eq!(heard, expected);
    }

    async fn hears_nothing(stream: &mut TcpStream) {
        let mut byte = [0];
        assert!(timeout(SILENCE, stream.read(&mut byte)).await.is_err(), "it hears {byte:?}");
    }

    #[tokio::test]
    async fn everything_arrives_in_order_and_the_end_too() {
        let (mut dialler, mut listener, _rules) = link().await;
        let much: Vec<u8> = (0..3_000_000_u32).map(|number| number as u8).collect();
        let said = much.clone();
        let saying = tokio::spawn(async move {
            dialler.write_all(&said).await.unwrap();
            dialler.shutdown().await.unwrap();
            let mut answer = Vec::new();
            dialler.read_to_end(&mut answer).await.unwrap();
            answer
        });
        let mut heard = Vec::new();
        timeout(STEP, listener.read_to_end(&mut heard)).await.unwrap().unwrap();
        assert!(heard == much);
        listener.write_all(b"answer").await.unwrap();
        drop(listener);
        assert_eq!(saying.await.unwrap(), b"answer");
    }

    #[tokio::test]
    async fn a_cut_is_silent_and_what_was_said_arrives_after_it() {
        let (mut dialler, mut listener, rules) = link().await;
        dialler.write_all(b"before").await.unwrap();
        hears(&mut listener, b"before").await;
        rules.send_replace(cut(false));
        dialler.write_all(b"during").await.unwrap();
        drop(dialler);
        hears_nothing(&mut listener).await;
        rules.send_replace(Arc::new(Table::default()));
        hears(&mut listener, b"during").await;
    }

    #[tokio::test]
    async fn a_cut_of_one_way_lets_the_other_pass() {
        let (mut dialler, mut listener, rules) = link().await;
        rules.send_replace(cut(true));
        listener.write_all(b"back").await.unwrap();
        hears(&mut dialler, b"back").await;
        dialler.write_all(b"forth").await.unwrap();
        hears_nothing(&mut listener).await;
        rules.send_replace(Arc::new(Table::default()));
        hears(&mut listener, b"forth").await;
    }

    #[tokio::test]
    async fn what_is_late_is_in_order_and_healing_brings_it_at_once() {
        let (mut dialler, mut listener, rules) = link().await;
        let latency = |millis| {
            let (delay, jitter) = (Duration::from_millis(millis), Duration::from_millis(millis));
            table(&[Fault::Latency { of: "bank-b".to_owned(), delay, jitter }])
        };
        rules.send_replace(latency(50));
        let begun = Instant::now();
        for piece in 0..20_u8 {
            dialler.write_all(&[piece]).await.unwrap();
            tokio::task::yield_now().await;
        }
        hears(&mut listener, &(0..20).collect::<Vec<u8>>()).await;
        assert!(begun.elapsed() >= Duration::from_millis(50));
        rules.send_replace(latency(60_000));
        dialler.write_all(b"late").await.unwrap();
        hears_nothing(&mut listener).await;
        rules.send_replace(Arc::new(Table::default()));
        hears(&mut listener, b"late").await;
    }

    #[tokio::test]
    async fn when_one_end_fails_the_other_is_reset() {
        let (dialler, mut listener, _rules) = link().await;
        reset(&dialler);
        drop(dialler);
        let mut byte = [0];
        let heard = timeout(STEP, listener.read(&mut byte)).await.unwrap();
        assert!(heard.is_err(), "it heard {heard:?} and no reset");
    }
}
