//! `quadrille-testnet assert`.

use std::num::NonZeroU64;
use std::process::ExitCode;
use std::time::Duration;

use quadrille_protocol::error::{Code, Refusal};

use super::super::command::{self, Folder, Output, complain, print};
use super::super::state;
use super::{Options, Report, Rule, audit_with};

/// What `assert` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Asks every bank over its interface, and reads every log where it is, without a copy: checksums,
chain, Merkle roots and signatures; each bank's books and settlements against the records that
they stand on; and the logs against each other: atomicity, mirrors, conservation, what was heard
against what was said, and two checkpoints for one height. With --sample N the signature of one
checkpoint of N is checked, and that of the last, which covers those before through their hashes.

Memory: some 130 bytes for each settlement in each log, and 8 MB for each core.

Examples:
  quadrille-testnet assert && echo holds
  quadrille-testnet assert --wait 120 -o json
  quadrille-testnet assert --offline --sample 100     # the logs alone, also of banks that are down")]
pub struct AssertArgs {
    #[command(flatten)]
    folder: Folder,
    /// Seconds that what is under way may take to end
    #[arg(long, default_value_t = 60)]
    wait: u64,
    /// Read the logs alone; the banks need not run
    #[arg(long)]
    offline: bool,
    /// Check the signature of one checkpoint of so many
    #[arg(long, value_name = "N", default_value = "1")]
    sample: NonZeroU64,
    /// How to print it
    #[arg(short, long, value_enum, default_value = "table")]
    output: Output,
}

impl AssertArgs {
    /// Asks.
    #[must_use]
    pub fn run(&self) -> ExitCode {
        let layout = self.folder.layout();
        let thorough = Options::thorough(Duration::from_secs(self.wait)).sampled(self.sample);
        let options = Options { offline: self.offline, ..thorough };
        let report = state::load(&layout).and_then(|state| audit_with(&layout, &state, options));
        let told = report.and_then(|report| {
            match self.output {
                Output::Table => print(&verdict(&report))?,
                Output::Json => print(&command::json(&report)?)?,
            }
            Ok(report.findings.len())
        });
        match told {
            Ok(0) => ExitCode::SUCCESS,
            Ok(broken) => complain(&Refusal::new(Code::DoesNotHold, format!("{broken} findings"))),
            Err(refusal) => complain(&refusal),
        }
    }
}

/// What an audit found, in lines: each rule, and under it what breaks it.
#[must_use]
pub fn verdict(report: &Report) -> String {
    let Report { banks, settlements, assets, batches, signatures, records, .. } = report;
    let Report { entries, open, unheard_pages, seconds, records_per_second, .. } = report;
    let mut text = format!(
        "{banks} banks, {assets} assets, {settlements} views of settlements, {open} open\n\
         {records} records, {entries} ledger entries in {batches} batches, {signatures} \
         signatures checked: {seconds:.2} s, {records_per_second:.0} records/s\n"
    );
    if *unheard_pages > 0 {
        text.push_str(&format!("{unheard_pages} pages were said and are not heard yet\n"));
    }
    for rule in Rule::ALL {
        let broken: Vec<_> = report.findings.iter().filter(|found| found.rule == rule).collect();
        let word = if broken.is_empty() { "holds" } else { "BROKEN" };
        text.push_str(&format!("{rule:14} {word}\n"));
        for finding in broken {
            text.push_str(&format!("  {}\n", finding.what));
        }
    }
    text
}
