//! Reading a segment from end to end: what is in it, and where it stops being good.
//!
//! Nothing is changed here. A bad place is one of two things:
//! * *torn*: the end of the last write, which never came back to whoever made it. Only the last
//!   segment can have one, and only after everything that was durable.
//! * *damaged*: anything else. What was durable once is bad now, and only a backup or the peers
//!   can help.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::types::Height;

use super::files::at;
use super::format::{
    BATCH_BYTES, BadHeader, FRAME_HEADER_BYTES, FRAME_HEADER_LEN, FrameHeader, Kind, MARKER,
    SEGMENT_HEADER_BYTES, Salt, SegmentHeader,
};
use super::reader::Entry;

/// How much of a damaged segment is searched at a time for frames after the bad place.
const SEARCH_BYTES: usize = 1024 * 1024;

/// How thoroughly to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// Frame headers only: they have a checksum of their own and say where the next one is.
    Headers,
    /// Payloads too.
    Payloads,
}

/// A segment as it was found.
#[derive(Debug)]
pub(super) struct Scanned {
    pub path: PathBuf,
    pub header: SegmentHeader,
    /// Its batches, oldest first.
    pub entries: Vec<Entry>,
    /// Whether the last batch is sealed.
    pub sealed: bool,
    /// Where the last good frame ends.
    pub end: u64,
    /// How much of it is known to have been durable when the last good frame was written.
    pub proven: u64,
    /// How long the file is.
    pub length: u64,
    /// What is wrong after `end`, when something is.
    pub torn: Option<String>,
}

impl Scanned {
    /// The height of the last batch, or of the one before the segment.
    pub(super) fn last(&self) -> Height {
        self.entries.last().map_or(self.header.before, |entry| entry.height(self.header.first))
    }
}

/// A frame, or why there is none.
pub(super) enum Found {
    Frame(FrameHeader),
    Bad(String),
}

/// What scanning stopped at.
#[derive(Debug)]
pub(super) struct Trouble {
    pub path: PathBuf,
    /// Where the frame, or whatever should be one, begins.
    pub offset: u64,
    pub refusal: Refusal,
}

impl From<Trouble> for Refusal {
    fn from(trouble: Trouble) -> Self {
        trouble.refusal
    }
}

/// Looks at each good frame (its segment, place and, if they are read, payload) and may object.
pub(super) type Visit<'a> =
    &'a mut dyn FnMut(&SegmentHeader, &FrameHeader, u64, &[u8]) -> Result<(), Refusal>;

/// What scanning a segment gives.
pub(super) enum Outcome {
    /// It is good, or torn at its end.
    Segment(Box<Scanned>),
    /// Its creation was cut short: nothing was ever in it.
    Unborn(u64),
}

/// Segments in the order of their heights.
pub(super) fn segments(dir: &Path) -> io::Result<Vec<(Height, PathBuf)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if let Some(first) = height_of(&path, "seg") {
            found.push((first, path));
        }
    }
    found.sort();
    Ok(found)
}

/// The height in a name like `00000000000000000012.seg`.
pub(super) fn height_of(path: &Path, extension: &str) -> Option<Height> {
    let name = path.file_name()?.to_str()?;
    let digits = name.strip_suffix(extension)?.strip_suffix('.')?;
    let well_formed = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| well_formed).map(Height)
}

/// A height in a name.
pub(super) fn name_of(height: Height, extension: &str) -> String {
    format!("{:020}.{extension}", height.0)
}

/// Reads the segment at `path`. In the `last` one a torn end is no error.
pub(super) fn scan(
    path: &Path,
    last: bool,
    depth: Depth,
    visit: Visit<'_>,
) -> Result<Outcome, Trouble> {
    let trouble = |offset, refusal| Trouble { path: path.to_owned(), offset, refusal };
    let unreadable = |error| trouble(0, Refusal::new(Code::LogUnreadable, at(path, &error)));
    let file = File::open(path).map_err(unreadable)?;
    let length = file.metadata().map_err(unreadable)?.len();
    let header = match read_header(&file, length).map_err(unreadable)? {
        Ok(header) => header,
        // Frames are written only once the header is durable, so there never was one.
        Err(BadHeader::Damaged) if last && length <= SEGMENT_HEADER_BYTES => {
            return Ok(Outcome::Unborn(length));
        }
        Err(BadHeader::Damaged) => {
            return Err(trouble(0, damaged(path, 0, "the segment's header is bad")));
        }
        Err(BadHeader::Version(version)) => {
            let what = format!("{}: log format {version}", path.display());
            return Err(trouble(0, Refusal::new(Code::UnknownFormat, what)));
        }
    };
    if height_of(path, "seg") != Some(header.first) {
        let what = format!("the segment begins with height {}", header.first);
        return Err(trouble(0, damaged(path, 0, &what)));
    }
    let mut scanned = Scanned {
        path: path.to_owned(),
        header,
        entries: Vec::new(),
        sealed: false,
        end: SEGMENT_HEADER_BYTES,
        proven: SEGMENT_HEADER_BYTES,
        length,
        torn: None,
    };
    let mut payload = Vec::new();
    while scanned.end < length {
        let offset = scanned.end;
        let found = read_frame(&file, &header.salt, offset, length, depth, &mut payload);
        match found.map_err(unreadable)? {
            Found::Frame(frame) => {
                let taken = scanned.take(&frame, offset);
                taken
                    .and_then(|()| visit(&header, &frame, offset, &payload))
                    .map_err(|refusal| trouble(offset, refusal))?;
            }
            Found::Bad(what) => {
                let durable = !last
                    || was_durable(&file, &header.salt, offset, length).map_err(unreadable)?;
                if durable {
                    return Err(trouble(offset, damaged(path, offset, &what)));
                }
                scanned.torn = Some(what);
                break;
            }
        }
    }
    Ok(Outcome::Segment(Box::new(scanned)))
}

impl Scanned {
    /// The next good frame.
    fn take(&mut self, frame: &FrameHeader, offset: u64) -> Result<(), Refusal> {
        let height = frame.height;
        let out_of_place =
            || damaged(&self.path, offset, &format!("{:?} {height} is out of place", frame.kind));
        match frame.kind {
            Kind::Batch => {
                let first = self.entries.is_empty();
                let fits = if first { height == self.header.first } else { self.sealed };
                if !fits || height <= self.last() {
                    return Err(out_of_place());
                }
                let entry = Entry::new(self.header.first, height, offset);
                self.entries.push(entry.ok_or_else(out_of_place)?);
                self.sealed = false;
            }
            Kind::Seal => {
                if self.entries.is_empty() || self.sealed || height != self.last() {
                    return Err(out_of_place());
                }
                self.sealed = true;
            }
        }
        self.end = frame.end(offset);
        self.proven = frame.synced.max(self.proven);
        Ok(())
    }
}

/// What is at the beginning of the segment.
pub(super) fn read_header(
    file: &File,
    length: u64,
) -> io::Result<Result<SegmentHeader, BadHeader>> {
    let mut bytes = [0; SEGMENT_HEADER_BYTES as usize];
    if length < SEGMENT_HEADER_BYTES {
        return Ok(Err(BadHeader::Damaged));
    }
    file.read_exact_at(&mut bytes, 0)?;
    Ok(SegmentHeader::read(&bytes))
}

/// The frame at `offset` of a segment of this length, its payload left in `payload` if asked for.
pub(super) fn read_frame(
    file: &File,
    salt: &Salt,
    offset: u64,
    length: u64,
    depth: Depth,
    payload: &mut Vec<u8>,
) -> io::Result<Found> {
    let bad = |what: &str| Ok(Found::Bad(what.to_owned()));
    let mut bytes = [0; FRAME_HEADER_LEN];
    if length.saturating_sub(offset) < FRAME_HEADER_BYTES {
        return bad("a frame's header is cut off");
    }
    file.read_exact_at(&mut bytes, offset)?;
    let Some(frame) = FrameHeader::read(&bytes, salt, offset) else {
        return bad("there is no frame");
    };
    let wanted = usize::try_from(frame.length).unwrap_or(usize::MAX);
    if frame.end(offset) > length || wanted > BATCH_BYTES {
        return bad("a frame is cut off");
    }
    if depth == Depth::Payloads {
        payload.resize(wanted, 0);
        file.read_exact_at(payload, offset + FRAME_HEADER_BYTES)?;
        if crc32fast::hash(payload) != frame.crc {
            return bad("a frame's checksum does not match");
        }
    }
    Ok(Found::Frame(frame))
}

/// Whether what stood at the bad place was durable once: a later frame says so.
fn was_durable(file: &File, salt: &Salt, bad: u64, length: u64) -> io::Result<bool> {
    let mut chunk = Vec::new();
    let mut from = bad + 1;
    while from.saturating_add(FRAME_HEADER_BYTES) <= length {
        let wanted = (SEARCH_BYTES as u64).min(length - from);
        chunk.resize(usize::try_from(wanted).unwrap_or(SEARCH_BYTES), 0);
        file.read_exact_at(&mut chunk, from)?;
        for (window, offset) in chunk.windows(FRAME_HEADER_LEN).zip(from..) {
            let Some(bytes) = window.first_chunk::<FRAME_HEADER_LEN>() else { continue };
            if !bytes.starts_with(&MARKER) {
                continue;
            }
            if FrameHeader::read(bytes, salt, offset).is_some_and(|frame| frame.synced > bad) {
                return Ok(true);
            }
        }
        // The next piece begins with the bytes that were too few for a header here.
        from += wanted - (FRAME_HEADER_BYTES - 1);
    }
    Ok(false)
}

/// A place that was good once and is not now.
pub(super) fn damaged(path: &Path, offset: u64, what: &str) -> Refusal {
    Refusal::new(Code::LogDamaged, format!("{} at byte {offset}: {what}", path.display()))
}
