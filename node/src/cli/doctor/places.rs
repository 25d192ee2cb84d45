//! Checks of where a node is: files' permissions, guard, disk, ports, network.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use quadrille_protocol::identity::Address;

use super::Finding;
use super::checks::Facts;
use crate::files;

/// Free space below which a log cannot be expected to go on for long.
const SPACE_LOW: u64 = 1024 * 1024 * 1024;
/// Free space below which the node is about to stop.
const SPACE_NONE: u64 = 64 * 1024 * 1024;
/// Longest wait for a bootstrap address.
const CONNECT: Duration = Duration::from_secs(2);
/// Bits of a mode that let others in.
const OTHERS: u32 = 0o077;

/// What is secret is its owner's alone.
pub(super) fn permissions(facts: &Facts, findings: &mut Vec<Finding>) {
    const CHECK: &str = "permissions";
    let layout = &facts.layout;
    let before = findings.len();
    for path in [layout.identity(), layout.keys(), layout.tokens(), layout.vault()] {
        let Ok(metadata) = std::fs::metadata(&path) else { continue };
        let mode = metadata.permissions().mode() & 0o777;
        if mode & OTHERS != 0 {
            let strict = if metadata.is_dir() { "700" } else { "600" };
            let path = path.display();
            let what = format!("others can open {path} (mode {mode:03o})");
            findings.push(Finding::fail(CHECK, what, format!("Run: chmod {strict} {path}")));
        }
    }
    if findings.len() == before {
        findings.push(Finding::ok(CHECK, "keys and tokens are open to their owner alone"));
    }
}

/// What payments are screened with is there: without it every payment is declined.
pub(super) fn compliance(facts: &Facts, findings: &mut Vec<Finding>) {
    const CHECK: &str = "compliance";
    let options = &facts.config.compliance;
    if options.screening.is_empty() && options.deny_list.is_empty() {
        return;
    }
    let before = findings.len();
    for (option, file, bits) in [
        ("compliance.screening", &options.screening, 0o111),
        ("compliance.deny_list", &options.deny_list, 0o444),
    ] {
        if file.is_empty() {
            continue;
        }
        let path = facts.config.dir.join(file);
        let mode = std::fs::metadata(&path).map(|about| about.permissions().mode());
        if !mode.is_ok_and(|mode| mode & bits != 0) {
            let what = format!("{} cannot be used: every payment is declined", path.display());
            let remedy = format!("Put the file there, with its permissions, or change {option}.");
            findings.push(Finding::fail(CHECK, what, remedy));
        }
    }
    if findings.len() == before {
        findings.push(Finding::ok(CHECK, "what payments are screened with is there"));
    }
}

/// The guard is there and apart from the log.
pub(super) fn guard(facts: &Facts, findings: &mut Vec<Finding>) {
    const CHECK: &str = "guard";
    let (config, path) = (&facts.config, facts.config.guard_dir());
    let what = path.display().to_string();
    findings.push(if !path.is_dir() {
        Finding::fail(CHECK, format!("{what} is missing"), "Mount its disk, or restore the folder.")
    } else if config.guard_is_apart() {
        Finding::ok(CHECK, format!("{what}, apart from the log"))
    } else {
        let remedy = "Set node.guard_dir to a folder on another disk: after a restore from an old \
                      copy a guard inside goes back too, so that every start must hear all peers \
                      first.";
        Finding::warn(CHECK, format!("{what} is inside the data directory"), remedy)
    });
}

/// There is room for the log.
pub(super) fn disk(facts: &Facts, findings: &mut Vec<Finding>) {
    const CHECK: &str = "disk";
    let dir = facts.layout.dir();
    let free = match rustix::fs::statvfs(dir) {
        Ok(found) => found.f_bavail.saturating_mul(found.f_frsize),
        Err(error) => {
            let refusal = files::cannot_read(dir, &io::Error::from(error));
            findings.push(Finding::refused(CHECK, &refusal));
            return;
        }
    };
    let what = format!("{} MiB free", free / (1024 * 1024));
    findings.push(if free < SPACE_NONE {
        Finding::fail(CHECK, what, "Make room: a node stops when its log cannot be written.")
    } else if free < SPACE_LOW {
        Finding::warn(CHECK, what, "Make room soon.")
    } else {
        Finding::ok(CHECK, what)
    });
}

/// The ports are free, or this node has them.
pub(super) fn listening(facts: &Facts, findings: &mut Vec<Finding>) {
    const CHECK: &str = "ports";
    if let Some(pid) = running(&facts.layout.endpoints()) {
        findings.push(Finding::ok(CHECK, format!("the node is running as process {pid}")));
        return;
    }
    let mesh = facts.config.mesh.listen.iter().filter_map(socket);
    let wanted: Vec<SocketAddr> = std::iter::once(facts.config.api.listen).chain(mesh).collect();
    for address in &wanted {
        if let Err(error) = TcpListener::bind(address) {
            let remedy = "End what uses it, or set another address in quadrille.toml.";
            findings.push(Finding::fail(CHECK, format!("{address}: {error}"), remedy));
            return;
        }
    }
    let wanted: Vec<String> = wanted.iter().map(ToString::to_string).collect();
    findings.push(Finding::ok(CHECK, format!("free: {}", wanted.join(", "))));
}

/// The process that says in `path` that it is this node, if it is alive.
fn running(path: &Path) -> Option<u64> {
    let text = files::read_text(path, 64 * 1024).ok()?;
    let endpoints: serde_json::Value = serde_json::from_str(&text).ok()?;
    let pid = endpoints.get("pid")?.as_u64()?;
    Path::new("/proc").join(pid.to_string()).exists().then_some(pid)
}

/// Somebody answers where the network is reached first.
pub(super) fn network(facts: &Facts, findings: &mut Vec<Finding>) {
    const CHECK: &str = "network";
    let file = facts.network.iter().flat_map(|network| network.bootstrap());
    let known: Vec<&Address> = file
        .chain(&facts.config.mesh.bootstrap)
        .chain(facts.config.mesh.peers.iter().flat_map(|peer| &peer.addresses))
        .collect();
    if known.is_empty() {
        let remedy = "Set mesh.bootstrap or mesh.peers, unless others connect to this node.";
        findings.push(Finding::warn(CHECK, "no address to connect to first", remedy));
        return;
    }
    let reached: Vec<&str> =
        known.iter().filter(|address| answers(address)).map(|address| address.as_str()).collect();
    let (count, all) = (reached.len(), known.len());
    let what = format!("{count} of {all} addresses answer");
    findings.push(if count == 0 {
        Finding::fail(CHECK, what, "Check the addresses, the firewall, and that the peers run.")
    } else if count < all {
        Finding::warn(CHECK, what, "Check the addresses that do not answer.")
    } else {
        Finding::ok(CHECK, what)
    });
}

fn answers(address: &Address) -> bool {
    resolve(address).iter().any(|socket| TcpStream::connect_timeout(socket, CONNECT).is_ok())
}

/// The socket of an address with an IP address and a TCP port.
fn socket(address: &Address) -> Option<SocketAddr> {
    match parts(address)? {
        ("ip4" | "ip6", host, port) => {
            let host: std::net::IpAddr = host.parse().ok()?;
            Some(SocketAddr::new(host, port))
        }
        _ => None,
    }
}

/// The sockets of an address, its name looked up where it has one.
fn resolve(address: &Address) -> Vec<SocketAddr> {
    match parts(address) {
        Some(("ip4" | "ip6", ..)) => socket(address).into_iter().collect(),
        Some((_, host, port)) => {
            (host, port).to_socket_addrs().map(Iterator::collect).unwrap_or_default()
        }
        None => Vec::new(),
    }
}

/// Kind of host, host and TCP port.
fn parts(address: &Address) -> Option<(&str, &str, u16)> {
    let mut parts = address.as_str().split('/').skip(1);
    let (kind, host) = (parts.next()?, parts.next()?);
    let transport = parts.next()?;
    let port = parts.next()?.parse().ok()?;
    (transport == "tcp").then_some((kind, host, port))
}
