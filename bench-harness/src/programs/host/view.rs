//! Another C library in the place of the system's, for this process's children alone.
//!
//! The newest allocators are packaged for a newer glibc than this system may have. A loader of its
//! own would start one program with that glibc, but not the programs that this one starts. So the
//! host takes a view of the file system of its own (a mount namespace), in which the newer files
//! lie over the system's of the same names. glibc runs programs that were built for an older one.
//! It needs root, or a kernel that gives users namespaces of their own.

use std::ffi::{CStr, CString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Puts the libraries in `folder` over the system's of the same names. This process must have no
/// other threads.
pub(super) fn replace_libraries(folder: &Path) -> Result<(), String> {
    let explained =
        |error: io::Error| format!("{} cannot be put over the system's: {error}", folder.display());
    let libc = crate::driver::system_library().map_err(explained)?;
    let system = libc.parent().unwrap_or(Path::new("/"));
    let pairs = pairs(folder, system).map_err(explained)?;
    own_view().map_err(explained)?;
    for (new, old) in pairs {
        bind(&new, &old).map_err(explained)?;
    }
    let identity = |path: &Path| fs::metadata(path).map(|file| (file.dev(), file.ino())).ok();
    let seen = identity(&libc);
    if seen.is_some() && seen == identity(&folder.join("libc.so.6")) {
        Ok(())
    } else {
        Err(format!("{} does not lie over {}", folder.display(), libc.display()))
    }
}

/// The libraries of `folder` that the system has, too, with the system's, both without symbolic
/// links.
fn pairs(folder: &Path, system: &Path) -> io::Result<Vec<(PathBuf, PathBuf)>> {
    let mut pairs = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let library = name.to_string_lossy().contains(".so");
        let files = (folder.join(&name).canonicalize(), system.join(&name).canonicalize());
        let (true, (Ok(new), Ok(old))) = (library, files) else { continue };
        if new.is_file() && old.is_file() && !pairs.iter().any(|(_, known)| *known == old) {
            pairs.push((new, old));
        }
    }
    pairs.sort();
    Ok(pairs)
}

/// Separates what this process mounts from what others see.
fn own_view() -> io::Result<()> {
    // SAFETY: the calls have no preconditions.
    let (user, group) = unsafe { (libc::geteuid(), libc::getegid()) };
    let own_users = if user == 0 { 0 } else { libc::CLONE_NEWUSER };
    // SAFETY: the flags separate namespaces, and nothing of memory.
    if unsafe { libc::unshare(libc::CLONE_NEWNS | own_users) } != 0 {
        return Err(io::Error::last_os_error());
    }
    if user != 0 {
        fs::write("/proc/self/setgroups", "deny")?;
        fs::write("/proc/self/uid_map", format!("{user} {user} 1"))?;
        fs::write("/proc/self/gid_map", format!("{group} {group} 1"))?;
    }
    mount(c"none", c"/", libc::MS_REC | libc::MS_PRIVATE)
}

fn bind(new: &Path, old: &Path) -> io::Result<()> {
    let name = |path: &Path| CString::new(path.as_os_str().as_bytes()).map_err(io::Error::other);
    mount(&name(new)?, &name(old)?, libc::MS_BIND)
}

fn mount(source: &CStr, target: &CStr, flags: libc::c_ulong) -> io::Result<()> {
    let (nothing, no_data) = (std::ptr::null(), std::ptr::null());
    // SAFETY: both names are C strings, and the kernel reads neither a type nor data with these
    // flags.
    let failed = unsafe { libc::mount(source.as_ptr(), target.as_ptr(), nothing, flags, no_data) };
    if failed == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_libraries_that_the_system_has_too_are_replaced_and_each_once() {
        let base = std::env::temp_dir().join(format!("view-{}", std::process::id()));
        let (new, old) = (base.join("new"), base.join("old"));
        for folder in [&new, &old] {
            fs::create_dir_all(folder).expect("the temporary folder is writable");
        }
        for name in ["libc.so.6", "libm.so.6.1", "liballoc.so.1", "readme"] {
            fs::write(new.join(name), "").expect("it is writable");
        }
        for name in ["libc.so.6", "libm.so.6.1", "readme", "libz.so"] {
            fs::write(old.join(name), "").expect("it is writable");
        }
        std::os::unix::fs::symlink("libm.so.6.1", old.join("libm.so.6")).expect("it is writable");
        std::os::unix::fs::symlink("libm.so.6.1", new.join("libm.so.6")).expect("it is writable");
        let found = pairs(&new, &old).expect("both can be read");
        let names: Vec<_> = found.iter().map(|(_, old)| old.file_name().expect("a file")).collect();
        assert_eq!(names, ["libc.so.6", "libm.so.6.1"]);
        fs::remove_dir_all(base).expect("it is ours");
    }
}
