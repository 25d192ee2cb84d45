//! One session, from its greeting to its end.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use futures::io::{AsyncReadExt, AsyncWriteExt, BufReader, BufWriter, ReadHalf, WriteHalf};
use libp2p::{PeerId, Stream};
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::types::Domain;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::frame::{self, Frame, ReadError};
use super::{Ended, Line, LinkTask, Order};
use crate::mesh::conduct::Offence;
use crate::mesh::config::SESSION_QUEUE;
use crate::mesh::shared::Shared;
use crate::mesh::wire::Wire;

/// Bytes gathered before they go to the multiplexer, and read from it at once.
const BUFFER_BYTES: usize = 64 * 1024;

impl LinkTask {
    /// Runs one session over `line`.
    pub(super) async fn session(&mut self, line: Line) -> Ended {
        let Line { peer, stream } = line;
        let (reader, writer) = stream.split();
        let mut reader = BufReader::with_capacity(BUFFER_BYTES, reader);
        let mut writer = BufWriter::with_capacity(BUFFER_BYTES, writer);
        let limit = self.shared.config.timing.handshake;
        let greeted = timeout(limit, greet(&mut reader, &mut writer)).await;
        if let Err(refusal) = greeted.unwrap_or_else(|_| Err(stalled(limit))) {
            tracing::debug!(domain = %self.domain, %refusal, "no session");
            return Ended::Over;
        }
        // Before the node hears of the session: an order to end it that comes from then on counts.
        let began = Instant::now();
        let (out, queue) = mpsc::channel(SESSION_QUEUE);
        if let Err(refusal) = self.shared.host.attach(&self.domain, out).await {
            tracing::warn!(domain = %self.domain, code = %refusal.code, %refusal, "no session");
            return Ended::Over;
        }
        self.shared.counters.sessions_opened.one();
        tracing::info!(domain = %self.domain, "session opened");
        self.set_running(Some((peer, Instant::now())));
        let ended = self.both_ways(reader, writer, queue, began).await;
        self.shared.host.detach(&self.domain).await;
        self.set_running(None);
        self.shared.counters.sessions_closed.one();
        ended
    }

    async fn both_ways(
        &mut self,
        reader: BufReader<ReadHalf<Stream>>,
        writer: BufWriter<WriteHalf<Stream>>,
        queue: mpsc::Receiver<Wire>,
        began: Instant,
    ) -> Ended {
        let stop = self.shared.stop.child_token();
        let (shared, domain) = (self.shared.clone(), self.domain.clone());
        let mut reads = tokio::spawn(read_all(shared, domain, reader, stop.clone()));
        let mut writes = tokio::spawn(write_all(self.shared.clone(), writer, queue, stop.clone()));
        let mut read_done = None;
        let mut write_done = None;
        let mut ended = Ended::Over;
        loop {
            tokio::select! {
                done = &mut reads => { read_done = Some(done); break }
                done = &mut writes => { write_done = Some(done); break }
                () = self.shared.stop.cancelled() => { ended = Ended::Stopped; break }
                order = self.orders.recv() => match order {
                    Some(Order::Wake) => {}
                    Some(Order::Restart(at)) if at < began => {}
                    Some(Order::Restart(_)) => break,
                    Some(Order::Incoming(line)) => { ended = Ended::Replaced(line); break }
                    None => { ended = Ended::Stopped; break }
                }
            }
        }
        // The reader is not aborted: what it has read it hands in, and only then is it over.
        stop.cancel();
        let read = match read_done {
            Some(done) => done,
            None => reads.await,
        };
        let write = match write_done {
            Some(done) => done,
            None => writes.await,
        };
        let domain = &self.domain;
        for (side, done) in [("reader", read), ("writer", write)] {
            match done {
                Ok(Ok(())) => {}
                Ok(Err(refusal)) => {
                    tracing::info!(%domain, side, code = %refusal.code, %refusal, "session ends");
                }
                Err(error) => tracing::error!(%domain, side, %error, "a task of the mesh died"),
            }
        }
        ended
    }

    fn set_running(&self, running: Option<(PeerId, Instant)>) {
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = running;
    }
}

async fn greet(
    reader: &mut BufReader<ReadHalf<Stream>>,
    writer: &mut BufWriter<WriteHalf<Stream>>,
) -> Result<(), Refusal> {
    frame::write(writer, &Frame::Greeting).await.map_err(gone)?;
    writer.flush().await.map_err(gone)?;
    match frame::read(reader).await {
        Ok(Frame::Greeting) => Ok(()),
        Ok(Frame::KeepAlive | Frame::Wire(_)) => {
            Err(Refusal::new(Code::BadSessionFrame, "no greeting"))
        }
        Err(ReadError::Gone(error)) => Err(gone(error)),
        Err(ReadError::Bad(refusal)) => Err(refusal),
    }
}

async fn read_all(
    shared: Arc<Shared>,
    domain: Domain,
    mut reader: BufReader<ReadHalf<Stream>>,
    stop: CancellationToken,
) -> Result<(), Refusal> {
    let stall = shared.config.timing.stall;
    loop {
        let read = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            read = timeout(stall, frame::read(&mut reader)) => read,
        };
        let wire = match read {
            Err(_) => {
                shared.counters.stalls.one();
                return Err(stalled(stall));
            }
            Ok(Err(ReadError::Gone(error))) => return Err(gone(error)),
            Ok(Err(ReadError::Bad(refusal))) => {
                shared.counters.bad_frames.one();
                shared.offend(&domain, Offence::BadFrame, &refusal.what);
                return Err(refusal);
            }
            Ok(Ok(Frame::KeepAlive)) => continue,
            Ok(Ok(Frame::Greeting)) => {
                shared.counters.bad_frames.one();
                shared.offend(&domain, Offence::BadFrame, "a second greeting");
                return Err(Refusal::new(Code::BadSessionFrame, "a second greeting"));
            }
            Ok(Ok(Frame::Wire(wire))) => wire,
        };
        shared.counters.frames_in.one();
        shared.counters.bytes_in.add(size(&wire));
        if let Err(refusal) = shared.host.receive(&domain, wire).await {
            shared.counters.refused_inputs.one();
            if shared.offend(&domain, Offence::Refused(refusal.code), &refusal.what) {
                return Err(refusal);
            }
        }
    }
}

async fn write_all(
    shared: Arc<Shared>,
    mut writer: BufWriter<WriteHalf<Stream>>,
    mut queue: mpsc::Receiver<Wire>,
    stop: CancellationToken,
) -> Result<(), Refusal> {
    let timing = shared.config.timing;
    let mut wires = Vec::with_capacity(SESSION_QUEUE);
    loop {
        let taken = tokio::select! {
            () = stop.cancelled() => break,
            taken = timeout(timing.keep_alive, queue.recv_many(&mut wires, SESSION_QUEUE)) => taken,
        };
        let frames: Vec<Frame> = match taken {
            // The node has let go of the session.
            Ok(0) => break,
            Ok(_) => wires.drain(..).map(Frame::Wire).collect(),
            Err(_) => vec![Frame::KeepAlive],
        };
        let written = tokio::select! {
            () = stop.cancelled() => break,
            written = timeout(timing.stall, write_some(&shared, &mut writer, &frames)) => written,
        };
        match written {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(gone(error)),
            Err(_) => {
                shared.counters.stalls.one();
                return Err(stalled(timing.stall));
            }
        }
    }
    // The peer learns at once; when it does not read, it learns from its own clock.
    let _ = timeout(timing.retry_first, writer.close()).await;
    Ok(())
}

/// Writes what waited together, then flushes once.
async fn write_some(
    shared: &Shared,
    writer: &mut BufWriter<WriteHalf<Stream>>,
    frames: &[Frame],
) -> std::io::Result<()> {
    for frame in frames {
        let bytes = frame::write(writer, frame).await?;
        shared.counters.bytes_out.add(u64::try_from(bytes).unwrap_or(u64::MAX));
        shared.counters.frames_out.one();
    }
    writer.flush().await
}

fn size(wire: &Wire) -> u64 {
    let (Wire::Frame(bytes)
    | Wire::Returned(bytes)
    | Wire::Message(bytes)
    | Wire::Shown(bytes)
    | Wire::Notices(bytes)) = wire;
    u64::try_from(bytes.len().saturating_add(frame::HEAD_BYTES)).unwrap_or(u64::MAX)
}

fn gone(error: std::io::Error) -> Refusal {
    Refusal::new(Code::SessionStalled, format!("the stream is gone: {error}"))
}

fn stalled(after: Duration) -> Refusal {
    Refusal::new(Code::SessionStalled, format!("nothing for {after:?}"))
}
