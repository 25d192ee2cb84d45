//! The scenarios in `testnet/scenarios`, each on a network of real processes of its own; and what
//! is told of one that is wrong, goes wrong or is broken off.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use quadrille_testnet::local::layout::Layout;
use quadrille_testnet::local::state;
use rustix::process::{Pid, Signal, kill_process};

mod programs;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios")
}

fn testnet(arguments: &[&str]) -> Command {
    programs::build_programs();
    let mut command = Command::new(env!("CARGO_BIN_EXE_quadrille-testnet"));
    command.args(arguments);
    command
}

/// Runs a file on a network in a new folder; what it printed, and the folder.
fn run(file: &Path, more: &[&str]) -> (Output, tempfile::TempDir) {
    let own = tempfile::tempdir().unwrap();
    let dir = own.path().join("net");
    let named = ["run", file.to_str().unwrap(), "--dir", dir.to_str().unwrap()];
    let output = testnet(&[&named, more].concat()).output().unwrap();
    (output, own)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn passes(name: &str) {
    let (output, own) = run(&folder().join(format!("{name}.toml")), &[]);
    let told = text(&output.stdout);
    if !output.status.success() {
        let left = own.keep();
        panic!("{told}{}\nleft for a look: {}", text(&output.stderr), left.display());
    }
    println!("{told}");
    assert!(told.contains("passed"), "{told}");
    assert!(!own.path().join("net").exists(), "the network's folder is removed");
}

/// One test for each file, so that several can run at one time.
macro_rules! scenarios {
    ($($test:ident: $file:literal,)*) => {
        $(
            #[test]
            fn $test() {
                passes($file);
            }
        )*

        /// Every file of the folder that has a test.
        const TESTED: &[&str] = &[$($file),*];
    };
}

scenarios! {
    a_bond_settles_against_cash: "dvp",
    an_initiator_that_dies_before_its_reveal_costs_nobody_anything: "initiator-dies-before-reveal",
    an_initiator_that_dies_after_its_reveal_settles: "initiator-dies-after-reveal",
    a_decider_that_dies_is_waited_for: "decider-dies",
    without_credit_nothing_settles: "no-trust",
    of_competing_takers_the_better_one_settles: "competing-takers",
    a_payment_settles_over_a_correspondent: "path-payment",
    a_ring_of_debts_is_netted: "netting-cycle",
    a_bank_restored_from_an_old_copy_recovers: "stale-restore",
    a_storm_of_offers_reaches_every_book: "offer-storm",
}

#[test]
fn every_file_of_the_library_has_a_test() {
    let files: BTreeSet<String> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "toml"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(files, TESTED.iter().map(|name| (*name).to_owned()).collect());
}

#[test]
fn a_new_scenario_runs_as_it_is_and_is_not_written_over_another() {
    let own = tempfile::tempdir().unwrap();
    let file = own.path().join("mine.toml");
    let new = || testnet(&["new-scenario", file.to_str().unwrap()]).output().unwrap();
    assert!(new().status.success());
    let (output, _) = run(&file, &["-o", "json"]);
    let told = text(&output.stdout);
    assert!(output.status.success(), "{told}{}", text(&output.stderr));
    let verdicts: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(verdicts[0]["passed"], true, "{told}");
    assert!(verdicts[0]["steps"].as_array().unwrap().len() > 4, "{told}");
    let again = new();
    assert!(!again.status.success() && text(&again.stderr).contains("Q-2206"));
}

/// The bond is sold, and the file claims that the buyer has nothing of it.
#[test]
fn a_false_claim_fails_with_a_story_and_leaves_the_folder_and_no_process() {
    let text_of = fs::read_to_string(folder().join("dvp.toml")).unwrap();
    let claim = r#"check = { holder = "bob@bank-b", has = "1000.00 BOND:bank-a" }"#;
    let wrong = r#"check = { holder = "bob@bank-b", has = "7.00 BOND:bank-a" }"#;
    let file_text = text_of.replace(claim, &format!("within = \"1s\"\n{wrong}"));
    assert_ne!(file_text, text_of);
    let line = 1 + file_text[..file_text.find("within").unwrap()].matches('\n').count();
    let own = tempfile::tempdir().unwrap();
    let file = own.path().join("false.toml");
    fs::write(&file, &file_text).unwrap();
    let (output, net) = run(&file, &["--seed", "5"]);
    let (told, complaint) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{told}{complaint}");
    let place = format!("false.toml:{}: step `step 4`", line - 1);
    for part in [
        place.as_str(),
        "expected  bob@bank-b has 7.00 BOND:bank-a free, within 1.0 s",
        "found     bob@bank-b has 1000.00 free",
        "before it, as the banks told:",
        "settlement.step Revealed by bank-a.example",
        "FAILED",
        "--seed 5",
        "the network's folder is",
    ] {
        assert!(told.contains(part), "`{part}` is not in:\n{told}");
    }
    assert!(complaint.contains("Q-2351"), "{complaint}");
    nothing_runs(&net.path().join("net"));
}

fn nothing_runs(net: &Path) {
    let known = state::load(&Layout::new(net)).unwrap();
    assert_eq!(known.processes().count(), 0, "no process stands in the state");
    let logs = net.join("logs");
    assert!(logs.join("bank-a.log").is_file(), "the logs are left for a look");
}

#[test]
fn a_signal_in_the_middle_ends_every_process_and_says_so() {
    let own = tempfile::tempdir().unwrap();
    let net = own.path().join("net");
    let file = folder().join("decider-dies.toml");
    let arguments = ["run", file.to_str().unwrap(), "--dir", net.to_str().unwrap()];
    let mut running =
        testnet(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(running.stdout.take().unwrap()).lines();
    // The network is up and the decider is away: there is something to wait for.
    let dead = lines.by_ref().map(Result::unwrap).find(|line| line.contains("dead"));
    assert!(dead.is_some(), "the run has come as far as that");
    let known = state::load(&Layout::new(&net)).unwrap();
    assert!(known.processes().any(|(_, process)| process.is_alive()));
    kill_process(Pid::from_raw(running.id().cast_signed()).unwrap(), Signal::INT).unwrap();
    let mut complaint = String::new();
    running.stderr.take().unwrap().read_to_string(&mut complaint).unwrap();
    assert_eq!(running.wait().unwrap().code(), Some(1), "{complaint}");
    assert!(complaint.contains("Q-2352"), "{complaint}");
    assert!(known.processes().all(|(_, process)| !process.is_alive()), "all of them are ended");
    nothing_runs(&net);
}

#[test]
fn wrong_files_are_told_line_by_line_and_nothing_is_run() {
    let own = tempfile::tempdir().unwrap();
    let file = own.path().join("wrong.toml");
    let right = fs::read_to_string(folder().join("dvp.toml")).unwrap();
    let wrong = right
        .replace("offer = \"sale\"", "offer = \"sail\"")
        .replace("by = \"bob@bank-b\"", "by = \"bob@bank-x\"");
    fs::write(&file, wrong).unwrap();
    let line = 1 + right[..right.find("take =").unwrap()].matches('\n').count();
    let output = testnet(&["run", file.to_str().unwrap()]).output().unwrap();
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{told}");
    for part in ["there is no step `sail`; there are sale, buy", "there is no holder `bob@bank-x`"]
    {
        let complaint = told.lines().find(|line| line.contains(part));
        let complaint = complaint.unwrap_or_else(|| panic!("`{part}` is not in:\n{told}"));
        assert!(complaint.contains(&format!("wrong.toml:{line}:")), "{complaint}");
    }
    assert!(told.contains("Q-2350"), "{told}");
}

#[test]
fn every_file_of_the_library_is_right_and_a_check_runs_nothing() {
    let files: Vec<PathBuf> =
        TESTED.iter().map(|name| folder().join(format!("{name}.toml"))).collect();
    let named: Vec<&str> = files.iter().map(|path| path.to_str().unwrap()).collect();
    let output = testnet(&[&["run", "--check"], &named[..]].concat()).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stderr).matches("nothing wrong").count(), TESTED.len());
}
