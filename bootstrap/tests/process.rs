//! The program as its users meet it.

use std::process::Command;

#[test]
fn it_says_honestly_that_admission_is_not_there_yet() {
    let program = env!("CARGO_BIN_EXE_quadrille-bootstrap");
    let output = Command::new(program).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("admission arrives with the nodes"));
    let version = Command::new(program).arg("--version").output().unwrap();
    assert!(version.status.success());
    assert_eq!(
        String::from_utf8(version.stdout).unwrap(),
        format!("quadrille-bootstrap {}\n", env!("CARGO_PKG_VERSION"))
    );
}
