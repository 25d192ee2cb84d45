//! Local networks for one part of the benchmark, and holders whose keys stay in this process.

use std::path::{Path, PathBuf};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use quadrille_node::client::Client;
use quadrille_node::config::{self, Config};
use quadrille_node::files;
use quadrille_node::signer::generate_key;
use quadrille_protocol::codec;
use quadrille_protocol::crypto::hash::{Tag, hash};
use quadrille_protocol::crypto::suite::{SecretKey, Suite};
use quadrille_protocol::error::Refusal;
use quadrille_protocol::ledger::opening::Rules;
use quadrille_protocol::ledger::{Action, Opening, Order, SignedOpening, SignedOrder};
use quadrille_protocol::types::{
    Amount, Bytes, Country, Duration as Span, Hash, Holder, Network, Nonce, OrderId, Time, Uai, Ubi,
};

use super::Bench;
use crate::local::clients;
use crate::local::layout::Layout;
use crate::local::start;
use crate::local::state::{Bank, Held};
use crate::local::up::{self, Plan};

/// How long orders stand.
pub(super) const ORDER_LIFE: Span = Span(60 * 60 * 1000);
/// Requests that are under way at one time while ledgers are opened.
const AT_A_TIME: usize = 32;

/// A network of so many banks, whose links go from process to process: the proxy that makes
/// faults would be measured along.
///
/// # Errors
/// `Q-1015` more than a local network may have.
pub(super) fn plan(banks: usize) -> Result<Plan, Refusal> {
    Ok(Plan { direct: true, ..Plan::of(banks, None, Suite::HybridMlDsa65)? })
}

/// Brings a network up in a folder of its own, has `work` done on it, and takes it down again,
/// whatever came of it. The folder goes with it, unless something failed.
///
/// # Errors
/// Those of bringing it up, of `work`, and of taking it down.
pub(super) fn with_network<T>(
    bench: &Bench,
    name: &str,
    plan: &Plan,
    work: impl FnOnce(&mut Held) -> Result<T, Refusal>,
) -> Result<T, Refusal> {
    let dir = bench.dir.join(name);
    let layout = Layout::new(&dir);
    bench.cleanup.network(&layout);
    let mut say = |what: &str| bench.say(&format!("{name}: {what}"));
    let done = match up::up(layout.clone(), plan, &mut say) {
        Ok(mut held) => {
            let done = work(&mut held);
            let ended = start::down(&mut held).map(|_| ());
            done.and_then(|done| ended.map(|()| done))
        }
        Err(failed) => Err(failed.refusal),
    };
    bench.cleanup.end_network(&layout);
    remove(&dir);
    done
}

/// Removes a folder; what is left of it goes with the work folder.
pub(super) fn remove(dir: &Path) {
    let _ = std::fs::remove_dir_all(dir);
}

/// A bank's configuration, without our own environment, which is not the bank's.
///
/// # Errors
/// Those of the file.
pub(super) fn config_of(layout: &Layout, bank: &Bank) -> Result<Config, Refusal> {
    let dir = absolute(&layout.node(&bank.name))?;
    let file = Some(files::read_text(&config::Layout::new(&dir).config(), config::FILE_BYTES)?);
    let sources = config::Sources { dir, file, environment: Vec::new(), flags: Vec::new() };
    Ok(sources.load()?.config)
}

fn absolute(path: &Path) -> Result<PathBuf, Refusal> {
    std::path::absolute(path).map_err(|error| files::cannot_read(path, &error))
}

/// A holder that signs for one ledger of its own.
pub(super) struct Signing {
    pub ledger: Ubi,
    network: Network,
    key: SecretKey,
    nonce: Nonce,
}

impl Signing {
    /// A new holder of this suite, with its signed opening.
    ///
    /// # Errors
    /// `Q-1913` without randomness; a name that is none.
    pub fn new(
        network: &Network,
        bank: &Bank,
        local: &str,
        suite: Suite,
    ) -> Result<(Self, SignedOpening), Refusal> {
        let holder: Holder = format!("{local}@{}", bank.domain).parse()?;
        let key = generate_key(suite)?;
        let opening = opening(network, &holder, &key);
        let ledger = opening.opening.ubi();
        Ok((Self { ledger, network: network.clone(), key, nonce: Nonce(0) }, opening))
    }

    /// The key, to check orders with.
    pub fn key(&self) -> &SecretKey {
        &self.key
    }

    /// Signs the ledger's next order.
    ///
    /// # Errors
    /// `Q-1001` for one that is too large.
    pub fn sign(&mut self, now: Time, action: Action) -> Result<(SignedOrder, OrderId), Refusal> {
        self.nonce = self.nonce.next();
        let (network, expiry) = (self.network.clone(), now.after(ORDER_LIFE));
        let order = Order { network, ledger: self.ledger, nonce: self.nonce, expiry, action };
        let bytes = codec::encode(&order);
        let signature = self.key.sign(Tag::Order, &bytes);
        let key = self.key.public().id();
        let signed = SignedOrder { order: Bytes::new(&bytes)?, key, signature, second: None };
        let id = OrderId(hash(Tag::Order, &[&signed.order]).0);
        Ok((signed, id))
    }
}

/// The opening of a holder's first ledger.
pub(super) fn opening(network: &Network, holder: &Holder, key: &SecretKey) -> SignedOpening {
    let opening = Opening {
        network: network.clone(),
        holder: holder.clone(),
        number: 1,
        key: key.public().clone(),
        tier: 1,
        jurisdiction: Country::UNKNOWN,
        identity: Hash::ZERO,
        rules: Rules::default(),
    };
    let signature = key.sign(Tag::Opening, &codec::encode(&opening));
    SignedOpening { opening, signature }
}

/// A holder at a bank that runs.
pub(super) struct Customer<'a> {
    pub bank: &'a Bank,
    pub client: Client,
    pub signing: Signing,
    pub asset: Uai,
}

/// Opens one ledger at each bank and gives it so much of the bank's own asset.
///
/// # Errors
/// The first that any bank answered.
pub(super) async fn customers<'a>(
    held: &'a Held,
    suite: Suite,
    asset: impl Fn(&Bank) -> Result<Uai, Refusal>,
    funds: Amount,
) -> Result<Vec<Customer<'a>>, Refusal> {
    let mut wanted = Vec::new();
    for bank in &held.state.banks {
        let local = format!("b{}", hex::encode(rand::random::<[u8; 4]>()));
        let (signing, opening) = Signing::new(&held.state.network, bank, &local, suite)?;
        let (client, asset) = (clients::of(&held.layout, bank)?, asset(bank)?);
        wanted.push((Customer { bank, client, signing, asset }, opening));
    }
    let open = wanted.into_iter().map(|(customer, opening)| async move {
        let told = |error| clients::refusal(&customer.bank.name, error);
        customer.client.open_ledger(&opening).await.map_err(told)?;
        let ledger = customer.signing.ledger;
        let once = format!("bench:{ledger}");
        customer.client.issue(&customer.asset, ledger, funds, &once).await.map_err(told)?;
        Ok::<_, Refusal>(customer)
    });
    stream::iter(open).buffered(AT_A_TIME).try_collect().await
}

/// Bytes of all files in a folder.
pub(super) fn bytes_in(dir: &Path) -> u64 {
    let mut bytes: u64 = 0;
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        bytes = bytes.saturating_add(match entry.metadata() {
            Ok(found) if found.is_dir() => bytes_in(&entry.path()),
            Ok(found) => found.len(),
            Err(_) => 0,
        });
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_counted_in_every_folder() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("below")).unwrap();
        std::fs::write(folder.path().join("below").join("file"), "12345").unwrap();
        assert_eq!(bytes_in(folder.path()), 5);
    }
}
