//! What happened in a range of seeds, in figures.

use comfy_table::{ContentArrangement, Table, presets};

use super::broken::{Broken, Kind};

macro_rules! figures {
    ($($(#[$doc:meta])* $name:ident: $title:literal,)*) => {
        /// What happened, counted.
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        pub struct Figures {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Figures {
            /// Adds another run's figures.
            pub fn add(&mut self, other: &Figures) {
                $(self.$name += other.$name;)*
            }

            /// The figures with their titles.
            #[must_use]
            pub fn rows(&self) -> Vec<(&'static str, u64)> {
                vec![$(($title, self.$name),)*]
            }
        }
    };
}

figures! {
    /// Seeds that were run.
    seeds: "seeds",
    /// Occasions that happened.
    steps: "steps",
    /// Turns that validators took.
    turns: "turns",
    /// Batches that were written.
    batches: "batches",
    /// Frames that were sent.
    frames: "frames sent",
    /// Requests that were accepted.
    accepted: "requests accepted",
    /// Requests that were refused.
    refused: "requests refused",
    /// Settlements of which an honest party's first application was to settle.
    settled: "settlements settled",
    /// Settlements of which it was to refund.
    refunded: "settlements refunded",
    /// Reveals written.
    reveals: "reveals",
    /// Nodes that died.
    crashes: "crashes",
    /// Writes or syncs that failed.
    disk_errors: "disk errors",
    /// Restarts from an old copy.
    restores: "restores",
    /// Recoveries that began.
    recoveries: "recoveries",
    /// Lost statements that did not fit.
    unresolved: "unresolved",
    /// Frames given back to who had lost them.
    returned: "frames given back",
    /// Second processes on one guard.
    twins: "double starts",
    /// Signatures that a guard refused.
    guard_refusals: "guard refusals",
    /// Packets that never arrived.
    lost: "messages lost",
    /// Packets that an edge refused.
    packets_refused: "packets refused",
    /// Cuts of the network.
    cuts: "partitions",
    /// Clocks that jumped.
    clock_jumps: "clock jumps",
    /// Keys of domains that were rotated.
    rotations: "key rotations",
    /// Byzantine acts.
    lies: "byzantine acts",
    /// Suspensions on proof of fraud.
    suspensions: "suspensions",
    /// Breaks between books that were found.
    breaks: "breaks found",
    /// Bookings of netting and settle-up.
    netted: "nettings booked",
    /// Reports of misbehaviour.
    misbehaved: "misbehaviour seen",
    /// Events that subscribers were told, repetitions included.
    delivered: "events delivered",
    /// Decisions looked up in a log.
    look_ups: "decisions looked up",
    /// Replays that were compared.
    replays: "replays compared",
    /// Frames that were delivered again.
    redeliveries: "redeliveries compared",
    /// Virtual time that the healing took, added up.
    healing_ms: "healing, virtual ms",
}

/// What came of one seed.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// What happened.
    pub figures: Figures,
    /// What did not hold, if anything.
    pub broken: Option<Broken>,
    /// The story, where one was asked for.
    pub trace: String,
}

/// The figures as a table.
#[must_use]
pub fn table(figures: &Figures) -> String {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN);
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["what", "how many"]);
    for (title, count) in figures.rows() {
        table.add_row([title.to_owned(), count.to_string()]);
    }
    if let Some(column) = table.column_mut(1) {
        column.set_cell_alignment(comfy_table::CellAlignment::Right);
    }
    table.to_string()
}

/// The process's exit code for what was found.
#[must_use]
pub const fn exit_code(broken: Option<&Broken>) -> u8 {
    match broken {
        None => 0,
        Some(broken) => match broken.kind {
            Kind::Crash => 127,
            Kind::Liveness => 128,
            Kind::Safety => 129,
        },
    }
}
