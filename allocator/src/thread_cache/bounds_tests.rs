//! What a thread's cache holds at most, against a scripted central tier: of large objects, in
//! threads that come rarely.

use super::scripted_thread::{Thread, class};
use crate::config::RARE_SINGLE_BYTES;
use crate::policy::HARDENED;
use crate::sync::Ordering;

/// It would hold two magazines of each class that it ever used while it sleeps.
#[test]
fn a_thread_that_comes_rarely_has_no_spare_magazine_of_large_objects() {
    let [small, large] = [RARE_SINGLE_BYTES / 2, RARE_SINGLE_BYTES].map(class);
    for is_rare in [0, 1] {
        let mut thread = Thread::new(&[small.size(), large.size()]);
        for _ in 0..40 {
            thread.cache.is_rare.store(is_rare, Ordering::Relaxed);
            thread.free_foreign(small, 1);
            thread.free_foreign(large, 1);
        }
        assert!(thread.cache.spare_count(small) > 0);
        assert_eq!(thread.cache.spare_count(large) == 0, is_rare != 0 && !HARDENED);
        thread.check();
    }
}
