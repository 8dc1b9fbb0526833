//! What the kernel told the process at its start: the auxiliary vector, which lies on the first
//! stack behind the arguments and the environment. It is read once, in the first slow path.
//!
//! The C library's `getauxval` has it too, but a program may define that name as its own, and the
//! first slow path may run under the program's locks. glibc says where the stack begins in a
//! variable, `__libc_stack_end`, which is read instead; `getauxval` is asked where there is no such
//! variable (musl), or where what it names does not look like the start of a stack.

use super::elf::weak_address;
use super::process::is_readable;
use crate::sync::{AtomicU32, AtomicUsize, Ordering};

/// The facts that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Fact {
    /// Bytes in a page of the kernel.
    PageSize,
    /// Whether the program has more rights than its user.
    Secure,
    /// Where the kernel put its shared object, the vDSO; 0: nowhere.
    Vdso,
    /// The effective user at the start.
    User,
}

/// Every fact, with its number in the vector.
const FACTS: [(Fact, usize); 4] = [
    (Fact::PageSize, libc::AT_PAGESZ as usize),
    (Fact::Secure, libc::AT_SECURE as usize),
    (Fact::Vdso, libc::AT_SYSINFO_EHDR as usize),
    (Fact::User, libc::AT_EUID as usize),
];

/// Each thread that reads the vector writes the same values. Relaxed: `READ` orders.
static VALUES: [AtomicUsize; FACTS.len()] = [const { AtomicUsize::new(0) }; FACTS.len()];
/// 1 once `VALUES` are complete.
static READ: AtomicU32 = AtomicU32::new(0);

/// A fact of the vector; 0 if it does not say.
#[inline]
pub fn fact(fact: Fact) -> usize {
    // Acquire: pairs with the Release in `read`; the values are there.
    if READ.load(Ordering::Acquire) == 0 {
        read();
    }
    VALUES[fact as usize].load(Ordering::Relaxed)
}

/// Cold: once in the life of a process, or once per thread that comes at that moment.
#[cold]
#[inline(never)]
#[unsafe(link_section = ".text.hot.stratalloc_small")]
fn read() {
    let vector = stack_start().and_then(|start| vector_behind(start, is_readable));
    for (fact, number) in FACTS {
        let value = match vector {
            Some(vector) => value_in(vector, number),
            // SAFETY: reads the vector; takes no pointers.
            None => unsafe { libc::getauxval(number as libc::c_ulong) as usize },
        };
        VALUES[fact as usize].store(value, Ordering::Relaxed);
    }
    // Release: pairs with the Acquire in `fact`.
    READ.store(1, Ordering::Release);
}

/// What glibc's `__libc_stack_end` holds: the address of the word that counts the arguments.
fn stack_start() -> Option<usize> {
    let variable = weak_address!("__libc_stack_end") as *const usize;
    // SAFETY: null, or glibc's variable, which the dynamic linker sets before it runs any other
    // code.
    let start = unsafe { variable.as_ref() }.copied()?;
    (start != 0 && start.is_multiple_of(size_of::<usize>())).then_some(start)
}

/// Most words that are looked through; programs with more arguments and variables ask `getauxval`.
const MOST_WORDS: usize = 1 << 20;
/// Most entries of the vector; the kernel writes some 20.
const MOST_ENTRIES: usize = 64;

/// The first entry of the vector on the stack that begins at `start`, if that looks like one: the
/// number of arguments, as many strings, a null, the environment, a null, then pairs of which one
/// names a page size. No word is read on a page that `readable` refuses.
fn vector_behind(start: usize, readable: impl Fn(usize) -> bool) -> Option<*const [usize; 2]> {
    const PAGE: usize = 4096;
    let mut seen = usize::MAX;
    let mut word = |index: usize| {
        let at = start.checked_add(index.checked_mul(size_of::<usize>())?)?;
        if at / PAGE != seen && !readable(at) {
            return None;
        }
        seen = at / PAGE;
        // SAFETY: an aligned word on a page that can be read.
        Some(unsafe { (at as *const usize).read() })
    };
    let arguments = word(0).filter(|&count| count < MOST_WORDS)?;
    if word(arguments + 1)? != 0 {
        return None;
    }
    let mut index = arguments + 2;
    while word(index)? != 0 {
        index += 1;
        if index > MOST_WORDS {
            return None;
        }
    }
    let first = index + 1;
    let mut page_size = 0;
    for entry in 0..MOST_ENTRIES {
        let (number, value) = (word(first + 2 * entry)?, word(first + 2 * entry + 1)?);
        if number == libc::AT_NULL as usize {
            let sound = page_size >= PAGE && page_size.is_power_of_two();
            return sound.then_some((start + first * size_of::<usize>()) as *const [usize; 2]);
        }
        if number == libc::AT_PAGESZ as usize {
            page_size = value;
        }
    }
    None
}

/// The value that goes with `number` in a vector that `vector_behind` has found; 0 if there is
/// none.
fn value_in(vector: *const [usize; 2], number: usize) -> usize {
    let mut entry = vector;
    loop {
        // SAFETY: `vector_behind` has read every entry up to the last one, whose number is 0.
        let [found, value] = unsafe { entry.read() };
        if found == libc::AT_NULL as usize {
            return 0;
        }
        if found == number {
            return value;
        }
        // SAFETY: not the last entry.
        entry = unsafe { entry.add(1) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vector is the one that the C library knows.
    #[test]
    fn facts_are_those_of_the_c_library() {
        assert!(stack_start().and_then(|start| vector_behind(start, is_readable)).is_some());
        for (kept, number) in FACTS {
            // SAFETY: takes no pointers.
            assert_eq!(fact(kept), unsafe { libc::getauxval(number as _) } as usize, "{kept:?}");
        }
    }

    fn entry_of(words: &[usize]) -> Option<usize> {
        let start = words.as_ptr() as usize;
        let end = start + size_of_val(words);
        // As if memory ended behind the words.
        let found = vector_behind(start, |at| (start..end).contains(&at))?;
        Some((found as usize - start) / size_of::<usize>())
    }

    /// What is no start of a stack is refused, not read beyond its end.
    #[test]
    fn only_a_whole_vector_is_taken() {
        // A page of its own, so that the end is at a boundary where the next word would be asked
        // for.
        let page = Vec::leak(vec![0_usize; 1024]);
        let end = (page.as_ptr() as usize + 8192) / 4096 * 4096;
        let last = (end - page.as_ptr() as usize) / 8;
        let mut try_words = |words: &[usize]| {
            let at = last - words.len();
            page[at..last].copy_from_slice(words);
            entry_of(&page[at..last])
        };
        let page_size = libc::AT_PAGESZ as usize;
        let whole = [2, 1, 1, 0, 7, 7, 7, 0, 25, 3, page_size, 4096, 0, 0];
        assert_eq!(try_words(&whole), Some(8));
        for end in 0..whole.len() - 1 {
            assert_eq!(try_words(&whole[..end.max(1)]), None, "cut behind {end} words");
        }
        assert_eq!(try_words(&[1, 1, 1, 0, 7, 0, page_size, 4096, 0, 0]), None, "more arguments");
        assert_eq!(try_words(&[0, 0, 0, page_size, 4095, 0, 0]), None, "no page size");
        assert_eq!(try_words(&[0, 0, 0, 25, 4096, 0, 0]), None, "no page size");
        assert_eq!(try_words(&[usize::MAX, 0, 0, 0]), None, "a negative count");
    }
}
