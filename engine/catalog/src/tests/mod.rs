//! The catalog on real database files, in folders that vanish with the test.

mod history;
mod inbound;
mod migration;
mod opening;
mod outbound;
mod receipts;
mod resumption;
mod services;

use std::path::PathBuf;

use odile_wire::command::FileFormat;
use odile_wire::{
    DateStamp, FileId, IdentificationCode, NegativeEndReason, Text, TimeStamp, UserData, VariableText,
};
use tempfile::TempDir;

use crate::{
    AfterDelivery, ArrivedReceipt, Catalog, Landing, NewInbound, NewOutbound, NewReceipt, OutboundChange,
    OutboundState, Services, SourceIdentity, Verdict,
};

/// A catalog and the folder that it lies in.
struct Fixture {
    folder: TempDir,
    catalog: Catalog,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let catalog = Catalog::open(&folder.path().join("catalog.db")).unwrap();
        Self { folder, catalog }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("catalog.db")
    }

    /// What another process, or this one after a crash, would see.
    fn reopened(&self) -> Catalog {
        Catalog::open(&self.path()).unwrap()
    }

    fn queued(&mut self, time: [u8; 10]) -> i64 {
        self.catalog.enqueue(&new_outbound("bob", part(time)), 1000).unwrap().id
    }

    fn set(&mut self, id: i64, state: OutboundState) {
        self.catalog.set_outbound(id, &OutboundChange::to(state), 2000).unwrap();
    }

    fn sent(&mut self, time: [u8; 10]) -> i64 {
        let id = self.queued(time);
        self.set(id, OutboundState::Sending);
        self.set(id, OutboundState::Sent);
        id
    }

    fn state(&self, id: i64) -> OutboundState {
        self.catalog.outbound(id).unwrap().unwrap().state
    }
}

fn code(text: &str) -> IdentificationCode {
    IdentificationCode::new(text).unwrap()
}

/// As a peer may write it: codes of our own are in upper case.
fn lower_case_code(text: &str) -> IdentificationCode {
    let mut octets = *code(text).octets();
    octets.make_ascii_lowercase();
    IdentificationCode::from_octets(octets)
}

fn file(name: &str, date: [u8; 8], time: [u8; 10]) -> FileId {
    FileId {
        dataset_name: Text::new(name).unwrap(),
        date: DateStamp::new(date).unwrap(),
        time: TimeStamp::new(time).unwrap(),
        destination: code("O0013000001BOBMOTORS"),
        originator: code("O0013000002ALICE CAST"),
    }
}

fn part(time: [u8; 10]) -> FileId {
    file("CAD.PART", *b"20261123", time)
}

fn new_outbound(partner: &str, file: FileId) -> NewOutbound {
    NewOutbound {
        partner: partner.to_owned(),
        file,
        user: UserData::new("RUN42").unwrap(),
        format: FileFormat::Unstructured,
        record_size: 0,
        source: PathBuf::from("/data/out/part.stp"),
        source_identity: SourceIdentity {
            size: 1 << 40,
            mtime_ns: 1_764_000_000_123_456_789,
            inode: u64::MAX - 1,
            device: 1 << 63,
        },
        after_delivery: AfterDelivery::DeleteSource,
        description: VariableText::truncated("Türrahmen, Stand 7"),
        original_name: "part.stp".to_owned(),
        services: Services::PLAIN,
    }
}

fn new_inbound(partner: &str, file: FileId) -> NewInbound {
    NewInbound {
        partner: partner.to_owned(),
        file,
        user: UserData::from_octets(*b"\x00\xffUSER  "),
        format: FileFormat::Variable,
        record_size: 80,
        announced_blocks: 9_999_999_999_999,
        description: VariableText::from_octets(vec![0xff, 0x00, b'x']).unwrap(),
        part_name: "1.part".to_owned(),
        services: Services::PLAIN,
    }
}

fn landing() -> Landing {
    Landing { final_path: "in/part.stp".to_owned(), octets: 123, records: 4, ..Landing::default() }
}

/// A receipt for `part(time)` as it comes; nothing was asked of it.
fn arrived(receipt: NewReceipt, time: [u8; 10]) -> ArrivedReceipt {
    ArrivedReceipt {
        receipt,
        file: part(time),
        user: UserData::new("RUN42").unwrap(),
        verdict: Verdict::NotAsked,
        signer: None,
    }
}

fn eerp() -> ArrivedReceipt {
    arrived(NewReceipt::positive(), *b"1204050001")
}

fn nerp() -> NewReceipt {
    NewReceipt::negative(
        code("O0013000001BOBMOTORS"),
        NegativeEndReason::DECRYPTION_FAILED,
        VariableText::truncated("no key for this recipient"),
    )
}
