//! What lies idle in the spans of a class by volume: not while a wave takes it again.

use super::low_water::Consumer;
use super::tests::Model;
use crate::config::WAVE_SHARE;
use std::vec::Vec;

const OBJECTS: usize = 20 * WAVE_SHARE * 16;

/// A list of which all but one object of 16 lie idle, spread over all spans, and what is still
/// allocated.
fn at_the_foot(size: usize) -> (Model, usize) {
    let mut model = Model::new(size);
    let mut all = Vec::new();
    while all.len() < OBJECTS {
        all.extend(model.fetch(16));
    }
    let gone: Vec<usize> = (0..all.len()).filter(|at| at % 16 != 0).map(|at| all[at]).collect();
    model.release(&gone);
    for consumer in [Consumer::Volume, Consumer::Growth] {
        model.list.take_idle(model.class, consumer);
    }
    (model, gone.len())
}

/// Fetches `count` objects, or up to 15 more.
fn fetch(model: &mut Model, count: usize) -> usize {
    let mut fetched = 0;
    while fetched < count {
        fetched += model.fetch(16).len();
    }
    fetched
}

#[test]
fn what_no_request_takes_lies_idle() {
    for size in [16, 64, 256] {
        let (mut model, gone) = at_the_foot(size);
        let idle = |model: &Model| model.list.take_idle(model.class, Consumer::Volume);
        assert!(idle(&model) >= gone * size);
        // A few requests are no wave.
        let few = fetch(&mut model, gone / WAVE_SHARE / 2);
        assert!(idle(&model) >= (gone - few) * size);
        model.check();
    }
}

#[test]
fn what_a_wave_is_about_to_take_does_not() {
    for size in [16, 64, 256] {
        let (mut model, gone) = at_the_foot(size);
        let mut left = gone;
        while left > gone / 4 {
            left -= fetch(&mut model, left / (WAVE_SHARE - 2));
            assert_eq!(model.list.take_idle(model.class, Consumer::Volume), 0);
        }
        // Others ask for what was free all the while, whatever was taken.
        assert!(model.list.take_idle(model.class, Consumer::Growth) >= left * size);
        // The wave has ended there.
        assert!(model.list.take_idle(model.class, Consumer::Volume) >= left * size);
        model.check();
    }
}
