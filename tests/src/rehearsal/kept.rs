//! What the stations keep of a file that was cut, read and moved while they are stopped.

use std::fs;
use std::path::{Path, PathBuf};

use odile_station::Home;
use odile_station::catalog::{Catalog, OutboundChange};
use odile_transfer::rehearsal::Shift;
use odile_transfer::{ArrivalCheckpoint, Departures, Slot};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::failed;
use crate::crash::Failure;

/// As the sender stores it: checkpoints, reach in octets, the restart position that was answered last.
type Departing = (Departures, u64, u64);
/// As the receiver stores it: inode and device of the `.part` file, the checkpoint.
type Arriving = (Option<(u64, u64)>, ArrivalCheckpoint);

/// How far a side has come, durably.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    /// Octets of the source, or of the content.
    pub content: u64,
    /// Octets of the transmitted file.
    pub transmitted: u64,
}

/// The sender's newest checkpoint.
pub fn departed(home: &Home) -> Standing {
    let slots = slots::<Departing>(home);
    let newest =
        slots.iter().max_by_key(|(_, slot)| slot.sequence).and_then(|(_, slot)| slot.body.0.newest());
    newest.map_or_else(Standing::default, |newest| Standing {
        content: newest.source_position(),
        transmitted: newest.transmitted_position(),
    })
}

/// The sender's checkpoint that it goes on from at a restart position of blocks.
pub fn departs_from(home: &Home, position: u64) -> u64 {
    let unit = odile_transfer::RestartUnit::Blocks;
    let slots = slots::<Departing>(home);
    let newest = slots.iter().max_by_key(|(_, slot)| slot.sequence);
    let checkpoint = newest.and_then(|(_, slot)| slot.body.0.at_or_below(unit, position));
    checkpoint.map_or(0, odile_transfer::DepartureCheckpoint::source_position)
}

/// The receiver's newest checkpoint.
pub fn arrived(home: &Home) -> Standing {
    let slots = slots::<Arriving>(home);
    let newest = slots.iter().max_by_key(|(_, slot)| slot.sequence).map(|(_, slot)| slot.body.1.place);
    newest.map_or_else(Standing::default, |place| Standing {
        content: place.stored,
        transmitted: place.received,
    })
}

/// Moves everything that the sender keeps.
pub fn move_departure(home: &Home, shift: Shift, is_sealed: bool) -> Result<(), Failure> {
    let measured = if is_sealed { shift.transmitted } else { shift.source };
    rewrite(home, |(departures, reach, answered): Departing| {
        let departures = departures.advanced(shift).map_err(|error| failed("the sender's", error))?;
        Ok((departures, reach + measured, if answered > 0 { answered + shift.blocks() } else { 0 }))
    })?;
    let mut catalog = catalog(home)?;
    let known = catalog.outbound(1).map_err(|error| failed("S1", error))?;
    let position = known.map_or(0, |known| known.position_bytes);
    let change = OutboundChange::default().position_bytes(position + shift.transmitted);
    catalog.set_outbound(1, &change, 0).map_err(|error| failed("S1", error))
}

/// Moves everything that the receiver keeps.
pub fn move_arrival(home: &Home, shift: Shift) -> Result<(), Failure> {
    rewrite(home, |(part, checkpoint): Arriving| {
        Ok((part, checkpoint.advanced(shift).map_err(|error| failed("the receiver's", error))?))
    })?;
    let position = arrived(home).transmitted;
    catalog(home)?.inbound_position(1, position, 0).map_err(|error| failed("R1", error))
}

/// The octets of the transmitted file, as the sender's and the receiver's catalog have them at the end.
pub fn transmitted(sender: &Home, receiver: &Home) -> Result<[Option<u64>; 2], Failure> {
    let sent = catalog(sender)?.outbound(1).map_err(|error| failed("S1", error))?;
    let received = catalog(receiver)?.inbound(1).map_err(|error| failed("R1", error))?;
    Ok([sent.and_then(|sent| sent.transmitted), received.and_then(|received| received.transmitted)]
        .map(|transmitted| transmitted.map(|transmitted| transmitted.octets)))
}

fn catalog(home: &Home) -> Result<Catalog, Failure> {
    Catalog::open(&home.catalog()).map_err(|error| failed("the catalog", error))
}

/// Those of the one file that there is. One that is just being written may be missing.
fn slots<T: DeserializeOwned>(home: &Home) -> Vec<(PathBuf, Slot<T>)> {
    let entries = fs::read_dir(home.spool()).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path()).filter(|path| is_slot(path));
    paths.filter_map(|path| Some((path.clone(), Slot::from_bytes(&fs::read(&path).ok()?).ok()?))).collect()
}

fn is_slot(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.ends_with(".checkpoint-0") || name.ends_with(".checkpoint-1")
}

fn rewrite<T: DeserializeOwned + Serialize>(
    home: &Home,
    moved: impl Fn(T) -> Result<T, Failure>,
) -> Result<(), Failure> {
    let slots = slots::<T>(home);
    if slots.is_empty() {
        return Err(Failure("there is no checkpoint to move".to_owned()));
    }
    for (path, Slot { subject, sequence, body }) in slots {
        let slot = Slot { subject, sequence, body: moved(body)? };
        let octets = slot.to_bytes().map_err(|error| failed("a checkpoint", error))?;
        fs::write(&path, octets).map_err(|error| failed(&path.display().to_string(), error))?;
    }
    Ok(())
}
