//! Files that people put into `outbox/PARTNER/`: taken once nobody writes to them any more.
//!
//! A file counts as still being written while some process has it open for writing, or until it has been left
//! alone for some seconds. Names that begin with a dot, or end in `.part` or `.tmp`, are left alone for good.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use odile_catalog::OutboundState;
use odile_partner::PartnerName;
use odile_uring::{Shard, SourceIdentity};

use crate::enqueue::SendRequest;
use crate::event::Event;
use crate::shared::Shared;
use crate::station::enqueue;

/// What was decided about a file, so that it is decided once.
type Seen = HashMap<PathBuf, SourceIdentity>;

/// The task that looks into the outboxes.
pub(crate) async fn watch(shared: Arc<Shared>, shard: Shard) {
    let mut stop = shared.stop.clone();
    let mut seen = Seen::new();
    while !shared.is_stopping() {
        let (look_at, mut seen_before) = (Arc::clone(&shared), std::mem::take(&mut seen));
        let looked = shard.workers.run(move || {
            let is_more = look(&look_at, &mut seen_before);
            (seen_before, is_more)
        });
        let is_more;
        (seen, is_more) = looked.await.unwrap_or_default();
        let wait = if is_more { Duration::ZERO } else { LOOK_EVERY };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            _ = stop.changed() => {}
        }
    }
}

/// Takes what is ready. True if that took so long that the rest waits for the next look: files on their way need the worker.
fn look(shared: &Shared, seen: &mut Seen) -> bool {
    let (mut taking, mut is_more) = (Duration::ZERO, false);
    let mut present = Seen::new();
    for name in shared.configuration.partners.keys() {
        let folder = shared.home.outbox(name);
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) => {
                shared.tell(Event::Trouble { text: format!("read folder {}: {error}", folder.display()) });
                continue;
            }
        };
        for path in entries.filter_map(|entry| entry.ok().map(|entry| entry.path())) {
            if is_ignored(&path) {
                continue;
            }
            let Ok(Some(identity)) = odile_uring::quiet_file(&path) else { continue };
            if seen.get(&path) == Some(&identity) {
                present.insert(path, identity);
            } else if !has_rested(&identity, shared.configuration.station.outbox_quiet_seconds) {
                // Its time comes.
            } else if taking > TAKE_FOR {
                is_more = true;
            } else {
                let began = Instant::now();
                take(shared, name, &path, identity);
                taking += began.elapsed();
                present.insert(path, identity);
            }
        }
    }
    *seen = present;
    is_more
}

fn take(shared: &Shared, name: &PartnerName, path: &Path, identity: SourceIdentity) {
    let skipped = |text: String| Event::OutboxSkipped { path: path.display().to_string(), text };
    let source = path.to_path_buf();
    let earlier = match shared.ledger.run_blocking(move |catalog| catalog.outbound_by_source(&source)) {
        Ok(earlier) => earlier,
        Err(error) => return shared.tell(skipped(error.to_string())),
    };
    if let Some(earlier) = earlier {
        let known = earlier.source_identity;
        let same = (known.size, known.mtime_ns, known.inode, known.device)
            == (identity.size, identity.mtime_ns, identity.inode, identity.device);
        match earlier.state {
            OutboundState::Delivered if same => {
                // Delivered, but not removed: the station was stopped in between.
                if let Err(error) = fs::remove_file(path) {
                    shared.tell(skipped(format!("it was delivered, but cannot be removed: {error}")));
                }
                return;
            }
            state if same && state.is_final() => {
                let text = format!(
                    "it was tried as S{} ({}); `odile retry` tries it again",
                    earlier.id,
                    state.as_str()
                );
                return shared.tell(skipped(text));
            }
            _ if same => return,
            _ => {}
        }
    }
    let mut request = SendRequest::new(name.as_str(), path);
    request.delete_after_delivery = true;
    if let Err(error) = enqueue(shared, &request) {
        shared.tell(skipped(error.to_string()));
    }
}

fn is_ignored(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with('.') || name.ends_with(".part") || name.ends_with(".tmp")
}

fn has_rested(identity: &SourceIdentity, quiet_seconds: u32) -> bool {
    let modified = Duration::from_nanos(u64::try_from(identity.mtime_ns).unwrap_or_default());
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    // A time in the future tells nothing: such a file is taken.
    now.checked_sub(modified).is_none_or(|rested| rested >= Duration::from_secs(u64::from(quiet_seconds)))
}

const LOOK_EVERY: Duration = Duration::from_secs(1);
const TAKE_FOR: Duration = Duration::from_millis(250);
