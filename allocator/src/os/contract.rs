//! The contract with the operating system: virtual memory and time.
//!
//! Addresses and lengths are multiples of the OS page, errors are values, and `errno` is never
//! touched. The page heap is generic over [`Os`], so that tests can make any call fail and move the
//! clock by hand. Linux's answer is in `linux`. No locks; the functions may be called under the
//! page heap's lock.

/// Virtual memory and time.
pub trait Os {
    /// Maps `bytes` of zeroed, private, readable and writable memory that is not resident yet, near
    /// `hint` if that place is free (0: anywhere). `None` when the kernel has no more to give.
    fn map(&self, bytes: usize, hint: usize) -> Option<usize>;

    /// Maps `bytes` as `map` does, at `addr` and nowhere else. Returns whether it could: it fails
    /// if anything is mapped there.
    fn map_at(&self, addr: usize, bytes: usize) -> bool;

    /// Unmaps address space.
    ///
    /// # Safety
    /// `[addr, addr + bytes)` was mapped by `map`, and nothing uses it any more.
    unsafe fn unmap(&self, addr: usize, bytes: usize);

    /// Drops the content: the pages leave RSS at once, and read as zero when touched next
    /// (docs/contract.md, C2.4). Returns whether the kernel did it.
    ///
    /// # Safety
    /// `[addr, addr + bytes)` was mapped by `map`, and its content is not needed.
    unsafe fn release(&self, addr: usize, bytes: usize) -> bool;

    /// Asks for transparent huge pages on first touch, or, if they are not `wanted`, for none,
    /// whatever the system's setting is.
    ///
    /// # Safety
    /// `[addr, addr + bytes)` was mapped by `map`.
    unsafe fn advise_huge(&self, addr: usize, bytes: usize, wanted: bool);

    /// Which pages of the kernel from `addr` on are resident, one byte for each, of which the
    /// lowest bit counts. Returns whether the kernel says so.
    fn residency(&self, addr: usize, flags: &mut [u8]) -> bool;

    /// Resizes a mapping without moving it. Returns whether it could.
    ///
    /// # Safety
    /// `[addr, addr + old)` was mapped by `map`, and is the caller's; a part cut off is no longer
    /// used.
    unsafe fn resize(&self, addr: usize, old: usize, new: usize) -> bool;

    /// Moves pages to another place of the same caller, over what is mapped there, with their
    /// content and all that the kernel knows of them; what is added reads as zero. Nothing is
    /// mapped at `from` afterwards. Returns whether it could: not if the kernel has the pages in
    /// several mappings. If not, nothing has changed.
    ///
    /// # Safety
    /// `[from, from + old)` and `[to, to + new)` were mapped by `map` and do not overlap; the
    /// latter is unused; `new > old`: since version 6.17 Linux moves several mappings if none is to
    /// grow, and may stop after some of them.
    unsafe fn relocate(&self, from: usize, old: usize, to: usize, new: usize) -> bool;

    /// Bytes in a page of the kernel: the granule of `release`.
    fn page_size(&self) -> usize;

    /// Most mappings that a process may have. May read a file.
    fn most_mappings(&self) -> usize;

    /// Milliseconds since some fixed moment; cheap and coarse (a few milliseconds).
    fn now_ms(&self) -> u64;
}

/// `map`s `bytes` at an address that is `offset` more than a multiple of `align` (a power of two,
/// and more than `offset`).
pub fn map_at_offset<O: Os>(os: &O, bytes: usize, align: usize, offset: usize) -> Option<usize> {
    let addr = map_aligned(os, bytes.checked_add(offset)?, align, 0)?;
    if offset > 0 {
        // SAFETY: the first bytes of a new mapping, which nothing refers to.
        unsafe { os.unmap(addr, offset) };
    }
    Some(addr + offset)
}

/// `map`s `bytes`, in whole pages of the kernel, at a multiple of `align` (a power of two), at
/// `hint` if that works out.
#[unsafe(link_section = ".text.hot.stratalloc_small")]
pub fn map_aligned<O: Os>(os: &O, bytes: usize, align: usize, hint: usize) -> Option<usize> {
    let bytes = bytes.checked_next_multiple_of(os.page_size())?;
    let addr = os.map(bytes, hint)?;
    if addr.is_multiple_of(align) {
        return Some(addr);
    }
    // SAFETY: a new mapping, which nothing refers to.
    unsafe { os.unmap(addr, bytes) };
    // The kernel gives addresses downwards: what is free there is likely to be free a little
    // further down, too, and asking for that takes no more addresses than are wanted.
    let addr = os.map(bytes, addr & !(align - 1))?;
    if addr.is_multiple_of(align) {
        return Some(addr);
    }
    // SAFETY: this mapping is new as well, and nothing refers to it.
    unsafe { os.unmap(addr, bytes) };
    // Map more than needed and cut off both ends.
    let total = bytes.checked_add(align)?;
    let raw = os.map(total, 0)?;
    let start = raw.next_multiple_of(align);
    let (head, tail) = (start - raw, raw + total - (start + bytes));
    // SAFETY: both ends are parts of the fresh mapping, outside of what is returned.
    unsafe {
        if head > 0 {
            os.unmap(raw, head);
        }
        if tail > 0 {
            os.unmap(start + bytes, tail);
        }
    }
    Some(start)
}
