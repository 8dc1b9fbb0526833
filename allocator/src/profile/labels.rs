//! Names that samples are attributed to: tags that the program sets, and names of threads.
//!
//! A thread's tag is a word of its slot, which [`enter`] changes and which nobody reads but a
//! sample. So blocks that are not sampled cost nothing for it. A sample's thread name is asked of
//! the kernel every sixteenth sample of a thread; until then a thread that is renamed keeps its old
//! name.
//!
//! Names lie in one table, made with the first of them, are entered once each, and stay. Readers
//! walk it without the lock: an entry is complete before its length is stored (Release). The lock
//! guards entering. What a tag's blocks hold is counted in its entry, by whoever holds no lock.

use crate::os::Lock;
use crate::os::process::thread_name;
use crate::os::thread_slot;
use crate::page::metadata::{Kind, METADATA, note_used};
use crate::sync::{AtomicPtr, AtomicU8, AtomicUsize, ForkLock, Ordering, Rank};
use crate::thread_cache::own_counter;
use core::{ptr, slice};

/// Bytes of a name; what is longer is cut off.
pub const MAX_NAME: usize = 47;
/// Most names, tags and threads together. Further ones are not attributed.
pub const MAX_LABELS: usize = 1_024;

/// Samples for which a thread keeps its name.
const KEPT_FOR: usize = 16;

/// What a sample is attributed to: numbers of names, 0 for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    /// The tag.
    pub tag: u16,
    /// The thread's name.
    pub thread: u16,
}

/// What the blocks of a tag are, as far as they are sampled: estimates. Counts are in thousandths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TagTally {
    /// Outstanding blocks.
    pub live_count: usize,
    /// Outstanding bytes.
    pub live_bytes: usize,
    /// Blocks since the start.
    pub total_count: usize,
    /// Bytes since the start.
    pub total_bytes: usize,
}

struct Entry {
    /// Length of the name; 0: free.
    len: AtomicU8,
    name: [AtomicU8; MAX_NAME],
    live_count: AtomicUsize,
    live_bytes: AtomicUsize,
    total_count: AtomicUsize,
    total_bytes: AtomicUsize,
}

/// The names, [`MAX_LABELS`] places: null before the first one is entered.
static TABLE: AtomicPtr<Entry> = AtomicPtr::new(ptr::null_mut());

/// Bytes of the table: whole OS pages.
const TABLE_BYTES: usize = (MAX_LABELS * size_of::<Entry>()).next_multiple_of(4 << 10);

/// All places; none before the first name is entered.
fn entries() -> &'static [Entry] {
    // Acquire: pairs with the Release in `entries_or_new`; the table's zeroes are visible.
    let table = TABLE.load(Ordering::Acquire);
    if table.is_null() {
        return &[];
    }
    // SAFETY: a table of so many places, which is all atomics, and never unmapped.
    unsafe { slice::from_raw_parts(table, MAX_LABELS) }
}

/// All places, which are made if there are none; none without memory. The caller holds `COUNT`.
fn entries_or_new() -> &'static [Entry] {
    if TABLE.load(Ordering::Relaxed).is_null()
        && let Some(table) = METADATA.allocate_table(TABLE_BYTES)
    {
        note_used(Kind::Profiles, TABLE_BYTES);
        // Release: pairs with the Acquire in `entries`. Zeroes are free places.
        TABLE.store(table as *mut Entry, Ordering::Release);
    }
    entries()
}

/// Held while a name is entered. What it guards is how many there are.
static COUNT: Lock<usize> = Lock::new(Rank::Profile, 0);

impl Entry {
    /// Copies the name to `out`; its length, 0 if there is none yet.
    fn read(&self, out: &mut [u8; MAX_NAME]) -> usize {
        // Acquire: pairs with the Release in `intern`; the name is there.
        let len = self.len.load(Ordering::Acquire) as usize;
        // Relaxed: ordered by the length; names do not change.
        out.iter_mut().zip(&self.name[..len]).for_each(|(to, byte)| {
            *to = byte.load(Ordering::Relaxed);
        });
        len
    }

    fn is(&self, wanted: &[u8]) -> bool {
        // Acquire, Relaxed: as in `read`.
        self.len.load(Ordering::Acquire) as usize == wanted.len()
            && self.name.iter().zip(wanted).all(|(a, b)| a.load(Ordering::Relaxed) == *b)
    }
}

/// The name as it is kept: cut off, and without what would have to be quoted somewhere.
fn clean(name: &[u8], out: &mut [u8; MAX_NAME]) -> usize {
    let text = core::str::from_utf8(name).unwrap_or("");
    let mut len = 0;
    for char in text.chars() {
        let char = if char.is_control() || matches!(char, '"' | '\\') { '_' } else { char };
        if len + char.len_utf8() > MAX_NAME {
            break;
        }
        len += char.encode_utf8(&mut out[len..]).len();
    }
    len
}

fn hash_of(name: &[u8]) -> usize {
    name.iter().fold(name.len(), |hash, &byte| {
        (hash ^ byte as usize).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(23)
    })
}

/// The number of the name, which is entered if it is new; 0 without a name (an empty one, or one
/// that is not UTF-8), or without room.
pub fn intern(name: &[u8]) -> u16 {
    let mut cleaned = [0; MAX_NAME];
    let len = clean(name, &mut cleaned);
    let name = &cleaned[..len];
    if name.is_empty() {
        return 0;
    }
    let start = hash_of(name);
    let places = || (0..MAX_LABELS).map(|step| start.wrapping_add(step) % MAX_LABELS);
    // Acquire: as in `read`.
    let is_taken = |entry: &Entry| entry.len.load(Ordering::Acquire) > 0;
    let table = entries();
    let known = places()
        .take_while(|&at| table.get(at).is_some_and(is_taken))
        .find(|&at| table[at].is(name));
    if let Some(at) = known {
        return at as u16 + 1;
    }
    let mut count = COUNT.lock();
    let table = entries_or_new();
    let free = |&at: &usize| table.get(at).is_some_and(|entry| entry.is(name) || !is_taken(entry));
    let Some(at) = places().find(free) else { return 0 };
    let entry = &table[at];
    if !entry.is(name) {
        // Relaxed: the length orders.
        entry.name.iter().zip(name).for_each(|(to, byte)| to.store(*byte, Ordering::Relaxed));
        // Release: pairs with the Acquire of readers.
        entry.len.store(name.len() as u8, Ordering::Release);
        *count += 1;
    }
    at as u16 + 1
}

/// Makes `tag` the calling thread's. Returns the one before.
pub fn enter(tag: u16) -> u16 {
    thread_slot::swap_tag(tag as usize) as u16
}

/// What a sample of the calling thread is attributed to; to threads only if `with_thread`.
pub fn current(with_thread: bool) -> Labels {
    let tag = thread_slot::tag() as u16;
    Labels { tag, thread: if with_thread { own_thread_label() } else { 0 } }
}

/// The number of the calling thread's name.
fn own_thread_label() -> u16 {
    let Some(counter) = own_counter() else { return intern_thread_name() };
    let (label, uses) = counter.thread_label();
    if uses % KEPT_FOR != 0 {
        counter.set_thread_label(label, uses + 1);
        return label;
    }
    let label = intern_thread_name();
    counter.set_thread_label(label, 1);
    label
}

#[inline(never)]
fn intern_thread_name() -> u16 {
    let name = thread_name();
    let len = name.iter().position(|&byte| byte == 0).unwrap_or(name.len());
    intern(&name[..len])
}

/// The entry with the number `label`.
fn entry(label: u16) -> Option<&'static Entry> {
    entries().get((label as usize).checked_sub(1)?)
}

/// Books an allocation with the tag. Relaxed, here and below: sums that nothing depends on.
pub fn note_allocated(tag: u16, bytes: usize, count: usize) {
    let Some(entry) = entry(tag) else { return };
    entry.live_bytes.fetch_add(bytes, Ordering::Relaxed);
    entry.live_count.fetch_add(count, Ordering::Relaxed);
    entry.total_bytes.fetch_add(bytes, Ordering::Relaxed);
    entry.total_count.fetch_add(count, Ordering::Relaxed);
}

/// Books the end of a block with the tag.
pub fn note_freed(tag: u16, bytes: usize, count: usize) {
    let Some(entry) = entry(tag) else { return };
    entry.live_bytes.fetch_sub(bytes, Ordering::Relaxed);
    entry.live_count.fetch_sub(count, Ordering::Relaxed);
}

/// Calls `visit` for every name, with its number and what its blocks are, if it is a tag that had
/// some.
pub fn for_each(mut visit: impl FnMut(u16, &str, TagTally)) {
    for (at, entry) in entries().iter().enumerate() {
        let mut name = [0; MAX_NAME];
        let len = entry.read(&mut name);
        let Ok(text) = core::str::from_utf8(&name[..len]) else { continue };
        if len > 0 {
            let tally = TagTally {
                live_count: entry.live_count.load(Ordering::Relaxed),
                live_bytes: entry.live_bytes.load(Ordering::Relaxed),
                total_count: entry.total_count.load(Ordering::Relaxed),
                total_bytes: entry.total_bytes.load(Ordering::Relaxed),
            };
            visit(at as u16 + 1, text, tally);
        }
    }
}

/// Calls `visit` with the text of every number from 1 on, an empty one if it has no name.
pub fn for_each_text(mut visit: impl FnMut(&[u8])) {
    for entry in entries() {
        let mut name = [0; MAX_NAME];
        let len = entry.read(&mut name);
        visit(&name[..len]);
    }
}

/// The lock, for `fork`.
pub fn fork_lock() -> &'static dyn ForkLock {
    &COUNT
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name_of(wanted: u16) -> String {
        let mut found = String::new();
        for_each(|label, name, _| {
            if label == wanted {
                found = name.to_owned();
            }
        });
        found
    }

    #[test]
    fn a_name_has_one_number_and_keeps_it() {
        let (one, two) = (intern(b"labels one"), intern(b"labels two"));
        assert!(one != 0 && two != 0 && one != two);
        assert_eq!((intern(b"labels one"), intern(b"labels two")), (one, two));
        assert_eq!(name_of(one), "labels one");
        assert_eq!((intern(b""), intern(&[0xff, 0xfe])), (0, 0));
    }

    /// Names go into metrics and into lines of a dump.
    #[test]
    fn names_are_cut_off_and_need_no_quoting() {
        assert_eq!(name_of(intern(b"a\"b\\c\nd")), "a_b_c_d");
        let long = "\u{e4}".repeat(40);
        assert_eq!(name_of(intern(long.as_bytes())), "\u{e4}".repeat(MAX_NAME / 2));
    }

    #[test]
    fn tags_are_the_threads_own_and_come_back() {
        let tag = intern(b"labels of a thread");
        let before = enter(tag);
        assert_eq!(current(false), Labels { tag, thread: 0 });
        std::thread::spawn(move || assert_ne!(current(false).tag, tag)).join().unwrap();
        assert_eq!(enter(before), tag);
    }

    #[test]
    fn what_was_freed_is_no_longer_held_but_was_allocated() {
        let tag = intern(b"labels tally");
        note_allocated(tag, 1_000, 2_000);
        note_freed(tag, 400, 1_000);
        let mut found = TagTally::default();
        for_each(|label, _, tally| {
            if label == tag {
                found = tally;
            }
        });
        let wanted =
            TagTally { live_count: 1_000, live_bytes: 600, total_count: 2_000, total_bytes: 1_000 };
        assert_eq!(found, wanted);
    }
}
