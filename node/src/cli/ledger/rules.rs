//! `quadrille ledger rules`, `rotate-key` and `close`: what a holder orders for its ledger itself.

use std::path::PathBuf;

use quadrille_protocol::crypto::suite::{PublicKey, SecretKey};
use quadrille_protocol::error::Refusal;
use quadrille_protocol::ledger::Action;
use quadrille_protocol::ledger::opening::{DailyLimit, Rules};
use quadrille_protocol::types::{Bounded, Domain, Holder};

use super::super::amount::Assets;
use super::super::exit::Failure;
use super::super::output::Output;
use super::super::submit::OrderOptions;
use crate::signer::passphrase;
use crate::wallet::Wallet;

/// The second key: the same holder's, in a wallet of its own.
#[derive(Debug, Clone, Default, clap::Args)]
pub(in super::super) struct SecondKey {
    /// The wallet with the ledger's second key: the same holder's key, kept elsewhere
    #[arg(long, value_name = "DIR")]
    second_wallet: Option<PathBuf>,
    /// The file with that wallet's passphrase; asked for when left out
    #[arg(long, value_name = "FILE", requires = "second_wallet")]
    second_passphrase_file: Option<PathBuf>,
}

impl SecondKey {
    /// The public key, if there is one.
    pub(in super::super) fn public(&self, holder: &Holder) -> Result<Option<PublicKey>, Refusal> {
        let wallet = self.second_wallet.as_deref().map(Wallet::open).transpose()?;
        wallet.map(|wallet| Ok(wallet.holder(holder)?.key)).transpose()
    }

    /// The key itself, if there is one.
    pub(in super::super) fn unlock(&self, holder: &Holder) -> Result<Option<SecretKey>, Refusal> {
        let Some(dir) = &self.second_wallet else { return Ok(None) };
        let prompt = format!("Passphrase of the second wallet, for {holder}: ");
        let secret = passphrase::read(self.second_passphrase_file.as_deref(), &prompt)?;
        Wallet::open(dir)?.unlock(holder, &secret).map(Some)
    }
}

/// The rules of a ledger that its holder sets.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct RuleOptions {
    /// Above this much in a day the second key must sign too, like "500.00 EUR:bank-b.example"
    #[arg(long = "daily-limit", value_name = "AMOUNT")]
    daily_limits: Vec<String>,
    /// Take only this asset; may be repeated, all when left out
    #[arg(long = "take", value_name = "ASSET")]
    assets: Vec<String>,
    /// A bank that may take the ledger over; may be repeated
    #[arg(long = "backup", value_name = "DOMAIN")]
    backups: Vec<Domain>,
}

impl RuleOptions {
    /// Whether the node's assets are needed to read them.
    pub(super) fn name_assets(&self) -> bool {
        !self.daily_limits.is_empty() || !self.assets.is_empty()
    }

    /// The rules, with `assets` where they name any.
    pub(super) fn read(
        &self,
        assets: Option<&Assets>,
        second_key: Option<PublicKey>,
    ) -> Result<Rules, Failure> {
        let mut rules = Rules { second_key, ..Rules::default() };
        rules.backups = Bounded::new(self.backups.clone())?;
        if let Some(assets) = assets {
            let limit = |text: &String| {
                let (asset, amount) = assets.read(text, false)?;
                Ok(DailyLimit { asset, amount })
            };
            let limits: Result<Vec<_>, Refusal> = self.daily_limits.iter().map(limit).collect();
            rules.daily_limits = Bounded::new(limits?)?;
            let taken: Result<Vec<_>, Refusal> =
                self.assets.iter().map(|text| Ok(assets.find(text)?.asset.clone())).collect();
            rules.assets = Bounded::new(taken?)?;
        }
        Ok(rules)
    }
}

#[derive(Debug, clap::Args)]
pub(in super::super) struct SetRules {
    #[command(flatten)]
    rules: RuleOptions,
    /// The wallet with the second key that the ledger is to have; none when left out
    #[arg(long, value_name = "DIR")]
    new_second_wallet: Option<PathBuf>,
    #[command(flatten)]
    order: OrderOptions,
}

#[derive(Debug, clap::Args)]
pub(in super::super) struct RotateKey {
    /// The wallet with the key that the ledger is to have: the same holder's
    #[arg(long, value_name = "DIR")]
    new_wallet: PathBuf,
    #[command(flatten)]
    order: OrderOptions,
}

#[derive(Debug, clap::Args)]
pub(in super::super) struct Close {
    #[command(flatten)]
    order: OrderOptions,
}

impl SetRules {
    pub(super) fn run(&self, output: Output) -> Result<(), Failure> {
        let intent = format!("rules {:?} {:?}", self.rules, self.new_second_wallet);
        self.order.submit(&intent, None, output, async |desk| {
            let second = SecondKey {
                second_wallet: self.new_second_wallet.clone(),
                second_passphrase_file: None,
            };
            let second = second.public(&desk.ledger.holder)?;
            let assets = Assets::fetch(desk.client).await?;
            Ok(Action::Amend(self.rules.read(Some(&assets), second)?))
        })
    }
}

impl RotateKey {
    pub(super) fn run(&self, output: Output) -> Result<(), Failure> {
        let wallet = Wallet::open(&self.new_wallet)?;
        let intent = format!("rotate-key to {}", self.new_wallet.display());
        self.order.submit(&intent, None, output, async |desk| {
            let ledger = desk.ledger;
            let key = wallet.holder(&ledger.holder)?.key;
            wallet.note_known(&ledger.network, ledger.ledger, &ledger.holder, ledger.number)?;
            Ok(Action::RotateKey { key })
        })
    }
}

impl Close {
    pub(super) fn run(&self, output: Output) -> Result<(), Failure> {
        self.order.submit("close", None, output, async |_| Ok(Action::Close))
    }
}
