//! Progress of transfers on stderr: bars on a terminal, lines elsewhere.

use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::access::Standing;
use crate::context::{Context, Verbosity};
use crate::output::{clean, note};

/// Where progress is shown.
pub enum Progress {
    /// Nobody wants to see it.
    Silent,
    /// Lines, for logs.
    Lines,
    /// Bars, for people.
    Bars(MultiProgress),
}

/// The progress of one transfer.
pub struct Meter {
    label: String,
    kind: Kind,
}

enum Kind {
    Silent,
    Lines { shown_state: String, shown_at: Instant },
    Bar(ProgressBar),
}

impl Progress {
    pub fn new(context: &Context) -> Self {
        if context.is_json() || context.verbosity == Verbosity::Quiet {
            Self::Silent
        } else if stderr().is_terminal() {
            Self::Bars(MultiProgress::new())
        } else {
            Self::Lines
        }
    }

    /// Shows a transfer from now on.
    pub fn meter(&self, label: impl Into<String>) -> Meter {
        let label = clean(&label.into());
        let kind = match self {
            Self::Silent => Kind::Silent,
            Self::Lines => Kind::Lines { shown_state: String::new(), shown_at: Instant::now() },
            Self::Bars(bars) => {
                let bar = bars.add(ProgressBar::new(0).with_style(style()));
                bar.set_prefix(label.clone());
                Kind::Bar(bar)
            }
        };
        Meter { label, kind }
    }

    /// A line above the bars.
    pub fn line(&self, text: &str) {
        match self {
            Self::Silent => {}
            Self::Lines => note(text),
            Self::Bars(bars) => bars.suspend(|| note(text)),
        }
    }
}

impl Meter {
    /// So far is it now.
    pub fn show(&mut self, now: &Standing) {
        let octets = if is_over(&now.state) { now.total } else { now.octets };
        match &mut self.kind {
            Kind::Silent => {}
            Kind::Bar(bar) => {
                bar.set_length(now.total);
                bar.set_position(octets);
                bar.set_message(now.state.clone());
            }
            Kind::Lines { shown_state, shown_at } => {
                if *shown_state != now.state {
                    note(&format!("{}: {}", self.label, now.state));
                    shown_state.clone_from(&now.state);
                    *shown_at = Instant::now();
                } else if now.octets > 0 && shown_at.elapsed() >= LINE_EVERY {
                    note(&format!("{}: {} {}", self.label, now.state, percent(octets, now.total)));
                    *shown_at = Instant::now();
                }
            }
        }
    }

    /// Leaves the screen to the result.
    pub fn finish(&self) {
        if let Kind::Bar(bar) = &self.kind {
            bar.finish_and_clear();
        }
    }
}

fn is_over(state: &str) -> bool {
    matches!(state, "sent" | "unproven" | "delivered")
}

fn percent(octets: u64, total: u64) -> String {
    let percent = u128::from(octets) * 100 / u128::from(total.max(1));
    format!("{percent} % of {total} octets")
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template(
        "{prefix}  {msg:9} [{bar:28}] {decimal_bytes}/{decimal_total_bytes}  {decimal_bytes_per_sec}  {eta}",
    )
    .unwrap_or_else(|_| ProgressStyle::default_bar())
    .progress_chars("=> ")
}

/// Often enough to see that it lives, seldom enough for a log.
const LINE_EVERY: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percents_of_nothing_and_of_everything() {
        assert_eq!(percent(0, 0), "0 % of 0 octets");
        assert_eq!(percent(1, 3), "33 % of 3 octets");
        assert_eq!(percent(u64::MAX, u64::MAX), format!("100 % of {} octets", u64::MAX));
    }

    #[test]
    fn the_style_of_the_bar_can_be_parsed() {
        let bar = ProgressBar::hidden().with_style(style());
        bar.set_prefix("S1");
        bar.finish();
    }
}
