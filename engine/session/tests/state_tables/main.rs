//! Every cell of the state tables of RFC 5024 §9.8 to §9.12 is driven, and every alternative of its transition;
//! then every pair of state and event that no table has.

#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of a test may fail it")]

#[path = "../sample/mod.rs"]
mod sample;

mod cell;
mod deviations;
mod tables;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use cell::{OFFERED, PEER, Setup, VERBS, give, in_state, name, reason_given};
use deviations::{DEVIATIONS, Deviation, Does};
use odile_session::{Output, State, Tolerance};
use odile_wire::command::{Capability, Command, SetCredit};
use tables::{CELLS, Row, TABLES, Table};

/// One cell of a grid as it stands there.
struct Cell {
    table: &'static Table,
    event: &'static str,
    column: &'static str,
    letter: &'static str,
}

fn header(table: &Table) -> Vec<&'static str> {
    table.grid.trim().lines().next().unwrap().split_whitespace().collect()
}

fn cells(table: &'static Table) -> Vec<Cell> {
    let columns = header(table);
    let mut cells = Vec::new();
    for line in table.grid.trim().lines().skip(1) {
        let mut words = line.split_whitespace();
        let event = words.next().unwrap();
        let letters: Vec<_> = words.collect();
        assert_eq!(letters.len(), columns.len(), "{} {event}", table.clause);
        for (column, letter) in columns.iter().zip(letters) {
            cells.push(Cell { table, event, column, letter });
        }
    }
    cells
}

/// ESID is one event in §9.8 and two in §9.12.
fn concrete_events(event: &'static str) -> Vec<&'static str> {
    if event == "ESID" { vec!["ESID(Normal)", "ESID(Error)"] } else { vec![event] }
}

/// The table with a column for this very state in the row of this event.
fn is_named_elsewhere(cell: &Cell, event: &str, state: State) -> bool {
    TABLES.iter().filter(|table| table.clause != cell.table.clause).any(|table| {
        header(table).contains(&state.as_str())
            && cells(table).iter().any(|other| concrete_events(other.event).contains(&event))
    })
}

fn concrete_states(cell: &Cell, event: &str) -> Vec<State> {
    let columns = header(cell.table);
    let named = |state: &State| columns.contains(&state.as_str());
    if cell.column != "Other" {
        return State::ALL.iter().copied().filter(|state| state.as_str() == cell.column).collect();
    }
    State::ALL
        .iter()
        .copied()
        .filter(|state| !named(state) && !is_named_elsewhere(cell, event, *state))
        .collect()
}

/// What makes the predicate of a row true.
fn setups(clause: &str, row: &Row, state: State) -> Vec<Setup> {
    let setup = Setup::default();
    let in_authentication = matches!(state, State::WfAuch | State::WfAurp | State::WfSecd);
    match (clause, row.letter, row.predicate) {
        ("9.8", "A", "P1") => vec![Setup { bad_capabilities: true, ..setup }],
        ("9.8", "D", "P2 & P8 & P11") | ("9.8", "G", "P2 & P9 & P10") => {
            vec![Setup { authentication: true, peer_authentication: true, ..setup }]
        }
        ("9.8", "D", "P2 & !P8") | ("9.8", "G", "!P10") => vec![
            Setup { authentication: true, ..setup.clone() },
            Setup { peer_authentication: true, ..setup },
        ],
        ("9.8", "D" | "G", "else") => vec![
            Setup { mode: Capability::SendOnly, peer_mode: Capability::SendOnly, ..setup.clone() },
            Setup { mode: Capability::ReceiveOnly, peer_mode: Capability::ReceiveOnly, ..setup },
        ],
        ("9.8", "E", "P4") => vec![Setup { peer_mode: Capability::SendOnly, ..setup }],
        ("9.8", "I", "P5") | ("9.8", "K", "P6") => vec![setup],
        ("9.8", "I", "!P5") | ("9.8", "K", "P7") => vec![Setup { initiator: false, ..setup }],
        ("9.8", "K", "else") => vec![
            Setup { verifies: false, ..setup.clone() },
            Setup { verifies: false, initiator: false, ..setup },
        ],
        ("9.10", "A", "P5") | ("9.10", "Y", "P4 & P5") => vec![Setup { signed: true, ..setup }],
        ("9.10", "B" | "G", "P1") => vec![
            Setup { position: 1, restart: false, ..setup.clone() },
            // WF_CD comes after a received file: there a Receiver-only station is at home.
            Setup { mode: Capability::ReceiveOnly, ..setup },
        ],
        ("9.10", "B" | "G", "!P1") => {
            vec![Setup { position: 1, ..setup.clone() }, Setup { restart: false, ..setup }]
        }
        ("9.10", "K", "P2") => vec![
            Setup { position: OFFERED + 1, ..setup.clone() },
            Setup { position: 1, restart: false, ..setup },
        ],
        ("9.10", "K", "!P2") => {
            vec![Setup { position: OFFERED, ..setup.clone() }, setup]
        }
        ("9.10", "M", "P3") => vec![Setup { credit: 1, ..setup }],
        ("9.12", "A", "P1") => vec![
            Setup { position: 1, restart: false, ..setup.clone() },
            Setup { mode: Capability::SendOnly, ..setup },
        ],
        ("9.12", "A", "!P1") => vec![Setup { position: 1, ..setup.clone() }, setup],
        ("9.12", "H", "P4") => vec![Setup { position: OFFERED + 1, ..setup }],
        ("9.12", "H", "P2 & !P4 & !P5") => vec![Setup { position: OFFERED, ..setup.clone() }, setup],
        ("9.12", "H" | "K", "!P2 & !P4 & !P5" | "!P2 & !P5") => vec![Setup { positive: false, ..setup }],
        ("9.12", "I", "P6") => vec![Setup { data_before: 2, ..setup }],
        ("9.12", "I", "!P5 & !P6 & P7") => {
            vec![Setup { credit: 1, ..setup.clone() }, Setup { data_before: 1, ..setup }]
        }
        ("9.11", "C", "P1") | ("9.12", "K", "P2 & P3 & !P5") => vec![Setup { wants_turn: true, ..setup }],
        _ if in_authentication => vec![setup.clone(), Setup { initiator: false, ..setup }],
        _ => vec![setup],
    }
}

fn matches(pattern: &str, word: &str) -> bool {
    pattern == "*" || pattern.split(' ').any(|one| one == word)
}

fn deviation(
    clause: &str,
    letter: &str,
    predicate: &str,
    event: &str,
    state: State,
) -> Option<(usize, &'static Deviation)> {
    DEVIATIONS.iter().enumerate().find(|(_, one)| {
        matches(one.clause, clause)
            && matches(one.letter, letter)
            && (one.predicate == "*" || one.predicate == predicate)
            && (matches(one.events, event)
                || (one.events == "ESID" && event.starts_with("ESID"))
                || (one.events == "PEER" && PEER.contains(&event)))
            && matches(one.states, state.as_str())
    })
}

/// What the row, or the deviation from it, demands.
fn demanded(row: &Row, event: &str) -> Does {
    match row.letter {
        "U" | "W" | "X" if VERBS.contains(&event) => Does::Refuses,
        "U" | "W" | "X" => {
            panic!("the table does not say what {event} does, nor does the list of deviations")
        }
        _ if row.next == "UE" => Does::Refuses,
        _ => Does::Gives(row.outputs, row.next),
    }
}

/// Drives one alternative and compares. `at` is for messages.
fn drive(state: State, event: &str, setup: &Setup, does: Does, at: &str) {
    let earlier = Instant::now();
    let now = earlier + Duration::from_secs(1);
    let mut session = in_state(state, setup, earlier);
    let deadline_before = session.deadline();
    let (reply, mut outputs) = give(&mut session, event, setup, now);
    outputs.extend(std::iter::from_fn(|| session.poll_output()).map(|output| name(&output)));
    let (expected_reply, expected, next) = match does {
        Does::Ignores => (true, "", state.as_str()),
        Does::Refuses => (false, "", state.as_str()),
        Does::Gives(outputs, next) => (true, outputs, next),
        Does::CannotBe => unreachable!("{at}: cannot be driven"),
    };
    assert_eq!(reply.is_ok(), expected_reply, "{at}: {reply:?}");
    assert_eq!(session.state().as_str(), next, "{at}: next state; outputs {outputs:?}");
    let expected: Vec<_> = expected.split_whitespace().collect();
    let same = expected.len() == outputs.len()
        && expected.iter().zip(&outputs).all(|(expected, output)| {
            let expected = expected.replace("(R", &format!("({}", reason_given(event)));
            *output == expected || output.starts_with(&format!("{expected}("))
        });
    assert!(same, "{at}: outputs {outputs:?}, expected {expected:?}");
    let deadline = match session.state() {
        State::Idle => None,
        _ if next == state.as_str() && outputs.is_empty() => deadline_before,
        // 9.10, F, G, T, Z: no action on the timer.
        State::ErsTwfCd | State::NrsTwfCd | State::SfsTwfCd | State::CdsTwfCd => deadline_before,
        State::WfNDisc => Some(now + sample::TIMERS.disconnect),
        _ => Some(now + sample::TIMERS.inactivity),
    };
    assert_eq!(session.deadline(), deadline, "{at}: timer");
}

#[test]
fn every_cell_of_the_state_tables_does_what_it_says() {
    let mut cells_driven = BTreeMap::new();
    let (mut driven, mut left_out) = (0, 0);
    let mut used = vec![false; DEVIATIONS.len()];
    for cell in TABLES.iter().flat_map(cells) {
        let clause = cell.table.clause;
        let unstated = [Row { letter: cell.letter, predicate: "", outputs: "", next: "UE" }];
        let mut rows: Vec<_> = cell.table.rows.iter().filter(|row| row.letter == cell.letter).collect();
        if rows.is_empty() {
            assert!(["U", "W", "X"].contains(&cell.letter), "{clause}: no transition {}", cell.letter);
            rows = unstated.iter().collect();
        }
        let mut driven_here = 0;
        for event in concrete_events(cell.event) {
            for (state, row) in concrete_states(&cell, event)
                .into_iter()
                .flat_map(|state| rows.iter().map(move |row| (state, row)))
            {
                let known = deviation(clause, cell.letter, row.predicate, event, state);
                let does = known.map_or_else(|| demanded(row, event), |(_, known)| known.does);
                if let Some((index, _)) = known {
                    used[index] = true;
                }
                if does == Does::CannotBe {
                    left_out += 1;
                    continue;
                }
                for setup in setups(clause, row, state) {
                    let at = format!("{clause} {} {} in {state}: {event}", cell.letter, row.predicate);
                    drive(state, event, &setup, does, &at);
                    driven_here += 1;
                }
            }
        }
        driven += driven_here;
        *cells_driven.entry(clause).or_insert(0) += usize::from(driven_here > 0);
    }
    let mut total = (0, 0);
    for &(clause, cells) in CELLS {
        say(&format!("  §{clause}: {} of {cells} cells driven", cells_driven[clause]));
        total = (total.0 + cells_driven[clause], total.1 + cells);
        assert_eq!(cells_driven[clause], cells, "§{clause}");
    }
    say(&format!("state tables: {} of {} cells driven", total.0, total.1));
    say(&format!(
        "  {driven} drives over all states, alternatives and roles; {left_out} alternatives cannot be"
    ));
    for (known, used) in DEVIATIONS.iter().zip(used) {
        assert!(
            used || known.clause == "gap",
            "never used: {} {}: {}",
            known.clause,
            known.events,
            known.why
        );
    }
}

#[test]
fn what_no_table_mentions_is_refused_or_a_protocol_error() {
    let mut gaps = 0;
    for &state in State::ALL {
        for &event in VERBS.iter().chain(PEER) {
            let is_covered = TABLES.iter().flat_map(cells).any(|cell| {
                concrete_events(cell.event).contains(&event) && concrete_states(&cell, event).contains(&state)
            });
            if is_covered {
                continue;
            }
            let does = match deviation("gap", "", "", event, state) {
                Some((_, known)) => known.does,
                None => Does::Refuses,
            };
            drive(state, event, &Setup::default(), does, &format!("gap in {state}: {event}"));
            gaps += 1;
        }
    }
    say(&format!("gaps of the state tables: {gaps} pairs of state and event driven"));
    assert!(gaps > 0);
}

#[test]
fn an_end_of_file_that_was_held_back_goes_out_with_the_credit() {
    let now = Instant::now();
    let mut session = in_state(State::OpoWfc, &Setup::default(), now);
    session.close_file(sample::efid(), now).unwrap();
    assert!(session.close_file(sample::efid(), now).is_err(), "only one EFID a file");
    assert_eq!(session.poll_output(), None);
    session.on_command(Command::SetCredit(SetCredit), now);
    assert_eq!(session.state(), State::ClOp);
    assert_eq!(session.poll_output(), Some(Output::Transmit(Command::EndFile(sample::efid()))));
    assert_eq!(session.poll_output(), None);
}

#[test]
fn a_session_that_has_ended_ignores_everything_and_refuses_every_verb() {
    let now = Instant::now();
    let events =
        ["N_CON_CF", "N_CON_IND", "N_RST_IND", "N_DISC_IND", "Invalid_Buffer", "TIME-OUT", "F_ABORT_RQ"];
    for &event in VERBS.iter().chain(PEER).chain(&events) {
        let mut session = in_state(State::IdleSp, &Setup::default(), now);
        session.on_disconnected(now);
        while session.poll_output().is_some() {}
        assert!(session.is_over());
        let (reply, data) = give(&mut session, event, &Setup::default(), now);
        assert_eq!(reply.is_ok(), !VERBS.contains(&event), "{event}");
        assert!(data.is_empty() && session.poll_output().is_none(), "{event}");
        assert!(session.is_over() && session.deadline().is_none(), "{event}");
    }
}

#[test]
fn every_tolerance_is_explained() {
    let explanations = include_str!("../../DEVIATIONS.md");
    for tolerance in Tolerance::ALL {
        assert!(explanations.contains(&format!("`{}`", tolerance.as_str())), "{tolerance:?}");
    }
    for deviation in DEVIATIONS {
        assert!(!deviation.why.is_empty());
    }
}

/// Prints past the test harness, which keeps what `println!` says of a test that passes.
fn say(line: &str) {
    use std::io::Write;
    writeln!(std::io::stdout(), "{line}").expect("standard output is there");
}
