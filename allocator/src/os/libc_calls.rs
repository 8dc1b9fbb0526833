//! The C library and the process's threads: the functions that start a thread, and whether the
//! process has threads.
//!
//! The functions are found once, when this code is loaded, in the C library itself (`own_libc`): a
//! program or a preloaded library may define a function of the same name that takes a lock and
//! allocates. In a statically linked program there is one of each name, which is called.
//!
//! The state is a few words, written while the process has one thread or as flags. No locks.
//! Starting the background thread is the business of `own_thread`.

use super::caller;
use super::elf::weak_address;
use super::linux::process_number;
use super::own_libc::Function;
use crate::sync::{AtomicU32, Ordering};
use core::ffi::{c_int, c_void};
use core::mem::{MaybeUninit, transmute};

/// Attributes of a thread to be made, opaque to us.
#[repr(C, align(16))]
pub struct PthreadAttr(MaybeUninit<[u8; 128]>);

const _: () = assert!(size_of::<PthreadAttr>() >= size_of::<libc::pthread_attr_t>());

impl PthreadAttr {
    /// Memory for attributes.
    pub const fn new() -> Self {
        Self(MaybeUninit::zeroed())
    }
}

type ThreadBody = extern "C" fn(*mut c_void) -> *mut c_void;
type Create = unsafe extern "C" fn(
    *mut libc::pthread_t,
    *const PthreadAttr,
    ThreadBody,
    *mut c_void,
) -> c_int;
type OfAttr = unsafe extern "C" fn(*mut PthreadAttr) -> c_int;
type SetDetachState = unsafe extern "C" fn(*mut PthreadAttr, c_int) -> c_int;
type SetStackSize = unsafe extern "C" fn(*mut PthreadAttr, usize) -> c_int;

/// The functions that make a thread.
pub struct Pthread {
    /// `pthread_create`.
    pub create: Create,
    /// `pthread_attr_init`.
    pub attr_init: OfAttr,
    /// `pthread_attr_setdetachstate`.
    pub attr_setdetachstate: SetDetachState,
    /// `pthread_attr_setstacksize`.
    pub attr_setstacksize: SetStackSize,
    /// `pthread_attr_destroy`.
    pub attr_destroy: OfAttr,
}

static CREATE: Function = Function::new(c"pthread_create");
static ATTR_INIT: Function = Function::new(c"pthread_attr_init");
static ATTR_SETDETACHSTATE: Function = Function::new(c"pthread_attr_setdetachstate");
static ATTR_SETSTACKSIZE: Function = Function::new(c"pthread_attr_setstacksize");
static ATTR_DESTROY: Function = Function::new(c"pthread_attr_destroy");

/// 1 where the C library goes on to say that there are several threads and there were none since:
/// in a forked child of a process with threads, and where the program's last second thread has
/// ended. Relaxed: a flag that says what was, and guards nothing.
static FLAG_IS_OLD: AtomicU32 = AtomicU32::new(0);

/// The number of the process that loaded this code, or of the forked child that it is now. Relaxed:
/// a number by itself, written while the process has one thread.
static PROCESS: AtomicU32 = AtomicU32::new(0);

/// Finds everything. Called when this code is loaded.
pub fn find() {
    // Relaxed, here and below: a number by itself, written before the process has a second thread.
    PROCESS.store(process_number(), Ordering::Relaxed);
    caller::find(pthread().map_or(0, |functions| functions.create as usize));
}

/// The functions that make a thread; `None` where the process can have none.
pub fn pthread() -> Option<Pthread> {
    let create = CREATE.address(weak_address!(used_by_std "pthread_create"));
    let attr_init = ATTR_INIT.address(weak_address!(used_by_std "pthread_attr_init"));
    let attr_setdetachstate =
        ATTR_SETDETACHSTATE.address(weak_address!(used_by_std "pthread_attr_setdetachstate"));
    let attr_setstacksize =
        ATTR_SETSTACKSIZE.address(weak_address!(used_by_std "pthread_attr_setstacksize"));
    let attr_destroy = ATTR_DESTROY.address(weak_address!(used_by_std "pthread_attr_destroy"));
    if [create, attr_init, attr_setdetachstate, attr_setstacksize, attr_destroy].contains(&0) {
        return None;
    }
    // SAFETY: none is 0, so these are functions of these names, whose types POSIX fixes. Attributes
    // are passed by address, in memory that is larger than any C library needs.
    unsafe {
        Some(Pthread {
            create: transmute::<usize, Create>(create),
            attr_init: transmute::<usize, OfAttr>(attr_init),
            attr_setdetachstate: transmute::<usize, SetDetachState>(attr_setdetachstate),
            attr_setstacksize: transmute::<usize, SetStackSize>(attr_setstacksize),
            attr_destroy: transmute::<usize, OfAttr>(attr_destroy),
        })
    }
}

/// Whether the caller runs in the process that loaded this code, or in a forked child whose `fork`
/// handlers ran: not in one that shares its parent's memory (`vfork`), nor in one that was made by
/// a system call.
pub fn is_loading_process() -> bool {
    // Relaxed: a number by itself, written before the process has a second thread.
    PROCESS.load(Ordering::Relaxed) == process_number()
}

/// What is known of the program's threads: one of the following. Relaxed: it says what was, and
/// guards nothing.
static HAD_THREADS: AtomicU32 = AtomicU32::new(ONE);
/// No two threads have allocated.
const ONE: u32 = 0;
/// Two have.
const SEVERAL: u32 = 1;
/// Two may have, but there is one left.
const ONE_LEFT: u32 = 2;

/// Notes whether two threads of this process allocated.
pub fn note_threads(had: bool) {
    HAD_THREADS.store(if had { SEVERAL } else { ONE }, Ordering::Relaxed);
}

/// Notes that the program has one thread left. The next one that allocates counts again; one that
/// never does is not noticed.
pub fn note_one_left() {
    HAD_THREADS.store(ONE_LEFT, Ordering::Relaxed);
    distrust_flag();
}

/// Whether that was noted, and no second thread has allocated since.
pub fn has_one_left() -> bool {
    HAD_THREADS.load(Ordering::Relaxed) == ONE_LEFT
}

/// Whether two threads of this process allocated. A forked child begins anew, as does a program
/// that has one thread left.
#[inline]
pub fn had_threads() -> bool {
    HAD_THREADS.load(Ordering::Relaxed) == SEVERAL
}

/// Whether the program has made a thread since it last had one alone, as far as is known.
pub fn has_threads() -> bool {
    had_threads() || is_single_threaded() == Some(false)
}

/// Whether the C library says that the process never had a second thread, or has none any more;
/// `None` where it does not tell, or goes on to tell of threads that are gone.
pub fn is_single_threaded() -> Option<bool> {
    let flag = weak_address!("__libc_single_threaded") as *const u8;
    let says = if flag.is_null() {
        never_had_threads()
    } else {
        // SAFETY: a variable of the C library, which is never unmapped. Other threads may write its
        // one byte; volatile, so that it is read now.
        Some(unsafe { flag.read_volatile() } != 0)
    };
    says.filter(|&single| single || FLAG_IS_OLD.load(Ordering::Relaxed) == 0)
}

/// The same as far as glibc before 2.32 tells, which has no such variable: whether the calling
/// thread has neither made a thread nor been made. glibc notes that for itself in the calling
/// thread's control block, the word `multiple_threads`, which stays set. Cold there, and never
/// reached elsewhere.
#[cold]
#[inline(never)]
fn never_had_threads() -> Option<bool> {
    #[cfg(all(target_arch = "x86_64", target_pointer_width = "64"))]
    if is_glibc() {
        let noted: u32;
        // SAFETY: reads the word at 24 of `tcbhead_t`, which every thread of glibc has, and which
        // only the thread itself writes.
        unsafe {
            core::arch::asm!(
                "mov {:e}, dword ptr fs:[24]",
                out(reg) noted,
                options(readonly, nostack, preserves_flags),
            );
        }
        return Some(noted == 0);
    }
    None
}

/// Whether the C library is glibc.
pub fn is_glibc() -> bool {
    weak_address!("gnu_get_libc_version") != 0
}

/// Whether this is in the C library, which exports `malloc` to everybody, the C library itself
/// included. It defines the symbol (`stratalloc-capi`), Rust programs do not.
pub fn is_in_c_library() -> bool {
    weak_address!("stratalloc_hooks_exit_0_1") != 0
}

/// Notes that what the C library says now, if it speaks of several threads, says nothing.
fn distrust_flag() {
    if is_single_threaded() == Some(false) {
        FLAG_IS_OLD.store(1, Ordering::Relaxed);
    }
}

/// In a forked child.
pub fn reset_in_child() {
    distrust_flag();
    PROCESS.store(process_number(), Ordering::Relaxed);
}
