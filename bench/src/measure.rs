//! Medians and processor time.

use std::fs;

/// A median and the range around it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// The median.
    pub middle: f64,
    /// The smallest value.
    pub least: f64,
    /// The largest value.
    pub most: f64,
}

/// The median of some values, which it sorts.
///
/// # Panics
///
/// If there are none.
pub fn median(values: &mut [f64]) -> Measured {
    values.sort_by(f64::total_cmp);
    Measured { middle: values[values.len() / 2], least: values[0], most: values[values.len() - 1] }
}

/// Processor seconds that this process has used so far, in user and kernel mode.
pub fn cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").expect("/proc is mounted");
    // The second field is a name in parentheses, which may hold spaces.
    let after = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = |field: usize| {
        after.split_whitespace().nth(field - 3).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0)
    };
    // Fields 14 and 15 of proc(5), in ticks of 10 ms on every Linux of today.
    (ticks(14) + ticks(15)) / 100.0
}

/// Processor seconds that this thread has used so far: other work on the machine disturbs them less than the time of
/// day.
pub fn thread_seconds() -> f64 {
    // The kernel brings the figure up to date when it decides who runs next.
    std::thread::yield_now();
    let stat = fs::read_to_string("/proc/thread-self/schedstat").expect("a kernel with scheduler statistics");
    stat.split_whitespace().next().and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0) / 1e9
}
