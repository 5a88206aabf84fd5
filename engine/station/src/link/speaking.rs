//! We have the turn: receipts first, then files, then the turn goes back.

use std::sync::Arc;
use std::time::Instant;

use odile_catalog::{
    Catalog, CatalogError, NewReceipt, Outbound, OutboundState, Receipt, ReceiptKind, TransferRef, Verdict,
};
use odile_wire::command::{Capability, EndToEndResponse, NegativeEndResponse};
use odile_wire::{EndSessionReason, FileId, Level, UserData};

use super::Link;
use crate::clock::now_ms;
use crate::error::StationError;
use crate::event::Event;
use crate::receipts;

impl Link {
    /// Says the next thing that is to be said.
    pub(super) async fn speak(&mut self) {
        if self.shared.is_stopping() {
            return self.stop_if_asked();
        }
        let name = self.partner_name();
        let partner = name.clone();
        // A NERP does not exist below level 4, and signatures not below 5: such a receipt waits for a session that can
        // carry it.
        let level = self.session.level();
        let (negative, signed) = (level >= Level::V1_4, level >= Level::V2_0);
        let owed = move |catalog: &mut Catalog| catalog.next_receipt_owed(&partner, negative, signed);
        let receipt = match self.shared.ledger.run(owed).await {
            Ok(owed) => owed,
            Err(error) => return self.on_trouble(error.to_string()),
        };
        if let Some(receipt) = receipt {
            return self.send_receipt(receipt);
        }
        if self.may_send_files() {
            match self.next_file(name).await {
                Ok(Some(outbound)) => return self.offer(outbound).await,
                Ok(None) => {}
                Err(error) => return self.on_trouble(error.to_string()),
            }
        } else if !self.done_sending {
            self.done_sending = true;
            self.explain_waiting(name).await;
        }
        let given = if self.session.may_release() {
            self.session.release(EndSessionReason::NORMAL, "", Instant::now())
        } else {
            self.session.change_direction(Instant::now())
        };
        if let Err(misuse) = given {
            self.on_trouble(misuse.to_string());
        }
    }

    fn may_send_files(&self) -> bool {
        let mode = self.session.agreement().map(|agreement| agreement.mode);
        let partner = self.partner.as_ref().is_some_and(|partner| partner.may_receive);
        !self.done_sending && partner && mode != Some(Capability::ReceiveOnly)
    }

    /// Tells why files stay in the queue although there is a session.
    async fn explain_waiting(&mut self, partner: String) {
        let name = partner.clone();
        let text = "the partner takes no files in this session (SSIDSR, or may_receive = false here)";
        let noted = self.shared.ledger.run(move |catalog| {
            let waiting = catalog.next_outbound(&partner, now_ms())?.is_some();
            if waiting {
                catalog.explain_waiting(&partner, text, now_ms())?;
            }
            Ok(waiting)
        });
        match noted.await {
            Ok(true) => self.shared.tell(Event::Trouble { text: format!("files wait for {name}: {text}") }),
            Ok(false) => {}
            Err(error) => self.on_trouble(error.to_string()),
        }
    }

    async fn next_file(&self, partner: String) -> Result<Option<Outbound>, StationError> {
        self.shared.ledger.run(move |catalog| catalog.next_outbound(&partner, now_ms())).await
    }

    fn send_receipt(&mut self, receipt: Receipt) {
        let sent = match receipt.kind {
            ReceiptKind::Positive => {
                let mut eerp = EndToEndResponse::for_file(&receipt.file, receipt.user);
                eerp.hash = receipt.hash;
                eerp.signature = receipt.signature;
                self.session.respond(eerp, Instant::now())
            }
            ReceiptKind::Negative { creator, reason, text } => {
                let mut nerp = NegativeEndResponse::for_file(&receipt.file, creator, reason, text);
                nerp.hash = receipt.hash;
                nerp.signature = receipt.signature;
                self.session.respond_negatively(nerp, Instant::now())
            }
        };
        match sent {
            Ok(()) => self.receipt = Some((receipt.id, TransferRef::Inbound(receipt.inbound_id))),
            Err(misuse) => self.on_trouble(misuse.to_string()),
        }
    }

    /// RTR: the peer has our receipt.
    pub(super) async fn on_receipt_taken(&mut self) {
        let Some((id, transfer)) = self.receipt.take() else { return };
        let noted = self.shared.ledger.run(move |catalog| catalog.receipt_sent(id, now_ms())).await;
        match noted {
            Ok(()) => {
                self.moved = true;
                self.shared.tell(Event::ReceiptSent { transfer });
            }
            // Another session with the partner was faster, or a later receipt has taken its place meanwhile.
            Err(StationError::Catalog(CatalogError::NoSuchReceipt { .. })) => {}
            Err(error) => self.on_trouble(error.to_string()),
        }
    }

    /// EERP: a file of ours has arrived.
    pub(super) async fn on_receipt(&mut self, eerp: &EndToEndResponse) {
        let mut arrived = NewReceipt::positive();
        arrived.hash.clone_from(&eerp.hash);
        arrived.signature.clone_from(&eerp.signature);
        self.on_any_receipt(eerp.file(), eerp.user, arrived).await;
    }

    /// NERP: a file of ours was not delivered or could not be used.
    pub(super) async fn on_negative_receipt(&mut self, nerp: &NegativeEndResponse) {
        let mut arrived = NewReceipt::negative(nerp.creator, nerp.reason, nerp.text.clone());
        arrived.hash.clone_from(&nerp.hash);
        arrived.signature.clone_from(&nerp.signature);
        self.on_any_receipt(nerp.file(), UserData::BLANK, arrived).await;
    }

    async fn on_any_receipt(&mut self, file: FileId, user: UserData, receipt: NewReceipt) {
        let Some(partner) = self.partner.clone() else { return };
        let kind = receipt.kind.clone();
        let (shared, level) = (Arc::clone(&self.shared), self.session.level());
        // Verifying a signature takes the ledger no longer than a sync does.
        let noted = self
            .shared
            .ledger
            .run(move |catalog| {
                let name = partner.name.as_str();
                let Some(outbound) = catalog.outbound_awaiting_receipt(name, &file, level)? else {
                    return Ok(None);
                };
                let arrived = receipts::judged(&shared, &partner, &outbound, file, user, receipt);
                let state = catalog.receipt_arrived(outbound.id, &arrived, now_ms())?;
                Ok(Some((outbound, arrived.verdict, state)))
            })
            .await;
        match noted {
            Ok(Some((outbound, verdict, state))) => {
                self.moved = true;
                let transfer = TransferRef::Outbound(outbound.id);
                let text = told(&kind, &verdict);
                if state == OutboundState::Unproven {
                    self.shared.tell(Event::ReceiptUnproven { transfer, text });
                } else {
                    self.shared.tell(Event::ReceiptArrived { transfer, text });
                }
                self.release_kept(&outbound).await;
                if state == OutboundState::Delivered {
                    self.release_source(&outbound).await;
                }
            }
            // Kept by nobody, but taken: the peer must not send it again and again.
            Ok(None) => self.shared.tell(Event::UnknownReceipt {
                session: self.number,
                dataset_name: file.dataset_name.to_string(),
            }),
            Err(error) => return self.on_trouble(error.to_string()),
        }
        if let Err(misuse) = self.session.ready_to_receive(Instant::now()) {
            self.on_trouble(misuse.to_string());
        }
    }
}

fn told(kind: &ReceiptKind, verdict: &Verdict) -> String {
    let what = match kind {
        ReceiptKind::Positive => "receipt came: delivered".to_owned(),
        ReceiptKind::Negative { .. } => format!("negative receipt came: {kind}"),
    };
    match verdict {
        Verdict::NotAsked => what,
        Verdict::Verified => format!("{what}, signature verified"),
        Verdict::Unsigned => format!("{what}, but it is unsigned although a signed one was asked for"),
        Verdict::Wrong(why) => format!("{what}, but it proves nothing: {why}"),
    }
}
