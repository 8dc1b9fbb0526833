//! How to leave the frame at an address, from the unwind tables (`.eh_frame`) of the object that it
//! is in.
//!
//! glibc's `_dl_find_object` (2.35 and later) finds the tables without a lock, also while another
//! thread or this one is inside `dlopen`. `gimli` reads them, and `cfi_row` finds the row for an
//! address. Compilers need few kinds of rules: the caller's stack pointer is the stack or the frame
//! pointer plus a number, and the caller's frame pointer lies at a known distance below. Such a
//! rule is one word, and a table of recent ones by address makes the next walk through the same
//! code cheap. Other rules are not followed.
//!
//! An object that is unloaded leaves its rules in the table; if another is loaded to the same
//! place, walks through it may end early or name wrong callers. They stay safe, as every read is
//! checked.

use super::cfi_row::{Cfa, Row, Saved, row_at};
use super::readable::Reader;
use super::registers::Registers;
use crate::os::elf::weak_address;
use crate::os::own_libc::Function;
use crate::os::reentry::{self, Calls};
use crate::sync::{AtomicUsize, Ordering};
use core::ffi::{CStr, c_char, c_void};
use core::slice;
use gimli::{
    BaseAddresses, EhFrame, EhFrameHdr, EhFrameOffset, EndianSlice, NativeEndian, Operation,
    Pointer, UnwindSection, X86_64,
};

/// A rule: from the registers of a frame to those of its caller.
///
/// | bits | meaning |
/// |---|---|
/// | 0..3 | `Kind` |
/// | 3..32 | offset of the caller's stack pointer from the base register, signed |
/// | 32..64 | offset of the saved frame pointer from that stack pointer, signed; 0: not saved |
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rule(usize);

/// What the caller's stack pointer is computed from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(usize)]
enum Kind {
    /// The stack pointer.
    Sp = 1,
    /// The frame pointer.
    Fp = 2,
    /// The word that lies at the frame pointer plus the offset (stacks realigned by compilers); the
    /// caller's frame pointer lies where this frame's points.
    AtFp = 3,
    /// This is the kernel's return path from a signal handler: registers lie in a `ucontext_t`.
    Signal = 4,
    /// There is no caller.
    End = 5,
    /// The tables know the address, and the rule is none of these.
    Unsupported = 6,
}

impl Rule {
    fn new(kind: Kind, offset: i64, fp_offset: i64) -> Self {
        let fits = (-(1 << 28)..1 << 28).contains(&offset) && i32::try_from(fp_offset).is_ok();
        if !fits {
            return Self(Kind::Unsupported as usize);
        }
        let offset = (offset as usize & ((1 << 29) - 1)) << 3;
        Self(kind as usize | offset | (fp_offset as u32 as usize) << 32)
    }

    /// The registers of the caller of the frame `at`, and whether that frame was a signal
    /// trampoline.
    pub fn apply(self, at: Registers, reader: &mut Reader) -> Option<(Registers, bool)> {
        let offset = (self.0 as u32 as i32 >> 3) as isize;
        let base = match self.0 & 7 {
            kind if kind == Kind::Sp as usize => at.sp,
            kind if kind == Kind::Fp as usize || kind == Kind::AtFp as usize => at.fp,
            kind if kind == Kind::Signal as usize => return signal(at, reader),
            _ => return None,
        };
        let mut sp = base.wrapping_add_signed(offset);
        let realigned = self.0 & 7 == Kind::AtFp as usize;
        if realigned {
            sp = reader.word(sp)?;
        }
        // The return address lies below: a step that does not go up would never end.
        if sp <= at.sp {
            return None;
        }
        let pc = reader.word(sp.checked_sub(8)?)?;
        let fp = match (self.0 >> 32) as u32 as i32 as isize {
            0 if realigned => reader.word(at.fp)?,
            0 => at.fp,
            saved => reader.word(sp.wrapping_add_signed(saved))?,
        };
        Some((Registers { pc, sp, fp }, false))
    }
}

/// What a signal interrupted: the handler returned to a trampoline whose stack pointer names a
/// `ucontext_t`.
fn signal(at: Registers, reader: &mut Reader) -> Option<(Registers, bool)> {
    const REGISTERS: usize = core::mem::offset_of!(libc::ucontext_t, uc_mcontext)
        + core::mem::offset_of!(libc::mcontext_t, gregs);
    let mut register = |index: i32| reader.word(at.sp.checked_add(REGISTERS + 8 * index as usize)?);
    let fp = register(libc::REG_RBP)?;
    let sp = register(libc::REG_RSP)?;
    let pc = register(libc::REG_RIP)?;
    Some((Registers { pc, sp, fp }, true))
}

/// Rules remembered, by address: a power of two.
const CACHE_LEN: usize = 8_192;

/// One entry: the rule, and the address xored with a hash of the rule. Two threads that write it at
/// the same time leave a pair that does not fit together, and so is not found.
struct Entry {
    tag: AtomicUsize,
    rule: AtomicUsize,
}

/// Relaxed throughout: an entry that is seen half or late is not found, or found later.
#[unsafe(link_section = ".bss.stratalloc_large")]
static CACHE: [Entry; CACHE_LEN] =
    [const { Entry { tag: AtomicUsize::new(0), rule: AtomicUsize::new(0) } }; CACHE_LEN];

/// The cache's address and length in bytes.
pub fn table() -> (usize, usize) {
    (CACHE.as_ptr() as usize, size_of_val(&CACHE))
}

fn scramble(word: usize) -> usize {
    let product = word.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    product ^ product >> 29
}

/// The rule at `pc`; `None` if no table knows the address.
pub fn rule(pc: usize) -> Option<Rule> {
    let entry = &CACHE[scramble(pc) & (CACHE_LEN - 1)];
    let known = entry.rule.load(Ordering::Relaxed);
    if known != 0 && entry.tag.load(Ordering::Relaxed) == pc ^ scramble(known) {
        return Some(Rule(known));
    }
    let rule = look_up(pc)?;
    entry.rule.store(rule.0, Ordering::Relaxed);
    entry.tag.store(pc ^ scramble(rule.0), Ordering::Relaxed);
    Some(rule)
}

/// glibc's `struct dl_find_object`.
#[repr(C)]
struct FoundObject {
    flags: u64,
    map_start: usize,
    map_end: usize,
    link_map: *mut c_void,
    eh_frame_hdr: usize,
    reserved: [u64; 7],
}

/// Threads that are in `_dl_find_object`: a function of the program's in its place may allocate,
/// and so ask for the stack that it is called from.
static CALLS: Calls = Calls::new();

/// The object that `pc` is in; `None` also for a thread that is looking for one already.
fn find_object(pc: usize) -> Option<FoundObject> {
    type Find = unsafe extern "C" fn(*mut c_void, *mut FoundObject) -> libc::c_int;
    static FIND: Function = Function::new(c"_dl_find_object");
    let address = FIND.address(weak_address!("_dl_find_object"));
    if address == 0 {
        return None;
    }
    let reentry::Entry::Entered(_inside) = CALLS.enter() else { return None };
    // SAFETY: the function's documented type.
    let find = unsafe { core::mem::transmute::<usize, Find>(address) };
    let mut found = FoundObject {
        flags: 0,
        map_start: 0,
        map_end: 0,
        link_map: core::ptr::null_mut(),
        eh_frame_hdr: 0,
        reserved: [0; 7],
    };
    // SAFETY: a valid target; any address may be asked for.
    let result = unsafe { find(pc as *mut c_void, &raw mut found) };
    let has_table = found.eh_frame_hdr != 0 && found.eh_frame_hdr < found.map_end;
    (result == 0 && has_table).then_some(found)
}

/// The object that `pc` is in: where it was loaded to, and its path, empty for the program itself.
pub fn object_at(pc: usize) -> Option<(usize, &'static CStr)> {
    /// The start of `struct link_map` of `link.h`.
    #[repr(C)]
    struct LinkMap {
        load_address: usize,
        name: *const c_char,
    }
    let object = find_object(pc)?;
    // SAFETY: the dynamic linker's record of a loaded object, which lives as long as that, as its
    // name does.
    unsafe {
        let map = object.link_map.cast::<LinkMap>().as_ref()?;
        (!map.name.is_null()).then(|| (map.load_address, CStr::from_ptr(map.name)))
    }
}

type Bytes = EndianSlice<'static, NativeEndian>;

/// The bytes from `start` to the end of the object.
fn bytes(start: usize, end: usize) -> Bytes {
    // SAFETY: tables of a loaded object, which are mapped read-only for as long as it is loaded; a
    // frame of this thread returns into it. What lies between them and the object's end is not
    // read.
    let bytes = unsafe { slice::from_raw_parts(start as *const u8, end.saturating_sub(start)) };
    EndianSlice::new(bytes, NativeEndian)
}

/// Where the tables describe a function.
struct Place {
    /// The start of `.eh_frame`, and the end of the object.
    start: u64,
    end: usize,
    /// The function's entry.
    offset: EhFrameOffset<usize>,
}

/// The entry for `pc`, which is a little before the function that `pc` is in if no table knows
/// that. A function of its own, so that what it takes of the stack is given back before the entry
/// is read.
#[inline(never)]
fn find_entry(pc: usize) -> Option<Place> {
    let object = find_object(pc)?;
    let end = object.map_end;
    let bases = BaseAddresses::default().set_eh_frame_hdr(object.eh_frame_hdr as u64);
    let hdr = EhFrameHdr::from(bytes(object.eh_frame_hdr, end)).parse(&bases, 8).ok()?;
    let Pointer::Direct(start) = hdr.eh_frame_ptr() else { return None };
    let table = hdr.table()?;
    let entry = table.lookup(pc as u64, &bases).ok()?;
    Some(Place { start, end, offset: table.pointer_to_offset(entry).ok()? })
}

/// Cold: once per address.
#[cold]
#[inline(never)]
fn look_up(pc: usize) -> Option<Rule> {
    let Place { start, end, offset } = find_entry(pc)?;
    let frames = EhFrame::from(bytes(usize::try_from(start).ok()?, end));
    let bases = BaseAddresses::default().set_eh_frame(start);
    let entry = frames.fde_from_offset(&bases, offset, EhFrame::cie_from_offset).ok()?;
    if !entry.contains(pc as u64) {
        return None;
    }
    if entry.is_signal_trampoline() {
        return Some(Rule::new(Kind::Signal, 0, 0));
    }
    let row = row_at(&entry, &frames, &bases, pc as u64)?;
    Some(from_row(&row, &frames).unwrap_or(Rule::new(Kind::Unsupported, 0, 0)))
}

/// A row of the table as a rule; `None` if it is of no supported kind.
fn from_row(row: &Row, frames: &EhFrame<Bytes>) -> Option<Rule> {
    let (kind, offset) = match row.cfa {
        Cfa::At(X86_64::RSP, offset) => (Kind::Sp, offset),
        Cfa::At(X86_64::RBP, offset) => (Kind::Fp, offset),
        Cfa::At(..) | Cfa::Unknown => return None,
        Cfa::Expression(expression) => {
            let mut operations = expression.get(frames).ok()?.operations(entry_encoding());
            let Ok(Some(Operation::RegisterOffset { register: X86_64::RBP, offset, .. })) =
                operations.next()
            else {
                return None;
            };
            let Ok(Some(Operation::Deref { .. })) = operations.next() else { return None };
            (Kind::AtFp, offset)
        }
    };
    match row.ra {
        Saved::At(-8) => {}
        Saved::Lost => return Some(Rule::new(Kind::End, 0, 0)),
        _ => return None,
    }
    let fp_offset = match row.fp {
        Saved::Unknown | Saved::Kept | Saved::Lost => 0,
        Saved::At(offset) => offset,
        // Realigned stacks: the caller's frame pointer lies where this frame's points.
        Saved::Expression if kind == Kind::AtFp => 0,
        Saved::Expression | Saved::Other => return None,
    };
    Some(Rule::new(kind, offset, fp_offset))
}

/// How expressions in `.eh_frame` are encoded on this machine.
const fn entry_encoding() -> gimli::Encoding {
    gimli::Encoding { address_size: 8, format: gimli::Format::Dwarf32, version: 4 }
}
