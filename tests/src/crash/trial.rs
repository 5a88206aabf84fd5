//! One file on its way, and the kills on it.

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use super::Failure;
use super::mode::{Mode, Side};
use super::process::{Process, Standing, names};
use super::random::Random;
use super::stage::Stage;
use odile_station::control::{Client, Request};

/// Who is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "they are the names of the sides")]
pub enum Victim {
    Sender,
    Receiver,
    Both,
}

/// When.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Moment {
    /// So long after the stations were ready, or ready again.
    After(Duration),
    /// Once the sender has read so much of the file, 0 to 1.
    Read(f64),
    /// Once the file has its name in the inbox.
    Landed,
}

/// A kill, and what came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Cut {
    /// Who was killed.
    pub victim: Victim,
    /// When.
    pub moment: Moment,
    /// Octets of the transmitted file that the receiver had, as it told last before.
    pub position: u64,
    /// What came of it.
    pub outcome: Outcome,
    /// From the restart to the first octet of the file that came after it.
    pub until_first_octet: Option<Duration>,
    /// Why the receiver did not want it at first, if so.
    pub refusal: Option<String>,
}

/// How a file went on after a kill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Everything had come: it was received before, or at once.
    Landed,
    /// From this octet of the transmitted file on; 0: from the start.
    From(u64),
    /// The next kill came before it could.
    Unknown,
}

/// Lets the file come, and kills on its way so many times at most. Gives its number, and the kills.
///
/// # Errors
///
/// If it fails, or nothing moves any more.
pub fn run(
    stage: &mut Stage,
    file: &Path,
    mode: &Mode,
    wanted: u64,
    random: &mut Random,
    interrupted: &AtomicBool,
    told: &mut impl FnMut(&str),
) -> Result<(String, Vec<Cut>), Failure> {
    let size_bytes = file.metadata().map_err(|error| Failure::of(&file.display(), error))?.len();
    let mut moments: Vec<Moment> = (0..wanted).map(|_| moment(random)).collect();
    moments.sort_by(|one, other| order(*one).total_cmp(&order(*other)));
    stage.receiver.start()?;
    stage.sender.start()?;
    stage.receiver.wait_until_ready()?;
    stage.sender.wait_until_ready()?;
    let transfer = stage.queue(file, mode)?;
    let mut watch = Watch::new(stage, mode, &transfer, size_bytes, interrupted);
    for moment in moments {
        if watch.until(moment)? == Reached::Delivered {
            break;
        }
        let victim = random.pick(&[Victim::Sender, Victim::Receiver, Victim::Both]);
        watch.cut(victim, moment)?;
    }
    watch.until_delivered()?;
    let cuts = watch.cuts;
    for cut in &cuts {
        told(&format!("  {cut}"));
    }
    Ok((transfer, cuts))
}

fn moment(random: &mut Random) -> Moment {
    match random.within(0..=9) {
        0 => Moment::After(Duration::from_millis(random.within(0..=300))),
        1 => Moment::Landed,
        2 => Moment::Read(thousandths(random.within(970..=1000))),
        _ => Moment::Read(thousandths(random.within(10..=970))),
    }
}

fn thousandths(number: u64) -> f64 {
    f64::from(u16::try_from(number).unwrap_or(u16::MAX)) / 1000.0
}

fn order(moment: Moment) -> f64 {
    match moment {
        Moment::After(_) => 0.0,
        Moment::Read(part) => part,
        Moment::Landed => 2.0,
    }
}

#[derive(PartialEq, Eq)]
enum Reached {
    Moment,
    Delivered,
}

/// Looks at both stations, again and again.
struct Watch<'a> {
    stage: &'a mut Stage,
    mode: &'a Mode,
    transfer: &'a str,
    size_bytes: u64,
    interrupted: &'a AtomicBool,
    cuts: Vec<Cut>,
    /// When the last kill was over and the restart began.
    restarted: Instant,
    sent: Standing,
    received: Standing,
    /// When something last moved.
    moved: Instant,
    call: Option<Call>,
}

impl<'a> Watch<'a> {
    fn new(
        stage: &'a mut Stage,
        mode: &'a Mode,
        transfer: &'a str,
        size_bytes: u64,
        interrupted: &'a AtomicBool,
    ) -> Self {
        let now = Instant::now();
        Self {
            stage,
            mode,
            transfer,
            size_bytes,
            interrupted,
            cuts: Vec::new(),
            restarted: now,
            sent: Standing::default(),
            received: Standing::default(),
            moved: now,
            call: None,
        }
    }

    fn until(&mut self, moment: Moment) -> Result<Reached, Failure> {
        let begun = Instant::now();
        loop {
            self.look()?;
            if self.sent.state == "delivered" {
                return Ok(Reached::Delivered);
            }
            let is_there = match moment {
                Moment::After(time) => begun.elapsed() >= time,
                Moment::Read(part) => self.part_read() >= part,
                Moment::Landed => self.has_landed(),
            };
            if is_there {
                return Ok(Reached::Moment);
            }
            thread::sleep(LOOK_EVERY);
        }
    }

    fn until_delivered(&mut self) -> Result<(), Failure> {
        while self.sent.state != "delivered" {
            self.look()?;
            thread::sleep(LOOK_EVERY);
        }
        // The last events of the receiver.
        self.take_events();
        Ok(())
    }

    /// SIGKILL, and a start at once.
    fn cut(&mut self, victim: Victim, moment: Moment) -> Result<(), Failure> {
        let victims =
            [(Side::Sender, victim != Victim::Receiver), (Side::Receiver, victim != Victim::Sender)];
        let sides = || victims.into_iter().filter(|(_, is_meant)| *is_meant).map(|(side, _)| side);
        self.received = self.stage.receiver.standing(RECEIVED);
        for side in sides() {
            self.stage.station(side).kill();
        }
        // Before the log of the next process begins.
        self.take_events();
        let has_landed = self.has_landed();
        // Who did not come to go on has what it had before.
        let before = self.cuts.last().filter(|cut| cut.outcome == Outcome::Unknown).map(|cut| cut.position);
        self.cuts.push(Cut {
            victim,
            moment,
            position: self.received.octets.max(before.unwrap_or_default()),
            outcome: if has_landed { Outcome::Landed } else { Outcome::Unknown },
            until_first_octet: None,
            refusal: None,
        });
        self.restarted = Instant::now();
        for side in sides() {
            self.stage.station(side).start()?;
        }
        for side in sides() {
            self.stage.station(side).wait_until_ready()?;
        }
        self.moved = Instant::now();
        Ok(())
    }

    fn look(&mut self) -> Result<(), Failure> {
        if self.interrupted.load(Ordering::Relaxed) {
            return Err(Failure("interrupted".to_owned()));
        }
        for station in [&mut self.stage.sender, &mut self.stage.receiver] {
            station.check_alive()?;
        }
        let sent = self.stage.sender.standing(self.transfer);
        let received = self.stage.receiver.standing(RECEIVED);
        self.take_events();
        if let Some(Cut { outcome: Outcome::From(from), until_first_octet: none @ None, .. }) =
            self.cuts.last_mut()
            && received.octets > *from
        {
            *none = Some(self.restarted.elapsed());
        }
        if (&sent, &received) != (&self.sent, &self.received) {
            self.moved = Instant::now();
        }
        (self.sent, self.received) = (sent, received);
        if matches!(
            self.sent.state.as_str(),
            "rejected" | "refused" | "failed" | "cancelled" | "unproven" | "held"
        ) {
            let Standing { state, detail, .. } = &self.sent;
            return Err(Failure(format!("the file is {state}: {detail}")));
        }
        if self.moved.elapsed() >= STALL_LIMIT {
            let (sent, received) = (&self.sent, &self.received);
            return Err(Failure(format!("nothing moves: the file is {sent:?} there, {received:?} here")));
        }
        self.call_if_wanted();
        Ok(())
    }

    /// What became of the file since the last kill, as the receiver tells it. What the sender tells is for the logs only.
    fn take_events(&mut self) {
        for event in self.stage.receiver.events() {
            let Some(cut) = self.cuts.last_mut().filter(|cut| cut.outcome == Outcome::Unknown) else {
                continue;
            };
            if event["event"] == "received" {
                cut.outcome = Outcome::Landed;
            } else if event["event"] == "offer_refused" {
                cut.refusal = event["text"].as_str().map(str::to_owned);
            } else if event["event"] == "receiving"
                && let Some(octet) = event["from_octet"].as_u64()
            {
                cut.outcome = Outcome::From(octet);
            }
        }
    }

    /// How much of the file the sender has read.
    fn part_read(&self) -> f64 {
        // In steps of a thousandth: exact enough for a moment that is drawn.
        let thousandth = (self.size_bytes / 1000).max(1);
        thousandths(self.sent.octets / thousandth)
    }

    fn has_landed(&self) -> bool {
        let Ok(sender) = self.stage.sender.name.parse() else { return false };
        !inbox(&self.stage.receiver, &sender).is_empty()
    }

    /// A station calls by itself while it has a file to send; for what waits at the other one it must be told.
    fn call_if_wanted(&mut self) {
        let is_wanted = match self.mode.caller {
            Side::Sender => self.sent.state == "sent",
            Side::Receiver => true,
        };
        if self.call.as_ref().is_some_and(|call| !call.is_over()) || !is_wanted {
            return;
        }
        let (caller, called) = match self.mode.caller {
            Side::Sender => (&self.stage.sender, self.stage.receiver.name),
            Side::Receiver => (&self.stage.receiver, self.stage.sender.name),
        };
        self.call = Call::begin(caller, called);
    }
}

/// Files in the inbox, without sidecars.
pub fn inbox(receiver: &Process, sender: &odile_station::partner::PartnerName) -> Vec<String> {
    let mut names = names(&receiver.home.inbox(sender));
    names.retain(|name| Path::new(name).extension().is_none_or(|ending| ending != "json"));
    names
}

/// A call that a person asks for; the station answers when the session is over.
struct Call {
    ended: Receiver<()>,
    since: Instant,
}

impl Call {
    fn begin(caller: &Process, called: &str) -> Option<Self> {
        let mut client = Client::connect(&caller.home).ok().flatten()?;
        let request = Request::Call { partner: called.to_owned() };
        let (done, ended) = mpsc::channel();
        thread::spawn(move || {
            // How it went is seen in the state of the file. A station that is killed closes the connection.
            let _ = client.ask(&request);
            let _ = done.send(());
        });
        Some(Self { ended, since: Instant::now() })
    }

    fn is_over(&self) -> bool {
        !matches!(self.ended.try_recv(), Err(TryRecvError::Empty)) && self.since.elapsed() >= CALL_AGAIN
    }
}

impl fmt::Display for Victim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sender => "sender",
            Self::Receiver => "receiver",
            Self::Both => "both",
        })
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::After(time) => write!(f, "after {} ms", time.as_millis()),
            Self::Read(part) => write!(f, "at {:.1} %", part * 100.0),
            Self::Landed => f.write_str("once it had landed"),
        }
    }
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} killed {}, with {} octets there: ", self.victim, self.moment, self.position)?;
        match self.outcome {
            Outcome::Landed => f.write_str("it was received")?,
            Outcome::From(0) => f.write_str("from the start")?,
            Outcome::From(octet) => write!(f, "on from octet {octet}")?,
            Outcome::Unknown => f.write_str("killed again before it went on")?,
        }
        if let Some(time) = self.until_first_octet {
            write!(f, ", first octet after {:.2} s", time.as_secs_f64())?;
        }
        self.refusal.as_ref().map_or(Ok(()), |text| write!(f, " ({text})"))
    }
}

/// Homes are new: the first file that is received.
pub const RECEIVED: &str = "R1";
const LOOK_EVERY: Duration = Duration::from_millis(2);
const CALL_AGAIN: Duration = Duration::from_millis(100);
/// Nothing between two processes of one machine takes so long, a sync of a slow disk included.
const STALL_LIMIT: Duration = Duration::from_secs(90);
