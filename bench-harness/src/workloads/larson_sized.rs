//! Larson with sized frees: the same server, whose objects are of types that the compiler knows.
//!
//! C++ since 2014 (`operator delete` with a size) and Rust tell the allocator the size of what is
//! freed; where the type is known, it is a constant, and an allocator that is linked in can choose
//! its size class at compile time. The tables of [`super::larson`] hold boxes of eight types here.
//! The pattern is the "sized" variant of the mimalloc benchmark collection. One operation is one
//! replacement.

use super::Workload;
use super::larson::{Piece, prepare};
use crate::random::Random;
use std::hint::black_box;

pub(super) const WORKLOAD: Workload = Workload {
    name: "larson-sized",
    stands_for: "a server of typed objects: each free tells a size that the compiler knows",
    origin: "mimalloc-bench's larsonN-sized, after Larson and Krishnan, ISMM 1998",
    unit: "replacements",
    threaded: true,
    prepare: prepare::<Object>,
};

/// One of eight types, of as many sizes.
enum Object {
    Key(Box<[u8; 16]>),
    Node(Box<[u8; 40]>),
    Entry(Box<[u8; 72]>),
    Name(Box<[u8; 120]>),
    Record(Box<[u8; 200]>),
    Header(Box<[u8; 336]>),
    Session(Box<[u8; 568]>),
    Page(Box<[u8; 960]>),
}

/// A box whose first and last byte are written to.
fn boxed<const SIZE: usize>(mark: u8) -> Box<[u8; SIZE]> {
    let mut object = Box::new([0; SIZE]);
    object[0] = mark;
    object[SIZE - 1] = mark;
    black_box(object)
}

impl Piece for Object {
    fn make(random: &mut Random) -> Self {
        let draw = random.next();
        let mark = (draw >> 32) as u8;
        match draw >> 61 {
            0 => Self::Key(boxed(mark)),
            1 => Self::Node(boxed(mark)),
            2 => Self::Entry(boxed(mark)),
            3 => Self::Name(boxed(mark)),
            4 => Self::Record(boxed(mark)),
            5 => Self::Header(boxed(mark)),
            6 => Self::Session(boxed(mark)),
            _ => Self::Page(boxed(mark)),
        }
    }

    fn tally(&self) -> u64 {
        let ends = |bytes: &[u8]| bytes.len() as u64 * u64::from(bytes[0] & bytes[bytes.len() - 1]);
        match self {
            Self::Key(object) => ends(&object[..]),
            Self::Node(object) => ends(&object[..]),
            Self::Entry(object) => ends(&object[..]),
            Self::Name(object) => ends(&object[..]),
            Self::Record(object) => ends(&object[..]),
            Self::Header(object) => ends(&object[..]),
            Self::Session(object) => ends(&object[..]),
            Self::Page(object) => ends(&object[..]),
        }
    }
}
