//! The row of an unwind table at one address: how a frame's caller is found there.
//!
//! A table is a program: it starts with the rules of the common entry, and each step of the
//! function's own entry changes one from some address on. `gimli` reads the steps; they are carried
//! out here, for the two registers that matter to a walk. `gimli`'s own machine keeps the rules of
//! all registers, and takes 8 KiB of the stack of whoever allocates.

use gimli::{
    BaseAddresses, CallFrameInstruction, CallFrameInstructionIter, EhFrame, FrameDescriptionEntry,
    Reader, Register, UnwindExpression, X86_64,
};

/// What the caller's stack pointer is computed from.
#[derive(Clone, Copy)]
pub enum Cfa {
    /// No step has said that yet.
    Unknown,
    /// A register plus a number of bytes.
    At(Register, i64),
    /// An expression.
    Expression(UnwindExpression<usize>),
}

/// Where a register of the caller is found.
#[derive(Clone, Copy)]
pub enum Saved {
    /// No step has said that yet.
    Unknown,
    /// It was not changed.
    Kept,
    /// It cannot be found.
    Lost,
    /// So many bytes from the caller's stack pointer.
    At(i64),
    /// Where an expression leads.
    Expression,
    /// Otherwise.
    Other,
}

/// The rules at an address.
#[derive(Clone, Copy)]
pub struct Row {
    /// For the caller's stack pointer.
    pub cfa: Cfa,
    /// For the address to return to.
    pub ra: Saved,
    /// For the caller's frame pointer.
    pub fp: Saved,
}

/// Rows that may be saved at the same time; compilers do with one.
const MOST_SAVED: usize = 2;

/// The machine that carries the steps out.
struct Machine {
    row: Row,
    /// The row after the common entry's steps.
    initial: Row,
    saved: [Row; MOST_SAVED],
    saved_count: usize,
    /// Where `row` begins to hold.
    address: u64,
    code_factor: u64,
    data_factor: i64,
}

/// The row of `entry` that holds at `pc`; `None` if the table is damaged, or more than this machine
/// can do.
#[inline(never)]
pub fn row_at<R: Reader<Offset = usize>>(
    entry: &FrameDescriptionEntry<R>,
    frames: &EhFrame<R>,
    bases: &BaseAddresses,
    pc: u64,
) -> Option<Row> {
    const NONE: Row = Row { cfa: Cfa::Unknown, ra: Saved::Unknown, fp: Saved::Unknown };
    let cie = entry.cie();
    let mut machine = Machine {
        row: NONE,
        initial: NONE,
        saved: [NONE; MOST_SAVED],
        saved_count: 0,
        address: entry.initial_address(),
        code_factor: cie.code_alignment_factor(),
        data_factor: cie.data_alignment_factor(),
    };
    machine.run(cie.instructions(frames, bases), pc)?;
    machine.initial = machine.row;
    machine.run(entry.instructions(frames, bases), pc)?;
    Some(machine.row)
}

impl Machine {
    /// Carries steps out up to the last one that holds at `pc`.
    fn run<R: Reader<Offset = usize>>(
        &mut self,
        mut steps: CallFrameInstructionIter<'_, R>,
        pc: u64,
    ) -> Option<()> {
        while let Some(step) = steps.next().ok()? {
            let next = match step {
                CallFrameInstruction::SetLoc { address } if address >= self.address => address,
                CallFrameInstruction::SetLoc { .. } => return None,
                CallFrameInstruction::AdvanceLoc { delta } => {
                    self.address.checked_add(u64::from(delta).wrapping_mul(self.code_factor))?
                }
                step => {
                    self.carry_out(step)?;
                    continue;
                }
            };
            if pc < next {
                break;
            }
            self.address = next;
        }
        Some(())
    }

    fn carry_out(&mut self, step: CallFrameInstruction<usize>) -> Option<()> {
        use CallFrameInstruction as Step;
        match step {
            Step::DefCfa { register, offset } => self.row.cfa = Cfa::At(register, offset as i64),
            Step::DefCfaSf { register, factored_offset } => {
                self.row.cfa = Cfa::At(register, self.bytes(factored_offset));
            }
            Step::DefCfaRegister { register } => {
                let Cfa::At(_, offset) = self.row.cfa else { return None };
                self.row.cfa = Cfa::At(register, offset);
            }
            Step::DefCfaOffset { offset } => self.set_cfa_offset(offset as i64)?,
            Step::DefCfaOffsetSf { factored_offset } => {
                self.set_cfa_offset(self.bytes(factored_offset))?;
            }
            Step::DefCfaExpression { expression } => self.row.cfa = Cfa::Expression(expression),
            Step::Undefined { register } => self.set(register, Saved::Lost),
            Step::SameValue { register } => self.set(register, Saved::Kept),
            Step::Offset { register, factored_offset } => {
                self.set(register, Saved::At(self.bytes(factored_offset as i64)));
            }
            Step::OffsetExtendedSf { register, factored_offset } => {
                self.set(register, Saved::At(self.bytes(factored_offset)));
            }
            Step::Expression { register, .. } => self.set(register, Saved::Expression),
            Step::ValOffset { register, .. }
            | Step::ValOffsetSf { register, .. }
            | Step::ValExpression { register, .. }
            | Step::Register { dest_register: register, .. } => self.set(register, Saved::Other),
            Step::Restore { register: X86_64::RA } => self.row.ra = self.initial.ra,
            Step::Restore { register: X86_64::RBP } => self.row.fp = self.initial.fp,
            Step::RememberState => {
                *self.saved.get_mut(self.saved_count)? = self.row;
                self.saved_count += 1;
            }
            Step::RestoreState => {
                self.saved_count = self.saved_count.checked_sub(1)?;
                self.row = self.saved[self.saved_count];
            }
            // The rest is about other registers, or about nothing.
            _ => {}
        }
        Some(())
    }

    fn bytes(&self, factored: i64) -> i64 {
        factored.wrapping_mul(self.data_factor)
    }

    fn set_cfa_offset(&mut self, offset: i64) -> Option<()> {
        let Cfa::At(register, _) = self.row.cfa else { return None };
        self.row.cfa = Cfa::At(register, offset);
        Some(())
    }

    /// Notes where a register of the caller is found, if it is one of the two.
    fn set(&mut self, register: Register, saved: Saved) {
        match register {
            X86_64::RA => self.row.ra = saved,
            X86_64::RBP => self.row.fp = saved,
            _ => {}
        }
    }
}
