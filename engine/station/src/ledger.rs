//! The catalog on a thread of its own: its syncs would hold up a shard.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};

use odile_catalog::{Catalog, CatalogError};
use odile_uring::{Faults, Operation};
use tokio::sync::oneshot;

use crate::error::StationError;

/// A handle to the catalog's thread. What one caller asks for is done in the order asked.
#[derive(Clone)]
pub(crate) struct Ledger {
    requests: Sender<Request>,
    seam: Seam,
}

/// Where simulated faults of the catalog come in, for tests.
#[derive(Clone)]
struct Seam {
    faults: Option<Arc<dyn Faults>>,
    path: Arc<Path>,
}

/// The catalog's thread: it ends, and the catalog is closed, when this is dropped.
pub(crate) struct LedgerThread {
    requests: Sender<Request>,
    thread: Option<JoinHandle<()>>,
}

enum Request {
    Work(Box<dyn FnOnce(&mut Catalog) + Send>),
    Close,
}

impl Ledger {
    /// Opens the catalog and starts its thread.
    pub(crate) fn open(
        path: &Path,
        faults: Option<Arc<dyn Faults>>,
    ) -> Result<(Self, LedgerThread), StationError> {
        let mut catalog = Catalog::open(path)?;
        let (requests, queue) = mpsc::channel::<Request>();
        let thread = thread::Builder::new()
            .name("ledger".into())
            .spawn(move || {
                for request in queue {
                    match request {
                        Request::Work(work) => work(&mut catalog),
                        Request::Close => return,
                    }
                }
            })
            .map_err(StationError::io("start a thread for", path))?;
        let seam = Seam { faults, path: path.into() };
        Ok((Self { requests: requests.clone(), seam }, LedgerThread { requests, thread: Some(thread) }))
    }

    /// Runs `work` on the catalog. Once it is handed over, it is done even if the future is dropped.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Catalog) -> Result<T, CatalogError> + Send + 'static,
    ) -> Result<T, StationError> {
        let (done, result) = oneshot::channel();
        let seam = self.seam.clone();
        self.hand_over(Request::Work(Box::new(move |catalog| {
            let _ = done.send(seam.pass(catalog, work));
        })))?;
        result.await.map_err(|_| StationError::LedgerStopped)?
    }

    /// The same, if nobody waits for the outcome: for what only those who look want to know.
    pub(crate) fn post(&self, work: impl FnOnce(&mut Catalog) -> Result<(), CatalogError> + Send + 'static) {
        let seam = self.seam.clone();
        // A catalog that is gone is told of by whoever needs it.
        let _ = self.hand_over(Request::Work(Box::new(move |catalog| {
            let _ = seam.pass(catalog, work);
        })));
    }

    /// The same, for threads that may wait.
    pub(crate) fn run_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Catalog) -> Result<T, CatalogError> + Send + 'static,
    ) -> Result<T, StationError> {
        let (done, result) = mpsc::channel();
        let seam = self.seam.clone();
        self.hand_over(Request::Work(Box::new(move |catalog| {
            let _ = done.send(seam.pass(catalog, work));
        })))?;
        result.recv().map_err(|_| StationError::LedgerStopped)?
    }

    fn hand_over(&self, request: Request) -> Result<(), StationError> {
        self.requests.send(request).map_err(|_| StationError::LedgerStopped)
    }
}

impl Seam {
    fn pass<T>(
        &self,
        catalog: &mut Catalog,
        work: impl FnOnce(&mut Catalog) -> Result<T, CatalogError>,
    ) -> Result<T, StationError> {
        if let Some(faults) = &self.faults {
            let refused = faults.before(Operation::Commit, &self.path);
            refused.map_err(StationError::io("write to", self.path.to_path_buf()))?;
        }
        let done = work(catalog)?;
        if let Some(faults) = &self.faults {
            faults.after(Operation::Commit, &self.path);
        }
        Ok(done)
    }
}

impl Drop for LedgerThread {
    fn drop(&mut self) {
        let _ = self.requests.send(Request::Close);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
