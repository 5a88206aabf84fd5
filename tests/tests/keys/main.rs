//! Keys and certificates as an operator deals with them: the real program, real files, and `openssl` as the judge of
//! what is made.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where it fails")]

mod envelopes;
mod own;
mod partners;

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use odile_tests::program::odile;
use serde_json::Value;
use tempfile::TempDir;

/// A station's home, and a folder beside it for files.
struct Home {
    folder: TempDir,
}

/// How the program ended.
#[derive(Debug)]
struct Run {
    code: i32,
    stdout: Vec<u8>,
    stderr: String,
}

impl Home {
    fn empty() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// A station without a key.
    fn station(code: &str) -> Self {
        let home = Self::empty();
        home.run(&["init", "--code", code]).expect(0);
        home
    }

    /// A station with a key for everything.
    fn with_key(code: &str, host: &str) -> Self {
        let home = Self::station(code);
        home.run(&["cert", "new", "--bits", "2048", "--host", host]).expect(0);
        home
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, octets: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, octets).unwrap();
        path
    }

    /// Files in the folder beside the home, hidden ones as well.
    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.retain(|name| name != "home");
        names.sort();
        names
    }

    fn run(&self, arguments: &[&str]) -> Run {
        self.run_with(arguments, b"")
    }

    fn run_with(&self, arguments: &[&str], input: &[u8]) -> Run {
        let mut command = self.command(arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let output = std::thread::scope(|scope| {
            // A program that does not read is no failure here.
            scope.spawn(move || drop(stdin.write_all(input)));
            child.wait_with_output().unwrap()
        });
        let stderr = String::from_utf8(output.stderr).unwrap();
        Run { code: output.status.code().unwrap_or(-1), stdout: output.stdout, stderr }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(odile());
        command.env_remove("ODILE_HOME").env_remove("CREDENTIALS_DIRECTORY").current_dir(self.folder.path());
        command.arg("--home").arg(self.root()).args(arguments).stderr(Stdio::piped());
        command
    }

    #[track_caller]
    fn json(&self, arguments: &[&str]) -> Value {
        self.run(&[&["--output", "json"], arguments].concat()).expect(0).json()
    }

    /// Findings of `cert check` that are not `ok`: subject, grade and text.
    fn troubles(&self) -> Vec<(String, String, String)> {
        let found = self.run(&["--output", "json", "cert", "check"]).json();
        let field = |finding: &Value, name: &str| finding[name].as_str().unwrap().to_owned();
        let mut troubles = Vec::new();
        for finding in found.as_array().unwrap() {
            assert_eq!(finding["result"] == "ok", finding["remedy"] == "", "{finding}");
            if finding["result"] != "ok" {
                troubles.push((
                    field(finding, "subject"),
                    field(finding, "result"),
                    field(finding, "detail"),
                ));
            }
        }
        troubles
    }

    /// Adds lines behind `[keys]` in station.toml.
    fn set_keys(&self, lines: &str) {
        let path = self.root().join("station.toml");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replacen("[keys]\n", &format!("[keys]\n{lines}\n"), 1)).unwrap();
    }
}

impl Run {
    #[track_caller]
    fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{} {}", self.text(), self.stderr);
        self
    }

    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_slice(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// It ended with this code, and said this on stderr.
    #[track_caller]
    fn refused(self, code: i32, part: &str) {
        let run = self.expect(code);
        assert!(run.stderr.contains(part), "{part:?} is not in: {}", run.stderr);
    }
}

/// Two stations that know each other's certificates; the partner's name is the other's.
struct Pair {
    us: Home,
    them: Home,
}

fn pair() -> &'static Pair {
    static PAIR: OnceLock<Pair> = OnceLock::new();
    PAIR.get_or_init(|| {
        let us = Home::with_key("O0013US", "us.example");
        let them = Home::with_key("O0013THEM", "them.example");
        for (home, other, name, code) in [(&us, &them, "them", "O0013THEM"), (&them, &us, "us", "O0013US")] {
            let certificate = other.root().join("keys/station.crt");
            home.run(&["partner", "add", name, "--code", code, "--certificate", text(&certificate)])
                .expect(0);
        }
        Pair { us, them }
    })
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Some lines of CAD, which compress, and more than one step of reading.
fn drawing(lines: u32) -> Vec<u8> {
    (0..lines)
        .flat_map(|line| format!("#{line}=CARTESIAN_POINT('',({}.0));\n", line % 977).into_bytes())
        .collect()
}
