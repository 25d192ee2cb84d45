//! A bank that says whatever the test wants, under its own key.

use std::sync::Arc;

use super::{Net, Wire};
use quadrille_protocol::codec;
use quadrille_protocol::crypto::hash::Tag;
use quadrille_protocol::crypto::suite::Signature;
use quadrille_protocol::error::Refusal;
use quadrille_protocol::log::{Batch, Evidence, FeedPage, Place, Record, RecordBytes, Statement};
use quadrille_protocol::types::*;

/// Where its made-up log stands.
pub struct Puppet {
    pub at: usize,
    pub height: Height,
    pub previous: Hash,
    /// Per listener: the last number said.
    pub sent: Vec<Sequence>,
}

/// A batch that it has signed.
pub struct Forged {
    pub batch: Arc<Batch>,
    pub signature: Signature,
}

impl Forged {
    /// The frames of its pages.
    pub fn frames(&self) -> Vec<Vec<u8>> {
        let pages = self.batch.pages().iter();
        pages
            .map(|(at, _)| codec::encode(&self.batch.frame(*at, &self.signature).unwrap()))
            .collect()
    }

    pub fn evidence(&self, index: u32) -> Evidence {
        self.batch.evidence(index, &self.signature).unwrap()
    }
}

impl Puppet {
    /// Goes on where the log of bank `at` stands; the bank itself should be silent from now on.
    pub fn new(net: &Net, at: usize) -> Self {
        let state = net.banks[at].validator.state();
        let said =
            |bank: usize| state.peer(&net.domain(bank)).map_or(Sequence(0), |peer| peer.sent);
        Self {
            at,
            height: state.height,
            previous: state.head,
            sent: (0..net.banks.len()).map(said).collect(),
        }
    }

    /// Seals `records` for `to` in a batch of its own.
    pub fn seal(&mut self, net: &Net, to: usize, records: Vec<RecordBytes>) -> Forged {
        self.height = self.height.next();
        let first = self.sent[to].next();
        self.sent[to] = Sequence(self.sent[to].0 + records.len() as u64);
        let forged = self.forge(net, to, first, records);
        self.previous = forged.batch.checkpoint().hash();
        forged
    }

    /// A batch at its present height with `records` as numbers `first` … for `to`.
    pub fn forge(
        &self,
        net: &Net,
        to: usize,
        first: Sequence,
        mut records: Vec<RecordBytes>,
    ) -> Forged {
        let page = FeedPage {
            to: net.domain(to),
            previous: Height(0),
            first,
            items: Bounded::new((0..u32::try_from(records.len()).unwrap()).collect()).unwrap(),
            acknowledged: Sequence(0),
        };
        records.push(Record::Page(page).to_bytes().unwrap());
        let place = Place {
            network: net.network.clone(),
            domain: net.domain(self.at),
            epoch: Epoch(1),
            height: self.height,
            previous: self.previous,
            time: net.now,
        };
        let batch = Batch::close(place, [9; 32], records).unwrap();
        let bytes = batch.checkpoint().to_sign();
        let signature = net.banks[self.at].key.sign(Tag::Checkpoint, &bytes);
        Forged { batch: Arc::new(batch), signature }
    }

    /// Says `statements` to `to`, whose bank takes them in at once.
    pub fn say(&mut self, net: &mut Net, to: usize, statements: Vec<Statement>) -> Forged {
        let records = statements
            .into_iter()
            .map(|statement| Record::Statement(statement).to_bytes().unwrap())
            .collect();
        let forged = self.seal(net, to, records);
        self.deliver(net, to, &forged).unwrap();
        forged
    }

    /// Hands a forged batch's pages to `to`.
    pub fn deliver(&self, net: &mut Net, to: usize, forged: &Forged) -> Result<(), Refusal> {
        for frame in forged.frames() {
            net.deliver(self.at, to, Wire::Frame(frame))?;
        }
        Ok(())
    }
}
