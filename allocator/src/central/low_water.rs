//! How long memory lies idle: low-water marks, and when a search for idle memory is worth while.
//!
//! A low-water mark is the lowest level since a consumer last asked: what was there at every moment
//! since then was not needed. Four consumers ask, at moments of their own: the decay, by the clock;
//! growth elsewhere, the conversion of spans and the release by volume, by bytes. So there is a
//! mark for each.
//!
//! The owner of the level keeps these values under its own lock. Nothing here decides what is
//! released.

/// Who asks for idle memory.
#[derive(Clone, Copy)]
pub enum Consumer {
    /// The decay.
    Decay = 0,
    /// Growth of the process elsewhere.
    Growth = 1,
    /// The conversion of spans.
    Convert = 2,
    /// Bytes handed out.
    Volume = 3,
}

const CONSUMERS: usize = 4;

/// The lowest level since each consumer last asked.
pub(super) struct LowWater([usize; CONSUMERS]);

impl LowWater {
    /// Marks for a level that was 0 all the time.
    pub const fn new() -> Self {
        Self([0; CONSUMERS])
    }

    /// Notes that the level is `level` now.
    #[inline]
    pub fn note(&mut self, level: usize) {
        self.0 = self.0.map(|low| low.min(level));
    }

    /// The lowest level since `consumer` last asked. Its mark begins anew, at `level`, the level
    /// now.
    pub fn take(&mut self, consumer: Consumer, level: usize) -> usize {
        core::mem::replace(&mut self.0[consumer as usize], level)
    }
}

/// After how many calls a search is worth while: twice as many after each search that found
/// nothing. Idle objects need not fill whole OS pages, so a search may find nothing again and
/// again.
pub(super) struct SearchBackoff {
    /// Calls that are still passed over.
    wait: u16,
    /// How often the wait was doubled.
    doublings: u16,
}

/// Most doublings: 32 calls passed over between two searches.
const MOST_DOUBLINGS: u16 = 5;

impl SearchBackoff {
    /// The first call is due.
    pub const fn new() -> Self {
        Self { wait: 0, doublings: 0 }
    }

    /// Whether this call is to search. Each call that is passed over shortens the wait.
    pub fn is_due(&mut self) -> bool {
        let now = self.wait == 0;
        self.wait = self.wait.saturating_sub(1);
        now
    }

    /// Notes whether a search found anything.
    pub fn note(&mut self, found: bool) {
        if found {
            *self = Self::new();
        } else {
            self.wait = 1 << self.doublings;
            self.doublings = (self.doublings + 1).min(MOST_DOUBLINGS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The decay must not take for idle what growth has asked for since, nor the other way round.
    #[test]
    fn each_consumer_has_a_mark_of_its_own() {
        let mut low = LowWater::new();
        assert_eq!(low.take(Consumer::Decay, 9), 0);
        low.note(4);
        low.note(7);
        assert_eq!(low.take(Consumer::Growth, 7), 0);
        assert_eq!(low.take(Consumer::Decay, 7), 4);
        low.note(5);
        assert_eq!(low.take(Consumer::Growth, 5), 5);
        assert_eq!(low.take(Consumer::Decay, 5), 5);
    }

    /// A search that finds nothing costs as much as one that finds something: searches in vain get
    /// rare, up to a bound, and one success ends that.
    #[test]
    fn searches_in_vain_get_rare() {
        let mut backoff = SearchBackoff::new();
        let passed_over =
            |backoff: &mut SearchBackoff| (0..).take_while(|_| !backoff.is_due()).count();
        for wanted in [0, 1, 2, 4, 8, 16, 32, 32] {
            assert_eq!(passed_over(&mut backoff), wanted);
            backoff.note(false);
        }
        backoff.note(true);
        assert_eq!(passed_over(&mut backoff), 0);
    }
}
