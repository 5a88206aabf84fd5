//! The two stations of a rehearsal, and the one file between them.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::kept::{self, Standing};
use super::station::Station;
use super::{Services, failed, must_be};
use crate::crash::Failure;

/// Two stations with the file in between.
pub struct Scene {
    pub sender: Station,
    pub receiver: Station,
    pub services: Services,
    /// The number of the file at the sender.
    pub transfer: String,
}

/// Where a file went on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resumed {
    /// The octet of the transmitted file that was answered, a multiple of 1024.
    pub position: u64,
    /// The octet of the source from which the sender went through it again.
    pub source: u64,
}

impl Scene {
    /// Makes both; nothing runs yet. The receiver compares what comes with `content`, such as `synthetic:zeros:0`.
    pub fn make(
        program: &Path,
        folder: &Path,
        services: Services,
        checkpoint_bytes: u64,
        content: &str,
    ) -> Result<Self, Failure> {
        let mut sender = Station::make(program, folder, "sender", services)?;
        let mut receiver = Station::make(program, folder, "receiver", services)?;
        sender.add_partner(&receiver, services, true)?;
        receiver.add_partner(&sender, services, false)?;
        let checkpoints = checkpoint_bytes.to_string();
        sender.set_flags(&["--checkpoint-bytes", &checkpoints]);
        receiver.set_flags(&["--checkpoint-bytes", &checkpoints, "--target", content]);
        Ok(Self { sender, receiver, services, transfer: String::new() })
    }

    /// Lets the sender, which runs, send a file.
    pub fn queue(&mut self, file: &Path) -> Result<(), Failure> {
        let path = file.display().to_string();
        let send = ["send", "receiver", &path, "--wait", "none"];
        let queued = self.sender.run_json(&[&send[..], self.services.flags()].concat())?;
        let transfer = queued[0]["transfer"].as_str().ok_or_else(|| failed("odile send", &queued))?;
        transfer.clone_into(&mut self.transfer);
        Ok(())
    }

    /// Starts both; the receiver first, so that the sender's first call succeeds.
    pub fn start_both(&mut self) -> Result<(), Failure> {
        self.receiver.start()?;
        self.sender.start()
    }

    /// SIGKILL for both.
    pub fn kill_both(&mut self) {
        self.sender.kill();
        self.receiver.kill();
    }

    /// Waits until both have a checkpoint at or behind this octet of the content. Gives that of the receiver.
    pub fn wait_until_safe(&mut self, content: u64) -> Result<Standing, Failure> {
        self.wait_for("checkpoint", |scene| {
            let arrived = kept::arrived(&scene.receiver.home);
            let departed = kept::departed(&scene.sender.home);
            Ok((arrived.content.min(departed.content) >= content).then_some(arrived))
        })
    }

    /// Where the file must go on, once both run again: at the last whole block that the receiver has.
    pub fn resumes_at(&self) -> Resumed {
        let blocks = kept::arrived(&self.receiver.home).transmitted / 1024;
        Resumed { position: blocks * 1024, source: kept::departs_from(&self.sender.home, blocks) }
    }

    /// Waits until the file goes on, and sees that both sides tell that it does so there.
    pub fn expect_resumed(&mut self, Resumed { position, .. }: Resumed) -> Result<(), Failure> {
        let sent = self.wait_for("sender that goes on", |scene| Ok(told(&scene.sender, "resumed")))?;
        must_be("where the sender goes on", &format!("octet {position}").into(), &sent["place"])?;
        let received =
            self.wait_for("receiver that goes on", |scene| Ok(told(&scene.receiver, "receiving")))?;
        must_be("where the receiver goes on", &position.into(), &received["from_octet"])
    }

    /// Waits until the file is delivered, and lets the caller look again and again meanwhile.
    pub fn wait_until_delivered(
        &mut self,
        mut meanwhile: impl FnMut(&mut Self) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        self.wait_for("receipt", |scene| {
            meanwhile(scene)?;
            Ok((scene.sender.standing(&scene.transfer).0 == "delivered").then_some(()))
        })
    }

    /// How far the sender is in the source.
    pub fn sender_position(&self) -> u64 {
        self.sender.standing(&self.transfer).1
    }

    /// Waits as long as something moves, and nothing goes wrong.
    fn wait_for<T>(
        &mut self,
        what: &str,
        mut look: impl FnMut(&mut Self) -> Result<Option<T>, Failure>,
    ) -> Result<T, Failure> {
        let (mut moved, mut before) = (Instant::now(), 0);
        loop {
            if let Some(found) = look(self)? {
                return Ok(found);
            }
            for station in [&mut self.sender, &mut self.receiver] {
                station.check_alive()?;
            }
            let events = [self.sender.events(), self.receiver.events()].concat();
            if let Some(bad) = events.iter().find(|event| BAD_NEWS.iter().any(|name| event["event"] == *name))
            {
                return Err(failed(&bad["event"].to_string(), format!("\n{}", self.last_words())));
            }
            let now = self.sender_position();
            if now != before {
                (moved, before) = (Instant::now(), now);
            }
            if moved.elapsed() > PATIENCE {
                return Err(failed(&format!("no {what} came"), format!("\n{}", self.last_words())));
            }
            thread::sleep(LOOK_EVERY);
        }
    }

    fn last_words(&self) -> String {
        self.sender.last_words() + &self.receiver.last_words()
    }
}

/// The first event of this name that the present process has told.
fn told(station: &Station, name: &str) -> Option<Value> {
    station.events().into_iter().find(|event| event["event"] == name)
}

/// What never happens to a file that goes on as it should.
const BAD_NEWS: [&str; 5] =
    ["starts_again", "file_failed", "file_refused", "receive_failed", "offer_refused"];
/// How long nothing may move: only broken code gets there.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(10);
