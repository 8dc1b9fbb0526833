//! Loaded objects as `dl_iterate_phdr` describes them: their segments, and which symbols they
//! import.
//!
//! The formats, and the search for a symbol by its name, are in the allocator's `os::elf`. This
//! file reads mapped memory only; it calls nothing and owns nothing.

use core::ffi::{CStr, c_char, c_int};
use core::slice;

use allocator::internal::elf::{DynamicEntry, Segment, Symbols, address_in, entries};

/// The beginning of what `dl_iterate_phdr` tells of an object (`struct dl_phdr_info`).
#[repr(C)]
pub struct LoadedObject {
    base: usize,
    name: *const c_char,
    segments: *const Segment,
    segment_count: u16,
}

/// The type of `dl_iterate_phdr`, with a visitor that is given a `T`. One that does not return 0
/// ends the walk.
pub type ForEachObject<T> = unsafe extern "C" fn(
    unsafe extern "C" fn(&LoadedObject, usize, &mut T) -> c_int,
    &mut T,
) -> c_int;

/// A relocation (`Elf64_Rela`).
#[repr(C)]
struct Relocation {
    offset: u64,
    info: u64,
    addend: i64,
}

// Tags of the dynamic section: where the tables of relocations are, and their bytes. `DT_RELACOUNT`
// is the number of those at the beginning that name no symbol.
const DT_PLTRELSZ: usize = 2;
const DT_RELA: usize = 7;
const DT_RELASZ: usize = 8;
const DT_JMPREL: usize = 23;
const DT_RELACOUNT: usize = 0x6fff_fff9;

impl LoadedObject {
    /// The path of its file; empty for the program.
    pub fn path(&self) -> &[u8] {
        if self.name.is_null() {
            return &[];
        }
        // SAFETY: the dynamic linker ends the path of a loaded object with a NUL.
        unsafe { CStr::from_ptr(self.name) }.to_bytes()
    }

    /// The headers of its segments.
    fn segments(&self) -> &[Segment] {
        if self.segments.is_null() {
            return &[];
        }
        // SAFETY: the dynamic linker describes a loaded object by this many headers, which stay
        // mapped with it.
        unsafe { slice::from_raw_parts(self.segments, usize::from(self.segment_count)) }
    }

    /// Where its dynamic section begins, if it has one.
    fn dynamic(&self) -> Option<*const DynamicEntry> {
        self.segments().iter().find_map(|segment| segment.dynamic(self.base))
    }

    /// Whether `[start, end)` lies in a segment that is mapped for reading alone.
    pub fn is_read_only(&self, start: usize, end: usize) -> bool {
        self.segments().iter().any(|segment| segment.is_read_only(self.base, start, end))
    }

    /// The object's symbols; none if it has none.
    pub fn symbols(&self) -> Option<Symbols> {
        let dynamic = self.dynamic()?;
        // SAFETY: the dynamic section of an object that the walk over loaded objects visits, so it
        // stays loaded during the visit.
        unsafe { Symbols::of(self.base, dynamic) }
    }

    /// Whether the object imports one of the symbols `wanted`.
    pub fn imports_one_of(&self, symbols: &Symbols, wanted: &[&CStr]) -> bool {
        self.named_relocations().iter().any(|&(start, count)| {
            (0..count).any(|index| {
                // SAFETY: a relocation of the object's tables. The upper half of `info` is the
                // number of a symbol; entries without a name have 0, the number of an empty symbol.
                unsafe {
                    let symbol = symbols.symbol(((*start.add(index)).info >> 32) as usize);
                    (*symbol).is_import() && wanted.contains(&symbols.name(symbol))
                }
            })
        })
    }

    /// The relocations that name symbols, in two tables: where they start, and how many they are.
    fn named_relocations(&self) -> [(*const Relocation, usize); 2] {
        let (mut rela, mut rela_bytes, mut relative, mut plt, mut plt_bytes) = (0, 0, 0, 0, 0);
        if let Some(dynamic) = self.dynamic() {
            // SAFETY: the dynamic section of an object that stays loaded during the visit.
            for [tag, value] in unsafe { entries(dynamic) } {
                match tag {
                    DT_RELA => rela = address_in(self.base, value),
                    DT_RELASZ => rela_bytes = value,
                    DT_RELACOUNT => relative = value,
                    DT_JMPREL => plt = address_in(self.base, value),
                    DT_PLTRELSZ => plt_bytes = value,
                    _ => {}
                }
            }
        }
        let count = |bytes: usize| bytes / size_of::<Relocation>();
        // The first ones are relative and name no symbol.
        let named = count(rela_bytes).saturating_sub(relative);
        let rela = rela + relative * size_of::<Relocation>();
        [(rela as *const Relocation, named), (plt as *const Relocation, count(plt_bytes))]
    }
}
