//! A file of 9.2 PB goes on at 9.0 PB and comes to its end, to the last digit.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use odile_envelope::{Certificate, PrivateKey, SealOptions, SealPlan, SealRequest, Sealer, Suite};
use odile_station::partner::PartnerName;
use odile_station::{Home, Pattern, SyntheticContent, SyntheticFile};
use odile_transfer::rehearsal::Shift;

use super::kept::{self, Standing};
use super::scene::{Resumed, Scene};
use super::{Services, failed, must_be};
use crate::crash::Failure;
use crate::envelope::entropy;

/// What is to be done.
#[derive(Debug)]
pub struct Plan {
    /// The program `odile`.
    pub program: PathBuf,
    /// Where both homes are put; they vanish.
    pub folder: PathBuf,
    /// What is done with the file.
    pub services: Services,
    /// Octets that pass in each of the first two stretches, at least.
    pub stretch_bytes: u64,
    /// Octets of the last stretch, less than one period more.
    pub tail_bytes: u64,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What was done with the file.
    pub services: Services,
    /// Where it went on at 9.0 PB, and before its end.
    pub resumed: [Resumed; 2],
    /// Octets of the transmitted file, as both catalogs and the receipt have them.
    pub transmitted: u64,
    /// Octets of the content that really passed; all others were moved over.
    pub passed: u64,
}

/// Runs it, and tells `told` line by line.
///
/// # Errors
///
/// The first thing that is not as it must be.
pub fn run(plan: &Plan, mut told: impl FnMut(&str)) -> Result<Report, Failure> {
    let folder = tempfile::tempdir_in(&plan.folder).map_err(|error| failed("a folder", error))?;
    let file = SyntheticFile { content: CONTENT, octets: FILE_BYTES }.to_string();
    let content = file.rsplit_once(':').map_or("", |(content, _)| content);
    told(&format!("{}: {file}", plan.services.name()));
    let mut scene = Scene::make(&plan.program, folder.path(), plan.services, CHECKPOINT_BYTES, content)?;
    scene.start_both()?;
    scene.queue(file.as_ref())?;
    let mut moved = 0;
    let mut resumed = Vec::new();
    let mut reached = plan.stretch_bytes;
    for (goal, name) in [(FAR_BYTES, "9.0 PB"), (FILE_BYTES - plan.tail_bytes, "the tail")] {
        scene.wait_until_safe(reached)?;
        scene.kill_both();
        let (arrived, octets) = jump(&scene, goal)?;
        moved += octets;
        told(&format!("  moved by {octets} octets, to {name}: octet {} of the content", arrived.content));
        let place = scene.resumes_at();
        scene.start_both()?;
        scene.expect_resumed(place)?;
        told(&format!("  goes on from octet {} of what is transmitted", place.position));
        resumed.push(place);
        reached = arrived.content + plan.stretch_bytes;
    }
    scene.wait_until_delivered(|_| Ok(()))?;
    let transmitted = check_end(&mut scene, moved)?;
    told(&format!("  delivered: {FILE_BYTES} octets, transmitted {transmitted}"));
    let resumed = resumed.try_into().map_err(|_| Failure("two moves were to be".to_owned()))?;
    Ok(Report { services: plan.services, resumed, transmitted, passed: FILE_BYTES - moved })
}

/// Moves both sides to the last place before `goal` that has the same content. Gives where the receiver is then, and
/// by how much it was moved.
fn jump(scene: &Scene, goal: u64) -> Result<(Standing, u64), Failure> {
    let receiver = &scene.receiver.home;
    let before = kept::arrived(receiver);
    let way = goal.checked_sub(before.content).ok_or_else(|| Failure("it is there already".to_owned()))?;
    let octets = way - way % SyntheticContent::PERIOD_BYTES;
    // Of what is compressed, any amount could have been transmitted; so it is as much, as if nothing became smaller.
    let shift = Shift::of(octets).map_err(|error| failed("the way", error))?;
    kept::move_arrival(receiver, shift)?;
    kept::move_departure(&scene.sender.home, shift, scene.services.is_sealed())?;
    let arrived = kept::arrived(receiver);
    must_be("where the receiver is", &(before.content + octets), &arrived.content)?;
    Ok((arrived, octets))
}

/// What both stations have noted, and what an operator is shown. Gives the octets that were transmitted.
fn check_end(scene: &mut Scene, moved: u64) -> Result<u64, Failure> {
    let (sender, receiver) = (&scene.sender, &scene.receiver);
    let sent = sender.run_json(&["show", &scene.transfer])?;
    let received = receiver.run_json(&["show", "R1"])?;
    for (shown, state) in [(&sent, "delivered"), (&received, "received")] {
        must_be("the state", &state.into(), &shown["entry"]["state"])?;
        must_be("the octets", &FILE_BYTES.into(), &shown["entry"]["octets"])?;
    }
    let mut transmitted = FILE_BYTES;
    if scene.services != Services::Plain {
        let verified = sender.run_json(&["receipt", "verify", &scene.transfer])?;
        must_be("whether the receipt holds", &true.into(), &verified["proven"])?;
        let both = kept::transmitted(&sender.home, &receiver.home)?;
        let [Some(sent), received] = both else {
            return Err(Failure("nobody knows what was sent".to_owned()));
        };
        must_be("the octets that were received", &Some(sent), &received)?;
        transmitted = sent;
    }
    if scene.services.is_sealed() {
        let expected = moved + sealed_bytes(&sender.home, FILE_BYTES - moved)?;
        if transmitted.abs_diff(expected) > SIGNATURE_BYTES {
            return Err(Failure(format!("{transmitted} octets were transmitted, and not about {expected}")));
        }
    } else {
        must_be("the octets that were transmitted", &FILE_BYTES, &transmitted)?;
    }
    scene.sender.stop()?;
    scene.receiver.stop()?;
    must_be("the spool of the sender", &Vec::new(), &scene.sender.spool())?;
    must_be("the spool of the receiver", &Vec::new(), &scene.receiver.spool())?;
    Ok(transmitted)
}

/// About the octets of an envelope of the first `octets` of the content, with the certificates of the sender. What was moved
/// over is whole periods: the rest is as long as if it had never been there.
fn sealed_bytes(sender: &Home, octets: u64) -> Result<u64, Failure> {
    let wrong = |error: &dyn fmt::Display| failed("an envelope to compare with", error);
    let read = |path: PathBuf| std::fs::read(&path).map_err(|error| wrong(&error));
    let signer =
        Certificate::from_bytes(&read(sender.keys().join("station.crt"))?).map_err(|error| wrong(&error))?;
    let key = PrivateKey::from_bytes(&read(sender.keys().join("station.key"))?, None)
        .map_err(|error| wrong(&error))?;
    let partner: PartnerName = "receiver".parse().map_err(|error| failed("receiver", error))?;
    let folder = sender.certificates(&partner).join("shared");
    let recipient = std::fs::read_dir(folder).map_err(|error| wrong(&error))?.flatten().next();
    let recipient = recipient.ok_or_else(|| Failure("the receiver has no certificate".to_owned()))?;
    let recipient = Certificate::from_bytes(&read(recipient.path())?).map_err(|error| wrong(&error))?;
    let request = SealRequest {
        suite: Suite::S04,
        services: odile_envelope::Services::ALL,
        source_bytes: octets,
        signing_time: 0,
        signer: Some(&signer),
        recipient: Some(&recipient),
        options: SealOptions::default(),
    };
    let plan = Arc::new(SealPlan::new(&request, &mut entropy()).map_err(|error| wrong(&error))?);
    let mut sealer = Sealer::new(plan, Some(&key)).map_err(|error| wrong(&error))?;
    let (mut source, mut room) = (vec![0; 1 << 20], vec![0; 4 << 20]);
    while sealer.source_position() < octets {
        let position = sealer.source_position();
        let left = usize::try_from(octets - position).unwrap_or(usize::MAX).min(source.len());
        CONTENT.fill(position, &mut source[..left]);
        sealer.push(&source[..left], &mut room).map_err(|error| wrong(&error))?;
    }
    while !sealer.is_done() {
        sealer.finish(&mut room).map_err(|error| wrong(&error))?;
    }
    Ok(sealer.transmitted_position())
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { services, resumed: [far, tail], transmitted, passed } = self;
        writeln!(f, "{}", services.name())?;
        for (name, octets) in [
            ("octets of the file, as both sides have them", FILE_BYTES),
            ("went on at octet of what is transmitted", far.position),
            ("  the sender went through the source from octet", far.source),
            ("and again at octet", tail.position),
            ("  the sender went through the source from octet", tail.source),
            ("octets transmitted, as EFID and both sides have them", *transmitted),
            ("octets of the file that really passed", *passed),
        ] {
            writeln!(f, "  {name:<54} {octets:>17}")?;
        }
        Ok(())
    }
}

/// The file: 9.2 PB, less than the 10.2 PB that fit in SFIDFSIZ.
pub const FILE_BYTES: u64 = 9_200_000_000_000_000;
/// Where it goes on first.
const FAR_BYTES: u64 = 9_000_000_000_000_000;
/// The chunk in which the signature is compressed becomes longer or shorter with it, but not by as much as it is long.
const SIGNATURE_BYTES: u64 = 256;
/// Small, so that a stretch need not be long before there are some.
const CHECKPOINT_BYTES: u64 = 4 << 20;
const CONTENT: SyntheticContent = SyntheticContent { pattern: Pattern::Periodic, seed: 7 };
