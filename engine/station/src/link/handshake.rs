//! The TLS handshake, before there is a session. Its steps run on workers, because a signature with an RSA key holds
//! up a shard for milliseconds.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use odile_partner::{Partner, Purpose, Usage};
use odile_tls::{
    CallerCertificate, CertificateDer, ClientIdentity, HostNameCheck, Policy, Received, Tls, TlsError, Trust,
};
use odile_uring::{JoinHandle, Shard, Stream};
use odile_wire::IdentificationCode;

use super::channel::Channel;
use crate::clock::now_seconds;
use crate::keyring::CertificateDetails;
use crate::shared::Shared;

/// Opens TLS towards a partner that we have called.
pub(crate) async fn call(
    shared: &Shared,
    shard: &Shard,
    stream: &Stream,
    partner: &Partner,
) -> Result<Channel, String> {
    let text = |error: TlsError| error.to_string();
    let host = partner.address.as_ref().map_or("", |address| address.host.as_str());
    let shows = partner.tls.outbound_client_certificate;
    let identity = match shows {
        Usage::Forbidden => None,
        _ => shared.keyring.tls_identity().cloned(),
    };
    if identity.is_none() && shows == Usage::Required {
        return Err(
            "this partner is to be shown a TLS certificate, and there is none: `odile cert new` makes one"
                .into(),
        );
    }
    let identity = identity.map(ClientIdentity::new);
    let asked = identity.as_ref().map(ClientIdentity::asked);
    let policy = policy(shared, partner).map_err(text)?;
    let config = odile_tls::client_config(policy, identity).map_err(text)?;
    let tls = Tls::client(config, host).map_err(text)?;
    let channel = run(shared, shard, stream, tls).await?;
    if shows == Usage::Required && !asked.is_some_and(|asked| asked.was_asked()) {
        return Err("the partner did not ask for our TLS certificate, which the terms with it require".into());
    }
    Ok(channel)
}

/// Opens TLS towards somebody who has called us.
pub(crate) async fn answer(shared: &Shared, shard: &Shard, stream: &Stream) -> Result<Channel, String> {
    let config = shared.tls_server.clone().ok_or("there is no TLS certificate to answer with")?;
    let tls = Tls::server(config).map_err(|error| error.to_string())?;
    run(shared, shard, stream, tls).await
}

/// Judges the certificate that a caller has shown, now that it says who it is.
pub(super) fn check_caller(
    shared: &Shared,
    partner: &Partner,
    shown: Option<&[CertificateDer<'_>]>,
) -> Result<(), TlsError> {
    let wanted = match partner.tls.inbound_client_certificate {
        Usage::Forbidden => CallerCertificate::Forbidden,
        Usage::Optional | Usage::Preferred => CallerCertificate::Optional,
        Usage::Required => CallerCertificate::Required,
    };
    // Nothing to trust is no reason to turn away who shows nothing and need not.
    if shown.is_none_or(<[_]>::is_empty) {
        return if wanted == CallerCertificate::Required { Err(TlsError::NoCertificate) } else { Ok(()) };
    }
    let now = odile_tls::UnixTime::since_unix_epoch(
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default(),
    );
    policy(shared, partner)?.check_caller(shown, wanted, now)?;
    match shown.and_then(<[_]>::first) {
        Some(leaf) if !is_pinned(shared, partner, leaf) => is_of_partner(partner, leaf),
        _ => Ok(()),
    }
}

fn is_pinned(shared: &Shared, partner: &Partner, leaf: &CertificateDer<'_>) -> bool {
    let certificates = shared.configuration.certificates(&partner.name);
    certificates.for_purpose(Purpose::Tls).any(|file| file.der == leaf.as_ref())
}

/// An authority vouches for many: its certificate must be the partner's, as far as that can be told. By Odette's policy
/// the subject's serialNumber is the identification code; else the host that we call stands in it.
fn is_of_partner(partner: &Partner, leaf: &CertificateDer<'_>) -> Result<(), TlsError> {
    let unreadable = |_| TlsError::Untrusted("it cannot be read".to_owned());
    let details = CertificateDetails::from_der(leaf).map_err(unreadable)?;
    let is_code = |text: &str| IdentificationCode::new(text).is_ok_and(|code| code == partner.code);
    match &details.subject_code {
        Some(code) if is_code(code) => return Ok(()),
        Some(code) if looks_like_a_code(code) => {
            return Err(TlsError::Untrusted(format!("it is that of another station, {code}")));
        }
        _ => {}
    }
    let Some(address) = partner.address.as_ref().filter(|_| partner.tls.host_name_check) else {
        return Ok(());
    };
    if details.names.iter().any(|name| name.eq_ignore_ascii_case(&address.host)) {
        return Ok(());
    }
    let host = &address.host;
    Err(TlsError::Untrusted(format!(
        "a trusted authority issued it, but neither for {host} nor for the partner's code: pin it, or set \
         host_name_check = false"
    )))
}

/// `O`, four digits of the ICD, and what that registered (RFC 5024 §5.4).
fn looks_like_a_code(text: &str) -> bool {
    let mut octets = text.bytes();
    octets.next().is_some_and(|first| first.eq_ignore_ascii_case(&b'O'))
        && text.len() > 5
        && octets.take(4).all(|octet| octet.is_ascii_digit())
}

/// Whom we trust to be this partner, now.
fn policy(shared: &Shared, partner: &Partner) -> Result<Policy, TlsError> {
    let certificates = shared.configuration.certificates(&partner.name);
    let now = now_seconds();
    let der = |file: &crate::keyring::CertificateFile| CertificateDer::from(file.der.clone());
    let pinned: Vec<_> =
        certificates.for_purpose(Purpose::Tls).filter(|file| file.is_valid_at(now)).map(der).collect();
    let has_expired = pinned.is_empty() && certificates.for_purpose(Purpose::Tls).next().is_some();
    let trust = Trust { pinned, authorities: certificates.authorities().map(der).collect() };
    if trust.pinned.is_empty() && trust.authorities.is_empty() {
        let why =
            if has_expired { "no TLS certificate of this partner is valid now" } else { "there are none" };
        return Err(TlsError::Trust(format!("{why}; `odile cert import {} FILE` adds one", partner.name)));
    }
    let check = if partner.tls.host_name_check { HostNameCheck::On } else { HostNameCheck::Off };
    Policy::new(trust, check)
}

async fn run(shared: &Shared, shard: &Shard, stream: &Stream, tls: Tls) -> Result<Channel, String> {
    let guard = Guard::start(shared, stream.clone());
    let done = steps(shard, stream, tls).await;
    if guard.has_ended() {
        return Err(format!("the TLS handshake was not done within {} s", HANDSHAKE_LIMIT.as_secs()));
    }
    done
}

async fn steps(shard: &Shard, stream: &Stream, mut tls: Tls) -> Result<Channel, String> {
    let mut records = Vec::new();
    let mut early = Vec::new();
    loop {
        let (mut input, mut content) = (std::mem::take(&mut records), std::mem::take(&mut early));
        let step = shard.workers.run(move || {
            let mut send = Vec::new();
            let received = tls.receive(&mut input, &mut content, &mut send);
            (tls, input, content, send, received)
        });
        let (back, input, content, send, received) = step.await.map_err(|error| error.to_string())?;
        (tls, records, early) = (back, input, content);
        if !send.is_empty() {
            // An alert is worth trying, but what matters is why there is one.
            let (written, _) = stream.write_small(send).await;
            if received.is_ok() {
                written.map_err(|error| error.to_string())?;
            }
        }
        match received.map_err(|error| error.to_string())? {
            Received::Closed => return Err("the other end has closed TLS during the handshake".to_owned()),
            Received::Open if !tls.is_handshaking() => return Ok(Channel::secure(tls, early)),
            Received::Open => {}
        }
        records.resize(READ_BYTES, 0);
        let (count, buffer) = stream.read_small(records).await;
        records = buffer;
        match count.map_err(|error| error.to_string())? {
            0 => return Err("the connection was closed during the TLS handshake".to_owned()),
            count => records.truncate(count),
        }
    }
}

/// Shuts the socket down when the handshake takes too long, or the station stops: operations are never abandoned.
struct Guard {
    task: JoinHandle<()>,
}

impl Guard {
    fn start(shared: &Shared, stream: Stream) -> Self {
        let mut stop = shared.stop.clone();
        let task = odile_uring::spawn(async move {
            tokio::select! {
                () = tokio::time::sleep(HANDSHAKE_LIMIT) => {}
                _ = stop.wait_for(|stop| *stop) => {}
            }
            stream.shutdown();
        });
        Self { task }
    }

    fn has_ended(&self) -> bool {
        self.task.is_finished()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // A sleeping task has nothing in flight.
        self.task.abort();
    }
}

/// Makes the configuration for being called; none if there is no key.
pub(crate) fn server_config(
    keyring: &crate::keyring::Keyring,
    partners: impl Iterator<Item = Arc<Partner>>,
) -> Result<Option<Arc<odile_tls::ServerConfig>>, crate::StationError> {
    let Some(identity) = keyring.tls_identity() else { return Ok(None) };
    let asks = partners.into_iter().any(|partner| partner.tls.inbound_client_certificate != Usage::Forbidden);
    let authentication =
        if asks { odile_tls::ClientAuthentication::Asked } else { odile_tls::ClientAuthentication::NotAsked };
    Ok(Some(odile_tls::server_config(identity, authentication)?))
}

/// A handshake takes some round trips, and a partner's key may lie in slow hardware.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(30);
const READ_BYTES: usize = 16 * 1024;
