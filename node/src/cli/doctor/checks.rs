//! Checks of what a node has: configuration, keys, papers, log.

use std::io::IsTerminal as _;

use quadrille_protocol::crypto::suite::HybridSignatures;
use quadrille_protocol::error::Refusal;
use quadrille_protocol::identity::{Certificate, SignedCertificate};
use quadrille_protocol::types::Time;

use super::Finding;
use crate::armour::{self, Kind};
use crate::cli::enroll::{OpenKeys, public_keys};
use crate::cli::{log, span};
use crate::config::{Config, Layout};
use crate::enrol::check_answer;
use crate::log_store::verify::verify;
use crate::network_file::NetworkFile;
use crate::signer::{Keys, passphrase};

/// Days before the end of a certificate at which it should be renewed.
const RENEW_DAYS: u64 = 30;
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// What the checks look at.
pub(super) struct Facts {
    pub config: Config,
    pub layout: Layout,
    pub network: Option<NetworkFile>,
    keys: Option<Keys>,
    now: Option<Time>,
}

impl Facts {
    /// Reads configuration, network file and keys. Without a configuration there is nothing to
    /// check.
    pub fn gather(
        keys: &OpenKeys,
        set: &[(String, String)],
        findings: &mut Vec<Finding>,
    ) -> Option<Self> {
        let config = match Config::load(&keys.dir.dir, set) {
            Ok(loaded) => {
                let path = loaded.config.layout().config();
                findings.push(Finding::ok("configuration", path.display().to_string()));
                loaded.config
            }
            Err(refusal) => {
                findings.push(Finding::refused("configuration", &refusal));
                return None;
            }
        };
        let layout = config.layout();
        let network = match NetworkFile::load(&layout.network()) {
            Ok(network) => {
                findings.push(Finding::ok("network file", network.network().to_string()));
                Some(network)
            }
            Err(refusal) => {
                findings.push(Finding::refused("network file", &refusal));
                None
            }
        };
        let now = match span::now() {
            Ok(now) => Some(now),
            Err(refusal) => {
                findings.push(Finding::refused("clock", &refusal));
                None
            }
        };
        let keys = open(keys, findings);
        Some(Self { config, layout, network, keys, now })
    }
}

fn open(keys: &OpenKeys, findings: &mut Vec<Finding>) -> Option<Keys> {
    let from_file =
        keys.passphrase_file.is_some() || std::env::var_os(passphrase::VARIABLE).is_some();
    if !from_file && !std::io::stdin().is_terminal() {
        findings.push(Finding::warn("keys", "not opened", "Give --passphrase-file."));
        return None;
    }
    match keys.open() {
        Ok(keys) => {
            let epochs = keys.epochs.len();
            let what = format!("{} of the network {}, {epochs} epochs", keys.domain, keys.network);
            findings.push(Finding::ok("keys", what));
            Some(keys)
        }
        Err(refusal) => {
            findings.push(Finding::refused("keys", &refusal));
            None
        }
    }
}

/// The certificate: there, ours, trusted, valid, and for how long.
pub(super) fn papers(facts: &Facts, findings: &mut Vec<Finding>) {
    const CHECK: &str = "certificate";
    let path = facts.layout.certificate();
    if !path.exists() {
        let remedy = "Run `quadrille enroll request`, have it approved, then `quadrille enroll \
                      accept`.";
        findings.push(Finding::fail(CHECK, "there is none", remedy));
        return;
    }
    let certificate = match read(facts) {
        Ok(certificate) => certificate,
        Err(refusal) => {
            findings.push(Finding::refused(CHECK, &refusal));
            return;
        }
    };
    let Some(now) = facts.now else { return };
    let left = certificate.valid_until.since(now).0 / DAY_MS;
    let what = format!(
        "serial {} of {}, valid until {} ({left} days)",
        certificate.serial, certificate.domain, certificate.valid_until
    );
    findings.push(if facts.keys.is_none() {
        Finding::warn(CHECK, format!("{what}; not compared with the keys"), "Open the keys too.")
    } else if left < RENEW_DAYS {
        Finding::warn(CHECK, what, "Renew it soon with `quadrille enroll request`.")
    } else {
        Finding::ok(CHECK, what)
    });
}

fn read(facts: &Facts) -> Result<Certificate, Refusal> {
    let bytes = armour::load(Kind::Certificate, &facts.layout.certificate())?;
    let signed = SignedCertificate::from_bytes(&bytes)?;
    let certificate = signed.parse()?;
    let now = facts.now.unwrap_or(certificate.valid_from);
    if let (Some(keys), Some(network)) = (&facts.keys, &facts.network) {
        let (ours, anchors) = (public_keys(keys), network.anchors());
        check_answer(&signed, &keys.domain, &ours, &anchors, now, &HybridSignatures)?;
    }
    certificate.check_time(now)?;
    Ok(certificate)
}

/// The log: whole and good, and not from the future.
pub(super) fn log(facts: &Facts, findings: &mut Vec<Finding>) {
    const CHECK: &str = "log";
    if !facts.layout.log().exists() {
        findings.push(Finding::ok(CHECK, "none yet: the node was never started"));
        return;
    }
    let report = match verify(facts.layout.dir()) {
        Ok(report) => report,
        Err(refusal) => {
            findings.push(Finding::refused(CHECK, &refusal));
            return;
        }
    };
    let what = format!("{} batches, {} signatures good", report.batches, report.signatures);
    findings.push(match (&report.bad, &report.torn) {
        (Some(bad), _) => Finding::fail(
            CHECK,
            log::place(bad),
            "Nothing was changed. Restore a backup, or recover from the peers.",
        ),
        (None, Some(torn)) => Finding::warn(
            CHECK,
            format!("{what}; torn end in {}", log::place(torn)),
            "Nothing to do: the next start cuts it off. (Of a running node the end may look torn.)",
        ),
        (None, None) => Finding::ok(CHECK, what),
    });
}
