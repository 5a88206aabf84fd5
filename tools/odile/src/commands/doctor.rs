//! `odile doctor`: what stands in the way, and what to do about it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use odile_station::catalog::Catalog;
use odile_station::control::{Client, Request, Response};
use odile_station::{
    Configuration, Home, Options, Severity, StationError, free_space, probe, same_filesystem,
};
use serde::Serialize;

use super::cert::{self, check::Grade};
use crate::context::Context;
use crate::exit::Exit;
use crate::output::{self, Align, Table};

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Check {
    subject: String,
    result: &'static str,
    detail: String,
    remedy: String,
}

impl Check {
    fn new(subject: impl Into<String>, severity: Severity, detail: impl Into<String>, remedy: &str) -> Self {
        let result = match severity {
            Severity::Good => "ok",
            Severity::Poor => "poor",
            Severity::Fatal => "fatal",
        };
        Self { subject: subject.into(), result, detail: detail.into(), remedy: remedy.to_owned() }
    }
}

pub fn run(context: &Context) -> Exit {
    let mut checks = machine();
    checks.extend(home(&context.home));
    let is_fatal = checks.iter().any(|check| check.result == "fatal");
    if context.is_json() {
        output::json(&checks);
    } else {
        print(&checks);
    }
    if is_fatal { Exit::Refused } else { Exit::Done }
}

fn print(checks: &[Check]) {
    let mut table = Table::new(&[("checked", Align::Left), ("result", Align::Left), ("found", Align::Left)]);
    for check in checks {
        table.row([check.subject.clone(), check.result.to_owned(), check.detail.clone()]);
        if !check.remedy.is_empty() {
            table.row([String::new(), String::new(), format!("-> {}", check.remedy)]);
        }
    }
    table.print();
}

fn machine() -> Vec<Check> {
    let findings = probe(Options::for_this_machine().pool_bytes());
    findings
        .into_iter()
        .map(|finding| Check::new(finding.subject, finding.severity, finding.detail, &finding.remedy))
        .collect()
}

fn home(home: &Home) -> Vec<Check> {
    let root = home.root().display().to_string();
    let configuration = match home.load() {
        Ok(configuration) => configuration,
        Err(error) => {
            let remedy = match error {
                StationError::NoStation { .. } => "odile init --code CODE",
                _ => "`odile config check` tells all that is wrong",
            };
            return vec![Check::new("configuration", Severity::Fatal, error.to_string(), remedy)];
        }
    };
    let detail =
        format!("{root}: {}, partners: {}", configuration.station.code, configuration.partners.len());
    let mut checks = vec![Check::new("configuration", Severity::Good, detail, "")];
    checks.extend(folders(home));
    checks.extend(filesystems(home, &configuration));
    checks.push(keys(home, &configuration));
    checks.push(space(home));
    checks.push(catalog(home));
    checks.push(station(home));
    checks
}

fn folders(home: &Home) -> Vec<Check> {
    let mut bad = Vec::new();
    for name in ["", "partners", "keys", "certificates", "outbox", "inbox", "spool"] {
        let path = home.root().join(name);
        if let Some(check) = folder(&path) {
            bad.push(check);
        }
    }
    if bad.is_empty() {
        bad.push(Check::new("folders", Severity::Good, "all there, and closed to others", ""));
    }
    bad
}

/// What is wrong with a folder; `None` if nothing is.
fn folder(path: &Path) -> Option<Check> {
    let shown = path.display().to_string();
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let remedy = "the station makes it when it starts";
            return Some(Check::new("folder", Severity::Poor, format!("{shown} is missing"), remedy));
        }
        Err(error) => {
            let remedy = "use the account that runs the station";
            return Some(Check::new("folder", Severity::Fatal, format!("{shown}: {error}"), remedy));
        }
    };
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o700 != 0o700 {
        let remedy = format!("chmod 700 {shown}");
        return Some(Check::new("folder", Severity::Fatal, format!("{shown} has mode {mode:o}"), &remedy));
    }
    if mode & 0o007 != 0 {
        let remedy = format!("everybody here may look into it: chmod 700 {shown}");
        return Some(Check::new("folder", Severity::Poor, format!("{shown} has mode {mode:o}"), &remedy));
    }
    None
}

fn filesystems(home: &Home, configuration: &Configuration) -> Vec<Check> {
    let mut bad = Vec::new();
    let spool = home.spool();
    for name in configuration.partners.keys() {
        let inbox = home.inbox(name);
        if !spool.exists() || !inbox.exists() {
            continue;
        }
        let remedy = "put spool and inbox on one filesystem, so that received files can be moved in one step";
        let check = |detail: String| Check::new("filesystem", Severity::Fatal, detail, remedy);
        match same_filesystem(&spool, &inbox) {
            Ok(true) => {}
            Ok(false) => bad.push(check(format!("{} is on another one than the spool", inbox.display()))),
            Err(error) => bad.push(check(error.to_string())),
        }
    }
    if bad.is_empty() {
        bad.push(Check::new("filesystem", Severity::Good, "spool and inboxes are on one", ""));
    }
    bad
}

/// `cert check` in short.
fn keys(home: &Home, configuration: &Configuration) -> Check {
    let findings = cert::check::configured(home, configuration);
    let worst = cert::check::worst(&findings);
    let severity = match worst {
        Grade::Ok => Severity::Good,
        Grade::Warning | Grade::Error => Severity::Poor,
        Grade::Fatal => Severity::Fatal,
    };
    let bad = findings.iter().find(|finding| finding.grade == worst && worst > Grade::Ok);
    match bad {
        None => Check::new("keys", severity, cert::check::in_short(&findings), ""),
        Some(first) => {
            let text = format!("{}: {}", first.subject, first.text);
            Check::new("keys", severity, text, &format!("{}; `odile cert check` tells all", first.remedy))
        }
    }
}

fn space(home: &Home) -> Check {
    match free_space(home.root()) {
        Ok(space) => {
            let enough = space.available >= FREE_BYTES_WANTED;
            let severity = if enough { Severity::Good } else { Severity::Poor };
            let detail = format!("{} of {} MiB are free", space.available >> 20, space.total >> 20);
            Check::new(
                "disk space",
                severity,
                detail,
                if enough { "" } else { "make room for received files" },
            )
        }
        Err(error) => {
            Check::new("disk space", Severity::Poor, error.to_string(), "see whether the disk is well")
        }
    }
}

fn catalog(home: &Home) -> Check {
    let path = home.catalog();
    if !path.exists() {
        return Check::new("catalog", Severity::Good, "not there yet: nothing was sent or received", "");
    }
    match Catalog::open(&path).and_then(|catalog| catalog.check()) {
        Ok(()) => Check::new("catalog", Severity::Good, "whole", ""),
        // The error says what to do.
        Err(error) => Check::new("catalog", Severity::Fatal, error.to_string(), "see there"),
    }
}

fn station(home: &Home) -> Check {
    let asked = Client::connect(home)
        .and_then(|client| client.map(|mut client| client.ask(&Request::Status)).transpose());
    match asked {
        Ok(None) => Check::new("station", Severity::Good, "not running", ""),
        Ok(Some(Response::Status { address, tls_address, running })) => {
            let address = address.or(tls_address);
            let address = address.unwrap_or_else(|| "nowhere".to_owned());
            let detail = format!("running, listening at {address}, transfers under way: {running}");
            Check::new("station", Severity::Good, detail, "")
        }
        Ok(Some(other)) => {
            let detail = format!("gave an unknown answer: {other:?}");
            Check::new("station", Severity::Poor, detail, "start it again: it may be of another version")
        }
        Err(error) => {
            let detail = format!("{}: {error}", home.control_socket().display());
            Check::new("station", Severity::Fatal, detail, "use the account that runs it, or start it again")
        }
    }
}

/// A small CAD file set; with less than that, offers are soon refused.
const FREE_BYTES_WANTED: u64 = 1 << 30;
