//! One file in AES-256-GCM, to nowhere: Odile in TLS 1.3, nginx and curl in TLS 1.3 and in the clear, ssh.

use odile_bench::homes::Terms;
use odile_bench::peer::ssh::Tool;
use odile_bench::peer::web::{Scheme, Web};
use odile_bench::rounds::{Contestant, compete};
use odile_bench::station_process::Setting;
use odile_bench::stations::Stations;
use odile_station::partner::Transport;

use crate::{Bench, add};

pub fn run(bench: &Bench) {
    let (source, octets) = (bench.step(), bench.plan.octets());
    let terms = Terms { transport: Transport::Tls, send: "", identities: Some(bench.keys()) };
    let setting = Setting { is_discarding: true, ..Setting::default() };
    let mut stations = Stations::start(bench.on_disk(), &terms, setting);
    let mut plain = Stations::start(bench.on_disk(), &Terms::PLAIN, setting);
    let web = bench.peer("nginx and curl", || Web::start(bench.folder(), bench.cores));
    let file = source.file_name().expect("it has a name").to_string_lossy().into_owned();
    let mut contestants = vec![
        Contestant::new("Odile, TLS 1.3", || stations.turn(&source)),
        Contestant::new("Odile, plain", || plain.turn(&source)),
    ];
    for (name, scheme) in
        [("nginx + curl, TLS 1.3", Scheme::Https), ("nginx + curl, in the clear", Scheme::Http)]
    {
        let (web, file) = (web.as_ref(), file.clone());
        add(&mut contestants, web.map(|web| Contestant::new(name, move || web.turn(scheme, &file, octets))));
    }
    let ssh = bench.ssh.as_ref();
    let to_nowhere = bench.memory.path();
    let cat =
        ssh.map(|ssh| Contestant::new("ssh 'cat > /dev/null'", || ssh.turn(Tool::Cat, &source, to_nowhere)));
    add(&mut contestants, cat);
    compete("AES-256-GCM, to nowhere", bench.rounds(octets, 0), contestants);
}
