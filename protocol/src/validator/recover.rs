//! Recovery: getting back what an old disk has forgotten, before saying anything new.
//!
//! ```text
//!  boot --guard behind or unsure--> Gathering --everybody heard--> Adopting --> Live
//!           peers: our own pages back (Returned), their later pages (Frame)
//!           customers: their entries back (ReturnedEvidence)
//! ```
//!
//! Invariants: nothing is written, decided, refunded or revealed while gathering; the first
//! checkpoint afterwards stands above every height that was ever signed, as far as the guard
//! and all peers know. How what came back is written down again is in `adopt`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::Validator;
use super::adopt::{Adoption, plan};
use super::effect::Event;
use super::input::{Boot, Command, Guard, Input, Message, RequestId};
use super::peers::{Place, place_of};
use crate::error::{Code, Fault, Refusal};
use crate::identity::{Change, Role};
use crate::limits;
use crate::log::{Evidence, FeedPage, ReceivedFrame, Record, Statement};
use crate::sabotage::{Bug, planted};
use crate::types::{Domain, Height, Sequence, Time};

/// What the validator is doing.
#[derive(Debug)]
pub(super) enum Mode {
    /// Taking part.
    Live,
    /// Asking everybody what it has said.
    Gathering(Box<Gathering>),
    /// Writing down again what came back.
    Adopting(VecDeque<Adoption>),
}

/// What has come back so far.
#[derive(Debug, Default)]
pub(super) struct Gathering {
    awaiting: BTreeSet<Domain>,
    claims: BTreeMap<Domain, Claim>,
    /// Our own records by height and place.
    pub own: BTreeMap<(Height, u32), Evidence>,
    /// Our own pages among them.
    pub pages: BTreeMap<(Height, u32), FeedPage>,
    /// How far each peer has given our feed back.
    returned: BTreeMap<Domain, Sequence>,
    /// Peers' pages that our log does not have.
    pub inbound: BTreeMap<Domain, Vec<ReceivedFrame>>,
    /// Peers whose feed contradicts itself: nothing more of it can ever be taken.
    contradicted: BTreeSet<Domain>,
    /// Membership news entered meanwhile, to be written down first.
    pub news: Vec<Record>,
    /// What the signer remembers.
    pub guard: Option<Guard>,
    /// Whether anything is known to be lost.
    pub lost: bool,
    customers_heard: bool,
    /// More was lost than can be gathered at once: a newer copy is needed.
    overflow: bool,
}

/// How far a recovery has come, for whoever watches it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// Peers that have not shown everything yet that they say there is.
    pub awaiting: Vec<Domain>,
    /// Whether anything is known to be lost.
    pub lost: bool,
    /// Whether the operator has said that the customers' copies are all in.
    pub customers_heard: bool,
    /// Records of ours that have come back.
    pub returned: usize,
    /// More was lost than can be gathered at once.
    pub overflow: bool,
}

/// What a peer says of both feeds.
#[derive(Debug, Clone, Copy)]
struct Claim {
    sent: Sequence,
    received: Sequence,
}

impl Validator {
    pub(super) fn mode_at_boot(&self, boot: Boot) -> Mode {
        if planted(Bug::ActAfterRestore) {
            return Mode::Live;
        }
        let (guard, apart) = match boot {
            Boot::GuardApart(guard) => (Some(guard), true),
            Boot::GuardUnsure(guard) => (guard, false),
        };
        // A log one step ahead of its guard was cut between fsync and signature: all is well.
        let lost = guard.is_some_and(|guard| {
            let same = guard.hash == self.state.head;
            guard.height > self.state.height || (guard.height == self.state.height && !same)
        });
        // It stopped while it was writing down again what it had lost.
        let lost = lost || self.state.adopting.is_some();
        let awaiting = self.acquaintances();
        if !lost && (apart || awaiting.is_empty()) {
            return Mode::Live;
        }
        Mode::Gathering(Box::new(Gathering { awaiting, guard, lost, ..Gathering::default() }))
    }

    /// Everybody who may have heard us: an old log need not know whom we have met since. A member
    /// that is no validator and no notary keeps no log and has no feed.
    pub(super) fn acquaintances(&self) -> BTreeSet<Domain> {
        let members = self.state.directory.members();
        let others = members.filter(|(domain, _)| **domain != self.state.domain);
        let listening = others.filter(|(domain, member)| {
            let certificate = member.certificate();
            let hears = certificate.has_role(Role::Validator) || certificate.has_role(Role::Notary);
            hears || self.state.peers.contains_key(*domain)
        });
        listening.map(|(domain, _)| domain.clone()).collect()
    }

    pub(super) fn begin_recovery(&mut self, reason: String) {
        let awaiting = self.acquaintances();
        let gathering = Gathering { awaiting, lost: true, ..Gathering::default() };
        self.volatile.mode = Mode::Gathering(Box::new(gathering));
        self.volatile.searches.clear();
        self.event(Event::Recovering { reason });
        self.greet_peers();
    }

    pub(super) fn handle_recovering(&mut self, input: Input) -> Result<(), Fault> {
        match input {
            Input::Order { request, .. }
            | Input::Pay { request, .. }
            | Input::Open { request, .. } => {
                self.refuse_while_recovering(request);
            }
            Input::Command { request, command } => self.command_recovering(request, command),
            Input::Frame { frame, .. } => self.gather_inbound(*frame),
            Input::Message { from, message } => {
                let (sent, received) = match message {
                    Message::Resume { network, sent, received } => {
                        self.resume(&from, &network, sent, received);
                        (sent, received)
                    }
                    Message::Ack { sent, received } => (sent, received),
                    Message::Query(_) => return Ok(()),
                };
                if let Mode::Gathering(gathering) = &mut self.volatile.mode {
                    gathering.claims.insert(from, Claim { sent, received });
                }
            }
            Input::Returned { by, frame } => {
                if self.proves_loss(&by, &frame) {
                    self.gather_own(&by, &frame);
                }
            }
            Input::ReturnedEvidence(returned) => {
                let evidence = returned.evidence();
                if *evidence.domain() == self.state.domain {
                    self.keep_own(evidence.clone());
                }
            }
            Input::Connected(peer) => self.ask_to_resume(&peer),
            Input::Tick
            | Input::Notice(_)
            | Input::Notices(_)
            | Input::Shown(_)
            | Input::NeverDecided { .. } => {}
        }
        Ok(())
    }

    fn refuse_while_recovering(&mut self, request: RequestId) {
        let awaiting = match &self.volatile.mode {
            Mode::Gathering(gathering) => gathering.awaiting.len(),
            Mode::Live | Mode::Adopting(_) => 0,
        };
        let refusal = Refusal::new(Code::Recovering, format!("{awaiting} peers to be heard"));
        self.reply(request, Err(refusal));
    }

    fn command_recovering(&mut self, request: RequestId, command: Command) {
        let Mode::Gathering(gathering) = &mut self.volatile.mode else {
            return self.refuse_while_recovering(request);
        };
        match command {
            Command::GiveUpOn(domain) => {
                gathering.awaiting.remove(&domain);
            }
            Command::CustomersHeard => gathering.customers_heard = true,
            // Without these a peer's later pages could not be verified.
            Command::Admit(verified) => {
                let record = Record::Admitted(Box::new(verified.signed().clone()));
                let changed = self.state.directory.admit(&verified);
                return self.note_news(request, record, changed);
            }
            Command::Rotate(verified) if verified.rotation().domain != self.state.domain => {
                let record = Record::Rotated(Box::new(verified.signed().clone()));
                let changed = self.state.directory.rotate(&verified);
                return self.note_news(request, record, changed);
            }
            Command::Revoke(verified) => {
                let record = Record::Revoked(Box::new(verified.signed().clone()));
                let changed = self.state.directory.revoke(&verified);
                return self.note_news(request, record, changed);
            }
            _ => return self.refuse_while_recovering(request),
        }
        self.reply(request, Ok(super::Accepted::default()));
    }

    fn note_news(&mut self, request: RequestId, record: Record, changed: Result<Change, Refusal>) {
        if let Mode::Gathering(gathering) = &mut self.volatile.mode
            && matches!(changed, Ok(Change::Applied))
            && gathering.news.len() < limits::MEMBERS
        {
            gathering.news.push(record);
        }
        self.reply(request, changed.map(|_| super::Accepted::default()));
    }

    /// How far both feeds with a peer have come, what is gathered included.
    pub(super) fn progress(&self, peer: &Domain) -> (Sequence, Sequence) {
        let known = self.state.peer(peer);
        let (sent, received) = known.map_or((Sequence(0), Sequence(0)), |p| (p.sent, p.received));
        let Mode::Gathering(gathering) = &self.volatile.mode else { return (sent, received) };
        let returned = gathering.returned.get(peer).copied().unwrap_or(sent);
        let inbound = gathering.inbound.get(peer).and_then(|frames| frames.last());
        (returned, inbound.map_or(received, |frame| frame.page().last()))
    }

    pub(super) fn gather_own(&mut self, by: &Domain, frame: &ReceivedFrame) {
        let sent = self.state.peer(by).map_or(Sequence(0), |peer| peer.sent);
        let Mode::Gathering(gathering) = &mut self.volatile.mode else { return };
        gathering.lost = true;
        let known = gathering.returned.get(by).copied().unwrap_or(sent);
        let page = frame.page();
        if page.first > known.next() || page.last() <= known {
            return;
        }
        gathering.returned.insert(by.clone(), page.last());
        let height = frame.checkpoint().checkpoint.height;
        gathering.pages.insert((height, frame.frame().page), page.clone());
        // Our later pages are signed with the later key.
        for item in frame.items() {
            if let Some(Statement::Rotated(rotation)) = &item.statement {
                let _ = self.state.directory.replay_rotation(rotation);
            }
        }
        for position in 0..=page.items.len() {
            if let Ok(evidence) = frame.evidence(position) {
                self.keep_own(evidence);
            }
        }
    }

    fn keep_own(&mut self, evidence: Evidence) {
        let place = (evidence.checkpoint.checkpoint.height, evidence.index);
        let last = self.state.adopting.unwrap_or((self.state.height, u32::MAX));
        let Mode::Gathering(gathering) = &mut self.volatile.mode else { return };
        if place <= last {
            return;
        }
        gathering.lost = true;
        gathering.overflow |= gathering.own.len() >= limits::RECOVERED_RECORDS;
        if !gathering.overflow {
            gathering.own.insert(place, evidence);
        }
    }

    fn gather_inbound(&mut self, frame: ReceivedFrame) {
        let from = frame.from().clone();
        let logged = self.taken_of(&from);
        let Mode::Gathering(gathering) = &mut self.volatile.mode else { return };
        let frames = gathering.inbound.entry(from.clone()).or_default();
        let (received, height) = frames
            .last()
            .map_or(logged, |last| (last.page().last(), last.checkpoint().checkpoint.height));
        match place_of(received, height, &frame) {
            Place::Next => {
                if frames.len() < limits::UNACKNOWLEDGED_PAGES {
                    frames.push(frame);
                }
            }
            Place::Known | Place::Gap => {}
            Place::Crooked => {
                if gathering.contradicted.insert(from.clone()) {
                    self.crooked(&from, received, &frame);
                }
            }
        }
    }

    /// Whether a peer has shown everything that it says there is, or all that can be taken of
    /// it. What it has heard of us it gives back in either case.
    fn is_heard(&self, gathering: &Gathering, peer: &Domain) -> bool {
        let Some(claim) = gathering.claims.get(peer) else { return false };
        let (returned, inbound) = self.progress(peer);
        // Where nothing of ours is lost, the rest of its own feed can come as it always does.
        let needless = !gathering.lost || gathering.contradicted.contains(peer);
        claim.received <= returned && (claim.sent <= inbound || needless)
    }

    /// How far the recovery has come; `None` when there is none. What has come back and is being
    /// written down awaits nobody.
    #[must_use]
    pub fn recovery(&self) -> Option<Recovery> {
        match &self.volatile.mode {
            Mode::Live => None,
            Mode::Gathering(gathering) => {
                let awaited = gathering.awaiting.iter();
                let awaited = awaited.filter(|peer| !self.is_heard(gathering, peer));
                Some(Recovery {
                    awaiting: awaited.cloned().collect(),
                    lost: gathering.lost,
                    customers_heard: gathering.customers_heard,
                    returned: gathering.own.len(),
                    overflow: gathering.overflow,
                })
            }
            Mode::Adopting(left) => Some(Recovery {
                awaiting: Vec::new(),
                lost: true,
                customers_heard: true,
                returned: left.len(),
                overflow: false,
            }),
        }
    }

    pub(super) fn has_more_to_recover(&self) -> bool {
        matches!(self.volatile.mode, Mode::Adopting(_))
    }

    /// Goes on with a recovery where it can.
    pub(super) fn continue_recovery(&mut self, now: Time) -> Result<(), Fault> {
        if let Mode::Gathering(gathering) = &self.volatile.mode {
            let complete = !gathering.overflow
                && gathering.awaiting.iter().all(|peer| self.is_heard(gathering, peer))
                && (!gathering.lost || gathering.customers_heard);
            if !complete {
                return Ok(());
            }
            let mode = std::mem::replace(&mut self.volatile.mode, Mode::Live);
            if let Mode::Gathering(gathering) = mode {
                self.volatile.mode = Mode::Adopting(plan(&self.state, *gathering));
            }
        }
        self.adopt(now)
    }
}
