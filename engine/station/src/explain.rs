//! Where a transfer will go on, and why there: what `odile show` tells. Read from the home's files, whether a station
//! runs or not.

use odile_catalog::{Inbound, InboundState, Outbound, OutboundState, Transfer};
use odile_transfer::{ArrivalCheckpoint, RestartUnit};
use odile_wire::BLOCK_BYTES;

use crate::home::Home;
use crate::seal_store::{self, StoredDepartures};
use crate::{arrival, services};

/// Where a transfer that is not finished goes on when its partners meet again, in a sentence; none for others. May wait
/// for the disk.
pub fn resumption(home: &Home, transfer: &Transfer) -> Option<String> {
    match transfer {
        Transfer::Outbound(outbound) => departure(home, outbound),
        Transfer::Inbound(inbound) => arrival(home, inbound),
    }
}

fn departure(home: &Home, outbound: &Outbound) -> Option<String> {
    if !matches!(outbound.state, OutboundState::Queued | OutboundState::Sending | OutboundState::Held) {
        return None;
    }
    if outbound.attempts == 0 {
        return None;
    }
    let is_sealed = services::layers(outbound.services) != odile_envelope::Services::NONE;
    let plan = match seal_store::raw_plan(home, outbound.id) {
        Ok(plan) if plan.is_some() || !is_sealed => plan,
        Ok(_) => return Some("from the start: nothing was kept of the attempt before".to_owned()),
        Err(error) => return Some(format!("from the start: its seal plan is of no use: {error}")),
    };
    let found = seal_store::slots(home, outbound, plan.as_deref()).read::<StoredDepartures>();
    let trouble = sentence(&found.refused);
    if plan.is_none() && found.usable.is_empty() && found.refused.is_empty() {
        return Some("from the start: nothing was kept of the attempt before".to_owned());
    }
    let Some(newest) = found.usable.first() else {
        return Some(match plan {
            Some(_) => format!("from the start: no checkpoint tells how much was sent{trouble}"),
            None => format!("from the start of the source, but where the partner is{trouble}"),
        });
    };
    let StoredDepartures { departures, reach, .. } = &newest.body;
    let unit = RestartUnit::of(arrival::records(outbound.format, outbound.record_size), is_sealed);
    let nearest = departures.newest().map_or_else(
        || "the start".to_owned(),
        |checkpoint| match unit {
            RestartUnit::Blocks => format!("octet {}", checkpoint.transmitted_position()),
            RestartUnit::Records => format!("record {}", checkpoint.records()),
        },
    );
    let most = outbound.total_bytes.map_or(*reach, |total| total.min(*reach));
    Some(format!(
        "where the partner is, at most octet {most}; newest of {} checkpoints: {nearest}{trouble}",
        departures.len()
    ))
}

fn arrival(home: &Home, inbound: &Inbound) -> Option<String> {
    if inbound.state != InboundState::Receiving {
        return None;
    }
    let remains = arrival::Remains::of(home, inbound, None);
    let trouble = sentence(&remains.refused);
    let Some(newest) = remains.newest() else {
        return Some(format!("from the start, when the partner offers it again{trouble}"));
    };
    let ArrivalCheckpoint { place, .. } = &newest.body.checkpoint;
    let unit = arrival::unit(inbound);
    let position = newest.body.checkpoint.restart_position(unit);
    let place = match unit {
        RestartUnit::Blocks => format!("octet {}", position.saturating_mul(BLOCK_BYTES)),
        RestartUnit::Records => format!("record {position}, octet {}", place.received),
    };
    Some(format!("from {place}, when the partner offers it again: the last checkpoint that is safe{trouble}"))
}

fn sentence(refused: &[String]) -> String {
    if refused.is_empty() { String::new() } else { format!(" ({})", refused.join("; ")) }
}
