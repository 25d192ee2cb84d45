//! Screening: what the bank's own rules say of who pays whom.
//!
//! ```text
//!   payment with identities or memo -> deny list -> program: JSON on stdin -> 0 passes
//!                                                                             3 declines
//!                                                            anything else, silence: declines
//! ```
//!
//! Invariants: a payment passes only when everything that is configured has said so; what runs
//! at one time, how long, and how much of its output is read is bounded; nothing of a payment is
//! written into our log.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::policy::ivms101::{Ivms101, Person};
use quadrille_protocol::policy::payload::Payload;
use quadrille_protocol::refuse;
use quadrille_protocol::types::{Amount, Uai};
use serde::Serialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;
use tokio::sync::Semaphore;

use crate::config;
use crate::files;

/// Largest deny list.
const LIST_BYTES: usize = 16 * 1024 * 1024;
/// As much is read of what a program says.
const REASON_BYTES: u64 = 240;
/// The exit code that declines.
const DECLINED: i32 = 3;

/// Which way a payment goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// A holder of ours pays.
    Out,
    /// A holder of ours is paid.
    In,
}

/// What is known of a payment besides its payload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Facts {
    /// Which way it goes.
    pub direction: Direction,
    /// Who pays, as far as we know: a holder, a ledger, or the domain that it comes from.
    pub from: String,
    /// Who is paid.
    pub to: String,
    /// What arrives.
    pub asset: Uai,
    /// How much of it.
    pub amount: Amount,
}

/// What a program reads.
#[derive(Serialize)]
struct Asked<'a> {
    #[serde(flatten)]
    facts: &'a Facts,
    memo: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ivms101: Option<&'a Ivms101>,
}

/// A deny list as it was when it was last read.
#[derive(Debug, Default)]
struct DenyList {
    changed: Option<SystemTime>,
    entries: Arc<BTreeSet<String>>,
}

/// Screens payments.
#[derive(Debug)]
pub struct Screening {
    program: Option<PathBuf>,
    patience: Duration,
    room: Semaphore,
    list_path: Option<PathBuf>,
    list: Mutex<DenyList>,
}

impl Screening {
    /// As configured. Relative paths are taken from `dir`.
    #[must_use]
    pub fn new(options: &config::Compliance, dir: &Path) -> Self {
        let path = |text: &str| (!text.is_empty()).then(|| dir.join(text));
        Self {
            program: path(&options.screening),
            patience: Duration::from_millis(options.screening_timeout_ms),
            room: Semaphore::new(options.screening_at_once.min(Semaphore::MAX_PERMITS)),
            list_path: path(&options.deny_list),
            list: Mutex::default(),
        }
    }

    /// Checks a payment.
    ///
    /// # Errors
    /// `Q-1708` somebody is on the deny list; `Q-1706` the program declines; `Q-1707` it says
    /// neither yes nor no in time, or the list cannot be read.
    pub async fn check(&self, facts: &Facts, payload: Option<&Payload>) -> Result<(), Refusal> {
        let data = payload.and_then(|payload| payload.travel.as_deref());
        self.check_list(facts, data).await?;
        let Some(program) = &self.program else { return Ok(()) };
        let memo = payload.map_or("", |payload| payload.memo.as_str());
        let asked = serde_json::to_vec(&Asked { facts, memo, ivms101: data })
            .map_err(|error| silent(&error))?;
        let run = async {
            let _room = self.room.acquire().await.map_err(|error| silent(&error))?;
            run(program, &asked).await
        };
        match tokio::time::timeout(self.patience, run).await {
            Ok(verdict) => verdict,
            Err(_) => refuse!(ScreeningSilent, "nothing in {:?}", self.patience),
        }
    }

    async fn check_list(&self, facts: &Facts, data: Option<&Ivms101>) -> Result<(), Refusal> {
        let Some(path) = self.list_path.clone() else { return Ok(()) };
        let entries = self.entries(path).await?;
        let mut named: Vec<String> = Vec::new();
        for party in [&facts.from, &facts.to] {
            named.push(folded(party));
            named.extend(party.split_once('@').map(|(_, domain)| folded(domain)));
        }
        if let Some(data) = data {
            named.extend(words_of(data));
        }
        // Who it is, only the bank that asks may know.
        match named.iter().any(|name| entries.contains(name)) {
            true => refuse!(DenyListed, "at {}", facts.to),
            false => Ok(()),
        }
    }

    async fn entries(&self, path: PathBuf) -> Result<Arc<BTreeSet<String>>, Refusal> {
        let unreadable = |error: &dyn std::fmt::Display| {
            tracing::error!(%error, "the deny list cannot be read: every payment is declined");
            Refusal::new(Code::ScreeningSilent, "the deny list cannot be read")
        };
        let changed = tokio::fs::metadata(&path).await.and_then(|about| about.modified());
        let changed = changed.map_err(|error| unreadable(&error))?;
        {
            let list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
            if list.changed == Some(changed) {
                return Ok(list.entries.clone());
            }
        }
        let read = tokio::task::spawn_blocking(move || files::read_text(&path, LIST_BYTES)).await;
        let text = read.map_err(|error| unreadable(&error))?.map_err(|error| unreadable(&error))?;
        let lines = text.lines().map(str::trim);
        let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        let entries: Arc<BTreeSet<String>> = Arc::new(lines.map(folded).collect());
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        *list = DenyList { changed: Some(changed), entries: entries.clone() };
        Ok(entries)
    }
}

/// The names and numbers in travel rule data.
fn words_of(data: &Ivms101) -> Vec<String> {
    let originators = data.originator.iter().flat_map(|side| &side.originator_persons);
    let beneficiaries = data.beneficiary.iter().flat_map(|side| &side.beneficiary_persons);
    originators.chain(beneficiaries).flat_map(words_of_person).collect()
}

fn words_of_person(person: &Person) -> Vec<String> {
    let mut words = Vec::new();
    let number = match person {
        Person::NaturalPerson(person) => {
            for name in &person.name.name_identifier {
                let last = name.primary_identifier.as_str();
                let first = name.secondary_identifier.as_ref().map(|first| first.as_str());
                let whole =
                    first.map_or_else(|| last.to_owned(), |first| format!("{first} {last}"));
                words.push(folded(&whole));
            }
            &person.national_identification
        }
        Person::LegalPerson(person) => {
            let names = &person.name.name_identifier;
            words.extend(names.iter().map(|name| folded(name.legal_person_name.as_str())));
            &person.national_identification
        }
    };
    words.extend(number.iter().map(|number| folded(number.national_identifier.as_str())));
    words
}

/// Names as they are compared: small letters, one space between words.
fn folded(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

fn silent(error: &dyn std::fmt::Display) -> Refusal {
    tracing::error!(%error, "the screening program gave no answer");
    Refusal::new(Code::ScreeningSilent, "the program cannot be run")
}

async fn run(program: &Path, asked: &[u8]) -> Result<(), Refusal> {
    let mut child = Command::new(program)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| silent(&error))?;
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let write = async {
        if let Some(mut stdin) = stdin {
            // A program that decides without reading everything is free to.
            let _ = stdin.write_all(asked).await;
        }
    };
    let read = async {
        let mut said = Vec::new();
        if let Some(stdout) = stdout {
            let _ = stdout.take(REASON_BYTES).read_to_end(&mut said).await;
        }
        said
    };
    let ((), said) = tokio::join!(write, read);
    let status = child.wait().await.map_err(|error| silent(&error))?;
    match status.code() {
        Some(0) => Ok(()),
        Some(DECLINED) => {
            let said = String::from_utf8_lossy(&said);
            let reason = said.lines().next().unwrap_or_default().trim();
            refuse!(ScreeningDeclined, "{}", if reason.is_empty() { "no reason" } else { reason })
        }
        Some(_) | None => Err(silent(&status)),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use quadrille_protocol::types::{Hash, Text};

    use super::*;

    fn facts(from: &str) -> Facts {
        let domain = "bank-b.example".parse().unwrap();
        Facts {
            direction: Direction::In,
            from: from.to_owned(),
            to: "bob@bank-b.example".to_owned(),
            asset: Uai::new("EUR".parse().unwrap(), domain, &Hash::ZERO),
            amount: Amount::new(5),
        }
    }

    fn screening(folder: &Path, script: Option<&str>, deny: Option<&str>) -> Screening {
        let options = config::Compliance {
            screening: script.map_or_else(String::new, |_| "screen".to_owned()),
            screening_timeout_ms: 2_000,
            screening_at_once: 2,
            deny_list: deny.map_or_else(String::new, |_| "deny".to_owned()),
        };
        if let Some(script) = script {
            let path = folder.join("screen");
            std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        if let Some(deny) = deny {
            std::fs::write(folder.join("deny"), deny).unwrap();
        }
        Screening::new(&options, folder)
    }

    fn payload(memo: &str) -> Payload {
        let data = r#"{"originator": {"originatorPersons": [{"naturalPerson": {"name": {
            "nameIdentifier": [{"primaryIdentifier": "Moriarty", "secondaryIdentifier": "James",
            "nameIdentifierType": "LEGL"}]}}}]}}"#;
        let travel = Some(Box::new(serde_json::from_str(data).unwrap()));
        Payload { salt: [0; 32], memo: memo.parse::<Text<1024>>().unwrap(), travel }
    }

    async fn verdict(script: &str) -> Result<(), Refusal> {
        let folder = tempfile::tempdir().unwrap();
        let screening = screening(folder.path(), Some(script), None);
        screening.check(&facts("a.example"), Some(&payload("for the boat"))).await
    }

    #[tokio::test]
    async fn the_program_sees_the_payment_and_its_word_counts() {
        assert_eq!(verdict("exit 0").await, Ok(()));
        let sees = "read line; case \"$line\" in *Moriarty*boat*|*boat*Moriarty*) \
                    echo \"match 7\"; exit 3;; esac; exit 0";
        let refusal = verdict(sees).await.unwrap_err();
        assert_eq!((refusal.code, refusal.what.as_str()), (Code::ScreeningDeclined, "match 7"));
    }

    #[tokio::test]
    async fn no_answer_is_no() {
        for script in ["exit 1", "kill -9 $$", "exec /bin/sleep 60"] {
            assert_eq!(verdict(script).await.unwrap_err().code, Code::ScreeningSilent, "{script}");
        }
        let folder = tempfile::tempdir().unwrap();
        let screening = screening(folder.path(), Some("exit 0"), None);
        std::fs::remove_file(folder.path().join("screen")).unwrap();
        let refusal = screening.check(&facts("a.example"), None).await.unwrap_err();
        assert_eq!(refusal.code, Code::ScreeningSilent);
    }

    #[tokio::test]
    async fn who_is_on_the_deny_list_is_declined_by_name_holder_or_domain() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let deny = "# reviewed in May\nJames  MORIARTY\nbad.example\neve@good.example\n";
        let screening = screening(path, None, Some(deny));
        let code = async |from: &str, with: Option<&Payload>| {
            screening.check(&facts(from), with).await.map_err(|refusal| refusal.code)
        };
        assert_eq!(code("al@good.example", None).await, Ok(()));
        assert_eq!(code("eve@good.example", None).await, Err(Code::DenyListed));
        assert_eq!(code("al@bad.example", None).await, Err(Code::DenyListed));
        assert_eq!(code("al@good.example", Some(&payload(""))).await, Err(Code::DenyListed));
        // The list is read anew, and a list that has gone lets nobody pass.
        std::fs::write(path.join("new"), "al@good.example\n").unwrap();
        let later = SystemTime::now() + Duration::from_secs(5);
        std::fs::File::open(path.join("new")).unwrap().set_modified(later).unwrap();
        std::fs::rename(path.join("new"), path.join("deny")).unwrap();
        assert_eq!(code("al@good.example", None).await, Err(Code::DenyListed));
        std::fs::remove_file(path.join("deny")).unwrap();
        assert_eq!(code("al@other.example", None).await, Err(Code::ScreeningSilent));
    }
}
