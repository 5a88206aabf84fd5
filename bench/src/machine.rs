//! What the figures were measured on.

use std::fmt;
use std::fs;

/// The machine, as a line for results.
pub struct Machine {
    cpu: String,
    cores: usize,
    kernel: String,
}

impl Machine {
    /// This machine.
    pub fn here() -> Self {
        let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let cpu = info
            .lines()
            .find_map(|line| line.strip_prefix("model name"))
            .and_then(|rest| rest.split_once(':'))
            .map_or_else(|| "unknown processor".to_owned(), |(_, name)| name.trim().to_owned());
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned();
        Self { cpu, cores: odile_station::available_cpus().len(), kernel }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cores of {}, Linux {}", self.cores, self.cpu, self.kernel)
    }
}

/// Makes sure that so much memory is at hand. A virtual machine gives free memory back to its host a moment after it was
/// freed, and getting it again costs whoever needs it next up to half a second per GB: in a benchmark, that would be whoever
/// comes after a pause.
pub fn touch_memory(octets: u64) {
    let mut memory = vec![0_u8; usize::try_from(octets).expect("it fits")];
    for page in memory.chunks_mut(4096) {
        page[0] = 1;
    }
    std::hint::black_box(&memory);
}
