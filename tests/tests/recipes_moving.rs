//! The tables of `docs/recipes/moving.md`, row by row: each option of ours is taken with its value,
//! each variable of others is read or ignored as the page says, each call is served or is not
//! there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use stratalloc_tests::compile::{Link, command};
use stratalloc_tests::documents::{Runner, blocks, root, table_rows};
use stratalloc_tests::library;
use stratalloc_tests::process::run;

const PAGE: &str = "docs/recipes/moving.md";
const LIMIT: Duration = Duration::from_secs(60);

/// Headings of the tables of variables, and of those of calls.
const VARIABLES: [&str; 4] =
    ["MALLOC_CONF", "Variables of tcmalloc", "Variables of mimalloc", "Variables of glibc"];
const CALLS: [&str; 4] =
    ["Calls of jemalloc", "Calls of tcmalloc", "Calls of mimalloc", "Calls of glibc"];
/// Names of `mallctl` that have no dot.
const PLAIN_NAMES: [&str; 4] = ["epoch", "version", "background_thread", "max_background_threads"];

/// A row: what stands as code in the first two columns, and the text of all three.
struct Row {
    theirs: Vec<String>,
    ours: Vec<String>,
    cells: Vec<String>,
}

fn rows(heading: &str) -> Vec<Row> {
    let rows = table_rows(PAGE, &format!("### {heading}"));
    assert!(rows.len() > 5, "{heading}: {} rows", rows.len());
    let row = |cells: Vec<String>| {
        assert_eq!(cells.len(), 3, "{cells:?}");
        let (theirs, ours) = (code(&cells[0]), code(&cells[1]));
        let is_told = !ours.is_empty() || ["none", "the same"].contains(&cells[1].as_str());
        assert!(!theirs.is_empty() && is_told, "{cells:?}");
        Row { theirs, ours, cells }
    };
    rows.into_iter().map(row).collect()
}

/// What stands as code in a text.
fn code(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// What a process says on stderr that has the library and these variables.
fn said(variables: &[(&str, &str)]) -> String {
    let mut command = Command::new("true");
    command.env("LD_PRELOAD", library::shared()).envs(variables.iter().copied());
    run(command, LIMIT).expect_success().errors()
}

/// The values of all options in a process with these variables.
fn options(variables: &[(&str, &str)]) -> BTreeMap<String, String> {
    let mut variables = variables.to_vec();
    variables.push(("STRATALLOC_OPTIONS", "help"));
    let help = said(&variables);
    let lines = help.lines().filter_map(|line| line.strip_prefix("  ")?.split_once(" = "));
    let words = |(name, rest): (&str, &str)| {
        let value = rest.split(' ').next().unwrap_or_default();
        (!name.starts_with(' ')).then(|| (name.to_owned(), value.to_owned()))
    };
    let options: BTreeMap<String, String> = lines.filter_map(words).collect();
    assert!(options.len() > 15, "{help}");
    options
}

/// Every name that the library exports.
fn exported() -> BTreeSet<String> {
    let text = fs::read_to_string(root().join("allocator/capi/exported-names.txt"));
    text.expect("the names").lines().map(str::to_owned).collect()
}

/// What the program says to each question.
fn ask(questions: &str) -> Vec<String> {
    let mut program = command("moving.c", Link::Shared);
    let mut child =
        program.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the program");
    let mut input = child.stdin.take().expect("it is piped");
    input.write_all(questions.as_bytes()).expect("questions");
    drop(input);
    let output = child.wait_with_output().expect("answers");
    assert!(output.status.success(), "{questions}");
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn every_option_of_ours_is_taken_with_its_value() {
    // Mistakes are said with the name in the line.
    let is_refused = |option: &str| {
        let name = option.split('=').next().expect("a name").to_owned();
        let said = said(&[("STRATALLOC_OPTIONS", option)]);
        said.lines().any(|line| line.starts_with("stratalloc: ") && line.contains(&name))
    };
    assert!(is_refused("decay_mss=1") && is_refused("decay_ms=soon"), "mistakes are seen");
    let (known, exported) = (options(&[]), exported());
    let mut tried = 0;
    for row in VARIABLES.iter().chain(&CALLS).flat_map(|heading| rows(heading)) {
        for option in row.ours.iter().chain(&code(&row.cells[2])) {
            let is_option = option.split_once('=').is_some_and(|(name, _)| {
                !name.contains(' ') && name.chars().all(|c| c.is_ascii_lowercase() || c == '_')
            });
            if is_option {
                assert!(!is_refused(option), "{option} is not taken: {:?}", row.cells);
                tried += 1;
            }
        }
        for name in &row.ours {
            let function = name.split('(').next().expect("a name");
            let is_known = name.contains('=')
                || name == "help"
                || known.contains_key(name)
                || exported.contains(function);
            assert!(is_known, "{name} is neither an option nor a call: {:?}", row.cells);
        }
    }
    assert!(tried > 40, "{tried}");
}

#[test]
fn variables_of_others_are_read_or_ignored_as_the_page_says() {
    let plain = options(&[]);
    let mut read = 0;
    for heading in VARIABLES {
        for row in rows(heading) {
            for setting in &row.theirs {
                let (name, value) = match heading {
                    "MALLOC_CONF" => ("MALLOC_CONF", setting.as_str()),
                    _ => setting.split_once('=').unwrap_or_else(|| panic!("{:?}", row.cells)),
                };
                let mut expected = plain.clone();
                if row.cells[2].starts_with("Read as it stands") {
                    let (option, value) = row.ours[0].split_once('=').expect("an option");
                    expected.insert(option.to_owned(), value.to_owned());
                    read += 1;
                }
                assert_eq!(options(&[(name, value)]), expected, "{setting}: {:?}", row.cells);
            }
        }
    }
    assert!(read >= 7, "{read}");
}

#[test]
fn calls_of_others_are_served_or_not_there_as_the_page_says() {
    let exported = exported();
    let (mut questions, mut expected) = (String::new(), Vec::new());
    for heading in CALLS {
        for row in rows(heading) {
            let is_served = row.cells[1] == "the same";
            for name in row.theirs.iter().filter(|name| !name.starts_with("mallopt(")) {
                let is_name = name.contains('.') || PLAIN_NAMES.contains(&name.as_str());
                if is_name {
                    let kind = if heading.ends_with("jemalloc") { "mallctl" } else { "property" };
                    questions += &format!("{kind} {name}\n");
                    expected.push((name.clone(), u8::from(is_served).to_string()));
                } else {
                    let function = name.split('(').next().expect("a name");
                    assert_eq!(exported.contains(function), is_served, "{:?}", row.cells);
                }
            }
        }
    }
    assert!(expected.len() > 40, "{expected:?}");
    let names = expected.iter().map(|(name, _)| name.clone());
    let answers: Vec<(String, String)> = names.zip(ask(&questions)).collect();
    assert_eq!(answers, expected);
}

#[test]
fn settings_of_mallopt_do_what_the_page_says() {
    let mut tried = 0;
    for row in rows("Calls of glibc") {
        for call in &row.theirs {
            let Some(inside) = call.strip_prefix("mallopt(") else { continue };
            let (name, value) =
                inside.trim_end_matches(')').split_once(", ").expect("name and value");
            // What it returns, the decay, and which of the blocks of 65 and 129 MiB are mapped.
            let expected = match row.ours.first().map(String::as_str) {
                None => "1 2000 2",
                Some("decay_ms=never") => "1 -1 2",
                Some("direct_bytes=never") => "1 2000 0",
                Some("direct_bytes=128M") => "1 2000 1",
                Some(other) => panic!("{other} has no expectation here"),
            };
            assert_eq!(ask(&format!("mallopt {name} {value}\n")), [expected], "{:?}", row.cells);
            tried += 1;
        }
    }
    assert_eq!(tried, 8);
}

/// That the dynamic linker knows glibc's tunables by the names on the page.
#[test]
fn glibc_has_the_tunables_that_the_page_names() {
    let mut list = Command::new("/lib64/ld-linux-x86-64.so.2");
    list.arg("--list-tunables");
    let known = run(list, LIMIT).expect_success().text();
    let settings: Vec<String> =
        rows("Variables of glibc").into_iter().flat_map(|row| row.theirs).collect();
    let tunables = settings.iter().filter_map(|one| one.strip_prefix("GLIBC_TUNABLES="));
    let mut count = 0;
    for tunable in tunables {
        let name = tunable.split('=').next().expect("a name");
        assert!(known.contains(&format!("{name}:")), "{name} is none of\n{known}");
        count += 1;
    }
    assert!(count > 10, "{count}");
}

#[test]
fn the_commands_of_the_page_run() {
    let runner = Runner::default();
    let printed: Vec<_> = blocks(PAGE).iter().map(|block| runner.run(block)).collect();
    assert!(printed.len() == 1 && printed[0].is_some(), "{printed:?}");
}
