//! The file that is run, and whether a library can be preloaded into it.
//!
//! The dynamic linker says nothing where it preloads nothing: programs that run with more rights
//! than their user (set-user-ID and set-group-ID bits, file capabilities), and those that it does
//! not start (static ones). The checks are those of the kernel (credentials(7), capabilities(7),
//! `cap_bprm_creds_from_file`). A script is as good as its interpreter.

use std::env;
use std::ffi::{CString, OsStr};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use object::Endianness;
use object::elf::{self, FileHeader64, PT_INTERP};
use object::read::elf::{FileHeader, ProgramHeader};

use crate::Refusal;

/// Interpreters that are scripts themselves: as many as the kernel follows.
const MOST_INTERPRETERS: usize = 5;

/// Most bytes of a file that are read: its headers lie at its start.
const HEAD_BYTES: usize = 64 << 10;

/// The machine that this program is for.
const OWN_MACHINE: elf::Machine =
    if cfg!(target_arch = "aarch64") { elf::EM_AARCH64 } else { elf::EM_X86_64 };

/// The file that `execvp` would run for `name`.
pub fn find(name: &OsStr) -> Result<PathBuf, Refusal> {
    if name.as_bytes().contains(&b'/') {
        return executable(Path::new(name)).map_err(|error| {
            let text = format!("{}: {error}", name.display());
            match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Refusal::missing(text),
                _ => Refusal::cannot(text),
            }
        });
    }
    // confstr(_CS_PATH) of glibc, where there is no such variable.
    let path = env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into());
    let mut denied = None;
    for folder in env::split_paths(&path) {
        match executable(&folder.join(name)) {
            Ok(found) => return Ok(found),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => denied = Some(error),
            Err(_) => {}
        }
    }
    match denied {
        Some(error) => Err(Refusal::cannot(format!("{}: {error}", name.display()))),
        None => Err(Refusal::missing(format!("{}: there is no such program", name.display()))),
    }
}

/// `path`, if it is a file that may be executed.
fn executable(path: &Path) -> io::Result<PathBuf> {
    if fs::metadata(path)?.is_dir() {
        return Err(io::Error::from(io::ErrorKind::PermissionDenied));
    }
    let name = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: a path that a NUL ends.
    if unsafe { libc::access(name.as_ptr(), libc::X_OK) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(path.to_owned())
}

/// Fails if nothing would be preloaded into `program`, or with what is wrong with it.
pub fn check(program: &Path) -> Result<(), Refusal> {
    let mut path = program.to_owned();
    for _ in 0..MOST_INTERPRETERS {
        let shown = path.display();
        let Ok(head) = head(&path) else {
            // Whoever may execute it need not be able to read it: what it is stays unknown.
            return privileges(&path);
        };
        if let Some(interpreter) = interpreter(&head) {
            // Rights of a script are those of its interpreter.
            path = interpreter;
            continue;
        }
        privileges(&path)?;
        return match dynamic(&head) {
            Ok(()) => Ok(()),
            Err(why) => Err(Refusal::cannot(format!("{shown}: {why}"))),
        };
    }
    let shown = program.display();
    Err(Refusal::cannot(format!("{shown}: a script whose interpreters are scripts, too many deep")))
}

/// The start of a file.
fn head(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(HEAD_BYTES as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The interpreter that a script names in its first line.
fn interpreter(head: &[u8]) -> Option<PathBuf> {
    let line = head.strip_prefix(b"#!")?.split(|&byte| byte == b'\n').next()?;
    let path = line.trim_ascii_start().split(|&byte| byte == b' ' || byte == b'\t').next()?;
    Some(PathBuf::from(OsStr::from_bytes(path.trim_ascii())))
}

/// Fails if the process would have more rights than its user.
fn privileges(path: &Path) -> Result<(), Refusal> {
    let shown = path.display();
    let Ok(data) = fs::metadata(path) else {
        return Err(Refusal::missing(format!("{shown}: there is no such interpreter")));
    };
    if gains_nothing(path) {
        return Ok(());
    }
    let remedy = "the dynamic linker preloads nothing into programs with more rights than their \
        user; an administrator can name the library in /etc/ld.so.preload";
    let refuse = |what: &str| Err(Refusal::cannot(format!("{shown} {what}: {remedy}")));
    // SAFETY: the calls take nothing and cannot fail.
    let (user, group) = unsafe { (libc::geteuid(), libc::getegid()) };
    if data.mode() & libc::S_ISUID != 0 && data.uid() != user {
        return refuse("is set-user-ID");
    }
    let set_group = libc::S_ISGID | libc::S_IXGRP;
    if data.mode() & set_group == set_group && data.gid() != group {
        return refuse("is set-group-ID");
    }
    if user != 0 && has_capabilities(path) {
        return refuse("has file capabilities");
    }
    Ok(())
}

/// Whether no program gets rights by its file here: the process asked for that, or the file system
/// is mounted so.
fn gains_nothing(path: &Path) -> bool {
    // SAFETY: the call takes numbers alone.
    if unsafe { libc::prctl(libc::PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) } == 1 {
        return true;
    }
    let Ok(name) = CString::new(path.as_os_str().as_bytes()) else { return false };
    let mut system = std::mem::MaybeUninit::<libc::statvfs>::zeroed();
    // SAFETY: a path that a NUL ends, and memory for the answer; zeros are a valid answer.
    let system = unsafe {
        if libc::statvfs(name.as_ptr(), system.as_mut_ptr()) != 0 {
            return false;
        }
        system.assume_init()
    };
    system.f_flag & libc::ST_NOSUID != 0
}

fn has_capabilities(path: &Path) -> bool {
    let Ok(name) = CString::new(path.as_os_str().as_bytes()) else { return false };
    let attribute = c"security.capability";
    // SAFETY: two texts that a NUL ends; no memory to write to, so only the size is returned.
    unsafe { libc::getxattr(name.as_ptr(), attribute.as_ptr(), std::ptr::null_mut(), 0) > 0 }
}

/// Fails if the dynamic linker of this machine's C library does not start the program. Files of
/// other kinds are left to the kernel.
fn dynamic(head: &[u8]) -> Result<(), String> {
    if !head.starts_with(b"\x7fELF") {
        return Ok(());
    }
    const CLASS: usize = 4;
    const CLASS_64: u8 = 2;
    if head.get(CLASS) != Some(&CLASS_64) {
        return Err("an executable of 32 bits, and the library has 64".into());
    }
    let damaged = |error| format!("a damaged executable ({error})");
    let header = FileHeader64::<Endianness>::parse(head).map_err(damaged)?;
    let endian = header.endian().map_err(damaged)?;
    if header.e_machine(endian) != OWN_MACHINE {
        return Err("an executable for another machine".into());
    }
    let segments = header.program_headers(endian, head).map_err(damaged)?;
    let Some(interpreter) = segments.iter().find(|segment| segment.p_type(endian) == PT_INTERP)
    else {
        return Err("a static executable: link it with libstratalloc.a instead".into());
    };
    let linker = interpreter.data(endian, head).unwrap_or_default();
    if linker.windows(7).any(|part| part == b"ld-musl") {
        return Err("an executable of musl, and the library needs glibc".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interpreter_of_a_script_is_its_first_word() {
        let of = |text: &str| interpreter(text.as_bytes());
        assert_eq!(of("#!/bin/sh\necho"), Some("/bin/sh".into()));
        assert_eq!(of("#! /usr/bin/env python3\n"), Some("/usr/bin/env".into()));
        assert_eq!(of("#!/bin/awk\t-f"), Some("/bin/awk".into()));
        assert_eq!(of("echo"), None);
    }

    #[test]
    fn this_program_is_dynamic_and_garbage_is_refused() {
        let own = head(Path::new("/proc/self/exe")).expect("this program");
        assert_eq!(dynamic(&own), Ok(()));
        assert!(dynamic(&own[..40]).is_err(), "half a header");
        let mut other = own.clone();
        other[18] ^= 0x40;
        assert!(dynamic(&other).expect_err("another machine").contains("another machine"));
        other[4] = 1;
        assert!(dynamic(&other).expect_err("32 bits").contains("32 bits"));
        assert_eq!(dynamic(b"no executable"), Ok(()), "left to the kernel");
    }
}
