//! A scenario as it is run: everything in it is known to be there and to fit together.

use std::time::Duration;

use quadrille_protocol::crypto::suite::Suite;
use quadrille_protocol::error::Code;
use quadrille_protocol::types::{Amount, Uai};

use super::words::{Happening, Money, Spread, Who};
use crate::local::means::Means;
use crate::local::prepare::Timing;

/// A scenario.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// What it shows, in one line.
    pub title: String,
    /// The suite of the banks' keys.
    pub suite: Suite,
    /// How settlements are timed.
    pub timing: Timing,
    /// How long a step may take that says nothing else.
    pub patience: Duration,
    /// The banks' short names.
    pub banks: Vec<String>,
    /// What the network is funded with.
    pub means: Means,
    /// What is done, in the order of the file.
    pub steps: Vec<Step>,
}

/// One step.
#[derive(Debug, Clone)]
pub struct Step {
    /// Its name, which is its own.
    pub name: String,
    /// Where it is in the file.
    pub line: usize,
    /// When it begins.
    pub begins: Begins,
    /// How long it may take; the scenario's patience when nothing is said.
    pub within: Option<Duration>,
    /// What is done.
    pub act: Act,
    /// What has to come of it.
    pub expect: Expect,
}

/// When a step begins: when all of it is so.
#[derive(Debug, Clone, Default)]
pub struct Begins {
    /// Not before this time of the run.
    pub at: Option<Spread<Duration>>,
    /// These steps are done.
    pub after: Vec<usize>,
    /// So much later.
    pub pause: Option<Spread<Duration>>,
    /// This has happened at a bank, since the steps before it began.
    pub when: Option<(String, Happening)>,
}

/// What has to come of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expect {
    /// Its bank has accepted it; how it ends is no matter here.
    Accepted,
    /// Every leg has moved, at every bank.
    Settled,
    /// None has, at every bank.
    Refunded,
    /// One of the two, the same at every bank.
    Over,
    /// It was refused, or has ended without effect; with this code where one is named.
    Refused(Option<Code>),
}

/// How many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// At least.
    pub least: u64,
    /// At most.
    pub most: u64,
}

/// What a step does.
#[derive(Debug, Clone)]
pub enum Act {
    /// A customer offers something for something else.
    Offer(OfferAct),
    /// A customer takes an offer.
    Take(TakeAct),
    /// A customer pays another.
    Pay(PayAct),
    /// The customer who made an offer takes it back.
    Cancel {
        /// The step that made it.
        offer: usize,
    },
    /// A bank looks for rings of debts and nets them.
    Net {
        /// The bank.
        by: String,
        /// In which asset.
        asset: Uai,
    },
    /// A bank pays what it owes another with its claim on a third.
    SettleUp {
        /// The bank.
        by: String,
        /// To whom.
        to: String,
        /// How much.
        amount: Money,
        /// The third.
        through: String,
    },
    /// A bank changes a credit limit.
    Trust {
        /// The bank.
        by: String,
        /// For whom.
        to: String,
        /// The new limit.
        limit: Money,
    },
    /// Has a bank kill itself at a moment.
    Crash {
        /// The bank, which is restarted for it.
        bank: String,
        /// `MOMENT:RECORD`.
        at: String,
    },
    /// Kills a bank as a power cut would.
    Kill(String),
    /// Starts a bank; ends it first if it runs.
    Restart(String),
    /// Copies a bank's data directory away.
    Backup(String),
    /// Puts a bank's data directory back from a copy, and has it recover.
    Restore {
        /// The bank.
        bank: String,
        /// The step that made the copy.
        from: usize,
    },
    /// Many offers, one after the other.
    Storm(StormAct),
    /// Something is looked at.
    Check(Check),
}

/// An offer.
#[derive(Debug, Clone)]
pub struct OfferAct {
    /// Who.
    pub by: Who,
    /// What is given.
    pub give: Money,
    /// What is wanted for it.
    pub want: Money,
    /// The least of it in one take; all of it when nothing is said.
    pub minimum: Option<Money>,
    /// How long takes are gathered.
    pub window: Duration,
    /// Who is to decide.
    pub notary: Option<String>,
}

/// A take.
#[derive(Debug, Clone)]
pub struct TakeAct {
    /// Who.
    pub by: Who,
    /// The step that made the offer.
    pub offer: usize,
    /// What is paid; what the offer asks when nothing is said.
    pub pay: Option<Money>,
    /// How much is taken; all when nothing is said.
    pub amount: Option<Money>,
}

/// A payment.
#[derive(Debug, Clone)]
pub struct PayAct {
    /// Who.
    pub by: Who,
    /// To whom.
    pub to: Who,
    /// What arrives.
    pub amount: Money,
    /// The most that it may cost; what arrives when nothing is said.
    pub most: Option<Money>,
}

/// Many offers.
#[derive(Debug, Clone)]
pub struct StormAct {
    /// Who makes them, in turn.
    pub by: Vec<Who>,
    /// How many.
    pub offers: u64,
    /// What each gives.
    pub give: Money,
    /// What each wants.
    pub want: Money,
    /// How many are under way at one time.
    pub at_once: usize,
}

/// Something that has to be so, at the latest when the step's time is over.
#[derive(Debug, Clone)]
pub enum Check {
    /// An order of a step has come to this end.
    Ends {
        /// The step.
        step: usize,
        /// How.
        how: Expect,
    },
    /// Of several orders just so many have come to this end, and the others were refused.
    Among {
        /// The steps.
        steps: Vec<usize>,
        /// How many.
        count: u64,
        /// How.
        how: Expect,
    },
    /// A customer has an amount free, or held.
    Holds {
        /// Who.
        who: Who,
        /// How much.
        amount: Money,
        /// Of what is held.
        held: bool,
    },
    /// A bank owes another one an amount, as both of them say.
    Owes {
        /// Who.
        bank: String,
        /// Whom.
        to: String,
        /// How much.
        amount: Money,
    },
    /// A bank knows so many settlements with this end.
    Settlements {
        /// The bank.
        bank: String,
        /// How many.
        count: Count,
        /// Those that settled, or those that were refunded.
        settled: bool,
    },
    /// So many offers are in a bank's book.
    Book {
        /// The bank.
        bank: String,
        /// How many.
        count: Count,
    },
    /// A bank runs and is ready, or its process has ended.
    Runs {
        /// The bank.
        bank: String,
        /// Whether it is to.
        up: bool,
    },
}

impl Money {
    /// The amount, where it is no range.
    #[must_use]
    pub const fn exact(&self) -> Amount {
        Amount::new(self.units.least)
    }
}

impl Expect {
    /// In the words of the file.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Accepted => "accepted".to_owned(),
            Self::Settled => "settled".to_owned(),
            Self::Refunded => "refunded".to_owned(),
            Self::Over => "over".to_owned(),
            Self::Refused(None) => "refused".to_owned(),
            Self::Refused(Some(code)) => format!("refused {code}"),
        }
    }
}
