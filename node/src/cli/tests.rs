use clap::{Command as Clap, CommandFactory as _};

use super::*;

/// Every command that does something, with its whole name.
fn leaves() -> Vec<(String, Clap)> {
    let mut root = Arguments::command();
    root.build();
    let mut found = Vec::new();
    let mut open = vec![("quadrille".to_owned(), root)];
    while let Some((name, command)) = open.pop() {
        let children: Vec<&Clap> =
            command.get_subcommands().filter(|child| child.get_name() != "help").collect();
        if children.is_empty() {
            found.push((name, command));
            continue;
        }
        for child in children {
            open.push((format!("{name} {}", child.get_name()), child.clone()));
        }
    }
    found
}

#[test]
fn the_arguments_hold_together() {
    Arguments::command().debug_assert();
}

#[test]
fn every_command_has_an_example_that_names_it() {
    let leaves = leaves();
    assert!(leaves.len() >= 35, "{} commands", leaves.len());
    for (name, command) in leaves {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        assert!(help.starts_with("Examples:\n"), "{name} has no examples");
        assert!(help.contains(&name), "no example of {name} names it");
        assert!(command.get_about().is_some(), "{name} does not say what it does");
    }
}

#[test]
fn every_option_says_what_it_is() {
    for (name, command) in leaves() {
        for argument in command.get_arguments() {
            assert!(argument.get_help().is_some(), "{name}: {}", argument.get_id());
        }
    }
}

#[test]
fn no_secret_can_be_an_argument() {
    for (name, command) in leaves() {
        for argument in command.get_arguments() {
            let id = argument.get_id().as_str();
            let secret = ["passphrase", "password", "token", "secret"].contains(&id);
            assert!(!secret, "{name} takes --{id}; others could see it");
        }
    }
}

#[test]
fn overrides_are_pairs() {
    let set = ["mesh.quic=true".to_owned(), " api.listen = 127.0.0.1:0 ".to_owned()];
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    let expected = vec![pair("mesh.quic", "true"), pair("api.listen", "127.0.0.1:0")];
    assert_eq!(overrides(&set), Ok(expected));
    assert_eq!(overrides(&["mesh.quic".to_owned()]).unwrap_err().exit, Exit::Usage);
}
