//! Tools of the command line.

use crate::programs::inputs::{history, json_array, log, tables, xml};
use crate::programs::{Program, Step, Work};
use std::path::PathBuf;

const AWK_SCRIPT: &str = include_str!("../scripts/work.awk");
const JQ_SCRIPT: &str = include_str!("../scripts/work.jq");
const STYLE_SHEET: &str = include_str!("../scripts/table.xsl");

pub(super) const GIT: Program = Program {
    name: "git",
    stands_for: "version control: objects read, compared, packed; a process for each command",
    does: "imports a history, packs it on two threads, and shows all changes, blame and statistics",
    packages: &["git"],
    file: "/usr/bin/git",
    version: &["--version"],
    quick: false,
    make: |inputs| inputs.write("history", &history(inputs.seed, inputs.amount(500))),
    work: Work::Commands(|place| {
        let git = |words: &[&str]| {
            // Nothing of whoever runs this, and nothing in the background.
            let settings = [
                ("GIT_CONFIG_NOSYSTEM", "1"),
                ("GIT_CONFIG_COUNT", "2"),
                ("GIT_CONFIG_KEY_0", "gc.auto"),
                ("GIT_CONFIG_VALUE_0", "0"),
                ("GIT_CONFIG_KEY_1", "pack.threads"),
                ("GIT_CONFIG_VALUE_1", "2"),
                ("GIT_PAGER", "cat"),
            ];
            Step { environment: settings.to_vec(), ..place.step(words) }
        };
        let import = Step {
            input: Some(PathBuf::from(place.input("history"))),
            ..git(&["-C", "repository", "fast-import", "--quiet", "--done"])
        };
        vec![
            git(&["init", "--quiet", "--initial-branch=main", "repository"]),
            import,
            git(&["-C", "repository", "repack", "-a", "-d", "-q", "-f"]),
            git(&["-C", "repository", "log", "-p", "--stat", "main"]),
            git(&[
                "-C",
                "repository",
                "blame",
                "--line-porcelain",
                "main",
                "--",
                "src/part3/file3.txt",
            ]),
            git(&["-C", "repository", "rev-list", "--objects", "main"]),
            git(&["-C", "repository", "shortlog", "--summary", "main"]),
        ]
    }),
};

pub(super) const JQ: Program = Program {
    name: "jq",
    stands_for: "JSON in shell scripts: trees of small values with counts of references",
    does: "groups, rebuilds, sorts and prints an array of records",
    packages: &["jq"],
    file: "/usr/bin/jq",
    version: &["--version"],
    quick: true,
    make: |inputs| {
        inputs.write("work.jq", JQ_SCRIPT.as_bytes())?;
        inputs.write("records.json", &json_array(inputs.seed, inputs.amount(12_000)))
    },
    work: Work::Commands(|place| {
        vec![place.step(&["--from-file", &place.input("work.jq"), &place.input("records.json")])]
    }),
};

pub(super) const GAWK: Program = Program {
    name: "gawk",
    stands_for: "text processing in awk: fields, strings, associative arrays",
    does: "counts and joins the fields of an access log",
    packages: &["gawk"],
    file: "/usr/bin/gawk",
    version: &["--version"],
    quick: false,
    make: |inputs| {
        inputs.write("work.awk", AWK_SCRIPT.as_bytes())?;
        inputs.write("access.log", &log(inputs.seed, inputs.amount(80_000)))
    },
    work: Work::Commands(|place| {
        vec![place.step(&["-f", &place.input("work.awk"), &place.input("access.log")])]
    }),
};

pub(super) const XSLTPROC: Program = Program {
    name: "xsltproc",
    stands_for: "XML by libxml2: document trees with a block or more for each node",
    does: "renders a document as a page, sorted and grouped",
    packages: &["xsltproc"],
    file: "/usr/bin/xsltproc",
    version: &["--version"],
    quick: false,
    make: |inputs| {
        inputs.write("table.xsl", STYLE_SHEET.as_bytes())?;
        inputs.write("records.xml", &xml(inputs.seed, inputs.amount(25_000)))
    },
    work: Work::Commands(|place| {
        vec![place.step(&["--nonet", &place.input("table.xsl"), &place.input("records.xml")])]
    }),
};

pub(super) const SQLITE: Program = Program {
    name: "sqlite",
    stands_for: "an embedded database on one thread: pages, statements, sorting",
    does: "fills, indexes, queries and changes two tables in memory",
    packages: &["sqlite3"],
    file: "/usr/bin/sqlite3",
    version: &["--version"],
    quick: true,
    make: |inputs| inputs.write("script.sql", &tables(inputs.seed, inputs.amount(24_000))),
    work: Work::Commands(|place| {
        let input = Some(PathBuf::from(place.input("script.sql")));
        vec![Step { input, ..place.step(&["-batch", "-bail", ":memory:"]) }]
    }),
};
