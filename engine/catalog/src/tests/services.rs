use rusqlite::ErrorCode;
use serde_json::json;

use super::{Fixture, landing, new_inbound, new_outbound, part};
use crate::{
    CatalogError, HistoryFilter, Landing, NewInbound, NewOutbound, OutboundChange, Services, TransferRef,
    Transmitted,
};

fn outbound(services: Services) -> NewOutbound {
    NewOutbound { services, ..new_outbound("bob", part(*b"1204050001")) }
}

fn inbound(services: Services) -> NewInbound {
    NewInbound { services, ..new_inbound("alice", part(*b"1204050001")) }
}

#[test]
fn plain_is_nothing_at_all() {
    assert_eq!(Services::default(), Services::PLAIN);
    let none = Services { security: 0, compression: 0, suite: 0, signed_receipt: false };
    assert_eq!(Services::PLAIN, none);
}

#[test]
fn keeps_every_number_of_an_sfid_and_no_other() {
    let at = |security, compression, suite| Services { security, compression, suite, signed_receipt: true };
    let mut fixture = Fixture::new();
    for services in [at(0, 0, 0), at(3, 1, 99)] {
        let id = fixture.catalog.enqueue(&outbound(services), 1).unwrap().id;
        assert_eq!(fixture.catalog.outbound(id).unwrap().unwrap().services, services);
        let id = fixture.catalog.begin_inbound(&inbound(services), 1).unwrap().id;
        assert_eq!(fixture.catalog.inbound(id).unwrap().unwrap().services, services);
    }
    for (services, name) in [(at(4, 0, 0), "SFIDSEC"), (at(0, 2, 0), "SFIDCOMP"), (at(0, 0, 100), "SFIDCIPH")]
    {
        for error in [
            fixture.catalog.enqueue(&outbound(services), 1).unwrap_err(),
            fixture.catalog.begin_inbound(&inbound(services), 1).unwrap_err(),
        ] {
            assert!(matches!(error, CatalogError::OutOfRange { what, .. } if what == name), "{error:?}");
        }
    }
}

#[test]
fn the_database_itself_refuses_other_numbers() {
    let mut fixture = Fixture::new();
    fixture.catalog.enqueue(&outbound(Services::PLAIN), 1).unwrap();
    fixture.catalog.begin_inbound(&inbound(Services::PLAIN), 1).unwrap();
    for table in ["outbound", "inbound"] {
        for wrong in [
            "security = 4",
            "security = -1",
            "compression = 2",
            "suite = 100",
            "signed_receipt = 2",
            "security = NULL",
            "transmitted_octets = 1",
            "transmitted_hash = x''",
            "transmitted_octets = -1, transmitted_hash = x''",
        ] {
            let result = fixture.catalog.connection.execute(&format!("UPDATE {table} SET {wrong}"), []);
            let code = result.unwrap_err().sqlite_error_code();
            assert_eq!(code, Some(ErrorCode::ConstraintViolation), "{table}: {wrong}");
        }
    }
}

#[test]
fn history_and_show_tell_of_them() {
    let mut fixture = Fixture::new();
    let services = Services { security: 3, compression: 1, suite: 2, signed_receipt: true };
    let shown = json!({ "security": 3, "compression": 1, "suite": 2, "signed_receipt": true });
    fixture.catalog.enqueue(&outbound(services), 1).unwrap();
    fixture.catalog.begin_inbound(&inbound(services), 2).unwrap();
    let transmitted = Transmitted { octets: 77, hash: vec![0x00, 0x0f, 0xf0, 0xab] };
    let change = OutboundChange::default().transmitted(transmitted.clone());
    fixture.catalog.set_outbound(1, &change, 3).unwrap();
    let signer = Some("CN=alice".to_owned());
    let landing = Landing { transmitted: Some(transmitted), signer, ..landing() };
    fixture.catalog.landing(1, &landing, 4).unwrap();
    for entry in fixture.catalog.history(&HistoryFilter::default()).unwrap() {
        assert_eq!(serde_json::to_value(&entry).unwrap()["services"], shown);
    }
    for transfer in [TransferRef::Outbound(1), TransferRef::Inbound(1)] {
        let detail = fixture.catalog.show(transfer).unwrap().unwrap();
        let value = serde_json::to_value(&detail).unwrap();
        assert_eq!(value["entry"]["services"], shown, "{transfer}");
        assert_eq!(value["file"]["services"], shown, "{transfer}");
        assert_eq!(value["file"]["transmitted"], json!({ "octets": 77, "hash": "000ff0ab" }), "{transfer}");
    }
    let value = serde_json::to_value(fixture.catalog.show(TransferRef::Inbound(1)).unwrap().unwrap());
    let value = value.unwrap();
    assert_eq!(value["file"]["signer"], "CN=alice");
    assert_eq!(value["events"][1]["text"], "landing: 123 octets as in/part.stp, signed by CN=alice");
}
