//! Where a file on its way in can go on: what its checkpoints and its `.part` file say together.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use odile_catalog::Inbound;
use odile_envelope::Services;
use odile_transfer::RestartUnit;
use odile_wire::command::FileFormat;
use odile_wire::data::Records;

use crate::home::Home;
use crate::services;
use crate::slots::{Numbered, Slots, Subject};
use crate::spool::StoredArrival;

/// What is left of a file whose reception was cut off.
#[derive(Debug)]
pub(crate) struct Remains {
    /// Checkpoints that hold, the newest first.
    usable: Vec<Numbered<StoredArrival>>,
    /// Why others do not.
    pub(crate) refused: Vec<String>,
}

impl Remains {
    /// Looks at what there is. May wait for the disk. `wants_part`: whether there must be a `.part` file, if that is
    /// known.
    pub(crate) fn of(home: &Home, inbound: &Inbound, wants_part: Option<bool>) -> Self {
        let mut slots = slots(home, inbound);
        let found = slots.read::<StoredArrival>();
        let (mut usable, mut refused) = (Vec::new(), found.refused);
        let part = home.spool().join(&inbound.part_name);
        for numbered in found.usable {
            if wants_part.is_some_and(|wants_part| numbered.body.part.is_some() != wants_part) {
                refused.push("content is kept otherwise than before (flag --target)".to_owned());
                continue;
            }
            match holds(&part, &numbered.body) {
                Ok(()) => usable.push(numbered),
                Err(text) => refused.push(text),
            }
        }
        Self { usable, refused }
    }

    /// Where it goes on.
    pub(crate) fn newest(&self) -> Option<&Numbered<StoredArrival>> {
        self.usable.first()
    }

    /// Octets of the transmitted file that are safe.
    pub(crate) fn safe_position(&self) -> u64 {
        self.usable.first().map_or(0, |stored| stored.body.checkpoint.place.received)
    }
}

/// The checkpoints of a file on its way in. What is announced otherwise than before is another subject.
pub(crate) fn slots(home: &Home, inbound: &Inbound) -> Slots {
    let Inbound { id, record_size, announced_blocks, services, .. } = inbound;
    let subject = Subject::of(&[
        b"arrival",
        &id.to_be_bytes(),
        inbound.partner.as_bytes(),
        inbound.file.to_string().as_bytes(),
        &[inbound.format.letter(), services.security, services.suite, services.compression],
        &[u8::from(services.signed_receipt)],
        &record_size.to_be_bytes(),
        &announced_blocks.to_be_bytes(),
    ]);
    Slots::new(&home.spool(), stem(inbound), subject)
}

/// What the names of all its files in the spool begin with.
pub(crate) fn stem(inbound: &Inbound) -> &str {
    inbound.part_name.strip_suffix(".part").unwrap_or(&inbound.part_name)
}

/// What its restart positions count.
pub(crate) fn unit(inbound: &Inbound) -> RestartUnit {
    let is_sealed = services::layers(inbound.services) != Services::NONE;
    RestartUnit::of(records(inbound.format, inbound.record_size), is_sealed)
}

/// Records of the file itself.
pub(crate) fn records(format: FileFormat, record_size: u32) -> Records {
    match format {
        FileFormat::Fixed => Records::Fixed { size: record_size },
        FileFormat::Variable => Records::Variable,
        _ => Records::None,
    }
}

/// Whether the `.part` file is still what the checkpoint tells of; if not, a sentence.
fn holds(part: &Path, stored: &StoredArrival) -> Result<(), String> {
    let Some(known) = stored.part else { return Ok(()) };
    let shown = part.file_name().unwrap_or_default().to_string_lossy();
    let metadata = match fs::symlink_metadata(part) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(format!("{shown} is gone")),
        found => found.map_err(|error| format!("{shown} cannot be looked up: {error}"))?,
    };
    let stored = stored.checkpoint.place.stored;
    if !metadata.is_file() || (metadata.ino(), metadata.dev()) != known {
        Err(format!("{shown} is another file than its checkpoint tells of"))
    } else if metadata.len() < stored {
        Err(format!("{shown} has {} octets, its checkpoint tells of {stored}", metadata.len()))
    } else {
        Ok(())
    }
}
