//! One session on one connection: it carries what `session` decides to the network and back.
//!
//! ```text
//! reader task ─▶ Deframer ─┬─ commands ─▶ Session ─▶ outputs ─┬─ commands ─▶ socket
//!                          └─ DATA ─▶ receiving ─▶ .part      └─ events ─▶ sending, receiving, catalog
//! ```
//!
//! One task runs a link. It is never dropped while an operation is in flight: it ends by itself, at the latest
//! when its timers run out.

mod channel;
mod handshake;
mod identify;
mod keeping;
mod prover;
mod pump;
mod reader;
mod receiving;
mod sending;
mod speaking;
mod taking_up;
mod terms;
mod watchdog;

use std::sync::Arc;
use std::time::{Duration, Instant};

use odile_catalog::TransferRef;
use odile_partner::{Partner, SessionTerms, Transport};
use odile_session::{Event as SessionEvent, Origin, Output, Session, State, Timers};
use odile_tls::TlsError;
use odile_uring::{Shard, Stream};
use odile_wire::stream::{self, Deframer, Piece};
use odile_wire::{Command, EndSessionReason};
use tokio::sync::watch;

use crate::event::{Event, SessionEnd};
use crate::measure::Stage;
use crate::shared::Shared;
use channel::{Channel, Opened};
use reader::{Reader, Received};
use receiving::Receiving;
use sending::Sending;
use watchdog::Watchdog;

pub(crate) use handshake::server_config;

/// A session and everything it holds.
pub(crate) struct Link {
    number: u64,
    shared: Arc<Shared>,
    shard: Shard,
    stream: Stream,
    channel: Channel,
    session: Session,
    reader: Reader,
    watchdog: Watchdog,
    stop: watch::Receiver<bool>,
    /// Known from the peer's SSID on; when we called, from the start.
    partner: Option<Arc<Partner>>,
    terms: Option<SessionTerms>,
    /// Commands that wait to be written.
    out: Vec<u8>,
    sending: Option<Sending>,
    receiving: Option<Receiving>,
    /// The receipt that waits for RTR.
    receipt: Option<(i64, TransferRef)>,
    /// How it ends, once that is known.
    end: Option<SessionEnd>,
    /// Files that were refused in this session, or wait for another reason: not tried again in it.
    done_sending: bool,
    /// True once a file or a receipt has changed hands.
    moved: bool,
    /// When we sent our SSID to whom we called.
    asked: Option<Instant>,
    /// From then to the answer.
    round_trip: Option<Duration>,
}

/// How a link's session went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LinkReport {
    pub(crate) end: SessionEnd,
    /// True if a file or a receipt has changed hands.
    pub(crate) moved: bool,
}

impl Link {
    /// Runs a session with a partner that has called us.
    pub(crate) async fn answer(shared: Arc<Shared>, shard: Shard, stream: Stream, transport: Transport) {
        let channel = match transport {
            Transport::Plain => Channel::Plain,
            Transport::Tls => match handshake::answer(&shared, &shard, &stream).await {
                Ok(channel) => channel,
                Err(text) => {
                    stream.shutdown();
                    return shared.tell(Event::HandshakeFailed { peer: stream.peer(), text });
                }
            },
        };
        let timers = Timers { inactivity: greeting_limit(&shared), disconnect: DISCONNECT_LIMIT };
        let mut link = Self::new(shared, shard, stream, channel, timers);
        link.session.on_incoming(Instant::now());
        link.run().await;
    }

    /// Runs a session with a partner that we have called.
    pub(crate) async fn call(
        shared: Arc<Shared>,
        shard: Shard,
        stream: Stream,
        partner: Arc<Partner>,
        terms: SessionTerms,
    ) -> Result<LinkReport, String> {
        let channel = match partner.transport {
            Transport::Plain => Channel::Plain,
            Transport::Tls => match handshake::call(&shared, &shard, &stream, &partner).await {
                Ok(channel) => channel,
                Err(text) => {
                    stream.shutdown();
                    return Err(format!("no TLS with {}: {text}", stream.peer()));
                }
            },
        };
        let timers = Timers { inactivity: terms.inactivity, disconnect: DISCONNECT_LIMIT };
        let mut link = Self::new(shared, shard, stream, channel, timers);
        let capabilities = identify::capabilities(&partner, &terms);
        let prover = link.prover(&partner, &terms);
        link.partner = Some(partner);
        link.terms = Some(terms);
        link.session.set_early_credit(terms.early_credit);
        // A new session takes this call in any case.
        let _ = link.session.connect(capabilities, prover, Instant::now());
        link.session.on_connected(Instant::now());
        Ok(link.run().await)
    }

    fn new(shared: Arc<Shared>, shard: Shard, stream: Stream, channel: Channel, timers: Timers) -> Self {
        let number = shared.next_session();
        shared.tell(Event::Connected { session: number, peer: stream.peer() });
        if let Some(tls) = channel.description() {
            shared.tell(Event::Secured { session: number, tls });
        }
        let mut stop = shared.stop.clone();
        // A station that is already stopping must be noticed too.
        stop.mark_changed();
        Self {
            number,
            reader: Reader::start(stream.clone()),
            watchdog: Watchdog::start(stream.clone()),
            stop,
            shared,
            shard,
            stream,
            channel,
            session: Session::new(timers),
            partner: None,
            terms: None,
            out: Vec::new(),
            sending: None,
            receiving: None,
            receipt: None,
            end: None,
            done_sending: false,
            moved: false,
            asked: None,
            round_trip: None,
        }
    }

    async fn run(mut self) -> LinkReport {
        let mut deframer = Deframer::new();
        let early = self.channel.take_early();
        if !early.is_empty() {
            self.perform().await;
            self.digest(&early, &mut deframer).await;
        }
        loop {
            self.perform().await;
            if self.session.is_over() {
                break;
            }
            if self.may_pump() {
                self.pump().await;
                // Not waiting: what has come meanwhile is looked at between two blocks.
                while let Ok(received) = self.reader.received.try_recv() {
                    self.take(received, &mut deframer).await;
                }
            } else if self.session.may_speak() {
                self.speak().await;
            } else {
                let began = Instant::now();
                let is_stalled = self.is_out_of_credit();
                self.wait(&mut deframer).await;
                if is_stalled && let Some(recorder) = self.sending_recorder() {
                    recorder.stalled(began.elapsed());
                }
            }
        }
        self.finish().await
    }

    /// Waits for the peer, the clock, or the end of the station.
    async fn wait(&mut self, deframer: &mut Deframer) {
        let deadline = self.session.deadline().unwrap_or_else(|| Instant::now() + DISCONNECT_LIMIT);
        let leaving = self.receiving.as_ref().map(Receiving::leaving);
        let is_wanted_elsewhere = async {
            match leaving {
                Some(leaving) => leaving.await,
                None => std::future::pending().await,
            }
        };
        let began = Instant::now();
        tokio::select! {
            biased;
            received = self.reader.received.recv() => {
                if let Some(recorder) = self.receiving.as_mut().and_then(|receiving| receiving.recorder.as_mut()) {
                    recorder.add(Stage::Line, began.elapsed());
                }
                self.take(received.unwrap_or(Received::Closed), deframer).await;
            }
            () = tokio::time::sleep_until(deadline.into()) => self.session.on_time(Instant::now()),
            () = is_wanted_elsewhere => {
                // Nobody is there any more: the partner has come back in another session.
                let text = "nothing came any more, and the partner offers the file in another session".to_owned();
                self.end_with(EndSessionReason::TIME_OUT, true, text);
                self.session.on_disconnected(Instant::now());
            }
            Ok(()) = self.stop.changed() => self.stop_if_asked(),
        }
    }

    fn stop_if_asked(&mut self) {
        if self.shared.is_stopping() {
            let text = "the station is being stopped; try again later";
            // If the session is already ending, its timers end it.
            self.release(EndSessionReason::EMERGENCY_CLOSE_DOWN, text);
        }
    }

    /// Does what the session wants done, until it wants nothing more.
    async fn perform(&mut self) {
        while let Some(output) = self.session.poll_output() {
            match output {
                Output::Connect | Output::Accept => {}
                Output::Transmit(command) => self.transmit(&command),
                Output::Disconnect => {
                    self.flush().await;
                    self.close_channel().await;
                    self.stream.shutdown();
                    self.session.on_disconnected(Instant::now());
                }
                Output::Event(event) => {
                    // What the event was answered with before goes out first.
                    self.flush().await;
                    self.on_event(event).await;
                }
            }
        }
        self.flush().await;
    }

    fn transmit(&mut self, command: &Command) {
        if matches!(command, Command::StartSession(_)) {
            self.asked = Some(Instant::now());
        }
        if let Err(error) = stream::push_command(command, self.session.level(), &mut self.out) {
            // `Session` checks what it can; what is left is a bug of ours that ends this session only.
            let text = error.to_string();
            self.shared.tell(Event::Trouble { text: format!("session {}: {text}", self.number) });
            self.release(EndSessionReason::UNSPECIFIED, &text);
        }
    }

    async fn flush(&mut self) {
        if self.out.is_empty() && !self.channel.has_answers() {
            return;
        }
        let records = match self.channel.seal_commands(std::mem::take(&mut self.out)) {
            Ok(records) => records,
            Err(error) => return self.on_tls_failed(&error),
        };
        let limit = self.session.deadline().map_or(DISCONNECT_LIMIT, |at| {
            at.saturating_duration_since(Instant::now()).max(DISCONNECT_LIMIT)
        });
        self.watchdog.begin(limit);
        let (written, mut buffer) = self.stream.write_small(records).await;
        self.watchdog.end();
        buffer.clear();
        self.out = buffer;
        if written.is_err() {
            self.on_write_failed();
        }
    }

    /// Tells the peer's TLS that this was all, if that goes fast.
    async fn close_channel(&mut self) {
        let records = self.channel.close();
        if !records.is_empty() {
            self.watchdog.begin(CLOSE_LIMIT);
            let _ = self.stream.write_small(records).await;
            self.watchdog.end();
        }
    }

    /// The peer's records cannot be read, or no more can be written.
    fn on_tls_failed(&mut self, error: &TlsError) {
        let text = format!("TLS failed: {error}");
        self.shared.tell(Event::Trouble { text: format!("session {}: {text}", self.number) });
        self.end_with(EndSessionReason::UNSPECIFIED, false, text);
        self.session.on_disconnected(Instant::now());
    }

    /// The connection takes no more: it is gone, or the watchdog has ended it.
    fn on_write_failed(&mut self) {
        if let Some(limit) = self.watchdog.expired() {
            let text = format!("the peer took no data for {} s", limit.as_secs());
            self.end_with(EndSessionReason::TIME_OUT, true, text);
        }
        self.session.on_disconnected(Instant::now());
    }

    async fn take(&mut self, received: Received, deframer: &mut Deframer) {
        match received {
            Received::Small(mut buffer, count) => {
                self.take_octets(buffer.get_mut(..count).unwrap_or_default(), deframer).await;
            }
            Received::Block(mut block, count) => {
                self.take_octets(block.get_mut(..count).unwrap_or_default(), deframer).await;
                self.reader.give_back(block);
            }
            Received::Closed => self.session.on_disconnected(Instant::now()),
            Received::Failed(error) => {
                self.shared.tell(Event::Trouble { text: format!("session {}: {error}", self.number) });
                self.session.on_disconnected(Instant::now());
            }
        }
    }

    async fn take_octets(&mut self, octets: &mut [u8], deframer: &mut Deframer) {
        let began = Instant::now();
        let Some(Opened { content, front, end }) = self.channel.open(octets) else {
            return self.digest(octets, deframer).await;
        };
        if let Some(recorder) = self.receiving.as_mut().and_then(|receiving| receiving.recorder.as_mut()) {
            recorder.add(Stage::Tls, began.elapsed());
        }
        let end = match end {
            None => None,
            Some(Ok(())) => Some(Ok(())),
            Some(Err(error)) => {
                // The alert tells the peer why, and nothing that is said to the content is heard any more.
                self.flush().await;
                self.end_with(EndSessionReason::UNSPECIFIED, false, format!("TLS failed: {error}"));
                Some(Err(error))
            }
        };
        self.digest(&content, deframer).await;
        self.digest(octets.get(..front).unwrap_or_default(), deframer).await;
        if self.receiving.is_some() {
            self.channel.give_back(content);
        }
        match end {
            None => {}
            Some(Ok(())) => self.session.on_disconnected(Instant::now()),
            Some(Err(error)) => self.on_tls_failed(&error),
        }
    }

    /// Takes all pieces off what was read.
    async fn digest(&mut self, mut input: &[u8], deframer: &mut Deframer) {
        while !self.session.is_over() {
            if let Some(agreement) = self.session.agreement() {
                deframer.set_data_limit(agreement.buffer_size);
            }
            match deframer.next_piece(&mut input) {
                Ok(None) => return,
                Ok(Some(Piece::Command(octets))) => {
                    match Command::decode(self.session.level(), octets) {
                        Ok(command) => self.session.on_command(command, Instant::now()),
                        Err(malformed) => self.session.on_malformed(&malformed, Instant::now()),
                    }
                    self.perform().await;
                }
                Ok(Some(Piece::Data { octets, end })) => {
                    // On a slow line one buffer can take longer than the timer. A command that trickles in does
                    // not keep a session alive.
                    self.session.touch(Instant::now());
                    self.on_data(octets, end).await;
                    // New credit goes out when all that has come is used up: who went on without it is found
                    // out, and an EFID that did not wait for it makes it needless.
                    if self.session.state() != State::OpI {
                        self.perform().await;
                    }
                }
                Err(malformed) => {
                    self.session.on_malformed(&malformed, Instant::now());
                    self.perform().await;
                    return;
                }
            }
        }
    }

    async fn on_event(&mut self, event: SessionEvent) {
        match event {
            SessionEvent::ConnectIndication(peer) => self.on_caller(&peer),
            SessionEvent::PeerIdentified(peer) => self.on_answer(&peer),
            SessionEvent::Connected { agreement, .. } => self.on_open(&agreement),
            SessionEvent::StartFile(file) => self.on_offer(*file).await,
            SessionEvent::FileAccepted { restart } => self.on_accepted(restart).await,
            SessionEvent::FileRefused(refusal) => self.on_refused(&refusal).await,
            SessionEvent::CreditRenewed | SessionEvent::Turn => {}
            SessionEvent::CloseFile(end) => self.on_close(&end).await,
            SessionEvent::FileClosed { .. } => self.on_sent().await,
            SessionEvent::CloseRefused(refusal) => self.on_close_refused(&refusal).await,
            SessionEvent::EndToEndResponse(eerp) => self.on_receipt(&eerp).await,
            SessionEvent::NegativeEndResponse(nerp) => self.on_negative_receipt(&nerp).await,
            SessionEvent::ReadyToReceive => self.on_receipt_taken().await,
            SessionEvent::Released => self.end_with(EndSessionReason::NORMAL, false, String::new()),
            SessionEvent::Aborted { origin, reason, text } => {
                self.end_with(reason, origin == Origin::Local, text);
            }
        }
    }

    /// Ends the session for a reason of ours. `Session` has no event for what it was asked to do.
    fn release(&mut self, reason: EndSessionReason, text: &str) {
        if self.session.release(reason, text, Instant::now()).is_ok() {
            self.end_with(reason, true, text.to_owned());
        }
    }

    /// Notes how the session ends; the first word counts.
    fn end_with(&mut self, reason: EndSessionReason, by_us: bool, text: String) {
        self.end.get_or_insert(SessionEnd { reason, by_us, text });
    }

    async fn finish(mut self) -> LinkReport {
        self.stream.shutdown();
        let end = self.end.take().unwrap_or(SessionEnd {
            reason: EndSessionReason::NORMAL,
            by_us: true,
            text: String::new(),
        });
        self.drop_transfers(&end).await;
        let partner = self.partner.as_ref().map(|partner| partner.name.to_string());
        self.shared.tell(Event::SessionEnded { session: self.number, partner, end: end.clone() });
        let moved = self.moved;
        self.reader.finish().await;
        LinkReport { end, moved }
    }

    /// Tells the operator of trouble with the catalog, and ends the session: nothing may be promised without it.
    fn on_trouble(&mut self, text: String) {
        self.shared.tell(Event::Trouble { text: format!("session {}: {text}", self.number) });
        let public = "the station cannot go on; its operator has been told why";
        self.release(EndSessionReason::RESOURCES_NOT_AVAILABLE, public);
    }

    fn partner_name(&self) -> String {
        self.partner.as_ref().map(|partner| partner.name.to_string()).unwrap_or_default()
    }
}

/// How long a caller may take to introduce itself; afterwards its partner's own limit holds.
fn greeting_limit(shared: &Shared) -> Duration {
    let settings = shared.options.session.or(&shared.configuration.station.session);
    settings.terms().map_or(GREETING_LIMIT, |terms| terms.inactivity.min(GREETING_LIMIT))
}

/// More time than that is for partners.
const GREETING_LIMIT: Duration = Duration::from_secs(60);
/// Closing TLS is a courtesy.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);
/// How long an ESID may take to be sent and answered by a disconnect.
const DISCONNECT_LIMIT: Duration = Duration::from_secs(5);
