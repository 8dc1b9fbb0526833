//! Libraries that are opened with `RTLD_DEEPBIND`: `docs/decisions/001-deepbind.md`.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use stratalloc_tests::compile::{Link, command, output_dir};
use stratalloc_tests::library;
use stratalloc_tests::preload::same_output;
use stratalloc_tests::process::{Finished, run};

const LIMIT: Duration = Duration::from_secs(60);

/// The library that is opened, bound as distributions do (`-z now`) or when a function is first
/// called.
fn opened_library(binding: &str) -> PathBuf {
    let output = output_dir().join(format!("deepbind_library-{binding}.so"));
    // Tests run side by side.
    static MADE: AtomicUsize = AtomicUsize::new(0);
    let number = MADE.fetch_add(1, Ordering::Relaxed);
    let scratch = output.with_extension(format!("{binding}-{}-{number}", std::process::id()));
    let mut cc = Command::new("cc");
    cc.args(["-std=gnu11", "-O2", "-fno-builtin", "-D_GNU_SOURCE", "-shared", "-fPIC"]);
    cc.arg(format!("-Wl,-z,{binding}"));
    cc.arg(library::programs_dir().join("deepbind_library.c")).arg("-o").arg(&scratch);
    run(cc, LIMIT).expect_success();
    std::fs::rename(&scratch, &output).expect("moving a library into place");
    output
}

fn open_with(link: Link, binding: &str, option: &str) -> Finished {
    let mut host = command("deepbind.c", link);
    host.arg(opened_library(binding)).env("STRATALLOC_DEEPBIND", option);
    run(host, LIMIT)
}

/// Blocks go from the library to the program, back, and through functions of the C library,
/// whichever way the allocator came into the program.
#[test]
fn a_library_opened_with_deepbind_shares_the_allocator_with_its_program() {
    for link in [Link::Preload, Link::Shared, Link::Static] {
        for binding in ["now", "lazy"] {
            open_with(link, binding, "on").expect_success();
        }
    }
}

/// What the option is for: without, the first block that is passed on ends the process.
#[test]
fn without_the_option_allocators_are_mixed() {
    let finished = open_with(Link::Preload, "now", "off");
    assert!(finished.signal().is_some(), "{finished}");
}

/// PHP opens its extensions so; each of these functions comes from one.
#[test]
fn php_runs_with_its_extensions() {
    const SCRIPT: &str = r#"
        foreach (['ctype', 'iconv', 'posix', 'tokenizer', 'fileinfo', 'ffi', 'sockets'] as $name)
            if (!extension_loaded($name)) { echo "no $name\n"; exit(1); }
        echo iconv('UTF-8', 'ISO-8859-1//TRANSLIT', 'text'), ctype_alpha('abc'), "\n";
        echo posix_getpwuid(0)['name'], count(token_get_all('<?php echo 1;')), "\n";
        echo (new finfo(FILEINFO_MIME_TYPE))->buffer("%PDF-1.4 text"), "\n";
        $libc = FFI::cdef('char *strdup(const char *s); void free(void *p);', 'libc.so.6');
        for ($i = 0; $i < 1000; $i++) { $p = $libc->strdup(str_repeat('x', $i)); $libc->free($p); }
        $pair = socket_create_pair(AF_UNIX, SOCK_STREAM, 0, $pair_of) ? $pair_of : [];
        socket_write($pair[0], 'through a socket'); echo socket_read($pair[1], 100), "\n";
        for ($i = 0, $all = []; $i < 20000; $i++) $all["key $i"] = [$i, md5((string) $i)];
        echo md5(serialize($all)), ' ', md5(gzdeflate(json_encode($all))), "\n";
    "#;
    same_output(LIMIT, || {
        let mut php = Command::new("php");
        php.args(["-d", "ffi.enable=1", "-r", SCRIPT]);
        php
    });
}
