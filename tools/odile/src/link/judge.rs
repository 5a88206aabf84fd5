//! What limits a line, told from where the time went, and what a window can carry.

use odile_station::{Measured, Stage};

/// What limits a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limiter {
    /// The credit window for each round trip.
    Credit,
    /// The processor of this machine.
    Cpu,
    /// The disk of whoever receives.
    Disk,
    /// What lies between the two machines.
    Line,
    /// The processor of the other machine.
    Peer,
}

/// What was seen of one file.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    pub speaker: &'a Measured,
    /// None: the other side does not tell.
    pub listener: Option<&'a Measured>,
    pub we_send: bool,
    /// Share of its time that the busiest thread of this process was running, 0 to 1.
    pub busiest_thread: f64,
}

impl Limiter {
    pub fn name(self) -> &'static str {
        match self {
            Self::Credit => "credit",
            Self::Cpu => "cpu",
            Self::Disk => "disk",
            Self::Line => "line",
            Self::Peer => "peer",
        }
    }
}

/// The limiter, and a sentence about it.
pub fn judge(seen: &Seen<'_>) -> (Limiter, String) {
    let speaker = seen.speaker;
    let credit = speaker.share(Stage::Credit);
    let prepare = speaker.share(Stage::Prepare) + speaker.share(Stage::Tls);
    let socket = speaker.share(Stage::Socket);
    // Of whoever receives: how long nothing came.
    let starved = seen.listener.map(|listener| listener.share(Stage::Line));
    let is_listener_busy = starved.is_some_and(|starved| starved < BUSY_BELOW);
    if prepare >= credit && prepare >= socket {
        return processor(seen.we_send, prepare, "reading, sealing and framing the file");
    }
    let close = speaker.share(Stage::Close);
    if let Some(listener) = seen.listener.filter(|listener| !listener.stage(Stage::Disk).is_zero())
        && close >= credit.max(socket)
    {
        return disk_of(listener, close);
    }
    if is_listener_busy && let Some(listener) = seen.listener {
        return receiver(seen, listener);
    }
    if credit >= socket {
        let text = format!(
            "credit: for {} of the time the sender waited for new credit, that is for the round trip; a larger \
             window (credit x buffer) or more sessions help",
            percent(credit)
        );
        return (Limiter::Credit, text);
    }
    if seen.busiest_thread >= FULL_FROM {
        let text = format!(
            "processor of this machine: one thread was busy for {} of the time, mostly with sockets; more \
             sessions use more cores",
            percent(seen.busiest_thread)
        );
        return (Limiter::Cpu, text);
    }
    let waited = percent(socket);
    let text = match starved {
        Some(starved) => format!(
            "line: the sender waited for the socket for {waited} of the time, and the receiver for octets for {}",
            percent(starved)
        ),
        None => format!(
            "line, or the partner: the sender waited for the socket for {waited} of the time; the partner does not \
             tell which"
        ),
    };
    (Limiter::Line, text)
}

/// Whoever receives was hardly ever without octets.
fn receiver(seen: &Seen<'_>, listener: &Measured) -> (Limiter, String) {
    let disk = listener.share(Stage::Disk);
    if disk >= DISK_FROM && disk >= listener.share(Stage::Open) {
        return disk_of(listener, seen.speaker.share(Stage::Close));
    }
    processor(!seen.we_send, 1.0 - listener.share(Stage::Line), "receiving, opening and checking the file")
}

fn disk_of(listener: &Measured, close: f64) -> (Limiter, String) {
    let text = format!(
        "disk of the receiver: it was busy writing and syncing for {} of the time, and then the sender waited {} of \
         it until all was on disk; `odile link disk` shows what it can do",
        percent(listener.share(Stage::Disk)),
        percent(close)
    );
    (Limiter::Disk, text)
}

fn processor(is_ours: bool, share: f64, work: &str) -> (Limiter, String) {
    let share = percent(share);
    if is_ours {
        let text = format!(
            "processor of this machine: {share} of the time went into {work}; more workers, more sessions or fewer \
             services help"
        );
        (Limiter::Cpu, text)
    } else {
        (Limiter::Peer, format!("the other machine: {share} of the time went into its {work}"))
    }
}

/// Octets per second that a window can carry: it passes at `flow` octets per second, then a round trip passes until
/// there is new credit (RFC 5024 §5.3.2).
pub fn ceiling(window_octets: f64, flow: f64, round_trip_seconds: f64) -> f64 {
    window_octets / (window_octets / flow + round_trip_seconds)
}

#[allow(clippy::cast_precision_loss, reason = "compared with measurements")]
pub fn flow(speaker: &Measured) -> f64 {
    let waiting = speaker.stage(Stage::Credit) + speaker.stage(Stage::Close);
    let flowing = speaker.took.saturating_sub(waiting).as_secs_f64();
    speaker.octets as f64 / flowing.max(1e-9)
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share.clamp(0.0, 1.0) * 100.0)
}

/// A receiver that waits for octets less than this has its hands full.
const BUSY_BELOW: f64 = 0.25;
const DISK_FROM: f64 = 0.4;
const FULL_FROM: f64 = 0.85;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn measured(stages: &[(Stage, u64)]) -> Measured {
        Measured {
            octets: 1_000_000,
            took: Duration::from_millis(100),
            stages: stages.iter().map(|(stage, ms)| (*stage, Duration::from_millis(*ms))).collect(),
            buffer: None,
            stall: None,
        }
    }

    fn found(
        speaker: &[(Stage, u64)],
        listener: Option<&[(Stage, u64)]>,
        we_send: bool,
        thread: f64,
    ) -> Limiter {
        let (speaker, listener) = (measured(speaker), listener.map(measured));
        judge(&Seen { speaker: &speaker, listener: listener.as_ref(), we_send, busiest_thread: thread }).0
    }

    #[test]
    fn names_who_is_waited_for() {
        use Stage::{Close, Compare, Credit, Disk, Line, Open, Prepare, Socket, Tls};
        assert_eq!(found(&[(Credit, 70), (Socket, 20)], Some(&[(Line, 90)]), true, 0.3), Limiter::Credit);
        assert_eq!(found(&[(Prepare, 80), (Tls, 10)], Some(&[(Line, 90)]), true, 0.3), Limiter::Cpu);
        assert_eq!(found(&[(Prepare, 80), (Tls, 10)], None, false, 0.3), Limiter::Peer);
        let idle: &[(Stage, u64)] = &[(Line, 80), (Compare, 10)];
        assert_eq!(found(&[(Socket, 90)], Some(idle), true, 0.3), Limiter::Line);
        assert_eq!(found(&[(Socket, 90)], Some(idle), true, 0.95), Limiter::Cpu);
        assert_eq!(found(&[(Socket, 90)], None, true, 0.3), Limiter::Line);
        let writing: &[(Stage, u64)] = &[(Line, 5), (Disk, 90)];
        assert_eq!(found(&[(Socket, 90)], Some(writing), true, 0.3), Limiter::Disk);
        assert_eq!(found(&[(Socket, 20), (Close, 70)], Some(writing), true, 0.3), Limiter::Disk);
        let opening: &[(Stage, u64)] = &[(Line, 5), (Open, 90), (Disk, 50)];
        assert_eq!(found(&[(Socket, 90), (Close, 5)], Some(opening), true, 0.3), Limiter::Peer);
        // Who is slow to give credit because it is busy is no long line.
        assert_eq!(found(&[(Credit, 90)], Some(opening), true, 0.3), Limiter::Peer);
        assert_eq!(found(&[(Socket, 90)], Some(opening), false, 0.3), Limiter::Cpu);
    }

    #[test]
    fn a_window_passes_and_then_a_round_trip() {
        // 100 MB at 1 GB/s are 0.1 s; with 0.1 s of round trip half of it is left.
        assert!((ceiling(1e8, 1e9, 0.1) - 5e8).abs() < 1.0);
        assert!((ceiling(1e8, 1e9, 0.0) - 1e9).abs() < 1.0);
        let speaker = measured(&[(Stage::Credit, 50), (Stage::Close, 25), (Stage::Socket, 25)]);
        assert!((flow(&speaker) - 4e7).abs() < 1.0);
    }
}
