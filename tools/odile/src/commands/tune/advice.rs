//! What follows from a measured line, each with its reason; nothing that does not.

use serde::Serialize;

use super::link::{BUFFER_MAX, CREDIT_MAX, Direction, Limiter, Link, Run, Transport, as_float};
use crate::size::{megabytes, rate};

/// One recommendation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Advice {
    pub kind: Kind,
    /// What it is about.
    pub what: &'static str,
    /// A flag, a line of a partner file, or a command.
    pub how: String,
    pub reason: String,
    /// The line for `[session]` of the partner's file, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partner_file: Option<String>,
}

/// How sure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Set it.
    Set,
    /// It is right as it is.
    Keep,
    /// The numbers do not tell: measure this next.
    Measure,
}

/// The third numbers of `tcp_rmem` and `tcp_wmem` of this machine, octets.
#[derive(Debug, Clone, Copy, Default)]
pub struct SocketLimits {
    pub receive: Option<u64>,
    pub send: Option<u64>,
}

/// What follows from the numbers.
pub fn advise(link: &Link, limits: SocketLimits) -> Vec<Advice> {
    let mut advice = Vec::new();
    for direction in [Direction::Send, Direction::Receive] {
        let runs: Vec<&Run> = link.runs.iter().filter(|run| run.direction == direction).collect();
        let Some(fastest) = fastest(&runs) else { continue };
        // Each session has a window of its own: the fewest show best what it does.
        window(link, &runs, fewest(&runs, fastest), &mut advice);
        sessions(link, &runs, fastest, &mut advice);
        transport(&runs, &mut advice);
        compression(&runs, fastest, &mut advice);
        sockets(link, fastest, limits, &mut advice);
        limiter(link, fastest, &mut advice);
    }
    // Both directions may have come to the same.
    let mut seen: Vec<Advice> = Vec::new();
    for one in advice {
        if !seen.iter().any(|known| known.what == one.what && known.how == one.how && known.kind == one.kind)
        {
            seen.push(one);
        }
    }
    seen
}

impl Advice {
    fn new(kind: Kind, what: &'static str, how: impl Into<String>, reason: String) -> Self {
        Self { kind, what, how: how.into(), reason, partner_file: None }
    }
}

/// Credit × buffer for each round trip, and early credit.
fn window(link: &Link, runs: &[&Run], run: &Run, advice: &mut Vec<Advice>) {
    let widest = f64::from(BUFFER_MAX) * f64::from(CREDIT_MAX);
    let seconds = link.round_trip_ms.median / 1e3;
    let is_widest = run.window() >= widest;
    let was = described(run);
    if run.limiter != Limiter::Credit {
        let narrower = runs.iter().filter(|other| {
            is_like(other, run, Apart::Window)
                && other.window() < run.window()
                && other.octets_per_second * NOTICEABLE < run.octets_per_second
        });
        if let (true, Some(slower)) = (is_widest, slowest(&narrower.copied().collect::<Vec<_>>())) {
            let how = "leave --buffer-size and --credit out";
            let reason =
                format!("{was}; with {}, it was {}", window_of(slower), per_second(slower.octets_per_second));
            advice.push(Advice::new(Kind::Keep, "window", how, reason));
        }
        return;
    }
    let bound = format!(
        "{was}, and waited for credit: {} for each round trip of {:.1} ms are at most {}",
        window_of(run),
        link.round_trip_ms.median,
        per_second(run.window() / seconds)
    );
    if is_widest {
        advice.push(Advice {
            partner_file: Some("early_credit = true".to_owned()),
            ..Advice::new(
                Kind::Set,
                "early credit",
                "early_credit = true in [session] of the partner's file, or --early-credit on",
                format!(
                    "{bound}; there is no larger window. Only if the partner runs Odile and sets it, too"
                ),
            )
        });
        return;
    }
    let reason = format!(
        "{bound}; {CREDIT_MAX} buffers of {BUFFER_MAX} octets allow {} as often. The smaller offer of both sides counts",
        volume(widest)
    );
    let how = format!("--buffer-size {BUFFER_MAX} --credit {CREDIT_MAX}");
    advice.push(Advice {
        partner_file: Some(format!("buffer_size = {BUFFER_MAX}\ncredit = {CREDIT_MAX}")),
        ..Advice::new(Kind::Set, "window", how, reason)
    });
}

/// How many at the same time.
fn sessions(link: &Link, runs: &[&Run], fastest: &Run, advice: &mut Vec<Advice>) {
    let alike: Vec<&Run> =
        runs.iter().filter(|run| is_like(run, fastest, Apart::Sessions)).copied().collect();
    let fewest = fewest(runs, fastest);
    let enough = alike
        .iter()
        .filter(|run| run.octets_per_second * NOTICEABLE >= fastest.octets_per_second)
        .min_by_key(|run| run.sessions)
        .copied()
        .unwrap_or(fastest);
    let several = "a station has one call to a partner at a time: the partner calls as well, or files go from several \
                   stations (--home), each with a code of its own";
    if enough.sessions > fewest.sessions {
        let reason = format!(
            "{} with {} and {} with {}; {several}",
            per_second(fewest.octets_per_second),
            count(fewest.sessions),
            per_second(enough.octets_per_second),
            count(enough.sessions)
        );
        let number = enough.sessions;
        advice.push(Advice::new(Kind::Set, "sessions", format!("{number} at the same time"), reason));
        let reason = format!("{} that run at the same time have a core each", count(number));
        advice.push(Advice::new(Kind::Set, "shards", format!("--shards {number}"), reason));
        return;
    }
    if alike.iter().any(|run| run.sessions > fewest.sessions) {
        let reason = format!("{}; more at the same time were not faster", described(fewest));
        advice.push(Advice::new(
            Kind::Keep,
            "sessions",
            format!("{} at the same time", fewest.sessions),
            reason,
        ));
        return;
    }
    if !matches!(fastest.limiter, Limiter::Credit | Limiter::Cpu) {
        return;
    }
    match link.line_octets_per_second {
        // Sessions do not share a window, and so they add up to what the line carries.
        Some(line) if fastest.limiter == Limiter::Credit && line > fastest.octets_per_second * NOTICEABLE => {
            let each = fastest.octets_per_second / f64::from(fastest.sessions);
            let number = (line / each).ceil();
            let reason = format!(
                "the line carries {}, and a session {} of it, since it waits for credit; {several}",
                per_second(line),
                per_second(each)
            );
            advice.push(Advice::new(Kind::Set, "sessions", format!("{number} at the same time"), reason));
        }
        _ => {
            let reason =
                format!("only {} were measured, and {}", count(fastest.sessions), waits(fastest.limiter));
            advice.push(Advice::new(Kind::Measure, "sessions", "odile link test --sessions 1,2,4", reason));
        }
    }
}

/// What TLS costs.
fn transport(runs: &[&Run], advice: &mut Vec<Advice>) {
    let pairs = runs.iter().filter(|run| run.transport == Transport::Tls).filter_map(|tls| {
        let plain = runs.iter().find(|plain| {
            plain.transport == Transport::Plain
                && plain.services == tls.services
                && plain.sessions == tls.sessions
                && (plain.buffer_octets, plain.credit) == (tls.buffer_octets, tls.credit)
        })?;
        Some((*tls, *plain))
    });
    let Some((tls, plain)) =
        pairs.max_by(|(one, _), (other, _)| one.octets_per_second.total_cmp(&other.octets_per_second))
    else {
        return;
    };
    let numbers = format!(
        "{} over TLS, {} without",
        per_second(tls.octets_per_second),
        per_second(plain.octets_per_second)
    );
    let what = "tls";
    if tls.octets_per_second * NOTICEABLE >= plain.octets_per_second {
        let reason = format!("{numbers}: no difference that counts");
        advice.push(Advice::new(Kind::Set, what, "use it", reason));
    } else {
        let lost = 100.0 * (1.0 - tls.octets_per_second / plain.octets_per_second);
        let reason = format!(
            "{numbers}: it costs {lost:.0} % here, and {}. Whether the line may do without is no question of speed",
            waits(tls.limiter)
        );
        advice.push(Advice::new(Kind::Keep, what, "as agreed with the partner", reason));
    }
}

/// Whether it makes files pass faster.
fn compression(runs: &[&Run], fastest: &Run, advice: &mut Vec<Advice>) {
    let pairs = runs.iter().filter(|run| run.has("compress")).filter_map(|with| {
        let without = runs.iter().find(|without| {
            !without.has("compress")
                && without.services_without("compress") == with.services_without("compress")
                && is_like(without, with, Apart::Services)
        })?;
        Some((*with, *without))
    });
    let best = pairs.max_by(|(one, _), (other, _)| one.octets_per_second.total_cmp(&other.octets_per_second));
    let Some((with, without)) = best else {
        if matches!(fastest.limiter, Limiter::Line | Limiter::Credit) && !fastest.has("compress") {
            let reason = format!(
                "{}, and the processor was not: it could make fewer octets of them",
                waits(fastest.limiter)
            );
            let how = "odile link test --services none,compress";
            advice.push(Advice::new(Kind::Measure, "compression", how, reason));
        }
        return;
    };
    let numbers = format!(
        "{} with it, {} without, of the content that was measured; yours may be other",
        per_second(with.octets_per_second),
        per_second(without.octets_per_second)
    );
    if with.octets_per_second > without.octets_per_second * NOTICEABLE {
        let how = "--compress, or compress = \"preferred\" in [send] of the partner's file";
        advice.push(Advice::new(Kind::Set, "compression", how, numbers));
    } else if with.octets_per_second * NOTICEABLE < without.octets_per_second {
        let reason = format!("{numbers}. It still saves octets on a line that is paid for");
        advice.push(Advice::new(Kind::Keep, "compression", "do without", reason));
    }
}

/// What is on its way at full speed, against what the kernel allows a connection.
fn sockets(link: &Link, fastest: &Run, limits: SocketLimits, advice: &mut Vec<Advice>) {
    let (limit, name, flag) = match fastest.direction {
        Direction::Send => (limits.send, "net.ipv4.tcp_wmem", "--send-buffer"),
        Direction::Receive => (limits.receive, "net.ipv4.tcp_rmem", "--receive-buffer"),
    };
    let Some(limit) = limit else { return };
    let speed = link.line_octets_per_second.unwrap_or(0.0).max(fastest.octets_per_second);
    let on_its_way = speed * link.round_trip_ms.median / 1e3;
    // Of one session; the kernel counts its own part of each packet, too.
    let needed = (on_its_way / f64::from(fastest.sessions) * KERNEL_SHARE).max(1.0);
    let reason = format!(
        "{} at round trips of {:.1} ms are {} on their way; the kernel counts about twice that, {} for each of {}, \
         and here it allows {}",
        per_second(speed),
        link.round_trip_ms.median,
        volume(on_its_way),
        volume(needed),
        count(fastest.sessions),
        volume(as_float(limit))
    );
    if needed > as_float(limit) * NEARLY {
        let (mut wanted, most) = (1_u64 << 20, 1_u64 << 31);
        while as_float(wanted) < needed && wanted < most {
            wanted *= 2;
        }
        let how =
            format!("{name}: third number {wanted}; odile tune apply --preset wan-100ms sets 268435456");
        let reason =
            format!("{reason}. At the other end the same holds for the other one of tcp_rmem and tcp_wmem");
        advice.push(Advice::new(Kind::Set, "socket buffers", how, reason));
    } else {
        advice.push(Advice::new(Kind::Keep, "socket buffers", format!("leave {flag} out"), reason));
    }
}

/// What else is known of whatever limits it.
fn limiter(link: &Link, fastest: &Run, advice: &mut Vec<Advice>) {
    let cores = fastest.cpu_seconds / fastest.seconds;
    let was = described(fastest);
    match fastest.limiter {
        Limiter::Cpu if fastest.services == "plain" => {
            let reason =
                format!("{was}, and {cores:.1} cores were busy: polling spares system calls for a core more");
            advice.push(Advice::new(Kind::Measure, "processor", "odile link test --sqpoll 10", reason));
        }
        Limiter::Cpu => {
            let reason =
                format!("{was}, and {cores:.1} cores were busy: envelopes are made by workers, 2 by default");
            advice.push(Advice::new(Kind::Measure, "workers", "odile link test --workers 4", reason));
        }
        Limiter::Disk => {
            let reason = format!("{was}, and the disk of whoever receives was full");
            advice.push(Advice::new(
                Kind::Measure,
                "disk",
                "odile link disk PATH; odile tune check PATH",
                reason,
            ));
        }
        Limiter::Peer => {
            let reason = format!("{was}, and the other machine took no more: nothing that is set here helps");
            advice.push(Advice::new(Kind::Keep, "this side", "as it is", reason));
        }
        Limiter::Line if link.round_trip_ms.median >= LONG_MS => {
            let reason =
                format!("{was}, and the line limits it, which is long: loss may be taken for a full line");
            let how = "odile link test --congestion bbr (and cubic)";
            advice.push(Advice::new(Kind::Measure, "congestion control", how, reason));
        }
        Limiter::Line => {
            let reason = format!("{was}, and that is what the line carries");
            advice.push(Advice::new(Kind::Keep, "this side", "as it is", reason));
        }
        Limiter::Credit | Limiter::Other => {}
    }
}

/// In what two runs may differ.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Apart {
    Window,
    Sessions,
    Services,
}

fn is_like(one: &Run, other: &Run, apart: Apart) -> bool {
    let window = |run: &Run| (run.buffer_octets, run.credit);
    one.transport == other.transport
        && (apart == Apart::Window || window(one) == window(other))
        && (apart == Apart::Sessions || one.sessions == other.sessions)
        && (apart == Apart::Services || one.services == other.services)
}

fn fastest<'a>(runs: &[&'a Run]) -> Option<&'a Run> {
    runs.iter().max_by(|one, other| one.octets_per_second.total_cmp(&other.octets_per_second)).copied()
}

/// Of those that differ in sessions only, the one with the fewest.
fn fewest<'a>(runs: &[&'a Run], like: &'a Run) -> &'a Run {
    let alike = runs.iter().filter(|run| is_like(run, like, Apart::Sessions));
    alike.min_by_key(|run| run.sessions).copied().unwrap_or(like)
}

fn slowest<'a>(runs: &[&'a Run]) -> Option<&'a Run> {
    runs.iter().min_by(|one, other| one.octets_per_second.total_cmp(&other.octets_per_second)).copied()
}

fn described(run: &Run) -> String {
    let way = match run.direction {
        Direction::Send => "sending",
        Direction::Receive => "receiving",
    };
    format!("{way} was {} with {}", per_second(run.octets_per_second), count(run.sessions))
}

fn window_of(run: &Run) -> String {
    format!("{} buffers of {} octets", run.credit, run.buffer_octets)
}

const fn waits(limiter: Limiter) -> &'static str {
    match limiter {
        Limiter::Credit => "credit was the limit",
        Limiter::Cpu => "the processor was the limit",
        Limiter::Disk => "the disk was the limit",
        Limiter::Line => "the line was the limit",
        Limiter::Peer => "the other machine was the limit",
        Limiter::Other => "something else was the limit",
    }
}

fn count(sessions: u32) -> String {
    if sessions == 1 { "1 session".to_owned() } else { format!("{sessions} sessions") }
}

fn per_second(octets: f64) -> String {
    rate(whole(octets), 1.0)
}

fn volume(octets: f64) -> String {
    format!("{:.1} MB", megabytes(whole(octets)))
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "shown with three digits; never negative"
)]
fn whole(octets: f64) -> u64 {
    octets as u64
}

/// Less than 5 % is within what repeated measurements differ by.
const NOTICEABLE: f64 = 1.05;
/// Of a socket's buffer about half is data.
const KERNEL_SHARE: f64 = 2.0;
/// So close to the limit, it may have been what limited.
const NEARLY: f64 = 0.9;
/// Above that, a line leaves the town.
const LONG_MS: f64 = 20.0;

#[cfg(test)]
mod tests;
