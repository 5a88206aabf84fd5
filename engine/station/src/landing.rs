//! From `.part` to the inbox.
//!
//! ```text
//! content synced ┐
//! sidecar synced ├─▶ rename sidecar, rename content ─▶ sync folder ─▶ catalog: received, receipt owed ─▶ EFPA
//! catalog: landing ┘
//! ```
//!
//! The content is renamed only when everything before is durable. Whatever is found after a crash is therefore
//! clear: a `.part` was not finished (it is received again), a file in the inbox was. If the folder cannot be
//! synced, the file is taken back out of the inbox before the peer learns that it must send it again.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use odile_catalog::{Inbound, InboundState, NewReceipt, ReceiptKind, TransferRef};
use odile_partner::Partner;
use odile_transfer::inbox_file_name;
use odile_wire::VariableText;
use serde_json::json;

use crate::clock::now_ms;
use crate::error::StationError;
use crate::event::Event;
use crate::intake::Verdict;
use crate::shared::Shared;
use crate::spool::PartFile;
use crate::{receipts, services};

/// A file whose last octet has come.
pub(crate) struct Landing<'a> {
    pub(crate) shared: &'a Arc<Shared>,
    pub(crate) partner: &'a Arc<Partner>,
    pub(crate) inbound: &'a Inbound,
    pub(crate) octets: u64,
    pub(crate) records: u64,
    pub(crate) verdict: &'a Verdict,
}

/// Why a file has not landed.
pub(crate) enum NotLanded {
    /// Nothing of it is in the inbox: it may be sent again.
    Nothing(StationError),
    /// It is in the inbox, but the catalog could not note so: the peer must be told neither yes nor no. It stays
    /// `Landing` until [`settle`] is asked.
    Unnoted(StationError),
}

impl<E: Into<StationError>> From<E> for NotLanded {
    fn from(error: E) -> Self {
        Self::Nothing(error.into())
    }
}

impl Landing<'_> {
    /// Makes the file durable and visible. Gives its path.
    pub(crate) async fn land(&self, part: PartFile) -> Result<PathBuf, NotLanded> {
        let folder = self.shared.home.inbox(&self.partner.name);
        let from = self.shared.home.spool().join(&self.inbound.part_name);
        let mut copy = 0;
        let mut name = free_name(&folder, self.inbound, &mut copy);
        let sidecar = from.with_extension("json");
        let (content, description, noted) =
            tokio::join!(part.finish(), self.write_sidecar(&sidecar), self.note_landing(&folder, &name),);
        content?;
        description?;
        noted?;
        loop {
            match self.rename(&from, &sidecar, &folder, &name).await {
                Ok(()) => break,
                Err(StationError::Uring(error)) if error.source.kind() == io::ErrorKind::AlreadyExists => {
                    copy += 1;
                    name = free_name(&folder, self.inbound, &mut copy);
                    self.note_landing(&folder, &name).await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        if let Err(error) = odile_uring::sync_directory(&folder).await {
            self.take_back(&folder, &name).await;
            return Err(error.into());
        }
        let mut inbound = self.inbound.clone();
        inbound.transmitted = self.verdict.transmitted.as_ref().map(services::stored_stream);
        received(self.shared, self.partner, inbound).await.map_err(NotLanded::Unnoted)?;
        Ok(folder.join(name))
    }

    /// Removes from the inbox what was just put there.
    async fn take_back(&self, folder: &Path, name: &str) {
        for path in [folder.join(name), folder.join(format!("{name}.json"))] {
            if let Err(error) = odile_uring::remove(&path).await
                && error.source.kind() != io::ErrorKind::NotFound
            {
                let text = format!("remove {} yourself, it will come again: {error}", path.display());
                self.shared.tell(Event::Trouble { text });
            }
        }
    }

    async fn rename(
        &self,
        from: &Path,
        sidecar: &Path,
        folder: &Path,
        name: &str,
    ) -> Result<(), StationError> {
        let beside = folder.join(format!("{name}.json"));
        if sidecar.exists() {
            odile_uring::rename(sidecar, &beside).await?;
        }
        match odile_uring::rename(from, &folder.join(name)).await {
            Ok(()) => Ok(()),
            Err(error) => {
                // The next name gets the sidecar.
                if odile_uring::rename(&beside, sidecar).await.is_err() {
                    let _ = odile_uring::remove(&beside).await;
                }
                Err(error.into())
            }
        }
    }

    async fn write_sidecar(&self, path: &Path) -> Result<(), StationError> {
        let text = sidecar(self.inbound, self.octets, self.records, self.verdict).to_string();
        let file = odile_uring::File::create(path).await?;
        file.write_small(text.into_bytes()).await?;
        Ok(file.sync_data().await?)
    }

    async fn note_landing(&self, folder: &Path, name: &str) -> Result<(), StationError> {
        let id = self.inbound.id;
        let landing = odile_catalog::Landing {
            final_path: folder.join(name).to_string_lossy().into_owned(),
            octets: self.octets,
            records: self.records,
            digest: None,
            transmitted: self.verdict.transmitted.as_ref().map(services::stored_stream),
            signer: services::signer(self.verdict),
        };
        self.shared.ledger.run(move |catalog| catalog.landing(id, &landing, now_ms())).await
    }
}

async fn received(
    shared: &Arc<Shared>,
    partner: &Arc<Partner>,
    inbound: Inbound,
) -> Result<(), StationError> {
    let (of_receipt, partner) = (Arc::clone(shared), Arc::clone(partner));
    let note = move |catalog: &mut odile_catalog::Catalog| {
        // Signed here: an RSA signature would hold up the shard.
        let receipt = receipts::made(&of_receipt, &partner, &inbound, ReceiptKind::Positive);
        catalog.received(inbound.id, &receipt, now_ms())
    };
    shared.ledger.run(note).await
}

/// The first name that is not taken, counting copies up.
fn free_name(folder: &Path, inbound: &Inbound, copy: &mut u32) -> String {
    loop {
        let name = inbox_file_name(&inbound.file, *copy);
        if !folder.join(&name).exists() {
            return name;
        }
        *copy += 1;
    }
}

/// What is kept beside a received file.
fn sidecar(inbound: &Inbound, octets: u64, records: u64, verdict: &Verdict) -> serde_json::Value {
    let text = |text: &VariableText| text.to_string();
    json!({
        "transfer": TransferRef::Inbound(inbound.id).to_string(),
        "partner": inbound.partner,
        "dataset_name": inbound.file.dataset_name.to_string(),
        "date": inbound.file.date.to_string(),
        "time": inbound.file.time.to_string(),
        "originator": inbound.file.originator.to_string(),
        "destination": inbound.file.destination.to_string(),
        "user": inbound.user.to_string(),
        "format": char::from(inbound.format.letter()).to_string(),
        "record_size": inbound.record_size,
        "announced_blocks": inbound.announced_blocks,
        "description": text(&inbound.description),
        "octets": octets,
        "records": records,
        "services": services::described(inbound.services),
        "signer": services::signer(verdict),
        "received_ms": now_ms(),
    })
}

/// After a start: brings every file that was on its way in to a clear state.
pub(crate) fn recover(shared: &Shared) -> Result<(), StationError> {
    let landing = shared.ledger.run_blocking(|catalog| catalog.inbound_in(InboundState::Landing))?;
    for inbound in landing {
        let id = inbound.id;
        if has_landed(shared, &inbound) {
            let receipt = match shared.configuration.partner(&inbound.partner) {
                Ok(partner) => receipts::made(shared, partner, &inbound, ReceiptKind::Positive),
                // A partner that was removed meanwhile: the debt remains.
                Err(_) => NewReceipt::positive(),
            };
            shared.ledger.run_blocking(move |catalog| catalog.received(id, &receipt, now_ms()))?;
            shared.tell(recovered(id));
        } else {
            give_up(shared, id)?;
        }
    }
    let receiving = shared.ledger.run_blocking(|catalog| catalog.inbound_in(InboundState::Receiving))?;
    for inbound in receiving {
        give_up(shared, inbound.id)?;
    }
    remove_leftovers(shared)
}

/// While the station runs: a file that its partner offers again, although it had landed and only the catalog does
/// not know. True if it is received now.
pub(crate) async fn settle(shared: &Arc<Shared>, inbound: &Inbound) -> Result<bool, StationError> {
    if !has_landed(shared, inbound) {
        return Ok(false);
    }
    received(shared, shared.configuration.partner(&inbound.partner)?, inbound.clone()).await?;
    shared.tell(recovered(inbound.id));
    Ok(true)
}

fn has_landed(shared: &Shared, inbound: &Inbound) -> bool {
    let part = shared.home.spool().join(&inbound.part_name);
    inbound.final_path.as_ref().is_some_and(|path| Path::new(path).exists()) && !part.exists()
}

fn recovered(id: i64) -> Event {
    let transfer = TransferRef::Inbound(id);
    Event::Recovered { text: format!("{transfer} had arrived, but was not noted; its receipt is owed now") }
}

fn give_up(shared: &Shared, id: i64) -> Result<(), StationError> {
    let text = "the station was stopped while the file came; the partner sends it again";
    shared.ledger.run_blocking(move |catalog| catalog.failed_inbound(id, text, now_ms()))?;
    shared.tell(Event::ReceiveFailed { transfer: TransferRef::Inbound(id), text: text.to_owned() });
    Ok(())
}

/// Nothing in the spool outlives a start: what was finished is in the inbox.
fn remove_leftovers(shared: &Shared) -> Result<(), StationError> {
    let spool = shared.home.spool();
    for entry in std::fs::read_dir(&spool).map_err(StationError::io("read folder", &spool))? {
        let path = entry.map_err(StationError::io("read folder", &spool))?.path();
        let name = path.file_name().unwrap_or_default().as_bytes();
        if name.ends_with(b".part") || name.ends_with(b".json") {
            std::fs::remove_file(&path).map_err(StationError::io("remove", &path))?;
        }
    }
    Ok(())
}
