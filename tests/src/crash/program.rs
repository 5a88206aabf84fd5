//! The program that is killed.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use super::Failure;

/// `odile`, built from these sources as the test that asks was. Tests of one package cannot see the programs of
/// another: cargo is asked for it, which does nothing if it is built.
///
/// # Errors
///
/// If it cannot be built.
pub fn built_program() -> Result<PathBuf, Failure> {
    // TARGET/PROFILE/deps/THIS-TEST
    let this = env::current_exe().map_err(|error| Failure::of(&"this program", error))?;
    let profile = this.ancestors().nth(2).and_then(|folder| Some((folder, folder.file_name()?)));
    let Some((folder, name)) = profile else {
        return Err(Failure::of(&this.display(), "not in a folder of a profile"));
    };
    let profile = if name == "debug" { "dev".into() } else { name.to_string_lossy() };
    let built = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--quiet", "--package", "odile", "--profile", profile.as_ref(), "--target-dir"])
        .arg(folder.join(".."))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .map_err(|error| Failure::of(&"cargo", error))?;
    if !built.status.success() {
        return Err(Failure(String::from_utf8_lossy(&built.stderr).into_owned()));
    }
    Ok(folder.join("odile"))
}
