//! The keeper: makes faults, remembers them, and ends them in time.
//!
//! Invariants:
//! * The list is on the disk before anybody is answered.
//! * What is ended is undone first and taken off the list then, so that a keeper that comes after
//!   this one undoes it again rather than not at all.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use quadrille_node::files::{self, Access};
use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::refuse;
use quadrille_protocol::types::Time;
use tokio::sync::watch;

use super::super::super::layout::Layout;
use super::super::super::up;
use super::super::list::{self, Kept, List};
use super::super::{FAULTS, Fault, FaultId, InForce};
use super::book::Book;
use super::rules::Table;

/// The file in a bank's folder that its process reads.
const TOLD: &str = "faults";
/// Longest time between two looks at the list: a bank may be back, the clock may have jumped.
const LOOK: Duration = Duration::from_secs(1);

/// The faults of a network.
#[derive(Debug)]
pub struct Keeper {
    layout: Layout,
    book: Arc<Book>,
    list: List,
    table: watch::Sender<Arc<Table>>,
}

impl Keeper {
    /// Takes up what the last keeper has left.
    ///
    /// # Errors
    /// `Q-2204` when the list cannot be read.
    pub fn open(layout: Layout, book: Arc<Book>) -> Result<Self, Refusal> {
        let list = list::load(&layout)?;
        let (table, _) = watch::channel(Arc::new(Table::default()));
        let keeper = Self { layout, book, list, table };
        keeper.publish();
        Ok(keeper)
    }

    /// What is in force on links, as it changes.
    #[must_use]
    pub fn table(&self) -> watch::Receiver<Arc<Table>> {
        self.table.subscribe()
    }

    /// Makes a fault.
    ///
    /// # Errors
    /// `Q-1015` there are too many; `Q-2345` the process does not run; `Q-2205`.
    pub fn apply(&mut self, fault: Fault, span: Option<Duration>) -> Result<FaultId, Refusal> {
        if self.list.kept.len() >= FAULTS {
            refuse!(TooMany, "{FAULTS} faults are in force");
        }
        self.list.given = self.list.given.saturating_add(1);
        let id = FaultId(self.list.given);
        if matches!(fault, Fault::Reset { .. }) {
            // It is over before it could be ended.
            self.save()?;
            return Ok(id);
        }
        let since = up::now()?;
        let until = span.map(|span| after(since, span));
        let process = self.process(&fault)?;
        let in_force = InForce { id, fault: fault.clone(), since, until };
        self.list.kept.push(Kept { in_force, process: process.clone() });
        // On the list first: what is made and not on it would never be ended.
        let made = self.save().and_then(|()| self.make(&fault, process.as_ref()));
        if let Err(refusal) = made {
            let _ = self.end(|kept| kept.in_force.id == id);
            return Err(refusal);
        }
        self.publish();
        Ok(id)
    }

    fn process(
        &self,
        fault: &Fault,
    ) -> Result<Option<super::super::super::process::Process>, Refusal> {
        let Fault::Pause { of } = fault else { return Ok(None) };
        let state = self.book.state();
        let bank = state.as_ref().map(|state| state.bank(of)).transpose()?;
        match bank.and_then(|bank| bank.process.clone()) {
            Some(process) => Ok(Some(process)),
            None => refuse!(NotRunning, "{of}"),
        }
    }

    fn make(
        &self,
        fault: &Fault,
        process: Option<&super::super::super::process::Process>,
    ) -> Result<(), Refusal> {
        if let Some(process) = process
            && !process.pause()
        {
            refuse!(NotRunning, "{fault}");
        }
        if fault.is_of_the_node() {
            for name in fault.names() {
                self.tell(name)?;
            }
        }
        Ok(())
    }

    /// Ends one fault, or all but the kills, which whoever starts the bank ends.
    ///
    /// # Errors
    /// `Q-2344` no such fault; `Q-2205`.
    pub fn heal(&mut self, id: Option<FaultId>) -> Result<Vec<Fault>, Refusal> {
        let Some(id) = id else {
            return self.end(|_| true);
        };
        if self.list.kept.iter().all(|kept| kept.in_force.id != id) {
            refuse!(NoSuchFault, "{id}");
        }
        self.end(|kept| kept.in_force.id == id)
    }

    /// Ends what is over. Returns whether a bank waits to be started, and when to look again.
    ///
    /// # Errors
    /// `Q-2205`.
    pub fn look(&mut self) -> Result<(bool, Duration), Refusal> {
        let now = up::now()?;
        let book = self.book.state();
        let over = |kept: &Kept| {
            let passed = kept.in_force.until.is_some_and(|until| until <= now);
            match (&kept.in_force.fault, &kept.process) {
                // It is over when the bank is back.
                (Fault::Kill { of }, _) => {
                    book.as_ref().is_some_and(|state| state.bank(of).is_ok_and(|bank| bank.is_up()))
                }
                // A process that has ended stands still no more.
                (_, Some(process)) => passed || !process.is_alive(),
                (_, None) => passed,
            }
        };
        if self.list.kept.iter().any(over) {
            self.end(over)?;
        }
        let mut waits = false;
        let mut next = LOOK;
        for kept in &self.list.kept {
            let Some(until) = kept.in_force.until else { continue };
            if until <= now {
                waits = true;
            } else {
                next = next.min(Duration::from_millis(until.0.saturating_sub(now.0)));
            }
        }
        Ok((waits, next))
    }

    /// Ends everything, as far as it can be ended; the network goes down.
    pub fn close(&mut self) {
        if let Err(refusal) = self.end(|_| true) {
            eprintln!("{refusal}");
        }
    }

    /// Undoes faults and takes them off the list.
    fn end(&mut self, which: impl Fn(&Kept) -> bool) -> Result<Vec<Fault>, Refusal> {
        let (ended, kept): (Vec<Kept>, Vec<Kept>) =
            std::mem::take(&mut self.list.kept).into_iter().partition(|kept| which(kept));
        self.list.kept = kept;
        let mut told = Ok(());
        for kept in &ended {
            let still = |other: &Kept| other.process.is_some() && other.process == kept.process;
            if let Some(process) = &kept.process
                && !self.list.kept.iter().any(still)
            {
                process.resume();
            }
            if kept.in_force.fault.is_of_the_node() {
                for name in kept.in_force.fault.names() {
                    told = told.and(self.tell(name));
                }
            }
        }
        self.publish();
        let saved = self.save();
        told.and(saved)?;
        Ok(ended.into_iter().map(|kept| kept.in_force.fault).collect())
    }

    /// Writes down for a bank's process what it has to get wrong.
    fn tell(&self, name: &str) -> Result<(), Refusal> {
        let mut skew_ms = 0_i64;
        let mut lines = BTreeMap::new();
        for kept in &self.list.kept {
            match &kept.in_force.fault {
                Fault::Skew { of, by_ms } if of == name => {
                    skew_ms = skew_ms.saturating_add(*by_ms);
                }
                fault @ (Fault::DiskFull { of } | Fault::FsyncError { of }) if of == name => {
                    lines.insert(fault.kind(), format!("{}\n", fault.kind()));
                }
                Fault::Partition { .. }
                | Fault::Latency { .. }
                | Fault::Loss { .. }
                | Fault::Bandwidth { .. }
                | Fault::Reset { .. }
                | Fault::Pause { .. }
                | Fault::Kill { .. }
                | Fault::Skew { .. }
                | Fault::DiskFull { .. }
                | Fault::FsyncError { .. } => {}
            }
        }
        if skew_ms != 0 {
            lines.insert("skew-ms", format!("skew-ms {skew_ms}\n"));
        }
        let folder = self.layout.faults_of(name);
        let path = folder.join(TOLD);
        if lines.is_empty() {
            return match std::fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    Err(files::cannot_write(&path, &error))
                }
                Ok(()) | Err(_) => Ok(()),
            };
        }
        files::private_folder(&folder)?;
        let text: String = lines.into_values().collect();
        files::replace(&path, text.as_bytes(), Access::Private)
    }

    fn publish(&self) {
        let known = self.list.kept.iter().map(|kept| &kept.in_force);
        let table = Table::of(known, &self.table.borrow());
        // Links that nothing is asked of are not woken.
        if !(table.is_calm() && self.table.borrow().is_calm()) {
            self.table.send_replace(Arc::new(table));
        }
    }

    fn save(&self) -> Result<(), Refusal> {
        list::save(&self.layout, &self.list)
            .map_err(|refusal| Refusal::new(Code::ProxyFailed, refusal.to_string()))
    }
}

fn after(now: Time, span: Duration) -> Time {
    now.after(quadrille_protocol::types::Duration(
        u64::try_from(span.as_millis()).unwrap_or(u64::MAX),
    ))
}
