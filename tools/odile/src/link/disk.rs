//! What writing and checkpoints cost on a disk: both ends on this machine, the receiving one on that disk.

use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use odile_station::partner::Transport;
use odile_station::{Direct, Options, Stage};
use serde_json::json;

use super::POOL_BLOCKS_HERE;
use super::report::per_second;
use super::server::Server;
use super::tester::{Far, Point, Run, Tester};
use crate::access::refuse_unable;
use crate::cli::{Direction, LinkDiskArgs};
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::signals::Interrupt;

struct Kind {
    name: &'static str,
    to_disk: bool,
    /// How it is written.
    with: Options,
    rates: Vec<f64>,
    last: Option<Run>,
}

pub fn run(context: &Context, args: &LinkDiskArgs) -> Result<Exit, Failure> {
    let interrupt = Interrupt::catch()?;
    let options = args.tuning.apply(Options { pool_blocks: POOL_BLOCKS_HERE, ..Options::default() });
    refuse_unable(&options).map_err(Failure::usage)?;
    if !args.path.is_dir() {
        return Err(Failure::usage(format!(
            "{} is no folder: name one on the disk to measure",
            args.path.display()
        )));
    }
    let room =
        odile_station::free_space(&args.path).map_err(|error| Failure::usage(error.to_string()))?.available;
    if room < args.amount.saturating_add(args.amount / 8) {
        return Err(Failure::usage(format!(
            "{} has room for {room} octets: measure with less, --amount SIZE",
            args.path.display()
        )));
    }
    // Both ways are measured, whatever --direct says.
    let options = Options { direct: Direct::Off, ..options };
    let kind = |name, to_disk, with| Kind { name, to_disk, with, rates: Vec::new(), last: None };
    let none = Options { checkpoint_bytes: u64::MAX / 8, checkpoint_time: Duration::MAX, ..options.clone() };
    let many = Options { checkpoint_bytes: 16 << 20, ..options.clone() };
    let direct = Options { direct: Direct::Targets, ..options.clone() };
    let mut kinds = [
        kind("not written", false, options.clone()),
        kind("written, no checkpoints", true, none),
        kind("written, checkpoints", true, options),
        kind("written, checkpoints every 16 MiB", true, many),
        kind("written directly, checkpoints", true, direct),
    ];
    for round in 0..usize::from(args.rounds) {
        for turn in 0..kinds.len() {
            interrupt.check()?;
            // The order changes: whoever comes first pays for memory and disk.
            let at = (round + turn) % kinds.len();
            if let Some(kind) = kinds.get_mut(at) {
                let run = one(args, &kind.with, kind.to_disk, &interrupt)?;
                context.note(&format!("{}: {}", kind.name, per_second(run.octets_per_second())));
                kind.rates.push(run.octets_per_second());
                kind.last = Some(run);
            }
        }
    }
    tell(context, args, &mut kinds);
    Ok(Exit::Done)
}

fn one(args: &LinkDiskArgs, options: &Options, to_disk: bool, interrupt: &Interrupt) -> Result<Run, Failure> {
    let here = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let disk = to_disk.then_some(args.path.as_path());
    let mut server = Server::start(options.clone(), Some(here), here, None, disk)?;
    let plain = server.handle().address().map(|address| address.to_string()).unwrap_or_default();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| server.run(&|| is_over.load(Ordering::Relaxed), &|_| {}));
        let far = Far { plain, tls: None, kit: None };
        let tester = Tester { far, options: options.clone(), interrupt };
        let run = tester.run(Point::base(Direction::Send, Transport::Plain), args.amount);
        is_over.store(true, Ordering::Relaxed);
        let mut run = run?;
        // A file is on disk when it is confirmed, not when its last octet has left.
        run.seconds = run.speaker.took.as_secs_f64();
        Ok(run)
    })
}

fn tell(context: &Context, args: &LinkDiskArgs, kinds: &mut [Kind]) {
    let mut rows = Vec::new();
    let base = kinds.iter_mut().find(|kind| kind.to_disk).map(|kind| median(&mut kind.rates));
    for kind in kinds.iter_mut() {
        let rate = median(&mut kind.rates);
        let last = kind.last.as_ref();
        let disk = last.and_then(|run| run.listener.as_ref()).map(|listener| listener.share(Stage::Disk));
        let close = last.map(|run| run.speaker.stage(Stage::Close).as_secs_f64());
        rows.push((kind.name, rate, rate / base.unwrap_or(rate).max(1e-9), disk, close));
    }
    if context.is_json() {
        let rows: Vec<_> = rows
            .iter()
            .map(|(name, rate, ratio, disk, close)| {
                json!({ "kind": name, "octets_per_second": rate, "ratio_to_no_checkpoints": ratio,
                        "disk_busy": disk, "close_seconds": close })
            })
            .collect();
        return output::json(
            &json!({ "path": args.path, "octets": args.amount, "rounds": args.rounds, "kinds": rows }),
        );
    }
    let mut text = format!(
        "{}: {} octets, {} rounds, medians; from SFPA to EFPA, all of it durable\n\n{:<36} {:>12} {:>8} {:>10} {:>10}\n",
        args.path.display(),
        args.amount,
        args.rounds,
        "",
        "rate",
        "ratio",
        "disk busy",
        "at the end"
    );
    for (name, rate, ratio, disk, close) in rows {
        let disk = disk.map_or_else(|| "-".to_owned(), |disk| format!("{:.0} %", disk * 100.0));
        let close = close.map_or_else(|| "-".to_owned(), |close| format!("{close:.2} s"));
        let _ = writeln!(text, "{name:<36} {:>12} {ratio:>8.2} {disk:>10} {close:>10}", per_second(rate));
    }
    text.push_str("\nThe ratio is to what is written without checkpoints; `directly` is --direct targets. Kernels write back as they like: compare within one run.\n");
    output::line(text.trim_end());
}

fn median(rates: &mut [f64]) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates.get(rates.len() / 2).copied().unwrap_or_default()
}
