//! The station that a command works with: the one that runs in this home, or one that is started for the command
//! alone and ends with it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use odile_station::catalog::TransferRef;
use odile_station::control::{Client, Request, Response};
use odile_station::{
    Calls, Event, Handle, Listen, Options, SendRequest, Severity, Station, StationError, probe,
};

use crate::context::Context;
use crate::exit::Failure;
use crate::tuning::Tuning;

/// The station to work with.
pub enum Access {
    /// It runs; requests go through its control socket.
    Running(Client),
    /// It was started for this command.
    Alone(Box<Alone>),
}

/// A station that ends with the command.
pub struct Alone {
    news: Receiver<Event>,
    sessions: BTreeSet<u64>,
    station: Station,
}

/// A file in the queue.
pub struct Queued {
    pub transfer: TransferRef,
    pub dataset_name: String,
}

/// How a transfer stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    pub state: String,
    pub detail: String,
    /// While it runs; else 0.
    pub octets: u64,
    pub total: u64,
}

/// How a session that was asked for ended.
pub struct CallEnd {
    pub normal: bool,
    pub text: String,
}

impl Access {
    /// The station that runs in this home, or else one that makes only these `calls`.
    pub fn open(context: &Context, tuning: &Tuning, calls: &Calls) -> Result<Self, Failure> {
        let deadline = Instant::now() + IN_USE_LIMIT;
        loop {
            if let Some(client) = connect(context)? {
                if !tuning.is_default() {
                    context.note("odile: a station is running here: tuning flags have no effect on it");
                }
                return Ok(Self::Running(client));
            }
            match Alone::start(context, tuning, calls) {
                // Another process holds the home and does not answer yet, or is about to end.
                Err(StationError::InUse { .. }) if Instant::now() < deadline => thread::sleep(IN_USE_AGAIN),
                started => return Ok(Self::Alone(Box::new(started?))),
            }
        }
    }

    /// Queues a file.
    pub fn send(&mut self, request: &SendRequest) -> Result<Queued, Failure> {
        match self {
            Self::Alone(alone) => {
                let outbound = alone.station.handle().send(request)?;
                let transfer = TransferRef::Outbound(outbound.id);
                Ok(Queued { transfer, dataset_name: outbound.file.to_string() })
            }
            Self::Running(client) => match ask(client, &Request::Send(request.clone()))? {
                Response::Queued { transfer, dataset_name } => {
                    Ok(Queued { transfer: parse(&transfer)?, dataset_name })
                }
                other => Err(unexpected(&other)),
            },
        }
    }

    /// How a transfer stands.
    pub fn standing(&mut self, transfer: TransferRef) -> Result<Standing, Failure> {
        match self {
            Self::Alone(alone) => {
                let handle = alone.station.handle();
                let (state, detail, total) = handle.state(transfer)?;
                let octets = handle.board().of(transfer).map_or(0, |running| running.octets);
                Ok(Standing { state, detail, octets, total })
            }
            Self::Running(client) => {
                match ask(client, &Request::Progress { transfer: transfer.to_string() })? {
                    Response::Progress { state, detail, octets, total } => {
                        Ok(Standing { state, detail, octets, total })
                    }
                    other => Err(unexpected(&other)),
                }
            }
        }
    }

    /// Calls a partner on a thread of its own; the answer comes when the session has ended.
    pub fn call(
        &self,
        context: &Context,
        partner: &str,
    ) -> Result<Receiver<Result<CallEnd, Failure>>, Failure> {
        let (done, outcome) = mpsc::channel();
        let partner = partner.to_owned();
        match self {
            Self::Alone(alone) => {
                let handle = alone.station.handle();
                thread::spawn(move || done.send(call_alone(&handle, &partner)));
            }
            Self::Running(_) => {
                // Of its own, since the answer may take hours.
                let Some(mut client) = connect(context)? else {
                    return Err(Failure::unreachable("the station was stopped; start it again"));
                };
                thread::spawn(move || done.send(call_through(&mut client, partner)));
            }
        }
        Ok(outcome)
    }

    /// Waits a moment; gives what has happened meanwhile, as far as this command can know it.
    pub fn news(&mut self, wait: Duration) -> Vec<Event> {
        match self {
            Self::Running(_) => {
                thread::sleep(wait);
                Vec::new()
            }
            Self::Alone(alone) => alone.news(wait),
        }
    }
}

impl Alone {
    fn start(context: &Context, tuning: &Tuning, calls: &Calls) -> Result<Self, StationError> {
        let options = tuning.apply(Options::default());
        refuse_unable(&options).map_err(StationError::Contradiction)?;
        let (sink, news) = mpsc::channel();
        let sink = Arc::new(move |event: &Event| {
            // Nobody listens any more once the command ends.
            let _ = sink.send(event.clone());
        });
        let station = Station::start(context.home.clone(), options, Listen::NOWHERE, calls.clone(), sink)?;
        Ok(Self { news, sessions: BTreeSet::new(), station })
    }

    fn news(&mut self, wait: Duration) -> Vec<Event> {
        let mut events = Vec::new();
        match self.news.recv_timeout(wait) {
            Ok(event) => events.push(event),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => thread::sleep(wait),
        }
        events.extend(self.news.try_iter());
        for event in &events {
            match event {
                Event::SessionOpened { session, .. } => {
                    self.sessions.insert(*session);
                }
                Event::SessionEnded { session, .. } => {
                    self.sessions.remove(session);
                }
                _ => {}
            }
        }
        events
    }

    /// True while it talks with a partner.
    pub fn is_in_session(&self) -> bool {
        !self.sessions.is_empty()
    }

    /// Octets that running transfers have moved, to see whether something moves.
    pub fn octets(&self) -> u64 {
        self.station.handle().board().all().iter().map(|(_, running)| running.octets).sum()
    }
}

/// The station that runs in this home; `None` if none does.
pub fn connect(context: &Context) -> Result<Option<Client>, Failure> {
    Client::connect(&context.home).map_err(|error| {
        let socket = context.home.control_socket();
        Failure::unreachable(format!(
            "cannot reach the running station: {}: {error}; use the account that runs it",
            socket.display()
        ))
    })
}

/// Asks a running station; what it refuses becomes an error.
pub fn ask(client: &mut Client, request: &Request) -> Result<Response, Failure> {
    let response = client.ask(request).map_err(|error| {
        Failure::unreachable(format!("the running station does not answer: {error}; see `odile queue`"))
    })?;
    match response {
        Response::Failed { text, usage: true } => Err(Failure::usage(text)),
        Response::Failed { text, usage: false } => Err(Failure::refused(text)),
        other => Ok(other),
    }
}

/// A sentence with the remedy, if this machine does not allow a station to run.
pub fn refuse_unable(options: &Options) -> Result<(), String> {
    match probe(options.pool_bytes()).into_iter().find(|finding| finding.severity == Severity::Fatal) {
        None => Ok(()),
        Some(finding) => Err(format!(
            "this machine does not allow it: {}: {}; {}",
            finding.subject, finding.detail, finding.remedy
        )),
    }
}

/// An answer to another question.
pub fn unexpected(response: &Response) -> Failure {
    Failure::refused(format!(
        "the running station gave an unknown answer: {response:?}; is it of another version? Start it again"
    ))
}

fn call_alone(handle: &Handle, partner: &str) -> Result<CallEnd, Failure> {
    match handle.call(partner) {
        Ok(end) => {
            let normal = end.reason == odile_station::wire::EndSessionReason::NORMAL;
            Ok(CallEnd { normal, text: format!("ESID {} {}", end.reason, end.text).trim_end().to_owned() })
        }
        Err(StationError::CannotSend(text)) => Err(Failure::unreachable(text)),
        Err(error) => Err(error.into()),
    }
}

fn call_through(client: &mut Client, partner: String) -> Result<CallEnd, Failure> {
    match ask(client, &Request::Call { partner }) {
        Ok(Response::Called { normal, text }) => Ok(CallEnd { normal, text: text.trim_end().to_owned() }),
        Ok(other) => Err(unexpected(&other)),
        Err(failure) if failure.exit == crate::exit::Exit::Refused => Err(Failure::unreachable(failure.text)),
        Err(failure) => Err(failure),
    }
}

fn parse(transfer: &str) -> Result<TransferRef, Failure> {
    transfer
        .parse()
        .map_err(|error: odile_station::catalog::InvalidTransferRef| Failure::refused(error.to_string()))
}

/// A process that starts or stops answers within this time.
const IN_USE_LIMIT: Duration = Duration::from_secs(20);
const IN_USE_AGAIN: Duration = Duration::from_millis(100);
