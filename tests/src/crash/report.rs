//! What the kills cost: a table for people, JSON for programs. What was not measured is not there.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use super::Plan;
use super::figures::Spread;
use super::mode::Mode;
use super::trial::{Cut, Outcome, Victim};

/// All files and kills of a run.
#[derive(Debug, Clone)]
pub struct Report {
    seed: u64,
    size_bytes: u64,
    files: Vec<(Mode, Vec<Cut>)>,
}

/// Kills of one kind.
struct Row {
    name: String,
    cuts: usize,
    resumed: usize,
    restarted: usize,
    nothing: usize,
    landed: usize,
    unknown: usize,
    /// Mebioctets that were received twice.
    again: Option<Spread>,
    /// The same as a share of the checkpoint interval.
    share: Option<Spread>,
    /// Seconds from the restart to the first octet.
    seconds: Option<Spread>,
}

impl Report {
    /// Nothing yet.
    pub fn new(plan: &Plan<'_>) -> Self {
        Self { seed: plan.seed, size_bytes: plan.size_bytes, files: Vec::new() }
    }

    /// Takes a file that was delivered.
    pub fn add(&mut self, mode: Mode, cuts: Vec<Cut>) {
        self.files.push((mode, cuts));
    }

    /// Files that were delivered.
    pub fn files(&self) -> usize {
        self.files.len()
    }

    /// All kills, in order.
    pub fn cuts(&self) -> impl Iterator<Item = &Cut> {
        self.files.iter().flat_map(|(_, cuts)| cuts)
    }

    /// How many kills.
    pub fn rounds(&self) -> u32 {
        u32::try_from(self.cuts().count()).unwrap_or(u32::MAX)
    }

    /// Everything, for programs: octets, seconds, and shares as parts of 1.
    pub fn json(&self) -> Value {
        let cuts = |(mode, cuts): &(Mode, Vec<Cut>)| {
            let cuts: Vec<Value> = cuts
                .iter()
                .map(|cut| {
                    json!({
                        "victim": cut.victim.to_string(),
                        "moment": cut.moment.to_string(),
                        "position": cut.position,
                        "resumed_at": match cut.outcome { Outcome::From(octet) => Some(octet), _ => None },
                        "was_received": cut.outcome == Outcome::Landed,
                        "octets_again": again(cut),
                        "refusal": cut.refusal,
                        "seconds_to_first_octet": cut.until_first_octet.map(|time| time.as_secs_f64()),
                    })
                })
                .collect();
            json!({ "mode": mode.to_string(), "checkpoint_bytes": mode.checkpoint_bytes, "cuts": cuts })
        };
        let summary = |row: Row| {
            let Row { name, cuts, resumed, restarted, nothing, landed, unknown, again, share, seconds } = row;
            json!({
                "killed": name, "cuts": cuts, "resumed": resumed, "from_the_start": restarted,
                "nothing_there": nothing, "was_received": landed, "killed_again_before": unknown,
                "mib_again": Spread::json(again),
                "share_of_interval": Spread::json(share),
                "seconds_to_first_octet": Spread::json(seconds),
            })
        };
        json!({
            "seed": self.seed,
            "size_bytes": self.size_bytes,
            "rounds": self.rounds(),
            "files": self.files(),
            "modes": self.counts(),
            "summary": self.rows().map(summary).collect::<Vec<_>>(),
            "details": self.files.iter().map(cuts).collect::<Vec<_>>(),
        })
    }

    /// Files by what was chosen for them.
    fn counts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for (mode, _) in &self.files {
            let sealed = if mode.sign || mode.encrypt || mode.signed_receipt {
                format!("suite {:02}", mode.suite)
            } else {
                "no suite".to_owned()
            };
            let word = |is: bool, yes: &str, no: &str| if is { yes } else { no }.to_owned();
            for key in [
                format!("format {}", mode.format),
                format!("layers {}", mode.layers()),
                sealed,
                word(mode.signed_receipt, "receipt signed", "receipt unsigned"),
                word(mode.tls, "line TLS", "line plain"),
                word(mode.authentication, "authentication on", "authentication off"),
                word(mode.buffer_compression, "buffer compression on", "buffer compression off"),
                format!("caller {}", mode.caller),
            ] {
                *counts.entry(key).or_default() += 1;
            }
        }
        counts
    }

    fn rows(&self) -> impl Iterator<Item = Row> {
        let kinds = [None, Some(Victim::Sender), Some(Victim::Receiver), Some(Victim::Both)];
        kinds.into_iter().map(|kind| self.row(kind))
    }

    fn row(&self, kind: Option<Victim>) -> Row {
        let cuts: Vec<(&Mode, &Cut)> = self
            .files
            .iter()
            .flat_map(|(mode, cuts)| cuts.iter().map(move |cut| (mode, cut)))
            .filter(|(_, cut)| kind.is_none_or(|kind| kind == cut.victim))
            .collect();
        let count = |is: fn(&Cut) -> bool| cuts.iter().filter(|(_, cut)| is(cut)).count();
        let share = |(mode, cut): &(&Mode, &Cut)| Some(float(again(cut)?) / float(mode.checkpoint_bytes));
        Row {
            name: kind.map_or_else(|| "all".to_owned(), |kind| kind.to_string()),
            cuts: cuts.len(),
            resumed: count(|cut| matches!(cut.outcome, Outcome::From(1..))),
            restarted: count(|cut| cut.outcome == Outcome::From(0) && cut.position > 0),
            nothing: count(|cut| cut.outcome == Outcome::From(0) && cut.position == 0),
            landed: count(|cut| cut.outcome == Outcome::Landed),
            unknown: count(|cut| cut.outcome == Outcome::Unknown),
            again: Spread::of(cuts.iter().filter_map(|(_, cut)| Some(float(again(cut)?) / MEBI))),
            share: Spread::of(cuts.iter().filter_map(share)),
            seconds: Spread::of(
                cuts.iter().filter_map(|(_, cut)| cut.until_first_octet.as_ref().map(Duration::as_secs_f64)),
            ),
        }
    }
}

/// Octets of the transmitted file that came twice; none if it is not known, or nothing had come.
fn again(cut: &Cut) -> Option<u64> {
    match cut.outcome {
        // What the receiver told last may be behind what it made safe afterwards.
        Outcome::From(octet) if cut.position > 0 => Some(cut.position.saturating_sub(octet)),
        Outcome::From(_) | Outcome::Landed | Outcome::Unknown => None,
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rounds, files, size) = (self.rounds(), self.files(), self.size_bytes >> 20);
        writeln!(f, "{rounds} kills, {files} files of {size} MiB, all delivered; seed {}\n", self.seed)?;
        writeln!(f, "{:<32}  files", "what was chosen")?;
        for (mode, count) in self.counts() {
            writeln!(f, "{mode:<32}  {count:>5}")?;
        }
        writeln!(
            f,
            "\n{:<9} {:>6} {:>8} {:>10} {:>8} {:>9} {:>6}",
            "killed", "kills", "resumed", "from start", "nothing", "received", "again"
        )?;
        for Row { name, cuts, resumed, restarted, nothing, landed, unknown, .. } in self.rows() {
            writeln!(
                f,
                "{name:<9} {cuts:>6} {resumed:>8} {restarted:>10} {nothing:>8} {landed:>9} {unknown:>6}"
            )?;
        }
        f.write_str(LEGEND)?;
        writeln!(f, "\n{:<34} {:<9} {:>6} {:>9} {:>9} {:>9}", "", "killed", "of", "median", "95 %", "most")?;
        for (title, digits, figure) in FIGURES {
            for row in self.rows() {
                if let Some(Spread { count, median, p95, max }) = figure(&row) {
                    writeln!(
                        f,
                        "{title:<34} {:<9} {count:>6} {median:>9.digits$} {p95:>9.digits$} {max:>9.digits$}",
                        row.name
                    )?;
                }
            }
        }
        Ok(())
    }
}

#[allow(clippy::cast_precision_loss, reason = "shown with three digits")]
fn float(octets: u64) -> f64 {
    octets as f64
}

type Figure = fn(&Row) -> Option<Spread>;

const FIGURES: [(&str, usize, Figure); 3] = [
    ("MiB received again", 1, |row| row.again),
    ("the same in checkpoint intervals", 3, |row| row.share),
    ("s from restart to first octet", 2, |row| row.seconds),
];

const LEGEND: &str = "\
from start: something had come, but nothing was safe; nothing: nothing had come; received: the file was in the
inbox already; again: killed again before the file went on
";
const MEBI: f64 = 1_048_576.0;
