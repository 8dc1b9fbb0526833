//! Large blocks are zeroed by giving their memory back where little of them is used.

use super::model::Model;
use super::scripted_os::{Failing, ScriptedOs};
use crate::config::{HUGE_SIZE, PAGE_SIZE};
use crate::page::size_class::SizeClass;
use crate::page::units::Length;
use std::slice;

/// Bytes of a block, which do not end with a page.
const BYTES: usize = (100 << 10) + 100;

/// Makes `count` zeroed blocks, each out of memory that was written to, and frees them again.
/// Returns how many of them were zeroed by giving their memory back.
fn rounds(model: &Model, count: usize) -> usize {
    let given_back = (0..count).filter(|_| {
        let pages = Length::for_bytes(BYTES);
        let span = model.heap.allocate(pages, Length(1), SizeClass::NONE).expect("memory");
        // SAFETY: the span is this test's, and has so many bytes.
        unsafe {
            let content = slice::from_raw_parts_mut(span.as_ref().addr() as *mut u8, BYTES);
            content.fill(7);
            let done = model.heap.zero(span, BYTES);
            assert!(done == 0 || done == BYTES / PAGE_SIZE * PAGE_SIZE, "{done}");
            assert!(content[..done].iter().step_by(509).all(|&byte| byte == 0));
            assert!(content[done..].iter().step_by(509).all(|&byte| byte == 7));
            model.heap.look_at_zeroed(span);
            model.heap.free_span(span);
            done > 0
        }
    });
    given_back.count()
}

#[test]
fn blocks_of_which_little_is_used_are_given_back_and_others_are_left_alone() {
    let mut model = Model::new();
    model.os().set_dense(false);
    assert!(model.allocate(3, 1) && rounds(&model, 1) == 1 && model.allocate(70, 1));
    assert_eq!(rounds(&model, 200), 200);
    model.check();
    model.drain();
}

/// They would fault for each page of it.
#[test]
fn blocks_that_are_used_whole_are_written_to_but_for_a_probe_ever_more_rarely() {
    let model = Model::new();
    let probes = rounds(&model, 3_000);
    assert!((5..16).contains(&probes), "{probes}");
    assert!(rounds(&model, 4_000) <= 4);
}

#[test]
fn a_program_that_uses_its_zeroed_blocks_otherwise_is_noticed() {
    let model = Model::new();
    rounds(&model, 5_000);
    model.os().set_dense(false);
    rounds(&model, 1_100);
    assert_eq!(rounds(&model, 100), 100);
    model.os().set_dense(true);
    rounds(&model, 20);
    assert!(rounds(&model, 100) <= 5);
}

/// A huge page would come back whole.
#[test]
fn no_huge_pages_are_asked_for_where_memory_was_given_back_for_zeroes() {
    let mut model = Model::new();
    while !model.blocks.last().is_some_and(|block| model.os().wants_huge(block.addr)) {
        assert!(model.allocate(2 * HUGE_SIZE / PAGE_SIZE, HUGE_SIZE / PAGE_SIZE));
    }
    let block = model.blocks.last().expect("a block");
    let (span, addr, bytes) = (block.span, block.addr, block.bytes);
    model.os().set_dense(false);
    // SAFETY: a live block, of which the model checks nothing more, being drained without a check.
    assert_eq!(unsafe { model.heap.zero(span, bytes) }, bytes);
    assert!(!model.os().wants_huge(addr) && !model.os().wants_huge(addr + bytes - 1));
}

#[test]
fn where_memory_cannot_be_given_back_blocks_are_written_to() {
    let locked = Model::new();
    locked.os().set_dense(false);
    let pages = Length::for_bytes(BYTES);
    let span = locked.heap.allocate(pages, Length(1), SizeClass::NONE).expect("memory");
    locked.os().fail(Failing::From(0));
    // SAFETY: the span is this test's, and nobody needs its content.
    assert_eq!(unsafe { locked.heap.zero(span, BYTES) }, 0);
    let large_pages = Model::over(ScriptedOs::with_page(16 << 10));
    large_pages.os().set_dense(false);
    assert_eq!(rounds(&large_pages, 40), 0);
}
