//! iperf3: one stream over loopback.

use std::path::PathBuf;
use std::time::Duration;

use super::{Daemon, Program, free_port, pinned, run};
use crate::rounds::Turn;

/// A server of it that runs, and the way to call it.
pub struct Iperf {
    program: PathBuf,
    server: Daemon,
    port: u16,
    core: usize,
}

impl Iperf {
    /// Starts the server on the receiver's core.
    pub fn start(cores: [usize; 2]) -> Result<Self, String> {
        let program = Program { name: "iperf3", package: "iperf3" }.find()?;
        let port = free_port();
        let mut command = pinned(&[cores[1]], &program);
        command.args(["--server", "--bind", "127.0.0.1", "--port", &port.to_string()]);
        let server = Daemon::start("iperf3", &mut command, &[port])?;
        Ok(Self { program, server, port, core: cores[0] })
    }

    /// Sends so many octets in writes of 1 MiB. The time is what the receiver says.
    ///
    /// # Panics
    ///
    /// If it fails.
    pub fn turn(&self, octets: u64) -> Turn {
        self.server.turn(|| {
            let mut client = pinned(&[self.core], &self.program);
            client.args(["--client", "127.0.0.1", "--port", &self.port.to_string()]);
            client.args(["--bytes", &octets.to_string(), "--length", "1M", "--json"]);
            let (_, report) = run(&mut client);
            let report: serde_json::Value = serde_json::from_str(&report).expect("JSON");
            let received = &report["end"]["sum_received"];
            let number = |name: &str| received[name].as_f64().expect("a number");
            // The receiver stops counting when the sender has sent all, not when all has come.
            assert!(number("bytes") > 0.9 * octets as f64, "{} of {octets} octets arrived", number("bytes"));
            Duration::from_secs_f64(number("seconds") * octets as f64 / number("bytes"))
        })
    }
}
