//! Functions of the C library itself, whatever other object defines their names.
//!
//! Some things only the C library can do: tell of the end of a thread, call back around a `fork`, say which
//! object an address is in. By their names, these calls may land in a function that the program or a
//! preloaded library defines, on the first slow path of a thread, which may run under locks of that very
//! function. The C library calls its own by internal names; this module finds them in its table of symbols,
//! as the dynamic linker does.
//!
//! The dynamic linker keeps a list of objects for debuggers (`_r_debug`). The C library is in it since before
//! the first instruction of the program, at a place that never changes. The list is that of the first
//! namespace; who is not in it, because `dlmopen` loaded it elsewhere with a C library of its own, takes the
//! names as they were linked, as do static programs and those of other C libraries than glibc.

use crate::sync::{AtomicUsize, Ordering};
use core::arch::asm;
use core::ffi::{CStr, c_char};
use core::ops::Range;

/// A function of the C library.
pub struct Function {
    name: &'static CStr,
    /// Its address; 0: not looked for yet. Relaxed: all who look find the same.
    address: AtomicUsize,
}

impl Function {
    /// The function `name`, not looked for yet.
    pub const fn new(name: &'static CStr) -> Self {
        Self { name, address: AtomicUsize::new(0) }
    }

    /// Its address in the C library; `linked`, the address that the name was linked to, where that is not to
    /// be known.
    pub fn address(&self, linked: usize) -> usize {
        let known = self.address.load(Ordering::Relaxed);
        if known != 0 {
            return known;
        }
        let found = libc_of_this_object()
            .and_then(|object| Symbols::of(object)?.function(self.name))
            .unwrap_or(linked);
        self.address.store(found, Ordering::Relaxed);
        found
    }
}

/// The public start of the dynamic linker's `struct link_map` (`link.h`).
#[repr(C)]
struct Object {
    load_address: usize,
    name: *const c_char,
    dynamic: *const [usize; 2],
    next: *const Object,
}

/// The start of `struct r_debug`.
#[repr(C)]
struct Debug {
    version: i32,
    first: *const Object,
}

/// The addresses of `_r_debug` and of this object's own dynamic section; null where there is none.
fn linked() -> (*const Debug, *const [usize; 2]) {
    let (debug, own): (*const Debug, *const [usize; 2]);
    // SAFETY: reads two words of the global offset table. The symbols are declared weak right here, because
    // each object file that the function is compiled into must say so; the linker makes the second one.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        asm!(
            ".weak _r_debug",
            ".weak _DYNAMIC",
            ".hidden _DYNAMIC",
            "mov {0}, qword ptr [rip + _r_debug@GOTPCREL]",
            "mov {1}, qword ptr [rip + _DYNAMIC@GOTPCREL]",
            out(reg) debug,
            out(reg) own,
            options(pure, readonly, nostack, preserves_flags),
        );
        #[cfg(target_arch = "aarch64")]
        asm!(
            ".weak _r_debug",
            ".weak _DYNAMIC",
            ".hidden _DYNAMIC",
            "adrp {0}, :got:_r_debug",
            "ldr {0}, [{0}, :got_lo12:_r_debug]",
            "adrp {1}, :got:_DYNAMIC",
            "ldr {1}, [{1}, :got_lo12:_DYNAMIC]",
            out(reg) debug,
            out(reg) own,
            options(pure, readonly, nostack, preserves_flags),
        );
    }
    (debug, own)
}

/// The objects in the dynamic linker's list.
///
/// The linker's own list is read without its lock. Objects that were there from the start stay, and this one stays
/// while its code runs. One that is opened is appended, and one that is closed can only be met by an object that was
/// opened later; the constructor of that asks first (`pthread::LOOK`), while the linker's lock is held.
fn objects() -> impl Iterator<Item = &'static Object> {
    let (debug, _) = linked();
    // SAFETY: null or the dynamic linker's variable.
    let first = unsafe { debug.as_ref() }.map_or(core::ptr::null(), |debug| debug.first);
    // SAFETY: null or an object of the list, which stays there as this function's comment argues.
    let object = |at: *const Object| unsafe { at.as_ref() };
    core::iter::successors(object(first), move |last| object(last.next))
}

/// glibc, if this object is in the same list as it.
fn libc_of_this_object() -> Option<&'static Object> {
    let (_, own) = linked();
    let (mut libc, mut own_seen) = (None, false);
    for object in objects() {
        own_seen |= !own.is_null() && object.dynamic == own;
        if libc.is_none() && object.is_named(b"libc.so.") {
            libc = Some(object);
        }
        if own_seen && libc.is_some() {
            return libc;
        }
    }
    None
}

/// Number of ranges that [`extents`] finds.
pub const EXTENTS: usize = 4;

/// The addresses that the C library's code takes up, those of the object that the function at `of_threads` is in, those of
/// the dynamic linker, and those of this object. `None` unless all are known.
pub fn extents(of_threads: usize) -> Option<[Range<usize>; EXTENTS]> {
    let (debug, own) = linked();
    let around =
        |addr: usize| objects().filter_map(Object::extent).find(|extent| extent.contains(&addr));
    Some([
        libc_of_this_object()?.extent()?,
        around(of_threads)?,
        around(debug.addr())?,
        around(own.addr())?,
    ])
}

impl Object {
    /// Whether the name of its file begins with `start`.
    fn is_named(&self, start: &[u8]) -> bool {
        if self.name.is_null() {
            return false;
        }
        // SAFETY: a name that a NUL ends.
        let path = unsafe { CStr::from_ptr(self.name) }.to_bytes();
        path.rsplit(|&byte| byte == b'/').next().unwrap_or(path).starts_with(start)
    }

    /// The addresses between its first and its last segment. `None` for the executable of a fixed address, the kernel's
    /// own object, and others whose header is not where they are loaded.
    fn extent(&self) -> Option<Range<usize>> {
        const PT_LOAD: u32 = 1;
        let distance = (self.dynamic as usize).checked_sub(self.load_address)?;
        // The header of a library is the start of its first segment; whose load address is 0 has it elsewhere.
        if self.load_address == 0 || distance > MOST_DISTANCE {
            return None;
        }
        // SAFETY: the linker mapped the object there, with the file's first page, which holds the header and, in all files
        // that linkers make, the table of segments.
        let header = unsafe { &*(self.load_address as *const Header) };
        if header.magic != *b"\x7fELF" || usize::from(header.segment_bytes) != size_of::<Segment>()
        {
            return None;
        }
        let table = (self.load_address + header.segments) as *const Segment;
        let (mut first, mut last) = (usize::MAX, 0);
        for index in 0..usize::from(header.segment_count) {
            // SAFETY: an entry of the table, as the header says.
            let segment = unsafe { &*table.add(index) };
            if segment.kind == PT_LOAD {
                let start = self.load_address + segment.address;
                first = first.min(start);
                last = last.max(start + segment.memory_bytes);
            }
        }
        (first < last).then_some(first..last)
    }
}

/// Bytes that the dynamic section of an object lies behind its start at most.
const MOST_DISTANCE: usize = 1 << 30;

/// The header of an ELF file, as far as it is needed.
#[repr(C)]
struct Header {
    magic: [u8; 4],
    class_and_more: [u8; 12],
    kind_and_machine: [u16; 2],
    version: u32,
    entry: usize,
    segments: usize,
    sections: usize,
    flags: u32,
    header_bytes: u16,
    segment_bytes: u16,
    segment_count: u16,
}

/// An entry of the table of segments.
#[repr(C)]
struct Segment {
    kind: u32,
    flags: u32,
    offset: usize,
    address: usize,
    physical: usize,
    file_bytes: usize,
    memory_bytes: usize,
    align: usize,
}

/// The table of symbols of a loaded object.
struct Symbols {
    load_address: usize,
    symbols: *const Symbol,
    strings: *const c_char,
    hash: *const u32,
}

/// An entry of it, as ELF has it.
#[repr(C)]
struct Symbol {
    name: u32,
    info: u8,
    other: u8,
    section: u16,
    value: usize,
    size: usize,
}

impl Symbols {
    fn of(object: &Object) -> Option<Self> {
        const DT_STRTAB: usize = 5;
        const DT_SYMTAB: usize = 6;
        const DT_GNU_HASH: usize = 0x6fff_fef5;
        let (mut symbols, mut strings, mut hash) = (0, 0, 0);
        let mut entry = object.dynamic;
        loop {
            // SAFETY: the dynamic section of a loaded object, which an entry with the tag 0 ends.
            let [tag, value] = unsafe { entry.read() };
            // The dynamic linker has made addresses of what are distances in the file.
            match tag {
                0 => break,
                DT_SYMTAB => symbols = value,
                DT_STRTAB => strings = value,
                DT_GNU_HASH => hash = value,
                _ => {}
            }
            // SAFETY: not the last entry.
            entry = unsafe { entry.add(1) };
        }
        let load_address = object.load_address;
        let sound = [symbols, strings, hash].iter().all(|&table| table > load_address);
        sound.then_some(Self {
            load_address,
            symbols: symbols as *const Symbol,
            strings: strings as *const c_char,
            hash: hash as *const u32,
        })
    }

    /// The address of the function `name`.
    fn function(&self, name: &CStr) -> Option<usize> {
        const FUNCTION: u8 = 2;
        let step = |hash: u32, &byte: &u8| hash.wrapping_mul(33).wrapping_add(u32::from(byte));
        let hash = name.to_bytes().iter().fold(5381, step);
        // SAFETY: the table as its format says: numbers of buckets, of the first symbol and of words of a
        // filter, then the filter, the buckets and the chains, which end at an odd hash. The linker uses it
        // for this object, so it is sound. Every symbol of a chain has a name in the strings.
        unsafe {
            let (buckets, first) = (self.hash.read(), self.hash.add(1).read());
            let filter = self.hash.add(2).read() as usize;
            let heads = self.hash.add(4 + 2 * filter);
            let chains = heads.add(buckets as usize);
            let mut index = heads.add((hash % buckets.max(1)) as usize).read();
            while buckets > 0 && index >= first {
                let found = chains.add((index - first) as usize).read();
                let symbol = &*self.symbols.add(index as usize);
                let is_function = symbol.info & 15 == FUNCTION && symbol.section != 0;
                if found | 1 == hash | 1
                    && is_function
                    && CStr::from_ptr(self.strings.add(symbol.name as usize)) == name
                {
                    return Some(self.load_address + symbol.value);
                }
                if found & 1 != 0 {
                    break;
                }
                index += 1;
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With nobody in between, what is found is what the linker found.
    #[test]
    fn functions_are_those_that_the_dynamic_linker_finds() {
        for name in [c"pthread_setspecific", c"pthread_key_create", c"__register_atfork"] {
            // SAFETY: a name that a NUL ends.
            let linked = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) } as usize;
            assert_ne!(linked, 0);
            assert_eq!(Function::new(name).address(1), linked, "{name:?}");
        }
        assert_eq!(Function::new(c"no_such_function").address(1), 1);
        assert_eq!(Function::new(c"").address(1), 1);
        // A variable is no function.
        assert_eq!(Function::new(c"__environ").address(1), 1);
    }

    /// What the ranges are for: code of the C library, of the linker and of this object lies inside, the stack and the
    /// heap lie outside.
    #[test]
    fn extents_hold_the_code_of_their_objects() {
        let address = |name: &CStr| {
            // SAFETY: a name that a NUL ends.
            unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) as usize }
        };
        let extents = extents(address(c"pthread_create")).expect("all are in the list");
        assert!(extents[0].contains(&address(c"fclose")));
        assert!(extents[1].contains(&address(c"pthread_create")));
        assert!(extents[2].contains(&address(c"__tls_get_addr")));
        assert!(extents[3].contains(&(linked as *const () as usize)));
        let local = 0;
        assert!(extents.iter().all(|extent| !extent.contains(&(&raw const local as usize))));
        assert_eq!(super::extents(1), None, "no object has that address");
    }
}
