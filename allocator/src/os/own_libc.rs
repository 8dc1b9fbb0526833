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

/// glibc, if this object is in the same list as it.
fn libc_of_this_object() -> Option<&'static Object> {
    let (debug, own) = linked();
    // SAFETY: null or the dynamic linker's variable.
    let mut next = unsafe { debug.as_ref() }?.first;
    let (mut libc, mut own_seen) = (None, false);
    // SAFETY: the linker's list. Objects that were there from the start stay, and this one stays while its
    // code runs. One that is opened is appended, and one that is closed can only be met by an object that
    // was opened later; the constructor of that asks first (`pthread::LOOK`), while the linker's own lock is held.
    while let Some(object) = unsafe { next.as_ref() } {
        own_seen |= !own.is_null() && object.dynamic == own;
        if libc.is_none() && !object.name.is_null() {
            // SAFETY: a name that a NUL ends.
            let path = unsafe { CStr::from_ptr(object.name) }.to_bytes();
            let file = path.rsplit(|&byte| byte == b'/').next().unwrap_or(path);
            libc = file.starts_with(b"libc.so.").then_some(object);
        }
        if own_seen && libc.is_some() {
            return libc;
        }
        next = object.next;
    }
    None
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
}
