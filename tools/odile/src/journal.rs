//! Events of a station as lines: for people with the local time, for programs as JSON.

use odile_station::Event;
use serde_json::{Map, Value, json};

use crate::output;

/// `2026-11-23 12:04:05.123   listening at …`; what needs attention has an exclamation mark.
pub fn text(event: &Event) -> String {
    let mark = if event.is_trouble() { '!' } else { ' ' };
    format!("{} {mark} {event}", output::local_now())
}

/// One JSON object: `at`, `event`, `trouble`, `text`, and what else the event knows.
pub fn json(event: &Event) -> Value {
    let (name, details) = details(event);
    let mut fields = Map::new();
    fields.insert("at".into(), jiff::Timestamp::now().to_string().into());
    fields.insert("event".into(), name.into());
    fields.insert("trouble".into(), event.is_trouble().into());
    fields.insert("text".into(), output::clean(&event.to_string()).into());
    if let Value::Object(details) = details {
        fields.extend(details);
    }
    Value::Object(fields)
}

fn details(event: &Event) -> (&'static str, Value) {
    match event {
        Event::Listening { address, transport } => {
            ("listening", json!({ "address": address.to_string(), "transport": transport.to_string() }))
        }
        Event::ListenFailed { .. } => ("listen_failed", json!({})),
        Event::Connected { session, peer } => {
            ("connected", json!({ "session": session, "peer": peer.to_string() }))
        }
        Event::Secured { session, tls } => ("secured", json!({ "session": session, "tls": tls })),
        Event::HandshakeFailed { peer, .. } => ("handshake_failed", json!({ "peer": peer.to_string() })),
        Event::CallFailed { partner, .. } => ("call_failed", json!({ "partner": partner })),
        Event::SessionOpened { session, partner, level, buffer_size, credit, round_trip } => (
            "session_opened",
            json!({ "session": session, "partner": partner, "level": level, "buffer_size": buffer_size,
                    "credit": credit, "round_trip_us": round_trip.map(|time| u64::try_from(time.as_micros()).unwrap_or(u64::MAX)) }),
        ),
        Event::SessionRefused { session, peer, code, reason } => (
            "session_refused",
            json!({ "session": session, "peer": peer.to_string(), "code": code, "reason": reason.to_string() }),
        ),
        Event::SessionEnded { session, partner, end } => (
            "session_ended",
            json!({ "session": session, "partner": partner, "reason": end.reason.to_string(), "by_us": end.by_us }),
        ),
        Event::FileQueued { transfer, partner, dataset_name, path } => (
            "file_queued",
            json!({ "transfer": transfer, "partner": partner, "dataset_name": dataset_name, "path": path }),
        ),
        Event::FileOffered { transfer, partner, dataset_name, services } => (
            "file_offered",
            json!({ "transfer": transfer, "partner": partner, "dataset_name": dataset_name, "services": services }),
        ),
        Event::FileSent { transfer, octets } => {
            ("file_sent", json!({ "transfer": transfer, "octets": octets }))
        }
        Event::Measured { transfer, measured } => {
            ("measured", json!({ "transfer": transfer, "measured": measured }))
        }
        Event::FileRefused { transfer, .. } => ("file_refused", json!({ "transfer": transfer })),
        Event::FileFailed { transfer, .. } => ("file_failed", json!({ "transfer": transfer })),
        Event::Interrupted { transfer, safe_octets, .. } => {
            ("interrupted", json!({ "transfer": transfer, "safe_octets": safe_octets }))
        }
        Event::Resumed { transfer, place } => ("resumed", json!({ "transfer": transfer, "place": place })),
        Event::StartsAgain { transfer, .. } => ("starts_again", json!({ "transfer": transfer })),
        Event::Receiving { transfer, partner, dataset_name, announced_octets, from_octet, description } => (
            "receiving",
            json!({ "transfer": transfer, "partner": partner, "dataset_name": dataset_name,
                    "announced_octets": announced_octets, "from_octet": from_octet,
                    "description": description }),
        ),
        Event::Received { transfer, octets, path, found } => {
            ("received", json!({ "transfer": transfer, "octets": octets, "path": path, "found": found }))
        }
        Event::ReceiveFailed { transfer, .. } => ("receive_failed", json!({ "transfer": transfer })),
        Event::OfferRefused { session, dataset_name, .. } => {
            ("offer_refused", json!({ "session": session, "dataset_name": dataset_name }))
        }
        Event::ReceiptSent { transfer } => ("receipt_sent", json!({ "transfer": transfer })),
        Event::ReceiptArrived { transfer, .. } => ("receipt_arrived", json!({ "transfer": transfer })),
        Event::ReceiptUnproven { transfer, .. } => ("receipt_unproven", json!({ "transfer": transfer })),
        Event::UnknownReceipt { session, dataset_name } => {
            ("unknown_receipt", json!({ "session": session, "dataset_name": dataset_name }))
        }
        Event::OutboxSkipped { path, .. } => ("outbox_skipped", json!({ "path": path })),
        Event::CertificateExpires { .. } => ("certificate_expires", json!({})),
        Event::Recovered { .. } => ("recovered", json!({})),
        Event::Trouble { .. } => ("trouble", json!({})),
    }
}

#[cfg(test)]
mod tests {
    use odile_station::partner::Transport;

    use super::*;

    #[test]
    fn an_event_has_its_name_its_fields_and_its_text() {
        let address = "127.0.0.1:3305".parse().unwrap();
        let value = json(&Event::Listening { address, transport: Transport::Plain });
        assert_eq!(value["event"], "listening");
        assert_eq!(value["address"], "127.0.0.1:3305");
        assert_eq!(value["trouble"], false);
        assert_eq!(value["text"], "listening at 127.0.0.1:3305");
        let line = text(&Event::Trouble { text: "disk \x07".into() });
        assert!(line.ends_with("! disk \x07"), "{line}");
    }
}
