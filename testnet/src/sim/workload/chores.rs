//! What banks and holders do now and then: keys that were lost, ledgers and assets that are
//! closed, attestations, delivery into another ledger.

use quadrille_protocol::codec;
use quadrille_protocol::crypto::hash::Tag;
use quadrille_protocol::ledger::{Action, Replacement, SignedReplacement};
use quadrille_protocol::settlement::Account;
use quadrille_protocol::validator::Command;

use crate::sim::cast::HOLDER_KEYS;
use crate::sim::world::World;

/// One of them.
#[derive(Debug, Clone, Copy)]
pub enum Chore {
    /// A holder has lost its key, and its bank gives the ledger another one.
    ReplaceKey,
    /// A holder closes a ledger, which is refused unless it is empty.
    CloseLedger,
    /// An issuer closes its asset, which is refused while any of it is outstanding.
    CloseAsset,
    /// A bank attests how much of an asset it has.
    Attest,
}

impl World {
    pub(super) fn do_chore(&mut self, chore: Chore) {
        match chore {
            Chore::ReplaceKey => self.replace_key(),
            Chore::CloseLedger => {
                let customer = self.trader();
                self.order(customer, Action::Close);
            }
            Chore::CloseAsset => {
                let bank = self.workload.random.index(self.nodes.len());
                let asset = self.cast.banks[bank].uai.clone();
                self.command(bank, Command::CloseAsset(asset));
            }
            Chore::Attest => {
                let count = self.nodes.len();
                let (bank, issuer) =
                    (self.workload.random.index(count), self.workload.random.index(count));
                let asset = self.cast.banks[issuer].uai.clone();
                self.command(bank, Command::AttestAsset(asset));
            }
        }
    }

    fn replace_key(&mut self) {
        let customer = self.trader();
        let who = &mut self.cast.customers[customer];
        if who.key + 1 >= HOLDER_KEYS {
            return;
        }
        let (lost, new) = (who.keys[who.key].public().id(), &who.keys[who.key + 1]);
        let network = self.cast.network.clone();
        let (ledger, key) = (who.ubi, new.public().clone());
        let replacement = Replacement { network, ledger, lost, key, second_key: None };
        let signature = new.sign(Tag::Replacement, &codec::encode(&replacement));
        let signed = SignedReplacement { replacement, signature };
        let verified = signed
            .verify(&self.cast.network, &self.cast.verifier)
            .expect("the holder's own signature");
        // As with a rotation: if the command is lost, its orders are refused from here on.
        who.key += 1;
        let bank = who.bank;
        let reason = "lost".parse().expect("a text");
        self.command(bank, Command::ReplaceKey { replacement: Box::new(verified), reason });
    }

    /// Where somebody receives who does not want it on the ledger that gives: now and then.
    pub(super) fn other_ledger(&mut self) -> Option<Account> {
        if !self.workload.random.chance(2_500) {
            return None;
        }
        let customer = self.trader();
        Some(self.account(customer))
    }
}
