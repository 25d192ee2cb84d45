//! The progress of a load: a bar on a terminal, plain lines elsewhere.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::outcome::{Stage, Tick};
use super::plan::LoadPlan;

/// Steps of the bar.
const STEPS: u64 = 1_000;
/// Between two plain lines.
const LINE: Duration = Duration::from_secs(5);

/// What is shown.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    last: Option<(Instant, Stage)>,
    seconds: f64,
}

impl Progress {
    /// Of a load that is about to begin.
    pub fn new(plan: &LoadPlan) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(STEPS);
            // The template is ours; a plain bar is as good when it is refused.
            let style = ProgressStyle::with_template("{bar:28.cyan/blue} {msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar
        });
        Self { bar, last: None, seconds: plan.duration.as_secs_f64() }
    }

    /// Shows how it goes.
    pub fn show(&mut self, tick: &Tick) {
        let line = line(tick, self.seconds);
        match &self.bar {
            Some(bar) => {
                bar.set_position((tick.done * STEPS as f64) as u64);
                bar.set_message(line);
            }
            None => {
                let now = Instant::now();
                let fresh = self.last.is_none_or(|(at, stage)| {
                    stage != tick.stage || now.saturating_duration_since(at) >= LINE
                });
                if fresh {
                    self.last = Some((now, tick.stage));
                    eprintln!("{line}");
                }
            }
        }
    }

    /// Says something besides.
    pub fn say(&self, what: &str) {
        match &self.bar {
            Some(bar) => bar.println(what),
            None => eprintln!("{what}"),
        }
    }

    /// Takes the bar away.
    pub fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// A tick in one line.
fn line(tick: &Tick, seconds: f64) -> String {
    let ms = |us: u64| {
        let ms = Duration::from_micros(us).as_secs_f64() * 1e3;
        if ms < 100.0 { format!("{ms:.1}") } else { format!("{ms:.0}") }
    };
    match tick.stage {
        Stage::Opening => "opening ledgers".to_owned(),
        Stage::Signing => format!("signing orders, {:.0} %", tick.done * 100.0),
        Stage::Running | Stage::Ending => format!(
            "{:.0}/{seconds:.0} s  {:.0}/s  p50 {} ms  p99 {} ms  in flight {}  in doubt {}  \
             failed {}{}",
            tick.at_s,
            tick.per_second,
            ms(tick.p50_us),
            ms(tick.p99_us),
            tick.open,
            tick.late,
            tick.counts.refused_all().saturating_add(tick.counts.refunded),
            if tick.stage == Stage::Ending { "  ending" } else { "" },
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_rate_percentiles_and_what_is_open() {
        let tick = Tick {
            stage: Stage::Running,
            at_s: 12.0,
            per_second: 250.4,
            p50_us: 8_250,
            p99_us: 1_250_000,
            open: 7,
            late: 2,
            ..Tick::default()
        };
        let wanted = "12/60 s  250/s  p50 8.2 ms  p99 1250 ms  in flight 7  in doubt 2  failed 0";
        assert_eq!(line(&tick, 60.0), wanted);
    }
}
