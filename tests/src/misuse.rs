//! The one table of what the library says about misuse.
//!
//! A report is one line on stderr that has [`PREFIX`], the kind and the pointer in hexadecimal, and
//! `SIGABRT` follows. `allocator/src/front/misuse.rs` lists the texts. The cases are those of
//! `tests/programs/misuse.c`; a case may be reported under more than one kind where the
//! allocator may see it in more than one place. Change texts here and nowhere else.

/// What every report starts with.
pub const PREFIX: &str = "stratalloc: ";

/// A block was given back twice.
pub const DOUBLE_FREE: &str = "double free";
/// The address lies in no memory of this allocator that is in use.
pub const FOREIGN: &str = "was not allocated by this allocator";
/// The address lies inside a block, or where no block starts.
pub const INTERIOR: &str = "into the middle of a block";
/// The same, seen when the address comes home from a cache.
pub const INTERIOR_LATE: &str = "does not point to the start of a block";

/// One misuse: the name of the case in `misuse.c` and the kinds that may report it.
pub struct Case {
    /// Argument for the program.
    pub name: &'static str,
    /// Acceptable kinds.
    pub kinds: &'static [&'static str],
}

const fn case(name: &'static str, kinds: &'static [&'static str]) -> Case {
    Case { name, kinds }
}

/// Every misuse that must be reported.
pub const CASES: &[Case] = &[
    case("double_free_in_a_row", &[DOUBLE_FREE]),
    case("double_free_another_between", &[DOUBLE_FREE]),
    case("double_free_of_each_size", &[DOUBLE_FREE]),
    case("double_free_aligned", &[DOUBLE_FREE]),
    case("double_free_across_threads", &[DOUBLE_FREE]),
    case("double_free_large", &[DOUBLE_FREE, FOREIGN]),
    case("double_free_huge", &[DOUBLE_FREE, FOREIGN]),
    case("double_free_while_diverted", &[DOUBLE_FREE]),
    case("double_free_after_forged_marks", &[DOUBLE_FREE]),
    case("free_stack", &[FOREIGN]),
    case("free_static", &[FOREIGN]),
    case("free_foreign_mapping", &[FOREIGN]),
    case("free_wild_address", &[FOREIGN]),
    case("free_interior_small_16", &[INTERIOR, INTERIOR_LATE]),
    case("free_interior_small_8", &[INTERIOR, INTERIOR_LATE]),
    case("free_interior_large", &[INTERIOR, FOREIGN]),
    case("realloc_foreign", &[FOREIGN]),
    case("realloc_freed_large", &[DOUBLE_FREE, FOREIGN]),
    case("usable_size_foreign", &[FOREIGN]),
];
