//! A folder in one file, in which nothing can be changed unnoticed.
//!
//! ```text
//!   quadrille-testnet snapshot 1
//!   {"path":"state.json","length":812,"mode":384}      one line, then so many bytes, then
//!   sha256 5f…                                         the hash of them, and the next file
//!   …
//!   end {"files":41,"bytes":9120044,"sha256":"…"}      the hash of everything before
//! ```
//!
//! Invariants:
//! * What is unpacked was named by a path of plain names below the target, each once; nothing is
//!   overwritten.
//! * A file that is cut off anywhere, or altered in one bit, is refused.
//! * A line is read only up to a limit, a file only as far as its length says.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Component, Path, PathBuf};

use quadrille_node::files;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::refuse;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::super::{interrupt, room};

const MAGIC: &str = "quadrille-testnet snapshot 1\n";
/// Longest line.
const LINE_BYTES: u64 = 4096;
/// Most files.
const FILES: usize = 1_000_000;
/// Deepest path.
const DEPTH: usize = 12;
/// Bytes that are copied at a time.
const PIECE_BYTES: usize = 256 * 1024;
/// The bits of a mode that count.
const MODE: u32 = 0o777;

/// How much is in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packed {
    /// Files.
    pub files: usize,
    /// Bytes of them.
    pub bytes: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Head {
    path: String,
    length: u64,
    mode: u32,
}

#[derive(Debug, Serialize, Deserialize)]
struct End {
    #[serde(flatten)]
    packed: Packed,
    sha256: String,
}

/// A file that goes in.
#[derive(Debug)]
pub struct Member {
    /// Below the folder.
    pub path: PathBuf,
    /// Its length now.
    pub length: u64,
    mode: u32,
}

/// The files below `root` that `wanted` wants, in order.
///
/// # Errors
/// `Q-2204`; `Q-2370` for what is neither file nor folder; `Q-1015`.
pub fn members(root: &Path, wanted: &dyn Fn(&Path) -> bool) -> Result<Vec<Member>, Refusal> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let here = root.join(&folder);
        let unreadable = |error: io::Error| files::cannot_read(&here, &error);
        for entry in fs::read_dir(&here).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let path = folder.join(entry.file_name());
            if !wanted(&path) {
                continue;
            }
            // Of the entry itself: where a link leads is none of this folder's.
            let data = entry.metadata().map_err(unreadable)?;
            if data.is_dir() {
                folders.push(path);
            } else if data.is_file() {
                let (length, mode) = (data.len(), data.mode() & MODE);
                found.push(Member { path, length, mode });
            } else {
                refuse!(BadNetworkCopy, "{} is neither file nor folder", path.display());
            }
            if found.len() > FILES {
                refuse!(TooMany, "more than {FILES} files in {}", root.display());
            }
        }
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(found)
}

/// Everything that is written or read, with its hash.
struct Hashing<T> {
    inner: T,
    all: Sha256,
}

impl<T: Write> Hashing<T> {
    fn put(&mut self, to: &Path, bytes: &[u8]) -> Result<(), Refusal> {
        self.all.update(bytes);
        self.inner.write_all(bytes).map_err(|error| room::write_failed(to, &error))
    }

    /// One file from `from`, which has to be as long as was said.
    fn put_file(&mut self, to: &Path, member: &Member, mut from: impl Read) -> Result<(), Refusal> {
        let path = member.path.to_str().map(str::to_owned);
        let Some(path) = path else {
            refuse!(BadNetworkCopy, "the name {} is not UTF-8", member.path.display());
        };
        let head = Head { path, length: member.length, mode: member.mode };
        self.put(to, &line("", &head)?)?;
        let (mut sum, mut left) = (Sha256::new(), member.length);
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            interrupt::check()?;
            let read =
                from.read(&mut piece).map_err(|error| files::cannot_read(&member.path, &error))?;
            let bytes = piece.get(..read).unwrap_or_default();
            let Some(rest) = left.checked_sub(read as u64).filter(|rest| read > 0 || *rest == 0)
            else {
                refuse!(BadNetworkCopy, "{} changes while it is read", member.path.display());
            };
            if read == 0 {
                break;
            }
            left = rest;
            sum.update(bytes);
            self.put(to, bytes)?;
        }
        self.put(to, format!("sha256 {}\n", hex::encode(sum.finalize())).as_bytes())
    }
}

fn line(before: &str, value: &impl Serialize) -> Result<Vec<u8>, Refusal> {
    let text = serde_json::to_string(value)
        .map_err(|error| Refusal::new(Code::BadNetworkCopy, error.to_string()))?;
    Ok(format!("{before}{text}\n").into_bytes())
}

/// Writes the members of `root` to `out`, after one more file whose contents are given. `to` is
/// what `out` is called.
///
/// # Errors
/// `Q-2371` no room, `Q-2204`, `Q-2205`; `Q-2370` a file changes meanwhile; `Q-2352`.
pub fn pack(
    root: &Path,
    first: (&Path, &[u8]),
    members: &[Member],
    to: &Path,
    out: impl Write,
) -> Result<Packed, Refusal> {
    let mut out = Hashing { inner: out, all: Sha256::new() };
    out.put(to, MAGIC.as_bytes())?;
    let (path, bytes) = first;
    let length = bytes.len() as u64;
    let given = Member { path: path.to_owned(), length, mode: 0o600 };
    out.put_file(to, &given, bytes)?;
    let mut packed = Packed { files: 1, bytes: length };
    for member in members {
        let path = root.join(&member.path);
        let file = File::open(&path).map_err(|error| files::cannot_read(&path, &error))?;
        out.put_file(to, member, file)?;
        packed.files = packed.files.saturating_add(1);
        packed.bytes = packed.bytes.saturating_add(member.length);
    }
    let sha256 = hex::encode(out.all.clone().finalize());
    out.put(to, &line("end ", &End { packed, sha256 })?)?;
    out.inner.flush().map_err(|error| room::write_failed(to, &error))?;
    Ok(packed)
}

/// Reads a snapshot.
struct Unpacking<R> {
    from: PathBuf,
    inner: R,
    all: Sha256,
}

impl<R: BufRead> Unpacking<R> {
    fn bad(&self, what: impl std::fmt::Display) -> Refusal {
        Refusal::new(Code::BadNetworkCopy, format!("{}: {what}", self.from.display()))
    }

    fn line(&mut self) -> Result<(String, Vec<u8>), Refusal> {
        let mut bytes = Vec::new();
        let read = self.inner.by_ref().take(LINE_BYTES).read_until(b'\n', &mut bytes);
        read.map_err(|error| files::cannot_read(&self.from, &error))?;
        if bytes.last() != Some(&b'\n') {
            return Err(self.bad("it is cut off, or was no snapshot"));
        }
        let text = String::from_utf8(bytes.clone()).map_err(|_| self.bad("it was altered"))?;
        Ok((text, bytes))
    }

    /// The contents of a file, on their way to the disk.
    fn contents(&mut self, head: &Head, target: &Path) -> Result<(), Refusal> {
        let made = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(head.mode & MODE)
            .open(target)
            .map_err(|error| room::write_failed(target, &error));
        let (mut file, mut sum, mut left) = (made?, Sha256::new(), head.length);
        let mut piece = vec![0; PIECE_BYTES];
        while left > 0 {
            interrupt::check()?;
            let most = usize::try_from(left).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
            let room = piece.get_mut(..most).unwrap_or_default();
            let read = self.inner.read(room);
            let read = read.map_err(|error| files::cannot_read(&self.from, &error))?;
            if read == 0 {
                return Err(self.bad(format!("it is cut off in {}", head.path)));
            }
            let bytes = room.get(..read).unwrap_or_default();
            self.all.update(bytes);
            sum.update(bytes);
            file.write_all(bytes).map_err(|error| room::write_failed(target, &error))?;
            left = left.saturating_sub(read as u64);
        }
        file.sync_all().map_err(|error| room::write_failed(target, &error))?;
        let (told, bytes) = self.line()?;
        if told.trim_end().strip_prefix("sha256 ") != Some(&hex::encode(sum.finalize())) {
            return Err(self.bad(format!("{} was altered", head.path)));
        }
        self.all.update(&bytes);
        Ok(())
    }
}

/// The path as one below a folder.
fn below(path: &str) -> Option<PathBuf> {
    let path = Path::new(path);
    let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    let depth = path.components().count();
    (plain && (1..=DEPTH).contains(&depth)).then(|| path.to_owned())
}

/// Unpacks the snapshot into the folder `into`, which is empty.
///
/// # Errors
/// `Q-2370` it is none, cut off, altered, or names a path that is not below the folder; `Q-2371`;
/// `Q-2204`, `Q-2205`; `Q-2352`. What was unpacked until then is the caller's to remove.
pub fn unpack(from: &Path, into: &Path) -> Result<Packed, Refusal> {
    let file = File::open(from).map_err(|error| files::cannot_read(from, &error))?;
    let length = file.metadata().map_err(|error| files::cannot_read(from, &error))?.len();
    room::check(into, length)?;
    let inner = BufReader::new(file);
    let mut unpacking = Unpacking { from: from.to_owned(), inner, all: Sha256::new() };
    let (magic, bytes) = unpacking.line()?;
    if magic != MAGIC {
        return Err(unpacking.bad("it is no snapshot of this version"));
    }
    unpacking.all.update(&bytes);
    let (mut packed, mut seen) = (Packed::default(), BTreeSet::new());
    loop {
        let (text, bytes) = unpacking.line()?;
        if let Some(end) = text.strip_prefix("end ") {
            return finish(unpacking, end, packed);
        }
        unpacking.all.update(&bytes);
        let head: Head =
            serde_json::from_str(&text).map_err(|_| unpacking.bad("it was altered"))?;
        let Some(path) = below(&head.path) else {
            return Err(unpacking.bad(format!("the path `{}` leads elsewhere", head.path)));
        };
        if !seen.insert(path.clone()) || seen.len() > FILES {
            return Err(unpacking.bad(format!("{} is in it twice", head.path)));
        }
        let target = into.join(&path);
        files::private_folder(files::folder_of(&target))?;
        unpacking.contents(&head, &target)?;
        packed.files = packed.files.saturating_add(1);
        packed.bytes = packed.bytes.saturating_add(head.length);
    }
}

fn finish(
    mut unpacking: Unpacking<impl BufRead>,
    end: &str,
    packed: Packed,
) -> Result<Packed, Refusal> {
    let end: End = serde_json::from_str(end).map_err(|_| unpacking.bad("it was altered"))?;
    let all = hex::encode(unpacking.all.clone().finalize());
    if end.sha256 != all || end.packed != packed {
        return Err(unpacking.bad("its end does not fit what is before it"));
    }
    let mut more = [0];
    let read = unpacking.inner.read(&mut more);
    if read.map_err(|error| files::cannot_read(&unpacking.from, &error))? > 0 {
        return Err(unpacking.bad("something comes after its end"));
    }
    Ok(packed)
}

#[cfg(test)]
mod tests;
