//! `approve`.

use std::path::{Path, PathBuf};

use quadrille_node::armour::{self, Kind};
use quadrille_node::enrol::{Readable, SignedEnrolmentRequest, parse_role, role_name};
use quadrille_node::files::{self, Access};
use quadrille_protocol::error::Refusal;
use quadrille_protocol::identity::Role;

use super::{Context, shown};
use crate::office::{Terms, VALID_DAYS_MAX};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Before approving, make sure over another channel that the domain and the key in the request are
those of the institution that sent it. The same request again gives the same certificate.

Examples:
  quadrille-bootstrap --dir net approve bank-a.request
  quadrille-bootstrap --dir net approve notary.request --roles notary --days 90 --out notary.cert")]
pub(super) struct Arguments {
    /// The request, as `quadrille enroll request` wrote it
    request: PathBuf,
    /// Roles instead of those asked for: validator, notary, observer, supervisor
    #[arg(long, value_delimiter = ',', value_parser = parse_role)]
    roles: Option<Vec<Role>>,
    /// Days that the certificate is valid [default: 365]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=i64::from(VALID_DAYS_MAX)))]
    days: Option<u32>,
    /// Let a live certificate of the domain under another key stay beside the new one
    #[arg(long)]
    replace: bool,
    /// Where to write the certificate [default: beside the request, with the ending .certificate]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(serde::Serialize)]
struct Answer {
    serial: String,
    domain: String,
    roles: Vec<&'static str>,
    epoch: String,
    suite: String,
    key: String,
    valid_until: String,
    repeated: bool,
    file: String,
}

pub(super) fn run(context: &Context, arguments: &Arguments) -> Result<String, Refusal> {
    let bytes = armour::load(Kind::EnrolmentRequest, &arguments.request)?;
    let request = SignedEnrolmentRequest::from_bytes(&bytes)?;
    let terms =
        Terms { roles: arguments.roles.clone(), days: arguments.days, replace: arguments.replace };
    let approved = context.office()?.approve(&request, &terms, context.now)?;
    let certificate = approved.signed.parse()?;
    let out = arguments.out.clone().unwrap_or_else(|| beside(&arguments.request));
    let readable = Readable::from(&certificate);
    let text = armour::wrap(Kind::Certificate, &approved.signed.to_bytes(), &readable)?;
    // It stands in the register already; a repetition writes the same file again.
    files::replace(&out, text.as_bytes(), Access::Public)?;
    let answer = Answer {
        serial: approved.serial.to_string(),
        domain: certificate.domain.to_string(),
        roles: certificate.roles.iter().copied().map(role_name).collect(),
        epoch: certificate.epoch.to_string(),
        suite: certificate.signing_key.suite().to_string(),
        key: certificate.signing_key.id().to_string(),
        valid_until: certificate.valid_until.to_string(),
        repeated: approved.repeated,
        file: shown(&out),
    };
    let again = if approved.repeated { " (approved before)" } else { "" };
    let rows = [
        ("certificate", format!("{}{again}", answer.serial)),
        ("domain", answer.domain.clone()),
        ("roles", answer.roles.join(", ")),
        ("epoch", answer.epoch.clone()),
        ("suite", answer.suite.clone()),
        ("key", answer.key.clone()),
        ("valid until", answer.valid_until.clone()),
        ("file", answer.file.clone()),
    ];
    context.show(&rows, &answer)
}

/// `bank-a.request` gives `bank-a.certificate`.
fn beside(request: &Path) -> PathBuf {
    request.with_extension("certificate")
}
