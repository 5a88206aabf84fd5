//! A station in a process of its own, so that all of it runs on one core and its processor time and memory are its own.
//!
//! The process is this program, started again ([`serve_if_asked`]). It takes a line of its standard input as a command,
//! answers each with one line, and ends with the end of its input: whatever becomes of the benchmark, it does not stay.
//!
//! ```text
//! send PARTNER PATH          took NANOSECONDS TLS
//! send-folder PARTNER PATH   took NANOSECONDS SESSIONS
//! send-at-once PREFIX PATHS  took NANOSECONDS            tabs between; for PREFIX, PREFIX1, …
//! queue PREFIX COUNT PATH    queued COUNT                the file for PREFIX0, PREFIX1, …
//! board                      board TRANSFER=OCTETS …     of what runs now
//! ```

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::Duration;

use odile_station::{Calls, Handle, Home, Listen, Options, SendRequest, Station, Target};

use crate::pair::quiet;
use crate::peer::pinned;
use crate::processes::{CpuTime, Memory};
use crate::sender::Sender;

/// How a station's process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// Threads with a ring each.
    pub shards: usize,
    /// Buffers of each.
    pub pool_blocks: usize,
    /// Octets of each.
    pub block_bytes: usize,
    /// True if what is received is dropped.
    pub is_discarding: bool,
}

impl Default for Setting {
    fn default() -> Self {
        let Options { shards, pool_blocks, block_bytes, .. } = Options::default();
        Self { shards, pool_blocks, block_bytes, is_discarding: false }
    }
}

/// A station that runs in another process. It ends when dropped.
pub struct StationProcess {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    address: Option<SocketAddr>,
}

impl StationProcess {
    /// Starts it on a core. It listens or sends.
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub fn start(core: usize, home: &Home, listen: Listen, setting: Setting) -> Self {
        let this = std::env::current_exe().expect("this program has a path");
        let mut command = pinned(&[core], "prlimit");
        command
            .arg(format!("--nofile={}", open_files_max()))
            .arg(&this)
            .arg(ASK)
            .arg(home.root())
            .args(words(listen, setting));
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("this program starts");
        let input = child.stdin.take().expect("it is piped");
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut process = Self { child, input, output, address: None };
        process.address = process.answer("listening").parse().ok();
        process
    }

    /// Where it listens.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Sends a file; gives the time from SFID to EFPA, and what secured the session.
    ///
    /// # Panics
    ///
    /// If it does not arrive.
    pub fn send(&mut self, partner: &str, source: &Path) -> (Duration, String) {
        self.took(&format!("send {partner} {}", source.display()))
    }

    /// Sends all files of a folder; gives the time from the first SFID to the last receipt, and the sessions so far.
    ///
    /// # Panics
    ///
    /// If one does not arrive.
    pub fn send_folder(&mut self, partner: &str, folder: &Path) -> (Duration, String) {
        self.took(&format!("send-folder {partner} {}", folder.display()))
    }

    /// Sends files at the same time, to partners `PREFIX`, `PREFIX1`, …; gives the time from the first SFID to the last
    /// EFPA.
    ///
    /// # Panics
    ///
    /// If one does not arrive.
    pub fn send_at_once(&mut self, prefix: &str, sources: &[PathBuf]) -> Duration {
        let paths: Vec<_> = sources.iter().map(|path| path.display().to_string()).collect();
        self.took(&format!("send-at-once {prefix} {}", paths.join("\t"))).0
    }

    /// Queues a file for so many partners.
    ///
    /// # Panics
    ///
    /// If that is refused.
    pub fn queue(&mut self, prefix: &str, partners: usize, source: &Path) {
        self.command(&format!("queue {prefix} {partners} {}", source.display()), "queued");
    }

    /// Octets of each transfer that runs now, by its name.
    ///
    /// # Panics
    ///
    /// If the station is gone.
    pub fn board(&mut self) -> Vec<(String, u64)> {
        let answer = self.command("board", "board");
        let entries = answer.split_whitespace().filter_map(|entry| entry.split_once('='));
        entries.map(|(transfer, octets)| (transfer.to_owned(), octets.parse().expect("a number"))).collect()
    }

    /// Processor time so far.
    pub fn cpu(&self) -> CpuTime {
        CpuTime::of_process(self.child.id())
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its memory.
    pub fn memory(&self) -> Memory {
        Memory::of_process(self.child.id())
    }

    fn took(&mut self, command: &str) -> (Duration, String) {
        let answer = self.command(command, "took");
        let (nanoseconds, rest) = answer.split_once(' ').unwrap_or((&answer, ""));
        (Duration::from_nanos(nanoseconds.parse().expect("a number")), rest.to_owned())
    }

    fn command(&mut self, command: &str, answer: &str) -> String {
        writeln!(self.input, "{command}").expect("the station is there");
        self.answer(answer)
    }

    fn answer(&mut self, wanted: &str) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("the station answers");
        let (word, rest) = line.trim_end().split_once(' ').unwrap_or((line.trim_end(), ""));
        assert_eq!(word, wanted, "a station has ended; what it has said is above");
        rest.to_owned()
    }
}

impl Drop for StationProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// If this process was started to be a station, it is one, and ends as such. To be called before anything else.
pub fn serve_if_asked() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [ask, home, rest @ ..] = arguments.as_slice()
        && ask == ASK
    {
        serve(&Home::new(home), rest);
        std::process::exit(0);
    }
}

fn serve(home: &Home, words: &[String]) {
    let (listen, setting) = parse(words);
    let options = Options {
        shards: setting.shards,
        workers: 1,
        pool_blocks: setting.pool_blocks,
        block_bytes: setting.block_bytes,
        target: if setting.is_discarding { Target::Discard } else { Target::Inbox },
        ..Options::default()
    };
    if listen.is_nowhere() {
        let sender = Sender::start(home.clone(), options);
        answer("listening nowhere");
        obey(&sender.handle(), Some(&sender));
    } else {
        let station =
            Station::start(home.clone(), options, listen, Calls::All, quiet()).expect("the station starts");
        let handle = station.handle();
        let address = handle.address().or(handle.tls_address()).expect("it listens");
        answer(&format!("listening {address}"));
        obey(&handle, None);
    }
    // The folders go, whatever is in them: nothing is left to be done in an orderly way.
    std::process::exit(0);
}

fn obey(handle: &Handle, sender: Option<&Sender>) {
    for line in io::stdin().lines().map_while(Result::ok) {
        let mut words = line.splitn(3, ' ');
        let (command, first, second) = (words.next(), words.next(), words.next());
        match (command, first, second, sender) {
            (Some("send"), Some(partner), Some(path), Some(sender)) => {
                let took = sender.send_and_wait(partner, Path::new(path));
                answer(&format!("took {} {}", took.as_nanos(), sender.secured().unwrap_or_default()));
            }
            (Some("send-folder"), Some(partner), Some(folder), Some(sender)) => {
                let took = sender.send_all(&requests(partner, Path::new(folder)));
                answer(&format!("took {} {}", took.as_nanos(), sender.sessions()));
            }
            (Some("send-at-once"), Some(prefix), Some(paths), Some(sender)) => {
                let request = |(lane, path): (usize, &str)| {
                    let partner = if lane == 0 { prefix.to_owned() } else { format!("{prefix}{lane}") };
                    SendRequest::new(partner, path)
                };
                let requests: Vec<_> = paths.split('\t').enumerate().map(request).collect();
                answer(&format!("took {}", sender.send_at_once(&requests).as_nanos()));
            }
            (Some("queue"), Some(prefix), Some(rest), Some(_)) => {
                let (count, path) = rest.split_once(' ').expect("a number and a path");
                for number in 0..count.parse::<usize>().expect("a number") {
                    let request = SendRequest::new(format!("{prefix}{number}"), path);
                    handle.send(&request).expect("it is queued");
                }
                answer(&format!("queued {count}"));
            }
            (Some("board"), ..) => {
                let running = handle.board().all();
                let entries = running.iter().map(|(transfer, at)| format!(" {transfer}={}", at.octets));
                answer(&format!("board{}", entries.collect::<String>()));
            }
            _ => unreachable!("no command of ours: {line}"),
        }
    }
}

/// One for each file of a folder, in order.
fn requests(partner: &str, folder: &Path) -> Vec<SendRequest> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder).expect("the sources").flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths.into_iter().map(|path| SendRequest::new(partner, path)).collect()
}

fn answer(line: &str) {
    let mut output = io::stdout().lock();
    // Nobody listens if the benchmark has ended; the end of the input tells so too.
    let _ = writeln!(output, "{line}").and_then(|()| output.flush());
}

/// As many open files as this process may allow itself.
fn open_files_max() -> String {
    let limits = fs::read_to_string("/proc/self/limits").expect("/proc is mounted");
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).expect("it has a limit");
    line.split_whitespace().nth(1).expect("the hard limit").to_owned()
}

/// As arguments of the process.
fn words(listen: Listen, setting: Setting) -> Vec<String> {
    let address = |address: Option<SocketAddr>| address.map_or("-".to_owned(), |address| address.to_string());
    let Setting { shards, pool_blocks, block_bytes, is_discarding } = setting;
    let mut words = vec![address(listen.plain), address(listen.tls)];
    words.extend(
        [shards, pool_blocks, block_bytes, usize::from(is_discarding)].map(|number| number.to_string()),
    );
    words
}

fn parse(words: &[String]) -> (Listen, Setting) {
    let [plain, tls, numbers @ ..] = words else { unreachable!("as `words` writes them") };
    let listen = Listen { plain: plain.parse().ok(), tls: tls.parse().ok() };
    let numbers: Vec<usize> = numbers.iter().map(|word| word.parse().expect("a number")).collect();
    let [shards, pool_blocks, block_bytes, is_discarding] = numbers[..] else {
        unreachable!("as `words` writes them")
    };
    (listen, Setting { shards, pool_blocks, block_bytes, is_discarding: is_discarding == 1 })
}

/// The first argument that asks for a station.
const ASK: &str = "--be-a-station";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_survives_the_way_to_another_process() {
        let address = SocketAddr::from(([127, 0, 0, 1], 3305));
        for listen in [Listen::NOWHERE, Listen::plain(address), Listen { plain: None, tls: Some(address) }] {
            for is_discarding in [false, true] {
                let setting = Setting { shards: 3, pool_blocks: 7, block_bytes: 1 << 17, is_discarding };
                assert_eq!(parse(&words(listen, setting)), (listen, setting));
            }
        }
    }
}
