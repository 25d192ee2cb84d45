//! The register on disk: every certificate and revocation that the authority has signed, one
//! JSON line each, in the order of their serial numbers, which count from 1 without a gap.
//!
//! ```text
//! {"serial":1,"kind":"certificate","domain":"bank-a.example","request":"sha256:…","bytes":"…"}
//! {"serial":2,"kind":"revocation","domain":"bank-a.example","bytes":"…"}
//! ```
//!
//! Invariants:
//! * Only `bytes` (and `request`, to answer a repetition) counts; the rest is for people. Bytes
//!   verify by their own signature, so a register that somebody edited is noticed.
//! * One writer at a time, by a lock with the writer's process number in it. Readers need no
//!   lock: they read whole lines only.
//! * A line is durable before what it says leaves this process. A last line without its end was
//!   never answered for: the next writer cuts it off.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use quadrille_node::files::{self, Access};
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::identity::{SignedCertificate, SignedRevocation};
use quadrille_protocol::types::Hash;
use quadrille_protocol::{limits, refuse};

use crate::lock::{self, Lock};

/// Most entries: every member can be renewed and revoked some times.
pub const ENTRIES: usize = 8 * limits::MEMBERS;
/// Longest line: the bytes in hexadecimal, and what is for people.
const LINE_BYTES: u64 = 2 * limits::SIGNED_CERTIFICATE_BYTES as u64 + 4096;

/// What the authority signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Document {
    /// A certificate, for a request with this hash.
    Certificate {
        /// The hash of the request's bytes; none for the network's own peer.
        request: Option<Hash>,
        /// The certificate.
        signed: SignedCertificate,
    },
    /// A revocation.
    Revocation(SignedRevocation),
}

/// One line of the register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its number, from 1.
    pub serial: u64,
    /// What was signed.
    pub document: Document,
}

/// A line as it is written.
#[derive(serde::Serialize, serde::Deserialize)]
struct Line {
    serial: u64,
    kind: Kind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    domain: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    request: Option<Hash>,
    bytes: String,
}

#[derive(serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Certificate,
    Revocation,
}

impl Entry {
    fn to_line(&self) -> Result<Vec<u8>, Refusal> {
        let (kind, domain, request, bytes) = match &self.document {
            Document::Certificate { request, signed } => {
                (Kind::Certificate, signed.parse()?.domain, *request, signed.to_bytes())
            }
            Document::Revocation(signed) => {
                (Kind::Revocation, signed.parse()?.domain, None, signed.to_bytes())
            }
        };
        let domain = Some(domain.to_string());
        let line = Line { serial: self.serial, kind, domain, request, bytes: hex::encode(bytes) };
        let mut text = serde_json::to_vec(&line)
            .map_err(|error| Refusal::new(Code::CannotWrite, error.to_string()))?;
        text.push(b'\n');
        Ok(text)
    }

    fn from_line(line: &[u8]) -> Result<Self, String> {
        let line: Line = serde_json::from_slice(line).map_err(|error| error.to_string())?;
        let bytes = hex::decode(&line.bytes).map_err(|error| error.to_string())?;
        let document = match line.kind {
            Kind::Certificate => Document::Certificate {
                request: line.request,
                signed: SignedCertificate::from_bytes(&bytes).map_err(|bad| bad.to_string())?,
            },
            Kind::Revocation => Document::Revocation(
                SignedRevocation::from_bytes(&bytes).map_err(|bad| bad.to_string())?,
            ),
        };
        Ok(Self { serial: line.serial, document })
    }
}

/// Reads the register while somebody may be appending to it.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    offset: u64,
    next_serial: u64,
}

impl Reader {
    /// A reader that has read nothing yet.
    #[must_use]
    pub const fn new(path: PathBuf) -> Self {
        Self { path, offset: 0, next_serial: 1 }
    }

    /// The serial number of the entry that comes next.
    #[must_use]
    pub const fn next_serial(&self) -> u64 {
        self.next_serial
    }

    /// Bytes of the whole lines read so far.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// The entries that were added since the last call. A last line that is not finished yet is
    /// left for the next call.
    ///
    /// # Errors
    /// `Q-2204` the file cannot be read; `Q-2312` a line is no entry, a serial number does not
    /// follow, or the file has become shorter; `Q-2321` too many entries.
    pub fn news(&mut self) -> Result<Vec<Entry>, Refusal> {
        let failed = |error: std::io::Error| files::cannot_read(&self.path, &error);
        let mut file = File::open(&self.path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        if length < self.offset {
            refuse!(RegisterDamaged, "{} has become shorter", self.path.display());
        }
        file.seek(SeekFrom::Start(self.offset)).map_err(failed)?;
        let mut lines = BufReader::new(file);
        let mut entries = Vec::new();
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = lines.by_ref().take(LINE_BYTES).read_until(b'\n', &mut line);
            let read = read.map_err(|error| files::cannot_read(&self.path, &error))? as u64;
            if line.last() != Some(&b'\n') {
                if read == LINE_BYTES {
                    return Err(self.damaged("a line without an end"));
                }
                return Ok(entries);
            }
            let entry = Entry::from_line(&line).map_err(|what| self.damaged(&what))?;
            if entry.serial != self.next_serial {
                return Err(self.damaged(&format!("serial number {}", entry.serial)));
            }
            if self.next_serial > ENTRIES as u64 {
                refuse!(RegisterFull, "{ENTRIES} entries in {}", self.path.display());
            }
            self.next_serial = self.next_serial.saturating_add(1);
            self.offset = self.offset.saturating_add(read);
            entries.push(entry);
        }
    }

    fn damaged(&self, what: &str) -> Refusal {
        let (path, line) = (self.path.display(), self.next_serial);
        Refusal::new(Code::RegisterDamaged, format!("{path}, line {line}: {what}"))
    }
}

/// The register's only writer.
#[derive(Debug)]
pub struct Register {
    file: File,
    path: PathBuf,
    next_serial: u64,
    /// An append has failed: what is on the disk is not known.
    failed: bool,
    /// Unlocked when it is dropped.
    _lock: Lock,
}

/// What opening a register for writing found.
#[derive(Debug)]
pub struct Opened {
    /// The writer.
    pub register: Register,
    /// All entries.
    pub entries: Vec<Entry>,
    /// Bytes of an unfinished last line that were cut off.
    pub torn_bytes: u64,
}

impl Register {
    /// Opens the register at `path`, or makes an empty one, and keeps others from writing.
    ///
    /// # Errors
    /// `Q-2311` another process writes; `Q-2205` the file cannot be written; those of
    /// [`Reader::news`].
    pub fn open(path: &Path) -> Result<Opened, Refusal> {
        let failed = |error: std::io::Error| files::cannot_write(path, &error);
        let lock = lock::take(&path.with_extension("lock"), Code::RegisterInUse)?;
        if !path.exists() {
            files::create(path, b"", Access::Public)?;
        }
        let mut file = OpenOptions::new().read(true).write(true).open(path).map_err(failed)?;
        let mut reader = Reader::new(path.to_owned());
        let entries = reader.news()?;
        let length = file.metadata().map_err(failed)?.len();
        let torn_bytes = length.saturating_sub(reader.offset());
        if torn_bytes > 0 {
            file.set_len(reader.offset()).and_then(|()| file.sync_all()).map_err(failed)?;
        }
        file.seek(SeekFrom::Start(reader.offset())).map_err(failed)?;
        let next_serial = reader.next_serial();
        let path = path.to_owned();
        let register = Self { file, path, next_serial, failed: false, _lock: lock };
        Ok(Opened { register, entries, torn_bytes })
    }

    /// The serial number of the next document.
    #[must_use]
    pub const fn next_serial(&self) -> u64 {
        self.next_serial
    }

    /// Appends a document, durably, and gives the entry. After an error nothing more is
    /// appended: what is on the disk is not known until the register is opened anew.
    ///
    /// # Errors
    /// `Q-2205` the disk fails or has failed; `Q-2321` no room.
    pub fn append(&mut self, document: Document) -> Result<Entry, Refusal> {
        if self.failed {
            refuse!(CannotWrite, "{}: an earlier write failed", self.path.display());
        }
        if self.next_serial > ENTRIES as u64 {
            refuse!(RegisterFull, "{ENTRIES} entries in {}", self.path.display());
        }
        let entry = Entry { serial: self.next_serial, document };
        let line = entry.to_line()?;
        if let Err(error) = self.file.write_all(&line).and_then(|()| self.file.sync_data()) {
            self.failed = true;
            return Err(files::cannot_write(&self.path, &error));
        }
        self.next_serial = self.next_serial.saturating_add(1);
        Ok(entry)
    }
}
