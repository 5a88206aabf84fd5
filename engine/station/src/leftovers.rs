//! What lies in the spool and is needed no more: found when the station starts, and every day.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::{fs, io};

use odile_catalog::{Catalog, InboundState, TransferRef};

use crate::clock::now_ms;
use crate::error::StationError;
use crate::event::Event;
use crate::shared::Shared;
use crate::{arrival, seal_store, slots};

/// The task that looks after them.
pub(crate) async fn watch(shared: Arc<Shared>) {
    let mut stop = shared.stop.clone();
    loop {
        if let Err(error) = clear(&shared).await {
            shared.tell(Event::Trouble { text: format!("the spool cannot be cleared: {error}") });
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

async fn clear(shared: &Arc<Shared>) -> Result<(), StationError> {
    give_up_abandoned(shared).await?;
    let home = shared.home.clone();
    // On the thread of the catalog: no file is begun between the look and the removal.
    let work = move |catalog: &mut Catalog| {
        let mut inbound = catalog.inbound_in(InboundState::Receiving)?;
        inbound.extend(catalog.inbound_in(InboundState::Landing)?);
        let stems = inbound.iter().map(|inbound| arrival::stem(inbound).to_owned()).collect();
        let outbound = catalog.outbound_unsettled()?.into_iter().collect();
        Ok(remove_unwanted(&home.spool(), &stems, &outbound))
    };
    let unwanted = shared.ledger.run(work).await?.map_err(StationError::io("clear", shared.home.spool()))?;
    if unwanted.removed == 0 && unwanted.of_settled.is_empty() {
        return Ok(());
    }
    for path in unwanted.of_settled {
        odile_uring::destroy(&path).await?;
    }
    Ok(odile_uring::sync_directory(&shared.home.spool()).await?)
}

/// What nobody needs any more.
#[derive(Default)]
struct Unwanted {
    removed: u64,
    /// What was kept of files on their way out that are settled: still there.
    of_settled: Vec<PathBuf>,
}

/// Removes what no file on its way in needs.
fn remove_unwanted(spool: &Path, stems: &HashSet<String>, outbound: &HashSet<i64>) -> io::Result<Unwanted> {
    let mut unwanted = Unwanted::default();
    for entry in fs::read_dir(spool)? {
        let entry = entry?;
        // What is not text is not ours.
        let Ok(name) = entry.file_name().into_string() else { continue };
        if let Some(id) = seal_store::outbound_of(&name) {
            if !outbound.contains(&id) {
                unwanted.of_settled.push(entry.path());
            }
            continue;
        }
        let stem = name.strip_suffix(".part").or_else(|| name.strip_suffix(".json"));
        if stem.or_else(|| slots::stem_of(&name)).is_some_and(|stem| !stems.contains(stem)) {
            match fs::remove_file(entry.path()) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => unwanted.removed += 1,
            }
        }
    }
    Ok(unwanted)
}

/// Files whose partner has not come back for them.
async fn give_up_abandoned(shared: &Arc<Shared>) -> Result<(), StationError> {
    let receiving = shared.ledger.run(|catalog| catalog.inbound_in(InboundState::Receiving)).await?;
    for inbound in receiving {
        let transfer = TransferRef::Inbound(inbound.id);
        let waits_ms = now_ms().saturating_sub(inbound.changed_ms);
        if waits_ms < ABANDONED_MS {
            continue;
        }
        let days = waits_ms / DAY_MS;
        let text =
            format!("the partner has not gone on with it for {days} days: what was here of it is removed");
        let (id, detail, board) = (inbound.id, text.clone(), Arc::clone(&shared.board));
        // On the thread of the catalog, where offers look at the board as well.
        let give_up = move |catalog: &mut Catalog| {
            let waits = board.of(transfer).is_none();
            if waits {
                catalog.failed_inbound(id, &detail, now_ms())?;
            }
            Ok(waits)
        };
        if shared.ledger.run(give_up).await? {
            shared.tell(Event::ReceiveFailed { transfer, text });
        }
    }
    Ok(())
}

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// Longer than any repair takes, and holidays.
const ABANDONED_MS: i64 = 30 * DAY_MS;
const EVERY: Duration = Duration::from_secs(24 * 60 * 60);
