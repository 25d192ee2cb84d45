//! The logs of simulated banks are sound; every violation that is planted in them is found.

use std::fs;
use std::path::Path;

use quadrille_node::log_store::LogStore;
use quadrille_protocol::ledger::transaction::Cause;
use quadrille_protocol::log::{OutcomeKind, Record, Statement};
use quadrille_protocol::types::{Amount, Bounded, Hash, Height};

use super::sheet::Row;
use super::stream::Opened;
use super::*;
use crate::sim::run::Options;
use crate::sim::world::World;

/// A run of three honest banks that has come to rest, without a restore.
fn world(seed: u64, steps: u64) -> World {
    let options = Options { domains: Some(3), steps: Some(steps), ..Options::default() };
    let mut world = World::of_seed(seed, options);
    world.run(seed, options).unwrap();
    world
}

fn is_plain(world: &World) -> bool {
    world.restored.is_none() && !world.nodes.iter().any(|node| node.byzantine)
}

/// The first plain world of some.
fn plain(steps: u64) -> World {
    let mut worlds = (1..20).map(|seed| {
        let options = Options { domains: Some(3), steps: Some(steps), ..Options::default() };
        let mut world = World::of_seed(seed, options);
        world.run(seed, options).unwrap();
        world
    });
    worlds.find(is_plain).unwrap()
}

fn domains(world: &World) -> Vec<Domain> {
    world.nodes.iter().map(|node| node.domain.clone()).collect()
}

fn batches(world: &World, node: usize) -> Vec<Opened> {
    let sealed = world.nodes[node].sealed.iter().filter(|sealed| sealed.signature.is_some());
    sealed.map(|sealed| Opened::of(&sealed.batch, sealed.signature.clone()).unwrap()).collect()
}

fn sheet(world: &World, node: usize, batches: Vec<Opened>) -> Sheet {
    let mut sheet = Sheet::new(world.nodes[node].domain.clone(), &domains(world));
    for opened in batches {
        sheet.take(opened);
    }
    sheet.finish();
    sheet
}

fn sheets(world: &World) -> Vec<Sheet> {
    (0..world.nodes.len()).map(|node| sheet(world, node, batches(world, node))).collect()
}

/// The rules that are broken.
fn broken(sheets: &[Sheet]) -> Vec<Rule> {
    let mut rules: Vec<Rule> =
        across(sheets, true).findings.iter().map(|found| found.rule).collect();
    rules.dedup();
    rules
}

/// A settlement that has moved something, with the place of a bank that is a party to it.
fn settled(sheets: &[Sheet]) -> (usize, quadrille_protocol::types::SettlementId) {
    let mut all = sheets.iter().enumerate().flat_map(|(place, sheet)| {
        let settles = |row: &Row| row.applied == Some(OutcomeKind::Settle) && row.moved != 0;
        let found = sheet.rows.iter().filter(move |(_, row)| settles(row));
        found.map(move |(id, _)| (place, *id))
    });
    all.next().unwrap()
}

#[test]
fn sound_logs_have_no_findings_and_every_planted_violation_is_found() {
    let world = plain(900);
    let fresh = || sheets(&world);
    let sound = fresh();
    let told = across(&sound, true);
    assert_eq!(told.findings, [], "{told:?}");
    assert_eq!((told.open, told.unheard), (0, 0));
    assert!(told.settlements > 5, "{}", told.settlements);
    let (place, id) = settled(&sound);

    let mut sheets = fresh();
    sheets[place].rows.get_mut(&id).unwrap().applied = Some(OutcomeKind::Refund);
    assert!(broken(&sheets).contains(&Rule::Atomicity), "settled here and refunded there");

    let mut sheets = fresh();
    sheets[place].rows.remove(&id);
    let found = across(&sheets, true).findings;
    assert!(found.iter().any(|found| found.what.contains("unknown at")), "{found:?}");

    let mut sheets = fresh();
    sheets[place].rows.get_mut(&id).unwrap().moved ^= 1;
    assert_eq!(broken(&sheets), [Rule::Mirrors], "one side has booked something else");

    let mut sheets = fresh();
    *sheets[place].audit.books.claims.values_mut().next().unwrap() += 1;
    assert_eq!(broken(&sheets), [Rule::Mirrors], "one side says that it is owed more");

    let mut sheets = fresh();
    *sheets[place].held.values_mut().next().unwrap() += 1;
    assert_eq!(broken(&sheets), [Rule::Conservation]);

    let mut sheets = fresh();
    let row = sheets[place].rows.get_mut(&id).unwrap();
    (row.applied, row.moved) = (None, 0);
    assert_eq!(across(&sheets, true).open, 1, "what is not applied everywhere is open");
}

#[test]
fn what_was_heard_is_held_against_what_was_said() {
    let world = plain(400);
    let pages = |sheets: &mut [Sheet]| {
        let from = sheets[0].domain.clone();
        (from.clone(), sheets[1].received.get(&from).unwrap().len())
    };
    let mut sheets = sheets(&world);
    assert_eq!(broken(&sheets), []);
    let (from, count) = pages(&mut sheets);
    assert!(count > 2);
    let to = sheets[1].domain.clone();
    let heard = |sheets: &mut [Sheet]| sheets[1].received.get_mut(&from).unwrap()[1];

    let original = heard(&mut sheets);
    sheets[1].received.get_mut(&from).unwrap()[1].digest[0] ^= 1;
    assert_eq!(broken(&sheets), [Rule::Feeds], "another page than was said");
    sheets[1].received.get_mut(&from).unwrap()[1] = original;

    let said = sheets[0].sent.get_mut(&to).unwrap().remove(1);
    assert_eq!(broken(&sheets), [Rule::Feeds], "a page that was never said");
    sheets[0].sent.get_mut(&to).unwrap().insert(1, said);

    let last = sheets[1].received.get_mut(&from).unwrap().pop().unwrap();
    assert_eq!(broken(&sheets), [Rule::Feeds], "a page that was not heard");
    assert_eq!(across(&sheets, false).findings, [], "which is none while the network works");
    assert!(across(&sheets, false).unheard >= 1);
    sheets[1].received.get_mut(&from).unwrap().push(last);
    assert_eq!(broken(&sheets), []);

    let heights = sheets[1].audit.heard.get_mut(&from).unwrap();
    heights.values_mut().next().unwrap().0[0] ^= 1;
    assert_eq!(broken(&sheets), [Rule::Equivocation], "its own log has another checkpoint");
    let stranger: Domain = "stranger.example".parse().unwrap();
    let mut sheets = self::sheets(&world);
    for (place, byte) in [(0, 1), (1, 2)] {
        let said = (Height(7), Hash([byte; 32]));
        sheets[place].shown.insert(stranger.clone(), vec![said]);
    }
    assert_eq!(broken(&sheets), [Rule::Equivocation], "two peers hold two checkpoints");
}

/// Changes the first record that `change` takes, and reads the log again.
fn doctored(world: &World, node: usize, change: impl Fn(&mut Record) -> bool) -> Vec<Rule> {
    let mut batches = batches(world, node);
    assert!(batches.iter_mut().flat_map(|opened| &mut opened.records).any(change));
    let mut rules: Vec<Rule> =
        sheet(world, node, batches).findings().iter().map(|found| found.rule).collect();
    rules.sort();
    rules.dedup();
    rules
}

#[test]
fn a_log_s_own_rules_are_kept_or_it_is_told() {
    let world = plain(900);
    let unbalanced = |record: &mut Record| {
        let Record::Transaction(transaction) = record else { return false };
        let Some(contra) = transaction.contras.first() else { return false };
        let mut contra = contra.clone();
        contra.amount = contra.amount.plus(Amount::new(1)).unwrap();
        let mut contras = transaction.contras.to_vec();
        contras[0] = contra;
        transaction.contras = Bounded::new(contras).unwrap();
        true
    };
    assert!(doctored(&world, 0, unbalanced).contains(&Rule::Books), "made money");
    let other_end = |record: &mut Record| {
        let Record::Transaction(transaction) = record else { return false };
        let Cause::Settled(id) = transaction.cause else { return false };
        transaction.cause = Cause::Refunded(id);
        true
    };
    let refunds = doctored(&world, 0, other_end);
    assert!(refunds.contains(&Rule::Evidence), "{refunds:?}: refunded against the decision");
    let unheard = |record: &mut Record| {
        let Record::Received(frame) = record else { return false };
        let locks = frame.items().iter().any(|item| {
            matches!(item.statement, Some(Statement::Locked(_) | Statement::Decided(_)))
        });
        if locks {
            *record = Record::Restored;
        }
        locks
    };
    let rules = doctored(&world, 0, unheard);
    assert!(rules.contains(&Rule::Evidence), "{rules:?}: moved without what proves it");
    assert!(rules.contains(&Rule::Feeds), "{rules:?}: a page is missing in between");
    let mut batches = batches(&world, 0);
    batches.remove(5);
    let found = sheet(&world, 0, batches).findings();
    assert!(found.iter().any(|found| found.rule == Rule::Logs), "{found:?}: a batch is missing");
}

/// Writes a node's log to a data directory; `spoil` may change the signature of a batch.
fn write(world: &World, node: usize, dir: &Path, spoil: Option<usize>) {
    let (mut store, _) = LogStore::open(dir).unwrap();
    let sealed: Vec<_> =
        world.nodes[node].sealed.iter().filter(|sealed| sealed.signature.is_some()).collect();
    for (place, at) in sealed.iter().enumerate() {
        let other = sealed[(place + 1) % sealed.len()].signature.clone().unwrap();
        let signature = if spoil == Some(place) { other } else { at.signature.clone().unwrap() };
        store.append(&at.batch).unwrap();
        store.seal(at.batch.checkpoint().height, &signature).unwrap();
    }
    store.sync().unwrap();
}

#[test]
fn logs_on_disk_are_read_with_their_signatures_by_any_number_of_threads() {
    // Every twentieth seed has real signatures.
    let mut worlds = (1..8).map(|number| world(20 * number, 60));
    let world = worlds.find(is_plain).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let sources: Vec<Source> = (0..3)
        .map(|node| {
            let dir = folder.path().join(node.to_string());
            write(&world, node, &dir, None);
            Source { dir, domain: world.nodes[node].domain.clone() }
        })
        .collect();
    let network = &world.cast.network;
    let mut counts = Vec::new();
    for threads in [1, 2, 7] {
        let sheets = read(&sources, network, How { threads, ..How::default() }).unwrap();
        let told = across(&sheets, true);
        assert_eq!(told.findings, []);
        counts.push(sheets.iter().map(|sheet| sheet.counts).collect::<Vec<_>>());
    }
    assert!(counts.windows(2).all(|two| two[0] == two[1]), "{counts:?}");
    let all = counts[0][0];
    assert_eq!(all.signatures, all.batches);
    assert!(all.entries > 0 && all.records > all.batches && all.bytes > 1_000);
    let sample = NonZeroU64::new(1_000_000).unwrap();
    let sampled = How { sample, threads: 2 };
    let sheets = read(&sources, network, sampled).unwrap();
    assert_eq!(sheets[0].counts.signatures, 3, "the first, and the last two");

    let last = usize::try_from(all.batches).unwrap() - 1;
    for (spoiled, how, found) in
        [(4, How::default(), true), (4, sampled, false), (last, sampled, true)]
    {
        let dir = folder.path().join("spoiled");
        let _ = fs::remove_dir_all(&dir);
        write(&world, 0, &dir, Some(spoiled));
        let source = Source { dir, domain: sources[0].domain.clone() };
        let sheets = read(&[source], network, how).unwrap();
        let told = sheets[0].findings();
        let bad =
            told.iter().any(|found| found.rule == Rule::Logs && found.what.contains("Q-1103"));
        assert_eq!(bad, found, "{spoiled}: {told:?}");
    }
    let segment = fs::read_dir(sources[1].dir.join("log")).unwrap();
    let segment = segment.map(|entry| entry.unwrap().path());
    let segment = segment.into_iter().find(|path| path.extension().is_some()).unwrap();
    let mut bytes = fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&segment, bytes).unwrap();
    let sheets = read(&sources, network, How::default()).unwrap();
    assert!(sheets[1].findings().iter().any(|found| found.rule == Rule::Logs), "a flipped bit");
    let other = "other-net".parse().unwrap();
    let sheets = read(&sources, &other, How::default()).unwrap();
    assert!(sheets[0].findings().iter().any(|found| found.what.contains("Q-1907")));
}

#[test]
fn of_many_findings_some_are_told_and_the_rest_is_counted() {
    let mut found = Findings::default();
    for number in 0..TOLD + 5 {
        found.add(Rule::Feeds, || number.to_string());
    }
    found.add(Rule::Logs, || "one".to_owned());
    let list = found.into_list("bank-a");
    assert_eq!(list.len(), TOLD + 2);
    assert!(list.iter().any(|found| found.rule == Rule::Feeds && found.what == "bank-a: 5 more"));
}

#[test]
fn rules_are_in_the_order_of_their_numbers() {
    assert!(Rule::ALL.into_iter().enumerate().all(|(place, rule)| rule as usize == place));
}
