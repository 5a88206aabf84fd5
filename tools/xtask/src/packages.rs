//! Packages of the system that tests need besides the Rust toolchain: other people's software, to compare ours with.
//!
//! They are installed where that is allowed. Where it is not, the tests that need them skip themselves by name.

use std::env;
use std::path::Path;
use std::process::Command;

use crate::works;

/// Something that some tests need.
pub struct Wanted {
    /// A program on the path, or an absolute path of a file.
    pub what: &'static str,
    /// The Debian package that has it.
    pub package: &'static str,
    /// What is tested with it.
    pub tests: &'static str,
}

/// Installs what is missing, as far as that goes. Gives what is still missing, line by line.
pub fn provide(wanted: &[Wanted]) -> Vec<String> {
    let missing: Vec<&Wanted> = wanted.iter().filter(|wanted| !is_there(wanted.what)).collect();
    if missing.is_empty() {
        println!("all that tests need besides Rust is there");
        return Vec::new();
    }
    let mut packages: Vec<&str> = missing.iter().map(|wanted| wanted.package).collect();
    packages.dedup();
    if may_install() {
        install(&packages);
    } else {
        println!("not root, or no apt-get: install by hand: {}", packages.join(" "));
    }
    let still = missing.into_iter().filter(|wanted| !is_there(wanted.what));
    still
        .map(|Wanted { what, package, tests }| {
            format!("{tests}: {what} is missing; install the package {package}")
        })
        .collect()
}

/// Whether a file, or a program on the path, is there.
fn is_there(what: &str) -> bool {
    if what.starts_with('/') {
        return Path::new(what).exists();
    }
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(what).is_file())
}

fn may_install() -> bool {
    let user = Command::new("id").arg("-u").output();
    let is_root = user.is_ok_and(|output| output.stdout.trim_ascii() == b"0");
    is_root && works(Command::new("apt-get").arg("--version"))
}

/// Tries to; what comes of it is looked at afterwards.
fn install(packages: &[&str]) {
    println!("installing {}", packages.join(" "));
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command
            .env("DEBIAN_FRONTEND", "noninteractive")
            .args(["-q", "-o", "Acquire::Retries=3"])
            .args(arguments);
        let done = command.output();
        if let Ok(output) = &done
            && !output.status.success()
        {
            println!("apt-get {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        }
    };
    apt(&["update"]);
    apt(&[&["install", "-y", "--no-install-recommends"], packages].concat());
}

/// Other people's software that the tests compare ours with.
pub const WANTED: &[Wanted] = &[
    Wanted { what: "openssl", package: "openssl", tests: "interoperability with openssl" },
    Wanted { what: "python3", package: "python3", tests: "interoperability with Python's zlib" },
    Wanted { what: "javac", package: "default-jdk-headless", tests: BOUNCY_CASTLE },
    Wanted { what: "/usr/share/java/bcprov.jar", package: "libbcprov-java", tests: BOUNCY_CASTLE },
    Wanted { what: "/usr/share/java/bcutil.jar", package: "libbcutil-java", tests: BOUNCY_CASTLE },
    Wanted { what: "/usr/share/java/bcpkix.jar", package: "libbcpkix-java", tests: BOUNCY_CASTLE },
];
const BOUNCY_CASTLE: &str = "interoperability with BouncyCastle";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_seen() {
        assert!(is_there("sh") && is_there("/"));
        assert!(!is_there("no-such-program") && !is_there("/no/such/file"));
    }
}
