//! The rounds on the allocator as it comes.

mod rounds;

#[global_allocator]
static GLOBAL: stratalloc::Stratalloc = stratalloc::Stratalloc;

fn main() {
    rounds::run();
}
