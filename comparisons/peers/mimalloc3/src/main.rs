//! Runs a workload under mimalloc 3.

comparisons::mimalloc_runner!(MIMALLOC3, "3.");
