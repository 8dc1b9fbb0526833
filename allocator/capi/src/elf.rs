//! What the dynamic linker knows of a loaded object, read from the object's own tables: which names
//! it defines and where, and which it asks others for. Reads mapped memory only; calls nothing.

use core::ffi::{CStr, c_char};
use core::slice;

/// `Elf64_Phdr`.
#[repr(C)]
pub struct ProgramHeader {
    kind: u32,
    flags: u32,
    offset: u64,
    address: u64,
    physical: u64,
    file_size: u64,
    memory_size: u64,
    alignment: u64,
}

/// The beginning of what `dl_iterate_phdr` tells of an object (`struct dl_phdr_info`).
#[repr(C)]
pub struct LoadedObject {
    base: usize,
    name: *const c_char,
    headers: *const ProgramHeader,
    header_count: u16,
}

/// `Elf64_Sym`.
#[repr(C)]
pub struct Symbol {
    name: u32,
    info: u8,
    other: u8,
    section: u16,
    /// Distance from the object's base.
    pub value: usize,
    size: u64,
}

/// `Elf64_Rela`.
#[repr(C)]
struct Relocation {
    offset: u64,
    info: u64,
    addend: i64,
}

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PF_X: u32 = 1;
const PF_W: u32 = 2;
const STT_FUNC: u8 = 2;

const DT_PLTRELSZ: u64 = 2;
const DT_STRTAB: u64 = 5;
const DT_SYMTAB: u64 = 6;
const DT_RELA: u64 = 7;
const DT_RELASZ: u64 = 8;
const DT_JMPREL: u64 = 23;
const DT_GNU_HASH: u64 = 0x6fff_fef5;
const DT_RELACOUNT: u64 = 0x6fff_fff9;

/// The tables of a loaded object.
pub struct Tables {
    /// What the object's addresses are relative to.
    pub base: usize,
    symbols: *const Symbol,
    names: *const c_char,
    /// Null in objects that are linked with `--hash-style=sysv`.
    hash: *const u32,
    /// Relocations that name symbols, in two tables: where they start, and how many they are.
    relocations: [(*const Relocation, usize); 2],
}

impl LoadedObject {
    fn headers(&self) -> &[ProgramHeader] {
        if self.headers.is_null() {
            return &[];
        }
        // SAFETY: the dynamic linker describes a loaded object by this many headers, which stay
        // mapped with it.
        unsafe { slice::from_raw_parts(self.headers, usize::from(self.header_count)) }
    }

    /// Whether `[start, end)` lies in a segment that is mapped for reading alone.
    pub fn is_read_only(&self, start: usize, end: usize) -> bool {
        self.headers().iter().any(|header| {
            let first = self.base.wrapping_add(header.address as usize);
            header.kind == PT_LOAD
                && header.flags & (PF_X | PF_W) == 0
                && first <= start
                && end <= first + header.file_size as usize
        })
    }

    /// The object's tables; none if it has no symbols.
    pub fn tables(&self) -> Option<Tables> {
        let dynamic = self.headers().iter().find(|header| header.kind == PT_DYNAMIC)?;
        let entries = self.base.wrapping_add(dynamic.address as usize) as *const [u64; 2];
        let (mut symbols, mut names, mut hash) = (0, 0, 0);
        let (mut rela, mut rela_bytes, mut relative, mut plt, mut plt_bytes) = (0, 0, 0, 0, 0);
        for index in 0..dynamic.memory_size as usize / size_of::<[u64; 2]>() {
            // SAFETY: the dynamic section of a loaded object, within its size.
            let [tag, value] = unsafe { entries.add(index).read() };
            let value = value as usize;
            // glibc adds the base where it can write to the section.
            let address = if value < self.base { self.base + value } else { value };
            match tag {
                0 => break,
                DT_SYMTAB => symbols = address,
                DT_STRTAB => names = address,
                DT_GNU_HASH => hash = address,
                DT_RELA => rela = address,
                DT_RELASZ => rela_bytes = value,
                DT_RELACOUNT => relative = value,
                DT_JMPREL => plt = address,
                DT_PLTRELSZ => plt_bytes = value,
                _ => {}
            }
        }
        if symbols == 0 || names == 0 {
            return None;
        }
        let count = |bytes: usize| bytes / size_of::<Relocation>();
        // The first of them name no symbol.
        let named = count(rela_bytes).saturating_sub(relative);
        let rela = rela + relative * size_of::<Relocation>();
        Some(Tables {
            base: self.base,
            symbols: symbols as *const Symbol,
            names: names as *const c_char,
            hash: hash as *const u32,
            relocations: [
                (rela as *const Relocation, named),
                (plt as *const Relocation, count(plt_bytes)),
            ],
        })
    }
}

impl Tables {
    /// The function that the object defines as `name`, as others find it: the place of the symbol.
    pub fn function(&self, name: &CStr) -> Option<*const Symbol> {
        if self.hash.is_null() {
            return None;
        }
        let hash = gnu_hash(name);
        // SAFETY: the layout of a GNU hash table: four numbers, a filter of `filter_len` words of
        // 64 bits, `bucket_count` buckets, and a word per defined symbol, of which the lowest bit
        // ends a chain.
        unsafe {
            let [bucket_count, first, filter_len, shift] = self.hash.cast::<[u32; 4]>().read();
            let filter = self.hash.add(4).cast::<u64>();
            let word = filter.add((hash / 64 % filter_len) as usize).read_unaligned();
            if word & (1 << (hash % 64)) == 0 || word & (1 << ((hash >> shift) % 64)) == 0 {
                return None;
            }
            let buckets = filter.add(filter_len as usize).cast::<u32>();
            let chain = buckets.add(bucket_count as usize);
            let mut index = buckets.add((hash % bucket_count) as usize).read();
            if index < first {
                return None;
            }
            loop {
                let entry = chain.add((index - first) as usize).read();
                let symbol = self.symbols.add(index as usize);
                if (entry ^ hash) >> 1 == 0
                    && self.name(symbol) == name
                    && (*symbol).section != 0
                    && (*symbol).info & 15 == STT_FUNC
                {
                    return Some(symbol);
                }
                if entry & 1 != 0 {
                    return None;
                }
                index += 1;
            }
        }
    }

    /// Whether the object asks for one of `wanted`.
    pub fn imports_one_of(&self, wanted: &[&CStr]) -> bool {
        self.relocations.iter().any(|&(start, count)| {
            (0..count).any(|index| {
                // SAFETY: a relocation of the table. The upper half of `info` is a symbol's number;
                // 0 is the number of an entry without name.
                let (symbol, is_import) = unsafe {
                    let symbol = self.symbols.add(((*start.add(index)).info >> 32) as usize);
                    (symbol, (*symbol).section == 0)
                };
                is_import && wanted.contains(&self.name(symbol))
            })
        })
    }

    /// The name of a symbol of the object.
    fn name(&self, symbol: *const Symbol) -> &CStr {
        // SAFETY: an entry of the object's table of symbols: its name is a place in the table of
        // names, and ends in NUL.
        unsafe { CStr::from_ptr(self.names.add((*symbol).name as usize)) }
    }
}

/// The hash that GNU hash tables are made with.
fn gnu_hash(name: &CStr) -> u32 {
    let add = |hash: u32, byte: &u8| hash.wrapping_mul(33).wrapping_add(u32::from(*byte));
    name.to_bytes().iter().fold(5381, add)
}
