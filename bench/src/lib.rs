//! What the benchmarks share: data, pairs of stations, other people's software, a bare loop as the limit, medians.

#![allow(clippy::cast_precision_loss, reason = "figures of three digits are printed")]

pub mod bare;
pub mod cad;
pub mod homes;
pub mod machine;
pub mod measure;
pub mod pair;
pub mod peer;
pub mod primitive;
pub mod processes;
pub mod real;
pub mod rounds;
pub mod sealing;
pub mod sender;
pub mod station_process;
pub mod stations;

use std::path::PathBuf;

/// Where benchmarks put their files: `ODILE_BENCH_DIR`, or the build folder, which is on a real disk.
pub fn scratch() -> PathBuf {
    let folder = std::env::var_os("ODILE_BENCH_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target"), PathBuf::from);
    std::fs::create_dir_all(&folder).expect("the scratch folder can be made");
    folder
}
