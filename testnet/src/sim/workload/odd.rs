//! What a bank must refuse, and what its operator does now and then.

use quadrille_protocol::ledger::{Action, Payment};
use quadrille_protocol::validator::Command;

use super::amount;
use crate::sim::cast::HOLDER_KEYS;
use crate::sim::world::World;

impl World {
    pub(super) fn repeat(&mut self) {
        let length = self.workload.recent.len();
        let at = self.workload.random.index(length);
        let Some((customer, order)) = self.workload.recent.get(at).cloned() else { return };
        self.send_order(customer, order);
    }

    pub(super) fn reuse_nonce(&mut self) {
        let length = self.workload.recent.len();
        let at = self.workload.random.index(length);
        let Some((customer, old)) = self.workload.recent.get(at).cloned() else { return };
        let nonce = old.order().nonce;
        let asset = self.cast.banks[self.cast.customers[customer].bank].uai.clone();
        let to = self.trader();
        let units = self.workload.random.between(1, 20);
        let payment = Payment::plain(self.account(to), asset, amount(units));
        let order = self.sign(customer, Action::Pay(payment), Some(nonce));
        self.send_order(customer, order);
    }

    pub(super) fn overdraw(&mut self) {
        let Some((payer, asset, free)) = self.rich_trader() else { return };
        let to = self.trader();
        self.pay(payer, to, asset, free + 1);
    }

    pub(super) fn freeze(&mut self) {
        if let Some(customer) = self.workload.frozen.pop_front() {
            let who = &self.cast.customers[customer];
            let (bank, ubi) = (who.bank, who.ubi);
            self.command(bank, Command::Unfreeze(ubi));
            return;
        }
        let customer = self.trader();
        let who = &self.cast.customers[customer];
        let (bank, ubi) = (who.bank, who.ubi);
        self.workload.frozen.push_back(customer);
        self.command(bank, Command::Freeze(ubi));
    }

    pub(super) fn rotate_holder(&mut self) {
        let customer = self.trader();
        let who = &self.cast.customers[customer];
        if who.key + 1 >= HOLDER_KEYS {
            return;
        }
        let key = who.keys[who.key + 1].public().clone();
        self.order(customer, Action::RotateKey { key });
        // From here on it signs with the new key; if the order was lost, it is refused for ever,
        // which is a holder's misfortune and nobody's loss.
        self.cast.customers[customer].key += 1;
    }

    pub(super) fn redeem(&mut self) {
        let customer = self.trader();
        let asset = self.cast.banks[self.cast.customers[customer].bank].uai.clone();
        let units = self.workload.random.between(1, 30);
        self.order(customer, Action::Redeem { asset, amount: amount(units) });
    }

    pub(super) fn raise_limit(&mut self) {
        let count = self.cast.banks.len();
        let random = &mut self.workload.random;
        let (bank, peer, asset) = (random.index(count), random.index(count), random.index(count));
        if bank == peer {
            return;
        }
        let limit = amount(random.between(2_000, 4_000));
        let peer = self.cast.banks[peer].domain.clone();
        let asset = self.cast.banks[asset].uai.clone();
        self.command(bank, Command::SetCreditLimit { peer, asset, limit });
    }
}
