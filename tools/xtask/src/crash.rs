//! `cargo xtask crash`: stations that are killed in the middle of files. The program that does it is built beside
//! `odile`, with the optimization that users have.

use std::env;
use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use crate::cargo;

/// Builds both programs, and runs the one that kills the other with these flags.
pub fn run(flags: &[&str]) -> Result<(), String> {
    // One after the other: what tests want of a crate must not get into the program.
    for (package, program) in [("odile", "odile"), ("odile-tests", "crash")] {
        crate::run(cargo().args(["build", "--release", "--package", package, "--bin", program]))?;
    }
    // TARGET/PROFILE/xtask
    let this = env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
    let target = this.ancestors().nth(2).ok_or("this program is not in a folder of cargo")?;
    // Where the user is: paths that were typed hold there.
    crate::run(Command::new(target.join("release").join("crash")).args(flags).args(folder(target, flags)))
}

/// Where homes are put if nothing is said: a disk, as `/tmp` may not be one.
fn folder(target: &Path, flags: &[&str]) -> Vec<OsString> {
    if flags.contains(&"--folder") { Vec::new() } else { vec!["--folder".into(), target.into()] }
}

/// What can be typed.
pub const HELP: &str = "\
cargo xtask crash [--rounds N] [--seed S] [--size SIZE] [--folder DIR] [--json FILE]

Two stations on this machine, each a process of its own in a home of its own, exchange files; sender, receiver or
both are killed (SIGKILL) at moments that are drawn, and started again at once, until the file is delivered. For each
file are drawn: format (U, T, F, V), signature, compression, encryption, cipher suite, signed receipt, TLS,
authentication, buffer compression, who calls, the line, and how often checkpoints are made.

After each file: it lies in the inbox once, octet for octet; the catalogs know of one file, received and delivered,
with a receipt that is verified if it is signed; nothing is left in the spools; both stations stop well. The first
thing that is otherwise ends the run with exit code 1, the seed, the mode and what the stations said last; the homes
stay then, and the output says where.

  --rounds N     kills (20)
  --seed S       repeats modes and moments of a run; the moments hold as far as the machine is as fast [drawn]
  --size SIZE    of each file: octets, or a number with KiB, MiB or GiB (2GiB)
  --folder DIR   where homes and files are put, three times the size of a file [the target folder]
  --json FILE    writes the report for programs, too

The report tells how many octets came twice after the kills, also in checkpoint intervals, and how long it took from
the restart of what was killed to the first octet of the file; median, 95th percentile, most. Octets are counted as
the receiver told of them just before the kill, in steps of its buffers (512 KiB).
";
