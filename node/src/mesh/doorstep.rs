//! How many connections one address may have half set up.
//!
//! All strangers together share [`PENDING_CONNECTIONS`] places. Without a share for each
//! address, one machine that connects and says nothing would shut everybody else out.
//!
//! Invariant: a place is given back when the connection stands or has failed, so the table is
//! never larger than the places there are.
//!
//! [`PENDING_CONNECTIONS`]: super::config::PENDING_CONNECTIONS

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;
use std::net::IpAddr;
use std::task::{Context, Poll};

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::behaviour::ListenFailure;
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent,
    THandlerOutEvent, ToSwarm, dummy,
};
use libp2p::{Multiaddr, PeerId};

use super::config::PENDING_PER_ADDRESS;

/// Bits of an IPv6 address that one customer of a provider has to itself.
const IPV6_HOST_BITS: u32 = 64;

/// Why a connection is not begun.
#[derive(Debug)]
struct TooMany(IpAddr);

impl fmt::Display for TooMany {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PENDING_PER_ADDRESS} connections from {} are being set up already", self.0)
    }
}

impl std::error::Error for TooMany {}

/// The places taken.
#[derive(Debug, Default)]
pub struct Behaviour {
    pending: HashMap<ConnectionId, IpAddr>,
}

fn source(remote: &Multiaddr) -> Option<IpAddr> {
    match remote.iter().next()? {
        Protocol::Ip4(address) => Some(IpAddr::V4(address)),
        Protocol::Ip6(address) => {
            let network = u128::from(address) >> IPV6_HOST_BITS << IPV6_HOST_BITS;
            Some(IpAddr::V6(network.into()))
        }
        // Sockets have no other addresses.
        _ => None,
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        let Some(source) = source(remote) else { return Ok(()) };
        let taken = self.pending.values().filter(|taken| **taken == source).count();
        if taken >= PENDING_PER_ADDRESS {
            return Err(ConnectionDenied::new(TooMany(source)));
        }
        self.pending.insert(connection, source);
        Ok(())
    }

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.pending.remove(&connection);
        Ok(dummy::ConnectionHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        if let FromSwarm::ListenFailure(ListenFailure { connection_id, .. }) = event {
            self.pending.remove(&connection_id);
        }
    }

    fn on_connection_handler_event(
        &mut self,
        _: PeerId,
        _: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}
