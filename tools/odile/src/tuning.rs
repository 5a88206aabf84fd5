//! Flags for what people tune, on every command that runs a station.

use std::ops::RangeInclusive;
use std::time::Duration;

use clap::{Args, ValueEnum};
use odile_station::partner::{BufferSize, CreditWindow, DeflateLevel, LevelNumber, SessionSettings};
use odile_station::{Congestion, Direct, HugePages, Options};

use crate::size::{parse_memory_size, parse_size};

/// What is set here goes before the partner's file, and that before `station.toml`.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Tuning (goes before what station.toml and partner files say)")]
pub struct Tuning {
    /// Data Exchange Buffer that is offered, 128 to 99999 octets [default: 99999]
    #[arg(long, value_name = "OCTETS", value_parser = buffer_size)]
    buffer_size: Option<BufferSize>,
    /// Credit window that is offered, 1 to 999 buffers [default: 999]
    #[arg(long, value_name = "BUFFERS", value_parser = credit)]
    credit: Option<CreditWindow>,
    /// Highest protocol level that is offered: 1, 2, 4 or 5 [default: 5]
    #[arg(long, value_name = "LEVEL", value_parser = level)]
    level: Option<LevelNumber>,
    /// Lowest protocol level that is accepted [default: 1]
    #[arg(long, value_name = "LEVEL", value_parser = level)]
    level_min: Option<LevelNumber>,
    /// Send runs of equal octets as one [default: off]
    #[arg(long, value_name = "on|off", value_enum, hide_possible_values = true)]
    buffer_compression: Option<Switch>,
    /// How hard files are compressed that are to be, 1 (fast) to 12 (small) [default: 1]
    #[arg(long, value_name = "LEVEL", value_parser = compression_level)]
    compression_level: Option<DeflateLevel>,
    /// Seconds to wait for an answer of the peer [default: 180]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    timeout: Option<u32>,
    /// Seconds to wait for a connection [default: 30]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    connect_timeout: Option<u32>,
    /// Threads with an io_uring each [default: one a core for serve, else 1]
    #[arg(long, value_name = "N", value_parser = shards)]
    shards: Option<usize>,
    /// Pin shards to cores [default for serve]
    #[arg(long, conflicts_with_all = ["no_pin", "cpus"])]
    pin: bool,
    /// Leave shards to the scheduler of the kernel [default for the other commands]
    #[arg(long, conflicts_with = "cpus")]
    no_pin: bool,
    /// Pin shards to these cores, in turn, such as 0,1
    #[arg(long, value_name = "CORES", value_delimiter = ',')]
    cpus: Vec<usize>,
    /// Threads for what may wait for the disk [default: 2]
    #[arg(long, value_name = "N", value_parser = workers)]
    workers: Option<usize>,
    /// Buffers in each shard; a transfer needs up to 6 [default: 16]
    #[arg(long, value_name = "N", value_parser = pool_blocks)]
    pool_blocks: Option<usize>,
    /// Size of each of these buffers, 128KiB to 16MiB: what goes to the socket at once [default: 512KiB]
    #[arg(long, value_name = "SIZE", value_parser = block_bytes)]
    block_bytes: Option<usize>,
    /// Ask the kernel for huge pages for these buffers, or for none [default: as this machine is set]
    #[arg(long, value_name = "on|off", value_enum, hide_possible_values = true)]
    huge_pages: Option<Switch>,
    /// Read sources, write received files, or do both past the page cache, where the filesystem can do that: it stays as it
    /// is, however much passes. Whether that is faster depends on the disk, see `odile link disk` [default: off]
    #[arg(long, value_name = "off|targets|sources|both", value_enum, hide_possible_values = true)]
    direct: Option<DirectWord>,
    /// Entries of each shard's io_uring, 8 to 32768, rounded up to a power of two [default: 256]
    #[arg(long, value_name = "N", value_parser = ring_entries)]
    ring_entries: Option<u32>,
    /// Let a thread of the kernel take what each shard submits; it occupies a core of its own, and sleeps after so many
    /// milliseconds without work [default: no such thread]
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u32).range(1..=POLLING_MS_MAX))]
    sqpoll: Option<u32>,
    /// Congestion control of sockets, such as cubic or bbr [default: the kernel's, see
    /// net.ipv4.tcp_congestion_control]
    #[arg(long, value_name = "NAME", value_parser = congestion)]
    congestion: Option<Congestion>,
    /// Send buffer of sockets [default: tuned by the kernel]
    #[arg(long, value_name = "SIZE", value_parser = parse_memory_size)]
    send_buffer: Option<usize>,
    /// Receive buffer of sockets [default: tuned by the kernel]
    #[arg(long, value_name = "SIZE", value_parser = parse_memory_size)]
    receive_buffer: Option<usize>,
    /// Sync received data to disk each time so much has come [default: 64MiB]
    #[arg(long, value_name = "SIZE", value_parser = sync_bytes)]
    sync_bytes: Option<u64>,
    /// Make a checkpoint each time so much of a file has passed: after a cut, at most so much is sent again, and what
    /// was under way [default: 256MiB]
    #[arg(long, value_name = "SIZE", value_parser = sync_bytes)]
    checkpoint_bytes: Option<u64>,
    /// Make a checkpoint after so many milliseconds, if anything has passed [default: 5000]
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..))]
    checkpoint_ms: Option<u64>,
    /// Go on where an interrupted file was cut [default: on]
    #[arg(long, value_name = "on|off", value_enum, hide_possible_values = true)]
    restart: Option<Switch>,
    /// Send new credit when half of the window is used, and take it early: only with partners that do the same [default:
    /// off]
    #[arg(long, value_name = "on|off", value_enum, hide_possible_values = true)]
    early_credit: Option<Switch>,
}

/// Two words instead of a flag that can only be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

/// What goes past the page cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DirectWord {
    Off,
    Targets,
    Sources,
    Both,
}

impl DirectWord {
    const fn direct(self) -> Direct {
        match self {
            Self::Off => Direct::Off,
            Self::Targets => Direct::Targets,
            Self::Sources => Direct::Sources,
            Self::Both => Direct::Both,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Targets => "targets",
            Self::Sources => "sources",
            Self::Both => "both",
        }
    }
}

impl Switch {
    const fn huge_pages(self) -> HugePages {
        match self {
            Self::On => HugePages::Wanted,
            Self::Off => HugePages::Unwanted,
        }
    }
}

impl Tuning {
    /// `base` with what is set here.
    pub fn apply(&self, base: Options) -> Options {
        let mut options = base;
        options.shards = self.shards.unwrap_or(options.shards);
        if self.pin {
            options.cpus = odile_station::available_cpus();
        } else if self.no_pin {
            options.cpus = Vec::new();
        } else if !self.cpus.is_empty() {
            options.cpus.clone_from(&self.cpus);
        }
        options.workers = self.workers.unwrap_or(options.workers);
        options.pool_blocks = self.pool_blocks.unwrap_or(options.pool_blocks);
        options.block_bytes = self.block_bytes.unwrap_or(options.block_bytes);
        options.huge_pages = self.huge_pages.map(Switch::huge_pages).or(options.huge_pages);
        options.direct = self.direct.map_or(options.direct, DirectWord::direct);
        options.ring_entries = self.ring_entries.unwrap_or(options.ring_entries);
        options.polling = self.sqpoll.map(|ms| Duration::from_millis(u64::from(ms))).or(options.polling);
        options.sockets.congestion = self.congestion.or(options.sockets.congestion);
        options.sync_bytes = self.sync_bytes.unwrap_or(options.sync_bytes);
        options.checkpoint_bytes = self.checkpoint_bytes.unwrap_or(options.checkpoint_bytes);
        options.checkpoint_time = self.checkpoint_ms.map_or(options.checkpoint_time, Duration::from_millis);
        options.sockets.send_buffer_bytes = self.send_buffer.or(options.sockets.send_buffer_bytes);
        options.sockets.receive_buffer_bytes = self.receive_buffer.or(options.sockets.receive_buffer_bytes);
        options.compression_level = self.compression_level.or(options.compression_level);
        options.session = self.session().or(&options.session);
        options
    }

    /// With a checkpoint each time so much has passed, if nothing else is set.
    pub fn with_checkpoints_of(&self, octets: u64) -> Self {
        Self { checkpoint_bytes: self.checkpoint_bytes.or(Some(octets)), ..self.clone() }
    }

    fn session(&self) -> SessionSettings {
        SessionSettings {
            buffer_size: self.buffer_size,
            credit: self.credit,
            level_min: self.level_min,
            level_max: self.level,
            buffer_compression: self.buffer_compression.map(|switch| switch == Switch::On),
            // What protects a session is agreed on with the partner, not tuned.
            authentication: None,
            restart: self.restart.map(|switch| switch == Switch::On),
            early_credit: self.early_credit.map(|switch| switch == Switch::On),
            inactivity_seconds: self.timeout,
            connect_seconds: self.connect_timeout,
        }
    }

    /// True if nothing is set: then it does not matter that a station runs already.
    pub fn is_default(&self) -> bool {
        self.to_arguments().is_empty()
    }

    /// The same as arguments, for a process that `demo` starts.
    pub fn to_arguments(&self) -> Vec<String> {
        let cpus: Vec<String> = self.cpus.iter().map(ToString::to_string).collect();
        let switch = |switch| if switch == Switch::On { "on" } else { "off" };
        let valued = [
            ("--buffer-size", self.buffer_size.map(|size| size.octets().to_string())),
            ("--credit", self.credit.map(|credit| credit.buffers().to_string())),
            ("--level", self.level.map(|level| level.level().digit().to_string())),
            ("--level-min", self.level_min.map(|level| level.level().digit().to_string())),
            ("--buffer-compression", self.buffer_compression.map(|on| switch(on).to_owned())),
            ("--compression-level", self.compression_level.map(|level| level.level().get().to_string())),
            ("--timeout", self.timeout.map(|seconds| seconds.to_string())),
            ("--connect-timeout", self.connect_timeout.map(|seconds| seconds.to_string())),
            ("--shards", self.shards.map(|shards| shards.to_string())),
            ("--cpus", (!cpus.is_empty()).then(|| cpus.join(","))),
            ("--workers", self.workers.map(|workers| workers.to_string())),
            ("--pool-blocks", self.pool_blocks.map(|blocks| blocks.to_string())),
            ("--block-bytes", self.block_bytes.map(|size| size.to_string())),
            ("--huge-pages", self.huge_pages.map(|on| switch(on).to_owned())),
            ("--direct", self.direct.map(|direct| direct.word().to_owned())),
            ("--ring-entries", self.ring_entries.map(|entries| entries.to_string())),
            ("--sqpoll", self.sqpoll.map(|ms| ms.to_string())),
            ("--congestion", self.congestion.map(|name| name.as_str().to_owned())),
            ("--send-buffer", self.send_buffer.map(|size| size.to_string())),
            ("--receive-buffer", self.receive_buffer.map(|size| size.to_string())),
            ("--sync-bytes", self.sync_bytes.map(|size| size.to_string())),
            ("--checkpoint-bytes", self.checkpoint_bytes.map(|size| size.to_string())),
            ("--checkpoint-ms", self.checkpoint_ms.map(|time| time.to_string())),
            ("--restart", self.restart.map(|on| switch(on).to_owned())),
            ("--early-credit", self.early_credit.map(|on| switch(on).to_owned())),
        ];
        let flags = [("--pin", self.pin), ("--no-pin", self.no_pin)];
        let set = flags.into_iter().filter(|(_, set)| *set).map(|(flag, _)| flag.to_owned());
        valued
            .into_iter()
            .filter_map(|(flag, value)| value.map(|value| [flag.to_owned(), value]))
            .flatten()
            .chain(set)
            .collect()
    }
}

fn buffer_size(text: &str) -> Result<BufferSize, String> {
    BufferSize::try_from(number(text)?)
}

fn credit(text: &str) -> Result<CreditWindow, String> {
    CreditWindow::try_from(number(text)?)
}

fn level(text: &str) -> Result<LevelNumber, String> {
    LevelNumber::try_from(number(text)?)
}

fn compression_level(text: &str) -> Result<DeflateLevel, String> {
    DeflateLevel::try_from(number(text)?)
}

fn number(text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| format!("{text:?} is no number"))
}

fn shards(text: &str) -> Result<usize, String> {
    within(text, 1, SHARDS_MAX)
}

fn workers(text: &str) -> Result<usize, String> {
    within(text, 1, WORKERS_MAX)
}

fn pool_blocks(text: &str) -> Result<usize, String> {
    within(text, Options::BLOCKS_PER_TRANSFER, POOL_BLOCKS_MAX)
}

fn block_bytes(text: &str) -> Result<usize, String> {
    match parse_memory_size(text)? {
        size if (Options::BLOCK_BYTES_MIN..=BLOCK_BYTES_MAX).contains(&size) => Ok(size),
        _ => Err("128KiB to 16MiB are allowed".to_owned()),
    }
}

fn ring_entries(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(number) if RING_ENTRIES.contains(&number) => Ok(number),
        _ => Err(format!("{} to {} are allowed", RING_ENTRIES.start(), RING_ENTRIES.end())),
    }
}

fn congestion(text: &str) -> Result<Congestion, String> {
    text.parse()
}

fn within(text: &str, min: usize, max: usize) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if (min..=max).contains(&number) => Ok(number),
        _ => Err(format!("{min} to {max} are allowed")),
    }
}

fn sync_bytes(text: &str) -> Result<u64, String> {
    match parse_size(text)? {
        0 => Err("at least 1 octet is needed".to_owned()),
        size => Ok(size),
    }
}

/// More threads than any machine that this was made for has cores.
const SHARDS_MAX: usize = 256;
const WORKERS_MAX: usize = 256;
/// More cannot be registered with a ring.
const POOL_BLOCKS_MAX: usize = 1024;
/// Beyond the cache of any core, so that more would only cost memory.
const BLOCK_BYTES_MAX: usize = 16 << 20;
/// The most is `IORING_MAX_ENTRIES`.
const RING_ENTRIES: RangeInclusive<u32> = 8..=32_768;
/// A minute: beyond that, a thread that never sleeps is what is meant.
const POLLING_MS_MAX: i64 = 60_000;

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        tuning: Tuning,
    }

    fn tuning(arguments: &[&str]) -> Tuning {
        Flags::try_parse_from([&["test"], arguments].concat()).unwrap().tuning
    }

    const ALL: &[&str] = &[
        "--buffer-size",
        "4096",
        "--credit",
        "7",
        "--level",
        "4",
        "--level-min",
        "2",
        "--buffer-compression",
        "on",
        "--timeout",
        "60",
        "--connect-timeout",
        "5",
        "--shards",
        "3",
        "--cpus",
        "0,1",
        "--workers",
        "4",
        "--pool-blocks",
        "32",
        "--block-bytes",
        "1MiB",
        "--huge-pages",
        "on",
        "--direct",
        "both",
        "--ring-entries",
        "512",
        "--sqpoll",
        "20",
        "--congestion",
        "reno",
        "--send-buffer",
        "4MiB",
        "--receive-buffer",
        "65536",
        "--sync-bytes",
        "16MiB",
        "--checkpoint-bytes",
        "128MiB",
        "--checkpoint-ms",
        "250",
        "--restart",
        "off",
    ];

    #[test]
    fn flags_survive_the_way_to_another_process() {
        let there = tuning(ALL).to_arguments();
        let back: Vec<&str> = there.iter().map(String::as_str).collect();
        assert_eq!(tuning(&back).to_arguments(), there);
        assert_eq!(there.len(), ALL.len());
        assert_eq!(tuning(&["--no-pin"]).to_arguments(), ["--no-pin"]);
        assert!(tuning(&[]).is_default());
    }

    #[test]
    fn flags_go_before_what_is_there() {
        let options = tuning(ALL).apply(Options::default());
        assert_eq!((options.shards, options.workers, options.pool_blocks), (3, 4, 32));
        assert_eq!(options.cpus, [0, 1]);
        assert_eq!(options.sync_bytes, 16 << 20);
        assert_eq!(
            (options.checkpoint_bytes, options.checkpoint_time),
            (128 << 20, Duration::from_millis(250))
        );
        assert_eq!(options.sockets.send_buffer_bytes, Some(4 << 20));
        assert_eq!((options.block_bytes, options.ring_entries), (1 << 20, 512));
        assert_eq!(options.huge_pages, Some(HugePages::Wanted));
        assert_eq!(options.direct, Direct::Both);
        assert_eq!(options.polling, Some(Duration::from_millis(20)));
        assert_eq!(options.sockets.congestion.unwrap().as_str(), "reno");
        let terms = options.session.terms().unwrap();
        assert_eq!((terms.buffer_size.octets(), terms.credit.buffers()), (4096, 7));
        assert!(terms.buffer_compression && !terms.restart);
    }

    #[test]
    fn refuses_what_the_protocol_cannot_say() {
        for wrong in [
            ["--buffer-size", "127"],
            ["--buffer-size", "100000"],
            ["--credit", "0"],
            ["--credit", "1000"],
            ["--level", "3"],
            ["--pool-blocks", "3"],
            ["--pool-blocks", "1025"],
            ["--shards", "0"],
            ["--block-bytes", "127KiB"],
            ["--block-bytes", "17MiB"],
            ["--ring-entries", "7"],
            ["--ring-entries", "32769"],
            ["--sqpoll", "0"],
            ["--sqpoll", "60001"],
            ["--huge-pages", "maybe"],
            ["--direct", "on"],
            ["--congestion", "a name"],
            ["--sync-bytes", "0"],
            ["--checkpoint-bytes", "0"],
            ["--checkpoint-ms", "0"],
        ] {
            assert!(Flags::try_parse_from(["test", wrong[0], wrong[1]]).is_err(), "{wrong:?}");
        }
    }
}
