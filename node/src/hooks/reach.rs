//! How a receiver is reached: which addresses may be called, and one HTTP exchange.
//!
//! Whoever may add a subscription must not be able to make the node call what only the node can
//! reach. So the address that is connected to is the one that was judged: the name is looked up
//! here, every address of it is judged, and there is no second look-up, no redirect and no proxy.
//!
//! Invariants: plain HTTP leaves this machine only where the operator has allowed that; an address
//! that is not public is called only where the operator has allowed that; every exchange has a
//! bound in time and in bytes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_rustls::TlsConnector;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Method, Request, Uri};
use hyper_util::rt::TokioIo;
use quadrille_protocol::error::{Code, Refusal};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_util::compat::{FuturesAsyncReadCompatExt as _, TokioAsyncReadCompatExt as _};

/// Longest address.
const URL_BYTES: usize = 2_048;
/// Addresses of a name that are tried.
const ADDRESSES: usize = 4;
/// Bytes of an answer that are read; what it says does not matter.
const ANSWER_BYTES: usize = 64 * 1024;

/// What the operator allows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Policy {
    /// Plain HTTP to other machines, too.
    pub allow_http: bool,
    /// Addresses that are not public, too.
    pub allow_private: bool,
}

/// Where events are sent to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    tls: bool,
    host: String,
    port: u16,
    /// `host` and the port, where that is not the scheme's own.
    authority: String,
    path: String,
}

impl Target {
    /// Reads an address and judges it as far as that is possible without looking it up.
    ///
    /// # Errors
    /// `Q-2801` not an address, `Q-2804` not one that may be called.
    pub fn read(url: &str, policy: Policy) -> Result<Self, Refusal> {
        let bad = |what: &str| Refusal::new(Code::BadSubscription, format!("url: {what}"));
        if url.len() > URL_BYTES {
            return Err(bad("too long"));
        }
        let uri: Uri = url.parse().map_err(|_| bad("https://HOST/PATH is wanted"))?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            Some(_) | None => return Err(bad("https://HOST/PATH is wanted")),
        };
        let authority = uri.authority().ok_or_else(|| bad("it names no host"))?;
        if authority.as_str().contains('@') {
            return Err(bad("a password in it would be in every log"));
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        let target = Self { tls, host, port, authority: authority.to_string(), path };
        let literal: Option<IpAddr> = target.host.parse().ok();
        let here = literal.map_or(target.host == "localhost", |ip| ip.is_loopback());
        if !tls && !here && !policy.allow_http {
            let what = format!("{}: plain HTTP only to this machine", target.authority);
            return Err(Refusal::new(Code::AddressNotAllowed, what));
        }
        if let Some(ip) = literal {
            target.judge(ip, policy)?;
        }
        Ok(target)
    }

    fn judge(&self, ip: IpAddr, policy: Policy) -> Result<(), Refusal> {
        let named = |what: &str| {
            let what = format!("{} is {ip}, which is {what}", self.host);
            Err(Refusal::new(Code::AddressNotAllowed, what))
        };
        // What only claims to be this machine gets no plain HTTP.
        let elsewhere = self.host == "localhost" && !ip.is_loopback();
        match kind_of(ip) {
            Kind::Nobody => named("nobody's"),
            Kind::Private if !policy.allow_private => named("not public"),
            Kind::Private | Kind::Public if elsewhere => named("not this machine"),
            Kind::Private | Kind::Public => Ok(()),
        }
    }

    /// Addresses that may be called, judged.
    async fn addresses(&self, policy: Policy) -> Result<Vec<SocketAddr>, Refusal> {
        let failed = |what: String| Refusal::new(Code::DeliveryFailed, what);
        let found = tokio::net::lookup_host((self.host.as_str(), self.port)).await;
        let found = found.map_err(|error| failed(format!("{}: {error}", self.host)))?;
        let found: Vec<SocketAddr> = found.take(ADDRESSES).collect();
        for address in &found {
            self.judge(address.ip(), policy)?;
        }
        if found.is_empty() {
            return Err(failed(format!("{} has no address", self.host)));
        }
        Ok(found)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// On the open network.
    Public,
    /// On this machine, or on a network that is not open.
    Private,
    /// Not one machine's address.
    Nobody,
}

fn kind_of(ip: IpAddr) -> Kind {
    match ip {
        IpAddr::V4(ip) => kind_of_v4(ip),
        IpAddr::V6(ip) => kind_of_v6(ip),
    }
}

fn kind_of_v4(ip: Ipv4Addr) -> Kind {
    match ip.octets() {
        // This network, multicast, reserved, broadcast.
        [0 | 224..=255, ..] => Kind::Nobody,
        [10 | 127, ..] | [169, 254, ..] | [192, 168, ..] => Kind::Private,
        [172, second, ..] if (16..32).contains(&second) => Kind::Private,
        // Behind a carrier's translation; special; benchmarks.
        [100, second, ..] if (64..128).contains(&second) => Kind::Private,
        [192, 0, 0, _] | [198, 18 | 19, ..] => Kind::Private,
        _ => Kind::Public,
    }
}

fn kind_of_v6(ip: Ipv6Addr) -> Kind {
    if let Some(inner) = ip.to_ipv4_mapped() {
        return kind_of_v4(inner);
    }
    let [a, b, c, d, e, f, high, low] = ip.segments();
    let inner = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        kind_of_v4(Ipv4Addr::new(a, b, c, d))
    };
    match a {
        0 if ip.is_loopback() => Kind::Private,
        // The rest of it: unspecified, and forms that nobody uses any more.
        0 => Kind::Nobody,
        // Translated and tunnelled addresses are what they hold.
        0x64 if [b, c, d, e, f] == [0xff9b, 0, 0, 0, 0] => inner(high, low),
        0x64 => Kind::Private,
        0x2002 => inner(b, c),
        0xfc00..=0xfdff | 0xfe80..=0xfeff => Kind::Private,
        0xff00..=0xffff => Kind::Nobody,
        _ => Kind::Public,
    }
}

/// One connection to a receiver, kept for as long as both like it.
pub struct Line {
    sender: SendRequest<Full<Bytes>>,
}

/// Makes connections. Cheap to clone.
#[derive(Clone)]
pub struct Dialer {
    tls: Arc<ClientConfig>,
    policy: Policy,
    timeout: Duration,
}

impl Dialer {
    /// One that trusts the certificates that this machine trusts.
    ///
    /// # Errors
    /// `Q-1807` when TLS cannot be set up.
    pub fn new(policy: Policy, timeout: Duration) -> Result<Self, Refusal> {
        let mut roots = RootCertStore::empty();
        // Those that cannot be read cannot vouch for anybody.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Refusal::new(Code::NodeFault, format!("TLS: {error}")))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { tls: Arc::new(tls), policy, timeout })
    }

    /// What is allowed.
    #[must_use]
    pub const fn policy(&self) -> Policy {
        self.policy
    }

    /// Posts `body` to `target`, over `line` if that still stands. Ends well when the receiver
    /// answers 2xx.
    ///
    /// # Errors
    /// `Q-2804` an address that may not be called, `Q-2805` not reached or not taken.
    pub async fn post(
        &self,
        target: &Target,
        line: &mut Option<Line>,
        headers: &[(&'static str, &str)],
        body: Bytes,
    ) -> Result<(), Refusal> {
        let exchange = self.exchange(target, line, headers, body);
        match tokio::time::timeout(self.timeout, exchange).await {
            Ok(done) => done,
            Err(_) => {
                *line = None;
                let what = format!("{}: no answer within the time", target.authority);
                Err(Refusal::new(Code::DeliveryFailed, what))
            }
        }
    }

    async fn exchange(
        &self,
        target: &Target,
        line: &mut Option<Line>,
        headers: &[(&'static str, &str)],
        body: Bytes,
    ) -> Result<(), Refusal> {
        let failed = |what: &dyn std::fmt::Display| {
            Refusal::new(Code::DeliveryFailed, format!("{}: {what}", target.authority))
        };
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(&target.path)
            .header(HOST, &target.authority)
            .header(USER_AGENT, concat!("quadrille/", env!("CARGO_PKG_VERSION")))
            .header(CONTENT_TYPE, "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body)).map_err(|error| failed(&error))?;
        // Taken out: after a failure the connection is not used again.
        let mut open = match line.take().filter(|line| !line.sender.is_closed()) {
            Some(open) => open,
            None => self.connect(target).await?,
        };
        open.sender.ready().await.map_err(|error| failed(&error))?;
        let answer = open.sender.send_request(request).await.map_err(|error| failed(&error))?;
        let status = answer.status();
        let read = Limited::new(answer.into_body(), ANSWER_BYTES).collect().await;
        if read.is_ok() {
            *line = Some(open);
        }
        match status.is_success() {
            true => Ok(()),
            false => Err(failed(&format!("it answered {status}"))),
        }
    }

    async fn connect(&self, target: &Target) -> Result<Line, Refusal> {
        let failed = |what: &dyn std::fmt::Display| {
            Refusal::new(Code::DeliveryFailed, format!("{}: {what}", target.authority))
        };
        let addresses = target.addresses(self.policy).await?;
        let stream = TcpStream::connect(&addresses[..]).await.map_err(|error| failed(&error))?;
        stream.set_nodelay(true).map_err(|error| failed(&error))?;
        let sender = if target.tls {
            let name = ServerName::try_from(target.host.clone()).map_err(|error| failed(&error))?;
            let connector = TlsConnector::from(self.tls.clone());
            let stream = connector.connect(name, stream.compat()).await;
            let stream = stream.map_err(|error| failed(&error))?.compat();
            handshake(TokioIo::new(stream)).await
        } else {
            handshake(TokioIo::new(stream)).await
        };
        Ok(Line { sender: sender.map_err(|error| failed(&error))? })
    }
}

async fn handshake<T>(stream: T) -> Result<SendRequest<Full<Bytes>>, hyper::Error>
where
    T: hyper::rt::Read + hyper::rt::Write + Send + Unpin + 'static,
{
    let (sender, connection) = http1::handshake(stream).await?;
    // It ends with the connection, which ends when the sender is dropped.
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "connection to a receiver of events ended");
        }
    });
    Ok(sender)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Policy = Policy { allow_http: false, allow_private: false };
    const PRIVATE: Policy = Policy { allow_http: false, allow_private: true };
    const ALL: Policy = Policy { allow_http: true, allow_private: true };

    fn code(url: &str, policy: Policy) -> Option<Code> {
        Target::read(url, policy).err().map(|refusal| refusal.code)
    }

    #[test]
    fn plain_http_stays_on_this_machine_unless_it_is_allowed() {
        let refused = Some(Code::AddressNotAllowed);
        assert_eq!(code("http://desk.example/hook", NOTHING), refused);
        assert_eq!(code("http://desk.example/hook", PRIVATE), refused);
        assert_eq!(code("http://10.0.0.7/hook", PRIVATE), refused);
        assert_eq!(code("http://127.0.0.1:9/hook", PRIVATE), None);
        assert_eq!(code("http://[::1]:9/hook", PRIVATE), None);
        assert_eq!(code("http://localhost:9/hook", PRIVATE), None);
        assert_eq!(code("http://10.0.0.7/hook", ALL), None);
        assert_eq!(code("https://desk.example/hook", NOTHING), None);
    }

    #[test]
    fn addresses_that_are_not_public_are_refused_however_they_are_written() {
        for host in [
            "127.0.0.1",
            "10.1.2.3",
            "172.31.0.1",
            "192.168.0.1",
            "169.254.169.254",
            "100.64.0.1",
            "[::1]",
            "[fd00::1]",
            "[fe80::1]",
            "[::ffff:10.0.0.1]",
            "[64:ff9b::10.0.0.1]",
            "[2002:0a00:0001::1]",
        ] {
            let url = format!("https://{host}/");
            assert_eq!(code(&url, NOTHING), Some(Code::AddressNotAllowed), "{host}");
            assert_eq!(code(&url, ALL), None, "{host}");
        }
        for host in ["0.0.0.0", "224.0.0.1", "255.255.255.255", "[::]", "[ff02::1]"] {
            let url = format!("https://{host}/");
            assert_eq!(code(&url, ALL), Some(Code::AddressNotAllowed), "{host}");
        }
        for host in ["192.0.2.1", "172.32.0.1", "[2001:db8::1]"] {
            assert_eq!(code(&format!("https://{host}/"), NOTHING), None, "{host}");
        }
    }

    #[test]
    fn what_is_no_address_of_a_receiver_is_refused() {
        let long = format!("https://desk.example/{}", "x".repeat(URL_BYTES));
        for url in
            ["", "desk", "ftp://desk.example", "https:///x", "https://u:p@desk.example", &long]
        {
            assert_eq!(code(url, ALL), Some(Code::BadSubscription), "{url}");
        }
    }

    #[tokio::test]
    async fn a_name_of_a_private_address_is_refused_when_it_is_called() {
        let dialer = Dialer::new(NOTHING, Duration::from_secs(5)).unwrap();
        let target = Target::read("https://localhost/hook", NOTHING).unwrap();
        let done = dialer.post(&target, &mut None, &[], Bytes::new()).await;
        assert_eq!(done.unwrap_err().code, Code::AddressNotAllowed);
    }
}
