//! One stream, plain, to nowhere: Odile, bare loops, iperf3. Who sends a file has to fetch it from memory; iperf3 and one
//! of the loops do not: they send one block again and again, which stays in the core's cache.

use odile_bench::bare::{self, Load};
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
        bare("bare loop, the mapped file", Load::File(source.clone())),
        bare("bare loop, one buffer again and again", Load::OneBlock(octets)),
    ];
    // More buffers a pool does not take.
    if octets <= 1 << 30 {
        contestants.push(bare("bare loop, the file in buffers", Load::InMemory(source.clone())));
    }
    let iperf = iperf.as_ref();
    add(
        &mut contestants,
        iperf.map(|iperf| Contestant::new("iperf3, one stream, 1 MiB", || iperf.turn(octets))),
    );
    compete("plain, to nowhere", bench.rounds(octets, 0), contestants);
}

fn bare(name: &'static str, load: Load) -> Contestant<'static> {
    Contestant::new(name, move || {
        let sent = bare::send(load.clone());
        let cpu = |seconds: f64| CpuTime { user: seconds, kernel: 0.0 };
        Turn { took: sent.took, sender: cpu(sent.sender_seconds), receiver: cpu(sent.receiver_seconds) }
    })
}
