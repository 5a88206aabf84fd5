//! `odile tune`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Args)]
#[command(after_help = TUNE_HELP)]
pub struct TuneArgs {
    #[command(subcommand)]
    pub command: TuneCommand,
    /// The folder that holds `proc` and `sys`: a made-up machine, for tests
    #[arg(long, global = true, hide = true, value_name = "DIR", default_value = "/")]
    pub root: PathBuf,
}

#[derive(Debug, Subcommand)]
pub enum TuneCommand {
    /// Compare this machine with a preset; exit code 1 if something differs
    Check(TuneCheckArgs),
    /// Change what differs and can be changed while the machine runs (as root)
    Apply(TuneApplyArgs),
    /// Put back what `apply` has changed
    Undo(TuneUndoArgs),
    /// Say which flags and settings follow from a measured line
    Recommend {
        /// What `odile link test --output json` has written
        file: PathBuf,
    },
}

#[derive(Debug, Args)]
pub struct TuneCheckArgs {
    #[command(flatten)]
    pub preset: PresetArg,
    /// Where files are read and written [default: the station's folder]
    pub path: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct TuneApplyArgs {
    #[command(flatten)]
    pub preset: PresetArg,
    /// Where files are read and written, for the disk's scheduler [default: the station's folder]
    pub path: Option<PathBuf>,
    /// Write nothing; show what would be written where, and what is there
    #[arg(long)]
    pub dry_run: bool,
    /// Write nothing; print the lines that make it last over a restart of the machine
    #[arg(long, conflicts_with = "dry_run")]
    pub print_sysctl: bool,
    #[command(flatten)]
    pub state: StateArg,
}

#[derive(Debug, Args)]
pub struct TuneUndoArgs {
    /// Write nothing; show what would be put back
    #[arg(long)]
    pub dry_run: bool,
    /// Put back also what somebody else has changed since
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub state: StateArg,
}

#[derive(Debug, Args)]
pub struct PresetArg {
    /// lan-25g, lan-100g, wan-100ms, small-vm, or a file (./mine.toml) [default: chosen, and told why]
    #[arg(long = "preset", value_name = "NAME|FILE")]
    pub name: Option<String>,
}

#[derive(Debug, Args)]
pub struct StateArg {
    /// Where it is saved what was there before [default: /var/lib/odile/tune.json]
    #[arg(long = "state", value_name = "FILE")]
    pub file: Option<PathBuf>,
}

const TUNE_HELP: &str = "\
Examples:
  odile tune check                                  this machine, and what could be better
  odile tune check --preset wan-100ms /srv/oftp     for far partners, and files in /srv/oftp
  odile tune apply --preset wan-100ms --dry-run     what would be written where
  sudo odile tune apply --preset wan-100ms
  odile tune apply --preset wan-100ms --print-sysctl > 90-odile.conf
  sudo odile tune undo
  odile tune recommend link.json                    from `odile link test --output json`

Exit codes:
  0  nothing differs; all that can be changed here was changed, or put back
  1  something differs; a change was refused; something was left that somebody else has changed
  2  the command, the preset or the file is wrong";
