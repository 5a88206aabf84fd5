//! The first command that anybody types.

use crate::process::Home;

#[test]
fn the_demo_delivers_in_both_directions_and_leaves_nothing() {
    let home = Home::empty();
    let run = home.run(&["--output", "json", "demo", "--size", "8MiB"]).expect(0);
    let report = run.json();
    assert_eq!(report["ok"], true);
    assert_eq!(report["octets"], 8 << 20);
    let deliveries = report["deliveries"].as_array().unwrap();
    assert_eq!(deliveries.len(), 2);
    for delivery in deliveries {
        assert_eq!(delivery["digest_equal"], true, "{report}");
        assert_eq!(delivery["receipt"], "EERP", "{report}");
        assert_eq!(delivery["proof"], "verified", "{report}");
        assert_eq!(delivery["services"], "signed, compressed, encrypted (suite 04)", "{report}");
        assert_eq!(delivery["octets"], 8 << 20);
    }
    let troubles = |at: usize| -> Vec<&str> {
        let troubles = deliveries[at]["troubles"].as_array().unwrap().iter();
        troubles.map(|trouble| trouble["what"].as_str().unwrap()).collect()
    };
    assert_eq!(troubles(0), ["the line was cut", "station B was killed (SIGKILL) and started again"]);
    assert_eq!(troubles(1), Vec::<&str>::new());
    assert!(deliveries[0]["troubles"][0]["resumes"].as_str().unwrap().starts_with("from octet "), "{report}");
    // TMPDIR is the test's folder.
    assert_eq!(std::fs::read_dir(home.root().parent().unwrap()).unwrap().count(), 0);
}

#[test]
fn the_demo_takes_a_file_and_tuning() {
    let home = Home::empty();
    let file = home.write("empty.dat", b"");
    let arguments =
        ["demo", file.to_str().unwrap(), "--plain", "--keep", "--buffer-size", "4096", "--level", "4"];
    let run = home.run(&arguments).expect(0);
    assert_eq!(run.stdout.matches("equal").count(), 2, "{run:#?}");
    let kept = run.stderr.lines().find_map(|line| line.split_once("both stations are in ")).unwrap().1;
    let log = std::fs::read_to_string(std::path::Path::new(kept).join("B.log")).unwrap();
    assert!(log.contains("level 4, buffers of 4096 octets"), "{log}");
}

#[test]
fn what_protects_the_demo_is_not_given_up_for_an_old_level() {
    let home = Home::empty();
    let file = home.write("empty.dat", b"");
    let run = home.run(&["demo", file.to_str().unwrap(), "--level", "4"]).expect(2);
    assert!(run.stderr.contains("authentication = true needs level_max = 5"), "{run:#?}");
}

#[test]
fn the_demo_refuses_a_file_that_is_not_there() {
    let home = Home::empty();
    let run = home.run(&["demo", "missing.dat"]).expect(2);
    assert!(run.stderr.contains("missing.dat"), "{run:#?}");
}
