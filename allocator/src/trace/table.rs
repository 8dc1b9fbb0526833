//! A hash table from addresses, or thread numbers, to what is known about them. Its memory is a
//! mapping of its own, which doubles as it fills. Entries are looked for from the place that the
//! key's hash names to the next free one; taking one out moves up those behind it that would not be
//! found any more.

use crate::os::{Linux, Os};
use core::ptr;

/// Places of a table that was just made.
const FIRST: usize = 1 << 12;

#[derive(Clone, Copy)]
struct Place<V> {
    /// 0: free.
    key: usize,
    value: V,
}

/// The table. Keys are not 0. Zeroed memory must be a valid `V`.
pub struct Table<V> {
    places: *mut Place<V>,
    /// A power of two, or 0 before the first entry.
    capacity: usize,
    count: usize,
}

// SAFETY: the table is the only owner of its mapping.
unsafe impl<V: Send> Send for Table<V> {}

impl<V: Copy> Table<V> {
    /// An empty table.
    pub const fn new() -> Self {
        Self { places: ptr::null_mut(), capacity: 0, count: 0 }
    }

    /// Where `key` would be if nobody were in the way.
    fn home(&self, key: usize) -> usize {
        key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (usize::BITS - self.capacity.ilog2())
    }

    fn next(&self, index: usize) -> usize {
        (index + 1) & (self.capacity - 1)
    }

    fn place(&self, index: usize) -> *mut Place<V> {
        debug_assert!(index < self.capacity);
        // SAFETY: the mapping has `capacity` places.
        unsafe { self.places.add(index) }
    }

    /// The place of `key`, or the free one where it would go. The table has places, and a free one.
    fn find(&self, key: usize) -> *mut Place<V> {
        let mut index = self.home(key);
        loop {
            let place = self.place(index);
            // SAFETY: a place of the mapping, which started as zeros.
            let found = unsafe { (*place).key };
            if found == key || found == 0 {
                return place;
            }
            index = self.next(index);
        }
    }

    /// What is known about `key`, to be looked at or changed.
    pub fn get(&mut self, key: usize) -> Option<&mut V> {
        if self.capacity == 0 {
            return None;
        }
        // SAFETY: a place of the mapping, borrowed as long as the table.
        let place = unsafe { &mut *self.find(key) };
        (place.key == key).then_some(&mut place.value)
    }

    /// Enters `key` or replaces what was known about it. Returns whether there was memory for it.
    pub fn insert(&mut self, key: usize, value: V) -> bool {
        debug_assert!(key != 0);
        if (self.count + 1) * 4 > self.capacity * 3 && !self.grow() {
            return false;
        }
        let place = self.find(key);
        // SAFETY: a place of the mapping.
        unsafe {
            self.count += usize::from((*place).key == 0);
            place.write(Place { key, value });
        }
        true
    }

    fn grow(&mut self) -> bool {
        let capacity = (self.capacity * 2).max(FIRST);
        let Some(mapping) = Linux.map(capacity * size_of::<Place<V>>(), 0) else { return false };
        let mut larger = Self { places: mapping as *mut Place<V>, capacity, count: self.count };
        for index in 0..self.capacity {
            // SAFETY: a place of the old mapping; one of the new, which is free.
            unsafe {
                let entry = self.place(index).read();
                if entry.key != 0 {
                    larger.find(entry.key).write(entry);
                }
            }
        }
        core::mem::swap(self, &mut larger);
        if larger.capacity > 0 {
            // SAFETY: the old mapping, of this size; nobody uses it any more.
            unsafe {
                Linux.unmap(larger.places as usize, larger.capacity * size_of::<Place<V>>());
            }
        }
        true
    }

    /// Takes `key` out; what was known about it.
    pub fn remove(&mut self, key: usize) -> Option<V> {
        let value = *self.get(key)?;
        // SAFETY: `find` gives a place of the mapping, here that of `key`.
        let mut free = unsafe { self.find(key).offset_from(self.places) } as usize;
        let mut index = free;
        loop {
            index = self.next(index);
            // SAFETY: a place of the mapping.
            let entry = unsafe { self.place(index).read() };
            if entry.key == 0 {
                break;
            }
            // An entry may move to the free place if its home is not behind that, going round.
            let mask = self.capacity - 1;
            let from_home = index.wrapping_sub(self.home(entry.key)) & mask;
            if from_home >= index.wrapping_sub(free) & mask {
                // SAFETY: a place of the mapping.
                unsafe { self.place(free).write(entry) };
                free = index;
            }
        }
        // SAFETY: a place of the mapping.
        unsafe { (*self.place(free)).key = 0 };
        self.count -= 1;
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    /// Property: the table does what a map does, while entries come and go and it grows.
    #[test]
    fn a_table_does_what_a_map_does() {
        let (mut table, mut model) = (Table::<u64>::new(), HashMap::new());
        let mut random = 1_u64;
        for step in 0..60_000_u64 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            // Few enough keys that many are in each other's way, and are taken out again.
            let key = (random >> 40) as usize % 9_000 + 1;
            if random >> 63 == 0 || step % 3 == 0 {
                assert!(table.insert(key, step));
                model.insert(key, step);
            } else {
                assert_eq!(table.remove(key), model.remove(&key), "step {step}");
            }
            assert_eq!(table.get(key).copied(), model.get(&key).copied(), "step {step}");
        }
        assert_eq!(table.count, model.len());
        for (key, value) in model {
            assert_eq!(table.remove(key), Some(value));
        }
        assert_eq!(table.count, 0);
    }
}
