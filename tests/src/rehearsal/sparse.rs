//! A sparse file is cut, and goes on: what is read again, and at what cost, seen from outside.

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use odile_transfer::rehearsal::Shift;

use super::kept;
use super::outside::{self, Usage};
use super::scene::{Resumed, Scene};
use super::{Services, failed, must_be};
use crate::crash::Failure;

/// What is to be done.
#[derive(Debug)]
pub struct Plan {
    /// The program `odile`.
    pub program: PathBuf,
    /// Where both homes and the file are put, on a disk that has sparse files; they vanish.
    pub folder: PathBuf,
    /// What is done with the file.
    pub services: Services,
    /// Octets of the file.
    pub size_bytes: u64,
    /// Octets of the transmitted file between checkpoints.
    pub checkpoint_bytes: u64,
    /// How the file comes to 60 %.
    pub way: Way,
}

/// How a file comes to where it is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// It is sent up to there.
    Sent,
    /// So many octets are sent, then both sides are moved.
    Moved(u64),
}

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// What was done with the file.
    pub services: Services,
    /// Octets of the file.
    pub size_bytes: u64,
    /// How it came to where it was cut.
    pub way: Way,
    /// Where it went on.
    pub resumed: Resumed,
    /// Before the cut and behind it.
    pub attempts: [Attempt; 2],
    /// How many times the page cache was looked at while the second attempt ran, and the most that was found, in octets.
    pub looks: u32,
    /// See [`Report::looks`].
    pub resident_bytes_max: u64,
    /// Octets before the checkpoint that were in the page cache at the end.
    pub resident_before_bytes: u64,
}

/// What one attempt has cost.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Attempt {
    /// The first octet of the source that was read.
    pub from: u64,
    /// Octets of the source that were read.
    pub read: u64,
    /// Wall time.
    pub seconds: f64,
    /// Of the process that sends.
    pub sender: Usage,
    /// Of the process that receives.
    pub receiver: Usage,
}

/// Runs it, and tells `told` line by line.
///
/// # Errors
///
/// The first thing that is not as it must be.
pub fn run(plan: &Plan, mut told: impl FnMut(&str)) -> Result<Report, Failure> {
    let folder = tempfile::tempdir_in(&plan.folder).map_err(|error| failed("a folder", error))?;
    let file = folder.path().join("sparse.dat");
    File::create_new(&file)
        .and_then(|created| created.set_len(plan.size_bytes))
        .map_err(|error| failed(&file.display().to_string(), error))?;
    let Plan { program, services, size_bytes, checkpoint_bytes, way, .. } = plan;
    told(&format!("{}: a sparse file of {size_bytes} octets", services.name()));
    let cut = size_bytes / 5 * 3;
    let mut clock = Clock::default();
    let mut scene = Scene::make(program, folder.path(), *services, *checkpoint_bytes, "synthetic:zeros:0")?;
    clock.start(&mut scene)?;
    scene.queue(&file)?;
    scene.wait_until_safe(match way {
        Way::Sent => cut,
        Way::Moved(stretch) => *stretch,
    })?;
    let read = scene.sender_position();
    let first = Attempt { read, ..clock.read()? };
    scene.kill_both();
    if let Way::Moved(_) = way {
        move_to(&scene, cut)?;
    }
    let arrived = kept::arrived(&scene.receiver.home);
    told(&format!("  killed after {:.0} s, at octet {} of the content", first.seconds, arrived.content));
    outside::drop_cache(&file, 0)?;
    must_be("what is in the page cache", &0, &outside::resident_bytes(&file)?)?;
    let resumed = scene.resumes_at();
    clock.start(&mut scene)?;
    scene.expect_resumed(resumed)?;
    told(&format!("  goes on from octet {} of the source", resumed.source));
    let mut looks = Looks { next: Instant::now(), count: 0, most: 0 };
    scene.wait_until_delivered(|scene| looks.look(scene, &file, resumed.source))?;
    let second = Attempt { from: resumed.source, read: size_bytes - resumed.source, ..clock.read()? };
    check_end(&mut scene, *size_bytes)?;
    // Nobody has the file mapped any more: what is behind the checkpoint can be dropped, the rest would stay.
    outside::drop_cache(&file, resumed.source >> 20)?;
    let resident_before_bytes = outside::resident_bytes(&file)?;
    told(&format!("  delivered after {:.0} s", second.seconds));
    Ok(Report {
        services: *services,
        size_bytes: *size_bytes,
        way: *way,
        resumed,
        attempts: [first, second],
        looks: looks.count,
        resident_bytes_max: looks.most,
        resident_before_bytes,
    })
}

/// Moves both sides to just before an octet of the content.
fn move_to(scene: &Scene, octet: u64) -> Result<(), Failure> {
    let receiver = &scene.receiver.home;
    let way = octet.saturating_sub(kept::arrived(receiver).content);
    let shift = Shift::of(way - way % 1024).map_err(|error| failed("the way", error))?;
    kept::move_arrival(receiver, shift)?;
    kept::move_departure(&scene.sender.home, shift, scene.services.is_sealed())
}

fn check_end(scene: &mut Scene, size_bytes: u64) -> Result<(), Failure> {
    let sent = scene.sender.run_json(&["show", &scene.transfer])?;
    let received = scene.receiver.run_json(&["show", "R1"])?;
    for shown in [sent, received] {
        must_be("the octets", &size_bytes.into(), &shown["entry"]["octets"])?;
    }
    let verified = scene.sender.run_json(&["receipt", "verify", &scene.transfer])?;
    must_be("whether the receipt holds", &true.into(), &verified["proven"])?;
    scene.sender.stop()?;
    scene.receiver.stop()
}

/// Time and usage of an attempt.
#[derive(Default)]
struct Clock {
    begun: Option<Instant>,
    /// Sender and receiver.
    processes: [u32; 2],
}

impl Clock {
    fn start(&mut self, scene: &mut Scene) -> Result<(), Failure> {
        self.begun = Some(Instant::now());
        scene.start_both()?;
        self.processes = [scene.sender.process(), scene.receiver.process()];
        Ok(())
    }

    /// So far; both must run.
    fn read(&self) -> Result<Attempt, Failure> {
        let [sender, receiver] = self.processes;
        let seconds = self.begun.map_or(0.0, |begun| begun.elapsed().as_secs_f64());
        let (sender, receiver) = (outside::usage(sender)?, outside::usage(receiver)?);
        Ok(Attempt { from: 0, read: 0, seconds, sender, receiver })
    }
}

/// Looks at the page cache while the file is sent.
struct Looks {
    next: Instant,
    count: u32,
    most: u64,
}

impl Looks {
    /// Pages in the cache were touched: there must not be more of them than were sent since the checkpoint.
    fn look(&mut self, scene: &mut Scene, file: &Path, from: u64) -> Result<(), Failure> {
        if Instant::now() < self.next {
            return Ok(());
        }
        let begun = Instant::now();
        let resident = outside::resident_bytes(file)?;
        // Asked afterwards: it has moved on, if at all.
        let read = scene.sender_position().saturating_sub(from);
        let ahead = if scene.services.is_sealed() { SEALED_AHEAD_BYTES } else { READ_AHEAD_BYTES };
        if read > 0 && resident > read + ahead {
            let text = format!("{resident} octets of the source are in the page cache, {read} were sent");
            return Err(Failure(text));
        }
        self.count += u32::from(read > 0);
        self.most = self.most.max(resident);
        // Looking at a large file takes a while.
        self.next = Instant::now() + begun.elapsed() * 20 + Duration::from_millis(20);
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { services, size_bytes, way, resumed, attempts: [first, second], .. } = self;
        let how = match way {
            Way::Sent => "sent".to_owned(),
            Way::Moved(stretch) => format!("{stretch} octets sent, then moved"),
        };
        writeln!(f, "{}, {size_bytes} octets, 60 %: {how}", services.name())?;
        let octets = |f: &mut fmt::Formatter<'_>, name: &str, one: u64, other: u64| {
            writeln!(f, "  {name:<44} {one:>16} {other:>16}")
        };
        writeln!(f, "  {:<44} {:>16} {:>16}", "", "until the cut", "behind it")?;
        octets(f, "first octet read of the source", first.from, second.from)?;
        octets(f, "octets read of the source", first.read, second.read)?;
        for (name, one, other) in [
            ("processor seconds of the sender", first.sender.seconds, second.sender.seconds),
            ("processor seconds of the receiver", first.receiver.seconds, second.receiver.seconds),
            ("seconds", first.seconds, second.seconds),
        ] {
            writeln!(f, "  {name:<44} {one:>16.1} {other:>16.1}")?;
        }
        let mib = |usage: Usage| usage.memory_bytes_max >> 20;
        octets(f, "memory of the sender at most, MiB", mib(first.sender), mib(second.sender))?;
        octets(f, "memory of the receiver at most, MiB", mib(first.receiver), mib(second.receiver))?;
        writeln!(f, "  went on at octet {} of what is transmitted", resumed.position)?;
        let Self { looks, resident_bytes_max, resident_before_bytes, .. } = self;
        writeln!(f, "  page cache, {looks} looks: never more than was sent since the checkpoint, at most")?;
        writeln!(f, "  {resident_bytes_max} octets; at the end {resident_before_bytes} of those before it")
    }
}

/// More than the kernel reads ahead of a mapping, and what is mapped at a time.
const READ_AHEAD_BYTES: u64 = 16 << 20;
/// The sender tells how far it is when a buffer of 512 KiB is full; of zeros, it takes a thousand times as much.
const SEALED_AHEAD_BYTES: u64 = 1 << 30;

/// Octets of what is transmitted between checkpoints, about each GiB of a large source: compressed zeros are a
/// thousandth.
pub const fn checkpoint_bytes(services: Services) -> u64 {
    if services.is_sealed() { 1 << 20 } else { 1 << 30 }
}
