//! Time, as a value.

use std::time::{Duration, Instant};

use odile_session::{Event, Origin, Session, State, Timers};
use odile_wire::EndSessionReason;
use odile_wire::command::{Command, StartSessionReady};

use crate::pair::{INITIATOR, Pair, RESPONDER, two_capabilities};
use crate::sample::{TIMERS, capabilities, sfid};

const MOMENT: Duration = Duration::from_secs(1);
const JUST_BEFORE_INACTIVITY: Duration = Duration::from_secs(179);
const JUST_BEFORE_DISCONNECT: Duration = Duration::from_secs(4);

#[test]
fn silence_ends_the_session_at_its_deadline_and_not_before() {
    let mut pair = Pair::established(two_capabilities());
    pair.wait(JUST_BEFORE_INACTIVITY);
    assert_eq!(pair.states(), [State::IdleSp, State::IdleLi]);
    let last = pair.now + MOMENT;
    assert_eq!(pair.initiator().deadline(), Some(last));
    pair.initiator().on_time(last);
    pair.settle();
    let Event::Aborted { origin, reason, text } = pair.event(INITIATOR) else { panic!("no end") };
    assert_eq!((origin, reason), (Origin::Local, EndSessionReason::TIME_OUT));
    assert_eq!(text, "nothing happened for 180 s in state IDLESP");
    assert!(matches!(pair.event(RESPONDER), Event::Aborted { origin: Origin::Distant, .. }));
    assert_eq!(pair.initiator().deadline(), None);
    assert!(pair.initiator().is_over() && pair.responder().is_over());
}

#[test]
fn every_command_and_every_touch_gives_new_time() {
    let mut pair = Pair::established(two_capabilities());
    let now = pair.now;
    pair.initiator().start_file(sfid(0), now).unwrap();
    pair.settle();
    for _ in 0..5 {
        pair.wait(JUST_BEFORE_INACTIVITY);
        let now = pair.now;
        pair.initiator().touch(now);
        pair.responder().touch(now);
    }
    let now = pair.now;
    pair.responder().answer_start_file(Ok(0), now).unwrap();
    pair.settle();
    pair.wait(JUST_BEFORE_INACTIVITY);
    assert_eq!(pair.states(), [State::Opo, State::OpI]);
}

#[test]
fn a_connection_that_is_never_made_times_out() {
    let now = Instant::now();
    let mut session = Session::new(TIMERS);
    assert_eq!(session.deadline(), None);
    session.touch(now);
    assert_eq!(session.deadline(), None);
    session.connect(capabilities(), None, now).unwrap();
    session.on_time(now + TIMERS.inactivity);
    assert!(session.is_over());
}

#[test]
fn a_peer_that_does_not_disconnect_after_our_end_is_disconnected() {
    let now = Instant::now();
    let mut session = Session::new(TIMERS);
    session.on_incoming(now);
    session.release(EndSessionReason::RESOURCES_NOT_AVAILABLE, "try later", now).unwrap();
    assert_eq!(session.state(), State::WfNDisc);
    assert!(!session.is_over());
    session.touch(now + MOMENT);
    session.on_command(Command::StartSessionReady(StartSessionReady), now + MOMENT);
    assert_eq!(session.deadline(), Some(now + TIMERS.disconnect), "nothing gives it more time");
    session.on_time(now + JUST_BEFORE_DISCONNECT);
    assert!(!session.is_over());
    session.on_time(now + TIMERS.disconnect);
    assert!(session.is_over());
    let last = std::iter::from_fn(|| session.poll_output()).last();
    assert_eq!(last, Some(odile_session::Output::Disconnect));
}

#[test]
fn a_time_out_beyond_the_clock_is_none() {
    let now = Instant::now();
    let mut session = Session::new(Timers { inactivity: Duration::MAX, ..Timers::default() });
    session.on_incoming(now);
    assert_eq!(session.deadline(), None);
    session.on_time(now + Duration::from_secs(1_000_000));
    assert_eq!(session.state(), State::ANcOnly);
}
