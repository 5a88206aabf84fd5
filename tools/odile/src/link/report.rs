//! What was measured, for people and for programs.

use std::fmt::Write;
use std::time::Duration;

use odile_station::partner::Transport;
use odile_station::{Measured, Spread};
use serde_json::{Value, json};

use super::note::services_text;
use super::tester::{Point, RoundTrip, Run};
use crate::cli::Direction;
use crate::size::rate;

pub struct Report {
    pub target: String,
    pub round_trip: RoundTrip,
    pub runs: Vec<Run>,
}

impl Report {
    /// The most that was measured, with any number of sessions.
    fn line_rate(&self) -> Option<f64> {
        let several = self.runs.iter().any(|run| run.point.sessions > 1);
        several.then(|| self.runs.iter().map(Run::octets_per_second).fold(0.0, f64::max))
    }

    /// The fewest sessions that came close to it.
    fn sessions_for_line_rate(&self) -> Option<u16> {
        let line = self.line_rate()?;
        let close = self.runs.iter().filter(|run| run.octets_per_second() >= CLOSE * line);
        close.map(|run| run.point.sessions).min()
    }

    pub fn text(&self) -> String {
        let mut text = String::new();
        let RoundTrip { least, median, most, samples } = self.round_trip;
        let _ = writeln!(
            text,
            "{}: round trip {} (least {}, most {}, {samples} samples)\n",
            self.target,
            time(median),
            time(least),
            time(most)
        );
        let _ = writeln!(
            text,
            "{:<8} {:<5} {:<22} {:>6} {:>6} {:>4} {:>11} {:>11} {:>8} {:>7}",
            "way",
            "line",
            "services",
            "buffer",
            "credit",
            "sess",
            "measured",
            "predicted",
            "CPU s/GB",
            "limit"
        );
        for run in &self.runs {
            let point = &run.point;
            let _ = writeln!(
                text,
                "{:<8} {:<5} {:<22} {:>6} {:>6} {:>4} {:>11} {:>11} {:>8.2} {:>7}",
                way(point.direction),
                line(point.transport),
                services_text(point.services),
                run.agreed.0,
                run.agreed.1,
                point.sessions,
                per_second(run.octets_per_second()),
                run.predicted.map_or_else(|| "-".to_owned(), per_second),
                cpu_per_gb(run),
                run.limiter.name()
            );
        }
        for run in &self.runs {
            let _ = writeln!(text, "\n{}\n  {}", described(&run.point), run.sentence);
            let _ = writeln!(text, "  sender    {}", run.speaker);
            if let Some(listener) = &run.listener {
                let _ = writeln!(text, "  receiver  {listener}");
            }
            for (name, spread) in [("buffer", run.speaker.buffer), ("stall", run.speaker.stall)] {
                if let Some(spread) = spread {
                    let _ = writeln!(text, "  {name:<9} {}", spread_text(&spread));
                }
            }
        }
        if let (Some(line), Some(sessions)) = (self.line_rate(), self.sessions_for_line_rate()) {
            let _ = writeln!(
                text,
                "\nThe most was {}; {sessions} session(s) come within 5 % of it.",
                per_second(line)
            );
        }
        text
    }

    pub fn json(&self) -> Value {
        let RoundTrip { least, median, most, samples } = self.round_trip;
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        json!({
            "format": "odile-link-1",
            "target": self.target,
            "round_trip_ms": { "median": ms(median), "least": ms(least), "most": ms(most), "samples": samples },
            "runs": self.runs.iter().map(run_json).collect::<Vec<_>>(),
            "line_octets_per_second": self.line_rate(),
            "sessions_for_line_rate": self.sessions_for_line_rate(),
        })
    }
}

fn run_json(run: &Run) -> Value {
    let point = &run.point;
    json!({
        "direction": way(point.direction),
        "transport": line(point.transport),
        "services": match services_text(point.services).as_str() {
            "none" => "plain".to_owned(),
            some => some.replace('+', ","),
        },
        "buffer_octets": run.agreed.0,
        "credit": run.agreed.1,
        "sessions": point.sessions,
        "octets": run.octets,
        "transmitted_octets": run.speaker.octets,
        "seconds": run.seconds,
        "octets_per_second": run.octets_per_second(),
        "predicted_octets_per_second": run.predicted,
        "cpu_seconds": run.processor_seconds,
        "limiter": run.limiter.name(),
        "sentence": run.sentence,
        "sender": measured_json(&run.speaker),
        "receiver": run.listener.as_ref().map(measured_json),
    })
}

fn measured_json(measured: &Measured) -> Value {
    let spread = |spread: &Option<Spread>| {
        spread.map(|spread| {
            json!({
                "count": spread.count,
                "least_us": micros(spread.least), "median_us": micros(spread.median),
                "p99_us": micros(spread.p99), "most_us": micros(spread.most),
            })
        })
    };
    let stages: serde_json::Map<String, Value> = measured
        .stages
        .iter()
        .map(|(stage, time)| (stage.to_string().to_lowercase(), json!(time.as_secs_f64())))
        .collect();
    json!({
        "seconds": measured.took.as_secs_f64(),
        "stage_seconds": stages,
        "buffer": spread(&measured.buffer),
        "credit_stall": spread(&measured.stall),
    })
}

/// One line about a run.
pub fn summary(run: &Run) -> String {
    format!("{}; {}", per_second(run.octets_per_second()), run.sentence)
}

pub fn described(point: &Point) -> String {
    format!(
        "{} over {}, {}, buffer {}, credit {}, {} session(s)",
        way(point.direction),
        line(point.transport),
        services_text(point.services),
        point.buffer_octets,
        point.credit,
        point.sessions
    )
}

/// How much content an octet on the line stands for.
#[allow(clippy::cast_precision_loss, reason = "a ratio")]
pub fn share_of(content: u64, transmitted: u64) -> f64 {
    content as f64 / (transmitted as f64).max(1.0)
}

#[allow(clippy::cast_precision_loss, reason = "shown with three digits")]
fn cpu_per_gb(run: &Run) -> f64 {
    run.processor_seconds / (run.octets as f64 / 1e9).max(1e-9)
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate is positive and far below 2^64"
)]
pub fn per_second(octets: f64) -> String {
    rate(octets as u64, 1.0)
}

fn spread_text(spread: &Spread) -> String {
    let Spread { count, least, median, p99, most } = *spread;
    format!(
        "{count} times: least {}, median {}, 99 % {}, most {}",
        time(least),
        time(median),
        time(p99),
        time(most)
    )
}

fn time(time: Duration) -> String {
    match time.as_secs_f64() {
        seconds if seconds >= 1.0 => format!("{seconds:.2} s"),
        seconds if seconds >= 1e-3 => format!("{:.2} ms", seconds * 1e3),
        seconds => format!("{:.1} us", seconds * 1e6),
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

pub fn way(direction: Direction) -> &'static str {
    match direction {
        Direction::Send => "send",
        Direction::Receive => "receive",
    }
}

pub fn line(transport: Transport) -> &'static str {
    match transport {
        Transport::Plain => "plain",
        Transport::Tls => "tls",
    }
}

/// Within so much of the line's rate, more sessions are not worth it.
const CLOSE: f64 = 0.95;
