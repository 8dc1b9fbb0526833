//! What `free` does in all builds but the hardened one: a block goes straight into the calling
//! thread's loaded magazine, whose class the page map or the caller says.
//!
//! The twin of `hardened`: both have the same functions, and `front::mod` chooses one of them as
//! `caching`. Nothing here takes a lock. Which pointers are blocks at all is not decided here:
//! class 0 has no room in any magazine, so that a foreign pointer is left to `free_slow`.

use super::lookup::mapped_class_of;
use super::misuse;
use crate::base::hint::unlikely;
use crate::central::chain::FreeObject;
use crate::central::shared_pages;
use crate::page::size_class::{MappedClass, SizeClass};
use crate::thread_cache::{flush, own_counter, push_target, push_target_sized, registry};

/// What is known of a block before the hot path takes it: its class, as the page map has it.
pub type LookedUp = MappedClass;

/// Looks up what `take_back` wants to know of `block`.
#[inline(always)]
pub fn look_up(block: *mut u8) -> LookedUp {
    mapped_class_of(block)
}

/// The class that `look_up` found for `block`, by the number of what it returned.
///
/// # Safety
/// `index` is what `LookedUp::index` said.
#[inline(always)]
pub unsafe fn class_looked_up(_block: *mut u8, index: usize) -> SizeClass {
    // SAFETY: the caller has `index` from a `MappedClass`, which fits into a byte.
    unsafe { MappedClass::from_byte_unchecked(index as u8) }.class()
}

/// Puts `block` into the loaded magazine of its class, if that has room. Returns whether it did.
///
/// # Safety
/// The caller gives `block` up, and `mapped` is what `look_up` said of it.
#[inline(always)]
pub unsafe fn take_back(block: *mut u8, mapped: LookedUp) -> bool {
    // SAFETY: `push_target` is for the page map's numbers, and `mapped` is the one of `block`,
    // which the caller gives up. Foreign pointers and null have class 0, for which no magazine has
    // room.
    unsafe { push_target().push(mapped, block) }
}

/// Puts `block`, of `class` as the caller says, into the loaded magazine of that class, if that has
/// room. Returns whether it did.
///
/// # Safety
/// `block` is one of `class`, and the caller gives it up.
#[inline(always)]
pub unsafe fn take_back_sized(class: SizeClass, block: *mut u8) -> bool {
    // SAFETY: `push_target_sized` is for classes' own numbers, as `MappedClass::first` gives them.
    // The caller gives up `block`, which is one of `class`.
    unsafe { push_target_sized().push(MappedClass::first(class), block) }
}

/// As [`take_back_sized`], in a thread that samples, where the block's address alone says that it
/// is neither sampled nor guarded.
///
/// # Safety
/// As [`take_back_sized`]; `class` is not 0.
#[inline(always)]
pub unsafe fn take_back_trusted(class: SizeClass, block: *mut u8) -> bool {
    // SAFETY: the caller gives up `block`, which is one of `class` and not sampled, as its address
    // says. The push target of a thread that samples takes class aliases.
    registry::is_trusted(block) && unsafe { push_target().push_alias(class.index(), block) }
}

/// Looks `block` up, which its owner takes for one of `class`, and puts it into the cache if the
/// page map says so too. Returns whether it did.
///
/// # Safety
/// The caller gives `block` up.
#[inline(always)]
pub unsafe fn take_back_compared(class: SizeClass, block: *mut u8) -> bool {
    let mapped = look_up(block);
    if mapped.class() != class {
        // SAFETY: the caller gives `block` up, and it is one of `class` if it is taken.
        return mapped.class() == SizeClass::SHARED && unsafe { take_back_shared(class, block) };
    }
    // SAFETY: the caller gives `block` up, and `mapped` was just looked up.
    unsafe { take_back(block, mapped) }
}

/// Puts a block of a shared page into the magazine of its own size, as a thread does that does not
/// sample, if the calling one samples, its owner says the right size, and there is room. Returns
/// whether it did.
///
/// # Safety
/// The caller gives `block` up, which lies on a shared page.
#[cold]
unsafe fn take_back_shared(class: SizeClass, block: *mut u8) -> bool {
    // SAFETY: `block` is one of `class`, as its page says, and the caller gives it up. The push
    // target of a thread that samples takes class aliases, those of all others do not.
    own_counter().is_some()
        && shared_pages::class_at(block as usize) == class
        && unsafe {
            push_target().push_alias(class.index(), block) || flush::push_sampling(class, block)
        }
}

/// Puts `block` into the calling thread's cache where the hot path had no room for it: in a thread
/// that samples, whose budget is renewed, or without its mark where marks say nothing any more.
/// Returns whether it did.
///
/// # Safety
/// `class` is that of `block` by the page map, and the caller gives `block` up.
#[inline]
pub unsafe fn take_back_slow(class: SizeClass, block: *mut u8, _caller: usize) -> bool {
    if class == SizeClass::NONE {
        return false;
    }
    // SAFETY: `class` is not 0, so that `block` is a small block of it, which the caller gives up.
    if unlikely(misuse::marks_are_forged()) && unsafe { take_back_marked(class, block) } {
        return true;
    }
    // SAFETY: `block` is a small block of `class` that the caller gives up, and the call above did
    // not take it.
    unsafe { flush::push_sampling(class, block) }
}

/// Takes the mark from a block of `class` that carries one, and puts it into the cache, unless it
/// lies there as the first one. Returns whether it did. Called where programs have forged so many
/// marks that one says nothing any more.
///
/// # Safety
/// The caller gives `block` up, which is one of `class`.
#[cold]
unsafe fn take_back_marked(class: SizeClass, block: *mut u8) -> bool {
    // SAFETY: `block` is the start of an object of `class`, so it has two words. They are the
    // caller's unless the block is free already, and then `is_first` may see that.
    unsafe {
        if !FreeObject::is_marked(block.cast()) || flush::is_first(class, block) {
            return false;
        }
        FreeObject::hand_out(block.cast(), class);
        push_target_sized().push(MappedClass::first(class), block)
    }
}

/// What a block that goes to the shared tiers loses first: nothing in this build.
///
/// # Safety
/// `block` is a live object of `class` that the caller gives up.
#[inline(always)]
pub unsafe fn retire(_class: SizeClass, _block: *mut u8) {}

/// Reads the options of this twin: it has none.
#[inline(always)]
pub fn read_options() {}

/// Checks at the end of the process what only this twin keeps: nothing.
#[inline(always)]
pub fn check_at_exit() {}
