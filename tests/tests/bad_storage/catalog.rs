//! The catalog fails at the worst moment: the file is in the inbox, but that cannot be noted.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

use odile_station::partner::ServiceWish;
use odile_station::{Event, Faults, Operation, Options, SendRequest};
use odile_tests::pki::issued;
use odile_tests::station::{TestStation, options};
use rusqlite::Connection;

/// Another program that locks the catalog, just when a file was renamed into the inbox.
#[derive(Default)]
struct Lock {
    catalog: OnceLock<PathBuf>,
    held: Mutex<Vec<Connection>>,
}

impl Faults for Lock {
    fn before(&self, operation: Operation, path: &Path) -> io::Result<()> {
        if operation == Operation::SyncDirectory
            && path.parent().is_some_and(|above| above.ends_with("inbox"))
            && let Some(catalog) = self.catalog.get()
        {
            let mut held = self.held.lock().expect("nobody panics with the lock");
            if held.is_empty() {
                let connection = Connection::open(catalog).expect("the catalog is there");
                connection.execute_batch("BEGIN IMMEDIATE").expect("nobody else has it");
                held.push(connection);
            }
        }
        Ok(())
    }
}

/// Two stations; the file of the first is in the inbox of the second, which could not note it. Both know that
/// the session failed; the lock is gone.
fn unnoted(services: ServiceWish) -> (TestStation, TestStation, String) {
    let lock = Arc::new(Lock::default());
    let mut beta = TestStation::new("O0013BETA");
    beta.add_partner("alpha", "code = \"O0013ALPHA\"\n");
    beta.give_key(&issued("beta"));
    beta.give_certificate("alpha", "shared", &issued("alpha"));
    lock.catalog.set(beta.home().catalog()).expect("set once");
    let theirs = Options { faults: Some(Arc::clone(&lock) as Arc<dyn Faults>), ..options() };
    let address = beta.start_with(theirs);
    let mut alpha = TestStation::new("O0013ALPHA");
    alpha.add_partner("beta", &format!("code = \"O0013BETA\"\naddress = \"{address}\"\n"));
    alpha.give_key(&issued("alpha"));
    alpha.give_certificate("beta", "shared", &issued("beta"));
    alpha.start();
    let mut request = SendRequest::new("beta", alpha.write("model", b"precious"));
    request.services = services;
    let transfer = format!("S{}", alpha.handle().send(&request).expect("it is queued").id);
    beta.events.wait_for("the end of the session", |event| matches!(event, Event::SessionEnded { .. }));
    let told = |event: &Event| event.to_string().contains("R1 has arrived, but could not be noted");
    beta.events.wait_for("the trouble", told);
    alpha.events.wait_for("the end of the session", |event| matches!(event, Event::SessionEnded { .. }));
    let (state, detail, _) = alpha.handle().state(transfer.parse().expect("a number")).expect("it is known");
    assert!(state == "queued" && detail.contains("ESID 08"), "neither yes nor no: {state}, {detail}");
    // What comes now is not locked again.
    let harmless = Connection::open_in_memory().expect("memory");
    *lock.held.lock().expect("nobody panics with the lock") = vec![harmless];
    (alpha, beta, transfer)
}

fn assert_once(alpha: &TestStation, beta: &TestStation, transfer: &str) {
    alpha.wait_state(transfer, "delivered");
    let inbox = beta.inbox("alpha");
    assert_eq!(inbox.len(), 1, "{inbox:?}");
    assert_eq!(std::fs::read(&inbox[0]).expect("it is there"), b"precious");
    assert!(beta.spool().is_empty());
    beta.events.wait_for("that it was found", |event| matches!(event, Event::Recovered { .. }));
}

/// The receipt proves what it says, although the station had forgotten that it owes one.
fn assert_proven(alpha: &TestStation) {
    alpha.events.wait_for("a signed receipt", |event| {
        matches!(event, Event::ReceiptArrived { text, .. } if text == "receipt came: delivered, signature verified")
    });
}

const SIGNED_RECEIPT: ServiceWish =
    ServiceWish { sign: None, compress: None, encrypt: None, signed_receipt: Some(true), suite: None };

fn found_when_offered_again(services: ServiceWish) -> TestStation {
    let (alpha, beta, transfer) = unnoted(services);
    alpha.handle().retry(transfer.parse().expect("a number")).expect("it may be tried again");
    assert_once(&alpha, &beta, &transfer);
    alpha
}

fn found_at_the_next_start(services: ServiceWish) -> TestStation {
    let (mut alpha, mut beta, transfer) = unnoted(services);
    alpha.stop();
    beta.stop();
    let address = beta.start();
    let file = alpha.home().partner_file(&"beta".parse().expect("a name"));
    std::fs::write(&file, format!("code = \"O0013BETA\"\naddress = \"{address}\"\n")).expect("it is there");
    alpha.start();
    assert_once(&alpha, &beta, &transfer);
    alpha
}

#[test]
fn a_file_that_arrived_without_a_note_is_found_when_it_is_offered_again() {
    found_when_offered_again(ServiceWish::default());
}

#[test]
fn a_file_that_arrived_without_a_note_is_found_at_the_next_start() {
    found_at_the_next_start(ServiceWish::default());
}

#[test]
fn a_sealed_file_that_is_found_when_it_is_offered_again_gets_a_signed_receipt() {
    let sealed =
        ServiceWish { sign: Some(true), compress: Some(true), encrypt: Some(true), ..SIGNED_RECEIPT };
    assert_proven(&found_when_offered_again(sealed));
}

#[test]
fn a_plain_file_that_is_found_at_the_next_start_gets_a_signed_receipt() {
    assert_proven(&found_at_the_next_start(SIGNED_RECEIPT));
}
