//! A load in columns: for people on a terminal, and as CSV.

use std::fmt::Write as _;
use std::time::Duration;

use super::super::latency::Latency;
use super::super::outcome::Outcome;
use super::super::plan::Pace;

/// Milliseconds with as many digits as say something.
pub(super) fn ms(us: u64) -> String {
    let ms = Duration::from_micros(us).as_secs_f64() * 1e3;
    if ms < 100.0 { format!("{ms:.1}") } else { format!("{ms:.0}") }
}

/// What was wanted, in words.
pub(super) fn wanted(outcome: &Outcome) -> String {
    let plan = &outcome.plan;
    let pace = match plan.pace {
        Pace::Open { per_second, random } => {
            let how = if random { "at random moments" } else { "evenly spaced" };
            format!("open loop, {per_second} per second {how}")
        }
        Pace::Closed { in_flight, pause } if pause.is_zero() => {
            format!("closed loop, {in_flight} in flight")
        }
        Pace::Closed { in_flight, pause } => {
            format!("closed loop, {in_flight} in flight, {} ms pause", pause.as_millis())
        }
    };
    let routes: Vec<String> = plan.routes.iter().map(|route| route.join(" - ")).collect();
    let (kind, seconds) = (plan.kind.name(), plan.duration.as_secs_f64());
    format!("{kind}: {pace}, {seconds} s, {}, {}", routes.join("; "), plan.suite)
}

/// For people.
#[must_use]
pub fn text(outcome: &Outcome) -> String {
    let counts = &outcome.counts;
    let mut text = format!("{}\n", wanted(outcome));
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "{name:12} {value}");
    };
    let row = |it: &Latency| {
        let (p50, p90, p99) = (ms(it.p50_us), ms(it.p90_us), ms(it.p99_us));
        let (p999, max) = (ms(it.p999_us), ms(it.max_us));
        format!("p50 {p50}  p90 {p90}  p99 {p99}  p99.9 {p999}  max {max} ms")
    };
    let rate = outcome.settled_per_s;
    line("settled", format!("{} ({rate:.1}/s in {:.1} s)", counts.settled, outcome.window_s));
    line("latency", row(&outcome.settled));
    line("accepted", row(&outcome.accepted));
    if matches!(outcome.plan.pace, Pace::Open { .. }) {
        line("uncorrected", row(&outcome.uncorrected));
    }
    let refused: Vec<String> =
        counts.refused.iter().map(|(code, count)| format!("{code} x {count}")).collect();
    let refused = if refused.is_empty() { "0".to_owned() } else { refused.join(", ") };
    line(
        "else",
        format!(
            "refunded {}, refused {refused}, in doubt {}, not begun {}, torn {}; sent again {}",
            counts.refunded, counts.in_doubt, counts.unsent, counts.torn, counts.resent
        ),
    );
    for step in &outcome.steps {
        let (p50, p99) = (ms(step.took.p50_us), ms(step.took.p99_us));
        line(&step.name, format!("p50 {p50}  p99 {p99} ms  {}", step.what));
    }
    if let Some(cost) = &outcome.cost {
        line(
            "each cost",
            format!(
                "{:.2} batches, {:.2} fsyncs, {:.0} log bytes, {:.0} mesh bytes, {:.2} CPU ms at \
                 the banks; append {:.2} ms, sign {:.2} ms a batch",
                cost.batches,
                cost.log_fsyncs + cost.guard_fsyncs,
                cost.log_bytes,
                cost.mesh_bytes,
                cost.cpu_ms,
                cost.append_ms,
                cost.sign_ms
            ),
        );
    }
    let signing = &outcome.signing;
    line(
        "signing",
        format!(
            "{} before the clock, {} during the run; {:.2} s of CPU, not part of the latencies",
            signing.before, signing.during, signing.seconds
        ),
    );
    let machine = &outcome.machine;
    line(
        "machine",
        format!(
            "{} cores, {}, {} GiB, Linux {}; {} build of {}; this program used {:.1} s of CPU",
            machine.cores,
            machine.processor,
            machine.memory_bytes >> 30,
            machine.kernel,
            outcome.program.profile,
            outcome.program.version,
            outcome.own_cpu_s
        ),
    );
    for fault in &outcome.faults {
        line("fault", format!("{:.1} to {:.1} s: {}", fault.from_s, fault.to_s, fault.what));
    }
    for doubt in &outcome.in_doubt {
        let orders: Vec<String> =
            doubt.orders.iter().map(|(bank, order)| format!("{bank} {order}")).collect();
        line("in doubt", format!("{}: {}; {}", doubt.number, orders.join(", "), doubt.known));
    }
    text
}

/// One line for each second.
pub(super) fn samples(outcome: &Outcome) -> String {
    let mut text = "at_s,span_s,begun,settled,refunded,refused,resent,open,waiting,p50_us,p99_us,\
                    max_us\n"
        .to_owned();
    for row in &outcome.seconds {
        let _ = writeln!(
            text,
            "{:.3},{:.3},{},{},{},{},{},{},{},{},{},{}",
            row.at_s,
            row.span_s,
            row.begun,
            row.settled,
            row.refunded,
            row.refused,
            row.resent,
            row.open,
            row.waiting,
            row.p50_us,
            row.p99_us,
            row.max_us
        );
    }
    text
}

/// One line for each percentile.
pub(super) fn latencies(outcome: &Outcome) -> String {
    let mut text = "of,percentile,us\n".to_owned();
    let all = [
        ("settled", &outcome.settled_percentiles),
        ("accepted", &outcome.accepted_percentiles),
        ("uncorrected", &outcome.uncorrected_percentiles),
    ];
    for (name, percentiles) in all {
        for one in percentiles {
            let _ = writeln!(text, "{name},{},{}", one.percentile, one.us);
        }
    }
    text
}
