//! The page of a report: one HTML file that needs nothing else, readable by day and by night.

use std::fmt::Write as _;

use super::super::latency::Percentile;
use super::super::outcome::{Outcome, Second};
use super::super::plan::Pace;
use super::plot::{Band, Look, Plot, Scale, Series, escaped, short};
use super::table::{ms, wanted};

/// How it looks.
const STYLE: &str = include_str!("page.css");
/// Points of a line at most; more are summed up.
const POINTS: usize = 600;
/// The colours of lines whose number is not known beforehand.
const COLOURS: [&str; 6] = ["c1", "c2", "c3", "c4", "c5", "c6"];
/// Lines of one plot at most.
const LINES: usize = 6;

/// The page.
pub(super) fn page(outcome: &Outcome) -> String {
    let mut page = String::from("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n");
    let title = format!("Load on {}", outcome.network.name);
    let _ = write!(
        page,
        "<meta charset=\"utf-8\"/>\n<meta name=\"viewport\" content=\"width=device-width, \
         initial-scale=1\"/>\n<meta name=\"color-scheme\" content=\"light dark\"/>\n\
         <title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{}</h1>\n\
         <p class=\"lead\">{}; begun {}{}</p>\n",
        escaped(&title),
        escaped(&title),
        escaped(&wanted(outcome)),
        outcome.begun,
        if outcome.stopped { "; broken off before its time" } else { "" },
    );
    tiles(&mut page, outcome);
    throughput(&mut page, outcome);
    over_time(&mut page, outcome);
    percentiles(&mut page, outcome);
    steps(&mut page, outcome);
    exposures(&mut page, outcome);
    page.push_str("<div class=\"two\">\n");
    ends(&mut page, outcome);
    costs(&mut page, outcome);
    page.push_str("</div>\n<div class=\"two\">\n");
    parameters(&mut page, outcome);
    machine(&mut page, outcome);
    page.push_str("</div>\n");
    faults(&mut page, outcome);
    doubts(&mut page, outcome);
    page.push_str(
        "<footer>samples.csv, latencies.csv and report.json beside this page have the figures. \
         All banks and the program that measured shared the cores of one machine.</footer>\n\
         </main>\n</body>\n</html>\n",
    );
    page
}

fn section(page: &mut String, title: &str, caption: &str, body: &str) {
    let (title, caption) = (escaped(title), escaped(caption));
    let _ = write!(page, "<section>\n<h2>{title}</h2>\n<p>{caption}</p>\n{body}</section>\n");
}

fn tiles(page: &mut String, outcome: &Outcome) {
    let (counts, latency) = (&outcome.counts, &outcome.settled);
    let failed = counts.refused_all().saturating_add(counts.refunded);
    let tiles = [
        (short(outcome.settled_per_s), "settled per second", false),
        (counts.settled.to_string(), "settled", false),
        (format!("{} ms", ms(latency.p50_us)), "median latency", false),
        (format!("{} ms", ms(latency.p99_us)), "99th percentile", false),
        (failed.to_string(), "refused or refunded", false),
        (counts.in_doubt.to_string(), "in doubt", counts.in_doubt > 0),
        (counts.torn.to_string(), "torn: one end only", counts.torn > 0),
    ];
    page.push_str("<div class=\"tiles\">\n");
    for (figure, name, warn) in tiles {
        let class = if warn { "tile warn" } else { "tile" };
        let _ = writeln!(page, "<div class=\"{class}\"><b>{figure}</b><small>{name}</small></div>");
    }
    page.push_str("</div>\n");
}

fn bands(outcome: &Outcome) -> Vec<Band> {
    let spans = outcome.faults.iter();
    spans.map(|span| Band { name: span.what.clone(), from: span.from_s, to: span.to_s }).collect()
}

/// A line of one figure of each second.
fn line(
    outcome: &Outcome,
    (name, colour, look): (&str, &'static str, Look),
    figure: impl Fn(&Second) -> f64,
) -> Series {
    let rows = &outcome.seconds;
    let together = rows.len().div_ceil(POINTS).max(1);
    let points = rows.chunks(together).filter_map(|chunk| {
        let last = chunk.last()?;
        let sum: f64 = chunk.iter().map(&figure).sum();
        let count = u32::try_from(chunk.len()).map_or(1.0, f64::from);
        Some((last.at_s, sum / count))
    });
    Series { name: name.to_owned(), colour, look, points: points.collect() }
}

fn per_second(row: &Second, count: u64) -> f64 {
    if row.span_s > 0.0 { count as f64 / row.span_s } else { 0.0 }
}

fn throughput(page: &mut String, outcome: &Outcome) {
    let mut series = vec![
        line(outcome, ("settled", "c1", Look::Area), |row| per_second(row, row.settled)),
        line(outcome, ("begun", "c2", Look::Dashed), |row| per_second(row, row.begun)),
    ];
    if outcome.seconds.iter().any(|row| row.refused > 0 || row.refunded > 0) {
        let ended = |row: &Second| row.refused.saturating_add(row.refunded);
        series.push(line(outcome, ("refused or refunded", "bad", Look::Line), move |row| {
            per_second(row, ended(row))
        }));
    }
    let plot = Plot {
        label: "Trades per second over time".to_owned(),
        x: "time since the start (s)",
        y: "trades per second".to_owned(),
        x_scale: Scale::Linear,
        y_scale: Scale::Linear,
        series,
        bands: bands(outcome),
    };
    let caption = "Begun: the first order was sent. Settled: all banks at its ends have said so. \
                   Faults that were in force and banks that were down are marked.";
    section(page, "Throughput over time", caption, &plot.svg());
}

fn over_time(page: &mut String, outcome: &Outcome) {
    let of_ms = |us: u64| us as f64 / 1e3;
    let plot = Plot {
        label: "Latency over time".to_owned(),
        x: "time since the start (s)",
        y: "latency (ms, log)".to_owned(),
        x_scale: Scale::Linear,
        y_scale: Scale::Log,
        series: vec![
            line(outcome, ("median", "c1", Look::Line), |row| of_ms(row.p50_us)),
            line(outcome, ("99th percentile", "c2", Look::Line), |row| of_ms(row.p99_us)),
            line(outcome, ("longest", "c4", Look::Dashed), |row| of_ms(row.max_us)),
        ],
        bands: bands(outcome),
    };
    let caption = "From the moment each trade was due until it was settled, by the second in which \
                   it settled.";
    section(page, "Latency over time", caption, &plot.svg());
    let plot = Plot {
        label: "Open trades over time".to_owned(),
        x: "time since the start (s)",
        y: "trades".to_owned(),
        x_scale: Scale::Linear,
        y_scale: Scale::Linear,
        series: vec![
            line(outcome, ("open", "c5", Look::Area), |row| row.open as f64),
            line(outcome, ("of them waiting for their holders", "c6", Look::Line), |row| {
                row.waiting as f64
            }),
        ],
        bands: bands(outcome),
    };
    let caption = "Open: begun or due, and not ended. No holder has two trades at one time, so \
                   some may wait. Offers that stand ahead of their moment count as open.";
    section(page, "Open trades", caption, &plot.svg());
}

fn percentiles(page: &mut String, outcome: &Outcome) {
    let series = |name: &str, colour, look, of: &[Percentile]| Series {
        name: name.to_owned(),
        colour,
        look,
        points: of.iter().map(|one| (one.percentile, one.us as f64 / 1e3)).collect(),
    };
    let mut all = vec![
        series("settled", "c1", Look::Area, &outcome.settled_percentiles),
        series("accepted by the bank", "c3", Look::Line, &outcome.accepted_percentiles),
    ];
    if matches!(outcome.plan.pace, Pace::Open { .. }) {
        let of = &outcome.uncorrected_percentiles;
        all.push(series("settled, from when it was sent", "c2", Look::Dashed, of));
    }
    let plot = Plot {
        label: "Latency by percentile".to_owned(),
        x: "percentile (%)",
        y: "latency (ms, log)".to_owned(),
        x_scale: Scale::Nines,
        y_scale: Scale::Log,
        series: all,
        bands: Vec::new(),
    };
    let caption = "So many of 100 trades took no longer. Latencies count from the moment each \
                   trade was due, so the waiting that a slow bank causes is in them; the broken \
                   line shows what one sees who counts from when it was sent.";
    section(page, "Latency percentiles", caption, &plot.svg());
}

fn steps(page: &mut String, outcome: &Outcome) {
    if outcome.steps.is_empty() {
        return;
    }
    let most = outcome.steps.iter().map(|step| step.took.p99_us).max().unwrap_or(1).max(1);
    let (mut body, row) = (String::new(), 34_usize);
    let high = outcome.steps.len().saturating_mul(row).saturating_add(34);
    let _ = writeln!(
        body,
        "<svg viewBox=\"0 0 960 {high}\" role=\"img\" aria-label=\"Milliseconds of each step\">\
         <rect class=\"c1 swatch\" x=\"110\" y=\"6\" width=\"14\" height=\"10\" rx=\"2\"/>\
         <text class=\"key\" x=\"130\" y=\"15\">median (ms)</text>\
         <rect class=\"c1 bar faint\" x=\"230\" y=\"6\" width=\"14\" height=\"10\" rx=\"2\"/>\
         <text class=\"key\" x=\"250\" y=\"15\">99th percentile (ms)</text>"
    );
    for (number, step) in outcome.steps.iter().enumerate() {
        let top = number.saturating_mul(row).saturating_add(28);
        let wide = |us: u64| (us as f64 / most as f64 * 640.0).max(1.5);
        let (p50, p99) = (step.took.p50_us, step.took.p99_us);
        let _ = writeln!(
            body,
            "<g><title>{name}: {what}\nmedian {m50} ms, 99th percentile {m99} ms, mean {mean} ms, \
             {count} settlements</title><text class=\"key\" x=\"100\" y=\"{text}\" \
             text-anchor=\"end\">{name}</text><rect class=\"c1 bar faint\" x=\"110\" y=\"{top}\" \
             width=\"{wide99:.1}\" height=\"18\" rx=\"3\"/><rect class=\"c1 bar\" x=\"110\" \
             y=\"{top}\" width=\"{wide50:.1}\" height=\"18\" rx=\"3\"/><text x=\"{end:.1}\" \
             y=\"{text}\">{m50} / {m99} ms</text></g>",
            name = escaped(&step.name),
            what = escaped(&step.what),
            m50 = ms(p50),
            m99 = ms(p99),
            mean = short(step.took.mean_us / 1e3),
            count = step.took.count,
            text = top.saturating_add(13),
            wide99 = wide(p99),
            wide50 = wide(p50),
            end = wide(p99) + 118.0,
        );
    }
    body.push_str("</svg>\n<table>\n");
    for step in &outcome.steps {
        let (name, what) = (escaped(&step.name), escaped(&step.what));
        let _ = writeln!(body, "<tr><th>{name}</th><td>{what}</td></tr>");
    }
    body.push_str("</table>\n");
    let caption = format!(
        "By the times in the banks' own signed records (whole milliseconds, of sealing), of {} \
         settlements from all over the load.",
        outcome.steps_from
    );
    section(page, "Where the time goes", &caption, &body);
}

fn exposures(page: &mut String, outcome: &Outcome) {
    let drawn = outcome.exposures.iter().filter(|one| !one.points.is_empty()).take(LINES);
    let series: Vec<Series> = drawn
        .zip(COLOURS)
        .map(|(one, colour)| {
            let asset = one.asset.split('#').next().unwrap_or(&one.asset);
            let points = one.points.iter().map(|point| (point.at_s, point.net / 100.0));
            Series {
                name: format!("{} on {}: {asset}", one.bank, one.peer),
                colour,
                look: Look::Line,
                points: points.collect(),
            }
        })
        .collect();
    if series.is_empty() {
        return;
    }
    let plot = Plot {
        label: "Exposure over time".to_owned(),
        x: "time since the start (s)",
        y: "net claim (units of the asset)".to_owned(),
        x_scale: Scale::Linear,
        y_scale: Scale::Linear,
        series,
        bands: bands(outcome),
    };
    let mut body = plot.svg();
    body.push_str("<table>\n<tr><th>claim</th><th>asset</th><th class=\"n\">limit</th>");
    body.push_str("<th class=\"n\">at the end</th><th class=\"n\">most under way</th></tr>\n");
    for one in &outcome.exposures {
        let last = one.points.last().map_or(0.0, |point| point.net / 100.0);
        let most = one.points.iter().map(|point| point.reserved / 100.0).fold(0.0, f64::max);
        let _ = writeln!(
            body,
            "<tr><td>{} on {}</td><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
             <td class=\"n\">{}</td></tr>",
            escaped(&one.bank),
            escaped(&one.peer),
            escaped(&one.asset),
            short(one.limit / 100.0),
            short(last),
            short(most)
        );
    }
    body.push_str("</table>\n");
    let caption =
        "What a bank is owed by its peer less what it owes, as the bank says each second.";
    section(page, "Exposure per pair", caption, &body);
}

fn rows(rows: &[(&str, String)]) -> String {
    let mut body = String::from("<table>\n");
    for (name, value) in rows {
        let value = escaped(value);
        let _ = writeln!(body, "<tr><th>{}</th><td>{value}</td></tr>", escaped(name));
    }
    body.push_str("</table>\n");
    body
}

fn ends(page: &mut String, outcome: &Outcome) {
    let counts = &outcome.counts;
    let mut all = vec![
        ("due", counts.scheduled.to_string()),
        ("begun", counts.begun.to_string()),
        ("settled", counts.settled.to_string()),
        ("refunded", counts.refunded.to_string()),
    ];
    let refused: Vec<(String, String)> = counts
        .refused
        .iter()
        .map(|(code, count)| (format!("refused {code}"), count.to_string()))
        .collect();
    all.extend(refused.iter().map(|(name, count)| (name.as_str(), count.clone())));
    all.extend([
        ("in doubt", counts.in_doubt.to_string()),
        ("due and never begun", counts.unsent.to_string()),
        ("settled at one end only", counts.torn.to_string()),
        ("orders sent again", counts.resent.to_string()),
    ]);
    let caption = "An order is sent again, as it is, when no answer came; it counts once.";
    section(page, "Outcomes", caption, &rows(&all));
}

fn costs(page: &mut String, outcome: &Outcome) {
    let signing = &outcome.signing;
    let mut all = Vec::new();
    match &outcome.cost {
        Some(cost) => all.extend([
            ("batches", short(cost.batches)),
            ("fdatasync, logs", short(cost.log_fsyncs)),
            ("fdatasync, guards", short(cost.guard_fsyncs)),
            ("log bytes", short(cost.log_bytes)),
            ("mesh bytes", short(cost.mesh_bytes)),
            ("CPU, banks", format!("{} ms", short(cost.cpu_ms))),
            ("append a batch", format!("{} ms", short(cost.append_ms))),
            ("note and sign a batch", format!("{} ms", short(cost.sign_ms))),
        ]),
        None => {
            all.push(("banks", "not known: a bank was started again or did not run".to_owned()))
        }
    }
    all.push(("CPU, this program", format!("{} s in all", short(outcome.own_cpu_s))));
    all.push(("signed before the clock", signing.before.to_string()));
    all.push(("signed during the run", signing.during.to_string()));
    all.push(("time of signing", format!("{} s, in no latency", short(signing.seconds))));
    let caption = "Per settled trade, offers included, all banks together.";
    section(page, "What each cost", caption, &rows(&all));
}

fn parameters(page: &mut String, outcome: &Outcome) {
    let plan = &outcome.plan;
    let routes: Vec<String> = plan.routes.iter().map(|route| route.join(" - ")).collect();
    let all = [
        ("what", wanted(outcome)),
        ("banks of each", routes.join("; ")),
        ("holders at each end", outcome.holders.to_string()),
        ("keys of the holders", plan.suite.to_string()),
        ("keys of the banks", outcome.network.suite.clone()),
        ("open at most", plan.open.to_string()),
        ("offers ahead by", format!("{} ms", plan.lead.as_millis())),
        ("patience at the end", format!("{} s", plan.patience.as_secs_f64())),
        ("seed of the moments", plan.seed.to_string()),
        ("seed of the network", outcome.network.seed.to_string()),
        ("window", format!("{} s", short(outcome.window_s))),
        ("until the last end", format!("{} s", short(outcome.total_s))),
    ];
    section(page, "Parameters", "As given, or by default.", &rows(&all));
}

fn machine(page: &mut String, outcome: &Outcome) {
    let (machine, program) = (&outcome.machine, &outcome.program);
    let all = [
        ("processor", machine.processor.clone()),
        ("cores", machine.cores.to_string()),
        ("memory", format!("{} GiB", machine.memory_bytes >> 30)),
        ("kernel", format!("Linux {}", machine.kernel)),
        ("program", format!("quadrille-testnet {}", program.version)),
        ("source", program.commit.clone().unwrap_or_else(|| "unknown".to_owned())),
        ("build", program.profile.to_owned()),
        ("network", format!("{}: {}", outcome.network.name, outcome.network.banks.join(", "))),
    ];
    section(page, "Machine and version", "Other work on it spoils figures.", &rows(&all));
}

fn faults(page: &mut String, outcome: &Outcome) {
    if outcome.faults.is_empty() {
        return;
    }
    let mut body =
        String::from("<table>\n<tr><th>from (s)</th><th>to (s)</th><th>what</th></tr>\n");
    for span in &outcome.faults {
        let (from, to, what) = (short(span.from_s), short(span.to_s), escaped(&span.what));
        let _ = writeln!(body, "<tr><td>{from}</td><td>{to}</td><td>{what}</td></tr>");
    }
    body.push_str("</table>\n");
    section(page, "Faults", "As they were seen, a few times a second.", &body);
}

fn doubts(page: &mut String, outcome: &Outcome) {
    if outcome.in_doubt.is_empty() {
        return;
    }
    let mut body = String::from("<table>\n<tr><th>trade</th><th>orders</th><th>known</th></tr>\n");
    for doubt in &outcome.in_doubt {
        let orders: Vec<String> =
            doubt.orders.iter().map(|(bank, order)| format!("{bank} {order}")).collect();
        let (orders, known) = (escaped(&orders.join(", ")), escaped(&doubt.known));
        let _ = writeln!(
            body,
            "<tr><td>{}</td><td class=\"id\">{orders}</td><td>{known}</td></tr>",
            doubt.number
        );
    }
    body.push_str("</table>\n");
    let listed = outcome.in_doubt.len();
    let caption = format!("{listed} of {} are listed.", outcome.counts.in_doubt);
    section(page, "In doubt", &caption, &body);
}

#[cfg(test)]
mod tests;
