//! Any value of any command comes back, and no octets make the decoder panic.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers fail as the tests that call them")]

use odile_wire::command::*;
use odile_wire::*;
use proptest::prelude::*;

fn level() -> impl Strategy<Value = Level> {
    prop::sample::select(Level::ALL.to_vec())
}

/// A text of `N` octets, now and then with octets that no peer should send.
fn text<const N: usize>() -> impl Strategy<Value = Text<N>> {
    prop_oneof![
        4 => prop::collection::vec(b' '..=b'~', 0..=N).prop_map(|octets| {
            Text::new(std::str::from_utf8(&octets).unwrap()).unwrap()
        }),
        1 => any::<[u8; 32]>().prop_map(|octets| Text::from_octets(std::array::from_fn(|i| octets[i]))),
    ]
}

fn code() -> impl Strategy<Value = IdentificationCode> {
    text::<25>().prop_map(|text| IdentificationCode::from_octets(*text.octets()))
}

fn variable_text() -> impl Strategy<Value = VariableText> {
    let octets = prop_oneof![0_usize..20, 997_usize..=999];
    octets
        .prop_flat_map(|length| prop::collection::vec(any::<u8>(), length))
        .prop_map(|octets| VariableText::from_octets(octets).unwrap())
}

fn octets() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![Just(0_usize), 1_usize..100, Just(65_535)].prop_map(|length| vec![0xA5; length])
}

fn file_id(level: Level) -> impl Strategy<Value = FileId> {
    (text::<26>(), 19_700_000_u32..=20_699_999, 0_u64..=9_999_999_999, code(), code()).prop_map(
        move |(dataset_name, date, time, destination, originator)| {
            // Levels 1 and 2 do not transmit the counter.
            let time = if level < Level::V1_4 { time / 10_000 * 10_000 } else { time };
            let date = format!("{date:08}").into_bytes().try_into().unwrap();
            let time = format!("{time:010}").into_bytes().try_into().unwrap();
            FileId {
                dataset_name,
                date: DateStamp::new(date).unwrap(),
                time: TimeStamp::new(time).unwrap(),
                destination,
                originator,
            }
        },
    )
}

fn start_session() -> impl Strategy<Value = Command> {
    let capability =
        prop::sample::select(vec![Capability::SendOnly, Capability::ReceiveOnly, Capability::Both]);
    let flags = any::<[bool; 4]>();
    (0_u8..=9, code(), any::<[u8; 8]>(), 128_u32..=99_999, capability, flags, 1_u16..=999, text()).prop_map(
        |(level, code, password, buffer_size, capability, flags, credit, user)| {
            let [compression, restart, special_logic, authentication] = flags;
            Command::StartSession(StartSession {
                level,
                code,
                password: Password::from_octets(password),
                buffer_size,
                capability,
                compression,
                restart,
                special_logic,
                credit,
                authentication: authentication && level >= 5,
                user,
            })
        },
    )
}

fn start_file(level: Level) -> impl Strategy<Value = Command> {
    let new = level >= Level::V2_0;
    let sizes = if new { 9_999_999_999_999_u64 } else { 9_999_999 };
    let restarts = if new { 99_999_999_999_999_999_u64 } else { 999_999_999 };
    let codes = (0_u8..=99, 0_u8..=99, 0_u8..=9, 0_u8..=9, any::<bool>(), variable_text());
    let numbers = (0_u32..=99_999, 0..=sizes, 0..=sizes, 0..=restarts);
    (file_id(level), text(), any::<u8>(), numbers, codes).prop_map(
        move |(id, user, format, numbers, codes)| {
            let (record_size, size_blocks, original_size_blocks, restart) = numbers;
            let (security, cipher_suite, compression, envelope, signed_response, description) = codes;
            let services = u8::from(new);
            Command::StartFile(Box::new(StartFile {
                id,
                user,
                format: FileFormat::from_letter(format),
                record_size,
                size_blocks,
                original_size_blocks: if new { original_size_blocks } else { size_blocks },
                restart,
                security: Security::from_code(security * services),
                cipher_suite: cipher_suite * services,
                compression: compression * services,
                envelope: envelope * services,
                signed_response: signed_response && new,
                description: if new { description } else { VariableText::default() },
            }))
        },
    )
}

fn response(level: Level) -> impl Strategy<Value = Command> {
    (file_id(level), text(), code(), 0_u8..=99, variable_text(), octets(), octets(), any::<bool>()).prop_map(
        move |(file, user, creator, reason, text, hash, signature, negative)| {
            let (hash, signature, text) = if level < Level::V2_0 {
                (Vec::new(), Vec::new(), VariableText::default())
            } else {
                (hash, signature, text)
            };
            if negative && level >= Level::V1_4 {
                let reason = NegativeEndReason::from_code(reason).unwrap();
                let response = NegativeEndResponse::for_file(&file, creator, reason, text);
                assert_eq!(response.file(), file);
                Command::NegativeEndResponse(Box::new(NegativeEndResponse { hash, signature, ..response }))
            } else {
                let response = EndToEndResponse::for_file(&file, user);
                assert_eq!(response.file(), file);
                Command::EndToEndResponse(Box::new(EndToEndResponse { hash, signature, ..response }))
            }
        },
    )
}

fn answer(level: Level) -> impl Strategy<Value = Command> {
    let new = level >= Level::V2_0;
    let (records, units) = if new {
        (99_999_999_999_999_999_u64, 99_999_999_999_999_999_u64)
    } else {
        (999_999_999, 999_999_999_999)
    };
    (0_u8..6, 0..=records, 0..=units, 0_u8..=99, any::<bool>(), variable_text(), octets()).prop_map(
        move |(which, record_count, unit_count, reason, flag, text, challenge)| {
            let text = if new { text } else { VariableText::default() };
            let answer = AnswerReason::from_code(reason).unwrap().at(level);
            match which {
                0 => Command::StartFilePositiveAnswer(StartFilePositiveAnswer { restart: record_count }),
                1 => Command::StartFileNegativeAnswer(StartFileNegativeAnswer {
                    reason: answer,
                    retry: flag,
                    text,
                }),
                2 => Command::EndFile(EndFile { record_count, unit_count }),
                3 => Command::EndFileNegativeAnswer(EndFileNegativeAnswer { reason: answer, text }),
                4 if new => Command::AuthenticationChallenge(AuthenticationChallenge { challenge }),
                4 => Command::EndFilePositiveAnswer(EndFilePositiveAnswer { change_direction: flag }),
                _ => {
                    let reason = EndSessionReason::from_code(if new { reason } else { reason % 11 }).unwrap();
                    Command::EndSession(EndSession { reason, text })
                }
            }
        },
    )
}

fn command_at_a_level() -> impl Strategy<Value = (Level, Command)> {
    level().prop_flat_map(|level| {
        let command = prop_oneof![start_session(), start_file(level), response(level), answer(level)];
        (Just(level), command)
    })
}

proptest! {
    #[test]
    fn every_command_comes_back((level, command) in command_at_a_level()) {
        let mut octets = Vec::new();
        command.encode(level, &mut octets).unwrap();
        prop_assert_eq!(octets[0], command.mnemonic().letter());
        prop_assert_eq!(Command::decode(level, &octets).unwrap(), command);
    }

    #[test]
    fn no_octets_make_the_decoder_panic(
        level in level(), (written_at, command) in command_at_a_level(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        length in any::<prop::sample::Index>(),
    ) {
        let mut octets = Vec::new();
        command.encode(written_at, &mut octets).unwrap();
        for (at, octet) in changes {
            let at = at.index(octets.len());
            octets[at] = octet;
        }
        octets.truncate(length.index(octets.len() + 1));
        if let Err(error) = Command::decode(level, &octets) {
            prop_assert!(!error.to_string().is_empty() && error.reason() != EndSessionReason::NORMAL);
        }
    }
}
