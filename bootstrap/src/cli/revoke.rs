//! `revoke`.

use std::path::PathBuf;

use quadrille_node::armour::{self, Kind};
use quadrille_node::files::{self, Access};
use quadrille_protocol::error::Refusal;
use quadrille_protocol::identity::RevocationReason;
use quadrille_protocol::types::Height;

use super::{Context, shown};
use crate::office::{parse_reason, reason_name};
use crate::roll::Standing;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
A revoked key begins no new business at once, wherever the revocation is known. What it signed
up to the height keeps counting; without --from-height, everything. For a stolen key the height
must be said: the last one of the domain's log that the domain itself vouches for.

Examples:
  quadrille-bootstrap --dir net revoke 3 --reason cessation
  quadrille-bootstrap --dir net revoke 3 --reason key-compromise --from-height 81233")]
pub(super) struct Arguments {
    /// The certificate's serial number, see `members`
    serial: u64,
    /// Why: key-compromise, key-lost, superseded, cessation, withdrawn
    #[arg(long, value_parser = parse_reason)]
    reason: RevocationReason,
    /// The last height of the domain's log at which the key counts; 0 for none
    #[arg(long, value_name = "HEIGHT")]
    from_height: Option<u64>,
    /// Where to write the revocation, to hand it on besides serving it
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(serde::Serialize)]
struct Answer {
    serial: String,
    domain: String,
    epoch: String,
    reason: &'static str,
    from_height: String,
    repeated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
}

pub(super) fn run(context: &Context, arguments: &Arguments) -> Result<String, Refusal> {
    let from_height = arguments.from_height.map(Height);
    let mut office = context.office()?;
    let revoked = office.revoke(arguments.serial, arguments.reason, from_height, context.now)?;
    let revocation = revoked.signed.parse()?;
    let mut answer = Answer {
        serial: revoked.serial.to_string(),
        domain: revocation.domain.to_string(),
        epoch: revocation.epoch.to_string(),
        reason: reason_name(revocation.reason),
        from_height: revocation.from_height.to_string(),
        repeated: revoked.repeated,
        file: None,
    };
    if let Some(out) = &arguments.out {
        let text = armour::wrap(Kind::Revocation, &revoked.signed.to_bytes(), &answer)?;
        files::replace(out, text.as_bytes(), Access::Public)?;
        answer.file = Some(shown(out));
    }
    let again = if revoked.repeated { " (revoked before)" } else { "" };
    let mut rows = vec![
        ("revocation", format!("{}{again}", answer.serial)),
        ("domain", answer.domain.clone()),
        ("epoch", answer.epoch.clone()),
        ("reason", answer.reason.to_owned()),
        ("its key is", Standing::Revoked(revocation.from_height).to_string()),
    ];
    rows.extend(answer.file.clone().map(|file| ("file", file)));
    context.show(&rows, &answer)
}
