//! `odile tune`: what a machine should be like, what it is like, and the way there and back.
//!
//! ```text
//! preset ─┐
//!         ├─ compare ─┬─ check    tells
//! look ───┘           └─ apply ── plan ── state ── undo     writes, and puts back
//! link ── recommend                                         from a measured line to flags
//! ```
//!
//! `machine` alone touches `/proc` and `/sys`.

mod advice;
mod apply;
mod check;
mod compare;
mod link;
mod look;
mod machine;
mod plan;
mod preset;
mod recommend;
mod setting;
mod state;
mod storage;
mod undo;
mod value;

use std::path::{Path, PathBuf};

use self::compare::{Chosen, fitting};
use self::machine::Machine;
use self::preset::Preset;
use crate::cli::{PresetArg, StateArg, TuneArgs, TuneCommand};
use crate::context::Context;
use crate::exit::{Exit, Failure};

pub fn run(context: &Context, args: &TuneArgs) -> Result<Exit, Failure> {
    let machine = Machine::new(&args.root);
    match &args.command {
        TuneCommand::Check(args) => check::run(context, &machine, args),
        TuneCommand::Apply(args) => apply::run(context, &machine, args),
        TuneCommand::Undo(args) => undo::run(context, &machine, args),
        TuneCommand::Recommend { file } => recommend::run(context, &machine, file),
    }
}

/// The preset that was named, or the one that fits.
fn chosen(machine: &Machine, arg: &PresetArg) -> Result<Chosen, Failure> {
    let (name, why) = match &arg.name {
        Some(name) => (name.as_str(), String::new()),
        None => fitting(machine),
    };
    Ok(Chosen { preset: Preset::load(name)?, why })
}

fn heading(name: &str, about: &str, why: &str) -> String {
    let about = if about.is_empty() { String::new() } else { format!(": {about}") };
    let chosen = if why.is_empty() { String::new() } else { format!("\nchosen because {why}") };
    format!("preset {name}{about}{chosen}")
}

/// Where files are read and written.
fn place(context: &Context, path: Option<&Path>) -> PathBuf {
    let path = path.unwrap_or_else(|| context.home.root());
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}

/// Where it is saved what was there before.
fn state_file(machine: &Machine, arg: &StateArg) -> PathBuf {
    arg.file.clone().unwrap_or_else(|| machine.path(STATE_FILE))
}

const STATE_FILE: &str = "/var/lib/odile/tune.json";
