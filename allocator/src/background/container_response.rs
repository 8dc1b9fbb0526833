//! The response to what looks at the container find.
//!
//! At the container's limit, as much free memory is released as brings the container below it, as
//! at a soft limit. But nobody chose this limit for the program, and all of the memory may be in
//! use, by the program or by others. So what turns out to be in vain is not repeated at every look.
//!
//! It belongs to the thread that looks: the background thread, or the one that has the state of
//! `calls`. It only begins passes (`reclaim_pass`).

use super::container::Found;
use super::reclaim_pass::{self, Goal};
use super::schedule::LOOKS_ASLEEP;
use crate::page_heap::{PAGE_HEAP, limits};

/// Bytes that emptying all caches must give back to be tried again at the next look.
const WORTH_WHILE: usize = 1 << 20;
/// Most looks between two tries: half a minute.
const MOST_BACKOFF: u32 = 32;

/// The response, and what it remembers from one look to the next.
pub struct ContainerResponse {
    /// Looks to skip before all caches are emptied again.
    wait: u32,
    /// How many looks were skipped the last time.
    backoff: u32,
    /// The bytes that passes had released when the last one was begun; `None` once its result was
    /// looked at.
    tried: Option<usize>,
    pressed: bool,
}

impl ContainerResponse {
    pub const fn new() -> Self {
        Self { wait: 0, backoff: 0, tried: None, pressed: false }
    }

    /// Acts on what a look found.
    #[unsafe(link_section = ".text.hot.stratalloc")]
    pub fn act(&mut self, found: Found) {
        self.pressed = found.pressed;
        match found.room {
            Some(room) if !limits::is_set() => self.keep_to(room),
            _ => {
                limits::lift_container_limit();
                (self.wait, self.backoff, self.tried) = (0, 0, None);
            }
        }
        if found.pressed {
            // All of the memory of which a step of the decay releases a share.
            reclaim_pass::begin(Goal::NothingIdle);
        }
    }

    /// Looks at which a thread's cache must have been the same for it to be parked.
    pub fn looks_asleep(&self) -> u32 {
        if self.pressed { 0 } else { LOOKS_ASLEEP }
    }

    /// Lets go back what exceeds the room that is left, and lets the page heap see to the rest
    /// until the next look.
    fn keep_to(&mut self, room: isize) {
        PAGE_HEAP.set_container_room(room);
        if let Some(before) = self.tried.take() {
            let was_worth_it = reclaim_pass::released().wrapping_sub(before) >= WORTH_WHILE;
            self.backoff = if was_worth_it { 0 } else { (self.backoff * 2 + 1).min(MOST_BACKOFF) };
            self.wait = self.backoff;
        }
        if room >= 0 {
            (self.wait, self.backoff) = (0, 0);
        } else if self.wait == 0 {
            self.tried = Some(reclaim_pass::released());
            reclaim_pass::begin(Goal::Everything);
        } else {
            self.wait -= 1;
            reclaim_pass::begin(Goal::FreePages);
        }
    }
}
