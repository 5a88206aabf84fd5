//! `odile config check`.

use std::fs;

use odile_station::StationError;
use odile_station::partner::{Partner, PartnerName, StationConfig};
use serde_json::json;

use super::cert::{self, check::Grade};
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::output;

pub fn check(context: &Context) -> Result<Exit, Failure> {
    let configuration = match context.home.load() {
        Ok(configuration) => configuration,
        Err(first) => return refuse(context, first),
    };
    let (listen, listen_tls) = (configuration.station.listen, configuration.station.listen_tls);
    let without_address = configuration.partners.values().filter(|partner| partner.address.is_none()).count();
    let keys = cert::check::configured(&context.home, &configuration);
    // What does not work with one partner does not make the configuration wrong.
    let exit = if cert::check::worst(&keys) == Grade::Fatal { Exit::Usage } else { Exit::Done };
    if context.is_json() {
        let bad: Vec<_> = keys.iter().filter(|finding| finding.grade > Grade::Ok).collect();
        output::json(&json!({
            "ok": exit == Exit::Done,
            "code": configuration.station.code.to_string(),
            "listen": listen.map(|address| address.to_string()),
            "listen_tls": listen_tls.map(|address| address.to_string()),
            "partners": configuration.partners.keys().map(PartnerName::as_str).collect::<Vec<_>>(),
            "keys": bad,
        }));
        return Ok(exit);
    }
    output::line(&format!("{} is right", context.home.station_file().display()));
    output::line(&format!("  code      {}", configuration.station.code));
    let addresses: Vec<String> =
        [listen.map(|address| address.to_string()), listen_tls.map(|address| format!("{address} with TLS"))]
            .into_iter()
            .flatten()
            .collect();
    let listens =
        if addresses.is_empty() { "nowhere: we only call".to_owned() } else { addresses.join(", ") };
    output::line(&format!("  listen    {listens}"));
    output::line(&format!(
        "  partners  {}, {without_address} of them without an address: they call us",
        configuration.partners.len()
    ));
    output::line(&format!("  keys      {}", cert::check::in_short(&keys)));
    if addresses.is_empty() && without_address > 0 {
        context.note(
            "odile: partners without an address need `listen` in station.toml or `odile serve --listen`",
        );
    }
    for finding in keys.iter().filter(|finding| finding.grade == Grade::Fatal) {
        output::note(&format!("odile: {}: {}; {}", finding.subject, finding.text, finding.remedy));
    }
    Ok(exit)
}

/// All mistakes, not only the first.
fn refuse(context: &Context, first: StationError) -> Result<Exit, Failure> {
    let mut mistakes = mistakes(context);
    if mistakes.is_empty() {
        return Err(first.into());
    }
    let first_text = first.to_string();
    if !mistakes.contains(&first_text) {
        mistakes.insert(0, first_text);
    }
    if context.is_json() {
        output::json(&json!({ "ok": false, "errors": mistakes, "exit": Exit::Usage as u8 }));
    } else {
        for mistake in mistakes {
            output::note(&format!("odile: {mistake}"));
        }
    }
    Ok(Exit::Usage)
}

/// What is wrong in each file on its own.
fn mistakes(context: &Context) -> Vec<String> {
    let home = &context.home;
    let path = home.station_file();
    let Ok(text) = fs::read_to_string(&path) else { return Vec::new() };
    let station = match StationConfig::parse(&path.display().to_string(), &text) {
        Ok(station) => station,
        // Partner files take defaults from it.
        Err(error) => return vec![error.to_string()],
    };
    let mut mistakes = Vec::new();
    let entries = fs::read_dir(home.root().join("partners")).into_iter().flatten().flatten();
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths.iter().filter(|path| path.extension().is_some_and(|ending| ending == "toml")) {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let file = path.display().to_string();
        let name: PartnerName = match stem.parse() {
            Ok(name) => name,
            Err(error) => {
                mistakes.push(format!("{file}: {error}"));
                continue;
            }
        };
        match fs::read_to_string(path) {
            Err(error) => mistakes.push(format!("read {file}: {error}")),
            Ok(text) => {
                if let Err(error) = Partner::parse(name, &file, &text, &station) {
                    mistakes.push(error.to_string());
                }
            }
        }
    }
    mistakes
}
