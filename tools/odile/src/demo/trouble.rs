//! What goes wrong in the demo, on purpose: the line is cut, then a station is killed.

use odile_station::catalog::{Catalog, Transfer, TransferRef};
use odile_station::control::Request;
use odile_station::{Home, resumption};
use serde::Serialize;

use super::stations::Pair;
use crate::access::ask;
use crate::exit::Failure;
use crate::progress::Progress;
use crate::signals::Interrupt;
use crate::size;

/// What is still to go wrong, and what did.
pub struct Troubles {
    left: Vec<Kind>,
    /// Octets on the line from one to the next.
    every: u64,
    pub done: Vec<Trouble>,
}

/// Something that went wrong.
#[derive(Debug, Serialize)]
pub struct Trouble {
    pub what: &'static str,
    /// Octets that had passed the line.
    pub at_octets: u64,
    /// Where the receiver says that it goes on.
    pub resumes: String,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Cut,
    Kill,
}

impl Troubles {
    /// For a file of so many octets.
    pub fn of(octets: u64) -> Self {
        // Compressed to a third, it is cut after a third and after two.
        Self { left: vec![Kind::Kill, Kind::Cut], every: octets / 9, done: Vec::new() }
    }

    /// None.
    pub const fn none() -> Self {
        Self { left: Vec::new(), every: 0, done: Vec::new() }
    }

    /// Says where the line is to be held up next.
    pub fn prepare(&self, pair: &Pair) {
        let next = (!self.left.is_empty() && self.every > 0).then(|| pair.line.carried() + self.every);
        pair.line.hold_at(next);
    }

    /// Does the next, if the line is held up for it.
    pub fn strike(
        &mut self,
        pair: &mut Pair,
        transfer: &str,
        progress: &Progress,
        interrupt: &Interrupt,
    ) -> Result<(), Failure> {
        let Some(kind) = self.left.pop() else { return Ok(()) };
        let at_octets = pair.line.carried();
        let what = match kind {
            Kind::Cut => {
                pair.line.cut();
                "the line was cut"
            }
            Kind::Kill => {
                pair.b.kill();
                pair.line.cut();
                "station B was killed (SIGKILL) and started again"
            }
        };
        self.prepare(pair);
        if let Kind::Kill = kind {
            pair.restart_b(interrupt)?;
        }
        let resumes = resumes(&pair.b.home, interrupt)?;
        progress
            .line(&format!("{:.1} MB on the line: {what}; B goes on {resumes}", size::megabytes(at_octets)));
        self.done.push(Trouble { what, at_octets, resumes });
        // As an operator would who knows that the line is back; otherwise A waits for some seconds.
        let request = Request::Retry { transfer: transfer.to_owned() };
        let _ = ask(&mut pair.a.client()?, &request);
        Ok(())
    }
}

/// Where the receiver goes on, once it has noticed that the session is over.
fn resumes(home: &Home, interrupt: &Interrupt) -> Result<String, Failure> {
    for _ in 0..LOOKS_MAX {
        interrupt.check()?;
        let found = Catalog::open(&home.catalog())?.show(TransferRef::Inbound(1))?;
        if let Some(detail) = found
            && let Transfer::Inbound(inbound) = &detail.file
            && !inbound.detail.is_empty()
            && let Some(text) = resumption(home, &detail.file)
        {
            let place = text.split(',').next().unwrap_or(&text).to_owned();
            return Ok(place);
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    Ok("from the start".to_owned())
}

const LOOKS_MAX: u32 = 300;
