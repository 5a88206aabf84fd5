//! `odile send`: queue files, and wait until they are where the person wants them to be.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use odile_station::catalog::TransferRef;
use odile_station::wire::EndSessionReason;
use odile_station::{Calls, Event, SendRequest, SyntheticFile};
use serde::Serialize;

use super::listing;
use crate::access::{Access, Standing};
use crate::cli::{SendArgs, Wait};
use crate::context::{Context, Verbosity};
use crate::exit::{Exit, Failure};
use crate::output::{self, Align, Table};
use crate::progress::{Meter, Progress};
use crate::signals::Interrupt;
use crate::{journal, size};

pub fn run(context: &Context, args: &SendArgs) -> Result<Exit, Failure> {
    let paths = check(args)?;
    let interrupt = Interrupt::catch()?;
    let calls = match args.wait {
        Wait::None => Calls::Nobody,
        Wait::Sent | Wait::Receipt => Calls::Only(args.partner.clone()),
    };
    // Before anything is started: a partner that does not exist is a mistake of the command.
    let has_address = context.home.load()?.partner(args.partner.as_str())?.address.is_some();
    let mut access = Access::open(context, &args.tuning, &calls)?;
    let progress = Progress::new(context);
    let files = queue(&mut access, args, &paths, &progress);
    let mut sending = Sending::new(context, args, progress, files);
    if !has_address && matches!(access, Access::Alone(_)) {
        let text = "it has no address: it calls us, and a station must run then (`odile serve`)";
        sending.giving_up = Some((Exit::Unreachable, text.to_owned()));
    }
    if args.wait != Wait::None {
        sending.wait(&mut access, &interrupt)?;
    }
    for file in &sending.files {
        if let Some(meter) = &file.meter {
            meter.finish();
        }
    }
    if let Access::Alone(_) = access {
        sending.see_sessions_through(&mut access, &interrupt);
    }
    Ok(sending.report())
}

/// Absolute paths of the files, which are all there.
fn check(args: &SendArgs) -> Result<Vec<PathBuf>, Failure> {
    if args.wish.name.is_some() && args.files.len() > 1 {
        return Err(Failure::usage("--name is for one file; leave it out, or send the files one by one"));
    }
    let absolute = |path: &PathBuf| {
        let cannot = |text: String| Failure::usage(format!("cannot send {}: {text}", path.display()));
        if SyntheticFile::is_named_by(path) {
            return Ok(path.clone());
        }
        let metadata = std::fs::metadata(path).map_err(|error| cannot(error.to_string()))?;
        if !metadata.is_file() {
            return Err(cannot("it is no regular file".to_owned()));
        }
        std::path::absolute(path).map_err(|error| cannot(error.to_string()))
    };
    args.files.iter().map(absolute).collect()
}

/// A file that was to be sent.
struct File {
    path: PathBuf,
    /// `None` if it could not be queued.
    transfer: Option<TransferRef>,
    dataset_name: String,
    since: Instant,
    standing: Standing,
    meter: Option<Meter>,
    /// How it ended for this command, and when.
    outcome: Option<(Exit, String, Duration)>,
}

struct Sending<'a> {
    context: &'a Context,
    args: &'a SendArgs,
    progress: Progress,
    files: Vec<File>,
    /// Set once what is still queued will not be sent by this command, and why.
    giving_up: Option<(Exit, String)>,
    /// A session has ended the way it should: what has been put off in it waits for a later one.
    session_over: bool,
    /// Files that the station has told of; a session that opens when all are queued has to offer them.
    told: usize,
    full_session: Option<u64>,
    /// Such a session has ended, and what is still queued was not offered in it.
    passed_over: bool,
}

/// A line of the result.
#[derive(Serialize)]
struct Row {
    transfer: Option<TransferRef>,
    file: String,
    dataset_name: String,
    state: String,
    detail: String,
    octets: u64,
    seconds: f64,
}

fn queue(access: &mut Access, args: &SendArgs, paths: &[PathBuf], progress: &Progress) -> Vec<File> {
    let mut files = Vec::new();
    for path in paths {
        let since = Instant::now();
        let mut file = File {
            path: path.clone(),
            transfer: None,
            dataset_name: String::new(),
            since,
            standing: Standing { state: "queued".into(), detail: String::new(), octets: 0, total: 0 },
            meter: None,
            outcome: None,
        };
        match access.send(&request(args, path)) {
            Ok(queued) => {
                progress.line(&format!("{}  {}  as {}", queued.transfer, file.name(), queued.dataset_name));
                file.transfer = Some(queued.transfer);
                file.dataset_name = queued.dataset_name;
                if args.wait != Wait::None {
                    file.meter = Some(progress.meter(format!("{}  {}", queued.transfer, file.name())));
                }
            }
            Err(failure) => {
                "not queued".clone_into(&mut file.standing.state);
                file.outcome = Some((failure.exit, failure.text, since.elapsed()));
            }
        }
        files.push(file);
    }
    files
}

fn request(args: &SendArgs, path: &Path) -> SendRequest {
    let wish = &args.wish;
    SendRequest {
        dataset_name: wish.name.clone(),
        format: wish.format.letter(),
        record_size: wish.record_size,
        destination: wish.destination.clone(),
        description: wish.description.clone(),
        user: wish.user.clone(),
        delete_after_delivery: wish.delete,
        services: wish.services.wish(),
        ..SendRequest::new(args.partner.as_str(), path)
    }
}

impl File {
    fn name(&self) -> String {
        self.path.file_name().unwrap_or(self.path.as_os_str()).to_string_lossy().into_owned()
    }

    fn settle(&mut self, exit: Exit, text: impl Into<String>) {
        self.outcome = Some((exit, text.into(), self.since.elapsed()));
    }

    /// Settles it if its state says so.
    fn judge(&mut self, wait: Wait) {
        let detail = self.standing.detail.clone();
        match self.standing.state.as_str() {
            "delivered" => self.settle(Exit::Done, ""),
            "sent" | "unproven" if wait == Wait::Sent => self.settle(Exit::Done, ""),
            "unproven" => {
                let hint = self.transfer.map(listing::unproven_hint).unwrap_or_default();
                self.settle(Exit::Refused, format!("{detail}; the partner has the file, but {hint}"));
            }
            "rejected" | "refused" | "failed" | "cancelled" => self.settle(Exit::Refused, detail),
            "held" => self.settle(Exit::Refused, "it is kept back by an operator"),
            _ => {}
        }
    }
}

impl<'a> Sending<'a> {
    fn new(context: &'a Context, args: &'a SendArgs, progress: Progress, files: Vec<File>) -> Self {
        Self {
            context,
            args,
            progress,
            files,
            giving_up: None,
            session_over: false,
            told: 0,
            full_session: None,
            passed_over: false,
        }
    }

    fn wait(&mut self, access: &mut Access, interrupt: &Interrupt) -> Result<(), Failure> {
        let patience = Duration::from_secs(self.args.wait_seconds);
        let mut moved = Instant::now();
        let mut called = Instant::now();
        while self.files.iter().any(|file| file.outcome.is_none()) {
            if interrupt.came() {
                self.settle_all(Exit::Refused, "interrupted; what is queued stays queued");
                break;
            }
            if self.look(access)? {
                moved = Instant::now();
            }
            if moved.elapsed() >= patience {
                self.settle_stalled();
                break;
            }
            if self.only_receipts_are_missing(access) && called.elapsed() >= CALL_FOR_RECEIPTS_EVERY {
                // Alone, nobody can call us: the receipt must be fetched. Its end is seen in the news.
                let _ = access.call(self.context, self.args.partner.as_str())?;
                called = Instant::now();
            }
            for event in access.news(LOOK_EVERY) {
                self.on_event(&event);
            }
        }
        Ok(())
    }

    /// Looks at all files; true if one has moved.
    fn look(&mut self, access: &mut Access) -> Result<bool, Failure> {
        let mut any_moved = false;
        for file in self.files.iter_mut().filter(|file| file.outcome.is_none()) {
            let Some(transfer) = file.transfer else { continue };
            let standing = access.standing(transfer)?;
            any_moved |= standing != file.standing;
            file.standing = standing;
            if let Some(meter) = &mut file.meter {
                meter.show(&file.standing);
            }
            file.judge(self.args.wait);
            if file.outcome.is_some() || file.standing.state != "queued" {
                continue;
            }
            let detail = file.standing.detail.clone();
            match &self.giving_up {
                Some((exit, text)) if detail.is_empty() => {
                    file.settle(*exit, format!("{text}; {STAYS_QUEUED}"));
                }
                Some((exit, _)) => file.settle(*exit, format!("{detail}; {STAYS_QUEUED}")),
                // It was offered, and put off.
                None if self.session_over && !detail.is_empty() => {
                    file.settle(Exit::Refused, format!("{detail}; {STAYS_QUEUED}"));
                }
                None if self.passed_over => {
                    file.settle(Exit::Refused, format!("{PASSED_OVER}; {STAYS_QUEUED}"));
                }
                None => {}
            }
        }
        Ok(any_moved)
    }

    fn on_event(&mut self, event: &Event) {
        match event {
            Event::CallFailed { text, .. } => self.giving_up = Some((Exit::Unreachable, text.clone())),
            Event::FileQueued { .. } => self.told += 1,
            Event::SessionOpened { session, .. } => {
                let queued = self.files.iter().filter(|file| file.transfer.is_some()).count();
                if self.told >= queued {
                    self.full_session = Some(*session);
                }
            }
            Event::SessionEnded { session, end, .. } if end.reason == EndSessionReason::NORMAL => {
                self.session_over = true;
                self.passed_over |= self.full_session == Some(*session);
            }
            Event::SessionEnded { end, .. } => {
                let text = format!("the session ended with ESID {} {}", end.reason, end.text);
                let exit =
                    if end.reason == EndSessionReason::TIME_OUT { Exit::Unreachable } else { Exit::Refused };
                self.giving_up = Some((exit, text.trim_end().to_owned()));
            }
            _ => {}
        }
        tell(self.context, &self.progress, event);
    }

    fn only_receipts_are_missing(&self, access: &Access) -> bool {
        let Access::Alone(alone) = access else { return false };
        let mut waiting = self.files.iter().filter(|file| file.outcome.is_none()).peekable();
        waiting.peek().is_some()
            && waiting.all(|file| file.standing.state == "sent")
            && !alone.is_in_session()
    }

    fn settle_stalled(&mut self) {
        let seconds = self.args.wait_seconds;
        for file in self.files.iter_mut().filter(|file| file.outcome.is_none()) {
            match file.standing.state.as_str() {
                "queued" => {
                    file.settle(Exit::Unreachable, format!("nothing moved for {seconds} s; {STAYS_QUEUED}"));
                }
                "sent" => file.settle(
                    Exit::Refused,
                    format!("no receipt came within {seconds} s; `odile history` shows it when it is there"),
                ),
                _ => file.settle(Exit::Refused, format!("nothing moved for {seconds} s; see `odile queue`")),
            }
        }
    }

    fn settle_all(&mut self, exit: Exit, text: &str) {
        for file in self.files.iter_mut().filter(|file| file.outcome.is_none()) {
            file.settle(exit, text);
        }
    }

    /// Ends the session the way it should end, as long as something moves in it: the partner may have files for
    /// us, and receipts want to be exchanged.
    fn see_sessions_through(&mut self, access: &mut Access, interrupt: &Interrupt) {
        let mut moved = Instant::now();
        let mut octets = 0;
        loop {
            let Access::Alone(alone) = access else { return };
            if !alone.is_in_session() || interrupt.came() || moved.elapsed() >= SESSION_END_LIMIT {
                return;
            }
            if alone.octets() != octets {
                octets = alone.octets();
                moved = Instant::now();
            }
            for event in access.news(LOOK_EVERY) {
                moved = Instant::now();
                tell(self.context, &self.progress, &event);
            }
        }
    }

    fn report(&self) -> Exit {
        let rows: Vec<Row> = self.files.iter().map(row).collect();
        if self.context.is_json() {
            output::json(&rows);
        } else {
            print(&rows);
            for file in &self.files {
                match &file.outcome {
                    Some((Exit::Done, ..)) | None => {}
                    Some((_, text, _)) => {
                        output::note(&format!("odile: {} is {}: {text}", file.name(), file.standing.state));
                    }
                }
            }
        }
        let exits = self.files.iter().filter_map(|file| file.outcome.as_ref().map(|(exit, ..)| *exit));
        exits.fold(Exit::Done, Exit::worst)
    }
}

/// What people want to know while a station runs for their command alone.
pub fn tell(context: &Context, progress: &Progress, event: &Event) {
    let tells = match event {
        _ if context.verbosity == Verbosity::Verbose => true,
        // The result says it.
        Event::CallFailed { .. }
        | Event::SessionEnded { .. }
        | Event::FileRefused { .. }
        | Event::FileFailed { .. } => false,
        Event::Received { .. } | Event::Recovered { .. } => true,
        other => other.is_trouble(),
    };
    if tells {
        progress.line(&journal::text(event));
    }
}

fn row(file: &File) -> Row {
    let (detail, seconds) = match &file.outcome {
        Some((_, text, after)) => (text.clone(), after.as_secs_f64()),
        None => (String::new(), 0.0),
    };
    Row {
        transfer: file.transfer,
        file: file.path.display().to_string(),
        dataset_name: file.dataset_name.clone(),
        state: file.standing.state.clone(),
        detail,
        octets: file.standing.total.max(std::fs::metadata(&file.path).map_or(0, |metadata| metadata.len())),
        seconds: (seconds * 1000.0).round() / 1000.0,
    }
}

fn print(rows: &[Row]) {
    let mut table = Table::new(&[
        ("transfer", Align::Left),
        ("dataset name", Align::Left),
        ("state", Align::Left),
        ("octets", Align::Right),
        ("seconds", Align::Right),
        ("rate", Align::Right),
    ]);
    for row in rows {
        let moved = matches!(row.state.as_str(), "sent" | "unproven" | "delivered");
        table.row([
            row.transfer.map_or_else(|| "-".to_owned(), |transfer| transfer.to_string()),
            if row.dataset_name.is_empty() { row.file.clone() } else { row.dataset_name.clone() },
            row.state.clone(),
            row.octets.to_string(),
            format!("{:.1}", row.seconds),
            if moved { size::rate(row.octets, row.seconds) } else { "-".to_owned() },
        ]);
    }
    table.print();
}

const STAYS_QUEUED: &str = "it stays queued and is sent by the next `odile serve` or `odile send`";
const PASSED_OVER: &str =
    "the session ended without it being offered: the partner takes no files, its SSID says";
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// A partner that writes its receipts after the session is called for them.
const CALL_FOR_RECEIPTS_EVERY: Duration = Duration::from_secs(5);
/// A session in which nothing moves any more is not worth waiting for.
const SESSION_END_LIMIT: Duration = Duration::from_secs(10);
