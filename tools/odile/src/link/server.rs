//! The far end: takes in, checks and drops what comes, sends what is asked for, and tells where the time went.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use odile_station::catalog::TransferRef;
use odile_station::partner::Transport;
use odile_station::{Event, Handle, Listen, Options, Target};

use super::kit::Kit;
use super::note;
use super::side::{self, CODE_SERVER, CONTENT, Peer, SESSIONS_MAX, Side};
use crate::cli::LinkServices;
use crate::exit::Failure;

pub struct Server {
    side: Side,
    /// Files that come in: from whom, what they are called, and what their description says.
    coming: HashMap<TransferRef, Coming>,
    /// Files that go out: to whom, and their names.
    going: HashMap<TransferRef, (String, String)>,
    /// What is still to go to each: of no use any more when the partner begins something new.
    queued: HashMap<String, Vec<TransferRef>>,
}

struct Coming {
    partner: String,
    name: String,
    description: String,
}

impl Server {
    pub fn start(
        options: Options,
        plain: Option<SocketAddr>,
        tls: SocketAddr,
        kit: Option<&Kit>,
        disk: Option<&Path>,
    ) -> Result<Self, Failure> {
        let mut peers = Vec::new();
        let transports: &[Transport] =
            if kit.is_some() { &[Transport::Plain, Transport::Tls] } else { &[Transport::Plain] };
        for transport in transports {
            for number in 1..=SESSIONS_MAX {
                let (name, code) = (format!("{transport}-{number}"), side::code_of(*transport, number));
                peers.push(Peer { name, code, address: None, transport: *transport });
            }
        }
        let listen = Listen { plain, tls: kit.map(|_| tls) };
        let target = if disk.is_some() { Target::Inbox } else { Target::Check(CONTENT) };
        let side = Side::start(disk, CODE_SERVER, &peers, kit, Options { target, ..options }, listen)?;
        Ok(Self { side, coming: HashMap::new(), going: HashMap::new(), queued: HashMap::new() })
    }

    pub fn handle(&self) -> Handle {
        self.side.handle()
    }

    /// Answers what comes until `is_over`; `tell` gets a line about each file.
    pub fn run(&mut self, is_over: &dyn Fn() -> bool, tell: &dyn Fn(&str)) {
        while !is_over() {
            match self.side.events.recv_timeout(LOOK_EVERY) {
                Ok(event) => self.answer(&event, tell),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn answer(&mut self, event: &Event, tell: &dyn Fn(&str)) {
        match event {
            Event::Receiving { transfer, partner, dataset_name, description, .. } => {
                for left in self.queued.remove(partner).unwrap_or_default() {
                    // What has gone meanwhile needs no cancelling.
                    let _ = self.handle().cancel(left);
                }
                let coming = Coming {
                    partner: partner.clone(),
                    name: note::name_of(dataset_name),
                    description: description.clone(),
                };
                self.coming.insert(*transfer, coming);
            }
            Event::FileOffered { transfer, partner, dataset_name, .. }
                if dataset_name.starts_with(note::DATA) =>
            {
                self.going.insert(*transfer, (partner.clone(), note::name_of(dataset_name)));
            }
            Event::Measured { transfer, measured } => {
                let found = match transfer {
                    TransferRef::Outbound(_) => self.going.remove(transfer),
                    TransferRef::Inbound(_) => self
                        .coming
                        .get(transfer)
                        .filter(|coming| coming.name.starts_with(note::DATA))
                        .map(|coming| (coming.partner.clone(), coming.name.clone())),
                };
                if let Some((partner, name)) = found {
                    tell(&format!("{partner}: {measured}"));
                    let report = Some(note::report(&name, measured));
                    self.send(&partner, side::new_name(note::REPORT), 1, LinkServices::default(), report);
                }
            }
            Event::Received { transfer, path, .. } => {
                let Some(coming) = self.coming.remove(transfer) else { return };
                // Where files are written, nobody wants them.
                if Path::new(path).is_absolute() {
                    let _ = std::fs::remove_file(path);
                    let _ = std::fs::remove_file(format!("{path}.json"));
                }
                if coming.name.starts_with(note::SEND)
                    && let Some((octets, services, name)) = note::read_request(&coming.description)
                {
                    self.send(&coming.partner, name.to_owned(), octets, services, None);
                }
            }
            Event::FileSent { transfer, .. } => {
                for left in self.queued.values_mut() {
                    left.retain(|queued| queued != transfer);
                }
            }
            Event::ReceiveFailed { transfer, .. } | Event::Interrupted { transfer, .. } => {
                self.coming.remove(transfer);
            }
            trouble if trouble.is_trouble() => tell(&trouble.to_string()),
            _ => {}
        }
    }

    fn send(
        &mut self,
        partner: &str,
        name: String,
        octets: u64,
        services: LinkServices,
        description: Option<String>,
    ) {
        // What cannot be queued is missed by whoever waits for it.
        if let Ok(queued) = self.handle().send(&side::request(partner, name, octets, services, description)) {
            self.queued.entry(partner.to_owned()).or_default().push(TransferRef::Outbound(queued.id));
        }
    }
}

const LOOK_EVERY: Duration = Duration::from_millis(50);
