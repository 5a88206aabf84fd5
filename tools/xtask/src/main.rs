//! `cargo xtask`: what is done to this workspace by hand and by machines alike.
//!
//! Only the standard library: it is built before anything else, on every machine that builds Odile.

mod bench_tools;
mod ci;
mod crash;
mod fuzz;
mod packages;
mod petabyte;
mod sparse;

use std::env;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments.as_slice() {
        [] | ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            Ok(())
        }
        ["bench-tools"] => bench_tools::install(),
        ["ci"] => ci::run_all(),
        ["crash", "help" | "--help" | "-h"] => {
            print!("{}", crash::HELP);
            Ok(())
        }
        ["crash", flags @ ..] => crash::run(flags),
        ["fuzz"] => fuzz::run_all(fuzz::SECONDS_DEFAULT),
        ["fuzz", "--seconds", seconds] => match seconds.parse() {
            Ok(seconds) if seconds > 0 => fuzz::run_all(seconds),
            _ => Err(format!("--seconds {seconds}: a number of seconds from 1 on is expected")),
        },
        ["petabyte", "help" | "--help" | "-h"] => {
            print!("{}", petabyte::HELP);
            Ok(())
        }
        ["petabyte", flags @ ..] => petabyte::run(flags),
        ["sparse", "help" | "--help" | "-h"] => {
            print!("{}", sparse::HELP);
            Ok(())
        }
        ["sparse", flags @ ..] => sparse::run(flags),
        other => Err(format!("unknown command: {}\n\n{HELP}", other.join(" "))),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask: {message}");
            ExitCode::FAILURE
        }
    }
}

/// Cargo, the one that started this program, in the root of the workspace.
fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// The root of the workspace: two folders above this package.
fn root() -> PathBuf {
    let package =
        env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    package.join("../..")
}

/// Runs a command; its output goes where ours goes.
fn run(command: &mut Command) -> Result<(), String> {
    let shown = command.get_program().to_string_lossy().into_owned();
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{shown} ended with {status}")),
        Err(error) => Err(format!("cannot start {shown}: {error}")),
    }
}

/// True if a command runs and succeeds; its output is dropped.
fn works(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

const HELP: &str = "\
cargo xtask COMMAND

  bench-tools          installs what the benchmark `peers` measures Odile beside, and real CAD files; needs root
  ci                   everything that must pass before a change is taken: formatting, lints, build, tests,
                       documentation, and a smoke run of the benchmarks; stops at the first failure
  crash [--rounds N]   kills stations in the middle of files until each is delivered; `crash --help` tells more
  fuzz [--seconds N]   runs every fuzz target for N seconds (60); installs cargo-fuzz if it is missing
  petabyte             a file of 9.2 PB that goes on at 9.0 PB, to its last octet; `petabyte --help` tells more
  sparse               a sparse file of 1 TB that is cut at 60 %, and what it costs; `sparse --help` tells more
  help                 this text
";
