//! Which pages of a range are resident, as the kernel says: by `mincore`, or where a filter of
//! system calls is in force, by `/proc/self/pagemap`.
//!
//! Filters of services leave `mincore` out (systemd's `SystemCallFilter=@system-service`), and end
//! the process that calls it. They allow to open and to read files. No memory, no locks.

use super::files::File;
use super::syscall::{call, failed};
use crate::base::syscall::is_filtered;

/// Bytes of `/proc/self/pagemap` that are read at once: the caller's stack may be small, and few
/// pages are asked for.
const PIECE: usize = 32;

/// Writes for each page of `page` bytes from `addr` on whether it is resident. Whether the kernel
/// told.
#[unsafe(link_section = ".text.hot.stratalloc")]
pub fn ask(addr: usize, flags: &mut [u8], page: usize) -> bool {
    if is_filtered() {
        return by_pagemap(addr, flags, page);
    }
    let args = [addr, flags.len() * page, flags.as_mut_ptr().addr(), 0, 0, 0];
    // SAFETY: writes a byte for each page; an address where nothing is mapped is refused.
    !failed(unsafe { call(libc::SYS_mincore, args) })
}

#[cold]
#[inline(never)]
fn by_pagemap(addr: usize, flags: &mut [u8], page: usize) -> bool {
    const ENTRY: usize = size_of::<u64>();
    /// Bit of an entry: the page is present.
    const PRESENT: u64 = 1 << 63;
    let Some(file) = File::open(c"/proc/self/pagemap", libc::O_RDONLY) else { return false };
    let mut place = addr / page * ENTRY;
    for part in flags.chunks_mut(PIECE / ENTRY) {
        let mut entries = [0; PIECE];
        let entries = &mut entries[..part.len() * ENTRY];
        if file.read_at(entries, place) != entries.len() {
            return false;
        }
        for (flag, entry) in part.iter_mut().zip(entries.chunks_exact(ENTRY)) {
            let entry = u64::from_ne_bytes(entry.try_into().unwrap_or_default());
            *flag = u8::from(entry & PRESENT != 0);
        }
        place += entries.len();
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::auxv::{Fact, fact};

    /// Both sources say the same of a range with holes, however long it is.
    #[test]
    fn the_page_map_says_what_mincore_says() {
        let page = fact(Fact::PageSize);
        let pages = 3 * PIECE / size_of::<u64>() + 5;
        let protection = (libc::PROT_READ | libc::PROT_WRITE) as usize;
        let kind = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as usize;
        let args = [0, pages * page, protection, kind, usize::MAX, 0];
        // SAFETY: without MAP_FIXED a new mapping disturbs no other.
        let addr = unsafe { call(libc::SYS_mmap, args) };
        assert!(!failed(addr), "memory");
        let addr = addr as usize;
        for index in (0..pages).filter(|index| index % 3 == 0 || index % 7 == 0) {
            // SAFETY: within the mapping, which is this test's.
            unsafe { core::ptr::without_provenance_mut::<u8>(addr + index * page).write(1) };
        }
        let (mut asked, mut read) = (std::vec![0; pages], std::vec![7; pages]);
        assert!(ask(addr, &mut asked, page) && by_pagemap(addr, &mut read, page));
        assert_eq!(asked.iter().map(|flag| flag & 1).collect::<std::vec::Vec<_>>(), read);
        assert!(read.contains(&0) && read.contains(&1));
        // SAFETY: the mapping is this test's, and nothing is left that uses it.
        unsafe { call(libc::SYS_munmap, [addr, pages * page, 0, 0, 0, 0]) };
    }
}
