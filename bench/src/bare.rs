//! The limit: blocks sent and received over loopback with nothing around it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use odile_uring::{Listener, Shard, ShardConfig, SocketOptions, Stream, Workers};

use crate::measure::thread_seconds;

/// What it took.
#[derive(Debug, Clone, Copy)]
pub struct Sent {
    /// From the first octet to the last.
    pub took: Duration,
    /// Processor seconds of the sender.
    pub sender_seconds: f64,
    /// Processor seconds of the receiver.
    pub receiver_seconds: f64,
}

/// Sends so many octets from a shard on one core to a shard on another.
pub fn send(octets: u64) -> Sent {
    let cores = odile_uring::available_cpus();
    let workers = Workers::start(1).expect("threads can be started");
    let config = |index: usize| ShardConfig {
        index,
        cpu: cores.get(index % cores.len().max(1)).copied(),
        ring_entries: 64,
        pool_blocks: 4,
        block_bytes: 1 << 20,
        polling: None,
        huge_pages: None,
        workers: workers.clone(),
        faults: None,
    };
    let (bound, address) = std::sync::mpsc::channel();
    let receiver = odile_uring::start(config(1), move |shard| async move {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = Listener::bind(any, SocketOptions::default()).expect("loopback");
        bound.send(listener.address()).expect("the sender waits");
        let stream = listener.accept().await.expect("a connection");
        discard(shard, stream).await
    })
    .expect("io_uring");
    let address = address.recv().expect("an address");
    let sender = odile_uring::start(config(0), move |shard| async move {
        let stream = Stream::connect(address, SocketOptions::default(), Duration::from_secs(5)).await;
        let stream = stream.expect("a connection");
        let mut block = shard.pool.reserve(1).await.pop().expect("one block");
        let (began, before) = (Instant::now(), thread_seconds());
        let mut left = octets;
        while left > 0 {
            let count = usize::try_from(left).unwrap_or(usize::MAX).min(block.len());
            let (sent, back) = stream.write_all(block, count).await;
            sent.expect("the receiver reads");
            block = back;
            left -= count as u64;
        }
        (began, thread_seconds() - before)
    })
    .expect("io_uring");
    let (began, sender_seconds) = sender.join();
    let (received, ended, receiver_seconds) = receiver.join();
    assert_eq!(received, octets, "everything arrived");
    Sent { took: ended - began, sender_seconds, receiver_seconds }
}

/// Gives octets, when the last came, and processor seconds.
async fn discard(shard: Shard, stream: Stream) -> (u64, Instant, f64) {
    let mut block = shard.pool.reserve(1).await.pop().expect("one block");
    let (mut received, before) = (0, thread_seconds());
    loop {
        let (count, back) = stream.read(block).await;
        block = back;
        match count.expect("the sender sends") {
            0 => return (received, Instant::now(), thread_seconds() - before),
            count => received += count as u64,
        }
    }
}
