//! Runs a workload under mimalloc 3 in its secure mode.

comparisons::mimalloc_runner!(MIMALLOC_SECURE, "3.");
