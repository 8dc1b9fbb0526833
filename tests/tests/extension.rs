//! The allocator's controls and figures by every face (C1.5, C3.3 to C3.7): gperftools' names in C
//! and C++, jemalloc's `mallctl`, and Rust.

use std::time::Duration;

use stratalloc::{MallocExtension, Ownership, Property};
use stratalloc_tests::compile::{Link, command, run_cases};
use stratalloc_tests::process::{exclusive, run};

const LIMIT: Duration = Duration::from_secs(120);

#[test]
fn c_names_control_and_tell_when_linked() {
    run_cases("extension.c", Link::Shared, LIMIT);
}

#[test]
fn c_names_control_and_tell_when_linked_statically() {
    run_cases("extension.c", Link::Static, LIMIT);
}

#[test]
fn the_class_controls_and_tells_when_linked() {
    let _alone = exclusive();
    run_cases("extension.cpp", Link::Shared, LIMIT);
}

#[test]
fn the_class_controls_and_tells_when_linked_statically() {
    let _alone = exclusive();
    run_cases("extension.cpp", Link::Static, LIMIT);
}

/// glibc's own heap leaves 3 % behind here; the other allocators that the documents name leave it
/// all.
#[test]
fn scattered_free_memory_goes_back_when_preloaded() {
    let _alone = exclusive();
    run_cases("extension_release.c", Link::Preload, LIMIT);
}

#[test]
fn scattered_free_memory_goes_back_when_linked() {
    let _alone = exclusive();
    run_cases("extension_release.c", Link::Shared, LIMIT);
}

/// The document's program runs unmodified on the preloaded library, and linked.
#[test]
fn the_documents_example_agrees_with_its_own_count() {
    for link in [Link::Preload, Link::Shared, Link::Static] {
        run_cases("extension_document.c", link, LIMIT);
    }
}

#[test]
fn rust_sees_the_same_controls() {
    let layout = std::alloc::Layout::from_size_align(5000, 16).expect("a layout");
    // SAFETY: the layout has a size; the block is given back below, with the same layout.
    let block = unsafe { std::alloc::GlobalAlloc::alloc(&stratalloc::Stratalloc, layout) };
    assert!(!block.is_null());
    assert_eq!(MallocExtension::ownership(block), Ownership::Owned);
    assert_eq!(MallocExtension::ownership((&raw const layout).cast()), Ownership::NotOwned);
    // SAFETY: a live block of this allocator.
    let size = unsafe { MallocExtension::allocated_size(block) };
    assert_eq!(size, MallocExtension::estimated_allocated_size(5000));
    assert!(stratalloc::block_histogram().counts[12] >= 1, "5,000 is between 2^12 and 2^13");
    assert!(MallocExtension::numeric_property(Property::CurrentAllocated) >= Some(size));
    // SAFETY: a live block of this allocator, and then a freed one.
    unsafe {
        assert!(MallocExtension::verify_malloc_memory(block));
        std::alloc::GlobalAlloc::dealloc(&stratalloc::Stratalloc, block, layout);
        assert!(!MallocExtension::verify_malloc_memory(block));
    }
    MallocExtension::mark_thread_idle();
    assert_eq!(MallocExtension::thread_cache_size(), 0);
    MallocExtension::set_memory_release_rate(4.0);
    assert!((MallocExtension::memory_release_rate() - 4.0).abs() < 1e-9);
    MallocExtension::set_memory_release_rate(f64::NAN);
    assert!((MallocExtension::memory_release_rate() - 4.0).abs() < 1e-9, "not a number, no change");
    assert!(MallocExtension::verify_all_memory());
}

/// Operators look figures up by what they see: a label, an element, a name.
#[test]
fn the_documentation_explains_every_line_and_every_name() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let read =
        |path: &str| std::fs::read_to_string(root.join(path)).expect("a text of the project");
    let documentation = read("docs/stats.md");
    let explained = |word: &str| documentation.contains(&format!("`{word}`"));

    let printed = run(command("extension_document.c", Link::Preload), LIMIT).expect_success();
    let errors = printed.errors();
    let lines = errors.lines().filter_map(|line| line.split_once('='));
    let labels: Vec<&str> = lines.map(|(label, _)| label.trim()).collect();
    assert!(labels.len() > 20, "{errors}");
    for label in labels {
        assert!(explained(label), "docs/stats.md does not explain the line {label:?}");
    }

    let mut info = command("info.c", Link::Preload);
    info.arg("print_info");
    let xml = run(info, LIMIT).expect_success().text();
    for tag in xml.lines().filter(|line| !line.starts_with("</")) {
        let start = tag.split(" size").next().unwrap_or(tag).split(" count").next().unwrap_or(tag);
        let start = start.split(" version=\"0").next().unwrap_or(start);
        assert!(documentation.contains(start), "docs/stats.md does not explain {start}");
    }

    let headers = read("allocator/capi/include/gperftools/malloc_extension_c.h");
    let prefixes = ["generic.", "tcmalloc.", "stratalloc."];
    let word = |c: char| !(c.is_ascii_alphanumeric() || c == '.' || c == '_');
    let names = headers.split(word).map(|name| name.trim_end_matches('.'));
    let names: Vec<&str> = names
        .filter(|name| {
            prefixes.iter().any(|prefix| name.len() > prefix.len() && name.starts_with(prefix))
        })
        .filter(|name| *name != "stratalloc.h")
        .collect();
    assert!(names.len() > 20, "{names:?}");
    for name in names {
        assert!(explained(name), "docs/stats.md does not explain {name}");
    }
}
