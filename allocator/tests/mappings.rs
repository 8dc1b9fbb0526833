//! A process at its limit of mappings (`vm.max_map_count`): the kernel refuses to map, and refuses
//! to unmap, protect or resize a part of a mapping, as that would make two of it.

use stratalloc::MallocExtension;
use stratalloc::internal::front;

/// Uses up every mapping that the process may still have: neighbours of different access do not
/// join. Returns their places.
fn use_up_mappings() -> Vec<*mut libc::c_void> {
    let page = 4096;
    let mut all = Vec::with_capacity(1 << 21);
    loop {
        let access = if all.len() % 2 == 0 { libc::PROT_READ } else { libc::PROT_NONE };
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: a new mapping disturbs no other.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), page, access, flags, -1, 0) };
        if at == libc::MAP_FAILED || all.len() == all.capacity() {
            return all;
        }
        all.push(at);
    }
}

/// A block, its length, and the byte that it is filled with.
type Filled = (*mut u8, usize, u8);

fn fill(block: *mut u8, len: usize, byte: u8) -> Filled {
    assert!(!block.is_null());
    // SAFETY: a live block of `len` bytes.
    unsafe { std::ptr::write_bytes(block, byte, len) };
    (block, len, byte)
}

fn is_intact(&(block, len, byte): &Filled) -> bool {
    // SAFETY: a live block of `len` bytes.
    (0..len).step_by(509).all(|i| unsafe { block.add(i).read() } == byte)
}

/// A small block, one of many lengths.
fn small(number: usize) -> Filled {
    let len = 1 + number * 7919 % 60_000;
    fill(front::allocate(len), len, number as u8)
}

fn check_and_free(filled: &Filled) {
    assert!(is_intact(filled));
    // SAFETY: a live block, given up.
    unsafe { front::deallocate(filled.0) };
}

/// Asks for blocks of 70 MiB and more, each of which needs a mapping of its own. Returns how many
/// of the 50 were refused.
fn refused_large_blocks() -> usize {
    let refused = |round: usize| {
        let block = front::allocate((70 + round) << 20);
        if !block.is_null() {
            // SAFETY: a live block.
            unsafe { front::deallocate(block) };
        }
        block.is_null()
    };
    (0..50).filter(|&round| refused(round)).count()
}

/// No call aborts, no block changes, and with mappings to be had again, everything works.
#[test]
fn a_process_without_mappings_goes_on() {
    let mut blocks: Vec<_> = (0..2_000).map(small).collect();
    // A mapping of its own, which soon can neither move nor be cut.
    let direct = fill(front::allocate(80 << 20), 1 << 20, 77);

    let taken = use_up_mappings();
    assert!(taken.len() > 1_000, "{} mappings", taken.len());
    let refused = refused_large_blocks();
    // SAFETY: a live block, ours still if null comes back.
    let grown = unsafe { front::reallocate(direct.0, 200 << 20) };
    let direct = if grown.is_null() { direct } else { (grown, direct.1, direct.2) };
    assert!(is_intact(&direct));
    // Small blocks come and go; trims that cannot do all they would.
    for index in (0..blocks.len()).rev().step_by(2) {
        check_and_free(&blocks.swap_remove(index));
    }
    MallocExtension::release_free_memory();
    blocks.extend((0..500).map(small));

    for at in taken {
        // SAFETY: mapped above.
        unsafe { libc::munmap(at, 4096) };
    }
    blocks.iter().chain([&direct]).for_each(check_and_free);
    let large = front::allocate(300 << 20);
    assert!(!large.is_null(), "mappings can be had again");
    // SAFETY: a live block, given up.
    unsafe { front::deallocate(large) };
    MallocExtension::release_free_memory();
    // What the background thread has in its hands counts as in use for that moment.
    let settled = (0..500).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(10));
        MallocExtension::stats().in_use == 0
    });
    assert!(settled, "{:?}", MallocExtension::stats());
    assert!(MallocExtension::verify_all_memory());
    eprintln!("{refused} of 50 large blocks refused");
    assert!(refused > 0, "the limit was not reached");
}
