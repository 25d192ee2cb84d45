//! `quadrille enroll`: how a node becomes a member.

mod cross;

use std::path::{Path, PathBuf};

use clap::Subcommand;
use quadrille_protocol::crypto::suite::{HybridSignatures, PublicKey, SecretKey};
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::identity::{Lei, SignedCertificate};
use quadrille_protocol::types::{Bounded, Epoch};

use super::exit::Failure;
use super::output::Output;
use super::{DataDir, span};
use crate::armour::{self, Kind};
use crate::config::Layout;
use crate::enrol::cross::merge;
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
    /// Take up the certificate that came back, or copies of it with different endorsements
    #[command(after_help = "Examples:
  quadrille enroll accept bank-a.certificate --dir /var/lib/quadrille
  quadrille enroll accept endorsed-by-b.json endorsed-by-c.json --dir .")]
    Accept(Accept),
    /// Write a certificate that this node signs itself, for a network without an authority
    #[command(after_help = "Examples:
  quadrille enroll self-sign --dir . --out bank-a.json
Then: the partners run `quadrille enroll endorse` or `quadrille enroll pin`, and this node
`quadrille enroll accept`.")]
    SelfSign(cross::SelfSign),
    /// Vouch for the self-signed certificate of another domain
    #[command(after_help = "Examples:
  quadrille enroll endorse bank-b.json --key key:53c1… --out bank-b-endorsed.json --dir .
The key is what bank B says over another channel, by telephone say, not what the file says.")]
    Endorse(cross::Endorse),
    /// Trust the key of a self-signed certificate: writes it into this node's network file
    #[command(after_help = "Examples:
  quadrille enroll pin bank-b.json --key key:53c1… --dir .
The key is what bank B says over another channel, by telephone say, not what the file says.
A running node takes it up when it is started again.")]
    Pin(cross::Pin),
}

/// What a domain wants certified.
#[derive(Debug, clap::Args)]
struct Wanted {
    /// The legal entity identifier (ISO 17442)
    #[arg(long)]
    lei: Option<Lei>,
    /// A role to ask for: validator, notary, observer, supervisor (may be repeated)
    #[arg(long = "role", value_name = "ROLE", default_value = "validator")]
    roles: Vec<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Request {
    #[command(flatten)]
    wanted: Wanted,
    /// The file to write; standard output when it is `-`
    #[arg(long, value_name = "FILE", default_value = "-")]
    out: PathBuf,
    #[command(flatten)]
    keys: OpenKeys,
}

#[derive(Debug, clap::Args)]
pub(super) struct Accept {
    /// The certificate's file; several when each has other endorsements
    #[arg(required = true)]
    certificates: Vec<PathBuf>,
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
        Command::SelfSign(sign) => sign.run(output),
        Command::Endorse(endorse) => endorse.run(output),
        Command::Pin(pin) => pin.run(output),
    }
}

impl Wanted {
    /// A request for the newest of these keys.
    fn request(&self, keys: &Keys) -> Result<EnrolmentRequest, Refusal> {
        let mut roles = Vec::new();
        for name in &self.roles {
            roles.push(parse_role(name)?);
        }
        roles.sort_unstable();
        roles.dedup();
        let (epoch, key) = newest(keys)?;
        Ok(EnrolmentRequest {
            network: keys.network.clone(),
            domain: keys.domain.clone(),
            lei: self.lei,
            roles: Bounded::new(roles)?,
            epoch,
            signing_key: key.public().clone(),
            sealing_key: Some(keys.sealing.public().clone()),
            time: span::now()?,
        })
    }
}

fn newest(keys: &Keys) -> Result<(Epoch, &SecretKey), Refusal> {
    keys.latest().ok_or_else(|| Refusal::new(Code::NoSecretKey, "the key file has none"))
}

/// Writes an armoured thing to a new file and says so; to standard output when it is `-`.
fn write_out(
    out: &Path,
    text: &str,
    readable: &Readable,
    what: &str,
    output: Output,
) -> Result<(), Failure> {
    if out.as_os_str() == "-" {
        return super::output::line(text.trim_end());
    }
    files::create(out, text.as_bytes(), Access::Public)?;
    output.done(readable, format!("{what} is in {}", out.display()))
}

impl Request {
    fn run(&self, output: Output) -> Result<(), Failure> {
        let keys = self.keys.open()?;
        let request = self.wanted.request(&keys)?;
        let signed = request.sign(newest(&keys)?.1)?;
        let readable = Readable::from(&request);
        let text = armour::wrap(Kind::EnrolmentRequest, &signed.to_bytes(), &readable)?;
        let what = format!("the request of {}", request.domain);
        write_out(&self.out, &text, &readable, &what, output)
    }
}

impl Accept {
    fn run(&self, output: Output) -> Result<(), Failure> {
        let layout = Layout::new(&self.keys.dir.dir);
        let mut copies = Vec::new();
        for path in &self.certificates {
            copies.push(load_certificate(path)?);
        }
        let signed = merge(&copies)?;
        let anchors = NetworkFile::load(&layout.network())?.anchors();
        let keys = self.keys.open()?;
        let ours = public_keys(&keys);
        let now = span::now()?;
        let verified =
            check_answer(&signed, &keys.domain, &ours, &anchors, now, &HybridSignatures)?;
        let certificate = verified.certificate();
        refuse_older(&layout, certificate.serial)?;
        let readable = Readable::from(certificate).endorsed(&signed);
        let text = armour::wrap(Kind::Certificate, &signed.to_bytes(), &readable)?;
        files::replace(&layout.certificate(), text.as_bytes(), Access::Public)?;
        let (serial, until) = (certificate.serial, certificate.valid_until);
        let sentence = format!("certificate {serial} of {} is valid until {until}", keys.domain);
        output.done(&readable, sentence)
    }
}

/// Nobody puts an older certificate in a newer one's place by mistake.
fn refuse_older(layout: &Layout, serial: u64) -> Result<(), Failure> {
    match accepted_serial(layout)? {
        Some(known) if known > serial => {
            let what = format!("serial {serial}, and {known} is accepted already");
            Err(Refusal::new(Code::StaleSequence, what).into())
        }
        Some(_) | None => Ok(()),
    }
}

/// The serial of the certificate that was accepted last.
fn accepted_serial(layout: &Layout) -> Result<Option<u64>, Refusal> {
    let path = layout.certificate();
    if !path.exists() {
        return Ok(None);
    }
    Ok(Some(load_certificate(&path)?.parse()?.serial))
}

fn load_certificate(path: &Path) -> Result<SignedCertificate, Refusal> {
    SignedCertificate::from_bytes(&armour::load(Kind::Certificate, path)?)
}

/// The public halves of a domain's signing keys.
pub(super) fn public_keys(keys: &Keys) -> Vec<(Epoch, PublicKey)> {
    keys.epochs.iter().map(|(epoch, key)| (*epoch, key.public().clone())).collect()
}
