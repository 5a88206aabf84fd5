//! Sockets, and what happens to blocks in flight.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use odile_uring::{HugePages, Listener, Shard, SocketOptions, Stream};

use crate::{on_shard, on_shard_set};

async fn connected() -> (Stream, Stream) {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let listener = Listener::bind(any, SocketOptions::default()).expect("loopback");
    let address = listener.address();
    let accepting = odile_uring::spawn(async move { listener.accept().await.expect("a connection") });
    let connecting = Stream::connect(address, SocketOptions::default(), Duration::from_secs(5));
    let one = connecting.await.expect("a connection");
    (one, accepting.await.expect("the task ends"))
}

#[test]
fn blocks_and_vectors_travel_both_ways() {
    on_shard(there_and_back);
}

/// The queue is polled by a thread of the kernel that often falls asleep, and is shorter than what is submitted.
#[test]
fn nothing_gets_lost_where_the_kernel_polls() {
    let change = |config: &mut odile_uring::ShardConfig| {
        config.polling = Some(Duration::from_millis(1));
        config.ring_entries = 2;
        config.huge_pages = Some(HugePages::Wanted);
    };
    on_shard_set(change, async |shard| {
        for _ in 0..20 {
            there_and_back(shard.clone()).await;
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    });
}

async fn there_and_back(shard: Shard) {
    let (one, other) = connected().await;
    let mut blocks = shard.pool.reserve(2).await;
    let (mut sent, received) = (blocks.remove(0), blocks.remove(0));
    for (at, octet) in sent.iter_mut().enumerate() {
        *octet = u8::try_from(at % 251).expect("below 251");
    }
    let length = sent.len();
    let (written, sent) = one.write_all(sent, length).await;
    written.expect("it is sent");
    let mut got = Vec::new();
    let mut received = received;
    while got.len() < length {
        let (count, back) = other.read(received).await;
        received = back;
        got.extend_from_slice(&received[..count.expect("it is received")]);
    }
    assert_eq!(got, sent[..]);
    other.write_small(b"back".to_vec()).await.0.expect("it is sent");
    let (count, small) = one.read_small(vec![0; 16]).await;
    assert_eq!(&small[..count.expect("it is received")], b"back");
    drop(other);
    assert_eq!(one.read_small(vec![0; 16]).await.0.expect("the end"), 0);
}

#[test]
fn a_block_in_flight_is_not_given_to_anyone_else_when_its_future_is_dropped() {
    on_shard(|shard| async move {
        let (one, other) = connected().await;
        let blocks = shard.pool.reserve(4).await;
        let mut blocks = blocks.into_iter();
        let block = blocks.next().expect("four blocks");
        {
            let mut reading = pin!(one.read(block));
            // Submitted, not completed: the peer has sent nothing.
            let pending =
                std::future::poll_fn(|cx| Poll::Ready(reading.as_mut().poll(cx).is_pending())).await;
            assert!(pending);
        }
        drop(blocks);
        // Three of four are free; the fourth belongs to the kernel.
        let three = shard.pool.reserve(3).await;
        let fourth = tokio::time::timeout(Duration::from_millis(50), shard.pool.reserve(1)).await;
        assert!(fourth.is_err(), "a block in flight was handed out");
        // Its operation completes, and only then it comes back.
        other.write_small(b"late".to_vec()).await.0.expect("it is sent");
        assert_eq!(shard.pool.reserve(1).await.len(), 1);
        drop(three);
    });
}

#[test]
fn shutdown_ends_a_waiting_read_and_a_waiting_write() {
    on_shard(|shard| async move {
        let (one, other) = connected().await;
        let reading = {
            let one = one.clone();
            odile_uring::spawn(async move { one.read_small(vec![0; 16]).await.0 })
        };
        let mut block = shard.pool.reserve(1).await.pop().expect("one block");
        let writing = {
            let other = other.clone();
            // Nobody reads: the buffers of the kernel fill up.
            odile_uring::spawn(async move {
                loop {
                    let length = block.len();
                    let (written, back) = other.write_all(block, length).await;
                    block = back;
                    if written.is_err() {
                        return;
                    }
                }
            })
        };
        tokio::time::sleep(Duration::from_millis(20)).await;
        other.shutdown();
        one.shutdown();
        writing.await.expect("the writer ends");
        // What was in the kernel's buffers may come first.
        let _ = reading.await.expect("the reader ends");
    });
}

#[test]
fn connecting_to_nobody_and_accepting_after_close_are_errors() {
    on_shard(|_| async move {
        let listener = Listener::bind(SocketAddr::from(([127, 0, 0, 1], 0)), SocketOptions::default())
            .expect("loopback");
        let address = listener.address();
        let waiting = listener.share();
        let accepting = odile_uring::spawn(async move { waiting.accept().await.is_err() });
        tokio::time::sleep(Duration::from_millis(20)).await;
        listener.close().await;
        assert!(accepting.await.expect("the task ends"));
        drop(listener);
        let refused = Stream::connect(address, SocketOptions::default(), Duration::from_secs(5)).await;
        let error = refused.err().expect("nobody listens").to_string();
        assert!(error.contains(&address.to_string()), "{error}");
    });
}

#[test]
fn a_cancelled_read_gives_its_block_back_and_the_connection_stays() {
    on_shard(|shard| async move {
        let (one, other) = connected().await;
        let block = shard.pool.reserve(4).await.remove(0);
        let reader = one.clone();
        let mut reading = odile_uring::spawn(async move { reader.read(block).await.0 });
        // It waits: nothing was sent.
        assert!(tokio::time::timeout(Duration::from_millis(20), &mut reading).await.is_err());
        one.cancel().await;
        let ended = reading.await.expect("the task ends").expect_err("nothing came");
        assert!(ended.is_cancelled(), "{ended}");
        shard.pool.reserve(4).await;
        other.write_small(b"still here".to_vec()).await.0.expect("it is sent");
        let (count, small) = one.read_small(vec![0; 16]).await;
        assert_eq!(&small[..count.expect("it is received")], b"still here");
    });
}
