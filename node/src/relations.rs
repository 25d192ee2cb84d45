//! How we stand to other domains, cut from the state: whom we trust, whom we talk to, what we
//! deal in.

use std::collections::BTreeSet;

use quadrille_protocol::limits;
use quadrille_protocol::types::{Domain, Uai};
use quadrille_protocol::validator::State;

/// A view that is made anew whenever a credit limit, an asset or a suspension changes.
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
        Self {
            assets: assets.cloned().collect(),
            trusted: trusting.map(|((domain, _), _)| domain.clone()).collect(),
            suspended: suspended.map(|(domain, _)| domain.clone()).collect(),
            partners: state.peers.keys().cloned().collect(),
        }
    }
}
