//! Small files: read as a whole, and destroyed.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;

use odile_uring::{Faults, Operation, destroy, read_small};

use crate::files::{Record, When, pipe_with_a_reader};
use crate::{on_shard, on_shard_with};

#[test]
fn a_small_file_is_read_up_to_the_limit_and_not_beyond() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().to_path_buf();
    on_shard(|_| async move {
        let path = root.join("x");
        assert_eq!(read_small(&path, 5).await.expect("that is no error"), None);
        for (content, read) in [(&b""[..], true), (b"a", true), (b"abcde", true), (b"abcdef", false)] {
            fs::write(&path, content).expect("a file");
            let found = read_small(&path, 5).await.map_err(|error| error.to_string());
            if read {
                assert_eq!(found, Ok(Some(content.to_vec())));
            } else {
                assert!(found.is_err_and(|text| text.contains("more than the 5 bytes")));
            }
        }
        fs::write(&path, b"").expect("a file");
        assert_eq!(read_small(&path, 0).await.expect("it fits"), Some(Vec::new()));
        fs::write(&path, b"a").expect("a file");
        assert!(read_small(&path, 0).await.is_err());
        let long: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
        fs::write(&path, &long).expect("a file");
        assert!(read_small(&path, usize::MAX).await.expect("it fits") == Some(long));
    });
}

#[test]
fn a_file_that_is_longer_than_it_says_is_read_whole_or_refused() {
    on_shard(|_| async {
        // The system says that its length is 0.
        let path = Path::new("/proc/self/limits");
        let expected = fs::read(path).expect("readable");
        let found = read_small(path, 1 << 20).await.expect("it is read").expect("it is there");
        assert_eq!(String::from_utf8(found), String::from_utf8(expected.clone()));
        assert!(read_small(path, expected.len() - 1).await.is_err());
        assert!(read_small(path, expected.len()).await.is_ok());
    });
}

#[test]
fn only_a_regular_file_is_read_or_destroyed() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().to_path_buf();
    let (file, link, pipe, inner) =
        (root.join("file"), root.join("link"), root.join("pipe"), root.join("inner"));
    fs::write(&file, b"abc").expect("a file");
    fs::create_dir(&inner).expect("a folder");
    symlink(&file, &link).expect("a link");
    let _reader = pipe_with_a_reader(&pipe);
    on_shard(|_| async move {
        for path in [&link, &pipe, &inner] {
            assert!(read_small(path, 100).await.is_err(), "{}", path.display());
            assert!(destroy(path).await.is_err(), "{}", path.display());
            assert!(path.symlink_metadata().is_ok(), "{}", path.display());
        }
        assert_eq!(fs::read(&file).expect("readable"), b"abc");
    });
}

#[test]
fn what_was_destroyed_is_zeros_wherever_else_it_has_a_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().to_path_buf();
    on_shard(|_| async move {
        for length in [0, 1, 65_535, 65_536, 65_537, 200_000] {
            let (path, witness) = (root.join("secret"), root.join(length.to_string()));
            fs::write(&path, vec![0xA5; length]).expect("a file");
            fs::hard_link(&path, &witness).expect("another name");
            destroy(&path).await.expect("it is destroyed");
            assert!(!path.exists());
            assert!(fs::read(&witness).expect("readable") == vec![0; length], "{length} octets");
        }
        destroy(&root.join("missing")).await.expect("nothing to do");
        destroy(&root.join("none/missing")).await.expect("nothing to do");
    });
}

#[test]
fn a_file_is_removed_only_after_its_zeros_are_durable() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("secret");
    fs::write(&path, vec![0xA5; 100_000]).expect("a file");
    let record = Record::new(None);
    on_shard_with(Some(Arc::clone(&record) as Arc<dyn Faults>), |_| async move {
        destroy(&path).await.expect("it is destroyed");
        let mut done: Vec<_> = record.of(&path);
        done.retain(|(when, _)| *when == When::After);
        let done: Vec<_> = done.into_iter().map(|(_, operation)| operation).collect();
        assert_eq!(done.first(), Some(&Operation::Open));
        assert!(done[1..done.len() - 2].iter().all(|operation| *operation == Operation::Write), "{done:?}");
        assert_eq!(done[done.len() - 2..], [Operation::Sync, Operation::Remove]);
    });
}

#[test]
fn a_failure_at_any_step_of_destroying_is_told_and_leaves_the_name() {
    for failing in [Operation::Open, Operation::Write, Operation::Sync, Operation::Remove] {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("secret");
        fs::write(&path, b"abc").expect("a file");
        on_shard_with(Some(Record::new(Some(failing))), move |_| async move {
            let error = destroy(&path).await.expect_err("as asked");
            assert_eq!(error.source.raw_os_error(), Some(5), "{failing:?}");
            let expected = match failing {
                Operation::Open | Operation::Write => b"abc",
                _ => b"\0\0\0",
            };
            assert_eq!(fs::read(&path).expect("still there"), expected, "{failing:?}");
        });
    }
}

#[test]
fn a_simulated_fault_of_reading_comes_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x");
    fs::write(&path, b"abc").expect("a file");
    on_shard_with(Some(Record::new(Some(Operation::Read))), |_| async move {
        assert_eq!(read_small(&path, 9).await.expect_err("as asked").source.raw_os_error(), Some(5));
    });
}
