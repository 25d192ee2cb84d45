//! `quadrille enroll`: how a node becomes a member.

use std::path::PathBuf;

use clap::Subcommand;
use quadrille_protocol::crypto::suite::{HybridSignatures, PublicKey};
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::identity::{Lei, SignedCertificate};
use quadrille_protocol::types::{Bounded, Epoch};

use super::exit::Failure;
use super::output::Output;
use super::{DataDir, span};
use crate::armour::{self, Kind};
use crate::config::Layout;
use crate::enrol::{EnrolmentRequest, Readable, check_answer, parse_role};
use crate::files::{self, Access};
use crate::network_file::NetworkFile;
use crate::signer::{Keys, keyfile, passphrase};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Write the request for a certificate, for the network's authority
    #[command(after_help = "Examples:
  quadrille enroll request --dir /var/lib/quadrille --lei 529900T8BM49AURSDO55
  quadrille enroll request --dir . --role validator --role notary --out request.json")]
    Request(Request),
    /// Take up the certificate that came back
    #[command(after_help = "Examples:
  quadrille enroll accept bank-a.certificate --dir /var/lib/quadrille")]
    Accept(Accept),
}

#[derive(Debug, clap::Args)]
pub(super) struct Request {
    /// The legal entity identifier (ISO 17442)
    #[arg(long)]
    lei: Option<Lei>,
    /// A role to ask for: validator, notary, observer, supervisor (may be repeated)
    #[arg(long = "role", value_name = "ROLE", default_value = "validator")]
    roles: Vec<String>,
    /// The file to write; standard output when it is `-`
    #[arg(long, value_name = "FILE", default_value = "-")]
    out: PathBuf,
    #[command(flatten)]
    keys: OpenKeys,
}

#[derive(Debug, clap::Args)]
pub(super) struct Accept {
    /// The certificate's file
    certificate: PathBuf,
    #[command(flatten)]
    keys: OpenKeys,
}

/// A node whose keys are to be opened.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct OpenKeys {
    #[command(flatten)]
    pub dir: DataDir,
    /// A file with the passphrase of the keys (or QUADRILLE_PASSPHRASE_FILE, or a prompt)
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
}

impl OpenKeys {
    /// Opens the keys.
    pub fn open(&self) -> Result<Keys, Refusal> {
        let path = Layout::new(&self.dir.dir).keys();
        if !path.exists() {
            let what = format!("{} is missing: run `quadrille init` first", path.display());
            return Err(Refusal::new(Code::CannotRead, what));
        }
        let prompt = format!("Passphrase of {}: ", path.display());
        let secret = passphrase::read(self.passphrase_file.as_deref(), &prompt)?;
        keyfile::open(&path, &secret)
    }
}

pub(super) fn run(command: &Command, output: Output) -> Result<(), Failure> {
    match command {
        Command::Request(request) => request.run(output),
        Command::Accept(accept) => accept.run(output),
    }
}

impl Request {
    fn run(&self, output: Output) -> Result<(), Failure> {
        let mut roles = Vec::new();
        for name in &self.roles {
            roles.push(parse_role(name)?);
        }
        roles.sort_unstable();
        roles.dedup();
        let keys = self.keys.open()?;
        let Some((epoch, key)) = keys.latest() else {
            return Err(Refusal::new(Code::NoSecretKey, "the key file has none").into());
        };
        let request = EnrolmentRequest {
            network: keys.network.clone(),
            domain: keys.domain.clone(),
            lei: self.lei,
            roles: Bounded::new(roles)?,
            epoch,
            signing_key: key.public().clone(),
            sealing_key: Some(keys.sealing.public().clone()),
            time: span::now()?,
        };
        let signed = request.sign(key)?;
        let readable = Readable::from(&request);
        let text = armour::wrap(Kind::EnrolmentRequest, &signed.to_bytes(), &readable)?;
        if self.out.as_os_str() == "-" {
            return super::output::line(text.trim_end());
        }
        files::create(&self.out, text.as_bytes(), Access::Public)?;
        let (domain, path) = (&request.domain, self.out.display());
        output.done(&readable, format!("the request of {domain} is in {path}"))
    }
}

impl Accept {
    fn run(&self, output: Output) -> Result<(), Failure> {
        let layout = Layout::new(&self.keys.dir.dir);
        let bytes = armour::load(Kind::Certificate, &self.certificate)?;
        let signed = SignedCertificate::from_bytes(&bytes)?;
        let anchors = NetworkFile::load(&layout.network())?.anchors();
        let keys = self.keys.open()?;
        let ours = public_keys(&keys);
        let now = span::now()?;
        let verified =
            check_answer(&signed, &keys.domain, &ours, &anchors, now, &HybridSignatures)?;
        let certificate = verified.certificate();
        refuse_older(&layout, certificate.serial)?;
        let readable = Readable::from(certificate);
        let text = armour::wrap(Kind::Certificate, &signed.to_bytes(), &readable)?;
        files::replace(&layout.certificate(), text.as_bytes(), Access::Public)?;
        let (serial, until) = (certificate.serial, certificate.valid_until);
        let sentence = format!("certificate {serial} of {} is valid until {until}", keys.domain);
        output.done(&readable, sentence)
    }
}

/// Nobody puts an older certificate in a newer one's place by mistake.
fn refuse_older(layout: &Layout, serial: u64) -> Result<(), Failure> {
    let path = layout.certificate();
    if !path.exists() {
        return Ok(());
    }
    let known = SignedCertificate::from_bytes(&armour::load(Kind::Certificate, &path)?)?.parse()?;
    if known.serial > serial {
        let what = format!("serial {serial}, and {} is accepted already", known.serial);
        return Err(Refusal::new(Code::StaleSequence, what).into());
    }
    Ok(())
}

/// The public halves of a domain's signing keys.
pub(super) fn public_keys(keys: &Keys) -> Vec<(Epoch, PublicKey)> {
    keys.epochs.iter().map(|(epoch, key)| (*epoch, key.public().clone())).collect()
}
