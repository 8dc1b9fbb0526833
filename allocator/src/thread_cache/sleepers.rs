//! Threads for tests: they have something cached, and sleep.

use super::{flush, refill};
use crate::os::thread_slot;
use crate::page::allocation_bitmap::ALLOCATION_BITMAP;
use crate::page::size_class::SizeClass;
use crate::policy::HARDENED;
use std::collections::HashMap;
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};
use std::vec::Vec;

/// Sizes of what they have cached.
const SIZES: [usize; 4] = [32, 64, 200, 1_000];

/// A thread with a cache that has something in it, which ends when it is told.
pub struct Sleeper {
    end: Sender<()>,
    handle: JoinHandle<()>,
}

/// `count` of them, by the addresses of their caches.
pub fn sleepers(count: usize) -> HashMap<usize, Sleeper> {
    let sleeper = |_| {
        let (end, told) = channel::<()>();
        let (tell, cache) = channel();
        let handle = thread::spawn(move || {
            fill(&SIZES);
            tell.send(thread_slot::own().addr()).unwrap();
            let _ = told.recv();
        });
        (cache.recv().unwrap(), Sleeper { end, handle })
    };
    (0..count).map(sleeper).collect()
}

/// Caches some objects of each of these sizes.
pub fn fill(sizes: &[usize]) {
    for &size in sizes {
        let class = SizeClass::of(size).unwrap();
        let objects: Vec<_> = (0..20).map(|_| refill::pop_slow(class, size)).collect();
        for object in objects {
            // SAFETY: an object of the class, which the test gives up. In the hardened build `free`
            // has struck it out of the bitmap before it comes here.
            unsafe {
                if HARDENED {
                    ALLOCATION_BITMAP.set_unchecked(object as usize, SizeClass::NONE);
                }
                flush::push_slow(class, object);
            }
        }
    }
}

/// Has them end.
pub fn end(sleepers: HashMap<usize, Sleeper>) {
    for sleeper in sleepers.into_values() {
        drop(sleeper.end);
        sleeper.handle.join().unwrap();
    }
}
