//! A database that works through a script: the calls that a real `sqlite3` made.
//!
//! Recorded from Debian's sqlite3 3.40.1 with a database in memory (`traces/sqlite.sql`): tables
//! are filled and indexed, joined, grouped, sorted, changed, turned into JSON, thinned out and
//! rewritten. One thread; 305,639 calls. Rows and expressions are small blocks that live for a
//! statement or less, beside pages of 4 KiB that stay, and texts that grow by `realloc`.

use super::Workload;
use crate::trace;

const TRACE: &[u8] = include_bytes!("../../traces/sqlite.trace.zst");

pub(super) const WORKLOAD: Workload = Workload {
    name: "trace-sqlite",
    stands_for: "an embedded database that loads, queries and rewrites tables on one thread",
    origin: "recorded from sqlite3 3.40.1 running a script",
    unit: "calls",
    threaded: false,
    prepare: |settings| trace::work_from_bytes(TRACE, settings),
};
