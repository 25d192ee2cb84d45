//! Whose connection it is: the process that has dialled a front, from the machine's own tables.
//!
//! ```text
//!   127.0.0.1:49152 -> front    /proc/net/tcp: inode 4711    /proc/PID/fd: socket:[4711] = bank-a
//! ```
//!
//! A partition is between banks, and all connections come from one address. The other end cannot
//! be asked, since the proxy understands nothing of what it passes on, and giving each bank an
//! address of its own would make local banks different from real ones. The tables need no rights
//! beyond the user's own: the processes are his.
//!
//! Nobody is looked up before there is a fault of links. Then one look finds everybody, and what
//! it found is kept until the connection ends: another process may get its port after that.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use super::super::super::layout::PROXY;
use super::book::Book;

/// The name of a dialler that is none of the network's processes.
pub const STRANGER: &str = "";

/// The fields of a line of `/proc/net/tcp`.
const LOCAL_FIELD: usize = 1;
const REMOTE_FIELD: usize = 2;
const INODE_FIELD: usize = 9;

/// Who has dialled, by the address that the connection comes from.
#[derive(Debug)]
pub struct Owners {
    book: Arc<Book>,
    fronts: HashSet<SocketAddr>,
    known: Mutex<HashMap<SocketAddr, String>>,
}

impl Owners {
    /// Nobody who has dialled one of `fronts` is known yet.
    #[must_use]
    pub fn new(book: Arc<Book>, fronts: HashSet<SocketAddr>) -> Self {
        Self { book, fronts, known: Mutex::default() }
    }

    /// The name of the process that dials from `peer`; [`STRANGER`] when it is none of ours.
    #[must_use]
    pub fn of(&self, peer: SocketAddr) -> String {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(name) = known.get(&peer) {
            return name.clone();
        }
        let names = self.processes();
        let sockets = fs::read_to_string("/proc/net/tcp").unwrap_or_default();
        for socket in sockets.lines().filter_map(Socket::of) {
            if self.fronts.contains(&socket.remote)
                && let Some(name) = names.get(&socket.inode)
            {
                known.insert(socket.local, name.clone());
            }
        }
        known.get(&peer).cloned().unwrap_or_else(|| STRANGER.to_owned())
    }

    /// The connection from `peer` has ended.
    pub fn forget(&self, peer: SocketAddr) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(&peer);
    }

    /// The sockets of every process of the network.
    fn processes(&self) -> HashMap<u64, String> {
        let mut names = HashMap::new();
        let Some(state) = self.book.state() else { return names };
        for (name, process) in state.processes().filter(|(name, _)| *name != PROXY) {
            let Ok(files) = fs::read_dir(format!("/proc/{}/fd", process.pid)) else { continue };
            for file in files.flatten() {
                let Ok(target) = fs::read_link(file.path()) else { continue };
                if let Some(inode) = socket_inode(&target.to_string_lossy()) {
                    names.insert(inode, name.to_owned());
                }
            }
        }
        names
    }
}

fn socket_inode(target: &str) -> Option<u64> {
    target.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// A line of `/proc/net/tcp`.
#[derive(Debug, PartialEq, Eq)]
struct Socket {
    local: SocketAddr,
    remote: SocketAddr,
    inode: u64,
}

impl Socket {
    fn of(line: &str) -> Option<Self> {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let local = address(fields.get(LOCAL_FIELD)?)?;
        let remote = address(fields.get(REMOTE_FIELD)?)?;
        let inode = fields.get(INODE_FIELD)?.parse().ok().filter(|inode| *inode != 0)?;
        Some(Self { local, remote, inode })
    }
}

fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    // The address is in the machine's byte order, the port is not.
    let ip = Ipv4Addr::from(u32::from_str_radix(ip, 16).ok()?.to_ne_bytes());
    let port = u16::from_str_radix(port, 16).ok()?;
    Some(SocketAddr::from((ip, port)))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn our_own_socket_stands_in_the_machine_s_tables() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let dialled = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let text = fs::read_to_string("/proc/net/tcp").unwrap();
        let address = dialled.local_addr().unwrap();
        let found = text.lines().filter_map(Socket::of).find(|found| found.local == address);
        let Socket { remote, inode, .. } = found.unwrap();
        assert_eq!(remote, listener.local_addr().unwrap());
        let own = fs::read_dir("/proc/self/fd").unwrap().flatten();
        let mut targets = own.filter_map(|file| fs::read_link(file.path()).ok());
        assert!(targets.any(|target| socket_inode(&target.to_string_lossy()) == Some(inode)));
    }

    #[test]
    fn other_lines_and_other_files_are_passed_over() {
        assert_eq!(Socket::of("  sl  local_address rem_address   st tx_queue rx_queue"), None);
        assert_eq!(Socket::of("0: nonsense"), None);
        assert_eq!(socket_inode("/dev/null"), None);
        assert_eq!(socket_inode("pipe:[12]"), None);
    }
}
