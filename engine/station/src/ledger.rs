//! The catalog on a thread of its own: its syncs would hold up a shard.

use std::path::Path;
use std::sync::mpsc::{self, Sender};
use std::thread;

use odile_catalog::{Catalog, CatalogError};
use tokio::sync::oneshot;

use crate::error::StationError;

/// A handle to the catalog's thread, which ends with the last handle. What one caller asks for is done in the
/// order asked.
#[derive(Clone)]
pub(crate) struct Ledger {
    requests: Sender<Request>,
}

type Request = Box<dyn FnOnce(&mut Catalog) + Send>;

impl Ledger {
    /// Opens the catalog and starts its thread.
    pub(crate) fn open(path: &Path) -> Result<Self, StationError> {
        let mut catalog = Catalog::open(path)?;
        let (requests, queue) = mpsc::channel::<Request>();
        thread::Builder::new()
            .name("ledger".into())
            .spawn(move || {
                for request in queue {
                    request(&mut catalog);
                }
            })
            .map_err(StationError::io("start a thread for", path))?;
        Ok(Self { requests })
    }

    /// Runs `work` on the catalog. Once it is handed over, it is done even if the future is dropped.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Catalog) -> Result<T, CatalogError> + Send + 'static,
    ) -> Result<T, StationError> {
        let (done, result) = oneshot::channel();
        self.hand_over(Box::new(move |catalog| {
            let _ = done.send(work(catalog));
        }))?;
        Ok(result.await.map_err(|_| StationError::LedgerStopped)??)
    }

    /// The same, for threads that may wait.
    pub(crate) fn run_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Catalog) -> Result<T, CatalogError> + Send + 'static,
    ) -> Result<T, StationError> {
        let (done, result) = mpsc::channel();
        self.hand_over(Box::new(move |catalog| {
            let _ = done.send(work(catalog));
        }))?;
        Ok(result.recv().map_err(|_| StationError::LedgerStopped)??)
    }

    fn hand_over(&self, request: Request) -> Result<(), StationError> {
        self.requests.send(request).map_err(|_| StationError::LedgerStopped)
    }
}
