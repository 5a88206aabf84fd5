//! What all commands need to know: where the station is, and how to talk.

use std::path::PathBuf;

use odile_station::Home;

use crate::cli::{Format, Global};
use crate::exit::Failure;
use crate::output;

/// The global options, resolved.
pub struct Context {
    pub home: Home,
    pub verbosity: Verbosity,
    format: Format,
}

/// How much is told on stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    Quiet,
    Normal,
    Verbose,
}

impl Context {
    pub fn new(global: &Global) -> Result<Self, Failure> {
        let verbosity = match (global.quiet, global.verbose) {
            (true, _) => Verbosity::Quiet,
            (false, true) => Verbosity::Verbose,
            (false, false) => Verbosity::Normal,
        };
        Ok(Self { home: Home::new(home_folder(global)?), verbosity, format: global.output })
    }

    pub fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Tells people something that is not the result.
    pub fn note(&self, text: &str) {
        if self.verbosity > Verbosity::Quiet && !self.is_json() {
            output::note(text);
        }
    }
}

fn home_folder(global: &Global) -> Result<PathBuf, Failure> {
    let folder = match &global.home {
        Some(folder) => folder.clone(),
        None => std::env::home_dir()
            .filter(|folder| !folder.as_os_str().is_empty())
            .map(|folder| folder.join(".odile"))
            .ok_or_else(|| {
                Failure::usage("this user has no home folder; say where the station is with --home")
            })?,
    };
    // Paths in the catalog and in messages hold wherever the command is called.
    std::path::absolute(&folder)
        .map_err(|error| Failure::usage(format!("--home {}: {error}", folder.display())))
}
