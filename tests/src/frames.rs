//! How deep calls can go at most, from the machine code of a library: the stack frames of the
//! longest chain of calls.
//!
//! What is measured on a painted stack was reached; this is what could be. It knows direct calls,
//! and those through the library's own table of addresses: a call through another pointer counts
//! for nothing, and a function that calls itself counts once. On x86-64 only.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::process;

/// A function: its name, what it takes of the stack, and whom it calls.
struct Function {
    name: String,
    frame: usize,
    /// Addresses, and whether the caller's frame is still there, as it is not after a jump.
    calls: Vec<(u64, bool)>,
}

/// The functions of a library by address.
pub struct Functions(BTreeMap<u64, Function>);

/// The longest chain of calls from a function on.
#[derive(Clone)]
pub struct Chain {
    /// Bytes of stack, the return address of the first call included.
    pub bytes: usize,
    /// The functions, each with its frame.
    pub functions: Vec<String>,
}

fn output(program: &str, arguments: &[&str], library: &Path) -> String {
    let mut command = Command::new(program);
    command.args(arguments).arg(library);
    process::run(command, Duration::from_secs(60)).expect_success().text()
}

/// The names that a library exports, with their addresses.
pub fn exported(library: &Path) -> Vec<(u64, String)> {
    let names = output("nm", &["-D", "--defined-only"], library);
    let parse = |line: &str| {
        let mut words = line.split_whitespace();
        let address = u64::from_str_radix(words.next()?, 16).ok()?;
        let is_code = matches!(words.next()?, "T" | "W");
        is_code.then_some(())?;
        Some((address, words.next()?.to_string()))
    };
    names.lines().filter_map(parse).collect()
}

/// The functions of the library whose addresses the dynamic linker writes into words of it, by the
/// addresses of these words.
fn own_addresses(library: &Path) -> HashMap<u64, u64> {
    let relocations = output("readelf", &["-W", "-r"], library);
    let parse = |line: &str| {
        let words: Vec<_> = line.split_whitespace().collect();
        let [word, _, "R_X86_64_RELATIVE", value] = words[..] else { return None };
        Some((u64::from_str_radix(word, 16).ok()?, u64::from_str_radix(value, 16).ok()?))
    };
    relocations.lines().filter_map(parse).collect()
}

impl Functions {
    /// Reads the machine code of `library`.
    pub fn of(library: &Path) -> Self {
        let addresses = own_addresses(library);
        let text = output("objdump", &["-d", "-C", "--no-show-raw-insn"], library);
        let mut functions: BTreeMap<u64, Function> = BTreeMap::new();
        for line in text.lines() {
            if let Some((address, name)) = header(line) {
                let function = Function { name: name.to_string(), frame: 0, calls: Vec::new() };
                functions.insert(address, function);
            } else if let Some(mut last) = functions.last_entry()
                && let Some((_, instruction)) = line.split_once('\t')
            {
                note(last.get_mut(), instruction, &addresses);
            }
        }
        assert!(functions.len() > 100, "objdump shows no functions");
        Self(functions)
    }

    /// The longest chain from the function at `address` on, without those whose names contain a
    /// text of `without`.
    pub fn longest_chain(&self, address: u64, without: &[&str]) -> Chain {
        let mut chain = self.search(address, without, &mut HashMap::new());
        chain.bytes += 8;
        chain.functions.reverse();
        chain
    }

    fn search(&self, address: u64, without: &[&str], known: &mut HashMap<u64, Chain>) -> Chain {
        if let Some(chain) = known.get(&address) {
            return chain.clone();
        }
        let nothing = Chain { bytes: 0, functions: Vec::new() };
        known.insert(address, nothing.clone());
        let function = &self.0[&address];
        let mut best = Chain { bytes: function.frame, ..nothing };
        for &(callee, keeps_frame) in &function.calls {
            let Some(called) = self.0.get(&callee) else { continue };
            if without.iter().any(|text| called.name.contains(text)) {
                continue;
            }
            let mut chain = self.search(callee, without, known);
            // A call also leaves the address to return to.
            chain.bytes += if keeps_frame { function.frame + 8 } else { 0 };
            if chain.bytes > best.bytes {
                best = chain;
            }
        }
        best.functions.push(format!("{:>6}  {}", function.frame, function.name));
        known.insert(address, best.clone());
        best
    }
}

/// The address and the name in a line like `0000000000017810 <malloc>:`.
fn header(line: &str) -> Option<(u64, &str)> {
    let (address, name) = line.split_once(" <")?;
    Some((u64::from_str_radix(address, 16).ok()?, name.strip_suffix(">:")?))
}

/// Notes what an instruction of `function` means for the stack.
fn note(function: &mut Function, instruction: &str, addresses: &HashMap<u64, u64>) {
    let (name, operands) = instruction.split_once(' ').unwrap_or((instruction, ""));
    let operands = operands.trim_start();
    if name == "push" {
        function.frame += 8;
    } else if name == "sub"
        && let Some(bytes) = operands.strip_prefix("$0x").and_then(|at| at.strip_suffix(",%rsp"))
    {
        function.frame += usize::from_str_radix(bytes, 16).expect("a number");
    } else if (name == "call" || name.starts_with('j'))
        && let Some((target, _)) = operands.split_once(' ')
        && let Some(target) = callee(target, operands, addresses)
    {
        function.calls.push((target, name == "call"));
    }
}

/// The address that a call or jump leads to: `target` itself, or what is in the word that a remark
/// of `operands` names.
fn callee(target: &str, operands: &str, addresses: &HashMap<u64, u64>) -> Option<u64> {
    if !target.starts_with('*') {
        return u64::from_str_radix(target, 16).ok();
    }
    let (_, word) = operands.split_once("# ")?;
    let (word, _) = word.split_once(' ')?;
    addresses.get(&u64::from_str_radix(word, 16).ok()?).copied()
}
