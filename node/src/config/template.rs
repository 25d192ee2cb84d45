//! The file that `init` writes: every option with its meaning; those that differ from the
//! default are set, the others stand there commented out.

use std::fmt::Write as _;

use super::Config;
use super::options::{OPTIONS, SECTIONS};

const HEAD: &str = "\
# The configuration of a Quadrille node. A line that begins with `#` and an option shows the
# option's default: take the `#` away to change it. What is set here is overridden by the
# environment (QUADRILLE_MESH_QUIC=true) and that by the command line (--set mesh.quic=true).
# `quadrille config show --origin` tells what counts and why.
";

/// The text of the file for `config`.
#[must_use]
pub fn template(config: &Config) -> String {
    let defaults = Config::defaults(&config.dir);
    let mut text = String::from(HEAD);
    for section in SECTIONS {
        text.push('\n');
        comment(&mut text, section.doc);
        let _ = writeln!(text, "[{}]", section.name);
        for option in OPTIONS.iter().filter(|option| option.section == section.name) {
            text.push('\n');
            comment(&mut text, option.doc);
            let show = |config: &Config| config.show(option.section, option.name);
            let value = show(config).unwrap_or_default();
            let default = show(&defaults).unwrap_or_default();
            if value == default {
                let _ = writeln!(text, "# {} = {default}", option.name);
            } else {
                let _ = writeln!(text, "# {} = {default}\n{} = {value}", option.name, option.name);
            }
        }
    }
    text
}

fn comment(text: &mut String, lines: &[&str]) {
    for line in lines {
        let _ = writeln!(text, "#{line}");
    }
}
