//! The flags that stand for what `odile tune` knows, on the real kernel.

use crate::machine::odile;

#[test]
fn a_file_goes_there_and_back_with_every_flag_set() {
    let home = tempfile::tempdir().unwrap();
    let flags = ["--ring-entries", "8", "--sqpoll", "5", "--block-bytes", "1MiB", "--congestion", "reno"];
    let run = odile(home.path(), &[&["demo", "--size", "8MiB", "--uncut"], flags.as_slice()].concat());
    run.expect(0);
    // "on" is refused where the kernel was built without.
    let has_them = std::path::Path::new("/sys/kernel/mm/transparent_hugepage").exists();
    let huge_pages: &[&str] = if has_them { &["--huge-pages", "on"] } else { &[] };
    let plain = [&["--plain", "--block-bytes", "128KiB", "--pool-blocks", "6"], huge_pages].concat();
    odile(home.path(), &[&["demo", "--size", "8MiB", "--uncut"], plain.as_slice()].concat()).expect(0);
}

#[test]
fn an_unknown_congestion_control_ends_the_station_and_names_the_known_ones() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path().join("home");
    odile(&home, &["init", "--code", "O0013000001TUNE"]).expect(0);
    let listen = ["serve", "--listen", "127.0.0.1:0", "--congestion", "no-such-thing"];
    let run = odile(&home, &listen).expect(2);
    run.says("no congestion control \"no-such-thing\"").says("reno");
    odile(&home, &["serve", "--congestion", "a name"]).expect(2).says("reno");
}
