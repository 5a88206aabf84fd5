//! A scripted OFTP peer: it says what the script says, right or wrong, and shows what comes back.
//!
//! It reads Stream Transmission Headers and subrecords by itself, so that the station is not tested with its own
//! code.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use odile_wire::command::{
    Capability, ChangeDirection, EndFile, EndFilePositiveAnswer, EndSession, EndToEndResponse, FileFormat,
    NegativeEndResponse, ReadyToReceive, Security, SetCredit, StartFile, StartFilePositiveAnswer,
    StartSession, StartSessionReady,
};
use odile_wire::{
    Command, DatasetName, DateStamp, EndSessionReason, FileId, IdentificationCode, Level, Mnemonic, Password,
    TimeStamp, UserData, VariableText, stream,
};

use crate::secure_line::{Line, TlsManners};
use crate::station::PATIENCE;

/// One end of a connection, without a will of its own.
pub struct Peer {
    line: Line,
    level: Level,
    /// The agreed window, in Data Exchange Buffers.
    credit: u16,
}

/// Receipts of the station.
#[derive(Debug, Default)]
pub struct Receipts {
    /// EERPs, as they came.
    pub positive: Vec<EndToEndResponse>,
    /// NERPs, as they came.
    pub negative: Vec<NegativeEndResponse>,
}

/// What the station said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// A command.
    Command(Command),
    /// The payload of a Data Exchange Buffer.
    Data(Vec<u8>),
    /// It has closed the connection.
    Closed,
}

impl Peer {
    /// Calls a station.
    pub fn connect(address: SocketAddr) -> Self {
        Self::over(Line::Plain(socket(address)))
    }

    /// Calls a station with TLS; an error if there is none.
    pub fn connect_secure(address: SocketAddr, manners: TlsManners<'_>) -> io::Result<Self> {
        Line::calling(socket(address), manners).map(Self::over)
    }

    /// Waits for the station's call.
    pub fn answer(listener: &TcpListener) -> Self {
        Self::over(Line::Plain(accepted(listener)))
    }

    /// Waits for the station's call with TLS; an error if there is none.
    pub fn answer_secure(listener: &TcpListener, manners: TlsManners<'_>) -> io::Result<Self> {
        Line::called(accepted(listener), manners).map(Self::over)
    }

    fn over(line: Line) -> Self {
        Self { line, level: Level::V2_0, credit: 1 }
    }

    /// How many certificates the station has shown in TLS.
    pub fn shown(&self) -> usize {
        self.line.shown()
    }

    /// Calls a station and agrees on a session with the usual SSID; this side has the turn.
    pub fn open(address: SocketAddr) -> Self {
        let mut peer = Self::connect(address);
        peer.greet(&ssid());
        peer
    }

    /// Takes the station's call and agrees on a session with the usual SSID; the station has the turn.
    pub fn opened(listener: &TcpListener) -> Self {
        let mut peer = Self::answer(listener);
        peer.greet_back(&ssid());
        peer
    }

    /// As Initiator: reads SSRM, sends this SSID, reads the Responder's and gives it.
    pub fn greet(&mut self, ours: &StartSession) -> StartSession {
        self.expect(Mnemonic::Ssrm);
        self.send(Command::StartSession(ours.clone()));
        self.agree(ours)
    }

    /// As Responder: sends SSRM, reads the Initiator's SSID, sends this one.
    pub fn greet_back(&mut self, ours: &StartSession) -> StartSession {
        self.send(Command::StartSessionReady(StartSessionReady));
        let theirs = self.agree(ours);
        self.send(Command::StartSession(ours.clone()));
        theirs
    }

    fn agree(&mut self, ours: &StartSession) -> StartSession {
        let said = self.expect(Mnemonic::Ssid);
        let Command::StartSession(theirs) = said else { unreachable!("an SSID was expected") };
        let level = ours.level.min(theirs.level);
        self.level = Level::at_most(level).expect("a level of ours");
        self.credit = ours.credit.min(theirs.credit);
        theirs
    }

    /// Sends octets as they are.
    pub fn send_raw(&mut self, octets: &[u8]) {
        self.line.write_all(octets).and_then(|()| self.line.flush()).expect("the station reads");
    }

    /// Sends octets; false if the station has closed the connection meanwhile.
    pub fn try_raw(&mut self, octets: &[u8]) -> bool {
        self.line.write_all(octets).and_then(|()| self.line.flush()).is_ok()
    }

    /// Goes on with new traffic keys (TLS 1.3).
    pub fn refresh_keys(&mut self) {
        self.line.refresh_keys();
    }

    /// Sends octets under TLS: no records, or other ones.
    pub fn send_beneath(&mut self, octets: &[u8]) {
        self.line.socket().write_all(octets).expect("the station reads");
    }

    /// Sends a command.
    pub fn send(&mut self, command: Command) {
        let octets = self.encoded(&command);
        self.send_raw(&octets);
    }

    /// A command as octets, at the agreed level.
    pub fn encoded(&self, command: &Command) -> Vec<u8> {
        let mut octets = Vec::new();
        stream::push_command(command, self.level, &mut octets).expect("the script's commands fit the level");
        octets
    }

    /// Sends a Data Exchange Buffer with this payload.
    pub fn send_payload(&mut self, payload: &[u8]) {
        self.send_raw(&framed(b'D', payload));
    }

    /// Reads the next thing that the station says.
    pub fn read(&mut self) -> Said {
        let mut header = [0; 4];
        if !self.fill(&mut header) {
            return Said::Closed;
        }
        assert_eq!(header[0], 0x10, "version 1, no flags");
        let length = u32::from_be_bytes([0, header[1], header[2], header[3]]) as usize;
        assert!((5..=100_003).contains(&length), "a length of {length}");
        let mut buffer = vec![0; length - 4];
        if !self.fill(&mut buffer) {
            return Said::Closed;
        }
        if buffer[0] == b'D' {
            return Said::Data(buffer.split_off(1));
        }
        Said::Command(Command::decode(self.level, &buffer).expect("the station sends valid commands"))
    }

    fn fill(&mut self, buffer: &mut [u8]) -> bool {
        match self.line.read_exact(buffer) {
            Ok(()) => true,
            Err(error) => {
                let closed = [
                    ErrorKind::UnexpectedEof,
                    ErrorKind::ConnectionReset,
                    ErrorKind::BrokenPipe,
                    // An alert of TLS.
                    ErrorKind::InvalidData,
                ];
                assert!(closed.contains(&error.kind()), "waited for the station: {error}");
                false
            }
        }
    }

    /// Reads a command, which must be this one.
    pub fn expect(&mut self, mnemonic: Mnemonic) -> Command {
        let said = self.read();
        let is_it = matches!(&said, Said::Command(command) if command.mnemonic() == mnemonic);
        assert!(is_it, "expected {mnemonic}, the station said {said:?}");
        let Said::Command(command) = said else { unreachable!("just looked") };
        command
    }

    /// Reads ESID with this reason, closes the connection, and gives the text.
    pub fn expect_end(mut self, reason: EndSessionReason) -> String {
        let said = self.expect(Mnemonic::Esid);
        let Command::EndSession(end) = said else { unreachable!("an ESID was expected") };
        assert_eq!(end.reason, reason, "{}", end.text);
        end.text.to_string()
    }

    /// The station closes the connection without another word.
    pub fn expect_closed(&mut self) {
        assert_eq!(self.read(), Said::Closed);
    }

    /// True if the station closes the connection within this time; it must not say anything.
    pub fn is_closed_within(&mut self, time: Duration) -> bool {
        self.line.socket().set_read_timeout(Some(time)).expect("a time-out");
        let read = self.line.read(&mut [0]);
        self.line.socket().set_read_timeout(Some(PATIENCE)).expect("a time-out");
        match read {
            Ok(count) => {
                assert_eq!(count, 0, "the station says something");
                true
            }
            Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
        }
    }

    /// Says no more, but still reads.
    pub fn hang_up(&mut self) {
        // The station may have closed the connection already.
        let _ = self.line.socket().shutdown(Shutdown::Write);
    }

    /// Reads up to the end of the connection; the reason, if the station gave one.
    pub fn read_to_end(&mut self) -> Option<EndSessionReason> {
        let mut reason = None;
        loop {
            match self.read() {
                Said::Closed => return reason,
                Said::Command(Command::EndSession(end)) => {
                    reason = Some(end.reason);
                    self.hang_up();
                }
                _ => {}
            }
        }
    }

    /// Offers a file and gives the answer, SFPA or SFNA.
    pub fn offer(&mut self, file: &StartFile) -> Command {
        self.send(Command::StartFile(Box::new(file.clone())));
        match self.read() {
            Said::Command(answer) => answer,
            other => unreachable!("an answer to SFID was expected, not {other:?}"),
        }
    }

    /// Offers a file, which must be taken.
    pub fn start(&mut self, file: &StartFile) {
        let answer = self.offer(file);
        assert_eq!(answer.mnemonic(), Mnemonic::Sfpa, "{answer:?}");
    }

    /// Sends EFID and gives the answer, EFPA or EFNA.
    pub fn close(&mut self, records: u64, octets: u64) -> Command {
        self.send(Command::EndFile(EndFile { record_count: records, unit_count: octets }));
        match self.read() {
            Said::Command(answer) => answer,
            other => unreachable!("an answer to EFID was expected, not {other:?}"),
        }
    }

    /// Sends a whole file without records, which must be taken.
    pub fn send_file(&mut self, file: &StartFile, content: &[u8]) {
        let answer = self.try_file(file, content);
        assert_eq!(answer.mnemonic(), Mnemonic::Efpa, "{answer:?}");
    }

    /// Sends a whole file without records; gives the answer to its end, EFPA or EFNA.
    pub fn try_file(&mut self, file: &StartFile, content: &[u8]) -> Command {
        self.start(file);
        self.send_content(content);
        self.close(0, content.len() as u64)
    }

    /// Sends the content of a file without records, which was taken just now, but not its end.
    pub fn send_content(&mut self, content: &[u8]) {
        let payloads: Vec<_> = content.chunks(900).map(subrecords).collect();
        self.send_payloads(&payloads);
    }

    /// The same of a file that is in these Data Exchange Buffers.
    pub fn send_payloads(&mut self, payloads: &[Vec<u8>]) {
        for (sent, payload) in (1..).zip(payloads) {
            self.send_payload(payload);
            if sent % usize::from(self.credit) == 0 {
                self.expect(Mnemonic::Cdt);
            }
        }
    }

    /// Reads an offer of the station.
    pub fn expect_offer(&mut self) -> StartFile {
        let said = self.expect(Mnemonic::Sfid);
        let Command::StartFile(file) = said else { unreachable!("an SFID was expected") };
        *file
    }

    /// Accepts the station's offer.
    pub fn accept(&mut self) {
        self.accept_at(0);
    }

    /// Accepts the station's offer from a restart position on.
    pub fn accept_at(&mut self, restart: u64) {
        self.send(Command::StartFilePositiveAnswer(StartFilePositiveAnswer { restart }));
    }

    /// Takes the station's file up to EFID, which is not answered.
    pub fn take_file(&mut self) -> (StartFile, Vec<u8>) {
        let file = self.expect_offer();
        self.accept();
        let content = self.take_data();
        (file, content)
    }

    /// Reads Data Exchange Buffers up to EFID, renewing the credit.
    pub fn take_data(&mut self) -> Vec<u8> {
        self.take_to_end().0
    }

    /// The same, and EFID.
    pub fn take_to_end(&mut self) -> (Vec<u8>, EndFile) {
        let (content, end) = self.take_some(usize::MAX);
        let Some(end) = end else { unreachable!("no file is as long as that") };
        assert_eq!(end.unit_count, content.len() as u64);
        (content, end)
    }

    /// Reads Data Exchange Buffers until so many octets have come, or EFID, renewing the credit. Gives what came, and
    /// EFID if it came.
    pub fn take_some(&mut self, octets: usize) -> (Vec<u8>, Option<EndFile>) {
        let (mut content, mut left) = (Vec::new(), self.credit);
        while content.len() < octets {
            match self.read() {
                Said::Data(payload) => {
                    content.extend(plain(&payload));
                    left -= 1;
                    if left == 0 {
                        self.send(Command::SetCredit(SetCredit));
                        left = self.credit;
                    }
                }
                Said::Command(Command::EndFile(end)) => return (content, Some(end)),
                other => unreachable!("DATA or EFID was expected, not {other:?}"),
            }
        }
        (content, None)
    }

    /// EFPA.
    pub fn confirm(&mut self) {
        self.send(Command::EndFilePositiveAnswer(EndFilePositiveAnswer { change_direction: false }));
    }

    /// The receipt for a file, which the station must take. This side has the turn.
    pub fn send_receipt(&mut self, file: &StartFile) {
        let eerp = EndToEndResponse::for_file(&file.id, file.user);
        self.send(Command::EndToEndResponse(Box::new(eerp)));
        self.expect(Mnemonic::Rtr);
    }

    /// Gives up the turn.
    pub fn give_turn(&mut self) {
        self.send(Command::ChangeDirection(ChangeDirection));
    }

    /// From the turn on: gives it up, takes the receipts that come, and ends the session normally. Gives the files
    /// whose receipts came.
    pub fn finish(self) -> Vec<FileId> {
        self.finish_with_receipts().positive.iter().map(EndToEndResponse::file).collect()
    }

    /// The same; gives the receipts.
    pub fn finish_with_receipts(mut self) -> Receipts {
        self.give_turn();
        self.wind_up()
    }

    /// The station has the turn: takes its receipts, and ends the session normally.
    pub fn wind_up(mut self) -> Receipts {
        let mut receipts = Receipts::default();
        loop {
            match self.read() {
                Said::Command(Command::EndToEndResponse(eerp)) => {
                    receipts.positive.push(*eerp);
                    self.send(Command::ReadyToReceive(ReadyToReceive));
                }
                Said::Command(Command::NegativeEndResponse(nerp)) => {
                    receipts.negative.push(*nerp);
                    self.send(Command::ReadyToReceive(ReadyToReceive));
                }
                Said::Command(Command::ChangeDirection(_)) => {
                    self.end(EndSessionReason::NORMAL);
                    self.expect_closed();
                    return receipts;
                }
                Said::Command(Command::EndSession(end)) => {
                    assert_eq!(end.reason, EndSessionReason::NORMAL, "{}", end.text);
                    return receipts;
                }
                other => unreachable!("the end of the session was expected, not {other:?}"),
            }
        }
    }

    /// Sends ESID.
    pub fn end(&mut self, reason: EndSessionReason) {
        self.send(Command::EndSession(EndSession { reason, text: VariableText::default() }));
    }
}

/// A connection to a station, as yet silent.
pub fn socket(address: SocketAddr) -> TcpStream {
    prepared(TcpStream::connect(address).expect("the station listens"))
}

/// The station's call, as yet unanswered.
pub fn accepted(listener: &TcpListener) -> TcpStream {
    listener.set_nonblocking(true).expect("a listener");
    let deadline = Instant::now() + PATIENCE;
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false).expect("a socket");
                return prepared(stream);
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}"),
        }
        assert!(Instant::now() < deadline, "waited for the station's call");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn prepared(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    stream.set_write_timeout(Some(PATIENCE)).expect("a time-out");
    stream.set_nodelay(true).expect("an option");
    stream
}

/// An SSID of the usual peer: level 5, buffers of 1000 octets, credit 3.
pub fn ssid() -> StartSession {
    StartSession {
        level: 5,
        code: code(PEER),
        password: Password::blank(),
        buffer_size: 1000,
        capability: Capability::Both,
        compression: false,
        restart: false,
        special_logic: false,
        credit: 3,
        authentication: false,
        user: UserData::BLANK,
    }
}

/// The same of a peer that goes on with files where they were cut.
pub fn restarting_ssid() -> StartSession {
    StartSession { restart: true, ..ssid() }
}

/// A new file of the usual peer for the station; unstructured, with an identity of its own.
pub fn sfid(name: &str, octets: usize) -> StartFile {
    static COUNTER: AtomicU32 = AtomicU32::new(1);
    let counter = COUNTER.fetch_add(1, Ordering::Relaxed);
    let time: [u8; 10] = format!("{counter:010}").into_bytes().try_into().expect("ten digits");
    let blocks = octets.div_ceil(1024) as u64;
    StartFile {
        id: FileId {
            dataset_name: DatasetName::new(name).expect("a dataset name"),
            date: DateStamp::new(*b"20260401").expect("digits"),
            time: TimeStamp::new(time).expect("digits"),
            destination: code(STATION),
            originator: code(PEER),
        },
        user: UserData::BLANK,
        format: FileFormat::Unstructured,
        record_size: 0,
        size_blocks: blocks,
        original_size_blocks: blocks,
        restart: 0,
        security: Security::None,
        cipher_suite: 0,
        compression: 0,
        envelope: 0,
        signed_response: false,
        description: VariableText::default(),
    }
}

/// An Identification Code.
pub fn code(text: &str) -> IdentificationCode {
    IdentificationCode::new(text).expect("an identification code")
}

/// An Exchange Buffer with its Stream Transmission Header.
pub fn framed(letter: u8, rest: &[u8]) -> Vec<u8> {
    let length = u32::try_from(rest.len() + 5).expect("a small buffer");
    let [_, high, middle, low] = length.to_be_bytes();
    let mut octets = vec![0x10, high, middle, low, letter];
    octets.extend_from_slice(rest);
    octets
}

/// Subrecords of at most 63 octets, the last of which ends a record.
pub fn subrecords(octets: &[u8]) -> Vec<u8> {
    let mut payload = open_subrecords(octets);
    let last = octets.len().saturating_sub(1) / 63 * 64;
    match payload.get_mut(last) {
        Some(header) => *header |= 0x80,
        None => payload.push(0x80),
    }
    payload
}

/// The same without an end of record.
pub fn open_subrecords(octets: &[u8]) -> Vec<u8> {
    let mut payload = Vec::new();
    for piece in octets.chunks(63) {
        payload.push(u8::try_from(piece.len()).expect("at most 63"));
        payload.extend_from_slice(piece);
    }
    payload
}

/// What subrecords without compression stand for.
fn plain(mut payload: &[u8]) -> Vec<u8> {
    let mut octets = Vec::new();
    while let Some((&header, rest)) = payload.split_first() {
        assert_eq!(header & 0x40, 0, "compression was not agreed");
        let (piece, rest) = rest.split_at(usize::from(header & 0x3F));
        octets.extend_from_slice(piece);
        payload = rest;
    }
    octets
}

/// The code of the scripted peer.
pub const PEER: &str = "O0013PEER";
/// The code of the station under test.
pub const STATION: &str = "O0013STATION";
