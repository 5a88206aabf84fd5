//! `cargo xtask petabyte`: a file of 9.2 PB, whose checkpoints are moved while its stations are stopped. The program
//! that does it is built beside `odile`, with the optimization that users have.

use std::env;
use std::process::Command;

use crate::cargo;

/// Builds both programs, and runs the rehearsal with these flags.
pub fn run(flags: &[&str]) -> Result<(), String> {
    rehearse("petabyte", flags)
}

/// Any rehearsal. Homes and files are put beside the programs if nothing is said: on a disk, as `/tmp` may not be one.
pub fn rehearse(what: &str, flags: &[&str]) -> Result<(), String> {
    let build =
        ["build", "--release", "--locked", "--package", "odile", "--package", "odile-tests", "--bins"];
    crate::run(cargo().args(build))?;
    // TARGET/PROFILE/xtask
    let this = env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
    let target = this.ancestors().nth(2).ok_or("this program is not in a folder of cargo")?;
    let mut command = Command::new(target.join("release").join("rehearse"));
    command.arg(what).args(flags);
    if !flags.contains(&"--folder") {
        command.arg("--folder").arg(target);
    }
    crate::run(&mut command)
}

/// What can be typed.
pub const HELP: &str = "\
cargo xtask petabyte [--tail SIZE] [--plain | --sealed] [--folder DIR]

Two stations on this machine, each a process of its own, exchange a synthetic file of 9 200 000 000 000 000 octets:
plain, then over TLS, signed, compressed and encrypted, with a signed receipt. After 256 MiB both are killed, and what
they keep of the file is moved to 9.0 PB; after as much again, to just before the end. Every position, count and hash
length grows by the same at both sides; the content is periodic, so that it is the same at both places. What comes
then is real: the file goes on there, both sides agree on all counts, hashes and the signature, and the receipt holds.
The first thing that is otherwise ends the run with exit code 1.

  --tail SIZE    of the last stretch, less than 16 MiB more: octets, or a number with MiB, GiB, TiB, MB, GB, TB (2GiB)
  --plain        without envelope only
  --sealed       with all services only
  --folder DIR   where homes are put [the target folder]
";
