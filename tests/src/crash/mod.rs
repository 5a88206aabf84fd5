//! Stations that are killed in the middle of files: real processes, real homes, SIGKILL at moments that are drawn, and
//! a restart at once, until each file is there and its receipt is back.
//!
//! ```text
//! plan ──▶ modes ──▶ stage (two homes, two processes) ──▶ trial (cuts) ──▶ audit ──▶ report
//!                    ▲ for each file anew                 process, sample            figures
//! ```
//!
//! Processes end, and folders vanish, with what holds them: after a failure as well, unless it is said that they stay.

mod audit;
mod figures;
pub mod mode;
mod process;
mod program;
mod random;
mod report;
mod sample;
mod stage;
mod trial;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use self::mode::Mode;
pub use self::program::built_program;
use self::random::Random;
pub use self::report::Report;
use self::stage::Stage;
pub use self::trial::{Cut, Moment, Outcome, Victim};

/// What is to be done.
#[derive(Debug)]
pub struct Plan<'a> {
    /// The program `odile`.
    pub program: PathBuf,
    /// Where homes and files are put; nothing of them stays.
    pub folder: PathBuf,
    /// How many kills.
    pub rounds: u32,
    /// What repeats the modes and the moments.
    pub seed: u64,
    /// How large each file is, more or less.
    pub size_bytes: u64,
    /// Kills for each file, at most.
    pub cuts_max: u32,
    /// Modes in turn; empty: they are drawn.
    pub modes: Vec<Mode>,
    /// Whether homes stay after a failure.
    pub keep: Keep,
    /// Once it is true, everything ends.
    pub interrupted: &'a AtomicBool,
}

/// What happens to the homes after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// They vanish.
    Nothing,
    /// They stay, and the failure says where.
    Homes,
}

/// Why it ended before its time: sentences, with what the stations said last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure(pub String);

impl Failure {
    /// Something, and what is wrong with it.
    fn of(subject: &impl fmt::Display, error: impl fmt::Display) -> Self {
        Self(format!("{subject}: {error}"))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Kills until there were enough, and tells `told` line by line.
///
/// # Errors
///
/// The first thing that is not as it must be.
pub fn run(plan: &Plan<'_>, mut told: impl FnMut(&str)) -> Result<Report, Failure> {
    let mut random = Random::new(plan.seed);
    let mut modes: Box<dyn Iterator<Item = Mode>> = if plan.modes.is_empty() {
        Box::new(Mode::drawn(Random::new(random.number()), plan.size_bytes))
    } else {
        Box::new(plan.modes.clone().into_iter().cycle())
    };
    let mut report = Report::new(plan);
    let mut missed = 0;
    while report.rounds() < plan.rounds {
        // Of each file alone, so that a round that is missed does not change all that follow.
        let mut random = Random::new(random.number());
        let Some(mode) = modes.next() else { break };
        let left = u64::from(plan.rounds - report.rounds());
        let wanted = random.within(1..=u64::from(plan.cuts_max.max(1))).min(left);
        told(&format!("file {}: {mode}", report.files() + 1));
        let cuts = one_file(plan, &mode, wanted, &mut random, &mut told)?;
        missed = if cuts.is_empty() { missed + 1 } else { 0 };
        if missed == MISSED_MAX {
            return Err(Failure(format!("{missed} files in a row were delivered before the first kill")));
        }
        report.add(mode, cuts);
    }
    Ok(report)
}

/// One file in homes of its own.
fn one_file(
    plan: &Plan<'_>,
    mode: &Mode,
    wanted: u64,
    random: &mut Random,
    told: &mut impl FnMut(&str),
) -> Result<Vec<Cut>, Failure> {
    fs::create_dir_all(&plan.folder).map_err(|error| Failure::of(&plan.folder.display(), error))?;
    let folder = tempfile::Builder::new().prefix("odile-crash-").tempdir_in(&plan.folder);
    let mut folder = folder.map_err(|error| Failure::of(&plan.folder.display(), error))?;
    let result = in_homes(plan, mode, wanted, random, folder.path(), told);
    result.map_err(|failure| {
        let stays = plan.keep == Keep::Homes && !plan.interrupted.load(Ordering::Relaxed);
        folder.disable_cleanup(stays);
        let place =
            if stays { format!("\nthe homes are in {}", folder.path().display()) } else { String::new() };
        Failure(format!("{failure}\nseed {}, {mode}{place}", plan.seed))
    })
}

fn in_homes(
    plan: &Plan<'_>,
    mode: &Mode,
    wanted: u64,
    random: &mut Random,
    folder: &Path,
    told: &mut impl FnMut(&str),
) -> Result<Vec<Cut>, Failure> {
    let file = folder.join("sample.dat");
    sample::write(&file, mode, plan.size_bytes, random.number())
        .map_err(|error| Failure::of(&file.display(), error))?;
    let mut stage = Stage::make(&plan.program, folder, mode)?;
    let result = trial::run(&mut stage, &file, mode, wanted, random, plan.interrupted, told)
        .and_then(|(transfer, cuts)| audit::check(&mut stage, &file, mode, &transfer).map(|()| cuts));
    result.map_err(|failure| Failure(format!("{failure}\n{}", stage.last_words().trim_end())))
}

/// So many files that are too short, or lines that are too fast, are no accident.
const MISSED_MAX: u32 = 10;
