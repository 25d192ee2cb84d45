//! Exit codes, and how a failure is told: the one place that knows both.

use quadrille_protocol::error::{Code, Refusal};
use serde::Serialize;

use super::output::Output;
use crate::api::dto::Problem;
use crate::client::ClientError;

/// What the process ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// What was asked for is done.
    Done = 0,
    /// It was refused, or could not be done.
    Refused = 1,
    /// It was asked wrongly.
    Usage = 2,
    /// The node was not reached; nothing has happened.
    Unreachable = 3,
    /// The token does not permit it.
    NotAllowed = 4,
    /// A change was sent and no answer came. Repeat the command with the same `--id`.
    Unknown = 5,
    /// Another process has the data directory or the wallet.
    Locked = 6,
}

/// The table of exit codes, for `--help`.
pub const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  refused, or it could not be done
  2  asked wrongly
  3  node not reached; nothing has happened
  4  not allowed with this token
  5  OUTCOME UNKNOWN: repeat the same command with the same --id
  6  another process has the data directory or the wallet";

/// Why a command did not do what it was asked to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The stable code.
    pub code: String,
    /// What the code means.
    pub title: String,
    /// What was wrong this time.
    pub what: String,
    /// What can be done about it.
    pub remedy: String,
    /// What the process ends with.
    #[serde(skip)]
    pub exit: Exit,
}

impl Failure {
    /// A failure of this process's own, for instance a full pipe.
    pub fn usage(what: impl Into<String>) -> Self {
        Refusal::new(Code::BadUsage, what).into()
    }

    /// The same, with something more to do about it.
    #[must_use]
    pub fn with_remedy(mut self, more: &str) -> Self {
        self.remedy = format!("{} {more}", self.remedy);
        self
    }

    /// Tells it on standard error.
    pub fn tell(&self, output: Output) {
        match output {
            Output::Table => {
                let unknown = self.exit == Exit::Unknown;
                let head = if unknown { "OUTCOME UNKNOWN: " } else { "" };
                eprintln!("quadrille: {head}{} {}: {}", self.code, self.title, self.what);
                eprintln!("{}", self.remedy);
            }
            Output::Json | Output::Ndjson => {
                eprintln!("{}", serde_json::to_string(self).unwrap_or_default());
            }
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self {
            code: refusal.code.to_string(),
            title: refusal.code.title().to_owned(),
            what: refusal.what,
            remedy: refusal.code.remedy().to_owned(),
            exit: exit_of(refusal.code),
        }
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        let exit = match problem.status {
            401 | 403 => Exit::NotAllowed,
            _ => Exit::Refused,
        };
        Self {
            code: problem.code,
            title: problem.title,
            what: problem.detail,
            remedy: problem.remedy,
            exit,
        }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Refused(problem) => (*problem).into(),
            ClientError::Unreachable(what) => Refusal::new(Code::Unreachable, what).into(),
            ClientError::Unknown(what) => Refusal::new(Code::NoAnswer, what).into(),
            ClientError::BadAnswer(what) => Refusal::new(Code::BadAnswer, what).into(),
            ClientError::BadRequest(refusal) => refusal.into(),
        }
    }
}

/// What the process ends with on a refusal of its own (the node's have a status).
fn exit_of(code: Code) -> Exit {
    match code {
        Code::Unreachable | Code::BadAnswer => Exit::Unreachable,
        Code::NoAnswer => Exit::Unknown,
        Code::NoToken => Exit::NotAllowed,
        Code::WalletInUse | Code::DirectoryInUse => Exit::Locked,
        Code::BadUsage
        | Code::BadConfiguration
        | Code::UnknownOption
        | Code::IdReused
        | Code::AmbiguousAsset
        | Code::TooManyDecimals => Exit::Usage,
        // What a user types is read by the protocol's own types.
        code if (1005..=1017).contains(&code.number()) => Exit::Usage,
        _ => Exit::Refused,
    }
}
