//! Help, wrong usage, nodes that are not there.

use super::bank::{Bank, Ended, quadrille};

/// Every command with all its subcommands, by what `--help` lists.
fn commands(prefix: &[String]) -> Vec<Vec<String>> {
    let mut arguments: Vec<&str> = prefix.iter().map(String::as_str).collect();
    arguments.push("--help");
    let help = quadrille(&arguments).good();
    let Some((_, listed)) = help.split_once("\nCommands:\n") else { return vec![prefix.to_vec()] };
    let mut found = Vec::new();
    for line in listed.lines().take_while(|line| !line.is_empty()) {
        let Some(name) = line.split_whitespace().next().filter(|_| line.starts_with("  ")) else {
            continue;
        };
        // A line of help that goes on begins further right.
        if name != "help" && !line.starts_with("    ") {
            found.extend(commands(&[prefix, &[name.to_owned()]].concat()));
        }
    }
    found
}

#[test]
fn every_command_s_help_has_examples_and_exits_0() {
    let commands = commands(&[]);
    assert!(commands.len() >= 35, "{commands:?}");
    for command in commands {
        let mut arguments: Vec<&str> = command.iter().map(String::as_str).collect();
        arguments.push("--help");
        let help = quadrille(&arguments).good();
        let example = format!("quadrille {}", command.join(" "));
        let examples = help.split_once("Examples:").map(|(_, rest)| rest).unwrap_or_default();
        assert!(examples.contains(&example), "{example}: {help}");
    }
}

#[test]
fn the_exit_codes_are_in_the_help() {
    let help = quadrille(&["--help"]).good();
    for code in ["0  done", "1  refused", "2  asked wrongly", "5  OUTCOME UNKNOWN"] {
        assert!(help.contains(code), "{help}");
    }
}

#[test]
fn wrong_usage_exits_2_with_its_code() {
    let bad: [&[&str]; 7] = [
        &[],
        &["settle"],
        &["status", "--colour"],
        &["peers", "not a domain", "--api", "http://127.0.0.1:1"],
        &["order", "ord:12"],
        &["config", "show"],
        &["init", "--dir", "x", "--network", "n", "--domain", "a.example", "--suite", "3"],
    ];
    for arguments in bad {
        let Ended { out, err, exit } = quadrille(arguments);
        assert_eq!((out.as_str(), exit), ("", 2), "{arguments:?}: {err}");
        assert!(err.contains("Q-2201"), "{arguments:?}: {err}");
    }
}

#[test]
fn a_node_that_is_not_there_exits_3_in_both_forms() {
    let bank = Bank::new();
    std::fs::write(bank.path("token"), "qd_00\n").unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let api = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    for command in [&["status"][..], &["peers"], &["book"], &["drain"], &["trade", "list"]] {
        let ended = bank.run(&[command, &["--api", &api]].concat());
        assert_eq!((ended.exit, ended.out.as_str()), (3, ""), "{ended:?}");
        assert!(ended.err.contains("Q-2209 node cannot be reached"), "{ended:?}");
        assert!(ended.err.contains("Check --api"), "{ended:?}");
        let ended = bank.run(&[command, &["--api", &api, "-o", "json"]].concat());
        let told: serde_json::Value = serde_json::from_str(&ended.err).unwrap();
        assert_eq!((ended.exit, &told["code"]), (3, &"Q-2209".into()), "{told}");
    }
}

#[test]
fn without_a_token_nothing_is_sent() {
    let ended = quadrille(&["status", "--api", "http://127.0.0.1:1"]);
    assert_eq!(ended.exit, 4, "{ended:?}");
    assert!(ended.err.contains("Q-2211"), "{ended:?}");
}

#[test]
fn completions_are_printed_for_every_shell() {
    for shell in ["bash", "zsh", "fish"] {
        let text = quadrille(&["completions", shell]).good();
        assert!(text.contains("quadrille") && text.contains("evidence"), "{shell}");
    }
}
