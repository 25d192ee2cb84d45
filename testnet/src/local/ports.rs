//! The ports of a local network: whether somebody else has taken one, and choosing new ones.
//!
//! What counts is what a bank's own file says that it listens on.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};

use quadrille_node::config::{self, Config, Sources};
use quadrille_node::files;
use quadrille_protocol::error::Refusal;
use quadrille_protocol::identity::Address;
use quadrille_protocol::refuse;

use super::layout::{BOOTSTRAP, Layout};
use super::prepare;
use super::process::Process;
use super::state::{Bank, State};

/// Any port of this machine's loopback, for the mesh.
const ANY_ADDRESS: &str = "/ip4/127.0.0.1/tcp/0";

/// What a bank is configured to be.
///
/// # Errors
/// `Q-2204`, and those of [`Sources::load`].
pub fn config_of(layout: &Layout, bank: &str) -> Result<Config, Refusal> {
    let dir = layout.node(bank);
    let file = files::read_text(&config::Layout::new(&dir).config(), config::FILE_BYTES)?;
    // Without our own environment, which is not the node's.
    let sources = Sources { dir, file: Some(file), environment: Vec::new(), flags: Vec::new() };
    Ok(sources.load()?.config)
}

/// Goes on when no other program has the ports of the bank, which does not run.
///
/// # Errors
/// `Q-2373` one has. Where the file cannot be read the bank's own process says so.
pub fn check(layout: &Layout, bank: &str) -> Result<(), Refusal> {
    let Ok(config) = config_of(layout, bank) else { return Ok(()) };
    let mesh = config.mesh.listen.iter().filter_map(socket);
    for address in std::iter::once(config.api.listen).chain(mesh) {
        free(bank, address)?;
    }
    Ok(())
}

/// The same for the bootstrap peer, at the address that it had.
///
/// # Errors
/// `Q-2373`.
pub fn check_bootstrap(address: &Address) -> Result<(), Refusal> {
    socket(address).map_or(Ok(()), |address| free(BOOTSTRAP, address))
}

fn free(name: &str, address: SocketAddr) -> Result<(), Refusal> {
    match TcpListener::bind(address) {
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            refuse!(PortTaken, "{name}: another program listens on {address}")
        }
        // Whatever else is wrong shows when its process starts.
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Where a mesh address listens, when it is one of TCP.
fn socket(address: &Address) -> Option<SocketAddr> {
    let mut parts = address.as_str().split('/').skip(1);
    let (ip, tcp) = (parts.next()?, (parts.next()?, parts.next()?, parts.next()?));
    let host: IpAddr = match (ip, tcp.0) {
        ("ip4" | "ip6", host) => host.parse().ok()?,
        _ => IpAddr::V4(Ipv4Addr::LOCALHOST),
    };
    (tcp.1 == "tcp").then_some(())?;
    Some(SocketAddr::new(host, tcp.2.parse().ok()?))
}

/// The first process of a network that does not run whose port somebody else has.
#[must_use]
pub fn taken(layout: &Layout, state: &State) -> Option<Refusal> {
    let down = |process: Option<&Process>| !process.is_some_and(Process::is_alive);
    let bootstrap = state.bootstrap.p2p.as_ref();
    let bootstrap = bootstrap.filter(|_| down(state.bootstrap.process.as_ref()));
    let banks = state.banks.iter().filter(|bank| down(bank.process.as_ref()));
    bootstrap
        .and_then(|address| check_bootstrap(address).err())
        .or_else(|| banks.filter_map(|bank| check(layout, &bank.name).err()).next())
}

/// Has a bank that does not run choose new ports at its next start.
///
/// # Errors
/// Those of [`prepare::configure`].
pub fn renew(layout: &Layout, bank: &mut Bank) -> Result<(), Refusal> {
    let flags = [("api.listen", "127.0.0.1:0"), ("mesh.listen", ANY_ADDRESS)];
    prepare::configure(&layout.node(&bank.name), &flags)?;
    (bank.api, bank.p2p) = (None, None);
    Ok(())
}

/// The same for all of a network's processes, none of which runs.
///
/// # Errors
/// As [`renew`].
pub fn renew_all(layout: &Layout, state: &mut State) -> Result<(), Refusal> {
    state.bootstrap.p2p = None;
    state.banks.iter_mut().try_for_each(|bank| renew(layout, bank))
}

#[cfg(test)]
mod tests {
    use quadrille_protocol::error::Code;

    use super::*;

    #[test]
    fn a_port_that_somebody_listens_on_is_taken() {
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = other.local_addr().unwrap();
        let mesh: Address = format!("/ip4/127.0.0.1/tcp/{}", address.port()).parse().unwrap();
        assert_eq!(socket(&mesh), Some(address));
        assert_eq!(check_bootstrap(&mesh).unwrap_err().code, Code::PortTaken);
        drop(other);
        check_bootstrap(&mesh).unwrap();
        let quic: Address = "/ip4/127.0.0.1/udp/9/quic-v1".parse().unwrap();
        assert_eq!(socket(&quic), None, "nobody can say of that one");
    }
}
