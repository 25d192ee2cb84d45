//! The list of faults in force, as it is on the disk.
//!
//! Invariant: the proxy alone writes it, whole, before it answers; everybody reads it.

use quadrille_node::files::{self, Access};
use quadrille_protocol::error::{Code, Refusal};
use serde::{Deserialize, Serialize};

use super::super::layout::Layout;
use super::super::process::Process;
use super::{FAULTS, InForce};

/// Largest file: a partition of 64 names is some kilobytes.
const LIST_BYTES: usize = FAULTS * 16 * 1024;

/// A fault, and what is needed to end it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Kept {
    /// The fault.
    pub in_force: InForce,
    /// The process that stands still: not another one that has its bank's name later.
    pub process: Option<Process>,
}

/// All of them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct List {
    /// How many faults there have been.
    pub given: u64,
    /// Those in force.
    pub kept: Vec<Kept>,
}

/// Reads the list; an empty one where there is none.
///
/// # Errors
/// `Q-2204`.
pub fn load(layout: &Layout) -> Result<List, Refusal> {
    let path = layout.in_force();
    if !path.exists() {
        return Ok(List::default());
    }
    let text = files::read_text(&path, LIST_BYTES)?;
    serde_json::from_str(&text)
        .map_err(|error| Refusal::new(Code::CannotRead, format!("{}: {error}", path.display())))
}

/// Writes the list.
///
/// # Errors
/// `Q-2205`.
pub fn save(layout: &Layout, list: &List) -> Result<(), Refusal> {
    let text = serde_json::to_vec(list)
        .map_err(|error| Refusal::new(Code::CannotWrite, error.to_string()))?;
    files::replace(&layout.in_force(), &text, Access::Private)
}
