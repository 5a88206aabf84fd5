//! `odile queue`, `odile history`, `odile show`: read from the catalog, whether a station runs or not.

use odile_station::catalog::{
    Catalog, CatalogError, HistoryEntry, HistoryFilter, Outbound, OutboundState, Services, StoredReceipt,
    Transfer, TransferDetail, TransferRef, Verdict,
};
use odile_station::described;
use odile_station::receipts::{hash_algorithm, hash_name};
use serde::Serialize;

use super::open_catalog;
use super::receipt::hex;
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
        ("position", Align::Right),
        ("services", Align::Left),
        ("attempts", Align::Right),
        ("next attempt", Align::Left),
        ("detail", Align::Left),
    ]);
    let now = jiff::Timestamp::now().as_millisecond();
    for file in files {
        table.row([
            TransferRef::Outbound(file.id).to_string(),
            file.partner.clone(),
            file.file.to_string(),
            file.state.to_string(),
            file.source_identity.size.to_string(),
            position(file.position_bytes, file.total_bytes),
            services_in_words(file.services),
            file.attempts.to_string(),
            next_attempt(file.state, file.not_before_ms, now),
            detail(TransferRef::Outbound(file.id), file.state.as_str(), &file.detail),
        ]);
    }
    table.print();
}

/// `67108864 of 536870912 (12 %)`: octets of the transmitted stream; `-` before the first, the total where it is known.
fn position(position_bytes: u64, total_bytes: Option<u64>) -> String {
    match (position_bytes, total_bytes) {
        (0, _) => "-".to_owned(),
        (position, None | Some(0)) => position.to_string(),
        (position, Some(total)) => {
            let percent = u128::from(position) * 100 / u128::from(total);
            format!("{position} of {total} ({percent} %)")
        }
    }
}

/// When a file is tried, if it waits for that: `now` if it is due.
fn next_attempt(state: OutboundState, not_before_ms: i64, now_ms: i64) -> String {
    match state {
        OutboundState::Queued if not_before_ms > now_ms => local_time(not_before_ms),
        OutboundState::Queued => "now".to_owned(),
        OutboundState::Sending
        | OutboundState::Sent
        | OutboundState::Unproven
        | OutboundState::Delivered
        | OutboundState::Rejected
        | OutboundState::Refused
        | OutboundState::Failed
        | OutboundState::Cancelled
        | OutboundState::Held => "-".to_owned(),
    }
}

/// A line of the history, and the receipt that counts.
#[derive(Serialize)]
struct Entry {
    #[serde(flatten)]
    entry: HistoryEntry,
    /// `EERP, verified`: of the receipt that proves something, else of the latest.
    receipt: Option<String>,
}

pub fn history(context: &Context, args: &HistoryArgs) -> Result<Exit, Failure> {
    let filter = HistoryFilter { partner: args.partner.as_ref().map(ToString::to_string), limit: args.limit };
    let entries = match open_catalog(context)? {
        Some(catalog) => {
            let entries = catalog.history(&filter)?.into_iter();
            entries.map(|entry| with_receipt(&catalog, entry)).collect::<Result<Vec<_>, CatalogError>>()?
        }
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

fn with_receipt(catalog: &Catalog, entry: HistoryEntry) -> Result<Entry, CatalogError> {
    let receipts = match entry.transfer {
        TransferRef::Outbound(id) => catalog.receipts_arrived(id)?,
        TransferRef::Inbound(id) => catalog.receipts_given(id)?,
    };
    let told = |receipt: &StoredReceipt| format!("{}, {}", receipt.kind.mnemonic(), receipt.proof());
    let is_proof = |receipt: &&StoredReceipt| receipt.verdict == Some(Verdict::Verified);
    let counts = receipts.iter().find(is_proof).or(receipts.last());
    Ok(Entry { receipt: counts.map(told), entry })
}

fn print_history(entries: &[Entry]) {
    let mut table = Table::new(&[
        ("transfer", Align::Left),
        ("partner", Align::Left),
        ("dataset name", Align::Left),
        ("state", Align::Left),
        ("octets", Align::Right),
        ("services", Align::Left),
        ("receipt", Align::Left),
        ("changed", Align::Left),
        ("detail", Align::Left),
    ]);
    for Entry { entry, receipt } in entries {
        table.row([
            entry.transfer.to_string(),
            entry.partner.clone(),
            dataset_name(entry),
            entry.state.clone(),
            entry.octets.to_string(),
            services_in_words(entry.services),
            // Why a receipt is wrong stands in the detail.
            receipt.as_deref().map_or("-", |receipt| receipt.split(':').next().unwrap_or(receipt)).to_owned(),
            local_time(entry.changed_ms),
            detail(entry.transfer, &entry.state, &entry.detail),
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
    let resumes = odile_station::resumption(&context.home, &detail.file);
    if context.is_json() {
        output::json(&Shown { detail, resumes });
    } else {
        print_detail(&detail, resumes);
    }
    Ok(Exit::Done)
}

/// A transfer, and what only the files of the home tell of it.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    detail: TransferDetail,
    /// Where it goes on after it was cut off, in a sentence.
    resumes: Option<String>,
}

fn print_detail(detail: &TransferDetail, resumes: Option<String>) {
    let entry = &detail.entry;
    let direction = match entry.transfer {
        TransferRef::Outbound(_) => "to",
        TransferRef::Inbound(_) => "from",
    };
    let (transmitted, signer) = match &detail.file {
        Transfer::Outbound(file) => (&file.transmitted, None),
        Transfer::Inbound(file) => (&file.transmitted, file.signer.as_ref()),
    };
    let transmitted = transmitted.as_ref().map(|transmitted| {
        let algorithm = hash_algorithm(&entry.services, &transmitted.hash).map_or("hash", hash_name);
        match transmitted.hash.as_slice() {
            [] => format!("{} octets", transmitted.octets),
            hash => format!("{} octets, {algorithm} {}", transmitted.octets, hex(hash)),
        }
    });
    for (key, value) in [
        ("transfer", format!("{} {direction} {}", entry.transfer, entry.partner)),
        ("dataset name", dataset_name(entry)),
        ("originator", entry.originator.clone()),
        ("destination", entry.destination.clone()),
        ("file", entry.path.clone().unwrap_or_else(|| "not there yet".to_owned())),
        ("octets", entry.octets.to_string()),
        ("services", services_in_words(entry.services)),
        ("transmitted", transmitted.unwrap_or_default()),
        ("signed by", signer.cloned().unwrap_or_default()),
        ("state", entry.state.clone()),
        ("detail", entry.detail.clone()),
        ("resumes", resumes.unwrap_or_default()),
        ("since", local_time(entry.created_ms)),
        ("changed", local_time(entry.changed_ms)),
    ] {
        if !value.is_empty() {
            output::line(&format!("{key:<14} {}", output::clean(&value)));
        }
    }
    for receipt in &detail.receipts {
        let when = local_time(receipt.sent_ms.unwrap_or(receipt.at_ms));
        let text = format!("{} {}, {}, {when}", receipt.what, receipt.state, receipt.proof);
        output::line(&format!("{:<14} {}", "receipt", output::clean(&text)));
    }
    if entry.state == OutboundState::Unproven.as_str() {
        output::line(&format!("{:<14} {}", "what to do", unproven_hint(entry.transfer)));
    }
    for event in &detail.events {
        output::line(&format!("{:<14} {}", local_time(event.at_ms), output::clean(&event.text)));
    }
}

fn dataset_name(entry: &HistoryEntry) -> String {
    format!("{} {} {}", entry.dataset_name, entry.date, entry.time)
}

/// `signed, encrypted (suite 04), signed receipt`.
fn services_in_words(services: Services) -> String {
    let asked = if services.signed_receipt { ", signed receipt" } else { "" };
    format!("{}{asked}", described(services))
}

/// Why a transfer stands where it stands; where that is no place to stay, what helps.
fn detail(transfer: TransferRef, state: &str, detail: &str) -> String {
    if state == OutboundState::Unproven.as_str() {
        return format!("{detail}; {}", unproven_hint(transfer));
    }
    detail.to_owned()
}

/// What to do about a file whose receipt proves nothing.
pub fn unproven_hint(transfer: TransferRef) -> String {
    format!(
        "its receipt proves nothing: `odile receipt verify {transfer}` says what is missing, and what to do"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_told_of_the_total_where_it_is_known() {
        for (position_bytes, total_bytes, told) in [
            (0, None, "-"),
            (0, Some(0), "-"),
            (0, Some(536_870_912), "-"),
            (1, Some(0), "1"),
            (67_108_864, None, "67108864"),
            (1, Some(536_870_912), "1 of 536870912 (0 %)"),
            (67_108_864, Some(536_870_912), "67108864 of 536870912 (12 %)"),
            (536_870_911, Some(536_870_912), "536870911 of 536870912 (99 %)"),
            (536_870_912, Some(536_870_912), "536870912 of 536870912 (100 %)"),
            (u64::MAX, Some(u64::MAX), "18446744073709551615 of 18446744073709551615 (100 %)"),
        ] {
            assert_eq!(position(position_bytes, total_bytes), told);
        }
    }

    #[test]
    fn only_queued_files_wait_for_an_attempt() {
        for &state in OutboundState::ALL {
            let told = [999, 1000, 1001].map(|not_before_ms| next_attempt(state, not_before_ms, 1000));
            if state == OutboundState::Queued {
                assert_eq!(told, ["now".to_owned(), "now".to_owned(), local_time(1001)]);
            } else {
                assert_eq!(told, ["-", "-", "-"], "{state}");
            }
        }
    }
}
