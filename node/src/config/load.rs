//! From the four sources to one configuration, remembering where each value came from.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use quadrille_protocol::error::{Code, Refusal};
use serde::Serialize;
use toml::Spanned;

use super::options::{Described, OPTIONS, SECTIONS};
use super::{Config, FILE_BYTES, bad};
use crate::config::Layout;
use crate::files;
use crate::toml_text::{self, line_of, nearest};

/// What every environment variable of ours begins with.
const PREFIX: &str = "QUADRILLE_";

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// The configuration file.
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// An environment variable.
    Environment(String),
    /// The command line.
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{} line {line}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag => f.write_str("command line"),
        }
    }
}

/// One option of a loaded configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// `section.option`.
    pub option: String,
    /// Its value, as TOML.
    pub value: String,
    /// Where it came from.
    pub origin: String,
}

/// A loaded configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    origins: BTreeMap<(&'static str, &'static str), Origin>,
}

impl Loaded {
    /// Where the value of an option came from.
    #[must_use]
    pub fn origin(&self, section: &str, name: &str) -> Origin {
        let known = self.origins.iter().find(|((s, n), _)| (*s, *n) == (section, name));
        known.map_or(Origin::Default, |(_, origin)| origin.clone())
    }

    /// Every option with its value and where that came from, in the order of the table.
    #[must_use]
    pub fn rows(&self) -> Vec<Row> {
        let row = |option: &Described| Row {
            option: format!("{}.{}", option.section, option.name),
            value: self.config.show(option.section, option.name).unwrap_or_default(),
            origin: self.origin(option.section, option.name).to_string(),
        };
        OPTIONS.iter().map(row).collect()
    }
}

/// What a configuration is loaded from.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The data directory.
    pub dir: PathBuf,
    /// The file's text, where there is a file.
    pub file: Option<String>,
    /// The environment; variables that are not ours are passed over.
    pub environment: Vec<(String, String)>,
    /// The command line: `section.option` and the value.
    pub flags: Vec<(String, String)>,
}

impl Sources {
    /// The sources of this process.
    ///
    /// # Errors
    /// `Q-2204` when the file cannot be read.
    pub fn of_process(dir: &Path, flags: &[(String, String)]) -> Result<Self, Refusal> {
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(name, _)| name.starts_with(PREFIX))
            .collect();
        let file = files::read_text(&Layout::new(dir).config(), FILE_BYTES)?;
        Ok(Self { dir: dir.to_owned(), file: Some(file), environment, flags: flags.to_vec() })
    }

    /// Puts them together, the later over the earlier, and checks the whole.
    ///
    /// # Errors
    /// `Q-2203` for an unknown option, `Q-2202` for a value that is none or that does not go
    /// with the others.
    pub fn load(&self) -> Result<Loaded, Refusal> {
        let mut loading = Loading { config: Config::defaults(&self.dir), origins: BTreeMap::new() };
        if let Some(text) = &self.file {
            loading.take_file(&Layout::new(&self.dir).config(), text)?;
        }
        loading.take_environment(&self.environment)?;
        for (option, text) in &self.flags {
            let (section, name) = option.split_once('.').ok_or_else(|| unknown(option, None))?;
            loading.take_text(section, name, text, Origin::Flag)?;
        }
        loading.config.check()?;
        Ok(Loaded { config: loading.config, origins: loading.origins })
    }
}

type Table = BTreeMap<Spanned<String>, Spanned<toml::Value>>;

struct Loading {
    config: Config,
    origins: BTreeMap<(&'static str, &'static str), Origin>,
}

impl Loading {
    fn take_file(&mut self, path: &Path, text: &str) -> Result<(), Refusal> {
        let sections: BTreeMap<Spanned<String>, Spanned<toml::Value>> =
            toml_text::parse(path, text, Code::BadConfiguration)?;
        for section in sections.keys() {
            self.check_section(path, text, section)?;
        }
        let sections: BTreeMap<String, Table> =
            toml_text::parse(path, text, Code::BadConfiguration)?;
        for (section, options) in &sections {
            for (name, value) in options {
                let line = line_of(text, name.span().start);
                let origin = Origin::File { path: path.to_owned(), line };
                self.take(section, name.get_ref(), value.get_ref(), origin)?;
            }
        }
        Ok(())
    }

    fn check_section(
        &self,
        path: &Path,
        text: &str,
        name: &Spanned<String>,
    ) -> Result<(), Refusal> {
        if SECTIONS.iter().any(|section| section.name == name.get_ref()) {
            return Ok(());
        }
        let origin = Origin::File { path: path.to_owned(), line: line_of(text, name.span().start) };
        Err(unknown(name.get_ref(), Some(&origin)))
    }

    fn take_environment(&mut self, variables: &[(String, String)]) -> Result<(), Refusal> {
        for (variable, text) in variables {
            let Some(rest) = variable.strip_prefix(PREFIX) else { continue };
            // Other variables of ours (QUADRILLE_API, QUADRILLE_TOKEN_FILE …) name no section.
            let lower = rest.to_ascii_lowercase();
            let Some((section, name)) = lower.split_once('_') else { continue };
            if SECTIONS.iter().any(|known| known.name == section) {
                self.take_text(section, name, text, Origin::Environment(variable.clone()))?;
            }
        }
        Ok(())
    }

    fn take_text(
        &mut self,
        section: &str,
        name: &str,
        text: &str,
        origin: Origin,
    ) -> Result<(), Refusal> {
        let value = Config::read_text(section, name, text)
            .ok_or_else(|| unknown(&format!("{section}.{name}"), Some(&origin)))?
            .map_err(|wanted| bad(format!("{section}.{name} ({origin}): {wanted}")))?;
        self.take(section, name, &value, origin)
    }

    fn take(
        &mut self,
        section: &str,
        name: &str,
        value: &toml::Value,
        origin: Origin,
    ) -> Result<(), Refusal> {
        let known = OPTIONS.iter().find(|option| (option.section, option.name) == (section, name));
        let set = known.zip(self.config.set(section, name, value));
        let Some((option, done)) = set else {
            return Err(unknown(&format!("{section}.{name}"), Some(&origin)));
        };
        done.map_err(|wanted| bad(format!("{section}.{name} ({origin}): {wanted}")))?;
        self.origins.insert((option.section, option.name), origin);
        Ok(())
    }
}

/// The refusal of an option that there is not, with the one that may have been meant.
fn unknown(option: &str, origin: Option<&Origin>) -> Refusal {
    let names: Vec<String> =
        OPTIONS.iter().map(|option| format!("{}.{}", option.section, option.name)).collect();
    let sections = SECTIONS.iter().map(|section| section.name);
    let known = sections.chain(names.iter().map(String::as_str));
    let meant = nearest(option, known).map(|meant| format!("; did you mean `{meant}`?"));
    let place = origin.map(|origin| format!(" ({origin})"));
    let what = format!("`{option}`{}{}", place.unwrap_or_default(), meant.unwrap_or_default());
    Refusal::new(Code::UnknownOption, what)
}
