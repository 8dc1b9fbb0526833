//! A central tier for tests of thread caches: it has a few objects of each class, in memory of the
//! test's own, hands out what the test says, and notes every call. Nothing is mapped for it. (In
//! the hardened build the allocation bitmap needs a table for the memory.)

use crate::central::chain::{Chain, FreeObject};
use crate::central::{CentralTier, FlushOutcome};
use crate::page::allocation_bitmap::ALLOCATION_BITMAP;
use crate::page::link_encoding;
use crate::page::owner::Shard;
use crate::page::size_class::SizeClass;
use crate::parameters::{self, Id};
use crate::policy::HARDENED;
use std::boxed::Box;
use std::cell::{Cell, RefCell};
use std::vec::Vec;
use std::{ptr, vec};

/// Objects of one class, in memory of their own.
pub struct Objects {
    pub free: Vec<*mut FreeObject>,
    _memory: Box<[u128]>,
}

impl Objects {
    /// `count` objects of `class`.
    pub fn new(class: SizeClass, count: usize) -> Self {
        link_encoding::ensure();
        let words = class.size() / size_of::<u128>();
        let mut memory = vec![0_u128; words * count].into_boxed_slice();
        let first = memory.as_mut_ptr();
        if HARDENED {
            assert!(ALLOCATION_BITMAP.ensure(first.addr(), words * count * size_of::<u128>()));
        }
        let free: Vec<*mut FreeObject> =
            (0..count).map(|at| first.wrapping_add(at * words).cast()).collect();
        // Another test may have had the same memory.
        free.iter().for_each(|object| strike_out(object.cast()));
        Self { free, _memory: memory }
    }

    /// The last `count` objects, or as many as there are, linked.
    pub fn take(&mut self, count: usize) -> Chain {
        let mut chain = Chain::EMPTY;
        for object in self.free.drain(self.free.len().saturating_sub(count)..) {
            // SAFETY: an object of the test's, which is in no chain.
            unsafe {
                FreeObject::link(object, chain.head);
                FreeObject::mark(object);
            }
            chain = Chain { head: object, count: chain.count + 1 };
        }
        chain
    }

    /// Takes the objects of a chain back: `count` at most, as the chain of a parked cache says no
    /// more. Returns how many there were.
    pub fn put(&mut self, chain: Chain) -> usize {
        let before = self.free.len();
        let mut object = chain.head;
        while !object.is_null() && self.free.len() - before < chain.count {
            self.free.push(object);
            // SAFETY: an object of the chain, hence linked.
            object = unsafe { FreeObject::next(object) };
        }
        self.free.len() - before
    }
}

/// What `free` does in the hardened build before an object comes to a cache: strikes it out of the
/// allocation bitmap.
pub fn strike_out(object: *mut u8) {
    if HARDENED {
        // SAFETY: an object of `Objects`, for which the bitmap has a table.
        unsafe { ALLOCATION_BITMAP.set_unchecked(object.addr(), SizeClass::NONE) };
    }
}

/// A call that came to the tier.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Call {
    Refill { class: SizeClass, request: usize, apart: bool },
    Flush { class: SizeClass, count: usize },
    FlushToSpans { class: SizeClass, count: usize },
    Tick,
}

/// The tier.
pub struct ScriptedTier {
    objects: RefCell<Vec<(SizeClass, Objects)>>,
    calls: RefCell<Vec<Call>>,
    /// A refill finds no memory.
    pub is_exhausted: Cell<bool>,
    /// What a magazine may hold.
    pub magazine_bytes: Cell<usize>,
    /// Whether caches are to be emptied.
    pub is_winding_down: Cell<bool>,
    /// What the clock says, if there are many threads.
    pub clock_of_many: Cell<Option<usize>>,
    /// Locks that the thread waits for between two looks at the clock.
    pub waits: Cell<u32>,
    /// A refill hands out at least so many objects, as a magazine of another thread may have them.
    pub least: Cell<usize>,
}

impl ScriptedTier {
    /// A tier with `count` objects of each of these classes.
    pub fn new(classes: &[SizeClass], count: usize) -> Self {
        let objects = classes.iter().map(|&class| (class, Objects::new(class, count))).collect();
        Self {
            objects: RefCell::new(objects),
            calls: RefCell::default(),
            is_exhausted: Cell::new(false),
            is_winding_down: Cell::new(false),
            clock_of_many: Cell::new(None),
            waits: Cell::new(0),
            magazine_bytes: Cell::new(parameters::get(Id::MagazineMaxBytes)),
            least: Cell::new(0),
        }
    }

    /// The calls since the last call of this, without ticks.
    pub fn calls(&self) -> Vec<Call> {
        let calls = self.calls.take();
        calls.into_iter().filter(|&call| call != Call::Tick).collect()
    }

    /// How many ticks there were since the last call of this. Forgets the other calls.
    pub fn ticks(&self) -> usize {
        self.calls.take().into_iter().filter(|&call| call == Call::Tick).count()
    }

    /// How many objects of `class` the tier has.
    pub fn count(&self, class: SizeClass) -> usize {
        self.with(class, |objects| objects.free.len())
    }

    /// Calls `f` for the objects of `class`.
    pub fn with<R>(&self, class: SizeClass, f: impl FnOnce(&mut Objects) -> R) -> R {
        let mut all = self.objects.borrow_mut();
        let (_, objects) =
            all.iter_mut().find(|(of, _)| *of == class).expect("a class of the test");
        f(objects)
    }
}

impl CentralTier for &ScriptedTier {
    fn refill(
        self,
        class: SizeClass,
        _size: usize,
        request: usize,
        apart: bool,
        _shard: Shard,
    ) -> Chain {
        self.calls.borrow_mut().push(Call::Refill { class, request, apart });
        if self.is_exhausted.get() {
            return Chain { head: ptr::null_mut(), count: 0 };
        }
        self.with(class, |objects| objects.take(request.max(self.least.get())))
    }

    unsafe fn flush(self, class: SizeClass, chain: Chain) {
        let count = self.with(class, |objects| objects.put(chain));
        assert_eq!(count, chain.count, "a magazine is as long as its count");
        self.calls.borrow_mut().push(Call::Flush { class, count });
    }

    unsafe fn flush_to_spans(self, class: SizeClass, chain: Chain) {
        let count = self.with(class, |objects| objects.put(chain));
        self.calls.borrow_mut().push(Call::FlushToSpans { class, count });
    }

    unsafe fn flush_if_cow(self, _class: SizeClass, _object: *mut u8) -> FlushOutcome {
        // Tests of caches do not fork: `central::cow_tests` are about this.
        unreachable!("no page is shared")
    }

    fn tick(self) {
        self.calls.borrow_mut().push(Call::Tick);
    }

    fn magazine_bytes(self) -> usize {
        self.magazine_bytes.get()
    }

    fn clock_of_many(self) -> Option<usize> {
        self.clock_of_many.get()
    }

    fn take_waits(self) -> u32 {
        self.waits.get()
    }

    fn is_winding_down(self) -> bool {
        self.is_winding_down.get()
    }

    fn note_shared_home(self, _bytes: usize) {}
}
