//! `odile init`.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::PathBuf;

use odile_station::Home;
use odile_station::keyring::store;
use odile_station::partner::Purpose;
use serde_json::json;

use super::cert::{Description, Making, make_key_and_certificate, now_seconds};
use crate::cli::{DEFAULT_DAYS, InitArgs, SubjectArgs};
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::output;

pub fn run(context: &Context, args: &InitArgs) -> Result<Exit, Failure> {
    let text = station_file(&args.code, args.listen, args.listen_tls);
    let home = Home::create(context.home.root(), &text)?;
    let file = home.station_file();
    let made = if args.keys { Some(make_key(context, args)?) } else { None };
    if context.is_json() {
        let (key, certificate) = made.unzip();
        output::json(&json!({
            "home": home.root(),
            "station_file": file,
            "code": args.code,
            "key_file": key,
            "certificate": certificate,
        }));
        return Ok(Exit::Done);
    }
    output::line(&format!(
        "{} is station {} now; its settings are in {}",
        home.root().display(),
        args.code,
        file.display()
    ));
    match made {
        Some((key, certificate)) => {
            output::line(&format!("its key is {}, its certificate:", key.display()));
            certificate.print();
            context.note("next: `odile cert export` for partners, `odile partner add`, `odile doctor`");
        }
        None => context.note(
            "next: `odile cert new --host HOST` for TLS, signatures and encryption; `odile partner add`, `odile doctor`, \
             then `odile send` or `odile serve`",
        ),
    }
    Ok(Exit::Done)
}

/// The key for everything, as `cert new` makes it.
fn make_key(context: &Context, args: &InitArgs) -> Result<(PathBuf, Description), Failure> {
    let station = context.home.load()?.station;
    let name = station.keys.name(Purpose::Tls);
    let subject = SubjectArgs { host: args.host.clone(), ..SubjectArgs::default() };
    let making = Making { name, subject: &subject, days: DEFAULT_DAYS, passphrase: None };
    let certificate = make_key_and_certificate(context, &station, &making).map_err(|failure| Failure {
        exit: failure.exit,
        text: format!("the station was made, but not its key: {}; `odile cert new` makes it", failure.text),
    })?;
    let description = Description::own(name, &station.keys, &certificate, now_seconds());
    Ok((store::key_path(&context.home.keys(), name), description))
}

/// The text of `station.toml`: what is set, and all other keys with their defaults as comments.
fn station_file(code: &str, listen: Option<SocketAddr>, listen_tls: Option<SocketAddr>) -> String {
    let mut text = String::from(HEAD);
    let _ = writeln!(text, "code = {}", quoted(code));
    text.push_str(LISTEN);
    let mut address = |name: &str, address: Option<SocketAddr>, otherwise: &str| {
        let _ = match address {
            Some(address) => writeln!(text, "{name} = \"{address}\""),
            None => writeln!(text, "#{name} = \"{otherwise}\""),
        };
    };
    address("listen", listen, "0.0.0.0:3305");
    address("listen_tls", listen_tls, "0.0.0.0:6619");
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
# Where partners may call us, over plain TCP and over TLS. Both left out, we only call, and the outboxes are not
# watched. TLS needs a key: `odile cert new` makes one.
";

const REST: &str = r#"
# A file in outbox/PARTNER is taken once nobody has written to it for so many seconds.
#outbox_quiet_seconds = 5

# Which of our keys, keys/NAME.key, serve for what. One may serve for everything.
[keys]
#tls = "station"
#authentication = "station"
#signing = "station"
#encryption = "station"

# The passphrase of all keys, if they have one: the first line of a file that only we can read, or a systemd credential.
# passphrase_file = "/etc/odile/passphrase"
# passphrase_credential = "odile-passphrase"

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

# Must both sides prove in each session that they have their keys? Needs certificates of both, and level 5.
#authentication = false
# May files go on where they were cut, if both want that?
#restart = true
# New credit when half of the window is used: on long lines, if the partner has it set, too (not in the RFC).
#early_credit = false

# How long to wait before a file that was cut off is tried again: doubled each time that nothing moved, up to the
# longest, and off by chance by so much. After attempts_max attempts in a row that moved nothing, it is held (0: never).
[retry]
#first_seconds = 5
#longest_seconds = 300
#jitter_percent = 20
#attempts_max = 0

# How much something is wanted, here and below: forbidden, optional, preferred or required. Partner files go before.
[tls]
# Does a partner that calls us show a certificate? Do we when we call?
#inbound_client_certificate = "optional"
#outbound_client_certificate = "optional"
# Must the host name that we call stand in the partner's certificate, if an authority vouches for that?
#host_name_check = true

# Files that we send.
[send]
#sign = "optional"
#compress = "optional"
#encrypt = "optional"
#signed_receipt = "optional"
# Cipher suite, 1 to 10: 4 is AES-256 with SHA-256, 6 is AES-256 with SHA-512.
#suite = 4
# With compress = "preferred", files of which samples do not become a tenth shorter go as they are.
# How hard to compress, 1 (fast) to 12 (small).
#compression_level = 1
# Does our certificate travel with our signatures? Partners have it already.
#embed_certificate = false

# Files that partners send.
[receive]
#sign = "optional"
#compress = "optional"
#encrypt = "optional"
#signed_receipt = "optional"
#suites = [1, 2, 3, 4, 5, 6, 7]
# Most octets of a file when it is unpacked; left out: what the disk has room for.
# octets_max = 1000000000000
# A file that came whole but cannot be opened is answered at once (efna), or later with a negative receipt (nerp).
#refuse_with = "efna"
"#;

#[cfg(test)]
mod tests {
    use odile_station::partner::{
        ReceiveSettings, RetrySettings, SendSettings, SessionSettings, StationConfig, TlsSettings,
    };

    use super::*;

    #[test]
    fn what_is_written_can_be_read() {
        for listen in [None, Some("127.0.0.1:3305".parse().unwrap())] {
            let text = station_file("O0013 PLANT-7", listen, listen);
            let config = StationConfig::parse("station.toml", &text).unwrap();
            assert_eq!(config.code.to_string(), "O0013 PLANT-7");
            assert_eq!((config.listen, config.listen_tls), (listen, listen));
        }
    }

    #[test]
    fn the_commented_keys_are_the_defaults() {
        let plain = StationConfig::parse("station.toml", "code = \"X\"").unwrap();
        let text = station_file("X", None, None).replace("\n#listen", "\n# listen");
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
        assert_eq!(all.keys, plain.keys);
        assert_eq!(all.retry.terms(), plain.retry.terms());
        assert_eq!((all.tls.terms(), all.send.terms()), (plain.tls.terms(), plain.send.terms()));
        assert_eq!(all.receive.terms(), plain.receive.terms());
        // Every key is there.
        let SessionSettings {
            buffer_size: Some(_),
            credit: Some(_),
            level_min: Some(_),
            level_max: Some(_),
            buffer_compression: Some(_),
            authentication: Some(_),
            restart: Some(_),
            early_credit: Some(_),
            inactivity_seconds: Some(_),
            connect_seconds: Some(_),
        } = all.session
        else {
            panic!("a key of [session] is missing: {uncommented}");
        };
        let RetrySettings {
            first_seconds: Some(_),
            longest_seconds: Some(_),
            attempts_max: Some(_),
            jitter_percent: Some(_),
        } = all.retry
        else {
            panic!("a key of [retry] is missing: {uncommented}");
        };
        let SendSettings {
            sign: Some(_),
            compress: Some(_),
            encrypt: Some(_),
            signed_receipt: Some(_),
            suite: Some(_),
            compression_level: Some(_),
            embed_certificate: Some(_),
        } = all.send
        else {
            panic!("a key of [send] is missing: {uncommented}");
        };
        let ReceiveSettings {
            sign: Some(_),
            compress: Some(_),
            encrypt: Some(_),
            signed_receipt: Some(_),
            suites: Some(_),
            octets_max: None,
            refuse_with: Some(_),
        } = all.receive
        else {
            panic!("a key of [receive] is missing: {uncommented}");
        };
        let TlsSettings {
            inbound_client_certificate: Some(_),
            outbound_client_certificate: Some(_),
            host_name_check: Some(_),
        } = all.tls
        else {
            panic!("a key of [tls] is missing: {uncommented}");
        };
    }
}
