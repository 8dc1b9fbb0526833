//! Giving back more than the decay does: at a limit, for a request that would fail, and when the container
//! runs short (`container`).
//!
//! At the container's limit everything free goes back that is needed to be below it, as at a soft limit.
//! Unlike that, nobody chose the figure for this program, and all of it may be in use, by the program or by
//! others: what turns out to be in vain is not repeated at every look.

use super::LOOKS_ASLEEP;
use super::container::Found;
use crate::central::{CENTRAL, cow_state};
use crate::page_heap::{PAGE_HEAP, limits};
use crate::thread_cache::{cache_pool, park};

/// Bytes that emptying all caches must give back to be tried again at the next look.
const WORTH_WHILE: usize = 1 << 20;
/// Most looks between two tries: half a minute.
const MOST_PATIENCE: u32 = 32;

/// Empties the caches of all threads but the calling one, and the transfer caches.
pub fn empty_caches() {
    // What is free on old pages is to be used.
    cow_state::end();
    #[cfg(feature = "hardened")]
    crate::page_heap::guard_pages::give_back_kept();
    park::park_others();
    cache_pool::empty(false);
    CENTRAL.drain();
}

/// Gives back all that is free inside spans, caches included, and the free pages beyond the lower limit.
pub fn relieve() {
    empty_caches();
    let inside_spans = CENTRAL.release_pages();
    limits::note_released(inside_spans + PAGE_HEAP.relieve());
}

/// What is done about what looks at the container find.
pub struct MemoryPressure {
    /// Looks to pass over before all caches are emptied again, and how many there were last time.
    wait: u32,
    patience: u32,
    pressed: bool,
}

impl MemoryPressure {
    pub const fn new() -> Self {
        Self { wait: 0, patience: 0, pressed: false }
    }

    /// Acts on what a look found.
    pub fn act(&mut self, found: Found) {
        self.pressed = found.pressed;
        match found.room {
            Some(room) if !limits::is_set() => self.keep_to(room),
            _ => {
                limits::lift_container_limit();
                self.patience = 0;
                self.wait = 0;
            }
        }
        if found.pressed {
            // All that a step of the decay gives back a share of.
            CENTRAL.drain();
            limits::note_released(CENTRAL.decay_step(1) + PAGE_HEAP.release_surplus());
        }
    }

    /// Looks at which a thread's cache must have been the same for it to be parked.
    pub fn looks_asleep(&self) -> u32 {
        if self.pressed { 0 } else { LOOKS_ASLEEP }
    }

    /// Gives back what exceeds the room that is left, and lets the page heap see to the rest until the
    /// next look.
    fn keep_to(&mut self, room: isize) {
        let mut inside_spans = 0;
        let try_all = room < 0 && self.wait == 0;
        if try_all {
            empty_caches();
            inside_spans = CENTRAL.release_pages();
        }
        PAGE_HEAP.set_container_room(room.saturating_add_unsigned(inside_spans));
        let released = inside_spans + if room < 0 { PAGE_HEAP.relieve() } else { 0 };
        limits::note_released(released);
        if room >= 0 || try_all && released >= WORTH_WHILE {
            (self.wait, self.patience) = (0, 0);
        } else if try_all {
            self.patience = (self.patience * 2 + 1).min(MOST_PATIENCE);
            self.wait = self.patience;
        } else {
            self.wait -= 1;
        }
    }
}
