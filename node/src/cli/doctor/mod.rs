//! `quadrille doctor`: everything that can be wrong with a node before and while it runs, each
//! with its remedy. Changes nothing.

mod checks;
mod places;

use quadrille_protocol::error::{Code, Refusal};
use serde::Serialize;

use super::enroll::OpenKeys;
use super::exit::Failure;
use super::output::{Output, line};
use super::overrides;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  quadrille doctor --dir /var/lib/quadrille --passphrase-file /run/secrets/passphrase
  quadrille doctor --dir . --offline -o json | jq '.[] | select(.verdict != \"ok\")'
Exit code 1 when a check fails; warnings alone leave it 0.")]
pub(super) struct Arguments {
    /// Leave out the checks that open connections
    #[arg(long)]
    offline: bool,
    /// Set an option of the configuration for this run
    #[arg(long = "set", value_name = "SECTION.OPTION=VALUE")]
    set: Vec<String>,
    #[command(flatten)]
    keys: OpenKeys,
}

/// What a check found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    /// As it should be.
    Ok,
    /// It works, but the operator should know.
    Warn,
    /// The node cannot work so.
    Fail,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Finding {
    check: &'static str,
    verdict: Verdict,
    what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

impl Finding {
    fn ok(check: &'static str, what: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Ok, what: what.into(), remedy: None }
    }

    fn warn(check: &'static str, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Warn, what: what.into(), remedy: Some(remedy.into()) }
    }

    fn fail(check: &'static str, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Fail, what: what.into(), remedy: Some(remedy.into()) }
    }

    fn refused(check: &'static str, refusal: &Refusal) -> Self {
        Self::fail(check, refusal.to_string(), refusal.code.remedy())
    }
}

pub(super) fn run(arguments: &Arguments, output: Output) -> Result<(), Failure> {
    let set = overrides(&arguments.set)?;
    let mut findings = Vec::new();
    if let Some(facts) = checks::Facts::gather(&arguments.keys, &set, &mut findings) {
        checks::papers(&facts, &mut findings);
        places::permissions(&facts, &mut findings);
        places::compliance(&facts, &mut findings);
        places::guard(&facts, &mut findings);
        places::disk(&facts, &mut findings);
        checks::log(&facts, &mut findings);
        places::listening(&facts, &mut findings);
        if !arguments.offline {
            places::network(&facts, &mut findings);
        }
    }
    tell(&findings, output)?;
    let failed: Vec<&str> = findings
        .iter()
        .filter(|finding| finding.verdict == Verdict::Fail)
        .map(|finding| finding.check)
        .collect();
    if failed.is_empty() {
        return Ok(());
    }
    Err(Refusal::new(Code::NotInOrder, failed.join(", ")).into())
}

fn tell(findings: &[Finding], output: Output) -> Result<(), Failure> {
    if output != Output::Table {
        return output.list(findings, &[], |_| Vec::new());
    }
    for Finding { check, verdict, what, remedy } in findings {
        let word = match verdict {
            Verdict::Ok => "ok  ",
            Verdict::Warn => "WARN",
            Verdict::Fail => "FAIL",
        };
        line(format!("{word}  {check:<13} {what}"))?;
        if let Some(remedy) = remedy {
            line(format!("      {:<13} -> {remedy}", ""))?;
        }
    }
    Ok(())
}
