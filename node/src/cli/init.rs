//! `quadrille init`: a new node's data directory.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use quadrille_protocol::crypto::suite::Suite;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::identity::Address;
use quadrille_protocol::types::Domain;
use serde::Serialize;
use zeroize::Zeroizing;

use super::exit::Failure;
use super::output::{Output, facts_text};
use super::token::{refuse_existing, write_token};
use super::{overrides, span};
use crate::api::tokens::{self, Role};
use crate::config::{Config, Layout, Sources, template};
use crate::files::{self, Access};
use crate::network_file::NetworkFile;
use crate::signer::{Keys, keyfile, passphrase};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  quadrille init --dir /var/lib/quadrille --network network.toml --domain bank-a.example \\
      --guard-dir /mnt/other/guard --passphrase-file /run/secrets/passphrase
  quadrille init --dir ./a --network network.toml --domain bank-a.example \\
      --api-listen 127.0.0.1:0 --mesh-listen /ip4/127.0.0.1/tcp/0 --token-file ./a.token
Then: `quadrille enroll request`, `quadrille enroll accept`, `quadrille run`. In a network without
an authority `quadrille enroll self-sign` takes the place of the request.")]
pub(super) struct Arguments {
    /// The data directory to make
    #[arg(long, value_name = "DIR", env = "QUADRILLE_DIR")]
    dir: PathBuf,
    /// The network file, from the network's authority
    #[arg(long, value_name = "FILE")]
    network: PathBuf,
    /// This bank's domain
    #[arg(long)]
    domain: Domain,
    /// The suite of the domain's key: 1 (Ed25519 + ML-DSA-65) or 2 (Ed25519 + Dilithium3)
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=2))]
    suite: u8,
    /// A file with the passphrase of the keys (or QUADRILLE_PASSPHRASE_FILE, or a prompt)
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// The folder of the signer's guard, best on another disk
    #[arg(long, value_name = "DIR")]
    guard_dir: Option<PathBuf>,
    /// Where the HTTP interface listens
    #[arg(long, value_name = "ADDRESS:PORT")]
    api_listen: Option<SocketAddr>,
    /// Where the mesh listens (may be repeated)
    #[arg(long, value_name = "MULTIADDRESS")]
    mesh_listen: Vec<Address>,
    /// Set any other option of the configuration file (may be repeated)
    #[arg(long = "set", value_name = "SECTION.OPTION=VALUE")]
    set: Vec<String>,
    /// Write the operator's token to this file (0600) rather than to standard output
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// What was made. The token only when no file holds it.
#[derive(Serialize)]
struct Made<'a> {
    dir: &'a Path,
    network: String,
    domain: String,
    suite: String,
    key: String,
    guard_dir: PathBuf,
    guard_apart: bool,
    token_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_file: Option<&'a Path>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
}

pub(super) fn run(arguments: &Arguments, output: Output) -> Result<(), Failure> {
    let layout = Layout::new(&arguments.dir);
    for path in [layout.config(), layout.network(), layout.keys(), layout.tokens()] {
        refuse_existing(&path)?;
    }
    if let Some(path) = &arguments.token_file {
        refuse_existing(path)?;
    }
    let network = NetworkFile::load(&arguments.network)?;
    let suite = Suite::from_number(arguments.suite)?;
    if !network.anchors().suites.allows(suite) {
        let what = format!("{suite}: the network {} does not allow it", network.network());
        return Err(Refusal::new(Code::SuiteNotAllowed, what).into());
    }
    let config = configuration(arguments)?;
    let prompt = format!("Passphrase for the keys of {}: ", arguments.domain);
    let secret = passphrase::read_new(arguments.passphrase_file.as_deref(), &prompt)?;
    files::private_folder(&arguments.dir)?;
    files::private_folder(&layout.identity())?;
    files::private_folder(&config.guard_dir())?;
    let keys = Keys::generate(network.network().clone(), arguments.domain.clone(), suite)?;
    keyfile::create(&layout.keys(), &keys, &secret)?;
    files::create(&layout.network(), network.to_toml().as_bytes(), Access::Public)?;
    files::create(&layout.config(), template(&config).as_bytes(), Access::Public)?;
    let made = tokens::create(&layout.tokens(), Role::Operator, "made by init", span::now()?)?;
    if let Some(path) = &arguments.token_file {
        write_token(path, &made.token)?;
    }
    tell(arguments, &config, &keys, &made.entry.id, &made.token, output)
}

/// The configuration that was asked for, checked before anything is made.
fn configuration(arguments: &Arguments) -> Result<Config, Failure> {
    let mut flags = overrides(&arguments.set)?;
    if let Some(listen) = arguments.api_listen {
        flags.push(("api.listen".to_owned(), listen.to_string()));
    }
    if !arguments.mesh_listen.is_empty() {
        let listen: Vec<&str> = arguments.mesh_listen.iter().map(Address::as_str).collect();
        flags.push(("mesh.listen".to_owned(), listen.join(",")));
    }
    if let Some(guard) = &arguments.guard_dir {
        // A relative path in the file would be taken from the data directory.
        let absolute =
            std::path::absolute(guard).map_err(|error| files::cannot_read(guard, &error))?;
        flags.push(("node.guard_dir".to_owned(), absolute.display().to_string()));
    }
    let sources = Sources { dir: arguments.dir.clone(), flags, ..Sources::default() };
    Ok(sources.load()?.config)
}

fn tell(
    arguments: &Arguments,
    config: &Config,
    keys: &Keys,
    token_id: &str,
    token: &Zeroizing<String>,
    output: Output,
) -> Result<(), Failure> {
    let (suite, key) = keys.latest().map_or_else(
        || (String::new(), String::new()),
        |(_, key)| (key.suite().to_string(), key.public().id().to_string()),
    );
    let token_file = arguments.token_file.as_deref();
    let made = Made {
        dir: &arguments.dir,
        network: keys.network.to_string(),
        domain: keys.domain.to_string(),
        suite,
        key,
        guard_dir: config.guard_dir(),
        guard_apart: config.guard_is_apart(),
        token_id,
        token_file,
        token: token_file.is_none().then_some(token.as_str()),
    };
    let guard = if made.guard_apart { "apart from the log" } else { "NOT apart from the log" };
    let token = match token_file {
        Some(path) => format!("in {}", path.display()),
        None => format!("{} (shown this once)", token.as_str()),
    };
    let dir = arguments.dir.display();
    let facts = facts_text(&[
        ("node", format!("{} of the network {} in {dir}", made.domain, made.network)),
        ("key", format!("{} ({})", made.key, made.suite)),
        ("guard", format!("{} ({guard})", made.guard_dir.display())),
        ("token", token),
        ("next", format!("quadrille enroll request --dir {dir}")),
    ]);
    output.done(&made, facts)
}
