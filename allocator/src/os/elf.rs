//! Looking a function up in an object that the dynamic loader has mapped, without the loader: by the object's own
//! tables, so that nobody can stand in for the name and nothing is locked or allocated.

use core::ffi::{CStr, c_char};
use core::mem::offset_of;

/// An entry of the dynamic section.
#[repr(C)]
struct Entry {
    tag: isize,
    value: usize,
}

const TAG_END: isize = 0;
const TAG_STRINGS: isize = 5;
const TAG_SYMBOLS: isize = 6;
const TAG_GNU_HASH: isize = 0x6fff_fef5;
const TAG_VERSIONS: isize = 0x6fff_fff0;

/// Bit of a symbol's version: older, for programs that were linked against it.
const HIDDEN_VERSION: u16 = 1 << 15;

/// The head of the hash table that GNU linkers make.
#[repr(C)]
struct HashHead {
    buckets: u32,
    first: u32,
    filter_words: u32,
    filter_shift: u32,
}

/// What the dynamic loader says of an object: the beginning of its `struct link_map`.
#[repr(C)]
struct LinkMap {
    base: usize,
    name: *const c_char,
    dynamic: *const Entry,
    next: *const LinkMap,
}

/// The beginning of the loader's `struct r_debug`.
#[repr(C)]
struct LoaderDebug {
    version: i32,
    first: *const LinkMap,
}

const _: () = assert!(offset_of!(LoaderDebug, first) == size_of::<usize>());

/// The tables of an object.
#[derive(Clone, Copy)]
pub struct Object {
    base: usize,
    strings: *const c_char,
    symbols: *const libc::Elf64_Sym,
    hash: *const HashHead,
    versions: *const u16,
}

impl Object {
    /// The object with the file name `file`, as the loader's variable `_r_debug` at `debug` lists it.
    ///
    /// # Safety
    /// `debug` is the address of that variable, and the list does not change meanwhile.
    pub unsafe fn loaded(debug: usize, file: &[u8]) -> Option<Self> {
        // SAFETY: by the caller's word; the nodes begin with these fields in every version of the interface, and
        // names are null or end with NUL.
        unsafe {
            let mut node = (*(debug as *const LoaderDebug)).first;
            while !node.is_null() {
                let name = (*node).name;
                if !name.is_null() && is_file(CStr::from_ptr(name), file) {
                    return Self::of((*node).base, (*node).dynamic);
                }
                node = (*node).next;
            }
        }
        None
    }

    /// The object that is mapped at `base`, with its dynamic section.
    ///
    /// # Safety
    /// The section is there and complete.
    unsafe fn of(base: usize, dynamic: *const Entry) -> Option<Self> {
        let mut found = [0; 4];
        let mut entry = dynamic;
        // SAFETY: by the caller's word: entries up to the one that ends the section.
        unsafe {
            while !entry.is_null() && (*entry).tag != TAG_END {
                let place = match (*entry).tag {
                    TAG_STRINGS => 0,
                    TAG_SYMBOLS => 1,
                    TAG_GNU_HASH => 2,
                    TAG_VERSIONS => 3,
                    _ => found.len(),
                };
                if let Some(found) = found.get_mut(place) {
                    // The loader writes addresses over the distances from `base`, where the section can be written.
                    let value = (*entry).value;
                    *found = if value < base { base + value } else { value };
                }
                entry = entry.add(1);
            }
        }
        let [strings, symbols, hash, versions] = found;
        (strings != 0 && symbols != 0 && hash != 0).then_some(Self {
            base,
            strings: strings as *const c_char,
            symbols: symbols as *const libc::Elf64_Sym,
            hash: hash as *const HashHead,
            versions: versions as *const u16,
        })
    }

    /// The address of the object's function `name`, in its newest version.
    pub fn function(&self, name: &CStr) -> Option<usize> {
        let wanted = name
            .to_bytes()
            .iter()
            .fold(5381_u32, |hash, &byte| hash.wrapping_mul(33).wrapping_add(u32::from(byte)));
        // SAFETY: the tables are those of a mapped object, and are walked as the format says: behind the head the
        // filter, the buckets, and a word for each symbol from `first` on, the last of a bucket with bit 0 set.
        unsafe {
            let head = &*self.hash;
            let filter = self.hash.add(1).cast::<usize>();
            let buckets = filter.add(head.filter_words as usize).cast::<u32>();
            let chain = buckets.add(head.buckets as usize);
            let mut index = *buckets.add((wanted % head.buckets.max(1)) as usize);
            while index >= head.first && index != 0 {
                let hash = *chain.add((index - head.first) as usize);
                if hash | 1 == wanted | 1
                    && let Some(address) = self.address_if(index as usize, name)
                {
                    return Some(address);
                }
                if hash & 1 != 0 {
                    return None;
                }
                index += 1;
            }
        }
        None
    }

    /// The address of the symbol with number `index`, if it is a function `name` that is defined here.
    ///
    /// # Safety
    /// There is such a symbol.
    unsafe fn address_if(&self, index: usize, name: &CStr) -> Option<usize> {
        /// An ordinary function: not one that has to be called to learn the address.
        const FUNCTION: u8 = 2;
        // SAFETY: by the caller's word; strings end with NUL, and versions, if any, are as many as symbols.
        unsafe {
            let symbol = &*self.symbols.add(index);
            let is_old =
                !self.versions.is_null() && *self.versions.add(index) & HIDDEN_VERSION != 0;
            let fits = symbol.st_info & 0xf == FUNCTION
                && symbol.st_shndx != 0
                && !is_old
                && CStr::from_ptr(self.strings.add(symbol.st_name as usize)) == name;
            fits.then(|| self.base.wrapping_add(symbol.st_value as usize))
        }
    }
}

/// Whether the path `name` ends with the file name `file`.
fn is_file(name: &CStr, file: &[u8]) -> bool {
    name.to_bytes().strip_suffix(file).is_some_and(|folder| folder.ends_with(b"/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    unsafe extern "C" {
        static _r_debug: LoaderDebug;
    }

    /// What is found is what the loader finds, and what is not there is not found.
    #[test]
    fn functions_are_found_as_the_loader_finds_them() {
        // SAFETY: the loader's variable; no test opens an object.
        let object = unsafe { Object::loaded((&raw const _r_debug) as usize, b"libc.so.6") };
        let object = object.expect("glibc is loaded");
        for name in [c"pthread_create", c"malloc_usable_size", c"pthread_attr_init", c"qsort"] {
            // SAFETY: a name that a NUL ends.
            let loaders = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
            assert_eq!(object.function(name), Some(loaders as usize), "{name:?}");
        }
        assert_eq!(object.function(c"there_is_no_such_function"), None);
        assert!(
            !is_file(c"/lib/mylibc.so.6", b"libc.so.6") && is_file(c"/lib/libc.so.6", b"libc.so.6")
        );
    }
}
