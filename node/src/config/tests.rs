use quadrille_protocol::crypto::suite::Suite;

use super::*;

fn sources(file: &str, environment: &[(&str, &str)], flags: &[(&str, &str)]) -> Sources {
    let owned = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    Sources {
        dir: PathBuf::from("/data"),
        file: Some(file.to_owned()),
        environment: owned(environment),
        flags: owned(flags),
    }
}

fn refusal(file: &str, environment: &[(&str, &str)], flags: &[(&str, &str)]) -> Refusal {
    sources(file, environment, flags).load().unwrap_err()
}

#[test]
fn the_file_that_init_writes_changes_nothing() {
    let defaults = Config::defaults(Path::new("/data"));
    let text = template(&defaults);
    let loaded = sources(&text, &[], &[]).load().unwrap();
    assert_eq!(loaded.config, defaults);
    assert!(loaded.rows().iter().all(|row| row.origin == "default"));
}

#[test]
fn every_option_of_the_file_can_be_uncommented_as_it_stands() {
    let text = template(&Config::defaults(Path::new("/data")));
    let uncommented: String = text
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            // Options are `name = value` with a name in the table; prose is not.
            Some(rest)
                if options::OPTIONS.iter().any(|o| rest.starts_with(&format!("{} = ", o.name))) =>
            {
                format!("{rest}\n")
            }
            Some(_) | None => format!("{line}\n"),
        })
        .collect();
    let loaded = sources(&uncommented, &[], &[]).load().unwrap();
    assert_eq!(loaded.config, Config::defaults(Path::new("/data")));
    assert!(loaded.rows().iter().all(|row| row.origin.starts_with("/data/quadrille.toml line")));
}

#[test]
fn what_is_set_is_written_beside_its_default() {
    let mut config = Config::defaults(Path::new("/data"));
    config.api.listen = "127.0.0.1:0".parse().unwrap();
    config.holders.suites = vec![Suite::HybridDilithium3];
    config.mesh.peers = vec![StaticPeer {
        domain: "bank-b.example".parse().unwrap(),
        addresses: vec!["/ip4/192.0.2.7/tcp/5000".parse().unwrap()],
    }];
    let text = template(&config);
    assert!(text.contains("# listen = \"127.0.0.1:4000\"\nlisten = \"127.0.0.1:0\"\n"), "{text}");
    assert_eq!(sources(&text, &[], &[]).load().unwrap().config, config);
}

#[test]
fn flags_beat_the_environment_which_beats_the_file() {
    let file = "[engine]\nqueue = 1\n";
    let environment = [("QUADRILLE_ENGINE_QUEUE", "2")];
    let flags = [("engine.queue", "3")];
    let queue = |loaded: Loaded| (loaded.config.engine.queue, loaded.origin("engine", "queue"));
    let in_file = Origin::File { path: PathBuf::from("/data/quadrille.toml"), line: 2 };
    assert_eq!(queue(sources(file, &[], &[]).load().unwrap()), (1, in_file));
    let in_environment = Origin::Environment("QUADRILLE_ENGINE_QUEUE".to_owned());
    assert_eq!(queue(sources(file, &environment, &[]).load().unwrap()), (2, in_environment));
    assert_eq!(queue(sources(file, &environment, &flags).load().unwrap()), (3, Origin::Flag));
    assert_eq!(queue(sources("", &[], &[]).load().unwrap()), (8192, Origin::Default));
}

#[test]
fn lists_and_tables_can_come_from_everywhere() {
    let peers = r#"[{ domain = "bank-b.example", addresses = ["/ip4/192.0.2.7/tcp/5000"] }]"#;
    let environment = [
        ("QUADRILLE_MESH_LISTEN", "/ip4/127.0.0.1/tcp/1, /ip4/127.0.0.1/tcp/2"),
        ("QUADRILLE_MESH_PEERS", peers),
    ];
    let flags = [("holders.suites", "[\"ed25519\"]"), ("node.log_format", "json")];
    let config = sources("", &environment, &flags).load().unwrap().config;
    assert_eq!(config.mesh.listen.len(), 2);
    assert_eq!(config.mesh.peers[0].domain.as_str(), "bank-b.example");
    assert_eq!(config.holders.suites, [Suite::Ed25519]);
    assert_eq!(config.node.log_format, LogFormat::Json);
}

#[test]
fn an_unknown_option_is_refused_with_what_may_have_been_meant() {
    let cases = [
        refusal("[mesh]\nlisen = []\n", &[], &[]),
        refusal("", &[("QUADRILLE_MESH_LISEN", "x")], &[]),
        refusal("", &[], &[("mesh.lisen", "x")]),
    ];
    for refusal in cases {
        assert_eq!(refusal.code, Code::UnknownOption);
        assert!(refusal.what.contains("did you mean `mesh.listen`?"), "{refusal}");
    }
    let section = refusal("\n[mush]\nlisten = []\n", &[], &[]);
    assert_eq!(section.code, Code::UnknownOption);
    assert!(section.what.contains("line 2"), "{section}");
    assert!(section.what.contains("did you mean `mesh`?"), "{section}");
    let root = refusal("quic = true\n", &[], &[]);
    assert_eq!(root.code, Code::UnknownOption);
    assert_eq!(refusal("", &[], &[("quic", "true")]).code, Code::UnknownOption);
}

#[test]
fn variables_that_are_not_options_are_passed_over() {
    let environment = [
        ("QUADRILLE_API", "http://127.0.0.1:4000"),
        ("QUADRILLE_TOKEN_FILE", "token"),
        ("PATH", "/bin"),
    ];
    assert!(sources("", &environment, &[]).load().is_ok());
}

#[test]
fn a_bad_value_is_refused_with_its_place_and_what_is_wanted() {
    let cases = [
        ("[engine]\nqueue = \"many\"\n", "line 2): a whole number"),
        ("[engine]\nqueue = -1\n", "a whole number from 0"),
        ("[engine]\nqueue = 0\n", "engine.queue is 0"),
        ("[engine]\nqueue = 1048577\n", "at most 1048576"),
        ("[api]\nlisten = \"here\"\n", "127.0.0.1:4000"),
        ("[mesh]\nquic = 1\n", "true or false"),
        ("[mesh]\nlisten = \"/ip4/127.0.0.1/tcp/1\"\n", "a list in square brackets"),
        ("[mesh]\nlisten = []\n", "nobody could reach"),
        ("[mesh]\nlisten = [\"/ip4/127.0.0.1/udp/1/quic-v1\"]\n", "mesh.quic is false"),
        ("[mesh]\npeers = [{ domain = \"b.example\", addresses = [] }]\n", "no address"),
        ("[mesh]\npeers = [{ domain = \"b\", addresses = [] }]\n", "Q-1006"),
        ("[settlement]\nlife_ms = 600001\n", "at most 600000"),
        ("[settlement]\nlife_ms = 10000\n", "leaves nothing"),
        ("[holders]\nsuites = [\"rsa\"]\n", "hybrid-ml-dsa-65"),
        ("[engine\n", "line 1:"),
        ("engine = 1\n", "line 1:"),
    ];
    for (file, expected) in cases {
        let refusal = refusal(file, &[], &[]);
        assert_eq!(refusal.code, Code::BadConfiguration, "{file}");
        assert!(refusal.what.contains(expected), "{file}: {refusal}");
    }
}

#[test]
fn a_guard_is_apart_only_outside_of_the_data_directory() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("data");
    for name in ["data/guard", "apart"] {
        std::fs::create_dir_all(folder.path().join(name)).unwrap();
    }
    let mut config = Config::defaults(&dir);
    assert!(!config.guard_is_apart());
    for apart in [folder.path().join("apart"), PathBuf::from("../apart")] {
        config.node.guard_dir = apart;
        assert!(config.guard_is_apart());
    }
    std::os::unix::fs::symlink(dir.join("guard"), folder.path().join("alias")).unwrap();
    config.node.guard_dir = folder.path().join("alias");
    assert!(!config.guard_is_apart(), "a link into the data directory is inside of it");
}

#[test]
fn a_guard_that_is_not_there_yet_is_not_apart_for_that() {
    let folder = tempfile::tempdir().unwrap();
    let alias = folder.path().join("alias");
    std::fs::create_dir(folder.path().join("data")).unwrap();
    std::os::unix::fs::symlink(folder.path().join("data"), &alias).unwrap();
    let mut config = Config::defaults(&alias);
    assert!(!config.guard_is_apart());
    config.node.guard_dir = folder.path().join("data/new/guard");
    assert!(!config.guard_is_apart());
    config.node.guard_dir = folder.path().join("guards/bank-a");
    assert!(config.guard_is_apart());
}
