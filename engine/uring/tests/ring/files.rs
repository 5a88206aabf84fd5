//! Files and folders, and the seam for disk faults.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use odile_uring::{Faults, File, FileIdentity, Operation, read_small, remove, rename, sync_directory};

use crate::{on_shard, on_shard_with};

#[test]
fn a_file_is_written_synced_and_renamed_without_replacing() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().to_path_buf();
    on_shard(|shard| async move {
        let from = root.join("a.part");
        let file = File::create(&from).await.expect("a new file");
        file.allocate(0, 1 << 20).await.expect("room");
        let mut block = shard.pool.reserve(1).await.pop().expect("one block");
        block[..3].copy_from_slice(b"abc");
        let (written, _) = file.write_all_at(block, 3, 2).await;
        written.expect("it is written");
        file.set_len(5).expect("it is cut");
        file.sync_data().await.expect("it is synced");
        assert_eq!(fs::read(&from).expect("readable"), b"\0\0abc");
        let to = root.join("a");
        rename(&from, &to).await.expect("it is renamed");
        sync_directory(&root).await.expect("the folder is synced");
        File::create(&from).await.expect("another file");
        let error = rename(&from, &to).await.expect_err("the name is taken");
        assert_eq!(error.source.kind(), io::ErrorKind::AlreadyExists);
        remove(&from).await.expect("it is removed");
        assert!(remove(&from).await.is_err());
        assert!(File::create(&root.join("none/x")).await.is_err());
    });
}

struct Third(AtomicUsize);

impl Faults for Third {
    fn before(&self, operation: Operation, _: &Path) -> io::Result<()> {
        if operation == Operation::Write && self.0.fetch_add(1, Ordering::Relaxed) == 2 {
            return Err(io::Error::from_raw_os_error(28));
        }
        Ok(())
    }
}

#[test]
fn a_simulated_fault_comes_out_of_the_operation_it_is_meant_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x");
    on_shard_with(Some(Arc::new(Third(AtomicUsize::new(0)))), |shard| async move {
        let file = File::create(&path).await.expect("a new file");
        let mut block = shard.pool.reserve(1).await.pop().expect("one block");
        for round in 0..4 {
            let (written, back) = file.write_all_at(block, 1, round).await;
            block = back;
            match written {
                Ok(()) => assert_ne!(round, 2),
                Err(error) => assert!(round == 2 && error.is_out_of_space(), "{error}"),
            }
        }
    });
}

#[test]
fn an_existing_file_is_opened_without_losing_its_content() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x");
    fs::write(&path, b"abcdef").expect("a file");
    on_shard(|shard| async move {
        let file = File::open(&path).await.expect("it is there");
        let metadata = fs::metadata(&path).expect("it is there");
        assert_eq!(file.length().expect("fstat"), 6);
        let identity = FileIdentity { inode: metadata.ino(), device: metadata.dev() };
        assert_eq!(file.identity().expect("fstat"), identity);
        let mut block = shard.pool.reserve(1).await.pop().expect("one block");
        block[..2].copy_from_slice(b"XY");
        file.write_all_at(block, 2, 5).await.0.expect("it is written");
        assert_eq!(file.length().expect("fstat"), 7);
        assert_eq!(fs::read(&path).expect("readable"), b"abcdeXY");
        // The open file, not whatever has its name by now.
        fs::write(path.with_extension("new"), b"other").expect("a file");
        fs::rename(path.with_extension("new"), &path).expect("it is replaced");
        assert_eq!(file.identity().expect("fstat"), identity);
        assert_ne!(File::open(&path).await.expect("it is there").identity().expect("fstat"), identity);
    });
}

#[test]
fn only_a_regular_file_is_opened_and_none_is_created() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().to_path_buf();
    let (link, pipe) = (root.join("link"), root.join("pipe"));
    fs::write(root.join("file"), b"abc").expect("a file");
    symlink(root.join("file"), &link).expect("a link");
    let _reader = pipe_with_a_reader(&pipe);
    on_shard(|_| async move {
        let missing = root.join("missing");
        let error = File::open(&missing).await.err().expect("it is not there");
        assert_eq!(error.source.kind(), io::ErrorKind::NotFound);
        assert!(!missing.exists());
        for path in [&root, &link, &pipe] {
            assert!(File::open(path).await.is_err(), "{}", path.display());
        }
        let error = File::open(&pipe).await.err().expect("it is a pipe").to_string();
        assert!(error.contains("regular file"), "{error}");
    });
}

/// Opening such a pipe for writing succeeds.
pub(crate) fn pipe_with_a_reader(path: &Path) -> fs::File {
    let name = std::ffi::CString::new(path.to_str().expect("UTF-8")).expect("no NUL");
    // SAFETY: the string lives until the call returns.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    fs::File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path).expect("a pipe")
}

/// What was asked, and what was told to be done; one kind of operation may fail.
pub(crate) struct Record {
    pub(crate) failing: Option<Operation>,
    pub(crate) calls: Mutex<Vec<(When, Operation, PathBuf)>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    Before,
    After,
}

impl Record {
    pub(crate) fn new(failing: Option<Operation>) -> Arc<Self> {
        Arc::new(Self { failing, calls: Mutex::default() })
    }

    /// The calls since the last look, all of them about `path`.
    pub(crate) fn of(&self, path: &Path) -> Vec<(When, Operation)> {
        let calls = std::mem::take(&mut *self.calls.lock().expect("nobody panicked"));
        calls
            .into_iter()
            .map(|(when, operation, about)| {
                assert_eq!(about, path);
                (when, operation)
            })
            .collect()
    }

    fn push(&self, when: When, operation: Operation, path: &Path) {
        self.calls.lock().expect("nobody panicked").push((when, operation, path.into()));
    }
}

impl Faults for Record {
    fn before(&self, operation: Operation, path: &Path) -> io::Result<()> {
        self.push(When::Before, operation, path);
        if self.failing == Some(operation) { Err(io::Error::from_raw_os_error(5)) } else { Ok(()) }
    }

    fn after(&self, operation: Operation, path: &Path) {
        self.push(When::After, operation, path);
    }
}

fn done(operation: Operation) -> Vec<(When, Operation)> {
    vec![(When::Before, operation), (When::After, operation)]
}

#[test]
fn each_operation_is_asked_about_before_and_told_after_it_was_carried_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().to_path_buf();
    let record = Record::new(None);
    on_shard_with(Some(Arc::clone(&record) as Arc<dyn Faults>), |_| async move {
        let (from, to) = (root.join("a"), root.join("b"));
        let file = File::create(&from).await.expect("a new file");
        assert_eq!(record.of(&from), done(Operation::Open));
        file.write_small(b"abc".to_vec()).await.expect("it is written");
        assert_eq!(record.of(&from), done(Operation::Write));
        file.sync_data().await.expect("it is synced");
        assert_eq!(record.of(&from), done(Operation::Sync));
        file.set_len(2).expect("it is cut");
        assert_eq!(record.of(&from), done(Operation::Truncate));
        assert!(read_small(&from, 2).await.expect("it is read").is_some());
        assert_eq!(record.of(&from), done(Operation::Read));
        rename(&from, &to).await.expect("it is renamed");
        assert_eq!(record.of(&to), done(Operation::Rename));
        sync_directory(&root).await.expect("it is synced");
        assert_eq!(record.of(&root), done(Operation::SyncDirectory));
        File::open(&to).await.expect("it is there");
        assert_eq!(record.of(&to), done(Operation::Open));
        remove(&to).await.expect("it is removed");
        assert_eq!(record.of(&to), done(Operation::Remove));
    });
}

#[test]
fn an_operation_that_the_system_refuses_is_not_told_as_done() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().to_path_buf();
    let record = Record::new(None);
    on_shard_with(Some(Arc::clone(&record) as Arc<dyn Faults>), |_| async move {
        let missing = root.join("missing");
        assert!(File::open(&missing).await.is_err());
        assert!(File::create(&missing.join("x")).await.is_err());
        assert!(rename(&missing, &root.join("x")).await.is_err());
        assert!(remove(&missing).await.is_err());
        assert!(sync_directory(&missing).await.is_err());
        assert_eq!(read_small(&missing, 1).await.expect("that is no error"), None);
        let file = File::create(&root.join("file")).await.expect("a new file");
        file.sync_data().await.expect("it is synced");
        let calls = record.calls.lock().expect("nobody panicked").clone();
        let told: Vec<_> = calls.iter().filter(|(when, ..)| *when == When::After).collect();
        assert_eq!(calls.len() - told.len(), 8, "{calls:?}");
        assert_eq!(told.len(), 2, "creating and syncing: {told:?}");
    });
}

#[test]
fn a_simulated_fault_of_cutting_leaves_the_length() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x");
    fs::write(&path, b"abc").expect("a file");
    let record = Record::new(Some(Operation::Truncate));
    on_shard_with(Some(record), |_| async move {
        let file = File::open(&path).await.expect("it is there");
        assert_eq!(file.set_len(1).expect_err("as asked").source.raw_os_error(), Some(5));
        assert_eq!(file.length().expect("fstat"), 3);
    });
}
