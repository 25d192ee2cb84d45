//! `quadrille ledger prove-key` and `replace-key`: a lost key, and the one that takes its place.

use std::path::{Path, PathBuf};

use quadrille_protocol::codec;
use quadrille_protocol::crypto::hash::Tag;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::ledger::{Replacement, SignedReplacement};
use quadrille_protocol::limits;
use serde::Serialize;

use super::OpenWallet;
use super::connect::{Connection, converse};
use super::exit::Failure;
use super::ledger::resolve;
use super::output::Output;
use crate::armour::{self, Kind};
use crate::client::new_id;
use crate::signer::passphrase;
use crate::wallet::Wallet;

/// Largest signed replacement.
const REPLACEMENT_BYTES: usize = limits::ORDER_BYTES;

#[derive(Debug, clap::Args)]
pub(super) struct ProveKey {
    /// The ledger: ubi:…, or its holder
    ledger: String,
    /// Where to write the proof, for the bank
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    wallet: OpenWallet,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, clap::Args)]
pub(super) struct ReplaceKey {
    /// The file that `ledger prove-key` has written
    file: PathBuf,
    /// Why, for the ledger: everybody who may read it will see this
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    connection: Connection,
}

/// What people see of a proof in its file.
#[derive(Serialize)]
struct Readable {
    network: String,
    ledger: String,
    lost: String,
    key: String,
}

impl From<&Replacement> for Readable {
    fn from(replacement: &Replacement) -> Self {
        Self {
            network: replacement.network.to_string(),
            ledger: replacement.ledger.to_string(),
            lost: replacement.lost.to_string(),
            key: replacement.key.id().to_string(),
        }
    }
}

impl ProveKey {
    pub(super) fn run(&self, output: Output) -> Result<(), Failure> {
        let wallet = Wallet::open(&self.wallet.dir.wallet)?;
        let client = self.connection.client()?;
        let (network, view) = converse(async {
            let ubi = resolve(&client, &self.ledger).await?;
            Ok((client.status().await?.network, client.ledger(&ubi).await?))
        })?;
        let holder = wallet.holder(&view.holder)?;
        if holder.key.id() == view.key {
            let what = "the wallet's key is the ledger's; make a new one in a new wallet";
            return Err(Refusal::new(Code::WrongKey, what).into());
        }
        let prompt = format!("Passphrase of the wallet, for {}: ", view.holder);
        let secret = passphrase::read(self.wallet.passphrase_file.as_deref(), &prompt)?;
        let key = wallet.unlock(&view.holder, &secret)?;
        let replacement = Replacement {
            network: network.clone(),
            ledger: view.ledger,
            lost: view.key,
            key: holder.key,
            second_key: None,
        };
        let signature = key.sign(Tag::Replacement, &codec::encode(&replacement));
        wallet.note_known(&network, view.ledger, &view.holder, view.number)?;
        written(&self.out, &SignedReplacement { replacement, signature }, output)
    }
}

fn written(path: &Path, signed: &SignedReplacement, output: Output) -> Result<(), Failure> {
    let readable = Readable::from(&signed.replacement);
    armour::save(Kind::KeyReplacement, path, &codec::encode(signed), &readable)?;
    let sentence = format!("the proof for {} is in {}", readable.key, path.display());
    output.done(&readable, sentence)
}

impl ReplaceKey {
    pub(super) fn run(&self, output: Output) -> Result<(), Failure> {
        let bytes = armour::load(Kind::KeyReplacement, &self.file)?;
        let signed = codec::decode::<SignedReplacement, REPLACEMENT_BYTES>(&bytes)?;
        let client = self.connection.client()?;
        let Replacement { ledger, key, .. } = &signed.replacement;
        let receipt =
            converse(async { Ok(client.replace_key(&signed, &self.reason, &new_id()).await?) })?;
        output.done(&receipt, format!("{ledger} has the key {} now", key.id()))
    }
}
