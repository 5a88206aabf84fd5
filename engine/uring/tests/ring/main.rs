//! The runtime on a real ring: sockets, files, cancellation, workers.

mod direct;
mod files;
mod small_files;
mod sockets;

use std::future::Future;
use std::sync::Arc;

use odile_uring::{Faults, Shard, ShardConfig, Workers, start};

fn on_shard<Fut>(main: impl FnOnce(Shard) -> Fut + Send + 'static)
where
    Fut: Future<Output = ()>,
{
    on_shard_with(None, main);
}

/// On a shard that is set up otherwise.
fn on_shard_set(change: impl FnOnce(&mut ShardConfig), main: impl AsyncFnOnce(Shard) + Send + 'static) {
    let mut config = config(None);
    change(&mut config);
    start(config, |shard| main(shard)).expect("io_uring").join();
}

fn on_shard_with<Fut>(faults: Option<Arc<dyn Faults>>, main: impl FnOnce(Shard) -> Fut + Send + 'static)
where
    Fut: Future<Output = ()>,
{
    start(config(faults), main).expect("io_uring").join();
}

fn config(faults: Option<Arc<dyn Faults>>) -> ShardConfig {
    let workers = Workers::start(1).expect("threads");
    ShardConfig {
        index: 0,
        cpu: None,
        ring_entries: 64,
        polling: None,
        pool_blocks: 4,
        block_bytes: 64 * 1024,
        huge_pages: None,
        workers,
        faults,
    }
}

#[test]
fn a_worker_that_panics_fails_its_job_only() {
    on_shard(|shard| async move {
        let failed = shard.workers.run(|| -> u32 { std::panic::resume_unwind(Box::new("on purpose")) }).await;
        assert!(failed.is_err());
        assert_eq!(shard.workers.run(|| 7).await.expect("the next job is done"), 7);
    });
}
