//! Packages of the system that tests and benchmarks need besides the Rust toolchain: other people's software, to
//! compare ours with.
//!
//! They are installed where that is allowed. Where it is not, what needs them skips itself by name.

use std::env;
use std::path::Path;
use std::process::Command;

use crate::works;

/// Something that some tests or benchmarks need.
pub struct Wanted {
    /// A program on the path, or an absolute path of a file.
    pub what: &'static str,
    /// The Debian package that has it.
    pub package: &'static str,
    /// What is tested or measured with it.
    pub tests: &'static str,
}

/// Installs what is missing, as far as that goes. Gives what is still missing, line by line.
pub fn provide(wanted: &[Wanted]) -> Vec<String> {
    let missing: Vec<&Wanted> = wanted.iter().filter(|wanted| !is_there(wanted.what)).collect();
    if missing.is_empty() {
        println!("all that is needed besides Rust is there");
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

/// Whether a file, or a program on the path, is there. Daemons are where only root's path leads.
pub fn is_there(what: &str) -> bool {
    if what.starts_with('/') {
        return Path::new(what).exists();
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let mut folders = env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(Into::into));
    folders.any(|folder| folder.join(what).is_file())
}

/// Whether packages can be installed by us.
pub fn may_install() -> bool {
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
    // Small images leave out documentation: some packages are nothing else.
    let documents: Vec<String> = packages
        .iter()
        .map(|package| format!("Dpkg::Options::=--path-include=/usr/share/doc/{package}/*"))
        .collect();
    let mut arguments = vec!["install", "-y", "--no-install-recommends"];
    arguments.extend(documents.iter().flat_map(|option| ["-o", option]));
    arguments.extend(packages);
    apt(&arguments);
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

/// Other people's software, and files, that `cargo bench --bench peers` measures ours with.
pub const WANTED_FOR_BENCHMARKS: &[Wanted] = &[
    Wanted { what: "iperf3", package: "iperf3", tests: "beside a plain stream" },
    Wanted { what: "nginx", package: "nginx", tests: "beside nginx and curl" },
    Wanted { what: "curl", package: "curl", tests: "beside nginx and curl" },
    Wanted { what: "sshd", package: "openssh-server", tests: "beside ssh, scp, sftp and rsync" },
    Wanted { what: "scp", package: "openssh-client", tests: "beside ssh, scp, sftp and rsync" },
    Wanted { what: "rsync", package: "rsync", tests: "beside rsync" },
    Wanted { what: "openssl", package: "openssl", tests: "beside openssl cms" },
    Wanted { what: "pigz", package: "pigz", tests: "beside pigz" },
    Wanted { what: "/usr/share/doc/gmsh-doc/doc", package: "gmsh-doc", tests: "real CAD files" },
    Wanted {
        what: "/usr/share/doc/calculix-ccx-test/examples",
        package: "calculix-ccx-test",
        tests: "real FEM files",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_seen() {
        assert!(is_there("sh") && is_there("/"));
        assert!(!is_there("no-such-program") && !is_there("/no/such/file"));
    }
}
