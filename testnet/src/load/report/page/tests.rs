//! What stands on the page, and that nothing else does.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use super::super::sample;
use super::*;

const NASTY: &str = "<script>alert(\"b\")</script>&'";

/// The first place at which tags do not nest, if any.
fn unbalanced(html: &str) -> Option<String> {
    let mut open: Vec<String> = Vec::new();
    let mut rest = html.strip_prefix("<!DOCTYPE html>").unwrap_or(html);
    while let Some(start) = rest.find('<') {
        rest = &rest[start + 1..];
        let Some(end) = rest.find('>') else { return Some("a tag without an end".to_owned()) };
        let (tag, after) = rest.split_at(end);
        rest = &after[1..];
        if let Some(name) = tag.strip_prefix('/') {
            match open.pop() {
                Some(last) if last == name => {}
                other => return Some(format!("{name} ends {other:?}")),
            }
        } else if !tag.ends_with('/') {
            let name = tag.split_whitespace().next().unwrap_or_default();
            // Attributes come in pairs of quotes.
            if tag.matches('"').count() % 2 != 0 || tag.contains('<') {
                return Some(format!("quotes of {tag}"));
            }
            open.push(name.to_owned());
        }
    }
    open.pop()
}

#[test]
fn the_page_is_well_formed_escapes_names_and_needs_nothing_else() {
    let page = page(&sample::outcome(NASTY));
    assert_eq!(unbalanced(&page), None);
    assert!(!page.contains("<script") && page.contains("&lt;script&gt;alert"));
    for outside in ["http:", "https:", "url(", "@import", "src=", "<link", "NaN", "inf\""] {
        assert!(!page.contains(outside), "{outside}");
    }
}

#[test]
fn tags_that_do_not_nest_are_found() {
    assert_eq!(unbalanced("<p><b>x</b></p>"), None);
    for broken in ["<p><b>x</p></b>", "<p>", "<p", "<a href=\"x>y</a>", "</p>"] {
        assert!(unbalanced(broken).is_some(), "{broken}");
    }
}

#[test]
fn every_plot_has_titles_a_legend_and_the_figures_of_each_place() {
    let page = page(&sample::outcome("bank-b"));
    let plots = page.matches("<svg").count();
    assert_eq!(plots, 6);
    for wanted in [
        "time since the start (s)",
        "latency (ms, log)",
        "percentile (%)",
        "trades per second",
        "net claim (units of the asset)",
        "fault in force",
        "bank-b is down, 19.4 to 24.6 s",
        "<title>30 s\nsettled: 120\nbegun: 120",
        "refused Q-1405",
        "settled: 0\nbegun: 120\nrefused or refunded: 0\nbank-b is down",
        "1 of 1 are listed",
    ] {
        assert!(page.contains(wanted), "{wanted}");
    }
}

#[test]
fn a_load_without_anything_settled_makes_a_page_too() {
    let mut outcome = sample::outcome("bank-b");
    outcome.seconds.clear();
    outcome.steps.clear();
    outcome.exposures.clear();
    outcome.settled_percentiles.clear();
    outcome.accepted_percentiles.clear();
    outcome.uncorrected_percentiles.clear();
    outcome.cost = None;
    assert_eq!(unbalanced(&page(&outcome)), None);
}

/// For looking at it: `QUADRILLE_SHOW_PAGE=FILE` writes the page of these tests there.
#[test]
fn the_page_can_be_looked_at() {
    let Ok(path) = std::env::var("QUADRILLE_SHOW_PAGE") else { return };
    std::fs::write(path, page(&sample::outcome("bank-b"))).unwrap();
}
