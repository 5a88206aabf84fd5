//! `openssl`, which has no code in common with ours.

use std::io::{Seek, Write};
use std::process::{Command, Stdio};

/// Runs it; standard output, or what it complained of. None if it is not installed, which `test` tells.
pub fn openssl(test: &str, arguments: &[&str], input: &[u8]) -> Option<Result<Vec<u8>, String>> {
    let mut source = tempfile::tempfile().expect("a temporary file");
    source.write_all(input).and_then(|()| source.rewind()).expect("room for it");
    let output = match Command::new("openssl").args(arguments).stdin(Stdio::from(source)).output() {
        Ok(output) => output,
        Err(error) => {
            let _ = writeln!(std::io::stdout(), "skipped: {test}: openssl: {error}");
            return None;
        }
    };
    if output.status.success() {
        return Some(Ok(output.stdout));
    }
    Some(Err(String::from_utf8_lossy(&output.stderr).into_owned()))
}
