//! What happens when the address space is used up, in a process of its own with a limit set on
//! itself.

use stratalloc::MallocExtension;
use stratalloc::internal::front;

/// Bytes left to the allocator.
const LIMIT: usize = 256 << 20;

/// Address space of the process, in bytes.
fn mapped() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    // SAFETY: asks for a number.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize;
    statm.split(' ').next().unwrap().parse::<usize>().unwrap() * page
}

fn limit(bytes: libc::rlim_t) {
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: a valid source.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) }, 0);
}

/// The first bytes of every block name it.
fn sign(block: *mut u8, number: usize) {
    // SAFETY: every block of this test has room for a number.
    unsafe { block.cast::<usize>().write(number) };
}

fn signature(block: *mut u8) -> usize {
    // SAFETY: every block of this test has room for a number, and `sign` wrote one.
    unsafe { block.cast::<usize>().read() }
}

/// A block, and the number that is signed into it.
type Signed = (*mut u8, usize);

/// Takes blocks of `sizes` by turns until there is no room for any of them. Returns their bytes,
/// and the place of the last one of 3,000,000.
fn take_all(blocks: &mut Vec<Signed>, mut sizes: Vec<usize>) -> (usize, usize) {
    let (mut total, mut largest) = (0, 0);
    for round in 0.. {
        if sizes.is_empty() {
            break;
        }
        let index = round % sizes.len();
        let block = front::allocate(sizes[index]);
        if block.is_null() {
            sizes.remove(index);
            continue;
        }
        if sizes[index] == 3_000_000 {
            largest = blocks.len();
        }
        sign(block, blocks.len());
        blocks.push((block, blocks.len()));
        total += sizes[index];
    }
    (total, largest)
}

/// What does not fit is refused, and leaves the block alone that was to grow.
fn expect_refusals((largest, number): Signed) {
    assert!(front::allocate_zeroed(64 << 20).is_null());
    assert!(front::allocate_zeroed(100 << 20).is_null());
    // More than is left in all: a region that is cut to measure for one aligned block may fit where
    // one for many blocks does not.
    assert!(front::allocate_aligned(64 << 20, 4 << 20).is_null());
    // SAFETY: a live block; it stays ours when the answer is null.
    unsafe {
        assert!(front::reallocate(largest, 200 << 20).is_null());
        assert!(front::reallocate_same_layout(largest, 3_000_000, 100 << 20, 8).is_null());
    }
    assert_eq!(signature(largest), number);
}

/// Frees every other block. Returns their bytes.
fn free_every_other(blocks: &mut Vec<Signed>) -> usize {
    let mut freed = 0;
    blocks.retain(|&(block, number)| {
        assert_eq!(signature(block), number, "content changed");
        if number % 2 == 0 {
            // SAFETY: a live block that is given up.
            unsafe {
                freed += front::usable_size(block);
                front::deallocate(block);
            }
        }
        number % 2 != 0
    });
    freed
}

/// `NULL` is the answer, in every call, and a later `free` makes room again: nothing aborts, no
/// block is lost, no content changes, and most of what the system would have given was of use.
#[test]
fn exhausted_memory_is_an_answer_and_not_an_end() {
    // Before the limit: nothing of the test itself may run out of memory.
    let mut blocks: Vec<Signed> = Vec::with_capacity(4 << 20);
    let sizes = vec![24, 100, 300, 1_000, 3_000, 10_000, 40_000, 300_000, 3_000_000];
    limit((mapped() + LIMIT) as libc::rlim_t);

    let (total, largest) = take_all(&mut blocks, sizes);
    assert!(total > LIMIT / 10 * 8, "{total} of {LIMIT} bytes were of use");
    expect_refusals(blocks[largest]);

    // Every other block goes; as much can be had again.
    let freed = free_every_other(&mut blocks);
    let mut again = 0;
    let keep = blocks.len();
    while again < freed / 2 {
        let block = front::allocate(1_000);
        assert!(!block.is_null(), "{again} of {freed} bytes");
        sign(block, blocks.len());
        blocks.push((block, blocks.len()));
        again += 1_000;
    }
    for &(block, number) in &blocks[..keep] {
        assert_eq!(signature(block), number, "content changed");
        // SAFETY: a live block that is given up.
        unsafe { front::deallocate(block) };
    }
    for &(block, _) in &blocks[keep..] {
        // SAFETY: a live block that is given up.
        unsafe { front::deallocate(block) };
    }

    MallocExtension::release_free_memory();
    let stats = MallocExtension::stats();
    assert_eq!((stats.in_use, stats.central_free, stats.page_heap_free), (0, 0, 0), "{stats:?}");
    let big = front::allocate(32 << 20);
    assert!(!big.is_null(), "a large block finds the small ones' pages joined");
    // SAFETY: a live block that is given up.
    unsafe { front::deallocate(big) };
    limit(libc::RLIM_INFINITY);
}
