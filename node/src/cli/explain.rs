//! `quadrille explain`: the titles and remedies of the refusal codes.

use quadrille_protocol::error::Code;

use super::exit::Failure;
use super::output::Output;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  quadrille explain Q-1405
  quadrille explain --all
  quadrille explain --all -o json")]
pub(super) struct Arguments {
    /// The code, like Q-1008
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    code: Option<String>,
    /// List every code
    #[arg(long)]
    all: bool,
}

/// One code as programs read it.
#[derive(serde::Serialize)]
struct Row {
    code: String,
    title: &'static str,
    remedy: &'static str,
}

impl Row {
    fn of(code: Code) -> Self {
        Self { code: code.to_string(), title: code.title(), remedy: code.remedy() }
    }
}

pub(super) fn run(arguments: &Arguments, output: Output) -> Result<(), Failure> {
    match arguments.code.as_deref().map(str::parse::<Code>) {
        Some(Ok(code)) => {
            let (title, remedy) = (code.title(), code.remedy());
            output.done(&Row::of(code), format!("{code} {title}\n{remedy}"))
        }
        Some(Err(refusal)) => {
            Err(Failure::from(refusal).with_remedy("`quadrille explain --all` prints it."))
        }
        None => {
            let rows: Vec<Row> = Code::ALL.iter().copied().map(Row::of).collect();
            output.list(&rows, &["CODE", "TITLE", "REMEDY"], |row| {
                vec![row.code.clone(), row.title.into(), row.remedy.into()]
            })
        }
    }
}
