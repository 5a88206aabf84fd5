//! Receipts in a catalog, made by hand: what they sign is put together here from the fields of the RFC.

use odile_station::catalog::{
    AfterDelivery, ArrivedReceipt, Catalog, NewOutbound, NewReceipt, Outbound, OutboundChange, OutboundState,
    ReceiptKind, Services, SourceIdentity, Transmitted, Verdict,
};
use odile_station::envelope::seal::Embed;
use odile_station::envelope::{Suite, sign_message};
use odile_station::wire::command::FileFormat;
use odile_station::wire::{
    DatasetName, DateStamp, FileId, IdentificationCode, NegativeEndReason, TimeStamp, UserData, VariableText,
};
use odile_tests::peer::code;
use odile_tests::pki::Issued;
use odile_tests::station::TestStation;
use rusqlite::Connection;

/// A file that was sent to the partner `beta`, of which nothing but its row in the catalog exists.
pub struct Sent {
    pub station: TestStation,
    pub outbound: Outbound,
    pub suite: Suite,
}

impl Sent {
    /// The first file of a station of its own.
    pub fn new(suite: Suite) -> Self {
        let station = TestStation::new("O0013ALPHA");
        station.add_partner("beta", "code = \"O0013BETA\"\n");
        let mut catalog = Catalog::open(&station.home().catalog()).expect("a catalog");
        let outbound = catalog.enqueue(&queued(suite), SENT_MS).expect("room for it");
        let transmitted = Transmitted { octets: CONTENT.len() as u64, hash: hash(suite) };
        for change in [
            OutboundChange::to(OutboundState::Sending),
            OutboundChange::to(OutboundState::Sent).transmitted(transmitted),
        ] {
            catalog.set_outbound(outbound.id, &change, SENT_MS).expect("one follows the other");
        }
        Self { station, outbound, suite }
    }

    /// A receipt comes, and this is what was found about it.
    pub fn arrives(&self, receipt: NewReceipt, verdict: Verdict, signer: Option<&Issued>, at_ms: i64) {
        let arrived = ArrivedReceipt {
            receipt,
            file: self.outbound.file,
            user: UserData::BLANK,
            verdict,
            signer: signer.map(|signer| signer.identity.certificate().der().to_vec()),
        };
        let mut catalog = Catalog::open(&self.station.home().catalog()).expect("a catalog");
        catalog.receipt_arrived(self.outbound.id, &arrived, at_ms).expect("a file that was sent");
    }

    /// An EERP that is right in everything, if `hash` is.
    pub fn positive(&self, signer: &Issued, hash: Vec<u8>, embed: Embed) -> NewReceipt {
        let signature = self.sign(signer, &fields(&self.outbound.file, None, &hash), embed);
        NewReceipt { kind: ReceiptKind::Positive, hash, signature }
    }

    /// A NERP; `creator` says whether that is signed as well.
    pub fn negative(&self, signer: &Issued, creator: Signed) -> NewReceipt {
        let (beta, hash) = (code("O0013BETA"), hash(self.suite));
        let signed = match creator {
            Signed::Too => Some(&beta),
            Signed::Not => None,
        };
        let signature = self.sign(signer, &fields(&self.outbound.file, signed, &hash), Embed::Nothing);
        let text = VariableText::truncated("disk full");
        let reason = NegativeEndReason::from_code(22).expect("two digits");
        NewReceipt { kind: ReceiptKind::Negative { creator: beta, reason, text }, hash, signature }
    }

    fn sign(&self, signer: &Issued, octets: &[u8], embed: Embed) -> Vec<u8> {
        sign_message(self.suite, &signer.identity, octets, SIGNED_SECONDS, embed).expect("our own key")
    }

    /// A statement on the catalog, as only a hand from outside would give it.
    pub fn meddle(&self, statement: &str) {
        let connection = Connection::open(self.station.home().catalog()).expect("a catalog");
        assert_eq!(connection.execute(statement, []).expect("a statement"), 1, "{statement}");
    }
}

/// Whether a field is in what was signed.
pub enum Signed {
    Too,
    Not,
}

/// Signed octets, put together from RFC 5024 §5.3.13 and §5.3.14.
pub fn fields(file: &FileId, creator: Option<&IdentificationCode>, hash: &[u8]) -> Vec<u8> {
    let mut octets = format!(
        "{:<26}{}{}{:<25}{:<25}",
        file.dataset_name, file.date, file.time, file.originator, file.destination
    )
    .into_bytes();
    if let Some(creator) = creator {
        octets.extend(format!("{creator:<25}").bytes());
    }
    octets.extend(hash);
    octets
}

/// Octets in hexadecimal digits.
pub fn digits(octets: &[u8]) -> String {
    octets.iter().fold(String::new(), |text, octet| format!("{text}{octet:02x}"))
}

/// What was transmitted has this hash.
pub fn hash(suite: Suite) -> Vec<u8> {
    suite.hash().hash(CONTENT).as_bytes().to_vec()
}

fn queued(suite: Suite) -> NewOutbound {
    NewOutbound {
        partner: "beta".to_owned(),
        file: FileId {
            dataset_name: DatasetName::new("CRASH.KEY").expect("a dataset name"),
            date: DateStamp::new(*b"20200601").expect("digits"),
            time: TimeStamp::new(*b"1200000001").expect("digits"),
            destination: code("O0013BETA"),
            originator: code("O0013ALPHA"),
        },
        user: UserData::BLANK,
        format: FileFormat::Unstructured,
        record_size: 0,
        source: "/gone/crash.key".into(),
        source_identity: SourceIdentity { size: CONTENT.len() as u64, mtime_ns: 0, inode: 1, device: 1 },
        after_delivery: AfterDelivery::Keep,
        description: VariableText::default(),
        original_name: "crash.key".to_owned(),
        services: Services { suite: suite.code(), signed_receipt: true, ..Services::PLAIN },
    }
}

/// Certificates of [`odile_tests::pki`] that have expired were valid then.
pub const SENT_MS: i64 = 1_591_012_800_000;
/// 2020-06-01T12:00:03Z.
const SIGNED_SECONDS: u64 = 1_591_012_803;
/// What was transmitted.
pub const CONTENT: &[u8] = b"#1=CARTESIAN_POINT('',(0.,0.,0.));\r\n";
