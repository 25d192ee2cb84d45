//! One packet on a stream: its length as `u32`, little-endian, and the bytes.
//!
//! Invariant: nothing longer than the limit is read, and memory grows only with bytes that are
//! there. Waiting is bounded by the callers' timeouts.

use std::io;

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::refuse;

/// Writes one packet.
///
/// # Errors
/// `Q-2007` when the stream is gone.
pub async fn write<S>(stream: &mut S, bytes: &[u8]) -> Result<(), Refusal>
where
    S: AsyncWrite + Unpin,
{
    let Ok(length) = u32::try_from(bytes.len()) else {
        refuse!(TooLarge, "a packet of {} bytes", bytes.len());
    };
    stream.write_all(&length.to_le_bytes()).await.map_err(gone)?;
    stream.write_all(bytes).await.map_err(gone)?;
    stream.flush().await.map_err(gone)
}

/// Reads one packet of at most `limit` bytes.
///
/// # Errors
/// `Q-1001` over the limit; `Q-2007` when the stream ends before the packet does.
pub async fn read<S>(stream: &mut S, limit: usize) -> Result<Vec<u8>, Refusal>
where
    S: AsyncRead + Unpin,
{
    let mut length = [0; 4];
    stream.read_exact(&mut length).await.map_err(gone)?;
    let length = usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX);
    if length > limit {
        refuse!(TooLarge, "a packet of {length} bytes, at most {limit}");
    }
    let mut bytes = Vec::new();
    let wanted = u64::try_from(length).unwrap_or(u64::MAX);
    stream.take(wanted).read_to_end(&mut bytes).await.map_err(gone)?;
    if bytes.len() != length {
        refuse!(SessionStalled, "{} bytes of {length}, then the end", bytes.len());
    }
    Ok(bytes)
}

/// Waits until the other side closes, so that what was written is read before the line goes.
pub async fn read_end<S>(stream: &mut S)
where
    S: AsyncRead + Unpin,
{
    let mut rest = [0; 1];
    // What comes, if anything, does not matter: the caller's timeout bounds the wait.
    let _ = stream.read(&mut rest).await;
}

/// Closes our side.
///
/// # Errors
/// `Q-2007` when the stream is gone.
pub async fn close<S>(stream: &mut S) -> Result<(), Refusal>
where
    S: AsyncWrite + Unpin,
{
    stream.close().await.map_err(gone)
}

fn gone(error: io::Error) -> Refusal {
    Refusal::new(Code::SessionStalled, format!("the stream is gone: {error}"))
}
