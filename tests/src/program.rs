//! The real program.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// `odile`, built as this test was. Tests of one package cannot see the programs of another: cargo is asked for it,
/// which does nothing if it is built.
pub fn odile() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        // TARGET/PROFILE/deps/THIS-TEST
        let this = std::env::current_exe().expect("a test is a program");
        let profile = this.ancestors().nth(2).expect("it lies in deps");
        let target = profile.parent().expect("a profile is a folder of the target");
        let name = profile.file_name().expect("it has a name").to_string_lossy();
        let name = if name == "debug" { "dev" } else { name.as_ref() };
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let built = Command::new(cargo)
            .args(["build", "--quiet", "--offline", "--workspace", "--bin", "odile", "--profile", name])
            .arg("--target-dir")
            .arg(target)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .expect("cargo runs this test");
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        profile.join("odile")
    })
}
