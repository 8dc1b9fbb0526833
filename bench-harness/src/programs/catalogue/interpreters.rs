//! Languages, each by a script of the kind that it is used for.

use crate::programs::inputs::{json_lines, log};
use crate::programs::{Inputs, Place, Program, Step, Work};
use std::io;

const PYTHON_SCRIPT: &str = include_str!("../scripts/work.py");
const RUBY_SCRIPT: &str = include_str!("../scripts/work.rb");
const PERL_SCRIPT: &str = include_str!("../scripts/work.pl");
const PHP_SCRIPT: &str = include_str!("../scripts/work.php");
const LUA_SCRIPT: &str = include_str!("../scripts/work.lua");
const NODE_SCRIPT: &str = include_str!("../scripts/work.js");
const JAVA_SOURCE: &str = include_str!("../scripts/Work.java");

const LOG: &str = "access.log";
const RECORDS: &str = "records.json";

/// A script with a log of so many lines and so many records.
fn script(inputs: &Inputs, text: &str, lines: usize, records: usize) -> io::Result<()> {
    inputs.write("work", text.as_bytes())?;
    inputs.write(LOG, &log(inputs.seed, inputs.amount(lines)))?;
    inputs.write(RECORDS, &json_lines(inputs.seed, inputs.amount(records)))
}

/// The interpreter with the script, and with these inputs.
fn with(place: &Place, inputs: &[&str], environment: &[(&'static str, &'static str)]) -> Vec<Step> {
    let words: Vec<_> = ["work"].iter().chain(inputs).map(|name| place.input(name)).collect();
    vec![Step { environment: environment.to_vec(), ..place.step(&words) }]
}

pub(super) const PYTHON: Program = Program {
    name: "python",
    stands_for: "scripts and data work in Python: objects, dictionaries, strings",
    does: "indexes an access log by regular expressions, and takes JSON apart and together",
    packages: &["python3"],
    file: "/usr/bin/python3",
    version: &["--version"],
    quick: true,
    make: |inputs| script(inputs, PYTHON_SCRIPT, 40_000, 9_000),
    // The order of sets, too, must not depend on a random number.
    work: Work::Commands(|place| with(place, &[LOG, RECORDS], &[("PYTHONHASHSEED", "0")])),
};

pub(super) const PYTHON_MALLOC: Program = Program {
    name: "python-malloc",
    stands_for: "Python whose every object is malloc's, without its own pools",
    does: "what python does, with PYTHONMALLOC=malloc",
    quick: false,
    make: |inputs| script(inputs, PYTHON_SCRIPT, 40_000, 9_000),
    work: Work::Commands(|place| {
        let settings = [("PYTHONHASHSEED", "0"), ("PYTHONMALLOC", "malloc")];
        with(place, &[LOG, RECORDS], &settings)
    }),
    ..PYTHON
};

pub(super) const RUBY: Program = Program {
    name: "ruby",
    stands_for: "web applications in Ruby: strings, hashes, a collector above malloc",
    does: "indexes an access log, and takes JSON apart and together",
    packages: &["ruby"],
    file: "/usr/bin/ruby",
    version: &["--version"],
    quick: true,
    make: |inputs| script(inputs, RUBY_SCRIPT, 40_000, 9_000),
    work: Work::Commands(|place| with(place, &[LOG, RECORDS], &[])),
};

pub(super) const PERL: Program = Program {
    name: "perl",
    stands_for: "text processing in Perl: scalars, hashes and arrays, each malloc's",
    does: "indexes an access log by regular expressions, and rewrites its words",
    packages: &["perl"],
    file: "/usr/bin/perl",
    version: &["-e", "printf 'perl %vd', $^V"],
    quick: false,
    make: |inputs| script(inputs, PERL_SCRIPT, 70_000, 1),
    work: Work::Commands(|place| with(place, &[LOG], &[("PERL_HASH_SEED", "0")])),
};

pub(super) const PHP: Program = Program {
    name: "php",
    stands_for: "web pages in PHP without its own pools: strings and arrays by malloc",
    does: "renders JSON records into pages, with USE_ZEND_ALLOC=0",
    packages: &["php-cli"],
    file: "/usr/bin/php",
    version: &["--version"],
    quick: false,
    make: |inputs| script(inputs, PHP_SCRIPT, 1, 25_000),
    work: Work::Commands(|place| {
        let words = [place.input("work"), place.input(RECORDS)];
        let words: Vec<String> = ["-n".to_owned()].into_iter().chain(words).collect();
        vec![Step { environment: vec![("USE_ZEND_ALLOC", "0")], ..place.step(&words) }]
    }),
};

pub(super) const LUA: Program = Program {
    name: "lua",
    stands_for: "an embedded interpreter: small tables and strings, resized by realloc",
    does: "indexes an access log by patterns, sorts it, and joins it",
    packages: &["lua5.4"],
    file: "/usr/bin/lua5.4",
    version: &["-v"],
    quick: false,
    make: |inputs| script(inputs, LUA_SCRIPT, 80_000, 1),
    work: Work::Commands(|place| with(place, &[LOG], &[])),
};

pub(super) const NODE: Program = Program {
    name: "node",
    stands_for: "services in JavaScript: buffers and compression; objects are V8's own affair",
    does: "puts JSON records into buffers, compresses and hashes them",
    packages: &["nodejs"],
    file: "/usr/bin/node",
    version: &["--version"],
    quick: false,
    make: |inputs| script(inputs, NODE_SCRIPT, 1, 30_000),
    work: Work::Commands(|place| with(place, &[RECORDS], &[])),
};

pub(super) const JAVA: Program = Program {
    name: "java",
    stands_for: "a Java virtual machine: its compiler, direct buffers, compression; objects are its own affair",
    does: "compiles a source file, and indexes an access log on two threads",
    packages: &["openjdk-17-jdk-headless"],
    file: "/usr/bin/java",
    version: &["--version"],
    quick: false,
    make: |inputs| {
        inputs.write("Work.java", JAVA_SOURCE.as_bytes())?;
        inputs.write(LOG, &log(inputs.seed, inputs.amount(20_000)))
    },
    work: Work::Commands(|place| {
        // Two threads of the collector, whatever the machine has, and no file of counters in /tmp.
        let options = ["-XX:ActiveProcessorCount=2", "-Xmx256m", "-XX:-UsePerfData"];
        let files = [place.input("Work.java"), place.input(LOG)];
        let words: Vec<String> = options.map(str::to_owned).into_iter().chain(files).collect();
        vec![place.step(&words)]
    }),
};
