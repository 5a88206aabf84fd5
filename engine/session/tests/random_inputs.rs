//! Whatever comes in, in whatever order: no panic, one ESID at most, an end that stays, no data beyond the credit.

#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of a test may fail it")]

#[path = "state_tables/cell.rs"]
mod cell;
#[path = "sample/mod.rs"]
mod sample;

use std::time::{Duration, Instant};

use cell::{PEER, Setup, VERBS, give, in_state};
use odile_session::{Event, Output, Session, State};
use odile_wire::command::{Capability, Command};
use proptest::prelude::*;

const OTHERS: &[&str] =
    &["N_CON_CF", "N_CON_IND", "N_RST_IND", "N_DISC_IND", "F_ABORT_RQ", "TIME-OUT", "Invalid_Buffer"];

/// What must hold between two inputs.
#[derive(Default)]
struct Watch {
    end_sessions: u32,
    aborts: u32,
    /// Data Exchange Buffers taken since SFPA or CDT were handed out.
    data_taken: u16,
    was_over: bool,
}

impl Watch {
    fn look(&mut self, session: &mut Session) -> Result<(), TestCaseError> {
        while let Some(output) = session.poll_output() {
            prop_assert!(!self.was_over, "{output:?} after the end");
            match output {
                Output::Transmit(Command::EndSession(_)) => self.end_sessions += 1,
                Output::Transmit(Command::SetCredit(_) | Command::StartFilePositiveAnswer(_)) => {
                    self.data_taken = 0;
                }
                Output::Event(Event::Aborted { .. } | Event::Released) => self.aborts += 1,
                _ => {}
            }
        }
        prop_assert!(self.end_sessions <= 1, "more than one ESID");
        prop_assert!(self.aborts <= 1, "the end was told more than once");
        let window = session.agreement().map_or(0, |agreement| agreement.credit);
        prop_assert!(session.credit() <= window);
        prop_assert!(session.credit() == 0 || session.state() == State::Opo);
        prop_assert!(self.data_taken <= window, "{} of {window}", self.data_taken);
        prop_assert_eq!(session.deadline().is_none(), session.state() == State::Idle);
        prop_assert!(!self.was_over || session.is_over(), "rose from the dead");
        self.was_over = session.is_over();
        Ok(())
    }
}

fn setup() -> impl Strategy<Value = Setup> {
    let mode = || prop_oneof![3 => Just(Capability::Both), 1 => Just(Capability::SendOnly), 1 => Just(Capability::ReceiveOnly)];
    (any::<[bool; 6]>(), 1..4_u16, prop_oneof![Just(0), Just(1), Just(7), any::<u64>()], mode(), mode())
        .prop_map(
            |(
                [authentication, restart, verifies, signed, positive, wants_turn],
                credit,
                position,
                mode,
                peer_mode,
            )| {
                Setup {
                    authentication,
                    mode,
                    peer_mode,
                    restart,
                    credit,
                    verifies,
                    signed,
                    position,
                    positive,
                    wants_turn,
                    ..Setup::default()
                }
            },
        )
}

fn event() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        10 => proptest::sample::select(VERBS),
        10 => proptest::sample::select(PEER),
        1 => proptest::sample::select(OTHERS),
    ]
}

/// What keeps a session alive is rarer than what ends it: pick among the events that the session survives, if any.
fn survives(start: State, path: &[(&'static str, Setup, bool)], next: &(&'static str, Setup, bool)) -> bool {
    let now = Instant::now();
    let mut session = in_state(start, &Setup::default(), now);
    for (event, setup, _) in path.iter().chain([next]) {
        let _ = give(&mut session, event, setup, now);
        while session.poll_output().is_some() {}
    }
    !matches!(session.state(), State::Idle | State::WfNDisc)
}

fn run(start: State, steps: &[(&'static str, Setup, bool)]) -> Result<(), TestCaseError> {
    let mut now = Instant::now();
    let mut session = in_state(start, &Setup::default(), now);
    let mut watch = Watch { was_over: session.is_over(), ..Watch::default() };
    if session.state() == State::WfNDisc {
        watch.end_sessions = 1;
    }
    for (event, setup, polls) in steps {
        now += Duration::from_secs(1);
        let before = session.state();
        let (reply, data) = give(&mut session, event, setup, now);
        if *event == "DATA" && !data.is_empty() {
            watch.data_taken += 1;
        }
        if reply.is_err() {
            prop_assert_eq!(session.state(), before, "{} was a misuse and changed the state", event);
        }
        if *polls {
            watch.look(&mut session)?;
        }
    }
    watch.look(&mut session)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn nothing_breaks_a_session(
        start in proptest::sample::select(State::ALL),
        steps in proptest::collection::vec((event(), setup(), any::<bool>()), 0..60),
    ) {
        run(start, &steps)?;
    }

    #[test]
    fn nothing_breaks_a_session_that_stays_alive_for_long(
        start in proptest::sample::select(State::ALL),
        steps in proptest::collection::vec((event(), setup(), any::<bool>()), 0..60),
    ) {
        let mut path = Vec::new();
        for step in steps {
            if survives(start, &path, &step) {
                path.push(step);
            }
        }
        run(start, &path)?;
    }
}
