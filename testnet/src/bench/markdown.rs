//! Writing the table of a run between two marker lines of a Markdown file.

use std::path::Path;

use quadrille_node::files::{self, Access};
use quadrille_protocol::error::Refusal;
use quadrille_protocol::refuse;

/// The line before the table.
pub const BEGIN: &str = "<!-- figures: begin -->";
/// The line after it.
pub const END: &str = "<!-- figures: end -->";
/// Largest file.
const FILE_BYTES: usize = 1024 * 1024;

/// Replaces what is between the markers of the file.
///
/// # Errors
/// `Q-2392` no markers; `Q-2204`, `Q-2205` the file.
pub fn write(path: &Path, table: &str) -> Result<(), Refusal> {
    let text = files::read_text(path, FILE_BYTES)?;
    let Some(text) = replaced(&text, table) else {
        refuse!(NoMarkers, "{}: `{BEGIN}` and `{END}`", path.display());
    };
    files::replace(path, text.as_bytes(), Access::Public)
}

fn replaced(text: &str, table: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{}\n{END}{after}", table.trim_end()))
}

#[cfg(test)]
mod tests {
    use quadrille_protocol::error::Code;

    use super::*;

    #[test]
    fn only_what_is_between_the_markers_changes() {
        let text = format!("above\n{BEGIN}\nold\n{END}\nbelow\n");
        let new = replaced(&text, "| new |\n").unwrap();
        assert_eq!(new, format!("above\n{BEGIN}\n| new |\n{END}\nbelow\n"));
        assert_eq!(replaced(&new, "| new |\n").unwrap(), new);
        assert!(replaced("no markers\n", "x").is_none());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("page.md");
        std::fs::write(&path, "no markers\n").unwrap();
        assert_eq!(write(&path, "x").unwrap_err().code, Code::NoMarkers);
    }
}
