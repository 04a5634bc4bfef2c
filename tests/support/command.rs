//! The command line as a user runs it.

use std::process::Command;

use crate::{Daemon, binary, secrets};

/// A finished run of the command line.
#[derive(Debug)]
pub struct Ran {
    /// Its exit code; none after a signal.
    pub code: Option<i32>,
    /// What it printed for the user or the next program.
    pub stdout: String,
    /// What it had to say beside that.
    pub stderr: String,
}

impl Ran {
    /// Standard output of a run that succeeded.
    ///
    /// # Panics
    ///
    /// When it failed, with all it printed.
    pub fn succeeded(self) -> String {
        assert_eq!(self.code, Some(0), "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self.stdout
    }
}

/// Runs the command line against `daemon`, as its owner.
pub fn run_cli(daemon: &Daemon, arguments: &[&str]) -> Ran {
    let token_file = daemon.data_path().join("admin.token");
    let token_file = token_file.to_str().expect("the harness makes UTF-8 paths");
    let url = daemon.url();
    let client = ["--url", &url, "--token-file", token_file];
    let arguments: Vec<&str> = arguments.iter().copied().chain(client).collect();
    let ran = run_cli_with(&arguments, &[]);
    secrets::assert_absent(&format!("{}{}", ran.stdout, ran.stderr), &[daemon.token()]);
    ran
}

/// Runs the command line with nothing set but what is given.
pub fn run_cli_with(arguments: &[&str], environment: &[(&str, &str)]) -> Ran {
    let mut command = Command::new(binary::hitkeepd());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("HITKEEP_") {
            command.env_remove(name);
        }
    }
    let output = command.args(arguments).envs(environment.iter().copied()).output().expect("the command line can be run");
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
