//! `odile generate`: out of the same definition as the program.

use std::fs;
use std::path::Path;

use clap::CommandFactory;

use crate::cli::{Cli, GenerateCommand};
use crate::exit::{Exit, Failure};

pub fn run(what: &GenerateCommand) -> Result<Exit, Failure> {
    match what {
        GenerateCommand::Man { dir } => man_pages(dir),
        GenerateCommand::Completions { shell } => {
            // Into memory first: a reader that goes away is no failure.
            let mut text = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "odile", &mut text);
            crate::output::line(String::from_utf8_lossy(&text).trim_end());
            Ok(Exit::Done)
        }
    }
}

fn man_pages(dir: &Path) -> Result<Exit, Failure> {
    fs::create_dir_all(dir)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), dir))
        .map_err(|error| Failure::usage(format!("cannot write man pages: {}: {error}", dir.display())))?;
    Ok(Exit::Done)
}
