//! From addresses of a process to functions, files and lines. The files that are mapped at the
//! addresses tell: by their debug information (`addr2line`), else by their tables of symbols. Names
//! are demangled. A file that cannot be read leaves its addresses without names.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::dump::{Dump, Mapping};
use crate::objects::Module;

/// One function on a stack. A call that was inlined is a frame too.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, serde::Serialize)]
pub struct Frame {
    /// The function's name, demangled; `None` if the file does not tell it.
    pub function: Option<String>,
    /// Source file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Line in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// The file that the code is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub module: Option<PathBuf>,
    /// The return address as an address of the file, which tools for files take.
    pub offset: u64,
}

/// What is known about the addresses of one process.
pub struct Symbols<'a> {
    dump: &'a Dump,
    /// Files that an address was in; `None` for those that cannot be read.
    modules: HashMap<&'a Path, Option<Module>>,
    /// Addresses that were looked up.
    known: HashMap<u64, Vec<Frame>>,
}

impl<'a> Symbols<'a> {
    /// Knows nothing yet: a file is opened when an address is in it.
    pub fn new(dump: &'a Dump) -> Self {
        Self { dump, modules: HashMap::new(), known: HashMap::new() }
    }

    /// The mapping that `address` is in.
    pub fn mapping(&self, address: u64) -> Option<(usize, &'a Mapping)> {
        let mut mappings = self.dump.mappings.iter().enumerate();
        mappings.find(|(_, mapping)| (mapping.start..mapping.end).contains(&address))
    }

    /// The functions at a return address, inlined ones first.
    pub fn frames(&mut self, address: u64) -> Vec<Frame> {
        if let Some(frames) = self.known.get(&address) {
            return frames.clone();
        }
        let frames = self.look_up(address);
        self.known.insert(address, frames.clone());
        frames
    }

    /// As `frames`, for an address that was not looked up before.
    fn look_up(&mut self, address: u64) -> Vec<Frame> {
        // The call is before the address that it returns to.
        let call = address.wrapping_sub(1);
        let Some((_, mapping)) = self.mapping(call) else {
            return vec![Frame { offset: address, ..Frame::default() }];
        };
        let in_file = call - mapping.start + mapping.offset;
        let dump = self.dump;
        let module =
            self.modules.entry(&mapping.path).or_insert_with(|| dump.files.open(dump, mapping));
        let unnamed =
            |offset| Frame { module: Some(mapping.path.clone()), offset, ..Frame::default() };
        let Some(module) = module else { return vec![unnamed(in_file + 1)] };
        let Some(probe) = module.address(call, in_file) else { return vec![unnamed(in_file + 1)] };
        let mut frames = Vec::new();
        if let Some(Ok(mut found)) = module.lines().map(|loader| loader.find_frames(probe)) {
            while let Ok(Some(frame)) = found.next() {
                let function = frame.function.as_ref().and_then(|name| name.demangle().ok());
                let location = frame.location.as_ref();
                frames.push(Frame {
                    function: function.map(|name| tidy(&name)),
                    file: location.and_then(|at| at.file).map(str::to_owned),
                    line: location.and_then(|at| at.line),
                    ..unnamed(probe + 1)
                });
            }
        }
        // Without debug information there is no frame, or one without a name.
        let symbol = module.symbol(probe);
        let symbol = symbol.map(|name| tidy(&addr2line::demangle_auto(name.into(), None)));
        match frames.last_mut() {
            Some(last) => {
                // Debug information of lines alone has names without their paths.
                let is_longer = |symbol: &String| match &last.function {
                    None => true,
                    Some(name) => symbol.ends_with(&format!("::{name}")),
                };
                if symbol.as_ref().is_some_and(is_longer) {
                    last.function = symbol;
                }
            }
            None => frames.push(Frame { function: symbol, ..unnamed(probe + 1) }),
        }
        frames
    }
}

/// A name without the hash that Rust's older mangling puts behind it, and without what glibc puts
/// before the names of functions that it calls itself.
fn tidy(name: &str) -> String {
    let name = name.strip_prefix("__GI_").unwrap_or(name);
    match name.rsplit_once("::h") {
        Some((rest, hash)) if hash.len() == 16 && hash.bytes().all(|c| c.is_ascii_hexdigit()) => {
            rest.to_owned()
        }
        _ => name.to_owned(),
    }
}
