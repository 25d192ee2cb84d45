//! Pages asked for over streams of their own: a peer's live offers, and the members it knows.
//!
//! ```text
//!   /quadrille/book/1      -> (nothing)            <- Root{root, count} | Refused, then each offer
//!   /quadrille/members/1   -> MembersRequest       <- one page, and no more on this stream
//! ```
//!
//! Each connected peer is asked on connecting and then now and then. Nobody is believed: a book
//! is checked against its signed root by the host, each document of a member by itself.
//!
//! Invariants: what is served at one time, to one peer in some time, and in one answer is
//! bounded; every exchange has an end.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bincode::{Decode, Encode};
use futures::StreamExt;
use libp2p::{PeerId, Stream, StreamProtocol};
use quadrille_protocol::codec;
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::identity::{
    SignedCertificate, SignedGatewayRecord, SignedRevocation, SignedRotation,
};
use quadrille_protocol::limits;
use quadrille_protocol::log::Evidence;
use quadrille_protocol::refuse;
use quadrille_protocol::types::{Bounded, Domain};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use super::admission;
use super::conduct::Offence;
use super::config::{HELLO_ROTATIONS, PAGES_FETCHED, PAGES_SERVED, Rate};
use super::host::{LiveOffers, MemberDocuments};
use super::packet;
use super::rate::{Bucket, Buckets};
use super::retry::Backoff;
use super::shared::Shared;

/// The protocol of live offers.
pub const BOOK: StreamProtocol = StreamProtocol::new("/quadrille/book/1");
/// The protocol of member lists.
pub const MEMBERS: StreamProtocol = StreamProtocol::new("/quadrille/members/1");

/// Largest packet of either protocol.
const PAGE_BYTES: usize = limits::FRAME_BYTES;
/// Members, and revocations, on one page.
const PAGE_ITEMS: usize = 64;
/// A page is full from here on: one more member still fits.
const PAGE_FULL: usize = PAGE_BYTES / 2;
/// Pages that one answer to us may have.
const PAGES: usize = 2 * limits::MEMBERS / PAGE_ITEMS;
/// Largest request.
const REQUEST_BYTES: usize = 256;
/// Largest evidence of an offer.
const OFFER_BYTES: usize = limits::GOSSIP_BYTES;
/// What one peer may ask for, and all together.
const RATE: Rate = Rate { burst: 128, each: 32, period: Duration::from_secs(10) };
const RATE_ALL: Rate = Rate { burst: 1024, each: 256, period: Duration::from_secs(10) };
/// Member lists asked for at once, and in every interval after that.
const LISTS: u32 = 4;
/// A whole answer may take this many times as long as one page.
const ANSWER_PAGES: u32 = 10;

const _: () = assert!(
    PAGE_FULL
        + limits::SIGNED_CERTIFICATE_BYTES
        + HELLO_ROTATIONS * limits::SIGNED_ROTATION_BYTES / 2
        < PAGE_BYTES
);

#[derive(Debug, Encode, Decode)]
enum BookAnswer {
    Root { root: Box<Evidence>, count: u32 },
    Refused(Refusal),
}

/// Members first, then revocations: these name keys that must be known by then.
#[derive(Debug, Clone, Encode, Decode)]
enum MembersRequest {
    /// Members whose names sort after this one.
    Members(Option<Domain>),
    /// Revocations after so many.
    Revocations(u32),
}

#[derive(Debug, Encode, Decode)]
struct MemberEntry {
    certificate: SignedCertificate,
    rotations: Bounded<SignedRotation, HELLO_ROTATIONS>,
    gateway: Option<SignedGatewayRecord>,
}

#[derive(Debug, Encode, Decode)]
struct MembersPage {
    members: Bounded<MemberEntry, PAGE_ITEMS>,
    more: bool,
}

#[derive(Debug, Encode, Decode)]
struct RevocationsPage {
    revocations: Bounded<SignedRevocation, PAGE_ITEMS>,
    more: bool,
}

/// After a connection a peer's book is asked for at once, and again after this: gossip takes a moment
/// to know who listens, and an offer of that moment is in neither the first list nor the gossip.
const BOOK_AGAIN: Duration = Duration::from_secs(3);

/// When a peer is asked next, and how long to wait when it cannot answer.
#[derive(Debug)]
struct Next {
    at: Instant,
    backoff: Backoff,
}

#[derive(Debug)]
struct Due {
    /// The connection that this is about.
    since: Option<Instant>,
    book: Next,
    /// When its book is asked for a second time.
    book_again: Option<Instant>,
    members: Next,
}

/// Serves pages and asks for them.
pub struct Pages {
    shared: Arc<Shared>,
    control: libp2p_stream::Control,
    tasks: TaskTracker,
    served: Arc<Semaphore>,
    fetched: Arc<Semaphore>,
    rates: Mutex<Buckets>,
    /// When each connected peer is asked next.
    due: Mutex<BTreeMap<Domain, Due>>,
}

/// What a peer asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Book,
    Members,
}

impl Pages {
    /// Serves and asks on `tasks` until the mesh stops.
    ///
    /// # Errors
    /// `Q-2013` when the protocols are served already.
    pub fn start(
        shared: Arc<Shared>,
        control: libp2p_stream::Control,
        tasks: TaskTracker,
    ) -> Result<(), Refusal> {
        let pages = Arc::new(Self {
            shared,
            control: control.clone(),
            tasks: tasks.clone(),
            served: Arc::new(Semaphore::new(PAGES_SERVED)),
            fetched: Arc::new(Semaphore::new(PAGES_FETCHED)),
            rates: Mutex::new(Buckets::new(RATE, RATE_ALL)),
            due: Mutex::default(),
        });
        for (protocol, kind) in [(BOOK, Kind::Book), (MEMBERS, Kind::Members)] {
            let incoming = control
                .clone()
                .accept(protocol)
                .map_err(|error| Refusal::new(Code::MeshStopped, error.to_string()))?;
            tasks.spawn(pages.clone().accept(incoming, kind));
        }
        tasks.spawn(pages.ask());
        Ok(())
    }

    async fn accept(self: Arc<Self>, mut incoming: libp2p_stream::IncomingStreams, kind: Kind) {
        loop {
            let next = tokio::select! {
                () = self.shared.stop.cancelled() => return,
                next = incoming.next() => next,
            };
            let Some((peer, stream)) = next else { return };
            self.serve(peer, stream, kind);
        }
    }

    fn serve(self: &Arc<Self>, peer: PeerId, mut stream: Stream, kind: Kind) {
        let Some(domain) = self.shared.roster.domain(&peer) else { return };
        let taken = self.rates.lock().unwrap_or_else(PoisonError::into_inner).take(&domain);
        if taken.is_err() {
            self.shared.offend_quietly(&domain, Offence::TooFast);
            return;
        }
        // Full: the stream is dropped, and the peer asks again later.
        let Ok(room) = self.served.clone().try_acquire_owned() else { return };
        let pages = self.clone();
        self.tasks.spawn(async move {
            let limit = pages.shared.config.timing.page.saturating_mul(ANSWER_PAGES);
            let answer = async {
                match kind {
                    Kind::Book => pages.serve_book(&mut stream).await,
                    Kind::Members => pages.serve_members(&domain, &mut stream).await,
                }
            };
            let answered = tokio::select! {
                () = pages.shared.stop.cancelled() => return,
                answered = timeout(limit, answer) => answered,
            };
            match answered {
                Ok(Ok(())) => pages.shared.counters.pages_served.one(),
                Ok(Err(refusal)) => tracing::debug!(%domain, ?kind, %refusal, "not served"),
                Err(_) => tracing::debug!(%domain, ?kind, "not served in time"),
            }
            drop(room);
        });
    }

    async fn serve_book(&self, stream: &mut Stream) -> Result<(), Refusal> {
        let list = match self.shared.host.live_offers().await {
            Ok(list) => list,
            Err(refusal) => {
                let answer = codec::encode(&BookAnswer::Refused(refusal));
                packet::write(stream, &answer).await?;
                return packet::close(stream).await;
            }
        };
        let count = u32::try_from(list.offers.len())
            .map_err(|_| Refusal::new(Code::TooMany, "live offers"))?;
        let answer = codec::encode(&BookAnswer::Root { root: Box::new(list.root), count });
        packet::write(stream, &answer).await?;
        for offer in &list.offers {
            packet::write(stream, &codec::encode(offer)).await?;
        }
        packet::close(stream).await
    }

    async fn serve_members(&self, domain: &Domain, stream: &mut Stream) -> Result<(), Refusal> {
        let limit = self.shared.config.timing.page;
        let request = match timeout(limit, packet::read(stream, REQUEST_BYTES)).await {
            Ok(Ok(bytes)) => codec::decode::<MembersRequest, REQUEST_BYTES>(&bytes),
            Ok(Err(refusal)) => Err(refusal),
            Err(_) => Err(Refusal::new(Code::SessionStalled, "no request")),
        };
        let request = request.inspect_err(|refusal| {
            self.shared.counters.bad_requests.one();
            self.shared.offend(domain, Offence::BadRequest, &refusal.to_string());
        })?;
        let page = match request {
            MembersRequest::Members(after) => codec::encode(&self.members_page(after.as_ref())?),
            MembersRequest::Revocations(had) => codec::encode(&self.revocations_page(had)?),
        };
        packet::write(stream, &page).await?;
        packet::close(stream).await
    }

    /// The members after the last one had: what the host keeps, and what came by.
    fn members_page(&self, after: Option<&Domain>) -> Result<MembersPage, Refusal> {
        let shared = &self.shared;
        let most = PAGE_ITEMS.saturating_add(1);
        let mut known: BTreeMap<Domain, MemberDocuments> =
            shared.members.after(after, most).into_iter().collect();
        known.extend(shared.host.members_after(after, most));
        known.remove(shared.host.domain());
        let (mut members, mut bytes, mut more) = (Vec::new(), 0_usize, false);
        for (domain, documents) in known {
            if members.len() == PAGE_ITEMS || bytes >= PAGE_FULL {
                more = true;
                break;
            }
            let gateway = shared.roster.record(&domain).map(|record| record.signed().clone());
            let mut rotations = documents.rotations;
            rotations.truncate(HELLO_ROTATIONS);
            let entry = MemberEntry {
                certificate: documents.certificate,
                rotations: Bounded::new(rotations)?,
                gateway,
            };
            bytes = bytes.saturating_add(codec::with_encoded(&entry, <[u8]>::len));
            members.push(entry);
        }
        Ok(MembersPage { members: Bounded::new(members)?, more })
    }

    fn revocations_page(&self, had: u32) -> Result<RevocationsPage, Refusal> {
        let had = usize::try_from(had).unwrap_or(usize::MAX);
        let mut revocations: Vec<_> =
            self.shared.host.revocations().into_iter().skip(had).collect();
        let more = revocations.len() > PAGE_ITEMS;
        revocations.truncate(PAGE_ITEMS);
        Ok(RevocationsPage { revocations: Bounded::new(revocations)?, more })
    }

    fn due(&self) -> MutexGuard<'_, BTreeMap<Domain, Due>> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks connected peers when their time has come.
    async fn ask(self: Arc<Self>) {
        let timing = self.shared.config.timing;
        let mut lists = Bucket::full(Rate { burst: LISTS, each: LISTS, period: timing.refresh });
        let mut tick = tokio::time::interval(timing.tick);
        loop {
            tokio::select! {
                () = self.shared.stop.cancelled() => return,
                _ = tick.tick() => {}
            }
            for (domain, peer, kind) in self.now_due(&mut lists) {
                self.tasks.spawn(self.clone().fetch(domain, peer, kind));
            }
        }
    }

    /// Whom to ask for what now. Every peer for its book; only some for their members, since
    /// all know much the same: a few at once, and when somebody unknown is wanted the one that
    /// was asked longest ago.
    fn now_due(&self, lists: &mut Bucket) -> Vec<(Domain, PeerId, Kind)> {
        let shared = &self.shared;
        let connected: BTreeMap<Domain, PeerId> =
            shared.roster.connected_domains().into_iter().collect();
        let now = Instant::now();
        let mut asked = Vec::new();
        let mut due = self.due();
        due.retain(|domain, _| connected.contains_key(domain));
        for (domain, peer) in &connected {
            let since = shared.roster.connected_since(peer);
            let next = due.entry(domain.clone()).or_insert_with(|| self.at_once(since));
            if next.since != since {
                // It was gone for a moment: what it published meanwhile has passed us by.
                *next = self.at_once(since);
            }
            let feeds = shared.host.is_validator() && shared.roster.feeds(domain);
            let again = feeds && next.book_again.is_some_and(|at| at <= now);
            if again {
                next.book_again = None;
            }
            if again || (feeds && next.book.at <= now) {
                next.book.at = self.later();
                asked.push((domain.clone(), *peer, Kind::Book));
            }
            if next.members.at <= now && lists.take() {
                next.members.at = self.later();
                asked.push((domain.clone(), *peer, Kind::Members));
            }
        }
        let nobody = !asked.iter().any(|(_, _, kind)| *kind == Kind::Members);
        if nobody && shared.members_wanted.swap(false, Ordering::Relaxed) {
            let longest = due.iter_mut().min_by_key(|(_, due)| due.members.at);
            if let Some((domain, next)) = longest
                && let Some(peer) = connected.get(domain)
            {
                next.members.at = self.later();
                asked.push((domain.clone(), *peer, Kind::Members));
            }
        }
        asked
    }

    fn at_once(&self, since: Option<Instant>) -> Due {
        let timing = self.shared.config.timing;
        let next = || Next {
            at: Instant::now(),
            backoff: Backoff::new(timing.retry_first, timing.refresh / 10),
        };
        let book_again = Instant::now().checked_add(BOOK_AGAIN);
        Due { since, book: next(), book_again, members: next() }
    }

    /// The usual interval from now, more or less, so that not all ask together.
    fn later(&self) -> Instant {
        let wait = self.shared.config.timing.refresh.mul_f64(rand::random_range(0.75..=1.25));
        let now = Instant::now();
        now.checked_add(wait).unwrap_or(now)
    }

    async fn fetch(self: Arc<Self>, domain: Domain, peer: PeerId, kind: Kind) {
        let limit = self.shared.config.timing.page.saturating_mul(ANSWER_PAGES);
        let work = async {
            let _room = self
                .fetched
                .acquire()
                .await
                .map_err(|error| Refusal::new(Code::MeshStopped, error.to_string()))?;
            match kind {
                Kind::Book => self.fetch_book(&domain, peer).await,
                Kind::Members => self.fetch_members(&domain, peer).await,
            }
        };
        let fetched = tokio::select! {
            () = self.shared.stop.cancelled() => return,
            fetched = timeout(limit, work) => fetched,
        };
        let fetched = fetched
            .unwrap_or_else(|_| Err(Refusal::new(Code::SessionStalled, format!("{limit:?}"))));
        let mut due = self.due();
        let Some(due) = due.get_mut(&domain) else { return };
        let next = match kind {
            Kind::Book => &mut due.book,
            Kind::Members => &mut due.members,
        };
        let Err(refusal) = fetched else { return next.backoff.succeed() };
        tracing::debug!(%domain, ?kind, %refusal, "no page");
        // A line that was lost, or a peer that cannot answer now. Anything else will not be
        // better in a moment.
        if matches!(refusal.code, Code::SessionStalled | Code::NotLive | Code::QueueFull) {
            let now = Instant::now();
            next.at = now.checked_add(next.backoff.fail()).unwrap_or(now);
        }
    }

    async fn open(&self, peer: PeerId, protocol: StreamProtocol) -> Result<Stream, Refusal> {
        self.control
            .clone()
            .open_stream(peer, protocol)
            .await
            .map_err(|error| Refusal::new(Code::SessionStalled, error.to_string()))
    }

    async fn fetch_book(&self, domain: &Domain, peer: PeerId) -> Result<(), Refusal> {
        let mut stream = self.open(peer, BOOK).await?;
        let answer = self.read(&mut stream, PAGE_BYTES).await?;
        let decoded = codec::decode::<BookAnswer, PAGE_BYTES>(&answer);
        let answer = decoded.inspect_err(|refusal| self.bad_page(domain, refusal))?;
        let (root, count) = match answer {
            BookAnswer::Refused(refusal) => return Err(refusal),
            BookAnswer::Root { root, count } => (*root, count),
        };
        if usize::try_from(count).map_or(true, |count| count > limits::REMOTE_OFFERS_PER_PEER) {
            // More than we keep of one peer: an honest one with a large market. Its newer
            // offers come by gossip.
            refuse!(TooMany, "{count} live offers, at most {}", limits::REMOTE_OFFERS_PER_PEER);
        }
        let mut offers = Vec::new();
        for _ in 0..count {
            let bytes = self.read(&mut stream, OFFER_BYTES).await?;
            let offer = codec::decode::<Evidence, OFFER_BYTES>(&bytes);
            offers.push(offer.inspect_err(|refusal| self.bad_page(domain, refusal))?);
        }
        let list = LiveOffers { root, offers };
        let taken = self.shared.host.take_live_offers(domain, list).await;
        let count = taken.inspect_err(|refusal| {
            self.shared.counters.bad_pages.one();
            self.shared.offend(domain, Offence::Refused(refusal.code), &refusal.what);
        })?;
        self.shared.counters.books_taken.one();
        tracing::debug!(%domain, count, "live offers taken");
        Ok(())
    }

    async fn fetch_members(&self, domain: &Domain, peer: PeerId) -> Result<(), Refusal> {
        let mut after = None;
        for _ in 0..PAGES {
            let request = MembersRequest::Members(after.clone());
            let page: MembersPage = self.ask_page(domain, peer, &request).await?;
            let more = page.more;
            let last = self.take_members(domain, page).await?;
            if !more {
                break;
            }
            if last <= after {
                let refusal = Refusal::new(Code::NotCanonical, "members out of order");
                self.bad_page(domain, &refusal);
                return Err(refusal);
            }
            after = last;
        }
        let mut had = 0_u32;
        for _ in 0..PAGES {
            let request = MembersRequest::Revocations(had);
            let page: RevocationsPage = self.ask_page(domain, peer, &request).await?;
            let (count, more) = (page.revocations.len(), page.more);
            self.take_revocations(domain, page).await;
            if !more || count == 0 {
                break;
            }
            had = had.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
        }
        Ok(())
    }

    async fn ask_page<T>(
        &self,
        domain: &Domain,
        peer: PeerId,
        request: &MembersRequest,
    ) -> Result<T, Refusal>
    where
        T: Decode<()> + Encode,
    {
        let mut stream = self.open(peer, MEMBERS).await?;
        packet::write(&mut stream, &codec::encode(request)).await?;
        let bytes = self.read(&mut stream, PAGE_BYTES).await?;
        let page = codec::decode::<T, PAGE_BYTES>(&bytes);
        let page = page.inspect_err(|refusal| self.bad_page(domain, refusal))?;
        self.shared.counters.member_pages_taken.one();
        Ok(page)
    }

    /// Takes up what verifies, in the order in which documents rest on each other. What does
    /// not verify (expired, of an authority unknown here) is not the teller's fault.
    async fn take_members(
        &self,
        teller: &Domain,
        page: MembersPage,
    ) -> Result<Option<Domain>, Refusal> {
        let mut last = None;
        for entry in page.members.into_vec() {
            let domain = entry.certificate.parse()?.domain;
            if domain != *self.shared.host.domain()
                && let Err(refusal) = self.take_member(&domain, entry).await
            {
                self.shared.counters.members_refused.one();
                tracing::debug!(%teller, %domain, %refusal, "a member is not taken up");
            }
            last = Some(domain);
        }
        Ok(last)
    }

    async fn take_revocations(&self, teller: &Domain, page: RevocationsPage) {
        for signed in page.revocations.into_vec() {
            let taken = admission::take_revocation(&*self.shared.host, &signed).await;
            if let Err(refusal) = taken {
                self.shared.counters.members_refused.one();
                tracing::debug!(%teller, %refusal, "a revocation is not taken up");
            }
        }
    }

    async fn take_member(&self, domain: &Domain, entry: MemberEntry) -> Result<(), Refusal> {
        let (host, shared) = (&*self.shared.host, &self.shared);
        admission::take_certificate(host, &shared.members, &entry.certificate).await?;
        admission::take_rotations(host, &shared.members, domain, &entry.rotations).await?;
        let Some(signed) = entry.gateway else { return Ok(()) };
        let sequence = signed.parse()?.sequence;
        if shared.roster.sequence(domain).is_some_and(|known| known >= sequence) {
            return Ok(());
        }
        let record = admission::verify_gateway(host, &shared.roster, &signed)?;
        if record.record().domain != *domain {
            refuse!(WrongDomain, "a gateway record of {}", record.record().domain);
        }
        shared.roster.learn(record, None)
    }

    async fn read(&self, stream: &mut Stream, most: usize) -> Result<Vec<u8>, Refusal> {
        let limit = self.shared.config.timing.page;
        match timeout(limit, packet::read(stream, most)).await {
            Ok(read) => read,
            Err(_) => Err(Refusal::new(Code::SessionStalled, format!("nothing for {limit:?}"))),
        }
    }

    fn bad_page(&self, domain: &Domain, refusal: &Refusal) {
        self.shared.counters.bad_pages.one();
        self.shared.offend(domain, Offence::BadPage, &refusal.to_string());
    }
}
