//! The command line at a bank, as its customers and its operator use it.

use std::ffi::OsStr;
use std::process::{Command, Stdio};

use quadrille_node::api::dto::PaymentView;
use quadrille_node::config::{self, Sources};
use quadrille_node::files::{self, Access};
use quadrille_protocol::types::OrderId;
use quadrille_testnet::local::process;
use quadrille_testnet::local::start;
use quadrille_testnet::local::up;
use serde_json::Value;

use crate::stage::Stage;

/// What a command has said.
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Said {
    /// What it printed; it must have done what it was told.
    pub fn done(self) -> String {
        assert_eq!(self.code, Some(0), "{}{}", self.out, self.err);
        self.out
    }

    /// The same, as JSON.
    pub fn json(self) -> Value {
        let text = self.done();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// It must have been refused, with this code and these words.
    pub fn refused(self, code: &str, words: &str) {
        assert_eq!(self.code, Some(1), "{code}: {}{}", self.out, self.err);
        assert!(self.err.contains(code) && self.err.contains(words), "{code}: {}", self.err);
    }
}

impl Stage {
    /// Runs `quadrille` at a bank; the words of `line` are split at spaces, `more` are not.
    pub fn quadrille(&self, bank: &str, line: &str, more: &[&str]) -> Said {
        let layout = &self.held.layout;
        let api = self.held.state.bank(bank).unwrap().api.unwrap();
        let settings: [(&str, &OsStr); 4] = [
            ("QUADRILLE_TOKEN_FILE", &layout.token(bank).into_os_string()),
            ("QUADRILLE_WALLET", &layout.wallet(bank).into_os_string()),
            ("QUADRILLE_PASSPHRASE_FILE", &layout.passphrase().into_os_string()),
            ("QUADRILLE_DIR", &layout.node(bank).into_os_string()),
        ];
        let output = Command::new(process::program("quadrille").unwrap())
            .args(line.split_whitespace())
            .args(more)
            .envs(settings)
            .env("QUADRILLE_API", format!("http://{api}"))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Said { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// Stops a bank, changes options of its file, and starts it again.
    pub fn configure(&mut self, bank: &str, options: &[(&str, &str)]) {
        let process = self.held.state.bank_mut(bank).unwrap().process.take().unwrap();
        assert!(process.stop(start::PATIENCE), "{bank} does not end when asked to");
        let dir = self.held.layout.node(bank);
        let path = config::Layout::new(&dir).config();
        let file = Some(files::read_text(&path, config::FILE_BYTES).unwrap());
        let flags = options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let sources = Sources { dir, file, environment: Vec::new(), flags: flags.collect() };
        let text = config::template(&sources.load().unwrap().config);
        files::replace(&path, text.as_bytes(), Access::Public).unwrap();
        self.start(bank, None);
        up::meet(&self.held).unwrap();
    }

    /// What became of a payment at bank-a that `quadrille` has sent as this order.
    pub fn sent(&self, sent: &Value) -> PaymentView {
        let order: OrderId = sent["order"].as_str().unwrap().parse().unwrap();
        self.ended(&order)
    }
}
