//! Loaded objects as `dl_iterate_phdr` describes them: their segments, and which symbols they
//! import.
//!
//! The formats, and the search for a symbol by its name, are in the allocator's `os::elf`. This
//! file reads mapped memory only; it calls nothing and owns nothing.

use core::ffi::{CStr, c_char};
use core::ops::Range;
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

/// A relocation (`Elf64_Rela`).
#[repr(C)]
struct Relocation {
    offset: u64,
    info: u64,
    addend: i64,
}

impl Relocation {
    /// Whether the dynamic linker puts a symbol's address, and nothing else, into a word:
    /// `R_X86_64_64`, `R_X86_64_GLOB_DAT`, `R_X86_64_JUMP_SLOT`, and the same of aarch64.
    fn is_whole_address(&self) -> bool {
        const KINDS: [u32; 3] =
            if cfg!(target_arch = "x86_64") { [1, 6, 7] } else { [257, 1025, 1026] };
        KINDS.contains(&(self.info as u32)) && self.addend == 0
    }
}

/// Where an object has the address of a symbol that it imports.
pub struct Place {
    pub address: usize,
    /// Whether a word there is the address. Else it is a part of it, or a sum.
    pub is_whole_address: bool,
}

// Tags of the dynamic section: where the tables of relocations are, and their bytes. `DT_RELACOUNT`
// is the number of those at the beginning that name no symbol.
const DT_PLTRELSZ: usize = 2;
const DT_RELA: usize = 7;
const DT_RELASZ: usize = 8;
const DT_JMPREL: usize = 23;
const DT_RELACOUNT: usize = 0x6fff_fff9;

impl LoadedObject {
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
    #[inline(never)]
    #[unsafe(link_section = ".text.hot.stratalloc_small")]
    fn dynamic(&self) -> Option<*const DynamicEntry> {
        self.segments().iter().find_map(|segment| segment.dynamic(self.base))
    }

    /// Whether `[start, end)` lies in a segment that is mapped for reading alone.
    pub fn is_read_only(&self, start: usize, end: usize) -> bool {
        self.segments().iter().any(|segment| segment.is_read_only(self.base, start, end))
    }

    /// The object's symbols; none if it has none.
    #[inline(never)]
    #[unsafe(link_section = ".text.hot.stratalloc_small")]
    pub fn symbols(&self) -> Option<Symbols> {
        let dynamic = self.dynamic()?;
        // SAFETY: the dynamic section of an object that the walk over loaded objects visits, so it
        // stays loaded during the visit.
        unsafe { Symbols::of(self.base, dynamic) }
    }

    /// Whether `address` lies in one of the object's segments.
    pub fn contains(&self, address: usize) -> bool {
        self.segments().iter().any(|segment| segment.contains(self.base, address))
    }

    /// What the dynamic linker has made read-only since it filled it in.
    pub fn read_only_after_start(&self) -> Option<Range<usize>> {
        self.segments().iter().find_map(|segment| segment.read_only_after_start(self.base))
    }

    /// The next place that has the address of an imported symbol of the names `wanted`, and the
    /// number of the name. `seen` is how many relocations were looked at before: 0 at first.
    ///
    /// No closure is called for each: it would lie elsewhere in the library (`layout`).
    #[inline(never)]
    #[unsafe(link_section = ".text.hot.stratalloc_small")]
    pub fn next_import(
        &self,
        symbols: &Symbols,
        wanted: &[&CStr],
        seen: &mut usize,
    ) -> Option<(usize, Place)> {
        let tables = self.named_relocations();
        loop {
            let in_second = seen.wrapping_sub(tables[0].1);
            let at = if *seen < tables[0].1 {
                tables[0].0.wrapping_add(*seen)
            } else if in_second < tables[1].1 {
                tables[1].0.wrapping_add(in_second)
            } else {
                return None;
            };
            *seen += 1;
            // SAFETY: a relocation of the object's tables. The upper half of `info` is the number
            // of a symbol; entries without a name have 0, the number of an empty symbol.
            let (relocation, symbol) = unsafe {
                let relocation = &*at;
                (relocation, symbols.symbol((relocation.info >> 32) as usize))
            };
            for (number, name) in wanted.iter().enumerate() {
                // SAFETY: a symbol that a relocation of the object names.
                if unsafe { symbols.is_named(symbol, name) && (*symbol).is_import() } {
                    let place = Place {
                        address: self.base.wrapping_add(relocation.offset as usize),
                        is_whole_address: relocation.is_whole_address(),
                    };
                    return Some((number, place));
                }
            }
        }
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
