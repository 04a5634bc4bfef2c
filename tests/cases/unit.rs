//! The systemd unit is one that systemd understands.

#![allow(clippy::unwrap_used)]

use std::process::Command;

/// `systemd-analyze verify` ends with 0 on misspelt keys and values, so anything it prints is a failure.
#[test]
fn systemd_has_nothing_to_say_about_the_unit() {
    let unit = std::fs::read_to_string(support::binary::workspace().join("systemd/hitkeepd.service")).unwrap();
    assert!(unit.contains("ExecStart=/usr/local/bin/hitkeepd "));
    // The binary must exist: where it stands on this machine.
    let unit = unit.replace("/usr/local/bin/hitkeepd", support::binary::hitkeepd().to_str().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("hitkeepd.service");
    std::fs::write(&path, unit).unwrap();
    let output = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&path).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()), "");
    assert!(output.status.success());
}
