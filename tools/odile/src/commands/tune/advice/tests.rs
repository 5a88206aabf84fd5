use super::*;

fn run(sessions: u32, rate: f64, limiter: Limiter) -> Run {
    Run {
        direction: Direction::Send,
        transport: Transport::Plain,
        services: "plain".to_owned(),
        buffer_octets: BUFFER_MAX,
        credit: CREDIT_MAX,
        sessions,
        octets: 1_000_000_000,
        seconds: 1e9 / rate,
        octets_per_second: rate,
        cpu_seconds: 0.5,
        limiter,
    }
}

fn of(runs: Vec<Run>) -> Link {
    let round_trip_ms = super::super::link::RoundTrip { median: 100.0, least: 99.0, most: 101.0 };
    let (line_octets_per_second, sessions_for_line_rate) = (None, None);
    Link { target: "far".to_owned(), round_trip_ms, runs, line_octets_per_second, sessions_for_line_rate }
}

fn about<'a>(advice: &'a [Advice], what: &str) -> Option<&'a Advice> {
    advice.iter().find(|one| one.what == what)
}

#[test]
fn a_small_window_that_waits_for_credit_is_made_larger_and_the_largest_is_sent_early() {
    let narrow = Run { credit: 64, ..run(1, 60e6, Limiter::Credit) };
    let advice = advise(&of(vec![narrow]), SocketLimits::default());
    let window = about(&advice, "window").unwrap();
    assert_eq!((window.kind, window.how.as_str()), (Kind::Set, "--buffer-size 99999 --credit 999"));
    assert!(window.reason.contains("at most 64.0 MB/s"), "{}", window.reason);
    assert_eq!(about(&advice, "early credit"), None);
    let advice = advise(&of(vec![run(1, 500e6, Limiter::Credit)]), SocketLimits::default());
    assert_eq!(about(&advice, "window"), None);
    assert_eq!(about(&advice, "early credit").unwrap().partner_file.as_deref(), Some("early_credit = true"));
}

#[test]
fn nothing_is_said_of_credit_where_it_does_not_limit() {
    for limiter in [Limiter::Cpu, Limiter::Disk, Limiter::Line, Limiter::Peer, Limiter::Other] {
        let advice = advise(&of(vec![run(1, 500e6, limiter)]), SocketLimits::default());
        assert!(
            about(&advice, "early credit").is_none() && about(&advice, "window").is_none(),
            "{limiter:?}"
        );
    }
}

#[test]
fn the_largest_window_is_kept_where_a_smaller_one_was_slower() {
    let narrow = |rate| Run { credit: 64, ..run(1, rate, Limiter::Credit) };
    let advice = advise(&of(vec![run(1, 500e6, Limiter::Line), narrow(60e6)]), SocketLimits::default());
    let window = about(&advice, "window").unwrap();
    assert_eq!(window.kind, Kind::Keep);
    assert!(window.reason.contains("with 64 buffers of 99999 octets, it was 60.0 MB/s"), "{window:?}");
    let advice = advise(&of(vec![run(1, 500e6, Limiter::Line), narrow(490e6)]), SocketLimits::default());
    assert_eq!(about(&advice, "window"), None);
}

#[test]
fn the_fewest_sessions_are_taken_that_come_close() {
    let runs = vec![
        run(1, 300e6, Limiter::Credit),
        run(2, 600e6, Limiter::Credit),
        run(4, 1180e6, Limiter::Line),
        run(8, 1200e6, Limiter::Line),
    ];
    let advice = advise(&of(runs), SocketLimits::default());
    assert_eq!(about(&advice, "sessions").unwrap().how, "4 at the same time");
    assert_eq!(about(&advice, "shards").unwrap().how, "--shards 4");
    // With one session it is credit that limits.
    assert!(
        about(&advice, "early credit").unwrap().reason.starts_with("sending was 300 MB/s with 1 session")
    );
    let runs = vec![run(1, 1000e6, Limiter::Line), run(2, 1030e6, Limiter::Line)];
    let advice = advise(&of(runs), SocketLimits::default());
    assert_eq!(about(&advice, "sessions").unwrap().kind, Kind::Keep);
    assert_eq!(about(&advice, "shards"), None);
}

#[test]
fn sessions_are_counted_out_only_if_the_line_is_known_and_credit_is_the_limit() {
    let mut link = of(vec![run(1, 400e6, Limiter::Credit)]);
    assert_eq!(about(&advise(&link, SocketLimits::default()), "sessions").unwrap().kind, Kind::Measure);
    link.line_octets_per_second = Some(1e9);
    let advice = advise(&link, SocketLimits::default());
    assert_eq!(about(&advice, "sessions").unwrap().how, "3 at the same time");
    link.runs[0].limiter = Limiter::Line;
    assert_eq!(about(&advise(&link, SocketLimits::default()), "sessions"), None);
}

#[test]
fn tls_is_recommended_where_it_costs_nothing_and_its_price_told_where_it_does() {
    let tls = |rate| Run { transport: Transport::Tls, ..run(1, rate, Limiter::Cpu) };
    let advice = advise(&of(vec![run(1, 1000e6, Limiter::Line), tls(990e6)]), SocketLimits::default());
    assert_eq!(about(&advice, "tls").unwrap().kind, Kind::Set);
    let advice = advise(&of(vec![run(1, 1000e6, Limiter::Line), tls(600e6)]), SocketLimits::default());
    let told = about(&advice, "tls").unwrap();
    assert!(told.kind == Kind::Keep && told.reason.contains("40 %"), "{told:?}");
    // With another credit they cannot be compared.
    let other = Run { credit: 64, ..tls(600e6) };
    let advice = advise(&of(vec![run(1, 1000e6, Limiter::Line), other]), SocketLimits::default());
    assert_eq!(about(&advice, "tls"), None);
}

#[test]
fn compression_is_for_those_whose_processor_has_time() {
    let with = |rate| Run { services: "compress".to_owned(), ..run(1, rate, Limiter::Cpu) };
    let kind = |runs| about(&advise(&of(runs), SocketLimits::default()), "compression").map(|one| one.kind);
    let plain = |limiter| run(1, 100e6, limiter);
    assert_eq!(kind(vec![plain(Limiter::Line), with(200e6)]), Some(Kind::Set));
    assert_eq!(kind(vec![plain(Limiter::Line), with(50e6)]), Some(Kind::Keep));
    assert_eq!(kind(vec![plain(Limiter::Line), with(101e6)]), None);
    assert_eq!(kind(vec![plain(Limiter::Line)]), Some(Kind::Measure));
    assert_eq!(kind(vec![plain(Limiter::Cpu)]), None);
    assert_eq!(kind(vec![plain(Limiter::Peer)]), None);
}

#[test]
fn socket_buffers_are_compared_with_what_is_on_its_way() {
    // 50 MB on their way, of which the kernel makes 100.
    let link = of(vec![run(1, 500e6, Limiter::Line)]);
    let limited = |send| SocketLimits { send: Some(send), receive: Some(1) };
    let advice = advise(&link, limited(6 << 20));
    let buffers = about(&advice, "socket buffers").unwrap();
    assert!(buffers.how.starts_with("net.ipv4.tcp_wmem: third number 134217728"), "{buffers:?}");
    assert_eq!(about(&advise(&link, limited(256 << 20)), "socket buffers").unwrap().kind, Kind::Keep);
    // Nothing is said where the limit is not known, and two sessions need half each.
    assert_eq!(about(&advise(&link, SocketLimits::default()), "socket buffers"), None);
    let link = of(vec![run(2, 500e6, Limiter::Line)]);
    assert_eq!(about(&advise(&link, limited(64 << 20)), "socket buffers").unwrap().kind, Kind::Keep);
}

#[test]
fn what_two_directions_have_in_common_is_said_once() {
    let back = Run { direction: Direction::Receive, ..run(1, 500e6, Limiter::Credit) };
    let advice = advise(&of(vec![run(1, 500e6, Limiter::Credit), back]), SocketLimits::default());
    assert_eq!(advice.iter().filter(|one| one.what == "early credit").count(), 1);
}
