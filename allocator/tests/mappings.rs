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

/// No call aborts, no block changes, and with mappings to be had again, everything works.
#[test]
fn a_process_without_mappings_goes_on() {
    let fill = |block: *mut u8, len: usize, byte: u8| {
        assert!(!block.is_null());
        // SAFETY: a live block of `len` bytes.
        unsafe { std::ptr::write_bytes(block, byte, len) };
    };
    let holds = |block: *mut u8, len: usize, byte: u8| {
        // SAFETY: a live block of `len` bytes.
        (0..len).step_by(509).all(|i| unsafe { block.add(i).read() } == byte)
    };
    let sizes = |number: usize| 1 + number * 7919 % 60_000;
    let mut blocks: Vec<_> = (0..2_000)
        .map(|number| {
            let block = front::allocate(sizes(number));
            fill(block, sizes(number), number as u8);
            (block, sizes(number), number as u8)
        })
        .collect();
    let direct = front::allocate(80 << 20);
    fill(direct, 1 << 20, 77);

    let taken = use_up_mappings();
    assert!(taken.len() > 1_000, "{} mappings", taken.len());
    let mut refused = 0;
    for round in 0..50 {
        // A mapping of its own that cannot be had, and one that cannot move or be cut.
        let block = front::allocate((70 + round) << 20);
        refused += usize::from(block.is_null());
        if !block.is_null() {
            // SAFETY: a live block.
            unsafe { front::deallocate(block) };
        }
    }
    // SAFETY: a live block, ours still if null comes back.
    let grown = unsafe { front::reallocate(direct, 200 << 20) };
    let direct = if grown.is_null() { direct } else { grown };
    assert!(holds(direct, 1 << 20, 77));
    // Small blocks come and go; trims that cannot do all they would.
    for index in (0..blocks.len()).rev().step_by(2) {
        let (block, len, byte) = blocks.swap_remove(index);
        assert!(holds(block, len, byte));
        // SAFETY: a live block, given up.
        unsafe { front::deallocate(block) };
    }
    MallocExtension::release_free_memory();
    for number in 0..500 {
        let block = front::allocate(sizes(number));
        fill(block, sizes(number), number as u8);
        blocks.push((block, sizes(number), number as u8));
    }

    for at in taken {
        // SAFETY: mapped above.
        unsafe { libc::munmap(at, 4096) };
    }
    for (block, len, byte) in blocks {
        assert!(holds(block, len, byte));
        // SAFETY: a live block, given up.
        unsafe { front::deallocate(block) };
    }
    // SAFETY: a live block, given up.
    unsafe { front::deallocate(direct) };
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
