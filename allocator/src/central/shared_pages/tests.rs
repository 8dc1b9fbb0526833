//! Properties of shared pages.
