//! ELF structures of loaded objects: symbols that may be missing, the object's own dynamic section,
//! and the tables of symbols and segments.
//!
//! Reads memory that the dynamic linker has mapped, and calls nothing. It owns nothing and takes no
//! lock; each function says why what it reads stays mapped. Which objects there are is the business
//! of `own_libc` (the linker's list) and of the C library's `deepbind` and `cxx_runtime`
//! (`dl_iterate_phdr`).

use core::ffi::{CStr, c_char, c_void};
use core::mem;
use core::ops::Range;

/// The address of a symbol that may be missing: a weak reference, 0 where nothing defines it. A
/// symbol after `hidden` is that of the object itself.
///
/// For this crate and for the C library. Macros that another crate uses stand at the root.
#[doc(hidden)]
#[macro_export]
macro_rules! weak_address {
    (hidden $name:literal) => {
        $crate::weak_address!(@read $name, concat!(".weak ", $name, "\n.hidden ", $name))
    };
    // A function that Rust's standard library calls, too. In an object file that has code of both,
    // which link-time optimization makes, it would be weak for that as well, and a static program
    // of musl would be linked without it.
    (used_by_std $name:literal) => {{
        #[cfg(target_env = "musl")]
        let address = $crate::weak_address!(@read $name, "");
        #[cfg(not(target_env = "musl"))]
        let address = $crate::weak_address!($name);
        address
    }};
    ($name:literal) => {
        $crate::weak_address!(@read $name, concat!(".weak ", $name))
    };
    (@read $name:literal, $declaration:expr) => {{
        let address: usize;
        // SAFETY: reads a word of the global offset table. The symbol is declared weak right here,
        // because each object file that the function is compiled into must say so.
        unsafe {
            #[cfg(target_arch = "x86_64")]
            core::arch::asm!(
                $declaration,
                concat!("mov {}, qword ptr [rip + ", $name, "@GOTPCREL]"),
                out(reg) address,
                options(pure, readonly, nostack, preserves_flags),
            );
            #[cfg(target_arch = "aarch64")]
            core::arch::asm!(
                $declaration,
                concat!("adrp {0}, :got:", $name),
                concat!("ldr {0}, [{0}, :got_lo12:", $name, "]"),
                out(reg) address,
                options(pure, readonly, nostack, preserves_flags),
            );
        }
        address
    }};
}
pub use weak_address;

/// The type of `dlsym`.
pub type Dlsym = unsafe extern "C" fn(*mut c_void, *const c_char) -> *mut c_void;

/// `dlsym`, unless this is a static program that has none. The other functions of the dynamic
/// linker are found through it: a reference to `dlopen` would make linkers warn about each static
/// program.
pub fn dlsym() -> Option<Dlsym> {
    let address = weak_address!("dlsym");
    // SAFETY: null, which is `None`, or the function of that name, whose type POSIX gives.
    unsafe { mem::transmute::<usize, Option<Dlsym>>(address) }
}

/// One entry of a dynamic section: a tag and a value.
pub type DynamicEntry = [usize; 2];

/// The dynamic section of the executable or library that this code is part of; null in a static
/// program. The linker defines the symbol where there is such a section.
pub fn own_dynamic() -> *const DynamicEntry {
    weak_address!(hidden "_DYNAMIC") as *const DynamicEntry
}

/// The entries of a dynamic section, without the one that ends it.
///
/// # Safety
/// `section` is a dynamic section: entries up to one with the tag 0. It stays mapped while the
/// iterator lives.
pub unsafe fn entries(section: *const DynamicEntry) -> impl Iterator<Item = DynamicEntry> {
    let mut at = section;
    core::iter::from_fn(move || {
        // SAFETY: the first entry, or the one behind an entry that was not the last. The caller
        // says that the section goes on up to the last one and stays mapped.
        let entry = unsafe { at.read() };
        if entry[0] == 0 {
            return None;
        }
        // SAFETY: this entry is not the last, so the next one belongs to the section, too.
        at = unsafe { at.add(1) };
        Some(entry)
    })
}

/// The address that an entry of a dynamic section names, in an object with the load address `base`.
/// glibc adds the base where it can write to the section.
pub fn address_in(base: usize, value: usize) -> usize {
    if value < base { base + value } else { value }
}

const DT_HASH: usize = 4;
const DT_STRTAB: usize = 5;
const DT_SYMTAB: usize = 6;
const DT_GNU_HASH: usize = 0x6fff_fef5;

/// A symbol (`Elf64_Sym`).
#[repr(C)]
pub struct Symbol {
    name: u32,
    info: u8,
    other: u8,
    section: u16,
    /// Distance from the object's load address.
    pub value: usize,
    size: usize,
}

impl Symbol {
    /// Whether another object must define it.
    pub fn is_import(&self) -> bool {
        self.section == 0
    }

    fn is_defined_function(&self) -> bool {
        const FUNCTION: u8 = 2;
        self.info & 15 == FUNCTION && !self.is_import()
    }
}

/// The symbols of a loaded object.
pub struct Symbols {
    /// What the object's addresses are relative to.
    pub load_address: usize,
    symbols: *const Symbol,
    names: *const c_char,
    /// Null in objects that are linked with `--hash-style=sysv`.
    gnu_hash: *const u32,
    /// Null in objects that are linked with `--hash-style=gnu`.
    hash: *const u32,
}

impl Symbols {
    /// The symbols of the object that has this load address and dynamic section. `None` if it has
    /// none.
    ///
    /// # Safety
    /// As for [`entries`], and the object stays loaded while the symbols are used.
    pub unsafe fn of(load_address: usize, dynamic: *const DynamicEntry) -> Option<Self> {
        let (mut symbols, mut names, mut gnu_hash, mut hash) = (0, 0, 0, 0);
        // SAFETY: the caller says that this is the dynamic section of an object that stays loaded.
        for [tag, value] in unsafe { entries(dynamic) } {
            match tag {
                DT_SYMTAB => symbols = address_in(load_address, value),
                DT_STRTAB => names = address_in(load_address, value),
                DT_GNU_HASH => gnu_hash = address_in(load_address, value),
                DT_HASH => hash = address_in(load_address, value),
                _ => {}
            }
        }
        (symbols != 0 && names != 0).then_some(Self {
            load_address,
            symbols: symbols as *const Symbol,
            names: names as *const c_char,
            gnu_hash: gnu_hash as *const u32,
            hash: hash as *const u32,
        })
    }

    /// The symbol of the function that the object defines as `name`, as other objects find it.
    #[inline(never)]
    #[unsafe(link_section = ".text.hot.stratalloc_small")]
    pub fn function(&self, name: &CStr) -> Option<*const Symbol> {
        if self.gnu_hash.is_null() {
            return self.function_by_hash(name);
        }
        let step = |hash: u32, &byte: &u8| hash.wrapping_mul(33).wrapping_add(u32::from(byte));
        let hash = name.to_bytes().iter().fold(5381, step);
        // SAFETY: the layout of a GNU hash table: numbers of buckets, of the first symbol and of
        // the filter's words of 64 bits, a shift, the filter, the buckets, and a word for each
        // symbol, of which the lowest bit ends a chain. The dynamic linker uses the table for this
        // loaded object, so it is sound, and every symbol of a chain has a name among the names.
        unsafe {
            let (buckets, first) = (self.gnu_hash.read(), self.gnu_hash.add(1).read());
            let (words, shift) = (self.gnu_hash.add(2).read(), self.gnu_hash.add(3).read());
            let filter = self.gnu_hash.add(4);
            // Most names are none of the object's, and the filter alone says so.
            let word = filter.add(2 * (hash / 64 % words.max(1)) as usize).cast::<u64>();
            let both = 1_u64 << (hash % 64) | 1 << (hash.wrapping_shr(shift) % 64);
            if words > 0 && word.read_unaligned() & both != both {
                return None;
            }
            let heads = filter.add(2 * words as usize);
            let chains = heads.add(buckets as usize);
            let mut index = heads.add((hash % buckets.max(1)) as usize).read();
            while buckets > 0 && index >= first {
                let found = chains.add((index - first) as usize).read();
                let symbol = self.symbols.add(index as usize);
                if found | 1 == hash | 1 && self.is_function(symbol, name) {
                    return Some(symbol);
                }
                if found & 1 != 0 {
                    break;
                }
                index += 1;
            }
        }
        None
    }

    /// The same by the older kind of table.
    #[cold]
    fn function_by_hash(&self, name: &CStr) -> Option<*const Symbol> {
        if self.hash.is_null() {
            return None;
        }
        let step = |hash: u32, &byte: &u8| {
            let hash = (hash << 4).wrapping_add(u32::from(byte));
            (hash ^ hash >> 28 << 4) & 0x0fff_ffff
        };
        let hash = name.to_bytes().iter().fold(0, step);
        // SAFETY: the layout of a hash table: numbers of buckets and of symbols, the first symbol
        // of each bucket, and the next one for each symbol; 0 ends a chain. The dynamic linker uses
        // the table for this loaded object, so it is sound, and every symbol of a chain has a name
        // among the names.
        unsafe {
            let buckets = self.hash.read();
            let heads = self.hash.add(2);
            let nexts = heads.add(buckets as usize);
            let mut index =
                if buckets > 0 { heads.add((hash % buckets) as usize).read() } else { 0 };
            while index != 0 {
                let symbol = self.symbols.add(index as usize);
                if self.is_function(symbol, name) {
                    return Some(symbol);
                }
                index = nexts.add(index as usize).read();
            }
        }
        None
    }

    /// The same symbols, to be found by the older kind of table; `None` without one.
    #[cfg(test)]
    pub fn by_hash_alone(&self) -> Option<Self> {
        (!self.hash.is_null()).then_some(Self { gnu_hash: core::ptr::null(), ..*self })
    }

    /// Whether the symbol is that of a function that the object defines as `name`.
    ///
    /// # Safety
    /// `symbol` is one of this object's symbols.
    unsafe fn is_function(&self, symbol: *const Symbol, name: &CStr) -> bool {
        // SAFETY: the caller says that it is one of the object's symbols.
        unsafe { (*symbol).is_defined_function() && self.name(symbol) == name }
    }

    /// The address of the function that the object defines as `name`.
    pub fn address(&self, name: &CStr) -> Option<usize> {
        // SAFETY: a symbol of the loaded object.
        self.function(name).map(|symbol| unsafe { self.load_address + (*symbol).value })
    }

    /// The symbol with this number.
    ///
    /// # Safety
    /// A relocation of the object names a symbol by this number.
    pub unsafe fn symbol(&self, number: usize) -> *const Symbol {
        // SAFETY: the caller says that the object's table of symbols has so many.
        unsafe { self.symbols.add(number) }
    }

    /// The name of a symbol of the object.
    ///
    /// # Safety
    /// `symbol` is one of this object's symbols.
    pub unsafe fn name(&self, symbol: *const Symbol) -> &CStr {
        // SAFETY: a symbol's name is a place in the object's table of names, and ends in NUL.
        unsafe { CStr::from_ptr(self.names.add((*symbol).name as usize)) }
    }
}

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

/// A segment (`Elf64_Phdr`).
#[repr(C)]
pub struct Segment {
    kind: u32,
    flags: u32,
    offset: usize,
    address: usize,
    physical: usize,
    file_bytes: usize,
    memory_bytes: usize,
    align: usize,
}

impl Segment {
    /// Whether `[start, end)` lies in this segment of an object with the load address `base`, and
    /// the segment is mapped for reading alone.
    pub fn is_read_only(&self, base: usize, start: usize, end: usize) -> bool {
        const EXECUTABLE_OR_WRITABLE: u32 = 1 | 2;
        let first = base.wrapping_add(self.address);
        self.kind == PT_LOAD
            && self.flags & EXECUTABLE_OR_WRITABLE == 0
            && first <= start
            && end <= first + self.file_bytes
    }

    /// Where the dynamic section lies in an object with the load address `base`, if this is its
    /// segment.
    pub fn dynamic(&self, base: usize) -> Option<*const DynamicEntry> {
        const PT_DYNAMIC: u32 = 2;
        (self.kind == PT_DYNAMIC).then(|| base.wrapping_add(self.address) as *const DynamicEntry)
    }
}

const PT_LOAD: u32 = 1;

/// The addresses between the first and the last segment of the object that is loaded at `base`.
/// `None` if no ELF header is there.
///
/// # Safety
/// `base` is the load address of a loaded library, so the first page of its file is mapped there.
/// All linkers put the header and the table of segments into that page.
pub unsafe fn extent_at(base: usize) -> Option<Range<usize>> {
    // SAFETY: the caller says that the first page of the file is mapped there.
    let header = unsafe { &*(base as *const Header) };
    if header.magic != *b"\x7fELF" || usize::from(header.segment_bytes) != size_of::<Segment>() {
        return None;
    }
    let table = (base + header.segments) as *const Segment;
    let (mut first, mut last) = (usize::MAX, 0);
    for index in 0..usize::from(header.segment_count) {
        // SAFETY: the header says that the table has so many entries; the table lies in the same
        // page.
        let segment = unsafe { &*table.add(index) };
        if segment.kind == PT_LOAD {
            let start = base + segment.address;
            first = first.min(start);
            last = last.max(start + segment.memory_bytes);
        }
    }
    (first < last).then_some(first..last)
}
