//! The near end: sends and asks for files, and puts together what both ends saw.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::thread;
use std::time::{Duration, Instant};

use odile_station::catalog::TransferRef;
use odile_station::partner::{BufferSize, CreditWindow, Transport};
use odile_station::{Event, Listen, Measured, Options, Stage, StationError, Target};

use super::judge::{self, Limiter, Seen};
use super::kit::Kit;
use super::note;
use super::side::{self, CODE_SERVER, CONTENT, Peer, Processor, Side, code_of};
use crate::cli::{Direction, LinkServices};
use crate::exit::Failure;
use crate::signals::Interrupt;

/// Where the far end is.
pub struct Far {
    pub plain: String,
    pub tls: Option<String>,
    pub kit: Option<Kit>,
}

/// One thing to measure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    pub direction: Direction,
    pub transport: Transport,
    pub services: LinkServices,
    pub buffer_octets: u32,
    pub credit: u16,
    pub sessions: u16,
}

/// What was measured.
pub struct Run {
    pub point: Point,
    /// What was agreed on: the far end may allow less.
    pub agreed: Agreed,
    /// Octets of source, in all sessions.
    pub octets: u64,
    /// From the first SFPA to the last EFID, about.
    pub seconds: f64,
    pub processor_seconds: f64,
    pub predicted: Option<f64>,
    pub limiter: Limiter,
    pub sentence: String,
    /// Of the first session.
    pub speaker: Measured,
    pub listener: Option<Measured>,
}

/// Round trips of the protocol: from SSID to its answer.
#[derive(Debug, Clone, Copy)]
pub struct RoundTrip {
    pub least: Duration,
    pub median: Duration,
    pub most: Duration,
    pub samples: usize,
}

pub struct Tester<'a> {
    pub far: Far,
    pub options: Options,
    pub interrupt: &'a Interrupt,
}

/// What was agreed on: octets of a buffer, and credit.
type Agreed = (u32, u16);

/// One file.
struct Passed {
    agreed: Agreed,
    speaker: Measured,
    listener: Option<Measured>,
}

impl Passed {
    /// Until the last octet had arrived; where it is written, until all of it was.
    fn took(&self) -> Duration {
        let sent = self.speaker.took.saturating_sub(self.speaker.stage(Stage::Close));
        match &self.listener {
            Some(listener) if !listener.stage(Stage::Disk).is_zero() => self.speaker.took,
            Some(listener) => sent.max(listener.took),
            None => sent,
        }
    }
}

impl Run {
    #[allow(clippy::cast_precision_loss, reason = "shown with three digits")]
    pub fn octets_per_second(&self) -> f64 {
        self.octets as f64 / self.seconds.max(1e-9)
    }
}

impl Tester<'_> {
    /// Opens sessions one after another, with nothing to send.
    pub fn round_trip(&self, transport: Transport) -> Result<RoundTrip, Failure> {
        let point = Point::base(Direction::Send, transport);
        let side = self.side(&point, 1)?;
        let mut times = Vec::new();
        for _ in 0..ROUND_TRIPS {
            self.interrupt.check()?;
            call(&side)?;
            let time = side.wait(ANSWER_LIMIT, |event| match event {
                Event::SessionOpened { round_trip, .. } => Some(round_trip.unwrap_or_default()),
                _ => None,
            })?;
            times.push(time.ok_or_else(|| no_answer(ANSWER_LIMIT))?);
        }
        times.sort();
        let at = |index: usize| times.get(index).copied().unwrap_or_default();
        let samples = times.len();
        Ok(RoundTrip { least: at(0), median: at(samples / 2), most: at(samples.saturating_sub(1)), samples })
    }

    /// Lets files of so many octets pass, one in each session.
    pub fn run(&self, point: Point, octets: u64) -> Result<Run, Failure> {
        let sides: Vec<Side> =
            (1..=point.sessions).map(|number| self.side(&point, number)).collect::<Result<_, _>>()?;
        let before = Processor::now();
        let began = Instant::now();
        // They live on until the threads were looked at.
        let (passed, sides): (Vec<_>, Vec<_>) = thread::scope(|scope| {
            let pass = |side: Side| (self.pass(&side, &point, octets), Some(side));
            let running: Vec<_> = sides.into_iter().map(|side| scope.spawn(move || pass(side))).collect();
            let failed = || (Err(Failure::refused("a thread of the measurement failed")), None);
            running.into_iter().map(|thread| thread.join().unwrap_or_else(|_| failed())).unzip()
        });
        let (processor_seconds, busiest_thread) = Processor::now().since(&before);
        drop(sides);
        let wall = began.elapsed().as_secs_f64();
        let mut all = Vec::new();
        let mut agreed = (0, 0);
        for one in passed {
            let passed = one?;
            agreed = passed.agreed;
            all.push(passed);
        }
        let seconds = all.iter().map(Passed::took).max().unwrap_or_default().as_secs_f64();
        let Some(first) = all.into_iter().next() else {
            return Err(Failure::refused("nothing was measured"));
        };
        let seen = Seen {
            speaker: &first.speaker,
            listener: first.listener.as_ref(),
            we_send: point.direction == Direction::Send,
            busiest_thread: busiest_thread / wall.max(1e-9),
        };
        let (limiter, sentence) = judge::judge(&seen);
        Ok(Run {
            point,
            agreed,
            octets: octets * u64::from(point.sessions),
            seconds,
            processor_seconds,
            predicted: None,
            limiter,
            sentence,
            speaker: first.speaker,
            listener: first.listener,
        })
    }

    fn side(&self, point: &Point, number: u16) -> Result<Side, Failure> {
        let address = match point.transport {
            Transport::Plain => Some(self.far.plain.clone()),
            Transport::Tls => self.far.tls.clone(),
        };
        let address =
            address.ok_or_else(|| Failure::usage("TLS needs --kit FILE, the same file on both sides"))?;
        let peer = Peer {
            name: PEER.to_owned(),
            code: CODE_SERVER.to_owned(),
            address: Some(address),
            transport: point.transport,
        };
        let mut options = Options { target: Target::Check(CONTENT), ..self.options.clone() };
        options.session.buffer_size = BufferSize::try_from(i64::from(point.buffer_octets)).ok();
        options.session.credit = CreditWindow::try_from(i64::from(point.credit)).ok();
        if let Some(cpu) = nth(&options.cpus, usize::from(number - 1)) {
            options.cpus = vec![cpu];
        }
        let code = code_of(point.transport, number);
        Side::start(None, &code, &[peer], self.far.kit.as_ref(), options, Listen::NOWHERE)
    }

    /// One file in one session.
    fn pass(&self, side: &Side, point: &Point, octets: u64) -> Result<Passed, Failure> {
        let handle = side.handle();
        let mut agreed = (point.buffer_octets, point.credit);
        let mut note_terms = |event: &Event| {
            if let Event::SessionOpened { buffer_size, credit, .. } = event {
                agreed = (*buffer_size, *credit);
            }
        };
        if point.direction == Direction::Send {
            let name = side::new_name(note::DATA);
            let queued = handle.send(&side::request(PEER, name.clone(), octets, point.services, None))?;
            let transfer = TransferRef::Outbound(queued.id);
            let speaker = self.wait(side, FILE_LIMIT, |event| {
                note_terms(event);
                side::measured(event, transfer)
            })?;
            let speaker = speaker.ok_or_else(|| no_answer(FILE_LIMIT))?;
            let listener = self.fetch_report(side, &name)?;
            return Ok(Passed { agreed, speaker, listener });
        }
        let name = side::new_name(note::DATA);
        let wish = note::request(octets, point.services, &name);
        let asking = side::new_name(note::SEND);
        handle.send(&side::request(PEER, asking, 1, LinkServices::default(), Some(wish)))?;
        let coming = self.fetch(side, ANSWER_LIMIT, |event| {
            note_terms(event);
            match event {
                Event::Receiving { transfer, dataset_name, .. } if note::name_of(dataset_name) == name => {
                    Some(*transfer)
                }
                _ => None,
            }
        })?;
        let coming = coming.ok_or_else(|| {
            let text = "the far end did not send what it was asked for: does it have the same kit, and do both take \
                        the same terms?";
            Failure::refused(text)
        })?;
        let listener = self.wait(side, FILE_LIMIT, |event| side::measured(event, coming))?;
        let listener = listener.ok_or_else(|| no_answer(FILE_LIMIT))?;
        let speaker = self.fetch_report(side, &name)?;
        let speaker = speaker.ok_or_else(|| Failure::refused("the far end did not tell what it measured"))?;
        Ok(Passed { agreed, speaker, listener: Some(listener) })
    }

    /// As [`Side::wait`], and ends when the program is to end.
    fn wait<T>(
        &self,
        side: &Side,
        limit: Duration,
        mut wanted: impl FnMut(&Event) -> Option<T>,
    ) -> Result<Option<T>, Failure> {
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            self.interrupt.check()?;
            if let Some(found) = side.wait(CALL_EVERY, &mut wanted)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn fetch_report(&self, side: &Side, of: &str) -> Result<Option<Measured>, Failure> {
        self.fetch(side, REPORT_LIMIT, |event| match event {
            Event::Receiving { dataset_name, description, .. } if dataset_name.starts_with(note::REPORT) => {
                note::read_report(of, description)
            }
            _ => None,
        })
    }

    /// Calls the far end until it sends what is looked for: it cannot call us.
    fn fetch<T>(
        &self,
        side: &Side,
        limit: Duration,
        mut wanted: impl FnMut(&Event) -> Option<T>,
    ) -> Result<Option<T>, Failure> {
        let deadline = Instant::now() + limit;
        let mut is_open = true;
        loop {
            self.interrupt.check()?;
            let found = side.wait(CALL_EVERY, |event| {
                match event {
                    Event::SessionOpened { .. } => is_open = true,
                    // One that ended otherwise ends the wait.
                    Event::SessionEnded { .. } if !event.is_trouble() => is_open = false,
                    _ => {}
                }
                wanted(event).map(Some).or_else(|| (!is_open).then_some(None))
            })?;
            match found {
                Some(Some(found)) => return Ok(Some(found)),
                _ if Instant::now() >= deadline => return Ok(None),
                Some(None) => {
                    thread::sleep(CALL_EVERY);
                    is_open = true;
                    // It ends when nothing more is to be said; what came shows in the events.
                    call(side)?;
                }
                None => {}
            }
        }
    }
}

impl Point {
    /// What everything else is compared with.
    pub fn base(direction: Direction, transport: Transport) -> Self {
        Self {
            direction,
            transport,
            services: LinkServices::default(),
            buffer_octets: 99_999,
            credit: 999,
            sessions: 1,
        }
    }

    /// Octets that one session may send for each round trip.
    pub fn window_octets(&self) -> f64 {
        f64::from(self.buffer_octets) * f64::from(self.credit)
    }
}

/// `HOST` or `HOST:PORT`, resolved once, so that a wrong name shows before anything is started.
pub fn resolve(target: &str, port: u16) -> Result<SocketAddr, Failure> {
    // The last group of an IPv6 address is no port.
    if target.parse::<IpAddr>().is_err()
        && let Ok(found) = target.to_socket_addrs()
    {
        return chosen(target, found.collect());
    }
    resolve_host(target, port)
}

/// The same, for a host alone.
pub fn resolve_host(host: &str, port: u16) -> Result<SocketAddr, Failure> {
    let found = (host, port).to_socket_addrs();
    chosen(host, found.map_err(|error| Failure::unreachable(format!("{host}: {error}")))?.collect())
}

fn chosen(host: &str, found: Vec<SocketAddr>) -> Result<SocketAddr, Failure> {
    // `odile link serve` listens on IPv4, if it is not told otherwise.
    let chosen = found.iter().find(|address| address.is_ipv4()).or(found.first());
    chosen.copied().ok_or_else(|| Failure::unreachable(format!("{host} has no address")))
}

fn call(side: &Side) -> Result<(), Failure> {
    match side.handle().call(PEER) {
        Ok(_) => Ok(()),
        Err(StationError::CannotSend(text)) => {
            Err(Failure::unreachable(format!("{text}; does `odile link serve` run there?")))
        }
        Err(error) => Err(error.into()),
    }
}

fn no_answer(limit: Duration) -> Failure {
    Failure::unreachable(format!("nothing came within {} s", limit.as_secs()))
}

fn nth(cpus: &[usize], number: usize) -> Option<usize> {
    cpus.get(number % cpus.len().max(1)).copied()
}

const PEER: &str = "far";
const ROUND_TRIPS: usize = 9;
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
const FILE_LIMIT: Duration = Duration::from_secs(7200);
const REPORT_LIMIT: Duration = Duration::from_secs(10);
const CALL_EVERY: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_address_keeps_its_last_group() {
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        assert_eq!(resolve("2001:db8::10:20", 3305).unwrap(), address("[2001:db8::10:20]:3305"));
        assert_eq!(resolve("[2001:db8::10]:20", 3305).unwrap(), address("[2001:db8::10]:20"));
        assert_eq!(resolve("192.0.2.7", 3305).unwrap(), address("192.0.2.7:3305"));
        assert_eq!(resolve("192.0.2.7:20", 3305).unwrap(), address("192.0.2.7:20"));
        assert_eq!(resolve_host("2001:db8::10:20", 3305).unwrap(), address("[2001:db8::10:20]:3305"));
    }
}
