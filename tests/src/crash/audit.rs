//! What must hold once a file is delivered: it is there, once, as it was; its receipt proves it; nothing else is left.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use odile_station::partner::PartnerName;
use serde_json::Value;

use super::Failure;
use super::mode::Mode;
use super::process::Process;
use super::sample;
use super::stage::Stage;
use super::trial::{RECEIVED, inbox};

/// Looks at both stations while they run, stops them, and looks again.
///
/// # Errors
///
/// The first thing that is not as it must be.
pub fn check(stage: &mut Stage, file: &Path, mode: &Mode, transfer: &str) -> Result<(), Failure> {
    // What the stations remove, they may remove a moment later.
    let deadline = Instant::now() + SPOOL_LIMIT;
    while !(stage.sender.spool().is_empty() && stage.receiver.spool().is_empty()) && Instant::now() < deadline
    {
        thread::sleep(LOOK_EVERY);
    }
    stage.sender.stop()?;
    stage.receiver.stop()?;
    for station in [&stage.sender, &stage.receiver] {
        let left = station.spool();
        if !left.is_empty() {
            return Err(Failure(format!("the spool of the {} still has {}", station.name, left.join(", "))));
        }
    }
    content(stage, file)?;
    let proof = if mode.signed_receipt { "EERP, verified" } else { "EERP, not asked" };
    only_transfer(&stage.sender, transfer, "delivered", |receipt| receipt == proof)?;
    only_transfer(&stage.receiver, RECEIVED, "received", |receipt| receipt.starts_with("EERP"))?;
    if mode.signed_receipt {
        let verified = stage.sender.run_json(&["receipt", "verify", transfer])?;
        if verified["proven"] != true {
            return Err(Failure(format!("the receipt does not hold: {verified}")));
        }
    }
    Ok(())
}

/// One file is in the inbox, the same octet for octet.
fn content(stage: &Stage, file: &Path) -> Result<(), Failure> {
    let sender: PartnerName = stage.sender.name.parse().map_err(|error| Failure::of(&"sender", error))?;
    let there = inbox(&stage.receiver, &sender);
    let [name] = there.as_slice() else {
        return Err(Failure(format!("in the inbox are {there:?}, and not one file")));
    };
    let path = stage.receiver.home.inbox(&sender).join(name);
    match sample::difference(file, &path).map_err(|error| Failure::of(&path.display(), error))? {
        None => Ok(()),
        Some(octet) => Err(Failure(format!("{name} differs from what was sent, from octet {octet} on"))),
    }
}

/// The catalog knows of one file, in this state, with a receipt as it must be.
fn only_transfer(
    station: &Process,
    transfer: &str,
    state: &str,
    is_right: impl Fn(&str) -> bool,
) -> Result<(), Failure> {
    let history = station.run_json(&["history"])?;
    let entries = history.as_array().map(Vec::as_slice).unwrap_or_default();
    if let [entry] = entries
        && entry["transfer"] == transfer
        && entry["state"] == state
        && entry["receipt"].as_str().is_some_and(is_right)
    {
        return Ok(());
    }
    let wanted = format!("one file, {transfer}, {state}, with the right receipt");
    let there: Vec<&Value> = entries.iter().collect();
    Err(Failure(format!("the history of the {} is not {wanted}: {there:?}", station.name)))
}

const SPOOL_LIMIT: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(20);
