//! TOML with errors for people: the file, the line, what is wrong, what may have been meant.

use std::path::Path;

use quadrille_protocol::error::{Code, Refusal};
use serde::de::DeserializeOwned;

/// Reads `text`, which came from `path`, as a value.
///
/// # Errors
/// `code`, with file and line.
pub(crate) fn parse<T: DeserializeOwned>(
    path: &Path,
    text: &str,
    code: Code,
) -> Result<T, Refusal> {
    toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(1, |span| line_of(text, span.start));
        let what = error.message().lines().next().unwrap_or("cannot be read");
        Refusal::new(code, format!("{} line {line}: {what}", path.display()))
    })
}

/// The number of the line, from 1, that the byte at `offset` is on.
pub(crate) fn line_of(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().get(..offset).unwrap_or(text.as_bytes());
    before.iter().filter(|byte| **byte == b'\n').count().saturating_add(1)
}

/// The known word that is nearest to `word`, where one is near enough to have been meant.
pub(crate) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|candidate| (distance(word, candidate), candidate))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, candidate)| *distance <= candidate.len().div_ceil(3))
        .map(|(_, candidate)| candidate)
}

/// The edit distance of two words (Levenshtein).
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (above, letter) in left.chars().enumerate() {
        let mut diagonal = above;
        let mut before = above.saturating_add(1);
        if let Some(first) = row.first_mut() {
            *first = before;
        }
        for (cell, other) in row.iter_mut().skip(1).zip(&right) {
            let replaced = diagonal.saturating_add(usize::from(letter != *other));
            diagonal = *cell;
            *cell = replaced.min(cell.saturating_add(1)).min(before.saturating_add(1));
            before = *cell;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_counted_in_edits() {
        let cases = [("", "", 0), ("a", "", 1), ("", "ab", 2), ("kitten", "sitting", 3)];
        for (left, right, expected) in cases {
            assert_eq!(distance(left, right), expected, "{left} {right}");
            assert_eq!(distance(right, left), expected, "{right} {left}");
        }
    }

    #[test]
    fn a_slip_is_recognised_and_a_stranger_is_not() {
        let known = ["listen", "guard_dir", "queue"];
        assert_eq!(nearest("lisen", known.into_iter()), Some("listen"));
        assert_eq!(nearest("guard-dir", known.into_iter()), Some("guard_dir"));
        assert_eq!(nearest("colour", known.into_iter()), None);
    }
}
