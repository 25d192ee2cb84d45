//! Talking to the banks of a local network as their operator does.

use quadrille_node::client::{Client, ClientError};
use quadrille_node::files;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::refuse;
use zeroize::Zeroizing;

use super::layout::Layout;
use super::state::Bank;

/// Longest token.
const TOKEN_BYTES: usize = 1024;

/// The bank's HTTP interface, with an operator's token.
///
/// # Errors
/// `Q-2209` when the bank has never run; `Q-2204` no token.
pub fn of(layout: &Layout, bank: &Bank) -> Result<Client, Refusal> {
    let Some(api) = bank.api else {
        refuse!(Unreachable, "{} has never run", bank.name);
    };
    let token = Zeroizing::new(files::read_text(&layout.token(&bank.name), TOKEN_BYTES)?);
    let token = Zeroizing::new(token.trim().to_owned());
    Client::new(&format!("http://{api}"), Some(token))
}

/// What conversations with banks run on.
///
/// # Errors
/// `Q-2320` when the system gives no threads.
pub fn runtime() -> Result<tokio::runtime::Runtime, Refusal> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Refusal::new(Code::ServeFailed, error.to_string()))
}

/// What a bank answered, as a refusal that names the bank.
#[must_use]
pub fn refusal(bank: &str, error: ClientError) -> Refusal {
    match error {
        ClientError::BadRequest(refusal) => Refusal::new(refusal.code, about(bank, &refusal.what)),
        ClientError::Refused(problem) => {
            let code = problem.code.parse().unwrap_or(Code::BadAnswer);
            Refusal::new(code, about(bank, &problem.detail))
        }
        ClientError::Unreachable(what) => Refusal::new(Code::Unreachable, about(bank, &what)),
        ClientError::Unknown(what) => Refusal::new(Code::NoAnswer, about(bank, &what)),
        ClientError::BadAnswer(what) => Refusal::new(Code::BadAnswer, about(bank, &what)),
    }
}

fn about(bank: &str, what: &str) -> String {
    format!("{bank}: {what}")
}
