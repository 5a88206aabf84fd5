//! The program behind `cargo xtask petabyte` and `cargo xtask sparse`. It takes the program `odile` that lies beside it.

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

use odile_tests::rehearsal::sparse::Way;
use odile_tests::rehearsal::{Services, petabyte, sparse};

/// What can be typed.
struct Arguments {
    tail_bytes: u64,
    size_bytes: u64,
    way: Way,
    services: Option<Services>,
    folder: PathBuf,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let result = match arguments.split_first() {
        Some((what, flags)) if what == "petabyte" || what == "sparse" => {
            Arguments::parse(flags).and_then(|arguments| run(what, &arguments))
        }
        _ => Err("petabyte or sparse is expected".to_owned()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("rehearse: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(what: &str, arguments: &Arguments) -> Result<(), String> {
    let this = env::current_exe().map_err(|error| error.to_string())?;
    let program = this.with_file_name("odile");
    let default = match what {
        "petabyte" => [Services::Plain, Services::All],
        _ => [Services::PlainSignedReceipt, Services::All],
    };
    let mut reports = Vec::new();
    for services in default {
        if arguments.services.is_some_and(|wanted| wanted.is_sealed() != services.is_sealed()) {
            continue;
        }
        let (program, folder) = (program.clone(), arguments.folder.clone());
        let told = |line: &str| println!("{line}");
        let report = if what == "petabyte" {
            let plan = petabyte::Plan {
                program,
                folder,
                services,
                stretch_bytes: STRETCH_BYTES,
                tail_bytes: arguments.tail_bytes,
            };
            petabyte::run(&plan, told).map(|report| report.to_string())
        } else {
            let plan = sparse::Plan {
                program,
                folder,
                services,
                size_bytes: arguments.size_bytes,
                checkpoint_bytes: sparse::checkpoint_bytes(services),
                way: arguments.way,
            };
            sparse::run(&plan, told).map(|report| report.to_string())
        };
        reports.push(report.map_err(|failure| failure.to_string())?);
    }
    print!("\n{}", reports.join("\n"));
    Ok(())
}

impl Arguments {
    fn parse(flags: &[String]) -> Result<Self, String> {
        let mut parsed = Self {
            tail_bytes: 2 << 30,
            size_bytes: 1_000_000_000_000,
            way: Way::Sent,
            services: None,
            folder: env::temp_dir(),
        };
        let mut left = flags.iter();
        while let Some(flag) = left.next() {
            let mut value = || left.next().ok_or_else(|| format!("{flag}: a value is missing"));
            match flag.as_str() {
                "--tail" => parsed.tail_bytes = size(value()?)?,
                "--size" => parsed.size_bytes = size(value()?)?,
                "--folder" => parsed.folder = value()?.into(),
                "--rehearse" => parsed.way = Way::Moved(REHEARSED_BYTES),
                "--plain" => parsed.services = Some(Services::Plain),
                "--sealed" => parsed.services = Some(Services::All),
                _ => return Err(format!("{flag}: no such flag")),
            }
        }
        // The stations run somewhere else.
        parsed.folder = std::path::absolute(&parsed.folder).map_err(|error| error.to_string())?;
        Ok(parsed)
    }
}

/// `4096`, `64MiB`, `2GiB`, `1TB`.
fn size(text: &str) -> Result<u64, String> {
    let units = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];
    let decimal = [("MB", 1_000_000), ("GB", 1_000_000_000), ("TB", 1_000_000_000_000_u64)];
    let found =
        units.into_iter().chain(decimal).find_map(|(unit, octets)| Some((text.strip_suffix(unit)?, octets)));
    let (number, octets) = found.unwrap_or((text, 1));
    let octets = number.parse::<u64>().ok().and_then(|number| number.checked_mul(octets));
    octets.filter(|octets| *octets >= SIZE_MIN_BYTES).ok_or_else(|| {
        format!("{text}: octets are expected, from {SIZE_MIN_BYTES} on, or a number with MiB, GiB, TiB, MB, GB or TB")
    })
}

/// Octets that pass before each move.
const STRETCH_BYTES: u64 = 256 << 20;
/// Octets of a sparse file that pass before it is moved.
const REHEARSED_BYTES: u64 = 4 << 30;
/// Less would be over before it is cut.
const SIZE_MIN_BYTES: u64 = 32 << 20;
