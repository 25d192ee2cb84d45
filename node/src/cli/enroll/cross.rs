//! `quadrille enroll self-sign`, `endorse` and `pin`: membership without an authority.

use std::path::{Path, PathBuf};

use quadrille_protocol::crypto::suite::HybridSignatures;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::identity::{Certificate, SignedCertificate};
use quadrille_protocol::types::KeyId;

use super::{OpenKeys, Wanted, accepted_serial, load_certificate, newest, write_out};
use crate::armour::{self, Kind};
use crate::cli::exit::Failure;
use crate::cli::output::Output;
use crate::cli::{DataDir, span};
use crate::config::Layout;
use crate::enrol::Readable;
use crate::enrol::cross::{VALID_DAYS, check_named, check_self_signed, endorse, pin, self_sign};
use crate::files::{self, Access};
use crate::network_file::NetworkFile;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct SelfSign {
    #[command(flatten)]
    wanted: Wanted,
    /// How long it is valid, in days
    #[arg(long, default_value_t = VALID_DAYS)]
    days: u32,
    /// The file to write; standard output when it is `-`
    #[arg(long, value_name = "FILE", default_value = "-")]
    out: PathBuf,
    #[command(flatten)]
    keys: OpenKeys,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Endorse {
    /// The self-signed certificate's file
    certificate: PathBuf,
    /// The key of that domain, as it was told over another channel
    #[arg(long, value_name = "KEY")]
    key: KeyId,
    /// The file to write; standard output when it is `-`
    #[arg(long, value_name = "FILE", default_value = "-")]
    out: PathBuf,
    #[command(flatten)]
    keys: OpenKeys,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Pin {
    /// The self-signed certificate's file
    certificate: PathBuf,
    /// The key of that domain, as it was told over another channel
    #[arg(long, value_name = "KEY")]
    key: KeyId,
    #[command(flatten)]
    dir: DataDir,
}

fn write_certificate(
    out: &Path,
    signed: &SignedCertificate,
    certificate: &Certificate,
    what: &str,
    output: Output,
) -> Result<(), Failure> {
    let readable = Readable::from(certificate).endorsed(signed);
    let text = armour::wrap(Kind::Certificate, &signed.to_bytes(), &readable)?;
    write_out(out, &text, &readable, what, output)
}

impl SelfSign {
    pub(super) fn run(&self, output: Output) -> Result<(), Failure> {
        let keys = self.keys.open()?;
        let request = self.wanted.request(&keys)?;
        let layout = Layout::new(&self.keys.dir.dir);
        let serial = accepted_serial(&layout)?.unwrap_or(0).saturating_add(1);
        let signed = self_sign(request, serial, self.days, newest(&keys)?.1)?;
        let certificate = signed.parse()?;
        let key = certificate.signing_key.id();
        let what = format!("certificate {serial} of {} for {key}", certificate.domain);
        write_certificate(&self.out, &signed, &certificate, &what, output)
    }
}

impl Endorse {
    pub(super) fn run(&self, output: Output) -> Result<(), Failure> {
        let signed = load_certificate(&self.certificate)?;
        let network = NetworkFile::load(&Layout::new(&self.keys.dir.dir).network())?;
        let (name, suites) = (network.network(), network.anchors().suites);
        let now = span::now()?;
        let certificate = check_self_signed(&signed, name, suites, now, &HybridSignatures)?;
        check_named(&certificate, self.key)?;
        let keys = self.keys.open()?;
        if keys.network != *name {
            let what = format!("the keys are of {}, the network file of {name}", keys.network);
            return Err(Refusal::new(Code::WrongNetwork, what).into());
        }
        let (epoch, key) = newest(&keys)?;
        let endorsed = endorse(&signed, &keys.domain, epoch, key)?;
        let what =
            format!("the certificate of {}, endorsed by {}", certificate.domain, keys.domain);
        write_certificate(&self.out, &endorsed, &certificate, &what, output)
    }
}

impl Pin {
    pub(super) fn run(&self, output: Output) -> Result<(), Failure> {
        let signed = load_certificate(&self.certificate)?;
        let path = Layout::new(&self.dir.dir).network();
        let file = NetworkFile::load(&path)?;
        let pinned = pin(&file, &signed, self.key, span::now()?, &HybridSignatures)?;
        files::replace(&path, pinned.to_toml().as_bytes(), Access::Public)?;
        let certificate = signed.parse()?;
        let readable = Readable::from(&certificate).endorsed(&signed);
        let (domain, key, path) = (&certificate.domain, self.key, path.display());
        output.done(&readable, format!("{key} of {domain} is pinned in {path}"))
    }
}
