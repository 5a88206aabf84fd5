//! `cargo xtask fuzz`: every fuzz target for a while.
//!
//! A stable toolchain is enough. cargo-fuzz wants flags of the nightly compiler: `RUSTC_BOOTSTRAP=1` lets the stable
//! one take them, and `--sanitizer none` goes without those that need a standard library of their own. What they
//! look for, errors of memory, cannot be where unsafe code is denied.

use std::{fs, io};

use crate::{cargo, root, run, works};

/// Seconds for each target, if nothing is said.
pub const SECONDS_DEFAULT: u32 = 60;

/// The package of the fuzz targets; not a member of the workspace, because it needs flags of its own.
const FUZZ_DIR: &str = "tests/fuzz";

/// Runs every target for so many seconds. Goes on after a failure: each target has its own findings.
pub fn run_all(seconds: u32) -> Result<(), String> {
    let targets = targets().map_err(|error| format!("cannot list {FUZZ_DIR}/fuzz_targets: {error}"))?;
    if targets.is_empty() {
        return Err(format!("there is no target in {FUZZ_DIR}/fuzz_targets"));
    }
    if !works(cargo().args(["fuzz", "--version"])) {
        println!("=== cargo-fuzz is missing: installing it");
        run(cargo().args(["install", "cargo-fuzz", "--locked"]))?;
    }
    let mut failed = Vec::new();
    for (index, target) in targets.iter().enumerate() {
        println!("\n=== {}/{} {target}, {seconds} s", index + 1, targets.len());
        let limit = format!("-max_total_time={seconds}");
        let result = run(cargo()
            .env("RUSTC_BOOTSTRAP", "1")
            .args(["fuzz", "run", "--fuzz-dir", FUZZ_DIR, "--sanitizer", "none", target, "--"])
            .arg(limit));
        if let Err(message) = result {
            println!("=== {target}: {message}");
            failed.push(target.as_str());
        }
    }
    if failed.is_empty() {
        println!("\nno findings in {} targets", targets.len());
        return Ok(());
    }
    Err(format!("findings in {}: see {FUZZ_DIR}/artifacts", failed.join(", ")))
}

/// The names of the targets, in alphabetical order.
fn targets() -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(root().join(FUZZ_DIR).join("fuzz_targets"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs")
            && let Some(name) = path.file_stem()
        {
            names.push(name.to_string_lossy().into_owned());
        }
    }
    names.sort_unstable();
    Ok(names)
}
