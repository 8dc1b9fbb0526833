//! Property tests of the page heap over a scripted OS.
