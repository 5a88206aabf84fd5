//! nginx and curl: one file over HTTP, plain or in TLS 1.3 with AES-256-GCM.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use super::{Daemon, Program, free_port, pinned, run, shown};
use crate::homes::{Key, write_private};
use crate::processes::CpuTime;
use crate::rounds::Turn;

/// An nginx that serves the files of a folder.
pub struct Web {
    curl: PathBuf,
    server: Daemon,
    plain: u16,
    tls: u16,
    certificate: PathBuf,
    core: usize,
    _folder: TempDir,
}

/// What carries the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// TCP.
    Http,
    /// TLS 1.3 with AES-256-GCM.
    Https,
}

impl Web {
    /// Starts nginx on the sender's core.
    pub fn start(files: &Path, cores: [usize; 2]) -> Result<Self, String> {
        let nginx = Program { name: "nginx", package: "nginx" }.find()?;
        let curl = Program { name: "curl", package: "curl" }.find()?;
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let at = |name: &str| folder.path().join(name);
        let (key, certificate, configuration) = (at("key.pem"), at("certificate.pem"), at("nginx.conf"));
        let own = Key::new();
        write_private(&key, &own.key);
        write_private(&certificate, &own.certificate);
        let (plain, tls) = (free_port(), free_port());
        let text = CONFIGURATION
            .replace("@FOLDER@", &shown(folder.path()))
            .replace("@FILES@", &shown(&fs::canonicalize(files).map_err(|error| error.to_string())?))
            .replace("@PLAIN@", &plain.to_string())
            .replace("@TLS@", &tls.to_string());
        write_private(&configuration, &text);
        let mut command = pinned(&[cores[0]], nginx);
        command.arg("-p").arg(folder.path()).arg("-c").arg(&configuration).arg("-e").arg(at("error.log"));
        let server = Daemon::start("nginx", &mut command, &[plain, tls])?;
        Ok(Self { curl, server, plain, tls, certificate, core: cores[1], _folder: folder })
    }

    /// Fetches a file of the folder and drops it. The time is that of the transfer, without connection and handshake.
    ///
    /// # Panics
    ///
    /// If it fails, or what comes is not so long.
    pub fn turn(&self, scheme: Scheme, file: &str, octets: u64) -> Turn {
        let before = (self.server.cpu(), CpuTime::of_ended_children());
        let mut client = pinned(&[self.core], &self.curl);
        client.args(["--silent", "--show-error", "--fail", "--output", "/dev/null", "--write-out", REPORT]);
        match scheme {
            Scheme::Http => client.arg(format!("http://127.0.0.1:{}/{file}", self.plain)),
            Scheme::Https => client
                .args(["--tlsv1.3", "--tls13-ciphers", "TLS_AES_256_GCM_SHA384", "--cacert"])
                .arg(&self.certificate)
                .arg(format!("https://127.0.0.1:{}/{file}", self.tls)),
        };
        let (_, report) = run(&mut client);
        let now = (self.server.cpu(), CpuTime::of_ended_children());
        let numbers: Vec<f64> = report.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let [connected, ended, received] = numbers[..] else { unreachable!("curl tells three numbers") };
        assert!((received - octets as f64).abs() < 0.5, "{received} of {octets} octets came");
        let took = Duration::from_secs_f64((ended - connected).max(0.0));
        Turn { took, sender: now.0 - before.0, receiver: now.1 - before.1 }
    }
}

const REPORT: &str = "%{time_pretransfer} %{time_total} %{size_download}";

/// One process, and buffers in which a large file does not come in small pieces.
const CONFIGURATION: &str = "\
daemon off;
master_process off;
pid @FOLDER@/nginx.pid;
error_log @FOLDER@/error.log;
events { worker_connections 64; }
http {
    access_log off;
    client_body_temp_path @FOLDER@/body;
    proxy_temp_path @FOLDER@/proxy;
    fastcgi_temp_path @FOLDER@/fastcgi;
    uwsgi_temp_path @FOLDER@/uwsgi;
    scgi_temp_path @FOLDER@/scgi;
    sendfile on;
    output_buffers 2 1m;
    server {
        listen 127.0.0.1:@PLAIN@;
        listen 127.0.0.1:@TLS@ ssl;
        root @FILES@;
        ssl_certificate @FOLDER@/certificate.pem;
        ssl_certificate_key @FOLDER@/key.pem;
        ssl_protocols TLSv1.3;
        ssl_conf_command Ciphersuites TLS_AES_256_GCM_SHA384;
    }
}
";
