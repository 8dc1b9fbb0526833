//! Branch hints on stable Rust: a call to a cold function marks the branch that makes it.

#[cold]
#[inline(always)]
const fn cold_path() {}

/// `condition`, laid out by the compiler as if it were rarely true.
#[inline(always)]
pub const fn unlikely(condition: bool) -> bool {
    if condition {
        cold_path();
    }
    condition
}
