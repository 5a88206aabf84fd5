//! One io_uring operation: the only place that hands memory to the kernel.
//!
//! tokio-uring is kept behind this module, so that another driver could take its place: everything above uses
//! [`submit`] with an operation code and the data that the operation owns.

use std::io;
use std::marker::PhantomData;
use std::sync::atomic::{Ordering, fence};

use io_uring::{cqueue, squeue};
use tokio_uring::{OneshotOutputTransform, UnsubmittedOneshot};

struct Complete<D>(PhantomData<fn() -> D>);

impl<D: 'static> OneshotOutputTransform for Complete<D> {
    type Output = (io::Result<u32>, D);
    type StoredData = D;

    fn transform_oneshot_output(self, data: D, cqe: cqueue::Entry) -> Self::Output {
        let result = u32::try_from(cqe.result()).map_err(|_| io::Error::from_raw_os_error(-cqe.result()));
        (result, data)
    }
}

/// Submits an operation and waits for its completion. If the future is dropped, the driver keeps `data` until
/// the kernel has completed the operation.
///
/// # Safety
///
/// Every pointer and descriptor in `entry` must be kept valid by `data` (on the heap or otherwise at an address
/// that does not change when `data` moves), and nobody else may use memory that the kernel writes to.
pub(crate) async unsafe fn submit<D: Unpin + 'static>(data: D, entry: squeue::Entry) -> (io::Result<u32>, D) {
    let in_flight = UnsubmittedOneshot::new(data, Complete(PhantomData), entry).submit();
    // Where a thread of the kernel polls the queue: it must see the entry before we look whether it sleeps, else both
    // would wait. The driver's version of io-uring has no such barrier.
    fence(Ordering::SeqCst);
    in_flight.await
}
