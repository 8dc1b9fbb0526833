//! The handler of `SIGSEGV`: a fault in the pool is reported; any other goes to whoever handled the
//! signal before us, or ends the process as it would have without us.
//!
//! A program, or the Rust runtime, may set a handler of its own later. Each new guarded block looks
//! whether ours is still there, and if not, takes the signal again and hands on to the new one.
//! Such a handler may in turn hand on to ours, which was there before it: that is noticed, and the
//! very first one gets its turn.

use super::pool;
use super::report::{self, Trace};
use crate::os::linux::send_to_this_thread;
use crate::os::signals::{self, Action};
use crate::page::metadata::{Kind, METADATA, note_used};
use crate::profile::unwind::Registers;
use crate::sync::{AtomicUsize, Ordering, UnsafeCell};
use core::ffi::{c_int, c_void};

struct Kept(UnsafeCell<Action>);

// SAFETY: written before our handler is installed, and later only where another one was found in
// its place, by one thread at a time (`TAKING`).
unsafe impl Sync for Kept {}

/// What was there before us.
static FIRST: Kept = Kept(UnsafeCell::new(Action::DEFAULT));
/// What we hand on to.
static PREVIOUS: Kept = Kept(UnsafeCell::new(Action::DEFAULT));

/// 1 while a thread looks at the handler. Acquire and Release: the next one sees what it wrote.
static TAKING: AtomicUsize = AtomicUsize::new(0);

/// The `siginfo_t` that was handed on last, and where on its stack our handler was. Relaxed: only
/// compared.
static HANDED_INFO: AtomicUsize = AtomicUsize::new(0);
static HANDED_FRAME: AtomicUsize = AtomicUsize::new(0);

fn address() -> usize {
    on_fault as extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) as usize
}

/// Takes the signal. Returns whether there was memory for the stack.
pub fn install() -> bool {
    let Some(stack) = METADATA.allocate_table(STACK_BYTES) else { return false };
    note_used(Kind::Profiles, STACK_BYTES);
    STACK.store(stack, Ordering::Relaxed);
    keep();
    // SAFETY: `keep` has just written the one, and nobody reads the other yet.
    unsafe { *FIRST.0.get() = *PREVIOUS.0.get() };
    true
}

/// Takes the signal unless we have it.
pub fn keep() {
    if TAKING.swap(1, Ordering::Acquire) != 0 {
        return;
    }
    if let Some(before) = signals::action(libc::SIGSEGV)
        && before.handler != address()
    {
        // On a stack of its own where the program has one for signals; with the mask that the one
        // before had.
        let deferral = before.flags as c_int & libc::SA_NODEFER;
        let flags = libc::SA_SIGINFO | libc::SA_ONSTACK | deferral;
        // SAFETY: this thread alone writes (`TAKING`), and our handler, which reads, is not
        // installed. It is a function of this library, which is never unloaded.
        unsafe {
            *PREVIOUS.0.get() = before;
            signals::set_action(libc::SIGSEGV, &before.with_handler(address(), flags));
        }
    }
    TAKING.store(0, Ordering::Release);
}

extern "C" fn on_fault(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: what the kernel hands to a handler with SA_SIGINFO.
    let (code, addr) = unsafe { ((*info).si_code, (*info).si_addr() as usize) };
    // Codes of 0 and less: some process sent the signal, and there is no address.
    if code > 0 && pool::owns(addr) && pool::is_used(addr) {
        // Whoever comes second waits for the end, which the first one brings.
        while REPORTING.swap(1, Ordering::Relaxed) != 0 {
            core::hint::spin_loop();
        }
        let fault = Fault { addr, context: context.cast() };
        // SAFETY: a stack that nobody uses, and what it is given outlives the call, which does not
        // return.
        unsafe { call_on(STACK.load(Ordering::Relaxed) + STACK_BYTES, &fault) }
    }
    hand_on(signal, info, context);
}

/// What the report needs to know.
struct Fault {
    addr: usize,
    context: *const libc::ucontext_t,
}

/// The stack of the report: those that programs have for signals may be very small. 0 before
/// `install`.
static STACK: AtomicUsize = AtomicUsize::new(0);
const STACK_BYTES: usize = 128 * 1024;
/// 1 once a thread reports. Relaxed: it never goes back.
static REPORTING: AtomicUsize = AtomicUsize::new(0);

/// Calls `report_fault` on the stack that ends at `stack`.
///
/// # Safety
/// Nobody else uses the stack.
unsafe fn call_on(stack: usize, fault: &Fault) -> ! {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the stack is aligned to a page, so that it is aligned at the call; this frame stays
    // as it is.
    unsafe {
        core::arch::asm!(
            "mov rsp, {stack}",
            "xor ebp, ebp",
            "call {report}",
            "ud2",
            stack = in(reg) stack,
            report = in(reg) report_fault as extern "C" fn(&Fault) -> !,
            in("rdi") fault,
            options(noreturn),
        )
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: the stack is aligned to a page, so that it is aligned at the call; this frame stays
    // as it is.
    unsafe {
        core::arch::asm!(
            "mov sp, {stack}",
            "mov x29, xzr",
            "blr {report}",
            "brk 1",
            stack = in(reg) stack,
            report = in(reg) report_fault as extern "C" fn(&Fault) -> !,
            in("x0") fault,
            options(noreturn),
        )
    }
}

extern "C" fn report_fault(fault: &Fault) -> ! {
    // SAFETY: the third argument of the handler is a `ucontext_t`, which lies on the stack that it
    // left.
    let (registers, access) = interrupted(unsafe { &*fault.context });
    let at = Trace::interrupted(registers);
    match pool::nearest(fault.addr) {
        Some(block) => report::fault(fault.addr, access, &block, &at),
        None => report::not_a_block(fault.addr, access, &at),
    }
}

/// The registers at the fault, and whether it read or wrote.
#[cfg(target_arch = "x86_64")]
fn interrupted(context: &libc::ucontext_t) -> (Registers, &'static str) {
    let register = |index: c_int| context.uc_mcontext.gregs[index as usize] as usize;
    // Bit 1 of the processor's error code.
    let wrote = register(libc::REG_ERR) & 2 != 0;
    let registers = Registers {
        pc: register(libc::REG_RIP),
        sp: register(libc::REG_RSP),
        fp: register(libc::REG_RBP),
    };
    (registers, if wrote { "write" } else { "read" })
}

/// The registers at the fault; what it did is not told.
#[cfg(target_arch = "aarch64")]
fn interrupted(context: &libc::ucontext_t) -> (Registers, &'static str) {
    let machine = &context.uc_mcontext;
    let registers = Registers {
        pc: machine.pc as usize,
        sp: machine.sp as usize,
        fp: machine.regs[29] as usize,
    };
    (registers, "access")
}

/// What would have happened without us.
fn hand_on(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    let marker = 0_u8;
    let frame = &raw const marker as usize;
    // A handler that hands on to us calls from above, with what it got from us.
    let comes_back = HANDED_INFO.swap(info as usize, Ordering::Relaxed) == info as usize
        && HANDED_FRAME.load(Ordering::Relaxed) > frame;
    HANDED_FRAME.store(frame, Ordering::Relaxed);
    // SAFETY: written before this handler was installed, or see `Kept`.
    let previous = unsafe { if comes_back { *FIRST.0.get() } else { *PREVIOUS.0.get() } };
    match previous.handler {
        libc::SIG_DFL | libc::SIG_IGN => {
            // SAFETY: the action that was there. The fault comes again when this returns, or the
            // signal, if it was sent, is sent once more: the kernel holds it back until then.
            unsafe {
                signals::set_action(signal, &previous);
                if (*info).si_code <= 0 && previous.handler == libc::SIG_DFL {
                    send_to_this_thread(signal);
                }
            }
        }
        handler if previous.flags as c_int & libc::SA_SIGINFO != 0 => {
            type Handler = extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void);
            // SAFETY: with this flag the address is that of such a function.
            unsafe { core::mem::transmute::<usize, Handler>(handler)(signal, info, context) }
        }
        handler => {
            // SAFETY: without the flag the address is that of such a function.
            unsafe { core::mem::transmute::<usize, extern "C" fn(c_int)>(handler)(signal) }
        }
    }
}
