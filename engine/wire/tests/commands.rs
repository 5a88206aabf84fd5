//! The commands, octet for octet. The octets are typed in by the positions of the tables of RFC 5024 §5.3 (level 5) and RFC
//! 2204 §5.3 (levels 1 and 2); level 4 differs from level 2 in its stamps and has NERP.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers fail as the tests that call them")]

use odile_wire::command::*;
use odile_wire::stream::{STREAM_BUFFER_MAX, push_command};
use odile_wire::*;

/// One command at some levels: its octets, and the shortest start of them that still is the same command.
struct Golden {
    name: &'static str,
    levels: &'static [Level],
    octets: Vec<u8>,
    command: Command,
    /// Tolerated to be missing at the end.
    optional: &'static [usize],
}

const ALL: &[Level] = &Level::ALL;
const OLD: &[Level] = &[Level::V1_2, Level::V1_3];
const BEFORE_5: &[Level] = &[Level::V1_2, Level::V1_3, Level::V1_4];
const V4: &[Level] = &[Level::V1_4];
const V5: &[Level] = &[Level::V2_0];

#[test]
fn every_command_has_a_golden_buffer_at_each_level_where_it_exists() {
    let golden = golden();
    for &mnemonic in Mnemonic::ALL {
        for level in Level::ALL {
            let expected = match mnemonic {
                Mnemonic::Data => false,
                Mnemonic::Nerp => level >= Level::V1_4,
                Mnemonic::Secd | Mnemonic::Auch | Mnemonic::Aurp => level >= Level::V2_0,
                _ => true,
            };
            let there = golden.iter().any(|g| g.command.mnemonic() == mnemonic && g.levels.contains(&level));
            assert_eq!(there, expected, "{mnemonic} at {level}");
        }
    }
}

#[test]
fn writes_the_golden_octets() {
    for Golden { name, levels, octets, command, .. } in golden() {
        for &level in levels {
            let mut out = b"before".to_vec();
            command.encode(level, &mut out).unwrap();
            assert_eq!(
                out[6..].escape_ascii().to_string(),
                octets.escape_ascii().to_string(),
                "{name} at {level}"
            );
        }
    }
}

#[test]
fn reads_the_golden_octets() {
    for Golden { name, levels, octets, command, .. } in golden() {
        for &level in levels {
            assert_eq!(Command::decode(level, &octets).unwrap(), command, "{name} at {level}");
        }
    }
}

#[test]
fn refuses_every_truncation_but_the_tolerated_ones() {
    for Golden { name, levels, octets, optional, .. } in golden() {
        for &level in levels {
            for length in 0..octets.len() {
                let decoded = Command::decode(level, &octets[..length]);
                let tolerated = optional.contains(&(octets.len() - length));
                assert_eq!(decoded.is_ok(), tolerated, "{name} at {level}, {length} octets: {decoded:?}");
                let expected = if length == 0 {
                    EndSessionReason::COMMAND_NOT_RECOGNISED
                } else {
                    EndSessionReason::BUFFER_SIZE_ERROR
                };
                if let Err(error) = decoded {
                    assert_eq!(error.reason(), expected, "{name} at {level}, {length} octets: {error}");
                }
            }
        }
    }
}

#[test]
fn ignores_octets_behind_the_last_field() {
    for Golden { name, levels, mut octets, command, .. } in golden() {
        octets.extend_from_slice(b"\r\0more");
        for &level in levels {
            assert_eq!(Command::decode(level, &octets).unwrap(), command, "{name} at {level}");
        }
    }
}

#[test]
fn takes_the_carriage_return_with_parity_bit() {
    for Golden { name, levels, mut octets, command, .. } in golden() {
        if let Some(last) = octets.last_mut().filter(|last| **last == b'\r') {
            *last = 0x8D;
            for &level in levels {
                assert_eq!(Command::decode(level, &octets).unwrap(), command, "{name} at {level}");
            }
        }
    }
}

#[test]
fn takes_a_set_credit_of_one_octet() {
    assert_eq!(Command::decode(Level::V2_0, b"C").unwrap(), Command::SetCredit(SetCredit));
}

#[test]
fn takes_numbers_with_leading_spaces_and_no_others() {
    let decode = |octets: &[u8]| Command::decode(Level::V1_3, octets);
    let end_file = |record_count, unit_count| Command::EndFile(EndFile { record_count, unit_count });
    assert_eq!(decode(b"T       12           3").unwrap(), end_file(12, 3));
    assert_eq!(decode(b"T                     ").unwrap(), end_file(0, 0));
    for wrong in [
        b"T      1 2           3",
        b"T      12            3",
        b"T       -1           3",
        b"T       1x           3",
    ] {
        assert_eq!(decode(wrong).unwrap_err().reason(), EndSessionReason::INVALID_DATA, "{wrong:?}");
    }
}

#[test]
fn takes_an_end_session_of_either_layout_at_every_level() {
    for level in Level::ALL {
        let normal = EndSession { reason: EndSessionReason::NORMAL, text: VariableText::default() };
        for octets in [&b"F00\r"[..], b"F00", b"F00000\r", b"F00\x8D"] {
            assert_eq!(Command::decode(level, octets).unwrap(), Command::EndSession(normal.clone()));
        }
    }
}

#[test]
fn keeps_codes_that_the_rfc_does_not_know() {
    let Command::StartFileNegativeAnswer(answer) = Command::decode(Level::V2_0, b"377N000").unwrap() else {
        panic!("no SFNA");
    };
    assert_eq!(answer.reason.code(), 77);
    let Command::EndSession(end) = Command::decode(Level::V2_0, b"F55000\r").unwrap() else {
        panic!("no ESID")
    };
    assert_eq!(end.reason.code(), 55);
    let mut octets = sfid_level_5();
    octets[106] = b'X';
    octets[155..157].copy_from_slice(b"07");
    octets[157..159].copy_from_slice(b"42");
    octets[159..161].copy_from_slice(b"98");
    let decoded = Command::decode(Level::V2_0, &octets).unwrap();
    let Command::StartFile(file) = &decoded else { panic!("no SFID") };
    assert_eq!(file.format, FileFormat::Unknown(b'X'));
    assert_eq!(file.security, Security::Unknown(7));
    assert_eq!((file.cipher_suite, file.compression, file.envelope), (42, 9, 8));
    let mut again = Vec::new();
    decoded.encode(Level::V2_0, &mut again).unwrap();
    assert_eq!(again, octets);
}

#[test]
fn reasons_unknown_to_an_old_level_are_sent_as_99() {
    let answer = |reason| {
        Command::EndFileNegativeAnswer(EndFileNegativeAnswer { reason, text: VariableText::default() })
    };
    for (level, reason, octets) in [
        (Level::V1_3, AnswerReason::DUPLICATE_FILE, &b"513"[..]),
        (Level::V1_3, AnswerReason::FILE_DIRECTION_REFUSED, b"599"),
        (Level::V1_4, AnswerReason::FILE_DIRECTION_REFUSED, b"514"),
        (Level::V1_4, AnswerReason::CIPHER_SUITE_NOT_SUPPORTED, b"599"),
        (Level::V2_0, AnswerReason::INVALID_SIGNATURE, b"521000"),
    ] {
        let mut out = Vec::new();
        answer(reason).encode(level, &mut out).unwrap();
        assert_eq!(out, octets, "{level}");
    }
}

#[test]
fn refuses_unknown_letters_data_and_nothing() {
    assert_eq!(Command::decode(Level::V2_0, b""), Err(Malformed::Empty));
    assert_eq!(Command::decode(Level::V2_0, b"D\x80"), Err(Malformed::UnknownCommand(b'D')));
    for letter in 0..=255 {
        let known = Mnemonic::from_letter(letter).is_some_and(|known| known != Mnemonic::Data);
        let refused = Command::decode(Level::V2_0, &[letter]) == Err(Malformed::UnknownCommand(letter));
        assert_eq!(refused, !known, "{letter}");
    }
}

#[test]
fn refuses_commands_that_a_level_does_not_have() {
    for (level, letter) in
        [(Level::V1_3, b'N'), (Level::V1_4, b'J'), (Level::V1_4, b'A'), (Level::V1_4, b'S')]
    {
        let error = Command::decode(level, &[letter; 200]).unwrap_err();
        assert!(matches!(error, Malformed::NotAtThisLevel { .. }), "{error}");
    }
    let mut out = b"before".to_vec();
    let secd = Command::SecurityChangeDirection(SecurityChangeDirection);
    assert!(secd.encode(Level::V1_4, &mut out).is_err());
    assert_eq!(out, b"before");
}

#[test]
fn refuses_fields_that_session_start_does_not_allow() {
    let good = layout(
        61,
        &[
            (0, "X"),
            (1, "5"),
            (2, "O001300005CLIENT"),
            (27, "SECRET"),
            (35, "99999"),
            (40, "B"),
            (41, "Y"),
            (42, "Y"),
            (43, "N"),
            (44, "999"),
            (47, "N"),
            (52, "USERDATA"),
            (60, "\r"),
        ],
    );
    for (at, wrong) in [
        (1, &b"x"[..]),
        (35, b"00127"),
        (40, b"X"),
        (41, b"y"),
        (42, b" "),
        (43, b"?"),
        (44, b"000"),
        (47, b" "),
    ] {
        let mut octets = good.clone();
        octets[at..at + wrong.len()].copy_from_slice(wrong);
        let error = Command::decode(Level::V2_0, &octets).unwrap_err();
        assert_eq!(error.reason(), EndSessionReason::INVALID_DATA, "{at}: {error}");
    }
    let mut octets = good.clone();
    octets[35..40].copy_from_slice(b"00128");
    Command::decode(Level::V2_0, &octets).unwrap();
}

#[test]
fn never_strips_security_for_an_old_level() {
    let Command::StartFile(plain) = Command::decode(Level::V2_0, &sfid_level_5()).unwrap() else { panic!() };
    let plain = StartFile {
        security: Security::None,
        cipher_suite: 0,
        compression: 0,
        envelope: 0,
        signed_response: false,
        restart: 0,
        size_blocks: FILE_SIZE_BLOCKS_MAX_BEFORE_LEVEL_5,
        ..*plain
    };
    let encode = |file: StartFile| Command::StartFile(Box::new(file)).encode(Level::V1_4, &mut Vec::new());
    encode(plain.clone()).unwrap();
    assert!(encode(StartFile { security: Security::Signed, ..plain.clone() }).is_err());
    assert!(encode(StartFile { compression: 1, ..plain.clone() }).is_err());
    assert!(encode(StartFile { envelope: 1, ..plain.clone() }).is_err());
    assert!(encode(StartFile { signed_response: true, ..plain.clone() }).is_err());
    let too_large = FILE_SIZE_BLOCKS_MAX_BEFORE_LEVEL_5 + 1;
    assert!(encode(StartFile { size_blocks: too_large, ..plain }).is_err());
}

#[test]
fn a_command_with_its_header_is_never_longer_than_the_header_allows() {
    let receipt = |signature_bytes| {
        let file = file(*b"20261123", *b"1204050001");
        let mut receipt = EndToEndResponse::for_file(&file, Text::BLANK);
        receipt.hash = vec![1; 64_000];
        receipt.signature = vec![2; signature_bytes];
        Command::EndToEndResponse(Box::new(receipt))
    };
    let fits = 99_999 - 106 - 2 - 64_000 - 2;
    let mut out = Vec::new();
    push_command(&receipt(fits), Level::V2_0, &mut out).unwrap();
    assert_eq!(out.len(), STREAM_BUFFER_MAX as usize);
    assert_eq!(out[..4], [0x10, 0x01, 0x86, 0xA3]);
    out.truncate(7);
    let error = push_command(&receipt(fits + 1), Level::V2_0, &mut out).unwrap_err();
    assert_eq!(error, Unrepresentable::TooLong { command: Mnemonic::Eerp, length: 100_000 });
    assert_eq!(out.len(), 7);
}

#[test]
fn puts_the_stream_transmission_header_before_a_command() {
    let mut out = Vec::new();
    push_command(&Command::ChangeDirection(ChangeDirection), Level::V2_0, &mut out).unwrap();
    push_command(&Command::SetCredit(SetCredit), Level::V2_0, &mut out).unwrap();
    assert_eq!(out, b"\x10\0\0\x05R\x10\0\0\x07C  ");
}

fn golden() -> Vec<Golden> {
    let mut all = session_commands();
    all.extend(file_commands());
    all.extend(response_commands());
    all
}

fn session_commands() -> Vec<Golden> {
    let ssid = |level, authentication| {
        Command::StartSession(StartSession {
            level,
            code: IdentificationCode::new("O001300005CLIENT").unwrap(),
            password: Password::new("SECRET").unwrap(),
            buffer_size: 99_999,
            capability: Capability::Both,
            compression: true,
            restart: true,
            special_logic: false,
            credit: 999,
            authentication,
            user: Text::new("USERDATA").unwrap(),
        })
    };
    let esid = |reason, text| Command::EndSession(EndSession { reason, text: VariableText::truncated(text) });
    let plain = |name, levels, octets: &[u8], command| Golden {
        name,
        levels,
        octets: octets.to_vec(),
        command,
        optional: &[],
    };
    vec![
        Golden {
            optional: &[1, 2], // the carriage return, and the space before it
            ..plain("SSRM", ALL, b"IODETTE FTP READY \r", Command::StartSessionReady(StartSessionReady))
        },
        Golden {
            optional: &[1], // the carriage return
            ..plain(
                "SSID 5",
                ALL,
                &layout(
                    61,
                    &[
                        (0, "X"),
                        (1, "5"),
                        (2, "O001300005CLIENT"),
                        (27, "SECRET"),
                        (35, "99999"),
                        (40, "B"),
                        (41, "Y"),
                        (42, "Y"),
                        (43, "N"),
                        (44, "999"),
                        (47, "Y"),
                        (52, "USERDATA"),
                        (60, "\r"),
                    ],
                ),
                ssid(5, true),
            )
        },
        Golden {
            optional: &[1],
            ..plain(
                "SSID 2",
                ALL,
                &layout(
                    61,
                    &[
                        (0, "X"),
                        (1, "2"),
                        (2, "O001300005CLIENT"),
                        (27, "SECRET"),
                        (35, "99999"),
                        (40, "B"),
                        (41, "Y"),
                        (42, "Y"),
                        (43, "N"),
                        (44, "999"),
                        (52, "USERDATA"),
                        (60, "\r"),
                    ],
                ),
                ssid(2, false),
            )
        },
        Golden {
            optional: &[1],
            ..plain("ESID", BEFORE_5, b"F07\r", esid(EndSessionReason::BUFFER_SIZE_ERROR, ""))
        },
        Golden {
            optional: &[1, 2, 3, 4], // the layout of older levels, with whatever follows
            ..plain("ESID 5", V5, b"F11000\r", esid(EndSessionReason::INVALID_CHALLENGE_RESPONSE, ""))
        },
        plain("CD", ALL, b"R", Command::ChangeDirection(ChangeDirection)),
        plain("SECD", V5, b"J", Command::SecurityChangeDirection(SecurityChangeDirection)),
        plain(
            "AUCH",
            V5,
            b"A\x00\x05\x30\x80\x00\xFFz",
            Command::AuthenticationChallenge(AuthenticationChallenge {
                challenge: vec![0x30, 0x80, 0, 0xFF, b'z'],
            }),
        ),
        plain(
            "AURP",
            V5,
            b"S\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0A\x0B\x0C\x0D\x0E\x0F\x10\x11\x12\x13",
            Command::AuthenticationResponse(AuthenticationResponse {
                response: std::array::from_fn(|i| u8::try_from(i).unwrap()),
            }),
        ),
    ]
}

fn file_commands() -> Vec<Golden> {
    let plain = |name, levels, octets: &[u8], command| Golden {
        name,
        levels,
        octets: octets.to_vec(),
        command,
        optional: &[],
    };
    let old_file = |id| {
        Command::StartFile(Box::new(StartFile {
            id,
            user: Text::new("U1").unwrap(),
            format: FileFormat::Fixed,
            record_size: 80,
            size_blocks: 1234,
            original_size_blocks: 1234,
            restart: 17,
            security: Security::None,
            cipher_suite: 0,
            compression: 0,
            envelope: 0,
            signed_response: false,
            description: VariableText::default(),
        }))
    };
    let new_file = Command::StartFile(Box::new(StartFile {
        id: file(*b"20261123", *b"1204050001"),
        user: Text::new("U1").unwrap(),
        format: FileFormat::Unstructured,
        record_size: 0,
        size_blocks: 9_999_999_999_999,
        original_size_blocks: 25,
        restart: 99_999_999_999_999_999,
        security: Security::EncryptedAndSigned,
        cipher_suite: 2,
        compression: 1,
        envelope: 1,
        signed_response: true,
        description: VariableText::truncated("Tür"),
    }));
    let end_file = |record_count, unit_count| Command::EndFile(EndFile { record_count, unit_count });
    let start_at = |restart| Command::StartFilePositiveAnswer(StartFilePositiveAnswer { restart });
    let refused = |retry, text| {
        Command::StartFileNegativeAnswer(StartFileNegativeAnswer {
            reason: AnswerReason::DUPLICATE_FILE,
            retry,
            text: VariableText::truncated(text),
        })
    };
    let failed = |text| {
        Command::EndFileNegativeAnswer(EndFileNegativeAnswer {
            reason: AnswerReason::INVALID_BYTE_COUNT,
            text: VariableText::truncated(text),
        })
    };
    let done = |change_direction| Command::EndFilePositiveAnswer(EndFilePositiveAnswer { change_direction });
    vec![
        plain(
            "SFID 1, 2",
            OLD,
            &layout(
                128,
                &[
                    (0, "H"),
                    (1, "CAD.MODEL 1"),
                    (36, "261123"),
                    (42, "120405"),
                    (48, "U1"),
                    (56, "O0013000001VW      KEY"),
                    (81, "O001300005CLIENT"),
                    (106, "F"),
                    (107, "00080"),
                    (112, "0001234"),
                    (119, "000000017"),
                ],
            ),
            old_file(file(*b"20261123", *b"1204050000")),
        ),
        plain(
            "SFID 4",
            V4,
            &layout(
                128,
                &[
                    (0, "H"),
                    (1, "CAD.MODEL 1"),
                    (30, "20261123"),
                    (38, "1204050001"),
                    (48, "U1"),
                    (56, "O0013000001VW      KEY"),
                    (81, "O001300005CLIENT"),
                    (106, "F"),
                    (107, "00080"),
                    (112, "0001234"),
                    (119, "000000017"),
                ],
            ),
            old_file(file(*b"20261123", *b"1204050001")),
        ),
        plain("SFID 5", V5, &sfid_level_5(), new_file),
        plain("SFPA", BEFORE_5, b"2000000017", start_at(17)),
        plain("SFPA 5", V5, b"200000000000000017", start_at(17)),
        plain("SFNA", BEFORE_5, b"313Y", refused(true, "")),
        Golden {
            optional: &[7], // no text at all, not even its length
            ..plain("SFNA 5", V5, b"313N004seen", refused(false, "seen"))
        },
        Golden { optional: &[1, 2], ..plain("CDT", ALL, b"C  ", Command::SetCredit(SetCredit)) },
        plain("EFID", BEFORE_5, b"T000000012000000000960", end_file(12, 960)),
        plain("EFID 5", V5, b"T0000000000000001299999999999999999", end_file(12, 99_999_999_999_999_999)),
        plain("EFPA N", ALL, b"4N", done(false)),
        plain("EFPA Y", ALL, b"4Y", done(true)),
        plain("EFNA", BEFORE_5, b"511", failed("")),
        Golden { optional: &[6], ..plain("EFNA 5", V5, b"511003bad", failed("bad")) },
    ]
}

fn response_commands() -> Vec<Golden> {
    let plain = |name, levels, octets: &[u8], command| Golden {
        name,
        levels,
        octets: octets.to_vec(),
        command,
        optional: &[],
    };
    let receipt = |file: &FileId, hash: &[u8], signature: &[u8]| {
        let mut receipt = EndToEndResponse::for_file(file, Text::new("U1").unwrap());
        receipt.hash = hash.to_vec();
        receipt.signature = signature.to_vec();
        Command::EndToEndResponse(Box::new(receipt))
    };
    let negative = |text, hash: &[u8], signature: &[u8]| {
        let mut negative = NegativeEndResponse::for_file(
            &file(*b"20261123", *b"1204050001"),
            IdentificationCode::new("O0013HUB").unwrap(),
            NegativeEndReason::NOT_DELIVERED,
            VariableText::truncated(text),
        );
        negative.hash = hash.to_vec();
        negative.signature = signature.to_vec();
        Command::NegativeEndResponse(Box::new(negative))
    };
    let full_stamp = file(*b"20261123", *b"1204050001");
    let eerp = layout(
        106,
        &[
            (0, "E"),
            (1, "CAD.MODEL 1"),
            (30, "20261123"),
            (38, "1204050001"),
            (48, "U1"),
            (56, "O001300005CLIENT"),
            (81, "O0013000001VW      KEY"),
        ],
    );
    let nerp = layout(
        128,
        &[
            (0, "N"),
            (1, "CAD.MODEL 1"),
            (33, "20261123"),
            (41, "1204050001"),
            (51, "O001300005CLIENT"),
            (76, "O0013000001VW      KEY"),
            (101, "O0013HUB"),
            (126, "35"),
        ],
    );
    vec![
        plain("RTR", ALL, b"P", Command::ReadyToReceive(ReadyToReceive)),
        plain(
            "EERP 1, 2",
            OLD,
            &layout(
                106,
                &[
                    (0, "E"),
                    (1, "CAD.MODEL 1"),
                    (36, "261123"),
                    (42, "120405"),
                    (48, "U1"),
                    (56, "O001300005CLIENT"),
                    (81, "O0013000001VW      KEY"),
                ],
            ),
            receipt(&file(*b"20261123", *b"1204050000"), b"", b""),
        ),
        plain("EERP 4", V4, &eerp, receipt(&full_stamp, b"", b"")),
        Golden {
            optional: &[2, 4], // lengths of what is not there
            ..plain("EERP 5", V5, &[&eerp[..], b"\0\0\0\0"].concat(), receipt(&full_stamp, b"", b""))
        },
        Golden {
            optional: &[5, 9],
            ..plain(
                "EERP 5 signed",
                V5,
                &[&eerp[..], b"\0\x02hs\0\x03sig"].concat(),
                receipt(&full_stamp, b"hs", b"sig"),
            )
        },
        plain("NERP 4", V4, &nerp, negative("", b"", b"")),
        Golden {
            optional: &[5, 9, 14],
            ..plain(
                "NERP 5",
                V5,
                &[&nerp[..], b"002no\0\x02hs\0\x03sig"].concat(),
                negative("no", b"hs", b"sig"),
            )
        },
    ]
}

fn sfid_level_5() -> Vec<u8> {
    layout(
        169,
        &[
            (0, "H"),
            (1, "CAD.MODEL 1"),
            (30, "20261123"),
            (38, "1204050001"),
            (48, "U1"),
            (56, "O0013000001VW      KEY"),
            (81, "O001300005CLIENT"),
            (106, "U"),
            (107, "00000"),
            (112, "9999999999999"),
            (125, "0000000000025"),
            (138, "99999999999999999"),
            (155, "03"),
            (157, "02"),
            (159, "1"),
            (160, "1"),
            (161, "Y"),
            (162, "004"),
            (165, "T\u{FC}r"),
        ],
    )
}

/// Fields at their positions, as the RFC's tables have them; spaces elsewhere.
fn layout(length: usize, fields: &[(usize, &str)]) -> Vec<u8> {
    let mut octets = vec![b' '; length];
    for (at, field) in fields {
        octets[*at..at + field.len()].copy_from_slice(field.as_bytes());
    }
    octets
}

fn file(date: [u8; 8], time: [u8; 10]) -> FileId {
    FileId {
        dataset_name: Text::new("CAD.MODEL 1").unwrap(),
        date: DateStamp::new(date).unwrap(),
        time: TimeStamp::new(time).unwrap(),
        destination: IdentificationCode::new("O0013000001VW      KEY").unwrap(),
        originator: IdentificationCode::new("O001300005CLIENT").unwrap(),
    }
}
