//! The page map against spans at addresses that nothing on Linux is mapped at.

use super::*;
use crate::page::span::SpanState;
use proptest::prelude::*;

#[test]
fn foreign_addresses_have_no_class_and_no_span() {
    let local = 0;
    for addr in [0, 1, 4096, &raw const local as usize, (1 << 47) - 1] {
        assert_eq!(PAGE_MAP.class(addr), SizeClass::NONE);
        assert!(PAGE_MAP.span(addr).is_null());
    }
    assert!(PAGE_MAP.span(usize::MAX).is_null(), "beyond the address space");
}

#[test]
fn a_small_span_is_found_from_each_of_its_pages_until_removed_also_across_leaves() {
    // A range across a leaf border that nothing on Linux is mapped at.
    let start = PageId::containing(border(0xA000) - 3 * 8192);
    let class = SizeClass::of(4000).unwrap();
    assert!(PAGE_MAP.ensure(start.addr(), 8 * 8192));
    let mut span = Span::new(start, Length(8), SpanState::Small, class);
    PAGE_MAP.insert(&raw mut span, start, Length(8), class);
    for page in 0..8 {
        for offset in [0, 77, PAGE_SIZE - 1] {
            let addr = start.plus(page).addr() + offset;
            assert_eq!(PAGE_MAP.class(addr), class);
            assert_eq!(PAGE_MAP.span(addr), &raw mut span);
        }
    }
    PAGE_MAP.remove(start, Length(8), class);
    for page in 0..8 {
        assert!(PAGE_MAP.span(start.plus(page).addr()).is_null());
        assert_eq!(PAGE_MAP.class(start.plus(page).addr()), SizeClass::NONE);
        assert_eq!(PAGE_MAP.class(start.plus(page).addr() + PAGE_SIZE - 1), SizeClass::NONE);
    }
}

/// Whatever is in its upper bits, a block's address is not taken for the block's then. It leads to
/// another entry, which has no classes unless other addresses in use have a leaf there.
#[test]
fn upper_bits_lead_away_from_a_block() {
    let start = PageId::containing(border(0xA100) + HUGE_SIZE);
    let class = SizeClass::of(64).unwrap();
    assert!(PAGE_MAP.ensure(start.addr(), PAGE_SIZE));
    let mut span = Span::new(start, Length(1), SpanState::Small, class);
    PAGE_MAP.insert(&raw mut span, start, Length(1), class);
    let upper = (ADDRESS_BITS..64).map(|bit| 1 << bit).chain((1..1 << 16).map(|top| top << 48));
    for bits in upper {
        let addr = start.addr() | bits;
        let found = PAGE_MAP.class(addr);
        let other = root_index(addr) != root_index(start.addr());
        assert!(other || cfg!(not(target_arch = "x86_64")), "{addr:#x}");
        // Asked for after the class was: leaves come, when other tests run, and never go.
        let others_leaf = other && PAGE_MAP.leaf_at(root_index(addr)).is_some();
        assert!(others_leaf || found == SizeClass::NONE, "{addr:#x}");
        assert!(PAGE_MAP.span(addr).is_null(), "{addr:#x}");
        assert!(!PAGE_MAP.ensure_large(addr), "{addr:#x}");
    }
    PAGE_MAP.remove(start, Length(1), class);
}

/// Every page of a part of the address space that nothing is mapped at, 5 huge pages round a leaf's
/// border.
const AREA: usize = (border(0xA001) & !(HUGE_SIZE - 1)) - 2 * HUGE_SIZE;
const AREA_PAGES: usize = 5 * PAGES_PER_HUGE;

proptest! {
    /// Whatever is entered and removed, each page leads to what covers it, across tables and
    /// leaves.
    #[test]
    fn lookups_agree_with_a_list_of_the_spans(
        steps in prop::collection::vec((0..AREA_PAGES, 1usize..600, any::<bool>()), 1..40),
    ) {
        static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());
        let _area = ONE_AT_A_TIME.lock();
        let small = SizeClass::of(4000).unwrap();
        let mut spans: Vec<Box<Span>> = Vec::new();
        prop_assert!(PAGE_MAP.ensure(AREA, AREA_PAGES << PAGE_SHIFT));
        for (at, pages, is_small) in steps {
            let start = PageId::containing(AREA).plus(at);
            let class = if is_small { small } else { SizeClass::NONE };
            let state = if is_small { SpanState::Small } else { SpanState::Large };
            let pages = pages.min(AREA_PAGES - at);
            // What is in the way goes first.
            spans.retain(|span| {
                let (end, other_end) = (start.0 + pages, span.start.0 + span.pages.0);
                let apart = other_end <= start.0 || end <= span.start.0;
                if !apart {
                    PAGE_MAP.remove(span.start, span.pages, span.class);
                }
                apart
            });
            let mut span = Box::new(Span::new(start, Length(pages), state, class));
            PAGE_MAP.insert(&raw mut *span, start, Length(pages), class);
            spans.push(span);
        }
        for page in (0..AREA_PAGES).map(|at| PageId::containing(AREA).plus(at)) {
            let here = spans.iter_mut().find(|span| {
                let first_only = span.class == SizeClass::NONE;
                let known = if first_only { 1 } else { span.pages.0 };
                (span.start.0..span.start.0 + known).contains(&page.0)
            });
            let (class, expected) =
                here.map_or((SizeClass::NONE, ptr::null_mut()), |span| {
                    (span.class, &raw mut **span)
                });
            prop_assert_eq!(PAGE_MAP.class(page.addr()), class);
            prop_assert_eq!(PAGE_MAP.class(page.addr() + PAGE_SIZE - 1), class);
            prop_assert_eq!(PAGE_MAP.span(page.addr() + 4095), expected);
        }
        for span in spans {
            PAGE_MAP.remove(span.start, span.pages, span.class);
        }
    }
}
