//! The log of a bank, read from a copy of its files.

use quadrille_node::log_store::LogStore;
use quadrille_protocol::log::{Record, Statement};
use quadrille_protocol::types::Height;
use quadrille_testnet::local::audit;

use crate::stage::{Side, Stage};

/// Of every batch above `above` what it has of settlements, in crash points' words: statements,
/// those received with `Received/` before them, and bookings of a settlement's end.
pub fn settlement_batches(stage: &Stage, side: Side, above: Height) -> Vec<Vec<String>> {
    let bank = stage.held.state.bank(side.bank()).unwrap();
    let copy = tempfile::tempdir().unwrap();
    audit::copy_log(&stage.held.layout, bank, copy.path()).unwrap();
    let (log, _) = LogStore::open(copy.path()).unwrap();
    let batches = log.reader().from(above.next());
    let kinds = batches.map(|batch| {
        let batch = batch.unwrap();
        let records = &batch.stored.records;
        records.iter().flat_map(|bytes| kinds(&Record::read(bytes).unwrap())).collect()
    });
    kinds.filter(|kinds: &Vec<String>| !kinds.is_empty()).collect()
}

fn kinds(record: &Record) -> Vec<String> {
    match record {
        // Told a while after a trade, and no part of it.
        Record::Statement(Statement::Position(_)) => Vec::new(),
        Record::Statement(statement) => vec![statement.kind().to_owned()],
        Record::Received(frame) => {
            let statements = frame.items().iter().filter_map(|item| item.statement.as_ref());
            let statements = statements.filter(|said| !matches!(said, Statement::Position(_)));
            statements.map(|statement| format!("Received/{}", statement.kind())).collect()
        }
        Record::Transaction(transaction) => match transaction.cause.kind() {
            kind @ ("settled" | "refunded") => vec![format!("Transaction/{kind}")],
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}
