//! The report of a load: a page that needs nothing else, tables for other programs, and JSON.
//!
//! Invariant: the folder appears whole or not at all: it is written under another name and renamed.

use std::fs;
use std::path::Path;

use quadrille_node::files;
use quadrille_protocol::error::{Code, Refusal};

use super::outcome::Outcome;

mod page;
mod plot;
#[cfg(test)]
mod sample;
mod table;

pub use table::text;

/// The page.
pub const PAGE: &str = "index.html";

/// Checks that a report can be put there.
///
/// # Errors
/// `Q-2206` when something is there already.
pub fn check_free(dir: &Path) -> Result<(), Refusal> {
    if dir.exists() {
        return Err(Refusal::new(Code::FileExists, dir.display().to_string()));
    }
    Ok(())
}

/// Writes the report into a folder, which must not be there yet.
///
/// # Errors
/// `Q-2206` when it is there; `Q-2205`.
pub fn write(dir: &Path, outcome: &Outcome) -> Result<(), Refusal> {
    check_free(dir)?;
    let name = dir.file_name().map(|name| name.to_string_lossy().into_owned());
    let hidden = format!(".{}.{}", name.unwrap_or_default(), std::process::id());
    let temporary = dir.with_file_name(hidden);
    let written = fill(&temporary, outcome).and_then(|()| {
        fs::rename(&temporary, dir).map_err(|error| files::cannot_write(dir, &error))
    });
    if written.is_err() {
        // What is half-written is of no use; that it cannot be removed either is no news.
        let _ = fs::remove_dir_all(&temporary);
    }
    written
}

fn fill(dir: &Path, outcome: &Outcome) -> Result<(), Refusal> {
    fs::create_dir_all(dir).map_err(|error| files::cannot_write(dir, &error))?;
    let json = serde_json::to_string_pretty(outcome)
        .map_err(|error| Refusal::new(Code::CannotWrite, error.to_string()))?;
    let contents = [
        (PAGE, page::page(outcome)),
        ("samples.csv", table::samples(outcome)),
        ("latencies.csv", table::latencies(outcome)),
        ("report.json", json),
    ];
    for (name, text) in contents {
        let path = dir.join(name);
        fs::write(&path, text).map_err(|error| files::cannot_write(&path, &error))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_appears_whole_and_never_over_another_one() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("report");
        write(&dir, &sample::outcome("bank-b")).unwrap();
        let mut names: Vec<String> = fs::read_dir(&dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, [PAGE, "latencies.csv", "report.json", "samples.csv"]);
        let json = fs::read_to_string(dir.join("report.json")).unwrap();
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["counts"]["settled"], 7_196);
        assert_eq!(json["plan"]["pace"]["per_second"], 120.0);
        let samples = fs::read_to_string(dir.join("samples.csv")).unwrap();
        assert_eq!(samples.lines().count(), 61);
        let columns = |line: &str| line.split(',').count();
        assert!(samples.lines().all(|line| columns(line) == 12), "{samples}");
        let code = write(&dir, &sample::outcome("bank-b")).unwrap_err().code;
        assert_eq!(code, Code::FileExists);
        let nowhere = folder.path().join("file");
        fs::write(&nowhere, "").unwrap();
        let code = write(&nowhere.join("report"), &sample::outcome("bank-b")).unwrap_err().code;
        assert_eq!(code, Code::CannotWrite);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing half-written");
    }
}
