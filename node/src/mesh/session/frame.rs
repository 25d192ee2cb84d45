//! Frames of a session: a kind, a length as `u32` little-endian, the payload.
//!
//! Invariant: no payload longer than its kind allows is read; kind 0 and 6 have none.

use bytes::{Bytes, BytesMut};
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::limits;
use quadrille_protocol::refuse;

use crate::mesh::wire::Wire;

/// Kind and length.
pub(super) const HEAD_BYTES: usize = 5;
/// Largest message that binds nobody: it names no more than an agreement's header.
const MESSAGE_BYTES: usize = limits::RECORD_BYTES;
/// Largest evidence: a record, its path, a signed checkpoint.
const EVIDENCE_BYTES: usize = 2 * limits::RECORD_BYTES;
/// A payload grows in steps, so that a length alone takes no memory.
const STEP_BYTES: usize = 64 * 1024;

const _: () = assert!(limits::FRAME_BYTES <= u32::MAX as usize);
const _: () = assert!(limits::SIGNATURE_BYTES + 16 * 1024 <= limits::RECORD_BYTES);

/// What one frame carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// The first one of each side: nothing of an earlier session will be handed in any more.
    Greeting,
    /// A sign of life.
    KeepAlive,
    /// Something for the node.
    Wire(Wire),
}

impl Frame {
    fn parts(&self) -> (u8, &[u8]) {
        match self {
            Self::Greeting => (0, &[]),
            Self::Wire(Wire::Frame(bytes)) => (1, bytes),
            Self::Wire(Wire::Returned(bytes)) => (2, bytes),
            Self::Wire(Wire::Message(bytes)) => (3, bytes),
            Self::Wire(Wire::Shown(bytes)) => (4, bytes),
            Self::Wire(Wire::Notices(bytes)) => (5, bytes),
            Self::KeepAlive => (6, &[]),
        }
    }

    fn from_parts(kind: u8, payload: Bytes) -> Result<Self, Refusal> {
        Ok(match kind {
            0 => Self::Greeting,
            1 => Self::Wire(Wire::Frame(payload)),
            2 => Self::Wire(Wire::Returned(payload)),
            3 => Self::Wire(Wire::Message(payload)),
            4 => Self::Wire(Wire::Shown(payload)),
            5 => Self::Wire(Wire::Notices(payload)),
            6 => Self::KeepAlive,
            unknown => refuse!(BadSessionFrame, "kind {unknown}"),
        })
    }
}

fn limit(kind: u8) -> Result<usize, Refusal> {
    Ok(match kind {
        0 | 6 => 0,
        1 | 2 | 5 => limits::FRAME_BYTES,
        3 => MESSAGE_BYTES,
        4 => EVIDENCE_BYTES,
        unknown => refuse!(BadSessionFrame, "kind {unknown}"),
    })
}

/// Why no frame was read.
#[derive(Debug)]
pub enum ReadError {
    /// The stream has ended or broken.
    Gone(std::io::Error),
    /// The peer sent what is no frame.
    Bad(Refusal),
}

/// Reads one frame.
///
/// # Errors
/// See [`ReadError`].
pub async fn read<S>(stream: &mut S) -> Result<Frame, ReadError>
where
    S: AsyncRead + Unpin,
{
    let mut head = [0; HEAD_BYTES];
    stream.read_exact(&mut head).await.map_err(ReadError::Gone)?;
    let [kind, length @ ..] = head;
    let length = usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX);
    let most = limit(kind).map_err(ReadError::Bad)?;
    if length > most {
        let what = format!("a frame of kind {kind} and {length} bytes, at most {most}");
        return Err(ReadError::Bad(Refusal::new(Code::BadSessionFrame, what)));
    }
    let mut payload = BytesMut::new();
    while payload.len() < length {
        let read = payload.len();
        payload.resize(length.min(read.saturating_add(STEP_BYTES)), 0);
        if let Some(rest) = payload.get_mut(read..) {
            stream.read_exact(rest).await.map_err(ReadError::Gone)?;
        }
    }
    Frame::from_parts(kind, payload.freeze()).map_err(ReadError::Bad)
}

/// Writes one frame and returns its size. Does not flush.
///
/// # Errors
/// When the stream is gone, or the payload longer than a peer would read.
pub async fn write<S>(stream: &mut S, frame: &Frame) -> std::io::Result<usize>
where
    S: AsyncWrite + Unpin,
{
    let (kind, payload) = frame.parts();
    let fits = limit(kind).is_ok_and(|most| payload.len() <= most);
    let length = u32::try_from(payload.len()).ok().filter(|_| fits);
    let Some(length) = length else {
        let what = format!("a payload of kind {kind} with {} bytes", payload.len());
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, what));
    };
    let mut head = [kind; HEAD_BYTES];
    if let Some(rest) = head.get_mut(1..) {
        rest.copy_from_slice(&length.to_le_bytes());
    }
    stream.write_all(&head).await?;
    stream.write_all(payload).await?;
    Ok(HEAD_BYTES.saturating_add(payload.len()))
}
