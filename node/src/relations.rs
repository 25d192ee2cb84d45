//! How we stand to other domains, cut from the state: whom we trust, whom we talk to, what we
//! deal in.

use std::collections::BTreeSet;

use quadrille_protocol::identity::Dealing;
use quadrille_protocol::limits;
use quadrille_protocol::types::{Domain, Uai, Ubi};
use quadrille_protocol::validator::State;

/// A view that is made anew whenever a credit limit, an asset, a suspension, the transit ledger or
/// a fee changes, and with the first obligation between us and a peer in an asset.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Relations {
    /// Domains with a credit limit of ours above zero.
    pub trusted: BTreeSet<Domain>,
    /// Domains suspended on a proof of fraud.
    pub suspended: BTreeSet<Domain>,
    /// Domains that we have told something, or that have told us something.
    pub partners: BTreeSet<Domain>,
    /// Assets registered here, our own first; as many as a gateway record can name.
    pub assets: Vec<Uai>,
    /// The ledger that payments pass through.
    pub transit: Option<Ubi>,
    /// For each of `assets`, whose obligations we accept: those with a credit limit, and those
    /// to whom we owe some of it, for it is ours that they pay with.
    pub dealings: Vec<Dealing>,
    /// How many correspondent ledgers there are, by peer and asset.
    pub correspondents: usize,
}

impl Relations {
    /// The view of `state`.
    #[must_use]
    pub fn of(state: &State) -> Self {
        let correspondents = state.books.correspondents.iter();
        let trusting = correspondents.filter(|(_, correspondent)| !correspondent.limit.is_zero());
        let suspended = state.peers.iter().filter(|(_, peer)| peer.suspended);
        let assets = state.books.assets.keys();
        let (own, others): (Vec<&Uai>, Vec<&Uai>) =
            assets.partition(|asset| *asset.issuer() == state.domain);
        let assets = own.into_iter().chain(others).take(limits::GATEWAY_SERVICES);
        let assets: Vec<Uai> = assets.cloned().collect();
        Self {
            dealings: assets.iter().map(|asset| dealing(state, asset)).collect(),
            transit: state.transit,
            correspondents: state.books.correspondents.len(),
            assets,
            trusted: trusting.map(|((domain, _), _)| domain.clone()).collect(),
            suspended: suspended.map(|(domain, _)| domain.clone()).collect(),
            partners: state.peers.keys().cloned().collect(),
        }
    }
}

fn dealing(state: &State, asset: &Uai) -> Dealing {
    let ours = state.books.correspondents.iter().filter(|((_, of), _)| of == asset);
    let accepted = ours.filter(|(_, known)| !known.limit.is_zero() || !known.owe.is_zero());
    let accepts = accepted.map(|((peer, _), _)| peer);
    let accepts = accepts.filter(|peer| !state.peer(peer).is_some_and(|known| known.suspended));
    let passes = state.transit.is_some();
    let fee = passes.then(|| state.fees.get(asset).copied().unwrap_or_default());
    Dealing { asset: asset.clone(), fee, accepts: accepts.cloned().collect() }
}
