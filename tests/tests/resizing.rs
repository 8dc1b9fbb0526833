//! `realloc` of large blocks (C1.1, C2.3): what is cut off goes back, nothing is copied, nothing is
//! lost.

use std::time::Duration;

use stratalloc_tests::compile::{Link, run_cases};
use stratalloc_tests::process::exclusive;

const LIMIT: Duration = Duration::from_secs(120);

#[test]
fn resized_blocks_lose_nothing_and_give_back_what_is_cut_off() {
    let _alone = exclusive();
    run_cases("resizing.c", Link::Preload, LIMIT);
}
