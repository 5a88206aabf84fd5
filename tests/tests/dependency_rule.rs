//! Who may import whom. The table of the architecture is typed in here as data, and compared with what
//! `cargo metadata` says; and the compiler's word on unsafe code is checked to be in force everywhere.

use std::collections::BTreeSet;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

use serde_json::Value;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// What each crate may import of ours, by folder. Crates that are not there yet may stand here.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("engine/wire", &[]),
    ("engine/session", &["wire"]),
    ("engine/envelope", &[]),
    ("engine/transfer", &["wire", "envelope"]),
    ("engine/tls", &[]),
    ("engine/partner", &["wire", "envelope"]),
    ("engine/catalog", &["wire", "partner"]),
    ("engine/uring", &[]),
    ("engine/station", &["wire", "session", "envelope", "transfer", "tls", "partner", "catalog", "uring"]),
    ("tools/odile", &["station"]),
    ("tools/xtask", &[]),
];

/// Crates that may import anything.
const UNBOUND: &[&str] = &["bench", "tests"];

/// The protocol half: it knows no Linux.
const PROTOCOL_HALF: &[&str] =
    &["engine/wire", "engine/session", "engine/envelope", "engine/transfer", "engine/tls", "engine/partner"];

/// What the protocol half may not even see: I/O, runtimes, the system, the database.
const NOT_FOR_THE_PROTOCOL_HALF: &[&str] =
    &["tokio", "tokio-uring", "io-uring", "libc", "socket2", "memmap2", "rusqlite"];

/// The only crate where unsafe code may be.
const UNSAFE_CRATE: &str = "engine/uring";

/// Files outside of it that may hold unsafe code none the less, each with the reason.
const UNSAFE_FILES: &[(&str, &str)] = &[
    ("engine/wire/tests/allocations.rs", "an allocator that counts is an unsafe trait"),
    ("engine/envelope/tests/allocation.rs", "an allocator that counts is an unsafe trait"),
    (
        "engine/envelope/src/deflate/zlib.rs",
        "an inflate that is taken up in the middle has zlib's interface in C",
    ),
];

/// A package of this workspace.
struct Package {
    /// Its folder, seen from the root.
    folder: String,
    /// Folders of ours that it imports: normal and build dependencies, not those of tests.
    ours: BTreeSet<String>,
    /// Names of other people's packages that it imports.
    theirs: BTreeSet<String>,
}

#[test]
fn every_crate_imports_only_what_the_architecture_allows() -> Outcome {
    let packages = packages()?;
    let mut offences = Vec::new();
    for package in &packages {
        let folder = package.folder.as_str();
        if UNBOUND.contains(&folder) {
            continue;
        }
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(name, _)| *name == folder) else {
            offences.push(format!("{folder} has no row in the table of what it may import"));
            continue;
        };
        for import in &package.ours {
            let is_allowed = import.strip_prefix("engine/").is_some_and(|name| allowed.contains(&name));
            if !is_allowed {
                offences.push(format!("{folder} imports {import}, but may import only {allowed:?}"));
            }
        }
    }
    assert!(packages.len() > 5, "only {} packages were seen", packages.len());
    assert!(offences.is_empty(), "{}", offences.join("\n"));
    Ok(())
}

#[test]
fn the_protocol_half_knows_no_linux() -> Outcome {
    let mut offences = Vec::new();
    for package in packages()? {
        if !PROTOCOL_HALF.contains(&package.folder.as_str()) {
            continue;
        }
        let banned = NOT_FOR_THE_PROTOCOL_HALF.iter().filter(|name| package.theirs.contains(**name));
        offences.extend(banned.map(|name| format!("{} imports {name}", package.folder)));
    }
    assert!(offences.is_empty(), "{}", offences.join("\n"));
    Ok(())
}

#[test]
fn the_compiler_denies_unsafe_code_in_every_crate_but_one() -> Outcome {
    let root = fs::read_to_string(root()?.join("Cargo.toml"))?;
    assert_eq!(setting(&root, "workspace.lints.rust", "unsafe_code"), Some("\"deny\""));
    for package in packages()? {
        if package.folder == UNSAFE_CRATE {
            continue;
        }
        let manifest = fs::read_to_string(self::root()?.join(&package.folder).join("Cargo.toml"))?;
        assert_eq!(
            setting(&manifest, "lints", "workspace"),
            Some("true"),
            "{} does not inherit the lints of the workspace",
            package.folder
        );
    }
    Ok(())
}

#[test]
fn no_file_outside_of_that_crate_holds_unsafe_code() -> Outcome {
    // In pieces, because this file is looked at as well.
    let words = [
        concat!("allow(", "unsafe_code"),
        concat!("expect(", "unsafe_code"),
        concat!("unsafe", " {"),
        concat!("unsafe", " fn"),
        concat!("unsafe", " impl"),
        concat!("unsafe", " extern"),
        concat!("unsafe", "("),
    ];
    let root = root()?;
    let mut offences = Vec::new();
    let mut files_seen = 0;
    for folder in ["engine", "tools", "tests", "bench"] {
        for file in rust_files(&root.join(folder))? {
            let name = file.strip_prefix(&root)?.to_string_lossy().into_owned();
            if Path::new(&name).starts_with(UNSAFE_CRATE)
                || UNSAFE_FILES.iter().any(|(allowed, _)| *allowed == name)
            {
                continue;
            }
            files_seen += 1;
            for (line, text) in fs::read_to_string(&file)?.lines().enumerate() {
                if let Some(word) = words.iter().find(|word| text.contains(**word)) {
                    offences.push(format!("{name}:{}: {word}", line + 1));
                }
            }
        }
    }
    assert!(files_seen > 10, "only {files_seen} files were seen");
    assert!(offences.is_empty(), "{}", offences.join("\n"));
    Ok(())
}

#[test]
fn a_setting_is_read_from_its_own_section() {
    let manifest = "[package]\nworkspace = \"..\"\n\n[lints]\n# why\nworkspace = true\n\n[dependencies]\n";
    assert_eq!(setting(manifest, "lints", "workspace"), Some("true"));
    assert_eq!(setting(manifest, "package", "workspace"), Some("\"..\""));
    assert_eq!(setting(manifest, "dependencies", "workspace"), None);
    assert_eq!(setting(manifest, "nowhere", "workspace"), None);
}

/// The packages of this workspace, as cargo sees them.
fn packages() -> Outcome<Vec<Package>> {
    let root = root()?;
    let metadata = metadata(&root)?;
    let list = metadata["packages"].as_array().ok_or("cargo metadata lists no packages")?;
    list.iter().map(|package| read_package(package, &root)).collect()
}

fn read_package(package: &Value, root: &Path) -> Outcome<Package> {
    let manifest = package["manifest_path"].as_str().ok_or("a package has no manifest")?;
    let folder = Path::new(manifest).parent().ok_or("a manifest has no folder")?;
    let mut read = Package { folder: below(folder, root)?, ours: BTreeSet::new(), theirs: BTreeSet::new() };
    let dependencies = package["dependencies"].as_array().ok_or("a package has no dependencies")?;
    for dependency in dependencies {
        if dependency["kind"] == "dev" {
            continue;
        }
        if let Some(path) = dependency["path"].as_str() {
            read.ours.insert(below(Path::new(path), root)?);
        } else {
            read.theirs.insert(dependency["name"].as_str().ok_or("a dependency has no name")?.to_owned());
        }
    }
    Ok(read)
}

/// Without the network if that works: nothing is needed from there.
fn metadata(root: &Path) -> Outcome<Value> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut complaint = String::new();
    for offline in [&["--offline"][..], &[]] {
        let output = Command::new(&cargo)
            .args(["metadata", "--format-version", "1", "--no-deps"])
            .args(offline)
            .current_dir(root)
            .output()?;
        if output.status.success() {
            return Ok(serde_json::from_slice(&output.stdout)?);
        }
        complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    }
    Err(format!("cargo metadata failed: {complaint}").into())
}

/// The root of the workspace.
fn root() -> io::Result<PathBuf> {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()
}

fn below(folder: &Path, root: &Path) -> Outcome<String> {
    Ok(folder.canonicalize()?.strip_prefix(root)?.to_string_lossy().into_owned())
}

/// All `.rs` files below a folder, without build output.
fn rust_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            let is_source = path
                .file_name()
                .is_some_and(|name| name != "target" && !name.as_encoded_bytes().starts_with(b"."));
            if is_source {
                found.extend(rust_files(&path)?);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(found)
}

/// The value of `key` in `[section]` of a manifest, as it is written.
fn setting<'a>(manifest: &'a str, section: &str, key: &str) -> Option<&'a str> {
    let header = format!("[{section}]");
    manifest
        .lines()
        .map(str::trim)
        .skip_while(|line| *line != header)
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split_once('='))
        .find(|(name, _)| name.trim() == key)
        .map(|(_, value)| value.trim())
}
