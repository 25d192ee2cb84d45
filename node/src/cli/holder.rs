//! `quadrille holder`: keys in the wallet.

use clap::Subcommand;
use quadrille_protocol::crypto::suite::Suite;
use quadrille_protocol::types::Holder;
use serde::Serialize;

use super::exit::Failure;
use super::output::Output;
use super::{OpenWallet, WalletDir};
use crate::signer::passphrase;
use crate::wallet::{Wallet, WalletHolder};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a key for a holder
    #[command(after_help = "Examples:
  quadrille holder new alice@bank-a.example --wallet ~/wallet
  quadrille holder new alice@bank-a.example --wallet ~/wallet --suite 1 --passphrase-file p")]
    New {
        /// The holder
        holder: Holder,
        /// The key's suite: 3 (Ed25519), or 1 (with ML-DSA-65) to be safe against quantum computers
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=3))]
        suite: u8,
        #[command(flatten)]
        wallet: OpenWallet,
    },
    /// List the holders with a key in the wallet
    #[command(after_help = "Examples:
  quadrille holder list --wallet ~/wallet
  quadrille holder list --wallet ~/wallet -o json")]
    List {
        #[command(flatten)]
        wallet: WalletDir,
    },
}

/// A holder as programs read it.
#[derive(Serialize)]
struct Row {
    holder: String,
    suite: String,
    key: String,
}

impl From<&WalletHolder> for Row {
    fn from(entry: &WalletHolder) -> Self {
        Self {
            holder: entry.holder.to_string(),
            suite: entry.key.suite().to_string(),
            key: entry.key.id().to_string(),
        }
    }
}

pub(super) fn run(command: &Command, output: Output) -> Result<(), Failure> {
    match command {
        Command::New { holder, suite, wallet } => {
            let suite = Suite::from_number(*suite)?;
            let prompt = "Passphrase for the key: ";
            let secret = passphrase::read_new(wallet.passphrase_file.as_deref(), prompt)?;
            let entry = Wallet::open(&wallet.dir.wallet)?.new_holder(holder, suite, &secret)?;
            let row = Row::from(&entry);
            let sentence = format!("{holder} has the key {} ({})", row.key, row.suite);
            output.done(&row, sentence)
        }
        Command::List { wallet } => {
            let holders = Wallet::open(&wallet.wallet)?.holders()?;
            let rows: Vec<Row> = holders.iter().map(Row::from).collect();
            output.list(&rows, &["HOLDER", "SUITE", "KEY"], |row| {
                vec![row.holder.clone(), row.suite.clone(), row.key.clone()]
            })
        }
    }
}
