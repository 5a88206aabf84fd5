//! `cargo xtask sparse`: a large sparse file that is cut at 60 %, and what its second attempt reads and costs.

use crate::petabyte::rehearse;

/// Builds the programs, and runs the rehearsal with these flags.
pub fn run(flags: &[&str]) -> Result<(), String> {
    rehearse("sparse", flags)
}

/// What can be typed.
pub const HELP: &str = "\
cargo xtask sparse [--size SIZE] [--rehearse] [--plain | --sealed] [--folder DIR]

Two stations on this machine, each a process of its own, exchange a sparse file: plain with a signed receipt, then over
TLS, signed, compressed and encrypted. Both are killed once 60 % are safe, and started again. For each attempt is
reported: the first octet of the source that was read, how many were, processor time and memory of both processes.
What was read is seen from outside: the pages of the source are dropped before the second attempt, and never more of
them may come back than was sent since the checkpoint. Needs fincore (util-linux) and dd (coreutils).

  --size SIZE    of the file: octets, or a number with MiB, GiB, TiB, MB, GB, TB (1TB)
  --rehearse     sends only 4 GiB before the cut, and moves both sides to 60 % then
  --plain        without envelope only
  --sealed       with all services only
  --folder DIR   where homes and the file are put; it needs no room, but sparse files [the target folder]
";
