//! Certificates that run out: told when the station starts, and every day.

use std::sync::Arc;
use std::time::Duration;

use odile_partner::PartnerName;

use crate::clock::now_seconds;
use crate::event::Event;
use crate::keyring::CertificateFile;
use crate::shared::Shared;

/// The task that looks after them.
pub(crate) async fn watch(shared: Arc<Shared>) {
    let mut stop = shared.stop.clone();
    loop {
        tell(&shared, now_seconds());
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

fn tell(shared: &Shared, now: u64) {
    for (name, key) in shared.keyring.all() {
        // The certificates of authorities behind it are renewed by others.
        if let Some(text) = key.chain.first().and_then(|file| trouble(file, now)) {
            let text =
                format!("our key {name}: {text}; `odile cert new` or `odile cert request` makes another");
            shared.tell(Event::CertificateExpires { text });
        }
    }
    for (name, certificates) in &shared.configuration.certificates {
        let all: Vec<_> = certificates.all().collect();
        for (folder, file) in &all {
            // An old one beside its successor is as it should be.
            let has_successor =
                all.iter().any(|(other, newer)| other == folder && newer.not_after > file.not_after);
            if let Some(text) = trouble(file, now)
                && !has_successor
            {
                shared.tell(Event::CertificateExpires { text: of_partner(name, folder, &text) });
            }
        }
    }
}

fn of_partner(name: &PartnerName, folder: &str, text: &str) -> String {
    format!("{name}, {folder}: {text}; ask for the next one, `odile cert import {name}` adds it")
}

fn trouble(file: &CertificateFile, now: u64) -> Option<String> {
    let name = file.short_name();
    if file.not_after < now {
        return Some(format!("the certificate of {name} has expired"));
    }
    let days = (file.not_after - now) / DAY_SECONDS;
    (days < WARN_DAYS).then(|| format!("the certificate of {name} expires in {days} days"))
}

const DAY_SECONDS: u64 = 24 * 60 * 60;
/// Time enough to get a certificate and to tell all partners.
const WARN_DAYS: u64 = 30;
const EVERY: Duration = Duration::from_secs(DAY_SECONDS);
