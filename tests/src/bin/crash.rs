//! The program behind `cargo xtask crash`: kills stations in the middle of files. It takes the program `odile` that
//! lies beside it.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{SystemTime, UNIX_EPOCH};

use odile_tests::crash::{self, Keep, Plan};
use signal_hook::consts::{SIGINT, SIGTERM};

/// What can be typed.
struct Arguments {
    rounds: u32,
    seed: u64,
    size_bytes: u64,
    folder: PathBuf,
    json: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("crash: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments = Arguments::parse(&arguments)?;
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&interrupted)).map_err(|error| error.to_string())?;
    }
    let this = env::current_exe().map_err(|error| error.to_string())?;
    let plan = Plan {
        program: this.with_file_name("odile"),
        folder: arguments.folder,
        rounds: arguments.rounds,
        seed: arguments.seed,
        size_bytes: arguments.size_bytes,
        cuts_max: CUTS_MAX,
        modes: Vec::new(),
        keep: Keep::Homes,
        interrupted: &interrupted,
    };
    println!("seed {}", plan.seed);
    let report = crash::run(&plan, |line| println!("{line}")).map_err(|failure| failure.to_string())?;
    print!("\n{report}");
    match arguments.json {
        Some(path) => fs::write(&path, format!("{:#}\n", report.json()))
            .map_err(|error| format!("{}: {error}", path.display())),
        None => Ok(()),
    }
}

impl Arguments {
    fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut parsed = Self {
            rounds: 20,
            // Any seed will do.
            seed: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |time| u64::from(time.subsec_nanos())),
            size_bytes: 2 << 30,
            folder: env::temp_dir(),
            json: None,
        };
        let mut left = arguments.iter();
        while let Some(flag) = left.next() {
            let value = left.next().ok_or_else(|| format!("{flag}: a value is missing"))?;
            let wrong = || format!("{flag} {value}: a number from 1 on is expected");
            match flag.as_str() {
                "--rounds" => {
                    parsed.rounds = value.parse().ok().filter(|&rounds| rounds > 0).ok_or_else(wrong)?;
                }
                "--seed" => parsed.seed = value.parse().map_err(|_| wrong())?,
                "--size" => parsed.size_bytes = size(value).filter(|&size| size > 0).ok_or_else(wrong)?,
                "--folder" => parsed.folder = value.into(),
                "--json" => parsed.json = Some(value.into()),
                _ => {
                    return Err(format!(
                        "{flag}: no such flag; `cargo xtask crash --help` tells which there are"
                    ));
                }
            }
        }
        // The stations run somewhere else.
        parsed.folder = std::path::absolute(&parsed.folder).map_err(|error| error.to_string())?;
        Ok(parsed)
    }
}

/// `4096`, `64KiB`, `8MiB`, `2GiB`.
fn size(text: &str) -> Option<u64> {
    let units = [("KiB", 10), ("MiB", 20), ("GiB", 30)];
    let (number, shift) =
        units.iter().find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, *shift))).unwrap_or((text, 0));
    number.parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// Kills for one file, at most: more of them, and few files would be tried.
const CUTS_MAX: u32 = 5;
