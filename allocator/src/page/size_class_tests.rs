//! Properties of the size classes: which request gets which, and how their spans fit.

use super::size_class::{MappedClass, SizeClass};
use crate::config::{
    MAX_SMALL, MAX_SPAN_OBJECTS, MAX_SPAN_OS_PAGES, MIN_ALIGN, MIN_SPAN_OBJECTS, OS_PAGE,
    PAGE_SIZE, SHARED_CLASS, SPAN_TARGET_BYTES,
};

#[test]
fn every_small_size_gets_the_smallest_class_that_holds_it() {
    for size in 0..=MAX_SMALL {
        let class = SizeClass::of(size).unwrap();
        assert!(class.size() >= size.max(1), "{size}");
        if class.index() > 1 {
            assert!(
                SizeClass::from_index(class.index() - 1).unwrap().size() < size,
                "{size} fits a smaller class"
            );
        }
    }
    assert_eq!(SizeClass::of(MAX_SMALL + 1), None);
}

#[test]
fn internal_fragmentation_is_at_most_an_eighth_or_the_sixteen_byte_step() {
    for size in 1..=MAX_SMALL {
        let waste = SizeClass::of(size).unwrap().size() - size;
        assert!(waste < 16 || waste * 8 <= size, "{size} wastes {waste}");
    }
}

#[test]
fn class_aliases_stand_for_the_same_classes() {
    for class in SizeClass::all() {
        for mapped in [MappedClass::first(class), MappedClass::alias(class)] {
            assert_eq!((mapped.class(), mapped.size()), (class, class.size()));
        }
        assert_ne!(MappedClass::first(class), MappedClass::alias(class));
    }
    assert_eq!(MappedClass::alias(SizeClass::NONE), MappedClass::first(SizeClass::NONE));
    assert_eq!(MappedClass::first(SizeClass::NONE).size(), 0);
}

#[test]
fn the_last_class_is_the_largest_small_size() {
    assert_eq!(SizeClass::from_index(SHARED_CLASS - 1).unwrap().size(), MAX_SMALL);
    assert_eq!(SizeClass::from_index(1).unwrap().size(), MIN_ALIGN);
}

#[test]
fn the_largest_class_that_fits_is_found_for_every_size() {
    assert_eq!(SizeClass::at_most(MIN_ALIGN - 1), SizeClass::NONE);
    for size in MIN_ALIGN..=MAX_SMALL {
        let class = SizeClass::at_most(size);
        assert!(class.size() <= size, "{size}");
        if let Some(next) = SizeClass::all().nth(class.index()) {
            assert!(next.size() > size, "{size} holds a larger class");
        }
    }
    assert_eq!(SizeClass::at_most(2 * MAX_SMALL).size(), MAX_SMALL);
}

#[test]
fn every_object_of_an_aligned_class_is_aligned_and_large_enough() {
    for shift in 0..=MAX_SMALL.ilog2() {
        let align = 1usize << shift;
        for size in (0..=MAX_SMALL).step_by(7).chain([MAX_SMALL]) {
            let Some(class) = SizeClass::of_aligned(size, align) else {
                assert!(size.next_multiple_of(align) > MAX_SMALL);
                continue;
            };
            assert!(class.size() >= size.max(1));
            assert!(class.size().is_multiple_of(align.min(16)) || align < 16);
            assert!(align <= 16 || class.size().is_multiple_of(align), "{size} at {align}");
            assert!(class.span_align().bytes().is_multiple_of(align.min(class.size())));
        }
    }
    assert_eq!(SizeClass::of_aligned(64, 2 * MAX_SMALL), None);
}

#[test]
fn spans_waste_at_most_a_sixteenth_and_fit_their_bitmap() {
    for class in SizeClass::all() {
        let info = class.info();
        let bytes = info.pages as usize * PAGE_SIZE;
        let used = info.objects as usize * class.size();
        assert!(used <= bytes && (bytes - used) * 16 <= bytes, "{info:?}");
        assert!(info.objects as usize <= MAX_SPAN_OBJECTS);
        assert!(info.objects as usize >= MIN_SPAN_OBJECTS);
        assert!(bytes <= MAX_SPAN_OS_PAGES * OS_PAGE);
    }
}

/// Under a limit on address space, span tails are lost to every program. Short spans cost small
/// programs less.
#[test]
fn spans_have_small_tails_and_about_the_target_length_on_average() {
    let (mut tails, mut bytes, mut classes) = (0, 0, 0);
    for class in SizeClass::all().filter(|class| (112..=3072).contains(&class.size())) {
        let info = class.info();
        bytes += info.pages as usize * PAGE_SIZE;
        tails += info.pages as usize * PAGE_SIZE - info.objects as usize * class.size();
        classes += 1;
    }
    assert!(tails * 100 <= bytes, "{tails} of {bytes} bytes are behind the last object");
    let average = bytes / classes;
    assert!(average <= SPAN_TARGET_BYTES * 105 / 100, "{average} bytes in a span");
}

#[test]
fn every_offset_in_a_span_leads_to_the_object_around_it() {
    for class in SizeClass::all() {
        let info = class.info();
        for offset in 0..info.pages as usize * PAGE_SIZE {
            assert_eq!(info.object_around(offset), offset / info.size as usize);
        }
    }
}
