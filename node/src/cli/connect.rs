//! How a command reaches a node: address, token, patience.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;

use quadrille_protocol::error::{Code, Refusal};
use zeroize::Zeroizing;

use super::exit::Failure;
use crate::client::Client;
use crate::files;

/// Largest token file.
const TOKEN_FILE_BYTES: usize = 4096;
/// The token itself, where no file is wanted. Not an option: others could see it.
const TOKEN_VARIABLE: &str = "QUADRILLE_TOKEN";

/// Which node, and with which token.
#[derive(Debug, Clone, clap::Args)]
pub struct Connection {
    /// The node's HTTP interface
    #[arg(
        long,
        value_name = "URL",
        env = "QUADRILLE_API",
        default_value = "http://127.0.0.1:4000",
        help_heading = "Node"
    )]
    api: String,
    /// A file with the bearer token (or set QUADRILLE_TOKEN to the token itself)
    #[arg(long, value_name = "FILE", env = "QUADRILLE_TOKEN_FILE", help_heading = "Node")]
    token_file: Option<PathBuf>,
    /// Longest wait for an answer, in seconds
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 40,
        value_parser = clap::value_parser!(u64).range(1..=3600),
        help_heading = "Node"
    )]
    timeout: u64,
}

impl Connection {
    /// The client.
    ///
    /// # Errors
    /// `Q-2201` a bad address, `Q-2204` a token file that cannot be read, `Q-2211` no token.
    pub fn client(&self) -> Result<Client, Failure> {
        let token = match &self.token_file {
            Some(path) => Some(read_token(path)?),
            None => std::env::var(TOKEN_VARIABLE).ok().map(Zeroizing::new),
        };
        let Some(token) = token.filter(|token| !token.is_empty()) else {
            return Err(Refusal::new(Code::NoToken, self.api.clone()).into());
        };
        let client = Client::new(&self.api, Some(token))?;
        Ok(client.with_timeout(Duration::from_secs(self.timeout)))
    }
}

fn read_token(path: &Path) -> Result<Zeroizing<String>, Refusal> {
    let text = Zeroizing::new(files::read_text(path, TOKEN_FILE_BYTES)?);
    let token = text.trim();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        let what = format!("{} does not hold a token", path.display());
        return Err(Refusal::new(Code::NoToken, what));
    }
    Ok(Zeroizing::new(token.to_owned()))
}

/// Runs a command's conversation with a node to its end.
///
/// # Errors
/// The conversation's; `Q-2204` when the system gives no runtime.
pub fn converse<T>(talk: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Refusal::new(Code::CannotRead, format!("no runtime: {error}")))?;
    runtime.block_on(talk)
}
