//! Runs a workload under mimalloc 2.

comparisons::mimalloc_runner!(MIMALLOC2, "2.");
