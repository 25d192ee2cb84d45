//! Verifying a bundle offline: nothing is asked of the node that made it, nor of any other.
//!
//! ```text
//!   anchors --> certificates, rotations, revocations --> keys --> every signature and path
//!                                                                  --> what was said --> report
//! ```
//!
//! Invariant: one thing that does not verify, or that is about something else, refuses the
//! whole bundle. Evidence inside a statement is the one exception: its sender answers for it,
//! so what does not verify there counts for nothing and is named.

mod order;
mod settlement;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use quadrille_protocol::crypto::suite::HybridSignatures;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::identity::{Anchors, Directory};
use quadrille_protocol::log::{Evidence, Record};
use quadrille_protocol::types::{Domain, Hash, Height, Time};

use super::report::{Claim, Fact, Report, Signer, Verdict};
use super::{Bundle, Paper, Subject};
use words::words;

pub(super) use order::names_order;

/// Something that is proven to have been said.
struct Proven {
    evidence: Evidence,
    record: Record,
    /// It came inside a statement, not beside it.
    inner: bool,
}

impl Proven {
    fn by(&self) -> &Domain {
        self.evidence.domain()
    }

    /// Refuses it as being about something else.
    fn foreign(&self, why: &str) -> Refusal {
        let what = format!("{} of {}: {why}", self.record.kind(), self.by());
        Refusal::new(Code::ForeignEvidence, what)
    }
}

/// What the proven statements come to.
struct Finding {
    verdict: Verdict,
    summary: String,
    claims: Vec<Claim>,
    not_proven: Vec<String>,
}

/// Verifies a bundle with nothing but `anchors`: the papers against the authorities and
/// endorsers that the reader trusts, every evidence against the papers, and all of it against
/// each other.
///
/// A certificate is judged at the time of what its domain signed. Times are the signers' own, so
/// a statement dated outside its certificate's validity still counts, as it does between
/// validators, and the report says so.
///
/// # Errors
/// `Q-1207` another network; `Q-2405` something in it is about something else; and those of
/// verifying a certificate, a rotation, a revocation or evidence.
pub fn verify_offline(bundle: &Bundle, anchors: &Anchors) -> Result<Report, Refusal> {
    if bundle.network != anchors.network {
        return Err(Refusal::new(Code::WrongNetwork, bundle.network.as_str()));
    }
    if bundle.evidence.is_empty() {
        return Err(nothing());
    }
    let mut not_proven = Vec::new();
    let times = times_of(bundle);
    let directory = directory_of(bundle, anchors, &times, &mut not_proven)?;
    let proven = prove(bundle, anchors, &directory, &mut not_proven)?;
    let finding = match &bundle.subject {
        Subject::Settlement(id) => settlement::judge(id, &proven)?,
        Subject::Order(id) => order::judge(id, &proven)?,
        Subject::Record => one_record(&proven)?,
    };
    let equivocation = equivocation(&proven);
    let (verdict, summary) = match &equivocation {
        Some(fraud) => (Verdict::Fraud, fraud.clone()),
        None => (finding.verdict, finding.summary),
    };
    not_proven.splice(0..0, finding.not_proven);
    not_proven.push(
        "When it was: each time is the signer's own clock, and nobody else vouches for it."
            .to_owned(),
    );
    not_proven.push(
        "That no key was revoked since: only revocations inside the bundle are known here."
            .to_owned(),
    );
    Ok(Report {
        network: bundle.network.clone(),
        about: bundle.subject.to_string(),
        verdict,
        summary,
        facts: facts(&proven),
        claims: finding.claims,
        signers: signers(&proven, &directory),
        not_proven,
    })
}

fn nothing() -> Refusal {
    Refusal::new(Code::ForeignEvidence, "there is no evidence in it")
}

/// When each domain signed something, by its own clock; inner evidence included.
fn times_of(bundle: &Bundle) -> BTreeMap<Domain, BTreeSet<Time>> {
    let mut times: BTreeMap<Domain, BTreeSet<Time>> = BTreeMap::new();
    let mut note = |evidence: &Evidence| {
        let checkpoint = &evidence.checkpoint.checkpoint;
        times.entry(checkpoint.domain.clone()).or_default().insert(checkpoint.time);
    };
    for evidence in &bundle.evidence {
        note(evidence);
        if let Ok(Record::Statement(statement)) = evidence.read() {
            statement.evidence().iter().for_each(&mut note);
        }
    }
    times
}

/// The keys, from papers that verify. A paper may rest on another that comes later (an
/// endorser's certificate), so what does not verify is tried again as long as others do.
fn directory_of(
    bundle: &Bundle,
    anchors: &Anchors,
    times: &BTreeMap<Domain, BTreeSet<Time>>,
    not_proven: &mut Vec<String>,
) -> Result<Directory, Refusal> {
    let mut directory = Directory::new();
    let mut covered: BTreeMap<Domain, Vec<(Time, Time)>> = BTreeMap::new();
    let mut left: Vec<&Paper> = bundle.papers.iter().collect();
    while !left.is_empty() {
        let before = left.len();
        let mut first = None;
        left.retain(|paper| {
            let taken = take_paper(paper, anchors, times, &mut directory, &mut covered);
            match taken {
                Ok(()) => false,
                Err(refusal) => {
                    first.get_or_insert(refusal);
                    true
                }
            }
        });
        if let Some(refusal) = first.filter(|_| left.len() == before) {
            return Err(refusal);
        }
    }
    for (domain, times) in times {
        let spans = covered.get(domain).map(Vec::as_slice).unwrap_or_default();
        let inside = |time: &Time| spans.iter().any(|(from, until)| from <= time && time < until);
        if !times.iter().all(inside) {
            not_proven.push(format!(
                "That {domain} was a member when it said all of this: some of it is dated \
                 outside the validity of its certificates."
            ));
        }
    }
    Ok(directory)
}

fn take_paper(
    paper: &Paper,
    anchors: &Anchors,
    times: &BTreeMap<Domain, BTreeSet<Time>>,
    directory: &mut Directory,
    covered: &mut BTreeMap<Domain, Vec<(Time, Time)>>,
) -> Result<(), Refusal> {
    match paper {
        Paper::Certificate(signed) => {
            let certificate = signed.parse()?;
            let (from, until) = (certificate.valid_from, certificate.valid_until);
            let said = times.get(&certificate.domain);
            let at = said.and_then(|said| said.iter().find(|at| from <= **at && **at < until));
            let at = at.copied().unwrap_or(from);
            let verified = anchors.verify_certificate(signed, directory, at, &HybridSignatures)?;
            directory.admit(&verified)?;
            covered.entry(certificate.domain).or_default().push((from, until));
        }
        Paper::Rotation(signed) => {
            let verified = anchors.verify_rotation(signed, directory, &HybridSignatures)?;
            directory.rotate(&verified)?;
        }
        Paper::Revocation(signed) => {
            let verified = anchors.verify_revocation(signed, directory, &HybridSignatures)?;
            directory.revoke(&verified)?;
        }
    }
    Ok(())
}

fn prove(
    bundle: &Bundle,
    anchors: &Anchors,
    directory: &Directory,
    not_proven: &mut Vec<String>,
) -> Result<Vec<Proven>, Refusal> {
    let mut proven = Vec::new();
    for evidence in &bundle.evidence {
        let record = evidence.verify(&anchors.network, directory, &HybridSignatures)?;
        let mut inner = Vec::new();
        if let Record::Statement(statement) = &record {
            for (number, within) in (1u32..).zip(statement.evidence()) {
                match within.verify(&anchors.network, directory, &HybridSignatures) {
                    Ok(record) if proves_lock(&record, within, &bundle.subject) => {
                        inner.push(Proven { evidence: within.clone(), record, inner: true });
                    }
                    // The protocol knows no other use for it there.
                    Ok(_) => {}
                    Err(refusal) => not_proven.push(format!(
                        "Evidence {number} inside the {} of {}: {refusal}",
                        record.kind(),
                        evidence.domain()
                    )),
                }
            }
        }
        proven.push(Proven { evidence: evidence.clone(), record, inner: false });
        proven.append(&mut inner);
    }
    Ok(proven)
}

/// Whether evidence inside a statement proves a lock for the settlement in question.
fn proves_lock(record: &Record, evidence: &Evidence, subject: &Subject) -> bool {
    let lock = record.locks(evidence.domain());
    lock.is_some_and(|lock| *subject == Subject::Settlement(lock.settlement))
}

fn one_record(proven: &[Proven]) -> Result<Finding, Refusal> {
    let mut outer = proven.iter().filter(|known| !known.inner);
    let (Some(known), None) = (outer.next(), outer.next()) else {
        return Err(Refusal::new(Code::ForeignEvidence, "more than the one record"));
    };
    let verdict = match &known.record {
        Record::Refused(_) => Verdict::Refused,
        _ => Verdict::Said,
    };
    Ok(Finding {
        verdict,
        summary: format!("{} {}.", known.by(), words(&known.record)),
        claims: Vec::new(),
        not_proven: vec!["What came of it: that takes further evidence.".to_owned()],
    })
}

/// Two checkpoints of one domain for one height, in words.
fn equivocation(proven: &[Proven]) -> Option<String> {
    let mut seen: BTreeMap<(&Domain, Height), Hash> = BTreeMap::new();
    for known in proven {
        let checkpoint = &known.evidence.checkpoint.checkpoint;
        let (domain, height) = (&checkpoint.domain, checkpoint.height);
        let hash = checkpoint.hash();
        if *seen.entry((domain, height)).or_insert(hash) != hash {
            return Some(format!(
                "{domain} signed two different checkpoints for height {height}: a proof of fraud."
            ));
        }
    }
    None
}

/// What was said, oldest first, each once.
fn facts(proven: &[Proven]) -> Vec<Fact> {
    let mut facts: Vec<Fact> = proven
        .iter()
        .map(|known| {
            let checkpoint = &known.evidence.checkpoint.checkpoint;
            Fact {
                by: checkpoint.domain.clone(),
                time: checkpoint.time,
                height: checkpoint.height,
                leaf: known.evidence.index,
                what: words(&known.record),
            }
        })
        .collect();
    facts.sort_by(|one, other| {
        let key = |fact: &Fact| (fact.time, fact.by.clone(), fact.height, fact.leaf);
        key(one).cmp(&key(other))
    });
    facts.dedup();
    facts
}

fn signers(proven: &[Proven], directory: &Directory) -> Vec<Signer> {
    let signers: BTreeSet<Signer> = proven
        .iter()
        .filter_map(|known| {
            let checkpoint = &known.evidence.checkpoint.checkpoint;
            let record = directory.record(&checkpoint.domain, checkpoint.epoch)?;
            Some(Signer {
                domain: checkpoint.domain.clone(),
                epoch: checkpoint.epoch,
                key: record.key_id,
                suite: record.key.suite().to_string(),
            })
        })
        .collect();
    signers.into_iter().collect()
}
