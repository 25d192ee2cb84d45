//! The story of one run, line by line. Written only when somebody reads it.

use std::fmt::Write as _;

/// A trace, or the place where one would be.
#[derive(Debug, Default)]
pub struct Trace {
    story: Option<String>,
}

impl Trace {
    /// A trace that is written when `on`.
    #[must_use]
    pub fn new(on: bool) -> Self {
        Self { story: on.then(String::new) }
    }

    /// Whether it is written.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        self.story.is_some()
    }

    /// Adds a line that happened at `now_ms`, made only when it is read.
    pub fn say(&mut self, now_ms: u64, line: impl FnOnce() -> String) {
        if let Some(story) = &mut self.story {
            let (seconds, millis) = (now_ms / 1000, now_ms % 1000);
            let _ = writeln!(story, "{seconds:>6}.{millis:03}  {}", line());
        }
    }

    /// The story so far.
    #[must_use]
    pub fn text(&self) -> &str {
        self.story.as_deref().unwrap_or_default()
    }
}

/// The first eight digits of an identifier's text: enough to follow it through a trace.
#[must_use]
pub fn short(id: &impl ToString) -> String {
    let text = id.to_string();
    match text.split_once(':') {
        Some((kind, digits)) => format!("{kind}:{}", digits.get(..8).unwrap_or(digits)),
        None => text,
    }
}
