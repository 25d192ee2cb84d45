//! `quadrille completions`.

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::exit::Failure;
use super::output::line;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  quadrille completions bash > /etc/bash_completion.d/quadrille
  quadrille completions zsh > ~/.zfunc/_quadrille")]
pub(super) struct Arguments {
    /// The shell
    shell: Shell,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut text = Vec::new();
    clap_complete::generate(
        arguments.shell,
        &mut super::Arguments::command(),
        "quadrille",
        &mut text,
    );
    line(String::from_utf8_lossy(&text).trim_end())
}
