//! Runs the program, built from these sources.

use std::path::Path;
use std::process::{Command, Output};

use odile_station::Home;
use serde_json::Value;

/// How a command ended.
#[derive(Debug)]
pub struct Run {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    fn of(output: &Output) -> Self {
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        Self { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

/// `odile`, with these arguments.
pub fn odile(home: &Home, arguments: &[&str]) -> Run {
    let mut command = Command::new(odile_tests::program::odile());
    command.env_remove("ODILE_HOME").arg("--home").arg(home.root()).args(arguments);
    Run::of(&command.output().expect("the program starts"))
}

/// A line of a shell, as a person pastes it.
pub fn shell(folder: &Path, line: &str) -> Run {
    let output = Command::new("sh").args(["-c", line]).current_dir(folder).output();
    Run::of(&output.expect("every Unix has a shell"))
}

/// Whether `openssl` is installed; if not, `test` tells that it is skipped.
pub fn has_openssl(test: &str) -> bool {
    odile_tests::openssl::openssl(test, &["version"], b"").is_some()
}
