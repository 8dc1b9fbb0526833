//! Sampled blocks whose size the caller of `free` says, as Rust does: wherever they lie when a
//! thread is done with them, the profile comes to know, and they are not handed out as what they
//! are not. One case per run; the argument says which. Fails by a panic. Run by the tests of
//! profiles, with `STRATALLOC_SAMPLE_INTERVAL`.

use std::alloc::{Layout, alloc, dealloc};
use std::hint::black_box;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::{env, fs, mem, process};

use stratalloc::{MallocExtension, Stratalloc, options};

#[global_allocator]
static ALLOCATOR: Stratalloc = Stratalloc;

/// A block that knows what it was filled with.
struct Block {
    start: *mut u8,
    layout: Layout,
    tag: u8,
}

// SAFETY: it owns its memory.
unsafe impl Send for Block {}

impl Block {
    fn new(size: usize, tag: u8) -> Self {
        let layout = Layout::from_size_align(size, 8).expect("a layout");
        // SAFETY: the size is not 0.
        let start = unsafe { alloc(layout) };
        assert!(!start.is_null());
        // SAFETY: a block of this size.
        unsafe { start.write_bytes(tag, size) };
        Self { start, layout, tag }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        for at in [0, self.layout.size() / 2, self.layout.size() - 1] {
            // SAFETY: inside the block.
            assert_eq!(unsafe { self.start.add(at).read() }, self.tag, "somebody else has it too");
        }
        // SAFETY: allocated by `new`, and not used any more.
        unsafe { dealloc(black_box(self.start), self.layout) }
    }
}

/// A thousand blocks of up to 2 KiB, a megabyte. Every other is of 48 bytes, so that there are full
/// magazines of some.
fn blocks() -> Vec<Block> {
    (0..1_000).map(|i| Block::new(if i % 2 == 0 { 48 } else { 16 + i * 4 }, i as u8)).collect()
}

/// Bytes that the profile takes for outstanding now.
fn outstanding(path: &PathBuf) -> u64 {
    stratalloc::write_heap_profile(path.to_str().expect("a path")).expect("a profile");
    let text = fs::read_to_string(path).expect("the profile");
    let line = text.lines().find_map(|line| line.strip_prefix("live_bytes ")).expect("a sum");
    line.split(' ').next().expect("a number").parse().expect("a number")
}

/// What may be outstanding beside the blocks: what the standard library keeps for each thread.
const SLACK: u64 = 64 << 10;

/// A thread that frees what it gets and then sleeps until it is joined.
struct Sleeper {
    blocks: Sender<Vec<Block>>,
    done: Receiver<()>,
    thread: JoinHandle<()>,
}

impl Sleeper {
    fn new() -> Self {
        let (blocks, received) = channel::<Vec<Block>>();
        let (say, done) = channel();
        let thread = thread::spawn(move || {
            for blocks in received {
                drop(blocks);
                say.send(()).expect("somebody waits");
            }
        });
        Self { blocks, done, thread }
    }

    fn free(&self, blocks: Vec<Block>) {
        self.blocks.send(blocks).expect("the thread");
        self.done.recv().expect("the thread");
    }

    fn join(self) {
        drop(self.blocks);
        self.thread.join().expect("the thread");
    }
}

/// Everything is allocated and freed by the thread that writes the profile, over and over, and sent
/// home in both ways that there are.
fn by_itself(path: &PathBuf) {
    for _ in 0..10 {
        drop(blocks());
        let mut kept = blocks();
        kept.truncate(500);
        kept.extend(blocks());
        drop(kept);
        stratalloc::trim(0);
        drop(blocks());
        MallocExtension::mark_thread_temporarily_idle();
    }
    let before = outstanding(path);
    let kept = blocks();
    assert!(outstanding(path) > before + (1 << 19), "what lives is outstanding");
    drop(kept);
    assert!(outstanding(path) < before + SLACK);
}

/// What was freed of classes that are not used any more goes to others in time, a magazine at a
/// time.
fn of_classes_that_rest(_path: &PathBuf) {
    drop(blocks());
    for round in 0..400 {
        // Each fetches some ten magazines and gives them back.
        drop((0..1_000).map(|_| Block::new(20, round as u8)).collect::<Vec<_>>());
    }
    assert!(MallocExtension::verify_all_memory());
}

/// Others free, and end.
fn by_threads_that_end(path: &PathBuf) {
    let before = outstanding(path);
    for _ in 0..5 {
        let shares: Vec<Vec<Block>> = (0..4).map(|_| blocks()).collect();
        let threads: Vec<_> = shares
            .into_iter()
            .map(|share| thread::spawn(move || drop((share, blocks()))))
            .collect();
        threads.into_iter().for_each(|thread| thread.join().expect("the thread"));
    }
    assert!(outstanding(path) < before + SLACK);
}

/// Others free, and sleep: a trim takes what they have cached.
fn by_threads_that_sleep(path: &PathBuf) {
    let before = outstanding(path);
    let sleepers: Vec<_> = (0..3).map(|_| Sleeper::new()).collect();
    for _ in 0..5 {
        sleepers.iter().for_each(|sleeper| sleeper.free(blocks()));
        stratalloc::trim(0);
        assert!(outstanding(path) < before + SLACK);
    }
    sleepers.into_iter().for_each(Sleeper::join);
    assert!(outstanding(path) < before + SLACK);
}

/// Others freed before the process forked; the child adopts what they had cached.
fn by_threads_of_the_parent(path: &PathBuf) {
    let sleepers: Vec<_> = (0..3).map(|_| Sleeper::new()).collect();
    sleepers.iter().for_each(|sleeper| sleeper.free(blocks()));
    stratalloc::trim(0);
    let before = outstanding(path);
    sleepers.iter().for_each(|sleeper| sleeper.free(blocks()));
    // SAFETY: the child allocates, writes a file and exits.
    let child = unsafe { libc::fork() };
    if child == 0 {
        for _ in 0..5 {
            drop(blocks());
        }
        let after = outstanding(path);
        // No more threads than before, so little else.
        assert!(after < before + SLACK / 8, "{after} bytes, {before} before");
        assert!(MallocExtension::verify_all_memory());
        process::exit(0);
    }
    let mut status = 0;
    // SAFETY: our child, and a target.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert_eq!(status, 0, "the child found blocks that nobody has");
    sleepers.into_iter().for_each(Sleeper::join);
}

/// Threads pass blocks round; each checks what it frees.
fn passed_round(_path: &PathBuf) {
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..3).map(|_| channel::<Vec<Block>>()).unzip();
    let threads: Vec<_> = (receivers.into_iter().enumerate())
        .map(|(i, received)| {
            let next = senders[(i + 1) % senders.len()].clone();
            thread::spawn(move || {
                for _ in 0..30 {
                    let mut mine = blocks();
                    let others = mine.split_off(500);
                    // Who comes last has nobody to give them to.
                    drop(next.send(others));
                    drop(received.try_recv());
                }
            })
        })
        .collect();
    drop(senders);
    threads.into_iter().for_each(|thread| thread.join().expect("the thread"));
}

/// Samples are wanted no more while sampled blocks lie in the magazine that the next block comes
/// from.
fn when_sampling_ends(_path: &PathBuf) {
    let interval = env::var("STRATALLOC_SAMPLE_INTERVAL").expect("an interval");
    for _ in 0..50 {
        options::set("sample_interval", &interval).expect("an interval");
        drop(blocks());
        options::set("sample_interval", "never").expect("an interval");
        for block in blocks() {
            // SAFETY: a live block.
            let usable = unsafe { MallocExtension::allocated_size(block.start) };
            assert!(usable < 1 << 13, "{} bytes of {usable}: it was sampled", block.layout.size());
        }
    }
}

/// Two live blocks of `size` bytes: a sampled one, which begins a page on which no other lies, and
/// one that is not sampled.
fn sampled_and_not(size: usize) -> [Block; 2] {
    let mut blocks: Vec<_> = (0..1_000).map(|_| Block::new(size, 1)).collect();
    let page = |block: &Block| block.start as usize >> 13;
    let alone = |block: &Block| {
        (block.start as usize).is_multiple_of(1 << 13)
            && blocks.iter().filter(|other| page(other) == page(block)).count() == 1
    };
    let sampled = blocks.iter().position(alone).expect("one of a thousand is sampled");
    let other = blocks.iter().position(|block| !alone(block)).expect("one of a thousand is not");
    let found = [sampled, other].map(|at| {
        let found = &blocks[at];
        Block { start: found.start, layout: found.layout, tag: found.tag }
    });
    // All of them are live until the process ends.
    mem::take(&mut blocks).into_iter().for_each(mem::forget);
    found
}

/// The same block freed twice, first into a magazine, which the first free of the class opens.
fn freed_twice(_path: &PathBuf) {
    let [sampled, other] = sampled_and_not(112);
    let (start, layout) = (sampled.start, sampled.layout);
    drop(other);
    drop(sampled);
    // SAFETY: none: misuse is what this case is for.
    unsafe { dealloc(black_box(start), layout) };
}

/// A block freed as one of another class, of which sampled ones live.
fn freed_as_another(path: &PathBuf) {
    let [_kept, open] = sampled_and_not(112);
    let layout = open.layout;
    drop(open);
    let [wrong, _other] = sampled_and_not(400);
    // SAFETY: none: misuse is what this case is for.
    unsafe { dealloc(black_box(wrong.start), layout) };
    outstanding(path);
}

fn main() {
    let path = env::temp_dir().join(format!("stratalloc-sampled-{}", process::id()));
    let case = env::args().nth(1).expect("a case");
    match case.as_str() {
        "by_itself" => by_itself(&path),
        "of_classes_that_rest" => of_classes_that_rest(&path),
        "by_threads_that_end" => by_threads_that_end(&path),
        "by_threads_that_sleep" => by_threads_that_sleep(&path),
        "by_threads_of_the_parent" => by_threads_of_the_parent(&path),
        "passed_round" => passed_round(&path),
        "when_sampling_ends" => when_sampling_ends(&path),
        "freed_twice" => freed_twice(&path),
        "freed_as_another" => freed_as_another(&path),
        _ => panic!("no case called {case}"),
    }
    assert!(MallocExtension::verify_all_memory());
    // Not there where nothing was written.
    let _ = fs::remove_file(&path);
    println!("done");
}
