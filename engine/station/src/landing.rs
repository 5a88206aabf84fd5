//! From `.part` to the inbox.
//!
//! ```text
//! content synced ┐
//! sidecar synced ├─▶ rename sidecar, rename content ─▶ sync folder ─▶ catalog: received, receipt owed ─▶ EFPA
//! catalog: landing ┘
//! ```
//!
//! The content is renamed only when everything before is durable. Whatever is found after a crash is therefore
//! clear: a `.part` was not finished (it goes on from its checkpoint), a file in the inbox was. If the folder cannot be
//! synced, the file is taken back out of the inbox before the peer learns that it must send it again.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use odile_catalog::{Inbound, InboundState, NewReceipt, ReceiptKind, TransferRef};
use odile_partner::Partner;
use odile_transfer::inbox_file_name;
use odile_uring::{SyntheticContent, SyntheticFile};
use odile_wire::VariableText;
use serde_json::json;

use crate::clock::now_ms;
use crate::error::StationError;
use crate::event::Event;
use crate::intake::Verdict;
use crate::shared::Shared;
use crate::spool::PartFile;
use crate::{arrival, receipts, services, slots};

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
        let (content, description, noted) = tokio::join!(
            part.finish(),
            self.write_sidecar(&sidecar),
            self.note_landing(in_folder(&folder, &name)),
        );
        content?;
        description?;
        noted?;
        loop {
            match self.rename(&from, &sidecar, &folder, &name).await {
                Ok(()) => break,
                Err(StationError::Uring(error)) if error.source.kind() == io::ErrorKind::AlreadyExists => {
                    copy += 1;
                    name = free_name(&folder, self.inbound, &mut copy);
                    self.note_landing(in_folder(&folder, &name)).await?;
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
        self.forget_checkpoints().await;
        Ok(folder.join(name))
    }

    /// What was compared with its content, and dropped, is received without a file.
    pub(crate) async fn check_off(&self, content: SyntheticContent) -> Result<PathBuf, NotLanded> {
        let path = SyntheticFile { content, octets: self.octets }.to_string();
        self.note_landing(path.clone()).await?;
        let mut inbound = self.inbound.clone();
        inbound.transmitted = self.verdict.transmitted.as_ref().map(services::stored_stream);
        received(self.shared, self.partner, inbound).await.map_err(NotLanded::Unnoted)?;
        self.forget_checkpoints().await;
        Ok(path.into())
    }

    /// They tell of nothing any more. If they cannot be removed, the next start does.
    async fn forget_checkpoints(&self) {
        let _ = slots::remove(&self.shared.home.spool(), arrival::stem(self.inbound)).await;
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

    async fn note_landing(&self, final_path: String) -> Result<(), StationError> {
        let id = self.inbound.id;
        let landing = odile_catalog::Landing {
            final_path,
            octets: self.octets,
            records: self.records,
            digest: None,
            transmitted: self.verdict.transmitted.as_ref().map(services::stored_stream),
            signer: services::signer(self.verdict),
        };
        self.shared.ledger.run(move |catalog| catalog.landing(id, &landing, now_ms())).await
    }
}

fn in_folder(folder: &Path, name: &str) -> String {
    folder.join(name).to_string_lossy().into_owned()
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
            // The station may have ended before the folder was synced.
            sync_inbox_of(&inbound)?;
            let receipt = match shared.configuration.partner(&inbound.partner) {
                Ok(partner) => receipts::made(shared, partner, &inbound, ReceiptKind::Positive),
                // A partner that was removed meanwhile: the debt remains.
                Err(_) => NewReceipt::positive(),
            };
            shared.ledger.run_blocking(move |catalog| catalog.received(id, &receipt, now_ms()))?;
            shared.tell(recovered(id));
        } else {
            remove_lone_sidecar(&inbound);
            keep_or_give_up(shared, &inbound)?;
        }
    }
    let receiving = shared.ledger.run_blocking(|catalog| catalog.inbound_in(InboundState::Receiving))?;
    for inbound in receiving {
        keep_or_give_up(shared, &inbound)?;
    }
    Ok(())
}

fn sync_inbox_of(inbound: &Inbound) -> Result<(), StationError> {
    let final_path = inbound.final_path.as_deref().map(Path::new);
    let Some(path) = final_path.filter(|path| !SyntheticFile::is_named_by(path)) else { return Ok(()) };
    let Some(folder) = path.parent() else { return Ok(()) };
    let synced = std::fs::File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(StationError::io("sync folder", folder))
}

/// The sidecar is renamed before its content. Alone, it would keep the name from the file when that comes again.
fn remove_lone_sidecar(inbound: &Inbound) {
    if let Some(path) = &inbound.final_path
        && !Path::new(path).exists()
    {
        // It need not be there; and if it stays, the file gets another name.
        let _ = std::fs::remove_file(format!("{path}.json"));
    }
}

/// A file that did not land: its partner goes on with it, if a checkpoint says where.
fn keep_or_give_up(shared: &Shared, inbound: &Inbound) -> Result<(), StationError> {
    let id = inbound.id;
    let transfer = TransferRef::Inbound(id);
    let safe_octets = arrival::Remains::of(&shared.home, inbound, None).safe_position();
    if safe_octets == 0 {
        let text = "the station ended while the file came; the partner sends it again";
        shared.ledger.run_blocking(move |catalog| catalog.failed_inbound(id, text, now_ms()))?;
        shared.tell(Event::ReceiveFailed { transfer, text: text.to_owned() });
        return Ok(());
    }
    let text = "the station ended while the file came";
    let is_noted = inbound.state == InboundState::Receiving
        && inbound.position_bytes == safe_octets
        && !inbound.detail.is_empty();
    if !is_noted {
        shared
            .ledger
            .run_blocking(move |catalog| catalog.interrupt_inbound(id, text, safe_octets, now_ms()))?;
        shared.tell(Event::Interrupted { transfer, text: text.to_owned(), safe_octets });
    }
    Ok(())
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
    let is_there = |path: &Path| SyntheticFile::is_named_by(path) || path.exists();
    inbound.final_path.as_ref().is_some_and(|path| is_there(Path::new(path))) && !part.exists()
}

fn recovered(id: i64) -> Event {
    let transfer = TransferRef::Inbound(id);
    Event::Recovered { text: format!("{transfer} had arrived, but was not noted; its receipt is owed now") }
}
