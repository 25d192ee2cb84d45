//! `serve`.

use quadrille_node::signer::passphrase;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::identity::Address;

use super::Context;
use crate::serve::{self, Options};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Runs until SIGTERM or SIGINT, and then exits with 0. It needs the folder `peer`, the register and
the network file, and not the authority's key. Newly approved members and revocations are served
within a second. When it is ready it writes DIR/run/endpoints.json.

Examples:
  quadrille-bootstrap --dir net serve --listen /ip4/0.0.0.0/tcp/7000
  quadrille-bootstrap --dir net serve --listen /ip4/0.0.0.0/tcp/7000 \\
      --advertise /dns/bootstrap.example/tcp/7000 --log-format json")]
pub(super) struct Arguments {
    /// A multiaddress to listen on, port 0 for any; may be given several times
    #[arg(long, value_name = "MULTIADDRESS", default_value = "/ip4/0.0.0.0/tcp/7000")]
    listen: Vec<Address>,
    /// A multiaddress under which others reach it, where it differs; may be given several times
    #[arg(long, value_name = "MULTIADDRESS")]
    advertise: Vec<Address>,
    /// How log lines are written to standard error
    #[arg(long, value_enum, default_value = "human")]
    log_format: LogFormat,
    /// Which log lines are written: a level, or a list like info,quadrille_node::mesh=debug
    #[arg(long, default_value = "info")]
    log_level: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum LogFormat {
    Human,
    Json,
}

pub(super) fn run(context: &Context, arguments: &Arguments) -> Result<String, Refusal> {
    context.layout.network()?;
    log(arguments)?;
    let file = context.passphrase_file.as_deref();
    let passphrase = passphrase::read(file, "Passphrase of the bootstrap peer's keys: ")?;
    let options =
        Options { listen: arguments.listen.clone(), advertise: arguments.advertise.clone() };
    let failed = |error: std::io::Error| Refusal::new(Code::ServeFailed, error.to_string());
    let runtime = tokio::runtime::Runtime::new().map_err(failed)?;
    runtime.block_on(serve::serve(&context.layout, &options, &passphrase))?;
    Ok(String::new())
}

fn log(arguments: &Arguments) -> Result<(), Refusal> {
    let bad = |what: String| Refusal::new(Code::BadUsage, what);
    let filter = tracing_subscriber::EnvFilter::try_new(&arguments.log_level)
        .map_err(|error| bad(format!("--log-level {}: {error}", arguments.log_level)))?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match arguments.log_format {
        LogFormat::Human => lines.with_ansi(false).try_init(),
        LogFormat::Json => lines.json().try_init(),
    };
    started.map_err(|error| Refusal::new(Code::ServeFailed, error.to_string()))
}
