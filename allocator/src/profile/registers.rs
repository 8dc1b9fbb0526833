//! The registers that identify a frame of a stack: what `cfi` applies the rules of unwind tables
//! to, and what `unwind` goes from frame to frame with.

/// What identifies a frame while walking.
#[derive(Clone, Copy, Debug)]
pub struct Registers {
    /// Where the frame's code goes on.
    pub pc: usize,
    /// Its stack pointer.
    pub sp: usize,
    /// Its frame-pointer register, whatever it holds.
    pub fp: usize,
}
