//! `odile`: the command line, and the station when it runs in the foreground (`odile serve`).
//!
//! ```text
//! main ── cli        what can be typed
//!      ├─ commands   one file for each topic
//!      ├─ demo       two stations on this machine exchange a file
//!      ├─ link       measures a line or a disk
//!      ├─ access     the station: the one that runs in the home, or one for this command alone
//!      └─ output, progress, journal, exit   what people and programs read
//! ```
//!
//! Nothing here decides anything about the protocol; that is the library's part.

#![forbid(unsafe_code)]

mod access;
mod cli;
mod commands;
mod context;
mod demo;
mod exit;
mod journal;
mod link;
mod output;
mod progress;
mod signals;
mod size;
mod tuning;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::Cli;
use crate::context::Context;

fn main() -> ExitCode {
    let cli = Cli::parse();
    // Before any key or password is read.
    if let Err(error) = odile_station::forbid_core_dumps() {
        output::note(&format!("odile: {error}: a core dump would hold keys"));
    }
    let context = match Context::new(&cli.global) {
        Ok(context) => context,
        Err(failure) => return failure.report(cli.global.is_json()),
    };
    match commands::run(&context, cli.command) {
        Ok(exit) => exit.into(),
        Err(failure) => failure.report(context.is_json()),
    }
}
