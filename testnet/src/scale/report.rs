//! The answers: tables for people, the same as markdown, and everything as JSON.
//!
//! Invariant: a table on the page and on the terminal has the same cells.

use std::path::Path;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use quadrille_node::files;
use quadrille_protocol::error::Refusal;
use quadrille_protocol::limits;
use quadrille_protocol::refuse;
use serde::Serialize;

use super::ceilings::{self, BankBound, RateBound, Topics};
use super::draw::real;
use super::figures::{Figures, Origin};
use super::study::{MORE, Study, Variant};
use super::topology::Shape;
use super::work::UTILISED;

/// Before the tables in a file.
pub const BEGIN: &str = "<!-- tables of `quadrille-testnet scale` -->";
/// Behind them.
pub const END: &str = "<!-- end of the tables -->";

/// Everything that was found.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The command that gives it again.
    pub command: String,
    /// The seed.
    pub seed: u64,
    /// What things cost.
    pub figures: Figures,
    /// The networks.
    pub studies: Vec<Study>,
    /// Where each shape gives out, by banks.
    pub by_banks: Vec<(Shape, Vec<BankBound>)>,
    /// Where each network gives out, by rate: shape, banks, whether split.
    pub by_rate: Vec<(Shape, usize, bool, Vec<RateBound>)>,
    /// What following pairs does.
    pub topics: Vec<Topics>,
}

/// How tables are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// For a terminal.
    Plain,
    /// For a page.
    Markdown,
}

struct Sheet {
    title: &'static str,
    note: String,
    header: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Report {
    /// Of these networks.
    #[must_use]
    pub fn of(command: String, seed: u64, figures: Figures, studies: Vec<Study>) -> Self {
        let mut shapes: Vec<Shape> = studies.iter().map(|study| study.shape).collect();
        shapes.sort_unstable();
        shapes.dedup();
        let record = studies.iter().flat_map(|study| &study.variants);
        let record = record.map(|variant| variant.record_bytes).fold(0.0, f64::max);
        let by_banks =
            shapes.iter().map(|shape| (*shape, ceilings::by_banks(*shape, seed, &figures, record)));
        let by_rate = studies.iter().flat_map(|study| {
            study.variants.iter().map(|variant| {
                let bounds = ceilings::by_rate(variant, &figures);
                (study.shape, study.banks, variant.split, bounds)
            })
        });
        let (by_banks, by_rate) = (by_banks.collect(), by_rate.collect());
        Self { command, seed, by_banks, by_rate, figures, studies, topics: ceilings::topics() }
    }

    /// All tables.
    #[must_use]
    pub fn tables(&self, style: Style) -> String {
        let sheets = [
            self.costs(),
            self.shapes(),
            self.lengths(),
            self.days(),
            self.full(),
            self.needs(),
            self.by_rate(),
            self.by_banks(),
            self.spreads(),
            self.notices(),
            self.topic_rows(),
            self.records(),
        ];
        let drawn: Vec<String> = sheets.iter().map(|sheet| sheet.draw(style)).collect();
        format!("{}\n", drawn.join("\n\n"))
    }

    fn variants(&self) -> impl Iterator<Item = (Vec<String>, &Study, &Variant)> {
        self.studies.iter().flat_map(|study| {
            study.variants.iter().map(move |variant| {
                let split = if variant.split { "split" } else { "one each" };
                let name = vec![
                    study.shape.name().to_owned(),
                    thousands(real(study.banks)),
                    split.to_owned(),
                ];
                (name, study, variant)
            })
        })
    }

    /// The networks as they would have to run: with large banks split where there are any.
    fn last_variants(&self) -> impl Iterator<Item = (Vec<String>, &Study, &Variant)> {
        self.variants().filter(|(_, study, variant)| {
            study.variants.last().is_some_and(|last| last.split == variant.split)
        })
    }

    fn costs(&self) -> Sheet {
        let rows = self.figures.all().into_iter().map(|figure| {
            let key = format!("`{}`", figure.key);
            vec![key, short(figure.value), figure.origin.word().to_owned(), figure.what.to_owned()]
        });
        let assumed =
            self.figures.all().iter().filter(|figure| figure.origin == Origin::Assumed).count();
        Sheet {
            title: "What things cost",
            note: format!("{assumed} of these figures are assumptions, not measurements."),
            header: vec!["figure", "value", "from", "what it is"],
            rows: rows.collect(),
        }
    }

    fn shapes(&self) -> Sheet {
        let rows = self.variants().map(|(mut row, study, variant)| {
            row.extend([
                study.core.to_string(),
                thousands(real(variant.domains)),
                thousands(real(variant.links)),
                thousands(real(variant.most_links.0)),
                variant.most_links.1.to_string(),
                percent(variant.unnamed),
            ]);
            row
        });
        Sheet {
            title: "The networks",
            note: format!(
                "\"One each\": every bank is one domain. \"Split\": a bank with more links than a \
                 record names ({}) runs several.",
                limits::GATEWAY_CORRESPONDENTS
            ),
            header: vec![
                "shape",
                "banks",
                "domains are",
                "core banks",
                "domains",
                "links",
                "most of one",
                "over 64",
                "links not named",
            ],
            rows: rows.collect(),
        }
    }

    fn lengths(&self) -> Sheet {
        let rows = self.variants().map(|(mut row, _, variant)| {
            row.push(variant.searches.to_string());
            row.push(format!("{:.2}", variant.parties_mean));
            row.extend(variant.parties.iter().map(|share| percent(*share)));
            let none: Vec<String> = variant
                .none
                .iter()
                .map(|(why, share)| format!("{} {why}", percent(*share)))
                .collect();
            row.push(if none.is_empty() { "0 %".to_owned() } else { none.join(", ") });
            row
        });
        Sheet {
            title: "Parties of the first way",
            note: "Payer's and payee's bank included; of all searches, and those without a way."
                .to_owned(),
            header: vec![
                "shape",
                "banks",
                "domains are",
                "searches",
                "mean",
                "2",
                "3",
                "4",
                "5",
                "6",
                "7",
                "8",
                "no way",
            ],
            rows: rows.collect(),
        }
    }

    fn days(&self) -> Sheet {
        let rows = self.last_variants().flat_map(|(row, _, variant)| {
            variant.days.iter().map(move |day| {
                let mut row: Vec<String> = row.iter().take(2).cloned().collect();
                row.extend([
                    short(day.limit_days),
                    if day.netting { "yes" } else { "no" }.to_owned(),
                    percent(day.at_once),
                    percent(day.other_way),
                    percent(day.later),
                    percent(day.never),
                    percent(day.netted),
                ]);
                row
            })
        });
        Sheet {
            title: "A day of payments as limits shrink",
            note:
                "Of payments that have a way at all. A limit is so many days of what could use the \
                   link, both directions together."
                    .to_owned(),
            header: vec![
                "shape",
                "banks",
                "limit, days",
                "netting",
                "at once",
                "another way",
                "later",
                "never",
                "debt netted",
            ],
            rows: rows.collect(),
        }
    }

    fn full(&self) -> Sheet {
        let rows = self.variants().map(|(mut row, _, variant)| {
            row.push(percent(100.0 * variant.busiest.0));
            row.push(percent(100.0 * variant.busiest.1));
            row.extend(variant.full.iter().map(|full| {
                let by = if full.by_cores { "" } else { " (thread)" };
                format!("{}{by}", thousands(full.per_second))
            }));
            row
        });
        Sheet {
            title: "Transactions per second until the first domain is full",
            note: "By processor time alone; every domain has so many cores. Each domain of a bank \
                   counts as a party. \"Thread\": the one thread of a domain's core is full before \
                   its cores are. The search for ways is not in it."
                .to_owned(),
            header: vec![
                "shape",
                "banks",
                "domains are",
                "busiest bank in",
                "busiest domain in",
                "1 core",
                "4 cores",
                "16 cores",
                "64 cores",
            ],
            rows: rows.collect(),
        }
    }

    fn needs(&self) -> Sheet {
        let rows = self.last_variants().flat_map(|(row, _, variant)| {
            variant.needs.iter().flat_map(move |(rate, groups)| {
                let row: Vec<String> = row.iter().take(2).cloned().collect();
                groups.iter().filter(|group| group.banks > 0).map(move |group| {
                    let mut row = row.clone();
                    row.extend([
                        thousands(*rate),
                        group.name.to_owned(),
                        thousands(real(group.banks)),
                        short(group.per_second),
                        short(group.cores),
                        short(group.domains),
                        thousands(real(group.banks) * group.cores),
                    ]);
                    row
                })
            })
        });
        Sheet {
            title: "What banks need for a rate of the whole network",
            note: format!(
                "Means of each group; cores and threads used to {:.0} %. Domains: as many as the \
                 one thread of each asks for, at least one.",
                100.0 * UTILISED
            ),
            header: vec![
                "shape",
                "banks",
                "network/s",
                "which",
                "how many",
                "settlements/s each",
                "cores each",
                "domains each",
                "cores of all",
            ],
            rows: rows.collect(),
        }
    }

    fn by_rate(&self) -> Sheet {
        let rows = self.by_rate.iter().filter(|(.., bounds)| !bounds.is_empty());
        let rows = rows.flat_map(|(shape, banks, split, bounds)| {
            let split = if *split { "split" } else { "one each" };
            bounds.iter().enumerate().map(move |(at, bound)| {
                vec![
                    shape.name().to_owned(),
                    thousands(real(*banks)),
                    split.to_owned(),
                    (at + 1).to_string(),
                    thousands(bound.per_second),
                    bound.what.clone(),
                    bound.lift.to_owned(),
                ]
            })
        });
        Sheet {
            title: "Where it breaks first, by transactions per second",
            note: "In order for each network; each alone, as if the others were lifted.".to_owned(),
            header: vec![
                "shape",
                "banks",
                "domains are",
                "order",
                "network/s",
                "what gives out",
                "what would lift it",
            ],
            rows: rows.collect(),
        }
    }

    fn by_banks(&self) -> Sheet {
        let rows = self.by_banks.iter().flat_map(|(shape, bounds)| {
            bounds.iter().map(move |bound| {
                let banks = bound.banks.map(|banks| thousands(real(banks)));
                vec![
                    shape.name().to_owned(),
                    banks.unwrap_or_else(|| "not up to 10,000".to_owned()),
                    bound.what.clone(),
                    bound.lift.to_owned(),
                ]
            })
        });
        Sheet {
            title: "Where it breaks first, by number of banks",
            note: "Every bank one domain; sizes tried are 10, 20, 50, 100 and so on.".to_owned(),
            header: vec!["shape", "from banks", "what gives out", "what would lift it"],
            rows: rows.collect(),
        }
    }

    fn spreads(&self) -> Sheet {
        let rows = self.studies.iter().flat_map(|study| {
            study.spreads.iter().zip(MORE).map(|(spread, more)| {
                let p95 = spread.p95_ms.map_or("never".to_owned(), thousands);
                vec![
                    study.shape.name().to_owned(),
                    thousands(real(study.banks)),
                    if more == 0 { "partners".to_owned() } else { format!("and {more} others") },
                    percent(spread.reached),
                    thousands(spread.p50_ms),
                    p95,
                    format!("{:.1}", spread.copies),
                    short(spread.copies * self.figures.notice_bytes.value),
                    thousands(spread.copies_sent_most),
                    format!("{:.1}", spread.words),
                ]
            })
        });
        Sheet {
            title: "How an offer spreads",
            note:
                "Gossipsub with a mesh of 6 to 12. Partners: a node is connected to those whom it \
                   trusts, as today."
                    .to_owned(),
            header: vec![
                "shape",
                "banks",
                "connected to",
                "reached",
                "half, ms",
                "95 %, ms",
                "copies to a node",
                "bytes to a node",
                "copies sent, most",
                "words to a node",
            ],
            rows: rows.collect(),
        }
    }

    fn notices(&self) -> Sheet {
        let (taken, of_one) = ceilings::notices_per_s();
        let copies = self.studies.iter().flat_map(|study| &study.spreads);
        let copies = copies.map(|spread| spread.copies).fold(0.0, f64::max);
        let rows = [10.0, 100.0, 200.0, 1_000.0, 10_000.0].map(|rate| {
            vec![
                thousands(rate),
                percent(100.0 * (taken / rate).min(1.0)),
                short(rate * copies * self.figures.notice_bytes.value * 8.0 / 1e6),
                short(rate * self.figures.notice_us.value / 1e6),
                short(real(limits::REMOTE_OFFERS) / rate),
            ]
        });
        Sheet {
            title: "What notices cost a node that hears all of them",
            note: format!(
                "A node takes {taken} notices/s from all and {of_one}/s of one bank (beyond \
                 bursts); what is over is dropped. With {copies:.1} copies of each, the most that \
                 was found. A notice is {} bytes of at most {}; a book has room for {} offers of \
                 others.",
                thousands(self.figures.notice_bytes.value),
                thousands(real(quadrille_node::mesh::NOTICE_BYTES)),
                thousands(real(limits::REMOTE_OFFERS))
            ),
            header: vec![
                "notices/s",
                "taken",
                "Mbit/s if all were",
                "cores if all were",
                "book full after s",
            ],
            rows: rows.into(),
        }
    }

    fn topic_rows(&self) -> Sheet {
        let rows = self.topics.iter().map(|row| {
            vec![
                thousands(real(row.pairs)),
                row.followed.to_string(),
                percent(row.heard),
                thousands(row.per_second),
            ]
        });
        Sheet {
            title: "A topic for each pair",
            note: "Pairs are traded by Zipf's law and followed as often as they are traded."
                .to_owned(),
            header: vec!["pairs", "a node follows", "it hears", "network's notices/s it can stand"],
            rows: rows.collect(),
        }
    }

    fn records(&self) -> Sheet {
        let rows = self.last_variants().map(|(row, study, variant)| {
            let mut row: Vec<String> = row.into_iter().take(2).collect();
            let entry = ceilings::member_bytes(&self.figures, variant.record_bytes);
            let domains = real(variant.domains);
            let lists = ceilings::member_lists_bytes_per_s(variant.domains, entry);
            // A record is kept as it was signed and as it was read, the latter about three times as
            // large; the map of one search has each trust twice.
            let kept = 4.0 * variant.record_bytes + self.figures.signature_bytes.value;
            let trust = 4.0 * real(variant.links) * 128.0;
            let [fresh, settled] = study.lookups;
            let lookup = |of: super::directory::Lookups| {
                format!("{}, {:.1} hops, {:.0} asked", percent(of.found), of.hops, of.asked)
            };
            row.extend([
                thousands(variant.record_bytes),
                short(domains * kept / 1e6),
                short(trust / 1e6),
                short(variant.timing.map_us / 1e3),
                short(variant.timing.search_us / 1e3),
                short(lists / 1e6),
                lookup(fresh),
                lookup(settled),
            ]);
            row
        });
        Sheet {
            title: "What every bank keeps and asks of the others",
            note: "Sizes in MB are estimates from the records. Times are processor time on this \
                   machine, means. Lists: all members, four times in five minutes. Look-ups: just \
                   after the start, and when every node has looked for its own place."
                .to_owned(),
            header: vec![
                "shape",
                "banks",
                "record, bytes",
                "records, MB",
                "map, MB",
                "map made in, ms",
                "search, ms",
                "lists, MB/s",
                "look-ups at first",
                "look-ups then",
            ],
            rows: rows.collect(),
        }
    }
}

impl Sheet {
    fn draw(&self, style: Style) -> String {
        let mut table = Table::new();
        table.set_content_arrangement(ContentArrangement::Disabled);
        match style {
            Style::Plain => table.load_preset(presets::NOTHING),
            Style::Markdown => table.load_preset(presets::ASCII_MARKDOWN),
        };
        table.set_header(&self.header);
        table.add_rows(&self.rows);
        let heading = match style {
            Style::Plain => format!("{}\n{}", self.title.to_uppercase(), self.note),
            Style::Markdown => format!("### {}\n\n{}\n", self.title, self.note),
        };
        for (at, column) in table.column_iter_mut().enumerate() {
            let numbers = self.rows.iter().filter_map(|row| row.get(at));
            if numbers.clone().all(|cell| cell.starts_with(|c: char| c.is_ascii_digit())) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        format!("{heading}\n{}", table.trim_fmt())
    }
}

/// With commas, and no decimals.
fn thousands(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// With as many decimals as say something.
fn short(value: f64) -> String {
    match value {
        value if value >= 100.0 => thousands(value),
        value if value >= 10.0 => format!("{value:.1}"),
        value if value >= 0.1 => format!("{value:.2}"),
        value if value == 0.0 => "0".to_owned(),
        value => format!("{value:.4}"),
    }
}

fn percent(value: f64) -> String {
    match value {
        value if value == 0.0 => "0 %".to_owned(),
        value if value < 0.1 => "<0.1 %".to_owned(),
        value => format!("{value:.1} %"),
    }
}

/// Puts `tables` between the two comment lines of the file at `path`.
///
/// # Errors
/// `Q-2392` when it has no such lines; those of reading and writing.
pub fn put_into(path: &Path, command: &str, tables: &str) -> Result<(), Refusal> {
    let text = std::fs::read_to_string(path).map_err(|error| files::cannot_read(path, &error))?;
    let Some((before, rest)) = text.split_once(BEGIN) else {
        refuse!(NoMarkers, "{}: {BEGIN}", path.display());
    };
    let Some((_, after)) = rest.split_once(END) else {
        refuse!(NoMarkers, "{}: {END}", path.display());
    };
    let made = format!("{before}{BEGIN}\n\nMade by `{command}`.\n\n{tables}\n{END}{after}");
    std::fs::write(path, made).map_err(|error| files::cannot_write(path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scale::study::Plan;
    use quadrille_protocol::error::Code;

    #[test]
    fn numbers_are_short() {
        let shown = [0.0, 0.01234, 0.5, 12.34, 1_234_567.8].map(short);
        assert_eq!(shown, ["0", "0.0123", "0.50", "12.3", "1,234,568"]);
        assert_eq!(thousands(999.6), "1,000");
    }

    #[test]
    fn tables_are_put_between_the_lines_and_nothing_else_changes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("page.md");
        std::fs::write(&path, format!("before\n{BEGIN}\nold\n{END}\nafter\n")).unwrap();
        put_into(&path, "scale", "new\n").unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("before\n") && text.ends_with("\nafter\n"), "{text}");
        assert!(text.contains("new") && !text.contains("old"), "{text}");
        std::fs::write(&path, "no lines").unwrap();
        assert_eq!(put_into(&path, "scale", "new\n").unwrap_err().code, Code::NoMarkers);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "no lines");
    }

    #[test]
    fn every_table_has_a_cell_for_each_heading() {
        let figures = Figures::default();
        let plan = Plan { shape: Shape::Regional, banks: 12, seed: 1, searches: 20, jobs: 1 };
        let study = Study::of(&plan, &figures).unwrap();
        let report = Report::of("scale".to_owned(), 1, figures, vec![study]);
        for table in report.tables(Style::Markdown).split("### ").skip(1) {
            let lines: Vec<&str> = table.lines().filter(|line| line.starts_with('|')).collect();
            let cells = |line: &str| line.matches('|').count();
            assert!(lines.len() > 2, "{table}");
            assert!(lines.iter().all(|line| cells(line) == cells(lines[0])), "{table}");
        }
    }
}
