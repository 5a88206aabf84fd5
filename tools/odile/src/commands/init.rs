//! `odile init`.

use std::fmt::Write;
use std::net::SocketAddr;

use odile_station::Home;
use serde_json::json;

use crate::cli::InitArgs;
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::output;

pub fn run(context: &Context, args: &InitArgs) -> Result<Exit, Failure> {
    let home = Home::create(context.home.root(), &station_file(&args.code, args.listen))?;
    let file = home.station_file();
    if context.is_json() {
        output::json(&json!({ "home": home.root(), "station_file": file, "code": args.code }));
        return Ok(Exit::Done);
    }
    output::line(&format!(
        "{} is station {} now; its settings are in {}",
        home.root().display(),
        args.code,
        file.display()
    ));
    context.note("next: `odile partner add`, `odile doctor`, then `odile send` or `odile serve`");
    Ok(Exit::Done)
}

/// The text of `station.toml`: what is set, and all other keys with their defaults as comments.
pub fn station_file(code: &str, listen: Option<SocketAddr>) -> String {
    let mut text = String::from(HEAD);
    let _ = writeln!(text, "code = {}", quoted(code));
    text.push_str(LISTEN);
    let _ = match listen {
        Some(address) => writeln!(text, "listen = \"{address}\""),
        None => writeln!(text, "#listen = \"0.0.0.0:3305\""),
    };
    text.push_str(REST);
    text
}

/// A TOML string: JSON's escapes are among those of TOML.
pub fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

const HEAD: &str = "\
# This station. `odile config check` tells whether this file is right; a running station reads it when it starts.

# Our Odette identification code (SSIDCODE), at most 25 characters.
";

const LISTEN: &str = "
# Where partners may call us. Left out, we only call, and the outboxes are not watched.
";

const REST: &str = "
# A file in outbox/PARTNER is taken once nobody has written to it for so many seconds.
#outbox_quiet_seconds = 5

# How sessions are set up. Partner files and flags of the command line go before this.
[session]

# Data Exchange Buffer that we offer, 128 to 99999 octets. The smaller offer of both sides holds.
#buffer_size = 99999

# Credit window that we offer, 1 to 999 buffers. One session carries at most credit x buffer_size per round trip.
#credit = 999

# Protocol levels: 1 (OFTP 1.2), 2 (1.3), 4 (1.4), 5 (2.0). Lowest that we accept, highest that we offer.
#level_min = 1
#level_max = 5

# Send runs of equal octets as one. Saves little on most files and costs time on fast lines.
#buffer_compression = false

# Seconds to wait for an answer of the peer, which may take its time to store a large file.
#inactivity_seconds = 180

# Seconds to wait for a connection.
#connect_seconds = 30
";

#[cfg(test)]
mod tests {
    use odile_station::partner::{SessionSettings, StationConfig};

    use super::*;

    #[test]
    fn what_is_written_can_be_read() {
        for listen in [None, Some("127.0.0.1:3305".parse().unwrap())] {
            let config =
                StationConfig::parse("station.toml", &station_file("O0013 PLANT-7", listen)).unwrap();
            assert_eq!(config.code.to_string(), "O0013 PLANT-7");
            assert_eq!(config.listen, listen);
        }
    }

    #[test]
    fn the_commented_keys_are_the_defaults() {
        let plain = StationConfig::parse("station.toml", "code = \"X\"").unwrap();
        let text = station_file("X", None).replace("\n#listen", "\n# listen");
        let uncommented: String = text
            .lines()
            .map(|line| match line.strip_prefix('#') {
                Some(key) if !key.starts_with(' ') => format!("{key}\n"),
                _ => format!("{line}\n"),
            })
            .collect();
        let all = StationConfig::parse("station.toml", &uncommented).unwrap();
        assert_eq!(all.outbox_quiet_seconds, plain.outbox_quiet_seconds);
        assert_eq!(all.session.terms(), plain.session.terms());
        // Every key is there.
        let SessionSettings {
            buffer_size: Some(_),
            credit: Some(_),
            level_min: Some(_),
            level_max: Some(_),
            buffer_compression: Some(_),
            inactivity_seconds: Some(_),
            connect_seconds: Some(_),
        } = all.session
        else {
            panic!("a key is missing: {uncommented}");
        };
    }
}
