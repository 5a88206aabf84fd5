//! `odile receive`: call a partner and take what waits there.

use std::collections::BTreeSet;
use std::sync::mpsc::TryRecvError;
use std::time::{Duration, Instant};

use odile_station::Calls;
use odile_station::catalog::{HistoryEntry, HistoryFilter, TransferRef};
use serde_json::{Value, json};

use super::open_catalog;
use super::send::tell;
use crate::access::{Access, CallEnd};
use crate::cli::ReceiveArgs;
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::output::{self, Align, Table};
use crate::progress::Progress;
use crate::signals::Interrupt;

pub fn run(context: &Context, args: &ReceiveArgs) -> Result<Exit, Failure> {
    let interrupt = Interrupt::catch()?;
    let partner = args.partner.as_str();
    context.home.load()?.partner(partner)?;
    let before: BTreeSet<TransferRef> =
        received(context, partner)?.iter().map(|entry| entry.transfer).collect();
    let mut access = Access::open(context, &args.tuning, &Calls::Only(args.partner.clone()))?;
    let progress = Progress::new(context);
    progress.line(&format!("calling {partner}"));
    let end = call(context, &mut access, partner, &progress, &interrupt)?;
    if let Access::Alone(_) = access {
        settle_receipts(context, &mut access, partner, &progress, &interrupt)?;
    }
    let files: Vec<HistoryEntry> =
        received(context, partner)?.into_iter().filter(|entry| !before.contains(&entry.transfer)).collect();
    report(context, &files, &end);
    if end.normal {
        return Ok(Exit::Done);
    }
    if !context.is_json() {
        output::note(&format!("odile: the session did not end well: {partner}: {}", end.text));
    }
    Ok(Exit::Refused)
}

/// Calls until it is not the station itself that has the partner on the line.
fn call(
    context: &Context,
    access: &mut Access,
    partner: &str,
    progress: &Progress,
    interrupt: &Interrupt,
) -> Result<CallEnd, Failure> {
    let since = Instant::now();
    loop {
        match call_once(context, access, partner, progress, interrupt) {
            Err(failure)
                if failure.text.ends_with(CALLED_ALREADY) && since.elapsed() < CALLED_ALREADY_LIMIT =>
            {
                for event in access.news(CALL_AGAIN) {
                    tell(context, progress, &event);
                }
            }
            outcome => return outcome,
        }
    }
}

fn call_once(
    context: &Context,
    access: &mut Access,
    partner: &str,
    progress: &Progress,
    interrupt: &Interrupt,
) -> Result<CallEnd, Failure> {
    let outcome = access.call(context, partner)?;
    loop {
        interrupt.check()?;
        for event in access.news(LOOK_EVERY) {
            tell(context, progress, &event);
        }
        match outcome.try_recv() {
            Ok(end) => return end,
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => return Err(Failure::refused("the call was given up")),
        }
    }
}

/// A receipt that could not be sent in the session would wait for the next command: it gets a session of its own.
fn settle_receipts(
    context: &Context,
    access: &mut Access,
    partner: &str,
    progress: &Progress,
    interrupt: &Interrupt,
) -> Result<(), Failure> {
    for _ in 0..RECEIPT_CALLS_MAX {
        let owed = match open_catalog(context)? {
            Some(catalog) => catalog.receipts_owed(partner)?.len(),
            None => 0,
        };
        if owed == 0 {
            return Ok(());
        }
        // Its failure is no failure of what was asked for; the debt stays.
        let _ = call(context, access, partner, progress, interrupt);
    }
    context.note(&format!("odile: receipts are still owed to {partner}; they go with the next session"));
    Ok(())
}

fn received(context: &Context, partner: &str) -> Result<Vec<HistoryEntry>, Failure> {
    let filter = HistoryFilter { partner: Some(partner.to_owned()), limit: LATEST_MAX };
    let Some(catalog) = open_catalog(context)? else { return Ok(Vec::new()) };
    let is_received =
        |entry: &HistoryEntry| matches!(entry.transfer, TransferRef::Inbound(_)) && entry.state == "received";
    let mut entries: Vec<HistoryEntry> = catalog.history(&filter)?.into_iter().filter(is_received).collect();
    entries.sort_by_key(|entry| entry.transfer);
    Ok(entries)
}

fn report(context: &Context, files: &[HistoryEntry], end: &CallEnd) {
    if context.is_json() {
        let files: Vec<Value> = files
            .iter()
            .map(|entry| {
                json!({
                    "transfer": entry.transfer,
                    "dataset_name": format!("{} {} {}", entry.dataset_name, entry.date, entry.time),
                    "octets": entry.octets,
                    "path": entry.path,
                })
            })
            .collect();
        output::json(&json!({ "normal": end.normal, "session": end.text, "received": files }));
        return;
    }
    if files.is_empty() {
        context.note("nothing was received");
        return;
    }
    let mut table = Table::new(&[
        ("transfer", Align::Left),
        ("dataset name", Align::Left),
        ("octets", Align::Right),
        ("file", Align::Left),
    ]);
    for entry in files {
        table.row([
            entry.transfer.to_string(),
            format!("{} {} {}", entry.dataset_name, entry.date, entry.time),
            entry.octets.to_string(),
            entry.path.clone().unwrap_or_default(),
        ]);
    }
    table.print();
}

/// How the station says that it has the partner on the line already.
const CALLED_ALREADY: &str = "is being called already";
const CALLED_ALREADY_LIMIT: Duration = Duration::from_secs(600);
const CALL_AGAIN: Duration = Duration::from_millis(300);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// More files than one session brings.
const LATEST_MAX: u32 = 100_000;
const RECEIPT_CALLS_MAX: u32 = 3;
