//! A measured line, as `odile link test --output json` writes it.
//!
//! Fields that are not known here are passed over; what cannot be is refused before anything is made of it.

use std::fs;
use std::path::Path;

use serde::Deserialize;

use crate::exit::Failure;

/// What was measured between this machine and another.
#[derive(Debug, Clone, Deserialize)]
pub struct Link {
    #[serde(default)]
    pub target: String,
    pub round_trip_ms: RoundTrip,
    pub runs: Vec<Run>,
    /// The most that was measured.
    #[serde(default)]
    pub line_octets_per_second: Option<f64>,
    #[serde(default)]
    pub sessions_for_line_rate: Option<u32>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
pub struct RoundTrip {
    pub median: f64,
    pub least: f64,
    pub most: f64,
}

/// One measurement.
#[derive(Debug, Clone, Deserialize)]
pub struct Run {
    pub direction: Direction,
    pub transport: Transport,
    /// `plain`, or names with commas.
    pub services: String,
    pub buffer_octets: u32,
    pub credit: u32,
    pub sessions: u32,
    pub octets: u64,
    pub seconds: f64,
    pub octets_per_second: f64,
    pub cpu_seconds: f64,
    pub limiter: Limiter,
}

/// Seen from the machine that measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    Send,
    Receive,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    Plain,
    Tls,
}

/// What kept it from being faster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Limiter {
    Credit,
    Cpu,
    Disk,
    Line,
    Peer,
    /// Of a later version.
    #[serde(other)]
    Other,
}

impl Link {
    /// Reads a file.
    pub fn load(path: &Path) -> Result<Self, Failure> {
        let shown = path.display();
        let text = fs::read_to_string(path)
            .map_err(|error| Failure::usage(format!("{shown}: {error}; {REMEDY}")))?;
        Self::parse(&text).map_err(|what| Failure::usage(format!("{shown}: {what}; {REMEDY}")))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let value: serde_json::Value =
            serde_json::from_str(text).map_err(|error| format!("it is no JSON: {error}"))?;
        match value.get("format").and_then(serde_json::Value::as_str) {
            Some(FORMAT) => {}
            Some(other) => return Err(format!("its format is {other:?}, and {FORMAT:?} is known here")),
            None => return Err(format!("it does not say that its format is {FORMAT:?}")),
        }
        // Again from the text, so that a mistake is told with its line.
        let link: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        link.check()?;
        Ok(link)
    }

    fn check(&self) -> Result<(), String> {
        if self.runs.is_empty() {
            return Err("it has no runs: nothing was measured".to_owned());
        }
        let RoundTrip { least, median, most } = self.round_trip_ms;
        if !(is_positive(median) && least >= 0.0 && least <= median && median <= most && most.is_finite()) {
            return Err(format!(
                "its round trip makes no sense: least {least}, median {median}, most {most} ms"
            ));
        }
        if self.line_octets_per_second.is_some_and(|rate| !is_positive(rate)) {
            return Err("line_octets_per_second is no rate".to_owned());
        }
        if self.sessions_for_line_rate == Some(0) {
            return Err("sessions_for_line_rate is 0".to_owned());
        }
        self.runs
            .iter()
            .enumerate()
            .try_for_each(|(index, run)| run.check().map_err(|what| format!("run {}: {what}", index + 1)))
    }
}

impl Run {
    /// Octets that one session may have on their way.
    pub fn window(&self) -> f64 {
        f64::from(self.buffer_octets) * f64::from(self.credit)
    }

    pub fn has(&self, service: &str) -> bool {
        self.services.split(',').any(|known| known.trim() == service)
    }

    /// The services without this one.
    pub fn services_without(&self, service: &str) -> Vec<&str> {
        let names = self.services.split(',').map(str::trim);
        names.filter(|&name| name != service && name != "plain").collect()
    }

    fn check(&self) -> Result<(), String> {
        if !(128..=BUFFER_MAX).contains(&self.buffer_octets) {
            return Err(format!("buffer_octets is {}: 128 to {BUFFER_MAX} are possible", self.buffer_octets));
        }
        if !(1..=CREDIT_MAX).contains(&self.credit) {
            return Err(format!("credit is {}: 1 to {CREDIT_MAX} are possible", self.credit));
        }
        if self.sessions == 0 {
            return Err("sessions is 0".to_owned());
        }
        if !is_positive(self.seconds) || !is_positive(self.octets_per_second) || self.octets == 0 {
            return Err(format!(
                "{} octets in {} s, {} a second: nothing was measured",
                self.octets, self.seconds, self.octets_per_second
            ));
        }
        if !(self.cpu_seconds >= 0.0 && self.cpu_seconds.is_finite()) {
            return Err(format!("cpu_seconds is {}", self.cpu_seconds));
        }
        let calculated = as_float(self.octets) / self.seconds;
        let ratio = calculated / self.octets_per_second;
        if !(0.5..=2.0).contains(&ratio) {
            return Err(format!(
                "octets_per_second is {:.0}, but {} octets in {} s are {calculated:.0}",
                self.octets_per_second, self.octets, self.seconds
            ));
        }
        Ok(())
    }
}

/// NaN is not.
fn is_positive(number: f64) -> bool {
    number > 0.0 && number.is_finite()
}

#[allow(clippy::cast_precision_loss, reason = "compared with what was measured")]
pub fn as_float(octets: u64) -> f64 {
    octets as f64
}

const FORMAT: &str = "odile-link-1";
const REMEDY: &str = "give what `odile link test HOST --output json` has written";
/// The largest that the protocol can say (RFC 5024 §5.3.2).
pub const BUFFER_MAX: u32 = 99_999;
pub const CREDIT_MAX: u32 = 999;

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn good() -> Value {
        json!({
            "format": "odile-link-1", "target": "beta", "something": {"new": [1]},
            "round_trip_ms": {"median": 20.1, "least": 20.0, "most": 22.3, "samples": 50},
            "runs": [{
                "direction": "send", "transport": "plain", "services": "plain", "buffer_octets": 99999, "credit": 999,
                "sessions": 1, "octets": 1000, "seconds": 2.0, "octets_per_second": 500.0,
                "predicted_octets_per_second": null, "cpu_seconds": 1.2, "limiter": "moon", "sentence": "x", "more": 1,
            }],
            "line_octets_per_second": null, "sessions_for_line_rate": null,
        })
    }

    #[test]
    fn what_is_not_known_is_passed_over() {
        let link = Link::parse(&good().to_string()).unwrap();
        assert_eq!(link.runs[0].limiter, Limiter::Other);
    }

    #[test]
    fn what_cannot_be_is_refused_with_a_reason() {
        for (pointer, value, expected) in [
            ("/format", json!("odile-link-2"), "its format is \"odile-link-2\""),
            ("/format", json!(null), "does not say that its format"),
            ("/runs", json!([]), "no runs"),
            ("/runs", json!(5), "invalid type"),
            ("/round_trip_ms/median", json!(0.0), "makes no sense"),
            ("/round_trip_ms/least", json!(20.2), "makes no sense"),
            ("/round_trip_ms/most", json!(20.0), "makes no sense"),
            ("/line_octets_per_second", json!(-1.0), "is no rate"),
            ("/sessions_for_line_rate", json!(0), "sessions_for_line_rate is 0"),
            ("/runs/0/buffer_octets", json!(127), "run 1: buffer_octets is 127"),
            ("/runs/0/buffer_octets", json!(100_000), "100000"),
            ("/runs/0/credit", json!(0), "credit is 0"),
            ("/runs/0/credit", json!(1000), "credit is 1000"),
            ("/runs/0/sessions", json!(0), "sessions is 0"),
            ("/runs/0/seconds", json!(0.0), "nothing was measured"),
            ("/runs/0/octets", json!(0), "nothing was measured"),
            ("/runs/0/octets", json!(-1), "invalid value"),
            ("/runs/0/cpu_seconds", json!(-0.1), "cpu_seconds is -0.1"),
            ("/runs/0/octets_per_second", json!(1001.0), "octets_per_second is 1001"),
            ("/runs/0/octets_per_second", json!(249.0), "octets_per_second is 249"),
            ("/runs/0/direction", json!("up"), "unknown variant"),
        ] {
            let mut link = good();
            *link.pointer_mut(pointer).unwrap() = value;
            let message = Link::parse(&link.to_string()).unwrap_err();
            assert!(message.contains(expected), "{pointer}: {message}");
        }
        assert!(Link::parse("{").unwrap_err().contains("it is no JSON"));
        assert!(
            Link::parse(&good().to_string().replace("\"limiter\"", "\"x\""))
                .unwrap_err()
                .contains("missing field")
        );
    }
}
