//! Commands and capabilities to test with, and a toy authenticator.

#![allow(dead_code, reason = "every test crate uses its own part of it")]

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use odile_session::{AuthenticationError, Authenticator, Capabilities, Timers};
use odile_wire::command::{
    Capability, Command, EndFile, EndFileNegativeAnswer, EndSession, EndToEndResponse, FileFormat,
    NegativeEndResponse, Security, StartFile, StartFileNegativeAnswer, StartSession,
};
use odile_wire::{
    AnswerReason, DatasetName, DateStamp, EndSessionReason, FileId, IdentificationCode, Level,
    NegativeEndReason, Password, TimeStamp, UserData, VariableText,
};

pub const TIMERS: Timers =
    Timers { inactivity: Duration::from_secs(180), disconnect: Duration::from_secs(5) };

pub fn code(text: &str) -> IdentificationCode {
    let mut octets = [b' '; 25];
    octets[..text.len()].copy_from_slice(text.as_bytes());
    IdentificationCode::from_octets(octets)
}

/// Everything is possible, nothing is required.
pub fn capabilities() -> Capabilities {
    Capabilities {
        code: code("O0013000001HERE"),
        password: Password::new("SECRET").unwrap(),
        user: UserData::BLANK,
        level_min: Level::V1_2,
        level_max: Level::V2_0,
        buffer_size: 4096,
        credit: 2,
        mode: Capability::Both,
        compression: true,
        restart: true,
        authentication: false,
    }
}

/// The SSID of a peer with the same abilities.
pub fn ssid() -> StartSession {
    StartSession {
        level: 5,
        code: code("O0013000002THERE"),
        password: Password::new("SECRET2").unwrap(),
        buffer_size: 4096,
        capability: Capability::Both,
        compression: true,
        restart: true,
        special_logic: false,
        credit: 2,
        authentication: false,
        user: UserData::BLANK,
    }
}

pub fn file_id() -> FileId {
    FileId {
        dataset_name: DatasetName::new("BODY.SHELL.DATA").unwrap(),
        date: DateStamp::new(*b"20261123").unwrap(),
        time: TimeStamp::new(*b"1204050001").unwrap(),
        destination: code("O0013000002THERE"),
        originator: code("O0013000001HERE"),
    }
}

pub fn sfid(restart: u64) -> StartFile {
    StartFile {
        id: file_id(),
        user: UserData::BLANK,
        format: FileFormat::Unstructured,
        record_size: 0,
        size_blocks: 100,
        original_size_blocks: 100,
        restart,
        security: Security::None,
        cipher_suite: 0,
        compression: 0,
        envelope: 0,
        signed_response: false,
        description: VariableText::default(),
    }
}

pub fn sfna() -> StartFileNegativeAnswer {
    StartFileNegativeAnswer {
        reason: AnswerReason::DUPLICATE_FILE,
        retry: false,
        text: VariableText::default(),
    }
}

pub fn efna() -> EndFileNegativeAnswer {
    EndFileNegativeAnswer { reason: AnswerReason::INVALID_BYTE_COUNT, text: VariableText::default() }
}

pub fn efid() -> EndFile {
    EndFile { record_count: 0, unit_count: 102_400 }
}

pub fn eerp() -> EndToEndResponse {
    EndToEndResponse::for_file(&file_id(), UserData::BLANK)
}

pub fn nerp() -> NegativeEndResponse {
    NegativeEndResponse::for_file(
        &file_id(),
        code("O0013000002THERE"),
        NegativeEndReason::PROCESSING_FAILED,
        VariableText::default(),
    )
}

pub fn esid(reason: EndSessionReason) -> Command {
    Command::EndSession(EndSession { reason, text: VariableText::truncated("because") })
}

/// Hides a challenge by turning it around bit by bit. What it does wrong can be chosen.
#[derive(Default)]
pub struct ToyAuthenticator {
    pub has_no_certificate: bool,
    pub cannot_open: bool,
    pub responds_wrongly: bool,
    pub challenge_bytes: Option<usize>,
    /// How many challenges it has made.
    pub challenges: Rc<Cell<u32>>,
}

pub const SECRET: [u8; 20] = *b"twenty random octets";

impl Authenticator for ToyAuthenticator {
    fn challenge(&mut self) -> Result<Vec<u8>, AuthenticationError> {
        if self.has_no_certificate {
            return Err(AuthenticationError::new("no certificate for this partner"));
        }
        self.challenges.set(self.challenges.get() + 1);
        Ok(self.challenge_bytes.map_or_else(|| hide(&SECRET), |bytes| vec![0; bytes]))
    }

    fn respond(&mut self, challenge: &[u8]) -> Result<[u8; 20], AuthenticationError> {
        if self.cannot_open {
            return Err(AuthenticationError::new("the challenge is not for our key"));
        }
        if self.responds_wrongly {
            return Ok([0; 20]);
        }
        challenge
            .iter()
            .map(|octet| !octet)
            .collect::<Vec<_>>()
            .try_into()
            .map_err(|_| AuthenticationError::new("the challenge does not hold 20 octets"))
    }

    fn verify(&mut self, response: &[u8; 20]) -> bool {
        response == &SECRET
    }
}

pub fn hide(secret: &[u8; 20]) -> Vec<u8> {
    secret.iter().map(|octet| !octet).collect()
}

#[allow(clippy::unnecessary_wraps, reason = "it is what the session takes")]
pub fn toy() -> Option<Box<dyn Authenticator>> {
    Some(Box::new(ToyAuthenticator::default()))
}
