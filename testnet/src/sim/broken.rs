//! What a run can find: a safety invariant, liveness, or the core itself broken.

use std::fmt;

/// What kind of promise did not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A safety invariant of DESIGN section 10.
    Safety,
    /// Something never ended although all faults had stopped.
    Liveness,
    /// A panic, or a fault that a validator reported of itself.
    Crash,
}

/// A promise that did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub invariant: &'static str,
    /// What happened.
    pub what: String,
}

/// What a check returns.
pub type Checked<T = ()> = Result<T, Broken>;

impl Broken {
    /// A broken safety invariant.
    #[must_use]
    pub fn safety(invariant: &'static str, what: impl Into<String>) -> Self {
        Self { kind: Kind::Safety, invariant, what: what.into() }
    }

    /// Something that never ended.
    #[must_use]
    pub fn liveness(invariant: &'static str, what: impl Into<String>) -> Self {
        Self { kind: Kind::Liveness, invariant, what: what.into() }
    }

    /// A fault or panic.
    #[must_use]
    pub fn crash(what: impl Into<String>) -> Self {
        Self { kind: Kind::Crash, invariant: "no fault and no panic", what: what.into() }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.what)
    }
}

/// Fails with a broken safety invariant unless `holds`.
#[macro_export]
macro_rules! demand {
    ($holds:expr, $invariant:expr, $($what:tt)*) => {
        if !$holds {
            return Err($crate::sim::broken::Broken::safety($invariant, format!($($what)*)));
        }
    };
}
