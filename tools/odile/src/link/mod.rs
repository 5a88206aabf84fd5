//! `odile link`: what a line or a disk carries, measured with the real stations, files that nobody stores, and both
//! ends' own account of where the time went.
//!
//! ```text
//! test ─▶ tester ─▶ side (a station of its own) ══ the line ══ side ◀─ server ◀─ serve
//!              └─▶ judge: what limits it, what the window allows ─▶ report, chart
//! ```

mod chart;
mod disk;
mod judge;
mod kit;
mod note;
mod report;
mod server;
mod side;
mod tester;

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use odile_station::partner::{Partner, SessionSettings, Transport};
use odile_station::{Options, StationError};

use self::kit::Kit;
use self::report::Report;
use self::server::Server;
use self::tester::{Far, Point, Run, Tester};
use crate::access::refuse_unable;
use crate::cli::{Direction, LineKind, LinkCommand, LinkServeArgs, LinkServices, LinkTestArgs};
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::signals::Interrupt;

pub fn run(context: &Context, command: &LinkCommand) -> Result<Exit, Failure> {
    match command {
        LinkCommand::Serve(args) => serve(context, args),
        LinkCommand::Test(args) => test(context, args),
        LinkCommand::Disk(args) => disk::run(context, args),
    }
}

fn serve(context: &Context, args: &LinkServeArgs) -> Result<Exit, Failure> {
    let interrupt = Interrupt::catch()?;
    let kit = args.kit.as_ref().map(|path| Kit::at(path, true)).transpose()?;
    let options = args.tuning.apply(Options { pool_blocks: POOL_BLOCKS, ..Options::for_this_machine() });
    refuse_unable(&options).map_err(Failure::usage)?;
    let anywhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, PLAIN_PORT));
    let plain = args.listen.or_else(|| kit.is_none().then_some(anywhere));
    let mut server = Server::start(options, plain, args.listen_tls, kit.as_ref(), args.to_disk.as_deref())?;
    let handle = server.handle();
    for (address, what) in [(handle.address(), "over TCP"), (handle.tls_address(), "over TLS")] {
        if let Some(address) = address {
            output::note(&format!("odile link: ready at {address} {what}"));
        }
    }
    let closed = Arc::new(AtomicBool::new(false));
    if args.until_input_closes {
        let closed = Arc::clone(&closed);
        thread::spawn(move || {
            let mut ignored = [0; 64];
            while matches!(std::io::stdin().read(&mut ignored), Ok(count) if count > 0) {}
            closed.store(true, Ordering::Relaxed);
        });
    }
    server.run(&|| interrupt.came() || closed.load(Ordering::Relaxed), &|line| context.note(line));
    Ok(Exit::Done)
}

fn test(context: &Context, args: &LinkTestArgs) -> Result<Exit, Failure> {
    let interrupt = Interrupt::catch()?;
    let options = args.tuning.apply(Options { pool_blocks: POOL_BLOCKS_HERE, ..Options::default() });
    refuse_unable(&options).map_err(Failure::usage)?;
    if args.target != HERE {
        let partner = partner(context, &args.target);
        let far = far(args, partner.as_deref())?;
        let windows = windows(args, partner.as_deref())?;
        return measure(context, args, &windows, Tester { far, options, interrupt: &interrupt });
    }
    // Both ends in this process: what one machine can do at all.
    let kit = Kit::make()?;
    let here = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let far_options = args.tuning.apply(Options { pool_blocks: POOL_BLOCKS, ..Options::for_this_machine() });
    let mut server = Server::start(far_options, Some(here), here, Some(&kit), None)?;
    let handle = server.handle();
    let plain = handle.address().map(|address| address.to_string()).unwrap_or_default();
    let tls = handle.tls_address().map(|address| address.to_string());
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| server.run(&|| is_over.load(Ordering::Relaxed), &|_| {}));
        let far = Far { plain, tls, kit: Some(kit) };
        let tester = Tester { far, options, interrupt: &interrupt };
        let outcome = windows(args, None).and_then(|windows| measure(context, args, &windows, tester));
        is_over.store(true, Ordering::Relaxed);
        outcome
    })
}

/// The partner of that name, if there is a station here that has one. A host can be measured without.
fn partner(context: &Context, name: &str) -> Option<Arc<Partner>> {
    match context.home.load() {
        Ok(configuration) => configuration.partner(name).ok().cloned(),
        Err(StationError::NoStation { .. }) => None,
        Err(error) => {
            context.note(&format!("{name} is taken for a host, as partners cannot be read: {error}"));
            None
        }
    }
}

fn far(args: &LinkTestArgs, partner: Option<&Partner>) -> Result<Far, Failure> {
    let kit = args.kit.as_ref().map(|path| Kit::at(path, false)).transpose()?;
    let plain = match partner {
        None => tester::resolve(&args.target, PLAIN_PORT)?,
        Some(partner) => {
            let address = partner.address.as_ref().ok_or_else(|| {
                let text = format!("{} has no address here: give the host instead of its name", partner.name);
                Failure::usage(text)
            })?;
            // The port is the one of its station: a measurement has its own.
            tester::resolve_host(&address.host, PLAIN_PORT)?
        }
    };
    let plain = args.plain_port.map_or(plain, |port| SocketAddr::new(plain.ip(), port));
    let tls = kit.as_ref().map(|_| SocketAddr::new(plain.ip(), args.tls_port).to_string());
    Ok(Far { plain: plain.to_string(), tls, kit })
}

/// What is measured of buffers and credit.
struct Windows {
    buffers: Vec<u32>,
    credits: Vec<u16>,
}

fn windows(args: &LinkTestArgs, partner: Option<&Partner>) -> Result<Windows, Failure> {
    let terms = partner.map(|partner| partner.terms(&SessionSettings::default())).transpose();
    let terms = terms.map_err(Failure::usage)?;
    let mut windows = Windows { buffers: args.buffers.clone(), credits: args.credits.clone() };
    if windows.buffers.is_empty() {
        windows.buffers.push(terms.map_or(BUFFER_SIZE_MAX, |terms| terms.buffer_size.octets()));
    }
    if windows.credits.is_empty() {
        windows.credits.push(terms.map_or(CREDIT_MAX, |terms| terms.credit.buffers()));
    }
    Ok(windows)
}

fn measure(
    context: &Context,
    args: &LinkTestArgs,
    windows: &Windows,
    tester: Tester<'_>,
) -> Result<Exit, Failure> {
    let session = &tester.options.session;
    if session.buffer_size.is_some() || session.credit.is_some() {
        return Err(Failure::usage("what is measured is chosen with --buffers and --credits"));
    }
    let points = points(args, windows, tester.far.kit.is_some())?;
    let transport = points.first().map_or(Transport::Plain, |point| point.transport);
    context.note(&format!("measuring the round trip to {}", args.target));
    let round_trip = tester.round_trip(transport)?;
    let mut runs: Vec<Run> = Vec::new();
    // The largest window says how fast it flows when there is credit; from it, the others are predicted.
    let mut flows: Vec<(Point, f64)> = Vec::new();
    for (number, point) in points.iter().enumerate() {
        let widest = Point { credit: CREDIT_MAX, buffer_octets: BUFFER_SIZE_MAX, sessions: 1, ..*point };
        let flow = if let Some((_, flow)) = flows.iter().find(|(known, _)| *known == widest) {
            *flow
        } else {
            let flow = calibrate(&tester, widest, args.amount)?;
            flows.push((widest, flow));
            flow
        };
        let ceiling = judge::ceiling(point.window_octets(), flow, round_trip.median.as_secs_f64());
        let octets = args.amount.unwrap_or_else(|| amount(ceiling, args.seconds, point));
        context.note(&format!("{} of {}: {}", number + 1, points.len(), report::described(point)));
        let mut run = tester.run(*point, octets)?;
        // Several sessions share what there is, so that only one of them can be predicted alone.
        let waits_for_credit = tester.options.session.early_credit != Some(true);
        let (buffer, credit) = run.agreed;
        let agreed = Point { buffer_octets: buffer, credit, ..*point };
        run.predicted = (point.sessions == 1 && waits_for_credit)
            .then(|| judge::ceiling(agreed.window_octets(), flow, round_trip.median.as_secs_f64()));
        if context.verbosity > crate::context::Verbosity::Quiet && !context.is_json() {
            output::note(&format!("   {}", report::summary(&run)));
        }
        runs.push(run);
    }
    let report = Report { target: args.target.clone(), round_trip, runs };
    if let Some(path) = &args.chart {
        let svg = chart::draw(&report);
        std::fs::write(path, svg)
            .map_err(|error| Failure::usage(format!("cannot write {}: {error}", path.display())))?;
    }
    if context.is_json() {
        output::json(&report.json());
    } else {
        output::line(report.text().trim_end());
    }
    Ok(Exit::Done)
}

/// How fast it flows while there is credit.
fn calibrate(tester: &Tester<'_>, widest: Point, amount: Option<u64>) -> Result<f64, Failure> {
    let most = amount.map_or(CALIBRATION_MOST, |amount| amount.clamp(CALIBRATION_FIRST, CALIBRATION_MOST));
    let mut octets = CALIBRATION_FIRST;
    loop {
        let run = tester.run(widest, octets)?;
        let took = run.speaker.took.as_secs_f64();
        // Compressed content is less than what was asked for: rates are of the content.
        let content = report::share_of(run.octets, run.speaker.octets);
        if took >= CALIBRATION_SECONDS || octets >= most {
            return Ok(judge::flow(&run.speaker) * content);
        }
        octets = (octets * 8).min(most);
    }
}

/// Octets that take so long, about, and some windows, so that credit is waited for if it is scarce.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "about"
)]
fn amount(octets_per_second: f64, seconds: u64, point: &Point) -> u64 {
    let wanted = octets_per_second * seconds as f64;
    // A window that takes longer than that is no limit.
    let windows = (3.0 * point.window_octets()).min(2.0 * wanted);
    (wanted / f64::from(point.sessions)).max(windows).min(AMOUNT_MOST) as u64
}

fn points(args: &LinkTestArgs, windows: &Windows, has_kit: bool) -> Result<Vec<Point>, Failure> {
    let transports = match (args.transport.is_empty(), has_kit) {
        (true, true) => vec![Transport::Tls],
        (true, false) => vec![Transport::Plain],
        (false, _) => args
            .transport
            .iter()
            .map(|kind| if *kind == LineKind::Tls { Transport::Tls } else { Transport::Plain })
            .collect(),
    };
    let needs_kit = transports.contains(&Transport::Tls)
        || args.services.iter().any(|services| services.sign || services.encrypt);
    if needs_kit && !has_kit {
        let text = "TLS, signatures and encryption need a key on both sides: `odile link serve --kit FILE` makes one; \
                    copy it here and name it with --kit";
        return Err(Failure::usage(text));
    }
    if args.sweep {
        let transport = transports.first().copied().unwrap_or(Transport::Plain);
        let mut base = Point::base(Direction::Send, transport);
        if let (Some(buffer_octets), Some(credit)) = (windows.buffers.first(), windows.credits.first()) {
            base = Point { buffer_octets: *buffer_octets, credit: *credit, ..base };
        }
        return Ok(one_by_one(base, has_kit));
    }
    let mut points = Vec::new();
    for &direction in &args.direction {
        for &transport in &transports {
            for &services in &args.services {
                for &buffer_octets in &windows.buffers {
                    for &credit in &windows.credits {
                        for &sessions in &args.sessions {
                            points.push(Point {
                                direction,
                                transport,
                                services,
                                buffer_octets,
                                credit,
                                sessions,
                            });
                        }
                    }
                }
            }
        }
    }
    Ok(points)
}

/// The base, and what differs from it in one thing.
fn one_by_one(base: Point, has_kit: bool) -> Vec<Point> {
    let services = |sign, compress, encrypt| LinkServices { sign, compress, encrypt };
    let mut points = vec![
        base,
        Point { direction: Direction::Receive, ..base },
        Point { credit: 256, ..base },
        Point { credit: 64, ..base },
        Point { credit: 16, ..base },
        Point { buffer_octets: 16_384, ..base },
        Point { buffer_octets: 4096, ..base },
        Point { sessions: 2, ..base },
        Point { sessions: 4, ..base },
        Point { services: services(false, true, false), ..base },
    ];
    if has_kit {
        points.extend([
            Point { services: services(true, false, false), ..base },
            Point { services: services(false, false, true), ..base },
            Point { services: services(true, true, true), ..base },
        ]);
    }
    points
}

const BUFFER_SIZE_MAX: u32 = 99_999;
const CREDIT_MAX: u16 = 999;
const HERE: &str = "here";
const PLAIN_PORT: u16 = 3305;
/// For all sessions of a measurement at the same time.
const POOL_BLOCKS: usize = 96;
const POOL_BLOCKS_HERE: usize = 12;
/// What the far end sends at most.
const AMOUNT_MOST: f64 = 1.8e13;
const CALIBRATION_FIRST: u64 = 16 << 20;
const CALIBRATION_MOST: u64 = 1 << 30;
const CALIBRATION_SECONDS: f64 = 0.5;
