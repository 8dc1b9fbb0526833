//! What a reading says of resident memory. In a process of its own: other tests take memory and
//! give it back meanwhile.

use bench_harness::scenarios::Reading;

#[test]
fn resident_memory_follows_a_large_block() {
    let before = Reading::now().expect("/proc is there");
    let block = vec![1_u8; 64 << 20];
    let full = Reading::now().expect("/proc is there");
    assert!(full.rss_kib >= before.rss_kib + 60_000, "{before:?} {full:?}");
    assert!(full.vsz_kib >= full.rss_kib);
    assert!(full.private_dirty_kib > before.private_dirty_kib);
    drop(block);
    let own = std::process::id() as i32;
    assert!(Reading::of(own).expect("/proc is there").rss_kib > 500);
}
