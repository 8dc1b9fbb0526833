//! The outstanding blocks that are watched, by address: a hash table in shards, each with its lock
//! and its pool of nodes. Nodes come from the metadata arena, a mebibyte at a time, and are used
//! again.

use super::sampler::COUNT_UNIT;
use super::stacks::{self, StackRef};
use crate::base::scale::scale;
use crate::config::OS_PAGE;
use crate::os::Lock;
use crate::page::metadata::{Kind, METADATA, note_used};
use crate::sync::{AtomicUsize, ForkLock, Ordering, Rank};
use core::ptr;

/// A watched block.
#[derive(Clone, Copy)]
pub struct Block {
    /// Bytes asked for.
    pub size: usize,
    /// What it stands for, in thousandths of a block.
    pub count: usize,
    /// Who allocated it.
    pub stack: StackRef,
    /// When, by the coarse clock.
    pub born_ms: u64,
}

impl Block {
    /// Bytes that it stands for.
    pub fn estimated_bytes(&self) -> usize {
        scale(self.count, self.size, COUNT_UNIT)
    }
}

/// Blocks that were to be recorded and found no room. Relaxed: a count that nothing depends on.
static LOST: AtomicUsize = AtomicUsize::new(0);

/// Counts a block that found no room.
pub fn note_lost() {
    LOST.fetch_add(1, Ordering::Relaxed);
}

/// Blocks that found no room so far.
pub fn lost() -> usize {
    LOST.load(Ordering::Relaxed)
}

/// There is no room for another block.
#[derive(Debug)]
pub struct Full;

struct Node {
    next: *mut Node,
    addr: usize,
    block: Block,
}

const SHARDS: usize = 8;
/// Chains of one shard: 1 MiB of pointers, resident only where used.
const CHAINS: usize = 1 << 17;
/// Bytes by which the pool of a shard grows.
const POOL_CHUNK: usize = 1 << 20;
/// Most blocks that one shard holds: 8 million in all, in half a gibibyte.
const MAX_BLOCKS: usize = 1 << 20;

/// Chains whose heads share an OS page.
const CHAINS_PER_PAGE: usize = OS_PAGE / size_of::<*mut Node>();
/// OS pages of a shard's chains.
const CHAIN_PAGES: usize = CHAINS / CHAINS_PER_PAGE;

struct Shard {
    chains: *mut [*mut Node; CHAINS],
    /// A bit for each OS page of `chains` that was written to, which statistics count.
    touched: [u64; CHAIN_PAGES / 64],
    unused: *mut Node,
    pool: usize,
    pool_end: usize,
    count: usize,
}

// SAFETY: the nodes are used under the shard's lock only, by any thread.
unsafe impl Send for Shard {}

static TABLE: [Lock<Shard>; SHARDS] = [const {
    Lock::new(
        Rank::Profile,
        Shard {
            chains: ptr::null_mut(),
            touched: [0; CHAIN_PAGES / 64],
            unused: ptr::null_mut(),
            pool: 0,
            pool_end: 0,
            count: 0,
        },
    )
}; SHARDS];

/// The shard and the chain of an address. Blocks lie at multiples of 16.
fn place_of(addr: usize) -> (usize, usize) {
    let hash = (addr >> 4).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (hash >> 61, (hash >> 40) % CHAINS)
}

const _: () = assert!(SHARDS == 8, "three bits of the hash choose the shard");

impl Shard {
    /// The link that leads to the node of `addr`, or the one that ends its chain; null before the
    /// first block of the shard.
    fn link_to(&mut self, chain: usize, addr: usize) -> *mut *mut Node {
        if self.chains.is_null() {
            return ptr::null_mut();
        }
        // SAFETY: the table is mapped; `chain` is below CHAINS; links lead to nodes of this shard.
        unsafe {
            let mut link = &raw mut (*self.chains)[chain];
            while !(*link).is_null() && (**link).addr != addr {
                link = &raw mut (**link).next;
            }
            link
        }
    }

    /// Counts the OS page of the head of `chain`, which is about to be written to, unless that was
    /// done.
    fn touch(&mut self, chain: usize) {
        let page = chain / CHAINS_PER_PAGE;
        let (word, bit) = (&mut self.touched[page / 64], 1 << (page % 64));
        if *word & bit == 0 {
            *word |= bit;
            note_used(Kind::Profiles, OS_PAGE);
        }
    }

    /// Memory for a node.
    fn new_node(&mut self) -> Option<*mut Node> {
        if self.count >= MAX_BLOCKS {
            return None;
        }
        if !self.unused.is_null() {
            let node = self.unused;
            // SAFETY: a node of the pool.
            self.unused = unsafe { (*node).next };
            return Some(node);
        }
        if self.pool + size_of::<Node>() > self.pool_end {
            self.pool = METADATA.allocate_table(POOL_CHUNK)?;
            self.pool_end = self.pool + POOL_CHUNK;
        }
        note_used(Kind::Profiles, size_of::<Node>());
        let node = self.pool as *mut Node;
        self.pool += size_of::<Node>();
        Some(node)
    }
}

/// Enters a block; the one that was known at its address, whose end nobody saw, if there was any.
pub fn insert(addr: usize, block: Block) -> Result<Option<Block>, Full> {
    let (shard, chain) = place_of(addr);
    let mut shard = TABLE[shard].lock();
    if shard.chains.is_null() {
        let table = METADATA.allocate_table(CHAINS * size_of::<*mut Node>()).ok_or(Full)?;
        shard.chains = table as *mut _;
    }
    let link = shard.link_to(chain, addr);
    // SAFETY: the table is there, so this is a link of the shard's, under its lock; a fresh node is
    // ours.
    unsafe {
        if !(*link).is_null() {
            return Ok(Some(core::mem::replace(&mut (**link).block, block)));
        }
        let node = shard.new_node().ok_or(Full)?;
        shard.touch(chain);
        node.write(Node { next: ptr::null_mut(), addr, block });
        *link = node;
    }
    shard.count += 1;
    Ok(None)
}

/// A block, if it is known.
pub fn get(addr: usize) -> Option<Block> {
    let (shard, chain) = place_of(addr);
    let mut shard = TABLE[shard].lock();
    let link = shard.link_to(chain, addr);
    // SAFETY: null or a link of the shard's, under its lock.
    unsafe { (!link.is_null() && !(*link).is_null()).then(|| (**link).block) }
}

/// Takes a block out, if it is known.
pub fn remove(addr: usize) -> Option<Block> {
    let (shard, chain) = place_of(addr);
    let mut shard = TABLE[shard].lock();
    let link = shard.link_to(chain, addr);
    // SAFETY: null or a link of the shard's, under its lock.
    unsafe {
        if link.is_null() || (*link).is_null() {
            return None;
        }
        let node = *link;
        *link = (*node).next;
        (*node).next = shard.unused;
        shard.unused = node;
        shard.count -= 1;
        Some((*node).block)
    }
}

/// Calls `visit` with the address, the size and the frames of each block, without a lock. Blocks
/// that come or go meanwhile may be missed, and some met twice.
pub fn for_each(mut visit: impl FnMut(usize, usize, &'static [usize])) {
    for (shard, chain) in (0..SHARDS).flat_map(|shard| (0..CHAINS).map(move |at| (shard, at))) {
        let mut skip = 0;
        loop {
            let mut batch = [None; 8];
            copy_chain(shard, chain, skip, &mut batch);
            batch.iter().flatten().for_each(|&(addr, size, stack)| {
                visit(addr, size, stacks::frames(stack));
            });
            if batch[batch.len() - 1].is_none() {
                break;
            }
            skip += batch.len();
        }
    }
}

/// A block's address, its size and its stack, if there is one.
type Entry = Option<(usize, usize, StackRef)>;

/// Copies a part of a chain, from its element `skip` on.
fn copy_chain(shard: usize, chain: usize, skip: usize, to: &mut [Entry]) {
    let shard = TABLE[shard].lock();
    if shard.chains.is_null() {
        return;
    }
    // SAFETY: the table is mapped; `chain` is below CHAINS; links lead to nodes of this shard,
    // whose lock this thread holds.
    unsafe {
        let mut node = (*shard.chains)[chain];
        for _ in 0..skip {
            if node.is_null() {
                return;
            }
            node = (*node).next;
        }
        for entry in to {
            if node.is_null() {
                return;
            }
            *entry = Some(((*node).addr, (*node).block.size, (*node).block.stack));
            node = (*node).next;
        }
    }
}

/// Every lock, for `fork`.
pub fn fork_locks() -> impl Iterator<Item = &'static dyn ForkLock> {
    TABLE.iter().map(|shard| -> &dyn ForkLock { shard })
}

#[cfg(test)]
mod tests {
    use super::super::labels::Labels;
    use super::*;
    use crate::page::metadata::used;

    /// A profile of a few hundred blocks must not be shown as the eight mebibytes that its tables
    /// could need.
    #[test]
    fn tables_count_as_far_as_they_are_touched() {
        const BLOCKS: usize = 64;
        let before = used(Kind::Profiles);
        let stack = stacks::intern(&[1, 2, 3], Labels::default()).expect("there is room");
        let block = Block { size: 10, count: COUNT_UNIT, stack, born_ms: 0 };
        // Addresses that no other test's allocations have.
        let addresses = (1..=BLOCKS).map(|number| number << 48 | 0x40);
        for addr in addresses.clone() {
            assert!(insert(addr, block).expect("there is room").is_none());
        }
        let counted = used(Kind::Profiles) - before;
        assert!(counted >= BLOCKS * size_of::<Node>(), "{counted}");
        assert!(counted < BLOCKS * (size_of::<Node>() + 2 * OS_PAGE), "{counted}");
        assert!(addresses.map(remove).all(|block| block.is_some()));
    }
}
