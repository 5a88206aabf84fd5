//! Where the time of a transfer goes, if somebody wants to know (`Options::measure`).
//!
//! The link's own stages follow each other, so that they and what is not listed add up to the whole. What works beside
//! the link (opening an envelope, writing to disk) is busy for so long, whether the link waits for it or not.

use std::fmt;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// What was measured of one file, when it has passed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured {
    /// Octets of the transmitted file that passed.
    pub octets: u64,
    /// From SFPA to EFPA for a Speaker; from the first DATA to EFID for a Listener.
    pub took: Duration,
    /// Where the time went.
    pub stages: Vec<(Stage, Duration)>,
    /// Time for each Data Exchange Buffer of a Speaker.
    pub buffer: Option<Spread>,
    /// Time that a Speaker waited for credit, each time.
    pub stall: Option<Spread>,
}

/// What a transfer spends its time with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Speaker: waits for CDT.
    Credit,
    /// Speaker: waits for workers, who read the source, seal it and frame it.
    Prepare,
    /// Both: TLS records.
    Tls,
    /// Speaker: waits for the socket to take octets.
    Socket,
    /// Speaker: waits for a checkpoint to be durable.
    Checkpoint,
    /// Speaker: from EFID to EFPA.
    Close,
    /// Listener: waits for octets.
    Line,
    /// Listener: waits for those who open and store what has come.
    Store,
    /// Listener, beside the link: hashes, ciphers, inflate.
    Open,
    /// Listener, beside the link: writes and syncs.
    Disk,
    /// Listener, beside the link: compares with what must come.
    Compare,
}

/// How long something took, over many times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Spread {
    pub count: u64,
    pub least: Duration,
    pub median: Duration,
    pub p99: Duration,
    pub most: Duration,
}

impl Measured {
    /// Time of a stage; zero if it is none of this side.
    pub fn stage(&self, wanted: Stage) -> Duration {
        self.stages.iter().filter(|(stage, _)| *stage == wanted).map(|(_, time)| *time).sum()
    }

    /// Share of the whole time, 0 to 1 (more for what several threads did).
    pub fn share(&self, wanted: Stage) -> f64 {
        let took = self.took.as_secs_f64();
        if took > 0.0 { self.stage(wanted).as_secs_f64() / took } else { 0.0 }
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} octets in {:.3} s", self.octets, self.took.as_secs_f64())?;
        for (stage, _) in &self.stages {
            write!(f, ", {stage} {:.0} %", self.share(*stage) * 100.0)?;
        }
        Ok(())
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Credit => "credit",
            Self::Prepare => "prepare",
            Self::Tls => "TLS",
            Self::Socket => "socket",
            Self::Checkpoint => "checkpoint",
            Self::Close => "close",
            Self::Line => "line",
            Self::Store => "store",
            Self::Open => "open",
            Self::Disk => "disk",
            Self::Compare => "compare",
        })
    }
}

/// Takes the times of one transfer.
pub(crate) struct Recorder {
    began: Instant,
    stages: Vec<(Stage, Duration)>,
    buffers: Histogram<u64>,
    stalls: Histogram<u64>,
}

impl Recorder {
    /// From now on.
    pub(crate) fn start() -> Option<Box<Self>> {
        // The bounds are fixed: this cannot fail.
        let histogram = || Histogram::new_with_bounds(1, LONGEST_NS, SIGNIFICANT_DIGITS).ok();
        Some(Box::new(Self {
            began: Instant::now(),
            stages: Vec::with_capacity(8),
            buffers: histogram()?,
            stalls: histogram()?,
        }))
    }

    /// From now on, and not from when it was started.
    pub(crate) fn restart(&mut self) {
        self.began = Instant::now();
        self.stages.clear();
    }

    pub(crate) fn add(&mut self, stage: Stage, time: Duration) {
        match self.stages.iter_mut().find(|(known, _)| *known == stage) {
            Some((_, sum)) => *sum += time,
            None => self.stages.push((stage, time)),
        }
    }

    /// So many Data Exchange Buffers took this long together.
    pub(crate) fn buffers(&mut self, count: u16, time: Duration) {
        if count > 0 {
            let each = nanoseconds(time) / u64::from(count);
            self.buffers.saturating_record_n(each.max(1), u64::from(count));
        }
    }

    /// Credit was waited for.
    pub(crate) fn stalled(&mut self, time: Duration) {
        self.add(Stage::Credit, time);
        self.stalls.saturating_record(nanoseconds(time).max(1));
    }

    pub(crate) fn finish(self, octets: u64) -> Measured {
        let Self { began, stages, buffers, stalls } = self;
        Measured { octets, took: began.elapsed(), stages, buffer: spread(&buffers), stall: spread(&stalls) }
    }
}

fn spread(histogram: &Histogram<u64>) -> Option<Spread> {
    let at = |quantile| Duration::from_nanos(histogram.value_at_quantile(quantile));
    (!histogram.is_empty()).then(|| Spread {
        count: histogram.len(),
        least: Duration::from_nanos(histogram.min()),
        median: at(0.5),
        p99: at(0.99),
        most: Duration::from_nanos(histogram.max()),
    })
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// What takes longer than an hour counts as an hour.
const LONGEST_NS: u64 = 3_600_000_000_000;
const SIGNIFICANT_DIGITS: u8 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adds_up_stages_and_tells_their_shares() {
        let mut recorder = Recorder::start().unwrap();
        recorder.add(Stage::Socket, Duration::from_millis(10));
        recorder.add(Stage::Socket, Duration::from_millis(20));
        recorder.stalled(Duration::from_millis(5));
        recorder.buffers(5, Duration::from_millis(5));
        let mut measured = recorder.finish(1000);
        measured.took = Duration::from_millis(60);
        assert_eq!(measured.stage(Stage::Socket), Duration::from_millis(30));
        assert!((measured.share(Stage::Socket) - 0.5).abs() < 1e-9);
        assert_eq!(measured.stage(Stage::Credit), Duration::from_millis(5));
        let buffer = measured.buffer.unwrap();
        assert_eq!(buffer.count, 5);
        // Three digits.
        assert!((999_000..=1_001_000).contains(&buffer.median.as_nanos()), "{buffer:?}");
        assert_eq!(measured.stall.unwrap().count, 1);
        assert_eq!(measured.to_string(), "1000 octets in 0.060 s, socket 50 %, credit 8 %");
    }

    #[test]
    fn a_time_beyond_the_scale_counts_as_its_end() {
        let mut recorder = Recorder::start().unwrap();
        recorder.stalled(Duration::from_secs(100_000));
        assert_eq!(recorder.finish(0).stall.unwrap().count, 1);
    }
}
