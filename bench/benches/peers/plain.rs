//! One stream, plain, to nowhere: Odile, a bare loop of gathered sends, iperf3. The loop and iperf3 read no file: they
//! send one block of memory again and again.

use odile_bench::bare;
use odile_bench::homes::Terms;
use odile_bench::peer::iperf::Iperf;
use odile_bench::processes::CpuTime;
use odile_bench::rounds::{Contestant, Turn, compete};
use odile_bench::station_process::Setting;
use odile_bench::stations::Stations;

use crate::{Bench, add};

pub fn run(bench: &Bench) {
    let (source, octets) = (bench.step(), bench.plan.octets());
    let setting = Setting { is_discarding: true, ..Setting::default() };
    let mut stations = Stations::start(bench.on_disk(), &Terms::PLAIN, setting);
    let iperf = bench.peer("iperf3", || Iperf::start(bench.cores));
    let mut contestants = vec![
        Contestant::new("Odile", || stations.turn(&source)),
        Contestant::new("bare io_uring send loop", || {
            let sent = bare::send(octets);
            let cpu = |seconds: f64| CpuTime { user: seconds, kernel: 0.0 };
            Turn { took: sent.took, sender: cpu(sent.sender_seconds), receiver: cpu(sent.receiver_seconds) }
        }),
    ];
    let iperf = iperf.as_ref();
    add(
        &mut contestants,
        iperf.map(|iperf| Contestant::new("iperf3, one stream, 1 MiB", || iperf.turn(octets))),
    );
    compete("plain, to nowhere", bench.rounds(octets, 0), contestants);
}
