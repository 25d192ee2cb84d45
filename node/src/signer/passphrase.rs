//! Where a passphrase comes from: a file, the file that the environment names, or a prompt.
//!
//! Never from the command line or the environment itself, where other users can see it.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use quadrille_protocol::error::{Code, Refusal};
use quadrille_protocol::refuse;
use zeroize::Zeroizing;

use crate::log_store::files::at;

/// Names a file that holds the passphrase.
pub const VARIABLE: &str = "QUADRILLE_PASSPHRASE_FILE";

/// The longest passphrase.
const PASSPHRASE_BYTES: usize = 4096;
/// The shortest that is accepted at a prompt for something new.
const NEW_CHARACTERS: usize = 8;

/// The passphrase from `file`, else from the file that [`VARIABLE`] names, else by `prompt`.
///
/// # Errors
/// `Q-1921` when there is none.
pub fn read(file: Option<&Path>, prompt: &str) -> Result<Zeroizing<String>, Refusal> {
    match file_named(file) {
        Some(file) => from_file(&file),
        None => ask(prompt),
    }
}

/// The passphrase for something new: as [`read`], but a prompt asks twice.
///
/// # Errors
/// `Q-1921` when there is none, it is too short to be typed for something new, or the two differ.
pub fn read_new(file: Option<&Path>, prompt: &str) -> Result<Zeroizing<String>, Refusal> {
    if let Some(file) = file_named(file) {
        return from_file(&file);
    }
    let first = ask(prompt)?;
    if first.chars().count() < NEW_CHARACTERS {
        refuse!(NoPassphrase, "at least {NEW_CHARACTERS} characters");
    }
    let second = ask("The same again: ")?;
    if *first != *second {
        refuse!(NoPassphrase, "the two are not the same");
    }
    Ok(first)
}

fn file_named(file: Option<&Path>) -> Option<PathBuf> {
    let from_environment = || std::env::var_os(VARIABLE).map(PathBuf::from);
    file.map(Path::to_owned).or_else(from_environment)
}

/// The first line of a file.
fn from_file(path: &Path) -> Result<Zeroizing<String>, Refusal> {
    let failed = |error: io::Error| Refusal::new(Code::NoPassphrase, at(path, &error));
    let file = File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.permissions().mode();
    if mode & 0o007 != 0 {
        // Containers mount their secrets so; the key file is closed to others all the same.
        tracing::warn!(path = %path.display(), "every user can open the passphrase file");
    }
    let mut text = Zeroizing::new(String::with_capacity(PASSPHRASE_BYTES + 2));
    file.take(PASSPHRASE_BYTES as u64 + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() > PASSPHRASE_BYTES {
        refuse!(NoPassphrase, "{}: more than {PASSPHRASE_BYTES} bytes", path.display());
    }
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() {
        refuse!(NoPassphrase, "{}: its first line is empty", path.display());
    }
    Ok(Zeroizing::new(line.to_owned()))
}

fn ask(prompt: &str) -> Result<Zeroizing<String>, Refusal> {
    if !io::stdin().is_terminal() {
        refuse!(NoPassphrase, "there is no terminal to ask at");
    }
    let failed = |error: io::Error| Refusal::new(Code::NoPassphrase, error.to_string());
    let text = Zeroizing::new(rpassword::prompt_password(prompt).map_err(failed)?);
    if text.is_empty() {
        refuse!(NoPassphrase, "nothing was typed");
    }
    Ok(text)
}
