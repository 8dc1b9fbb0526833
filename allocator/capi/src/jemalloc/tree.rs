//! Every name of `mallctl`, a line each. What is not here is `ENOENT`.
//!
//! Lines that begin with the same parts are neighbours (`path` relies on it). `<i>` is an arena and
//! `<j>` a size class. The order within a group is that in which `malloc_stats_print` prints.
//! `docs/c-api.md` explains every line, which a test sees to.

use core::ffi::c_int;

use super::arguments::{Arguments, Place, Value};
use super::{actions, figures, settings};

/// What a value is at this moment; `None` if there is none at this place.
type Figure = fn(Place) -> Option<Value>;

/// What a call does; its result is `mallctl`'s.
type Act = fn(Place, Arguments) -> c_int;

/// What can be done with a name.
#[derive(Clone, Copy)]
pub enum Access {
    /// A value that never changes.
    Constant(Value),
    /// A value that can be read.
    Figure(Figure),
    /// A value that can be read, and written; the second carries out both.
    Setting(Figure, Act),
    /// Anything else.
    Action(Act),
}

/// A line of the table.
pub struct Leaf {
    /// The name.
    pub path: &'static str,
    /// What it is.
    pub access: Access,
}

const fn constant(path: &'static str, value: Value) -> Leaf {
    Leaf { path, access: Access::Constant(value) }
}

const fn figure(path: &'static str, figure: Figure) -> Leaf {
    Leaf { path, access: Access::Figure(figure) }
}

const fn setting(path: &'static str, figure: Figure, act: Act) -> Leaf {
    Leaf { path, access: Access::Setting(figure, act) }
}

const fn action(path: &'static str, act: Act) -> Leaf {
    Leaf { path, access: Access::Action(act) }
}

/// The value of a line at a place, if it has one.
pub fn value(leaf: &Leaf, place: Place) -> Option<Value> {
    match leaf.access {
        Access::Constant(value) => Some(value),
        Access::Figure(figure) | Access::Setting(figure, _) => figure(place),
        Access::Action(_) => None,
    }
}

const NO: Value = Value::Bool(false);
const YES: Value = Value::Bool(true);
const CHECKS: Value = Value::Bool(cfg!(feature = "hardened"));
const DEBUG: Value = Value::Bool(cfg!(debug_assertions));
const EMPTY: Value = Value::Text(c"");
const DISABLED: Value = Value::Text(c"disabled");

/// The table. Names of `opt` that jemalloc has only where `config` says that a thing was built in
/// (`fill`, `prof`, `utrace`, `xmalloc`) are not there.
pub static LEAVES: [Leaf; 90] = [
    figure("version", figures::version),
    action("epoch", actions::epoch),
    setting("background_thread", settings::background_thread, settings::set_background_thread),
    setting("max_background_threads", settings::one_thread, settings::set_max_background_threads),
    setting("thread.arena", settings::thread_arena, settings::set_thread_arena),
    setting("thread.tcache.enabled", settings::thread_cache, settings::set_thread_cache),
    action("thread.tcache.flush", actions::flush_thread_cache),
    action("thread.idle", actions::flush_thread_cache),
    constant("config.cache_oblivious", NO),
    constant("config.debug", DEBUG),
    constant("config.fill", NO),
    constant("config.lazy_lock", NO),
    constant("config.malloc_conf", EMPTY),
    constant("config.opt_safety_checks", CHECKS),
    constant("config.prof", NO),
    constant("config.prof_libgcc", NO),
    constant("config.prof_libunwind", NO),
    constant("config.stats", YES),
    constant("config.utrace", NO),
    constant("config.xmalloc", NO),
    constant("opt.abort", NO),
    constant("opt.abort_conf", NO),
    constant("opt.cache_oblivious", NO),
    constant("opt.confirm_conf", NO),
    constant("opt.retain", YES),
    constant("opt.dss", DISABLED),
    constant("opt.narenas", Value::Unsigned(1)),
    constant("opt.percpu_arena", DISABLED),
    constant("opt.oversize_threshold", Value::Size(0)),
    constant("opt.hpa", NO),
    constant("opt.metadata_thp", DISABLED),
    figure("opt.background_thread", settings::background_thread),
    constant("opt.max_background_threads", Value::Size(1)),
    figure("opt.dirty_decay_ms", settings::dirty_decay),
    constant("opt.muzzy_decay_ms", Value::Signed(0)),
    constant("opt.experimental_infallible_new", NO),
    constant("opt.tcache", YES),
    figure("opt.tcache_max", figures::largest_class),
    constant("opt.stats_print", NO),
    constant("opt.stats_print_opts", EMPTY),
    constant("opt.stats_interval", Value::Signed(-1)),
    constant("opt.stats_interval_opts", EMPTY),
    constant("opt.zero_realloc", Value::Text(c"free")),
    action("tcache.create", actions::create_cache),
    action("tcache.flush", actions::flush_cache),
    action("tcache.destroy", actions::destroy_cache),
    figure("arena.<i>.initialized", figures::arena_exists),
    action("arena.<i>.decay", actions::decay),
    action("arena.<i>.purge", actions::purge),
    action("arena.<i>.reset", actions::reset_arena),
    action("arena.<i>.destroy", actions::destroy_arena),
    setting("arena.<i>.dss", figures::arena_dss, settings::set_dss),
    setting("arena.<i>.dirty_decay_ms", settings::dirty_decay, settings::set_arena_dirty_decay),
    setting("arena.<i>.muzzy_decay_ms", settings::muzzy_decay, settings::set_arena_muzzy_decay),
    figure("arenas.narenas", figures::arena_count),
    setting("arenas.dirty_decay_ms", settings::dirty_decay, settings::set_dirty_decay),
    setting("arenas.muzzy_decay_ms", settings::muzzy_decay, settings::set_muzzy_decay),
    constant("arenas.quantum", Value::Size(figures::QUANTUM)),
    constant("arenas.page", Value::Size(figures::PAGE)),
    figure("arenas.tcache_max", figures::largest_class),
    figure("arenas.nbins", figures::bin_count),
    figure("arenas.nhbins", figures::bin_count),
    figure("arenas.bin.<j>.size", figures::bin_size),
    figure("arenas.bin.<j>.nregs", figures::bin_objects),
    figure("arenas.bin.<j>.slab_size", figures::bin_span_size),
    constant("arenas.nlextents", Value::Unsigned(0)),
    action("arenas.create", actions::create_arena),
    action("arenas.lookup", actions::look_arena_up),
    figure("stats.allocated", figures::allocated),
    figure("stats.active", figures::active),
    figure("stats.metadata", figures::metadata),
    figure("stats.resident", figures::resident),
    figure("stats.mapped", figures::mapped),
    figure("stats.retained", figures::retained),
    figure("stats.arenas.<i>.nthreads", figures::arena_threads),
    figure("stats.arenas.<i>.dss", figures::arena_dss),
    figure("stats.arenas.<i>.dirty_decay_ms", figures::arena_dirty_decay),
    figure("stats.arenas.<i>.muzzy_decay_ms", figures::arena_muzzy_decay),
    figure("stats.arenas.<i>.pactive", figures::arena_active_pages),
    figure("stats.arenas.<i>.pdirty", figures::arena_dirty_pages),
    figure("stats.arenas.<i>.pmuzzy", figures::arena_muzzy_pages),
    figure("stats.arenas.<i>.mapped", figures::arena_mapped),
    figure("stats.arenas.<i>.retained", figures::arena_retained),
    figure("stats.arenas.<i>.base", figures::arena_metadata),
    figure("stats.arenas.<i>.tcache_bytes", figures::arena_cached),
    figure("stats.arenas.<i>.resident", figures::arena_resident),
    figure("stats.arenas.<i>.small.allocated", figures::arena_small),
    figure("stats.arenas.<i>.large.allocated", figures::arena_large),
    figure("stats.arenas.<i>.bins.<j>.curregs", figures::bin_in_use),
    figure("stats.arenas.<i>.bins.<j>.curslabs", figures::bin_spans),
];
