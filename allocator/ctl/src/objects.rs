//! The files that a process has mapped, and those with their debug information.
//!
//! A name alone says little: a container has files of its own behind the same names, and a file may
//! have been replaced since it was mapped. So a dump has the build-id of each file, and nothing is
//! read of a file whose build-id differs. Files are looked for
//!
//! 1. where the kernel has them for the process, if it runs (`/proc/PID/map_files`, for root),
//! 2. in the process's own root (`/proc/PID/root`), if it runs,
//! 3. at their path here,
//!
//! and their debug information in the folders that `--debug-dir` names and in `/usr/lib/debug`, by
//! build-id (`.build-id/ab/cdef.debug`), or as debuginfod's clients keep it (`abcdef/debuginfo`).

use std::path::{Path, PathBuf};

use addr2line::Loader;
use object::{Object as _, ObjectSegment as _};

use crate::dump::{BuildId, Dump, Mapping};
use crate::process::{Process, read_file};

/// Where files are looked for.
#[derive(Clone, Debug, Default)]
pub struct Files {
    /// The process that the dump is of, if it runs.
    pub process: Option<Process>,
    /// Folders with debug information, by build-id.
    pub debug_dirs: Vec<PathBuf>,
}

/// A file with code, its debug information, or both.
pub struct Module {
    code: Option<Loader>,
    debug: Option<Loader>,
    /// Of each segment of the code: position in the file, length, address.
    segments: Vec<(u64, u64, u64)>,
    /// What an address of the process is more than one of the file, where the code is missing.
    shift: u64,
}

impl Module {
    /// The file's address for the address `call` of the process, which is at `in_file` in the file.
    pub fn address(&self, call: u64, in_file: u64) -> Option<u64> {
        if self.code.is_none() {
            return Some(call.wrapping_sub(self.shift));
        }
        let mut segments = self.segments.iter();
        let has = |&&(position, length, _): &&(u64, u64, u64)| {
            (position..position + length).contains(&in_file)
        };
        segments.find(has).map(|(position, _, start)| in_file - position + start)
    }

    /// What has the lines.
    pub fn lines(&self) -> Option<&Loader> {
        self.debug.as_ref().or(self.code.as_ref())
    }

    /// The name of the symbol at an address of the file.
    pub fn symbol(&self, address: u64) -> Option<&str> {
        let debug = self.debug.as_ref().and_then(|loader| loader.find_symbol(address));
        debug.or_else(|| self.code.as_ref()?.find_symbol(address))
    }
}

impl Files {
    /// The file of `mapping`; `None` if neither it nor its debug information is there.
    pub fn open(&self, dump: &Dump, mapping: &Mapping) -> Option<Module> {
        let code = self.code(mapping);
        let build_id = code.as_ref().map_or(&mapping.build_id, |code| &code.build_id);
        let debug = self.debug(build_id);
        let (code, segments) = match code {
            Some(found) => (Some(Loader::new(&found.path).ok()?), found.segments),
            None => (None, Vec::new()),
        };
        let mut shift = 0;
        if let Some(found) = &debug
            && code.is_none()
        {
            let of_file = dump.mappings.iter().filter(|other| other.path == mapping.path);
            let start = of_file.map(|other| other.start.wrapping_sub(other.offset)).min()?;
            let first = found.segments.iter().map(|&(_, _, address)| address).min()?;
            shift = start.wrapping_sub(first & !0xfff);
        }
        let debug = debug.and_then(|found| Loader::new(found.path).ok());
        (code.is_some() || debug.is_some()).then_some(Module { code, debug, segments, shift })
    }

    /// The file itself.
    fn code(&self, mapping: &Mapping) -> Option<Object> {
        if !mapping.path.is_absolute() {
            return None;
        }
        let name = mapping.path.to_string_lossy();
        let path = Path::new(name.strip_suffix(" (deleted)").unwrap_or(&name));
        let is_replaced = path != mapping.path;
        if let Some(process) = self.process {
            // The very file, whatever lies at its path now.
            let place = format!("map_files/{:x}-{:x}", mapping.start, mapping.end);
            if let Some(found) = Object::read(process.path(&place)) {
                return Some(found);
            }
            let found = Object::read(process.in_root(path));
            if let Some(found) = found.filter(|found| found.fits(&mapping.build_id, !is_replaced)) {
                return Some(found);
            }
        }
        let is_at_home = self.process.is_none_or(Process::shares_root) && !is_replaced;
        Object::read(path.to_owned()).filter(|found| found.fits(&mapping.build_id, is_at_home))
    }

    /// The debug information of the file with this build-id.
    fn debug(&self, build_id: &BuildId) -> Option<Object> {
        let digits = build_id.hex();
        if digits.len() <= 2 {
            return None;
        }
        let (first, rest) = digits.split_at(2);
        let usual = Path::new("/usr/lib/debug");
        let mut folders = self.debug_dirs.clone();
        folders.extend(self.process.map(|process| process.in_root(usual)));
        folders.push(usual.to_owned());
        let paths = folders.iter().flat_map(|folder| {
            let by_name = folder.join(format!(".build-id/{first}/{rest}.debug"));
            [by_name, folder.join(&digits).join("debuginfo")]
        });
        paths.filter_map(Object::read).find(|found| found.build_id == *build_id)
    }
}

/// A file that was read.
struct Object {
    path: PathBuf,
    build_id: BuildId,
    segments: Vec<(u64, u64, u64)>,
}

impl Object {
    fn read(path: PathBuf) -> Option<Self> {
        let bytes = read_file(&path).ok()?;
        let file = object::File::parse(&*bytes).ok()?;
        let segments = file.segments().map(|segment| {
            let (position, length) = segment.file_range();
            (position, length, segment.address())
        });
        let segments = segments.collect();
        Some(Self { path, build_id: BuildId::of(file.build_id().ok()?), segments })
    }

    /// Whether it is the file that the process saw. Without a build-id of that one, its place must
    /// do.
    fn fits(&self, wanted: &BuildId, is_in_place: bool) -> bool {
        match wanted {
            BuildId::Known(_) => self.build_id == *wanted,
            BuildId::None => self.build_id == BuildId::None && is_in_place,
            BuildId::Unknown => is_in_place,
        }
    }
}
