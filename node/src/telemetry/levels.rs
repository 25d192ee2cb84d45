//! What is logged and how; the filter can be changed while the node runs.

use std::fmt;
use std::sync::Arc;

use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::refuse;
use tracing::Subscriber;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};

/// Longest filter.
const FILTER_BYTES: usize = 1024;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Human,
    /// One JSON object per line.
    Json,
}

type Change = dyn Fn(EnvFilter) -> Result<(), String> + Send + Sync;

/// The filter of a running node.
#[derive(Clone)]
pub struct Levels {
    initial: String,
    change: Arc<Change>,
}

impl fmt::Debug for Levels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Levels").field("initial", &self.initial).finish_non_exhaustive()
    }
}

impl Levels {
    /// Sets another filter, like `info,quadrille_node=debug`.
    ///
    /// # Errors
    /// `Q-2123` it is not one.
    pub fn set(&self, filter: &str) -> Result<(), Refusal> {
        (self.change)(parse(filter)?).map_err(|what| Refusal::new(Code::BadLogFilter, what))?;
        tracing::info!(filter, "log filter changed");
        Ok(())
    }

    /// Sets the filter that the node began with, for instance on SIGHUP.
    ///
    /// # Errors
    /// Those of [`Levels::set`].
    pub fn reset(&self) -> Result<(), Refusal> {
        self.set(&self.initial)
    }
}

fn parse(filter: &str) -> Result<EnvFilter, Refusal> {
    if filter.trim().is_empty() || filter.len() > FILTER_BYTES {
        refuse!(BadLogFilter, "{} bytes", filter.len());
    }
    EnvFilter::builder()
        .with_regex(false)
        .parse(filter)
        .map_err(|error| Refusal::new(Code::BadLogFilter, error.to_string()))
}

/// A subscriber that writes to `writer`, and the handle on its filter.
///
/// # Errors
/// `Q-2123` the filter is not one.
pub fn subscriber<W>(
    format: Format,
    filter: &str,
    writer: W,
) -> Result<(impl Subscriber + for<'a> LookupSpan<'a> + Send + Sync + 'static, Levels), Refusal>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let (layer, handle) = reload::Layer::new(parse(filter)?);
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).with_target(true);
    let lines: Box<dyn Layer<_> + Send + Sync> = match format {
        Format::Human => lines.with_ansi(false).boxed(),
        Format::Json => lines.json().flatten_event(true).with_current_span(true).boxed(),
    };
    let change = move |filter| handle.reload(filter).map_err(|error| error.to_string());
    let levels = Levels { initial: filter.to_owned(), change: Arc::new(change) };
    Ok((Registry::default().with(layer).with(lines), levels))
}

/// Logs to standard error from here on. Once per process.
///
/// # Errors
/// `Q-2123` the filter is not one, or logs go somewhere already.
pub fn init(format: Format, filter: &str) -> Result<Levels, Refusal> {
    let (subscriber, levels) = subscriber(format, filter, std::io::stderr)?;
    subscriber.try_init().map_err(|error| Refusal::new(Code::BadLogFilter, error.to_string()))?;
    Ok(levels)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Mutex;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Lines {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    impl Lines {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    #[test]
    fn the_filter_can_be_changed_and_set_back() {
        let lines = Lines::default();
        let (subscriber, levels) = subscriber(Format::Human, "warn", lines.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!("one");
            levels.set("debug").unwrap();
            tracing::debug!("two");
            levels.reset().unwrap();
            tracing::info!("three");
        });
        let text = lines.text();
        assert!(!text.contains("one") && text.contains("two") && !text.contains("three"), "{text}");
    }

    #[test]
    fn json_is_one_object_per_line_with_the_fields_at_the_top() {
        let lines = Lines::default();
        let (subscriber, _levels) = subscriber(Format::Json, "info", lines.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(code = "Q-1405", height = 7, "refused");
        });
        let line: serde_json::Value = serde_json::from_str(lines.text().trim()).unwrap();
        assert_eq!((&line["code"], &line["height"]), (&"Q-1405".into(), &7.into()));
    }

    #[test]
    fn what_is_not_a_filter_is_refused_and_changes_nothing() {
        let lines = Lines::default();
        let (subscriber, levels) = subscriber(Format::Human, "info", lines.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            for bad in ["", "  ", "info,=", "a=b=c", "loud=yes", &"x".repeat(FILTER_BYTES + 1)] {
                assert_eq!(levels.set(bad).unwrap_err().code, Code::BadLogFilter, "{bad}");
            }
            tracing::info!("still here");
        });
        assert!(lines.text().contains("still here"));
    }
}
