//! An operating system under the test's control: real memory out of an arena of its own, calls that
//! fail when told to, and a clock moved by hand. It asserts the contract of [`Os`] on every call:
//! nothing is unmapped, released or moved that is not mapped.
//!
//! Arenas are separated by gaps and recycled, so that the heaps of tests that run at the same time
//! are never neighbours in the page map, which all of them share.

use crate::config::HUGE_SIZE;
use crate::os::Os;
use crate::page::page_map::PAGE_MAP;
use std::collections::BTreeMap;
use std::ops::Range;
use std::ptr;
use std::sync::{Mutex, MutexGuard};

/// Address space of one arena, the unused huge page at either end included.
const ARENA: usize = 2 << 30;

/// More than any alignment that tests ask for, so that equal calls take equal courses in every
/// arena.
const ARENA_ALIGN: usize = 64 << 20;

/// Arenas that no test uses at the moment.
static ARENAS: Mutex<Vec<usize>> = Mutex::new(Vec::new());

/// More calls than any honest sequence makes: beyond it a loop inside the heap does not end.
const CALLS_MAX: usize = 200_000;

/// Which of the calls that may fail do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Failing {
    /// None.
    Never,
    /// The one with this number, counted from now on.
    Once(usize),
    /// The one with this number and all later ones.
    From(usize),
}

struct State {
    /// Start and end of what is mapped.
    mapped: BTreeMap<usize, usize>,
    failing: Failing,
    /// Calls that may fail, since `fail` was called.
    failable: usize,
    calls: usize,
    /// Most bytes that were given back by one call since `take_most_released`.
    most_released: usize,
    now_ms: u64,
    /// What was asked of the huge pages for which anything was.
    wanted: BTreeMap<usize, bool>,
    /// Whether all pages are resident, as far as the kernel says, or none; and whether it refuses.
    is_dense: bool,
    is_residency_refused: bool,
    most_mappings: usize,
    /// What happens elsewhere while memory is given back, the next time.
    on_release: Option<Box<dyn FnOnce() + Send>>,
}

/// The scripted system.
pub struct ScriptedOs {
    base: usize,
    /// Bytes in a page, as it says.
    page: usize,
    state: Mutex<State>,
}

impl ScriptedOs {
    pub fn new() -> Self {
        Self::with_page(4096)
    }

    /// A system whose pages have `page` bytes.
    pub fn with_page(page: usize) -> Self {
        let recycled = ARENAS.lock().unwrap().pop();
        let base = recycled.unwrap_or_else(|| {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
            let bytes = ARENA + ARENA_ALIGN;
            // SAFETY: a new mapping disturbs no other.
            let raw = unsafe { libc::mmap(ptr::null_mut(), bytes, libc::PROT_NONE, flags, -1, 0) };
            assert_ne!(raw, libc::MAP_FAILED, "address space for an arena");
            (raw as usize).next_multiple_of(ARENA_ALIGN)
        });
        let state = State {
            mapped: BTreeMap::new(),
            failing: Failing::Never,
            failable: 0,
            calls: 0,
            most_released: 0,
            now_ms: 1_000,
            wanted: BTreeMap::new(),
            is_dense: true,
            is_residency_refused: false,
            most_mappings: usize::MAX,
            on_release: None,
        };
        Self { base, page, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Where mappings can be.
    pub fn range(&self) -> Range<usize> {
        self.base + HUGE_SIZE..self.base + ARENA - HUGE_SIZE
    }

    /// Bytes mapped now.
    pub fn mapped_bytes(&self) -> usize {
        self.state().mapped.iter().map(|(start, end)| end - start).sum()
    }

    /// Makes calls fail from now on.
    pub fn fail(&self, failing: Failing) {
        let mut state = self.state();
        state.failing = failing;
        state.failable = 0;
    }

    /// Calls made since `fail` that could have failed.
    pub fn failable_calls(&self) -> usize {
        self.state().failable
    }

    /// Says how many mappings there may be.
    pub fn set_dense(&self, is_dense: bool) {
        self.state().is_dense = is_dense;
    }

    /// Makes the kernel say nothing about which pages are resident.
    pub fn refuse_residency(&self) {
        self.state().is_residency_refused = true;
    }

    /// Whether huge pages were asked for around `addr`.
    pub fn wants_huge(&self, addr: usize) -> bool {
        self.state().wanted.get(&(addr & !(HUGE_SIZE - 1))) == Some(&true)
    }

    pub fn set_most_mappings(&self, most: usize) {
        self.state().most_mappings = most;
    }

    /// Borders between neighbouring huge pages of which different things were asked: what more
    /// mappings there are for that.
    pub fn borders(&self) -> usize {
        let state = self.state();
        let is_mapped =
            |at: usize| state.mapped.range(..=at).next_back().is_some_and(|(_, &end)| end > at);
        let range = self.range();
        (range.start + HUGE_SIZE..range.end)
            .step_by(HUGE_SIZE)
            .filter(|&at| is_mapped(at - HUGE_SIZE) && is_mapped(at))
            .filter(|at| state.wanted.get(&(at - HUGE_SIZE)) != state.wanted.get(at))
            .count()
    }

    /// Has `event` happen while memory is given back the next time.
    pub fn on_release(&self, event: impl FnOnce() + Send + 'static) {
        self.state().on_release = Some(Box::new(event));
    }

    /// Most bytes that were given back by one call since the last look.
    pub fn take_most_released(&self) -> usize {
        core::mem::take(&mut self.state().most_released)
    }

    /// Addresses that the kernel would refuse are faults. So are lengths here, but for those of
    /// whole mappings and what is added to one, which it rounds up (`whole`).
    fn assert_pages(&self, addr: usize, bytes: usize) {
        assert!(bytes > 0 && addr.is_multiple_of(self.page) && bytes.is_multiple_of(self.page));
    }

    /// The length as the kernel takes it.
    fn whole(&self, bytes: usize) -> usize {
        bytes.next_multiple_of(self.page)
    }

    /// Lets time pass.
    pub fn advance(&self, ms: u64) {
        self.state().now_ms += ms;
    }
}

impl Drop for ScriptedOs {
    fn drop(&mut self) {
        // A test that failed may have left anything behind: its arena is not used again.
        if std::thread::panicking() {
            return;
        }
        for addr in self.range().step_by(HUGE_SIZE) {
            if !PAGE_MAP.huge(addr).is_null() {
                PAGE_MAP.set_huge(addr, ptr::null_mut());
            }
        }
        forget(self.base, ARENA);
        ARENAS.lock().unwrap().push(self.base);
    }
}

/// Drops content and access.
fn forget(addr: usize, bytes: usize) {
    // SAFETY: part of an arena; its owner gave the range up.
    unsafe {
        assert_eq!(libc::madvise(addr as *mut _, bytes, libc::MADV_DONTNEED), 0);
        assert_eq!(libc::mprotect(addr as *mut _, bytes, libc::PROT_NONE), 0);
    }
}

impl State {
    /// Counts a call; whether it is to fail.
    fn fails(&mut self) -> bool {
        self.failable += 1;
        match self.failing {
            Failing::Never => false,
            Failing::Once(n) => self.failable == n,
            Failing::From(n) => self.failable >= n,
        }
    }

    fn count(&mut self) {
        self.calls += 1;
        assert!(self.calls < CALLS_MAX, "the heap calls the system for ever");
    }

    fn is_free(&self, start: usize, end: usize) -> bool {
        self.mapped.range(..end).next_back().is_none_or(|(_, &last)| last <= start)
    }

    fn assert_mapped(&self, start: usize, end: usize) {
        let mut at = start;
        while at < end {
            let (_, &last) = self.mapped.range(..=at).next_back().expect("not mapped");
            assert!(last > at, "{at:#x} is not mapped");
            at = last;
        }
    }

    /// The highest free place of `bytes` in `range`, as the kernel would choose.
    fn place(&self, range: Range<usize>, bytes: usize) -> Option<usize> {
        let mut top = range.end;
        for (&start, &end) in self.mapped.iter().rev() {
            if top - end >= bytes {
                break;
            }
            top = start;
        }
        let start = top.checked_sub(bytes)?;
        (start >= range.start && self.is_free(start, top)).then_some(start)
    }

    fn enter(&mut self, start: usize, end: usize) {
        assert!(self.is_free(start, end));
        self.mapped.insert(start, end);
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: part of the arena, and free until now.
        assert_eq!(unsafe { libc::mprotect(start as *mut _, end - start, access) }, 0);
    }

    /// Unmaps `[start, end)`, all of which is mapped.
    fn cut(&mut self, start: usize, end: usize) {
        self.assert_mapped(start, end);
        let touched: Vec<(usize, usize)> =
            self.mapped.range(..end).map(|(&s, &e)| (s, e)).filter(|&(_, e)| e > start).collect();
        for (s, e) in touched {
            self.mapped.remove(&s);
            if s < start {
                self.mapped.insert(s, start);
            }
            if e > end {
                self.mapped.insert(end, e);
            }
        }
        self.wanted.retain(|at, _| !(start..end).contains(at));
        forget(start, end - start);
    }
}

impl Os for ScriptedOs {
    fn map(&self, bytes: usize, hint: usize) -> Option<usize> {
        let bytes = self.whole(bytes);
        self.assert_pages(hint, bytes);
        let mut state = self.state();
        state.count();
        if state.fails() {
            return None;
        }
        let range = self.range();
        let hinted = hint >= range.start
            && hint.checked_add(bytes)? <= range.end
            && state.is_free(hint, hint + bytes);
        let start = if hinted { hint } else { state.place(range, bytes)? };
        state.enter(start, start + bytes);
        Some(start)
    }

    fn map_at(&self, addr: usize, bytes: usize) -> bool {
        let bytes = self.whole(bytes);
        self.assert_pages(addr, bytes);
        let mut state = self.state();
        state.count();
        let mapped = !state.fails() && state.is_free(addr, addr + bytes);
        if mapped {
            state.enter(addr, addr + bytes);
        }
        mapped
    }

    unsafe fn unmap(&self, addr: usize, bytes: usize) {
        let bytes = self.whole(bytes);
        self.assert_pages(addr, bytes);
        let mut state = self.state();
        state.count();
        state.cut(addr, addr + bytes);
    }

    unsafe fn release(&self, addr: usize, bytes: usize) -> bool {
        self.assert_pages(addr, bytes);
        let event = self.state().on_release.take();
        if let Some(event) = event {
            event();
        }
        let mut state = self.state();
        state.count();
        state.assert_mapped(addr, addr + bytes);
        if state.fails() {
            return false;
        }
        state.most_released = state.most_released.max(bytes);
        // SAFETY: mapped memory of the arena whose content the caller gave up.
        assert_eq!(unsafe { libc::madvise(addr as *mut _, bytes, libc::MADV_DONTNEED) }, 0);
        true
    }

    unsafe fn advise_huge(&self, addr: usize, bytes: usize, wanted: bool) {
        let mut state = self.state();
        state.assert_mapped(addr, addr + bytes);
        for at in (addr..addr + bytes).step_by(HUGE_SIZE) {
            state.wanted.insert(at, wanted);
        }
    }

    fn residency(&self, addr: usize, flags: &mut [u8]) -> bool {
        let state = self.state();
        state.assert_mapped(addr, addr + flags.len() * self.page_size());
        flags.fill(u8::from(state.is_dense));
        !state.is_residency_refused
    }

    unsafe fn resize(&self, addr: usize, old: usize, new: usize) -> bool {
        let (old, new) = (self.whole(old), self.whole(new));
        self.assert_pages(addr, old);
        self.assert_pages(addr, new);
        let mut state = self.state();
        state.count();
        state.assert_mapped(addr, addr + old);
        if state.fails() {
            return false;
        }
        if new < old {
            state.cut(addr + new, addr + old);
        } else if new > old {
            if addr + new > self.range().end || !state.is_free(addr + old, addr + new) {
                return false;
            }
            state.enter(addr + old, addr + new);
            // The mapping that ends there becomes longer.
            state.mapped.remove(&(addr + old));
            *state.mapped.range_mut(..addr + old).next_back().unwrap().1 = addr + new;
        }
        true
    }

    unsafe fn relocate(&self, from: usize, old: usize, to: usize, new: usize) -> bool {
        let (old, new) = (self.whole(old), self.whole(new));
        self.assert_pages(from, old);
        self.assert_pages(to, new);
        assert!(new > old && (from + old <= to || to + new <= from));
        let mut state = self.state();
        state.count();
        state.assert_mapped(from, from + old);
        state.assert_mapped(to, to + new);
        let (_, &end) = state.mapped.range(..=from).next_back().unwrap();
        if state.fails() || end < from + old {
            return false;
        }
        state.cut(to, to + new);
        state.enter(to, to + new);
        // SAFETY: both ranges are mapped and do not overlap.
        unsafe { ptr::copy_nonoverlapping(from as *const u8, to as *mut u8, old) };
        state.cut(from, from + old);
        true
    }

    fn page_size(&self) -> usize {
        self.page
    }

    fn most_mappings(&self) -> usize {
        self.state().most_mappings
    }

    fn now_ms(&self) -> u64 {
        self.state().now_ms
    }
}
