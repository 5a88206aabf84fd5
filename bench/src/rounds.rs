//! Rounds in which several do the same work in turns, and the table that comes of them.

use std::ops::Sub;
use std::time::Duration;

use crate::machine::touch_memory;
use crate::measure::{Measured, median};
use crate::processes::CpuTime;

/// What one turn of one contestant took.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Turn {
    /// From the first octet to the last.
    pub took: Duration,
    /// Processor time of the side that sends, or of all if there are no sides.
    pub sender: CpuTime,
    /// Processor time of the side that receives.
    pub receiver: CpuTime,
}

/// Takes away what starting takes.
impl Sub for Turn {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self {
            took: self.took.saturating_sub(other.took),
            sender: self.sender - other.sender,
            receiver: self.receiver - other.receiver,
        }
    }
}

/// Somebody who does the work.
pub struct Contestant<'a> {
    name: String,
    turn: Box<dyn FnMut() -> Turn + 'a>,
}

impl<'a> Contestant<'a> {
    /// `turn` does the work once.
    pub fn new(name: impl Into<String>, turn: impl FnMut() -> Turn + 'a) -> Self {
        Self { name: name.into(), turn: Box::new(turn) }
    }
}

/// How it is done.
#[derive(Debug, Clone, Copy)]
pub struct Rounds {
    /// Octets of the work.
    pub octets: u64,
    /// How often.
    pub rounds: usize,
    /// Memory that a turn may need, and that is made sure to be at hand before it.
    pub memory: u64,
}

/// Runs all in turns and prints a table. The first one is whom all are compared with: in each round, so that both have
/// the same conditions.
///
/// # Panics
///
/// If there is nobody, or no round.
pub fn compete(heading: &str, plan: Rounds, mut contestants: Vec<Contestant<'_>>) {
    let count = contestants.len();
    let mut turns: Vec<Vec<Turn>> = vec![Vec::new(); count];
    for round in 0..plan.rounds {
        // Who comes after whom is another one in each round.
        for turn in 0..count {
            let at = (round + turn) % count;
            if plan.memory > 0 {
                touch_memory(plan.memory);
            }
            turns[at].push((contestants[at].turn)());
        }
    }
    let first = contestants[0].name.clone();
    println!("{heading}");
    println!(
        "  {:<42} {:>7} {:>14} {:>9} {:>14} {:>10} {:>10}",
        "GB/s; CPU seconds per GB", "GB/s", "(in rounds)", "ratio", "(in rounds)", "CPU send", "CPU recv"
    );
    let gb = plan.octets as f64 / 1e9;
    for (at, contestant) in contestants.iter().enumerate() {
        let speed = |turn: &Turn| gb / turn.took.as_secs_f64().max(SECONDS_MIN);
        let figure = |of: &dyn Fn(&Turn) -> f64| median(&mut turns[at].iter().map(of).collect::<Vec<_>>());
        let speeds = figure(&speed);
        let (sender, receiver) =
            (figure(&|turn| turn.sender.total() / gb), figure(&|turn| turn.receiver.total() / gb));
        let mut ratios: Vec<f64> =
            turns[0].iter().zip(&turns[at]).map(|(base, turn)| speed(base) / speed(turn)).collect();
        let ratio = median(&mut ratios);
        println!(
            "  {:<42} {:>7.3} {:>14} {:>9.2} {:>14} {:>10} {:>10}",
            contestant.name,
            speeds.middle,
            range(speeds),
            ratio.middle,
            range(ratio),
            seconds(sender.middle),
            seconds(receiver.middle)
        );
    }
    println!("  ratio: so many times as fast as each is {first}, within the same round\n");
}

fn range(measured: Measured) -> String {
    format!("{:.2} - {:.2}", measured.least, measured.most)
}

fn seconds(seconds: f64) -> String {
    if seconds > 0.0 { format!("{seconds:.2}") } else { "-".to_owned() }
}

/// What took less took nothing that was measured: only work that was made short to try it.
const SECONDS_MIN: f64 = 1e-6;
