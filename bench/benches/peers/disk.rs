//! One file in AES-256-GCM, to a RAM disk: Odile over TLS, sftp, scp, rsync over ssh.

use odile_bench::homes::Terms;
use odile_bench::peer::ssh::Tool;
use odile_bench::rounds::{Contestant, compete};
use odile_bench::station_process::Setting;
use odile_bench::stations::Stations;
use odile_station::partner::Transport;

use crate::{Bench, add};

pub fn run(bench: &Bench) {
    let (source, octets) = (bench.step(), bench.plan.octets());
    let terms = Terms { transport: Transport::Tls, send: "", identities: Some(bench.keys()) };
    let mut stations = Stations::start(bench.in_memory(), &terms, Setting::default());
    let mut contestants = vec![Contestant::new("Odile, TLS 1.3", || stations.turn(&source))];
    for (name, tool) in
        [("sftp", Tool::Sftp), ("scp", Tool::Scp), ("rsync --whole-file over ssh", Tool::Rsync)]
    {
        let Some(ssh) = bench.ssh.as_ref() else { continue };
        let (source, target) = (&source, bench.memory.path());
        let found = bench.peer(name, || ssh.has(tool));
        add(&mut contestants, found.map(|()| Contestant::new(name, move || ssh.turn(tool, source, target))));
    }
    let memory = octets + (octets >> 2);
    compete("AES-256-GCM, to a RAM disk", bench.rounds(octets, memory), contestants);
}
