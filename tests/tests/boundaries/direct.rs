//! Past the page cache: a file that is cut off at any octet, again and again, arrives as it is.

use odile_station::Direct;

use crate::pair::{Kind, Pair, Party};

const ALL: [Kind; 4] = [Kind::Plain, Kind::Watched, Kind::Sealed, Kind::Encrypted];

#[test]
fn files_that_are_cut_off_again_and_again_arrive_directly() {
    for kind in ALL {
        let mut pair = Pair::stopped_with(kind, Direct::Both);
        pair.start(Party::Listener, None).unwrap();
        pair.start(Party::Speaker, None).unwrap();
        // What is under way when the line is cut ends anywhere within a granule.
        for percent in [45, 17, 23] {
            pair.interrupt(percent);
        }
        assert!(pair.beta.told().contains("octets are safe"), "{kind:?}: {}", pair.told());
        pair.alpha.stop();
        pair.beta.stop();
        pair.goes_on();
        let told = pair.told();
        assert!(!told.contains("--direct"), "{kind:?}: {told}");
    }
}

#[test]
fn a_file_that_was_begun_through_the_page_cache_is_finished_past_it_and_the_other_way_round() {
    for kind in ALL {
        for direct in [Direct::Both, Direct::Off] {
            let mut pair = Pair::stopped_with(kind, Direct::Both);
            let other = if direct == Direct::Both { Direct::Off } else { Direct::Both };
            pair.set_direct(direct);
            pair.start(Party::Listener, None).unwrap();
            pair.start(Party::Speaker, None).unwrap();
            pair.interrupt(50);
            pair.alpha.stop();
            pair.beta.stop();
            pair.set_direct(other);
            pair.goes_on();
        }
    }
}
