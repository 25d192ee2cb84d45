//! Holders' personal data: read from the holder's file, salted, signed by their hash, sent once.

use std::path::{Path, PathBuf};

use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::limits;
use quadrille_protocol::policy::identity::Identity;
use quadrille_protocol::types::Time;

use super::resolve;
use crate::api::dto::IdentityView;
use crate::cli::connect::converse;
use crate::cli::exit::Failure;
use crate::cli::output::Output;
use crate::client::Client;
use crate::engine::{Clock, SystemClock};
use crate::files::{self, Access};
use crate::vault::json;

/// Largest file with a person's data.
const FILE_BYTES: usize = 4 * limits::IDENTITY_BYTES;

/// The person in a file, with a new salt; checked as the bank will check it.
pub(super) fn draw(path: &Path) -> Result<Identity, Refusal> {
    let person = json::read(&files::read(path, FILE_BYTES)?)?;
    let identity = Identity { salt: rand::random(), person };
    let now: Time = SystemClock.now();
    identity.check(&identity.hash(), now)?;
    Ok(identity)
}

/// The data as they are sent.
pub(super) fn view(identity: &Identity) -> Result<IdentityView, Refusal> {
    let person = serde_json::to_value(&identity.person)
        .map_err(|error| Refusal::new(Code::CannotWrite, error.to_string()))?;
    Ok(IdentityView { salt: hex::encode(identity.salt), person })
}

/// Writes the data beside a signed opening: `FILE.identity`.
pub(super) fn save(opening: &Path, view: &IdentityView) -> Result<(), Refusal> {
    let mut name = opening.as_os_str().to_owned();
    name.push(".identity");
    let text = serde_json::to_vec_pretty(view)
        .map_err(|error| Refusal::new(Code::CannotWrite, error.to_string()))?;
    files::create(&PathBuf::from(name), &text, Access::Private)
}

/// Reads what [`save`] has written.
pub(super) fn load(path: &Path) -> Result<IdentityView, Refusal> {
    let text = files::read(path, FILE_BYTES)?;
    let bad = |error: serde_json::Error| {
        let what = format!("{}: line {}", path.display(), error.line());
        Refusal::new(Code::CannotRead, what)
    };
    serde_json::from_slice(&text).map_err(bad)
}

/// Shows the data that the bank keeps, or puts them back.
pub(super) fn run(
    client: &Client,
    ledger: &str,
    restore: Option<&Path>,
    output: Output,
) -> Result<(), Failure> {
    let restore = restore.map(load).transpose()?;
    converse(async {
        let ledger = resolve(client, ledger).await?;
        match restore {
            Some(view) => {
                let receipt = client.restore_identity(&ledger, &view).await?;
                output.done(&receipt, format!("the data of {ledger} are in the vault"))
            }
            None => {
                let view = client.identity(&ledger).await?;
                let person = serde_json::to_string_pretty(&view.person).unwrap_or_default();
                let facts = [("ledger", ledger.to_string()), ("person", person)];
                output.one(&view, &facts)
            }
        }
    })
}
