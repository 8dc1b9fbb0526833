//! The return addresses that occur in a profile, each once: a hash table in scratch memory.
//!
//! The writer of pprof's form makes one, fills it, and drops it when the profile is written, which
//! gives the memory back. One thread uses it. There is room for a bounded number; what does not fit
//! is left out, and the caller is told.

use super::scratch::Scratch;

/// Most addresses that there is room for: 4 million, in 64 MiB of addresses. A profile has at most
/// as many as there are calls in the program's code that lead to an allocation.
const MOST: usize = 1 << 22;

/// A set of addresses other than 0.
pub struct Addresses {
    table: Scratch,
    len: usize,
}

impl Addresses {
    /// An empty set with room for so many, or for as many as there ever are.
    pub fn new(most: usize) -> Option<Self> {
        let places = (most.min(MOST) * 2).next_power_of_two().max(1 << 13);
        Some(Self { table: Scratch::new(places * 8)?, len: 0 })
    }

    /// Adds an address. Whether it is in the set now: not if it is 0, or there is no room.
    pub fn insert(&mut self, address: u64) -> bool {
        let table = self.table.words();
        // The length is a power of two: that which was asked for, as it is whole granules.
        let mask = table.len() - 1;
        debug_assert!(table.len().is_power_of_two());
        let mut at = (address.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as usize & mask;
        while table[at] != 0 && table[at] != address {
            at = (at + 1) & mask;
        }
        if table[at] == address {
            return address != 0;
        }
        // Half of the places stay empty, so that a search ends soon.
        if address == 0 || self.len >= table.len() / 2 {
            return false;
        }
        table[at] = address;
        self.len += 1;
        true
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = u64> {
        self.table.read().iter().copied().filter(|&address| address != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn an_address_is_there_once_however_often_it_is_added_until_there_is_no_room() {
        let mut set = Addresses::new(100).unwrap();
        assert!(!set.insert(0));
        // Multiples of a page fall on few places of a poor hash.
        let added: HashSet<u64> = (1..=4_000).map(|index| index * 4_096).collect();
        for _ in 0..2 {
            assert!(added.iter().all(|&address| set.insert(address)));
        }
        let found: std::vec::Vec<u64> = set.iter().collect();
        assert_eq!((found.len(), found.iter().copied().collect::<HashSet<_>>()), (4_000, added));
        let refused = (1..10_000_u64).filter(|&address| !set.insert(address << 40 | 1)).count();
        assert!(refused > 0 && set.insert(4_096), "full, and what is there stays");
    }
}
