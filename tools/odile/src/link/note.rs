//! What both ends of a measurement say to each other, in the description of tiny files (SFIDDESC): no second
//! protocol, no second port.
//!
//! ```text
//! LINK.SEND     octets=1000000;services=sign+encrypt;as=LINK.DATA.7      send me such a file, under this name
//! LINK.REPORT   of=LINK.DATA.7;octets=...;took=µs;line=µs;open=µs         where the time of your file went here
//! ```

use std::fmt::Write;
use std::time::Duration;

use odile_station::{Measured, Stage};

use crate::cli::LinkServices;

/// Dataset names.
pub const DATA: &str = "LINK.DATA";
pub const SEND: &str = "LINK.SEND";
pub const REPORT: &str = "LINK.REPORT";

/// An hour at 40 Gbit/s: whoever asks is not known, and need not be served for ever.
const ASKED_OCTETS_MAX: u64 = 18_000_000_000_000;

const STAGES: [(&str, Stage); 11] = [
    ("credit", Stage::Credit),
    ("prepare", Stage::Prepare),
    ("tls", Stage::Tls),
    ("socket", Stage::Socket),
    ("checkpoint", Stage::Checkpoint),
    ("close", Stage::Close),
    ("line", Stage::Line),
    ("store", Stage::Store),
    ("open", Stage::Open),
    ("disk", Stage::Disk),
    ("compare", Stage::Compare),
];

/// Where the time of the file with this dataset name went.
pub fn report(of: &str, measured: &Measured) -> String {
    let mut text = format!("of={of};octets={};took={}", measured.octets, measured.took.as_micros());
    for (name, stage) in STAGES {
        let time = measured.stage(stage);
        if !time.is_zero() {
            let _ = write!(text, ";{name}={}", time.as_micros());
        }
    }
    text
}

/// None: of another file, or nonsense.
pub fn read_report(of: &str, text: &str) -> Option<Measured> {
    if field(text, "of") != Some(of) {
        return None;
    }
    let number = |wanted: &str| field(text, wanted)?.parse::<u64>().ok();
    let stages = STAGES
        .into_iter()
        .filter_map(|(name, stage)| Some((stage, Duration::from_micros(number(name)?))))
        .collect();
    let took = Duration::from_micros(number("took")?);
    Some(Measured { octets: number("octets")?, took, stages, buffer: None, stall: None })
}

pub fn request(octets: u64, services: LinkServices, name: &str) -> String {
    format!("octets={octets};services={};as={name}", services_text(services))
}

/// Octets, services and name. None: nonsense, or more than anybody measures with.
pub fn read_request(text: &str) -> Option<(u64, LinkServices, &str)> {
    let octets = field(text, "octets")?.parse().ok().filter(|octets| *octets <= ASKED_OCTETS_MAX)?;
    let name = field(text, "as").filter(|name| name.starts_with(DATA))?;
    Some((octets, crate::cli::link_services(field(text, "services")?).ok()?, name))
}

/// As [`crate::cli::link_services`] reads it.
pub fn services_text(services: LinkServices) -> String {
    let words = [(services.sign, "sign"), (services.compress, "compress"), (services.encrypt, "encrypt")];
    let words: Vec<&str> = words.into_iter().filter_map(|(is_on, word)| is_on.then_some(word)).collect();
    if words.is_empty() { "none".to_owned() } else { words.join("+") }
}

/// The dataset name without date and time, which events tell behind it.
pub fn name_of(text: &str) -> String {
    text.split_whitespace().next().unwrap_or_default().to_owned()
}

fn field<'a>(text: &'a str, wanted: &str) -> Option<&'a str> {
    text.split(';')
        .find_map(|part| part.split_once('=').filter(|(name, _)| *name == wanted))
        .map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_understood() {
        let measured = Measured {
            octets: 7,
            took: Duration::from_millis(3),
            stages: vec![(Stage::Line, Duration::from_micros(5)), (Stage::Disk, Duration::from_secs(2))],
            buffer: None,
            stall: None,
        };
        assert_eq!(read_report("LINK.DATA.1", &report("LINK.DATA.1", &measured)), Some(measured.clone()));
        assert_eq!(read_report("LINK.DATA.2", &report("LINK.DATA.1", &measured)), None);
        let services = LinkServices { sign: true, compress: false, encrypt: true };
        assert_eq!(read_request(&request(12, services, "LINK.DATA.3")), Some((12, services, "LINK.DATA.3")));
        assert_eq!(read_request(&request(ASKED_OCTETS_MAX + 1, services, "LINK.DATA.3")), None);
        assert_eq!(read_request(&request(12, services, "OTHER")), None);
        assert_eq!(read_request("octets=x;services=none;as=LINK.DATA"), None);
        assert_eq!(read_request("octets=1;services=shred;as=LINK.DATA"), None);
        assert_eq!(read_report("x", "nothing"), None);
    }
}
