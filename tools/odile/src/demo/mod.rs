//! `odile demo`: two stations on this machine, each a process of its own, exchange a file in both directions.
//!
//! ```text
//! odile demo ─┬─ odile serve  (A)  calls ──▶ line         dataset   makes the file, and digests
//!             ├─ line         a relay  ─────▶ B           stations  homes and processes
//!             └─ odile serve  (B)  ◀── is called by A     exchange  one file, one direction
//!                                                         trouble   what goes wrong on the way
//! ```
//!
//! On the way from A to B the line is cut, and B is killed; the file goes on where it was.
//! Only A can call: the port of B is known once B runs. So A sends its file to B, and collects the file of B.

mod dataset;
mod exchange;
mod line;
mod stations;
mod trouble;

use std::path::{Path, PathBuf};

use odile_station::free_space;
use serde_json::json;

use self::exchange::{Delivery, Direction};
use self::stations::{Pair, Security};
use self::trouble::Troubles;
use crate::cli::DemoArgs;
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::output::{self, Align, Table};
use crate::progress::Progress;
use crate::signals::Interrupt;
use crate::size;

/// The file that travels.
struct Sample {
    path: PathBuf,
    octets: u64,
    digest: String,
}

pub fn run(context: &Context, args: &DemoArgs) -> Result<Exit, Failure> {
    let interrupt = Interrupt::catch()?;
    let folder = tempfile::Builder::new().prefix("odile-demo-").tempdir().map_err(cannot("make a folder"))?;
    let outcome = exchange_in(context, args, folder.path(), &interrupt);
    if args.keep {
        let kept = folder.keep();
        context.note(&format!("both stations are in {}", kept.display()));
    }
    let (sample, deliveries) = outcome?;
    Ok(report(context, &sample, &deliveries))
}

fn exchange_in(
    context: &Context,
    args: &DemoArgs,
    folder: &Path,
    interrupt: &Interrupt,
) -> Result<(Sample, Vec<Delivery>), Failure> {
    let sample = sample(context, args, folder, interrupt)?;
    let progress = Progress::new(context);
    let security = if args.plain { Security::None } else { Security::Full };
    // Small against the file, so that little is sent again.
    let tuning = args.tuning.with_checkpoints_of((sample.octets / 64).max(CHECKPOINT_BYTES_MIN));
    let mut pair = Pair::start(folder, security, tuning, interrupt)?;
    for line in pair.introduction() {
        progress.line(&line);
    }
    let mut deliveries = Vec::new();
    for direction in [Direction::AToB, Direction::BToA] {
        let troubles = match direction {
            Direction::AToB if !args.uncut => Troubles::of(sample.octets),
            _ => Troubles::none(),
        };
        let delivery = exchange::run(&mut pair, direction, &sample, troubles, &progress, interrupt)
            .map_err(|failure| if interrupt.came() { failure } else { pair.explain(failure) })?;
        deliveries.push(delivery);
    }
    pair.stop();
    Ok((sample, deliveries))
}

fn sample(
    context: &Context,
    args: &DemoArgs,
    folder: &Path,
    interrupt: &Interrupt,
) -> Result<Sample, Failure> {
    let octets = match &args.file {
        Some(path) => std::fs::metadata(path).map_err(cannot(&format!("read {}", path.display())))?.len(),
        None => args.size,
    };
    // Received by B, received by A, and the one that is generated.
    let needed = octets.saturating_mul(if args.file.is_some() { 2 } else { 3 });
    if let Ok(space) = free_space(folder)
        && space.available < needed
    {
        return Err(Failure::usage(format!(
            "{needed} octets are needed in {}, {} are free: choose a smaller --size, or another folder with TMPDIR",
            folder.display(),
            space.available
        )));
    }
    let path = if let Some(path) = &args.file {
        std::path::absolute(path).map_err(cannot(&format!("read {}", path.display())))?
    } else {
        let path = folder.join("crash-front.stp");
        context.note(&format!("generating a CAD file of {:.0} MB", size::megabytes(octets)));
        dataset::generate(&path, octets, interrupt)?;
        path
    };
    let digest = dataset::sha256(&path, interrupt)?;
    Ok(Sample { path, octets, digest })
}

fn report(context: &Context, sample: &Sample, deliveries: &[Delivery]) -> Exit {
    let all_well = deliveries.iter().all(Delivery::is_well);
    if context.is_json() {
        output::json(&json!({
            "ok": all_well,
            "octets": sample.octets,
            "sha256": sample.digest,
            "deliveries": deliveries,
        }));
        return if all_well { Exit::Done } else { Exit::Refused };
    }
    let mut table = Table::new(&[
        ("direction", Align::Left),
        ("file", Align::Left),
        ("octets", Align::Right),
        ("seconds", Align::Right),
        ("rate", Align::Right),
        ("on its way", Align::Left),
        ("interrupted", Align::Right),
        ("receipt", Align::Left),
        ("SHA-256", Align::Left),
    ]);
    for delivery in deliveries {
        table.row([
            delivery.direction.arrow().to_owned(),
            delivery.dataset_name.clone(),
            delivery.octets.to_string(),
            format!("{:.3}", delivery.seconds),
            size::rate(delivery.octets, delivery.seconds),
            delivery.services.clone(),
            format!("{} times", delivery.troubles.len()),
            match &delivery.receipt {
                None => "none".to_owned(),
                Some(receipt) if delivery.proof == "verified" => format!("{receipt}, signature verified"),
                Some(receipt) => receipt.clone(),
            },
            if delivery.digest_equal { "equal" } else { "DIFFERENT" }.to_owned(),
        ]);
    }
    table.print();
    if all_well {
        context
            .note("both files arrived, synced to disk and acknowledged; the clock ran from offer to receipt");
        Exit::Done
    } else {
        output::note(
            "odile: not everything arrived as it was sent: see the table; --keep keeps both stations",
        );
        Exit::Refused
    }
}

const CHECKPOINT_BYTES_MIN: u64 = 256 << 10;

/// An error of the system about something that the demo needs.
fn cannot(what: &str) -> impl FnOnce(std::io::Error) -> Failure + use<> {
    let what = what.to_owned();
    move |error| Failure::usage(format!("cannot {what}: {error}"))
}
