//! `odile queue`, `odile history`, `odile show`: read from the catalog, whether a station runs or not.

use odile_station::catalog::{
    CatalogError, HistoryEntry, HistoryFilter, Outbound, TransferDetail, TransferRef,
};

use super::open_catalog;
use crate::cli::HistoryArgs;
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::output::{self, Align, Table, local_time};

pub fn queue(context: &Context) -> Result<Exit, Failure> {
    let files = match open_catalog(context)? {
        Some(catalog) => catalog.queue()?,
        None => Vec::new(),
    };
    if context.is_json() {
        output::json(&files);
    } else if files.is_empty() {
        context.note("the queue is empty");
    } else {
        print_queue(&files);
    }
    Ok(Exit::Done)
}

fn print_queue(files: &[Outbound]) {
    let mut table = Table::new(&[
        ("transfer", Align::Left),
        ("partner", Align::Left),
        ("dataset name", Align::Left),
        ("state", Align::Left),
        ("octets", Align::Right),
        ("attempts", Align::Right),
        ("not before", Align::Left),
        ("detail", Align::Left),
    ]);
    let now = jiff::Timestamp::now().as_millisecond();
    for file in files {
        let waits = file.not_before_ms > now;
        table.row([
            TransferRef::Outbound(file.id).to_string(),
            file.partner.clone(),
            file.file.to_string(),
            file.state.to_string(),
            file.source_identity.size.to_string(),
            file.attempts.to_string(),
            if waits { local_time(file.not_before_ms) } else { "-".to_owned() },
            file.detail.clone(),
        ]);
    }
    table.print();
}

pub fn history(context: &Context, args: &HistoryArgs) -> Result<Exit, Failure> {
    let filter = HistoryFilter { partner: args.partner.as_ref().map(ToString::to_string), limit: args.limit };
    let entries = match open_catalog(context)? {
        Some(catalog) => catalog.history(&filter)?,
        None => Vec::new(),
    };
    if context.is_json() {
        output::json(&entries);
    } else if entries.is_empty() {
        context.note("there are no transfers");
    } else {
        print_history(&entries);
    }
    Ok(Exit::Done)
}

fn print_history(entries: &[HistoryEntry]) {
    let mut table = Table::new(&[
        ("transfer", Align::Left),
        ("partner", Align::Left),
        ("dataset name", Align::Left),
        ("state", Align::Left),
        ("octets", Align::Right),
        ("changed", Align::Left),
        ("detail", Align::Left),
    ]);
    for entry in entries {
        table.row([
            entry.transfer.to_string(),
            entry.partner.clone(),
            dataset_name(entry),
            entry.state.clone(),
            entry.octets.to_string(),
            local_time(entry.changed_ms),
            entry.detail.clone(),
        ]);
    }
    table.print();
}

pub fn show(context: &Context, transfer: TransferRef) -> Result<Exit, Failure> {
    let found = match open_catalog(context)? {
        Some(catalog) => catalog.show(transfer)?,
        None => None,
    };
    let Some(detail) = found else { return Err(CatalogError::NoSuchTransfer { transfer }.into()) };
    if context.is_json() {
        output::json(&detail);
    } else {
        print_detail(&detail);
    }
    Ok(Exit::Done)
}

fn print_detail(detail: &TransferDetail) {
    let entry = &detail.entry;
    let direction = match entry.transfer {
        TransferRef::Outbound(_) => "to",
        TransferRef::Inbound(_) => "from",
    };
    for (key, value) in [
        ("transfer", format!("{} {direction} {}", entry.transfer, entry.partner)),
        ("dataset name", dataset_name(entry)),
        ("originator", entry.originator.clone()),
        ("destination", entry.destination.clone()),
        ("file", entry.path.clone().unwrap_or_else(|| "not there yet".to_owned())),
        ("octets", entry.octets.to_string()),
        ("state", entry.state.clone()),
        ("detail", entry.detail.clone()),
        ("since", local_time(entry.created_ms)),
        ("changed", local_time(entry.changed_ms)),
    ] {
        if !value.is_empty() {
            output::line(&format!("{key:<14} {}", output::clean(&value)));
        }
    }
    for receipt in &detail.receipts {
        let when = local_time(receipt.sent_ms.unwrap_or(receipt.at_ms));
        output::line(&format!(
            "{:<14} {} {}, {when}",
            "receipt",
            output::clean(&receipt.what),
            receipt.state
        ));
    }
    for event in &detail.events {
        output::line(&format!("{:<14} {}", local_time(event.at_ms), output::clean(&event.text)));
    }
}

fn dataset_name(entry: &HistoryEntry) -> String {
    format!("{} {} {}", entry.dataset_name, entry.date, entry.time)
}
