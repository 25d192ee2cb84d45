//! A ring of four banks is netted, and one of them is stopped in the middle of it: it is netted
//! whole or not at all, and the books of all four agree afterwards.

use quadrille_protocol::ledger::{Action, Payment};
use quadrille_protocol::payment::netting::{Obligation, find_cycles};
use quadrille_protocol::settlement::Account;
use quadrille_protocol::types::{Amount, Domain};
use quadrille_protocol::validator::Command;

use crate::banks::{Customer, Net};

const BANKS: usize = 4;
const NETTED: u128 = 10;

fn account(net: &Net, customer: &Customer) -> Account {
    Account { domain: net.banks[customer.bank].domain(), ledger: customer.ledger }
}

/// What each bank owes whom in euros.
async fn obligations(net: &Net) -> Vec<Obligation> {
    let mut all = Vec::new();
    for bank in &net.banks {
        let (debtor, asset) = (bank.domain(), net.eur.clone());
        let owing = bank.read(move |validator| {
            let lines = validator.state().books.correspondents.iter();
            let euros = lines.filter(|((_, of), line)| *of == asset && !line.owe.is_zero());
            let owing = euros.map(|((creditor, _), line)| Obligation {
                debtor: debtor.clone(),
                creditor: creditor.clone(),
                asset: asset.clone(),
                amount: line.owe,
            });
            owing.collect::<Vec<_>>()
        });
        all.extend(owing.await);
    }
    all
}

async fn owed(net: &Net) -> Vec<u128> {
    let ring = [(3, 0), (0, 1), (1, 2), (2, 3)];
    let known = obligations(net).await;
    ring.iter()
        .map(|(debtor, creditor)| {
            let (debtor, creditor) = (net.banks[*debtor].domain(), net.banks[*creditor].domain());
            let mut found =
                known.iter().filter(|one| one.debtor == debtor && one.creditor == creditor);
            found.next().map_or(0, |one| one.amount.units())
        })
        .collect()
}

async fn closed(net: &Net) -> bool {
    for bank in &net.banks {
        if bank.open_settlements().await > 0 {
            return false;
        }
    }
    true
}

/// Whether every bank has found every other one's books to be the mirror of its own.
async fn reconciled(net: &Net) -> bool {
    for bank in &net.banks {
        let seen = bank.read(|validator| {
            let state = validator.state();
            let lines = state.books.correspondents.iter().filter(|(_, l)| l.mirror.count > 0);
            let told = |known: &quadrille_protocol::ledger::Correspondent| {
                let mirror = &known.mirror;
                assert!(mirror.broken.is_none(), "{}: {mirror:?}", state.domain);
                mirror.reconciled.is_some_and(|at| at.count == mirror.count)
            };
            lines.map(|(_, known)| told(known)).collect::<Vec<bool>>()
        });
        if seen.await.contains(&false) {
            return false;
        }
    }
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ring_with_a_bank_stopped_in_the_middle_is_netted_whole_or_not_at_all() {
    let mut net = Net::of(BANKS).await;
    let bob = net.customer(3, "bob", &net.eur.clone()).await;
    let mut others = Vec::new();
    for (bank, name) in ["anna", "carl", "dora"].into_iter().enumerate() {
        others.push(net.opened(bank, name).await);
    }
    let ring = [&bob, &others[0], &others[1], &others[2], &bob];
    for (pair, amount) in ring.windows(2).zip([100, 90, 80, 70]) {
        let to = account(&net, pair[1]);
        let payment = Payment::plain(to, net.eur.clone(), Amount::new(amount));
        net.order(pair[0], Action::Pay(payment)).await;
        net.until("paid", || closed(&net)).await;
    }
    assert_eq!(owed(&net).await, [100, 90, 80, 70]);
    let mut transit: Vec<Account> = Vec::new();
    for (bank, name) in ["w", "x", "y", "z"].into_iter().enumerate() {
        let house = net.opened(bank, name).await;
        transit.push(account(&net, &house));
        net.banks[bank].command(Command::SetTransitLedger(Some(house.ledger))).await;
        net.banks[bank].command(Command::SetNetting(true)).await;
    }
    for stopped in 0..BANKS {
        let before = owed(&net).await;
        let own: Domain = net.banks[3].domain();
        let found = find_cycles(&own, &net.eur, &obligations(&net).await).remove(0);
        assert_eq!(found.parties.len(), BANKS);
        let by_name = |party: &Domain| {
            transit.iter().find(|account| account.domain == *party).unwrap().clone()
        };
        let cycle = found.parties.iter().map(by_name).collect();
        let amount = Amount::new(NETTED);
        net.banks[3].command(Command::Net { asset: net.eur.clone(), cycle, amount }).await;
        net.restart(stopped).await;
        net.until("the netting has ended everywhere", || closed(&net)).await;
        let fell: Vec<u128> =
            before.iter().zip(owed(&net).await).map(|(was, is)| was - is).collect();
        assert!(fell == [NETTED; BANKS] || fell == [0; BANKS], "bank {stopped}: {fell:?}");
    }
    // And nobody is stopped: it settles.
    let before = owed(&net).await;
    let cycle = [3, 0, 1, 2].iter().map(|bank| transit[*bank].clone()).collect();
    let amount = Amount::new(NETTED);
    net.banks[3].command(Command::Net { asset: net.eur.clone(), cycle, amount }).await;
    net.until("the netting has ended everywhere", || closed(&net)).await;
    assert_eq!(owed(&net).await, before.iter().map(|was| was - NETTED).collect::<Vec<_>>());
    net.until("all have compared their books", || reconciled(&net)).await;
    net.stop().await;
}
