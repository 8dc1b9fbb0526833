//! The page as a browser shows it: nothing wider than the window, no names across each other, links
//! that lead somewhere, columns that sort, a console that stays silent, and no more words than
//! people read.
//!
//! Needs Debian's package `chromium`, which `ci/test` installs. With a folder in
//! `STRATALLOC_PAGES`, the pages and pictures of them are left there.

mod browser;
mod largest;

use bench_harness::report;
use bench_harness::results::Results;
use browser::Browser;
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};

/// Words that the page may have, all of what folds included.
const WORDS: u64 = 8_000;
/// Widths that it is looked at: a telephone, half a screen, a screen.
const WIDTHS: [u32; 3] = [400, 800, 1_400];

/// Words in all the text of the page, but for its style and its script. A word has a letter or a
/// digit: a dash for what was not measured is none.
const COUNT: &str = "(() => { const body = document.body.cloneNode(true);
    body.querySelectorAll('script, style').forEach(one => one.remove());
    // Cells and lines end words, which their text alone does not show.
    body.querySelectorAll('*').forEach(one => one.append(' '));
    return body.textContent.split(/\\s+/).filter(word => /[\\p{L}\\p{N}]/u.test(word)).length; })()";

/// What reaches beyond the window, but for what lies in a part that scrolls in itself.
const WIDER: &str = "(() => { const wider = [...document.querySelectorAll('body *')].filter(one =>
        !one.closest('.wide table') && one.getBoundingClientRect().right > innerWidth + 0.5);
    const names = wider.map(one => one.tagName + '.' + one.getAttribute('class'));
    return document.documentElement.scrollWidth > innerWidth ? ['page', ...names] : names; })()";

/// Texts of charts that lie across each other, and those that reach out of their chart.
const ACROSS: &str = "(() => { const bad = [];
    for (const chart of document.querySelectorAll('svg')) {
        const frame = chart.getBoundingClientRect();
        const texts = [...chart.querySelectorAll('text')].map(one => [one, one.getBoundingClientRect()]);
        texts.forEach(([one, box], index) => {
            if (box.width === 0) { return; }
            if (box.left < frame.left - 2 || box.right > frame.right + 2) { bad.push('out: ' + one.textContent); }
            for (const [other, its] of texts.slice(0, index)) {
                const across = Math.min(box.right, its.right) - Math.max(box.left, its.left);
                const down = Math.min(box.bottom, its.bottom) - Math.max(box.top, its.top);
                // Boxes are higher than letters.
                if (across > 1 && down > 0.35 * box.height) { bad.push(other.textContent + ' / ' + one.textContent); }
            }
        });
    }
    return bad; })()";

/// Follows every link within the page: what it leads to must be in sight.
const FOLLOW: &str = "(() => { const bad = [];
    document.querySelectorAll('details').forEach(one => { one.open = false; });
    for (const link of document.querySelectorAll('nav a')) {
        link.click();
        const target = document.querySelector(link.hash);
        if (!target) { bad.push(link.hash); }
    }
    for (const link of document.querySelectorAll('a[href^=\"#\"]')) {
        if (!document.getElementById(link.hash.slice(1))) { bad.push(link.hash); }
    }
    return bad; })()";

fn folder(name: &str) -> PathBuf {
    let folder = match std::env::var_os("STRATALLOC_PAGES") {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(env!("CARGO_TARGET_TMPDIR")),
    };
    let folder = folder.join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("the folder is writable");
    folder
}

fn committed() -> Results {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("it is in the workspace");
    // The newest report: folders are named after days.
    let folders = fs::read_dir(root.join("docs/results")).expect("it is committed");
    let reports = folders.map(|entry| entry.expect("it can be read").path().join("results.json"));
    let newest = reports.filter(|path| path.exists()).max().expect("a report is committed");
    Results::load(&newest).expect("the newest report can be read")
}

/// Writes the report and looks at it in every width, light and dark, folded and unfolded.
fn look_at(results: &Results, name: &str) {
    let folder = folder(name);
    let page = report::write(results, &folder).expect("it can be written").html;
    results.save(&folder.join("results.json")).expect("it can be written");
    let mut browser = Browser::start(&folder);
    for width in WIDTHS {
        for dark in [false, true] {
            browser.show(&page, width, dark);
            for unfolded in [false, true] {
                if unfolded {
                    browser.value(
                        "document.querySelectorAll('details').forEach(one => { one.open = true; })",
                    );
                }
                let state = format!("{name}, {width} wide, dark: {dark}, unfolded: {unfolded}");
                if std::env::var_os("STRATALLOC_PAGES").is_some() {
                    let folds = if unfolded { "unfolded" } else { "folded" };
                    let scheme = if dark { "dark" } else { "light" };
                    let picture = folder.join(format!("{width}-{scheme}-{folds}.png"));
                    browser.picture(16_000, &picture);
                }
                assert_eq!(browser.value(WIDER), json!([]), "{state}");
                assert_eq!(browser.value(ACROSS), json!([]), "{state}");
            }
        }
    }
    browser.show(&page, 1_400, false);
    let words = browser.value(COUNT).as_u64().expect("a number");
    let height = browser.value("document.documentElement.scrollHeight");
    println!("{name}: {words} words, {height} pixels high at 1,400");
    assert!(words <= WORDS, "{name}: {words} words");
    let answer = browser.value("document.getElementById('answer').getBoundingClientRect().bottom");
    assert!(answer.as_f64().is_some_and(|end| end <= 2.0 * 1_000.0), "two screens: {answer}");
    assert_eq!(browser.value(FOLLOW), json!([]), "{name}");
    assert_eq!(browser.console(), Vec::<&serde_json::Value>::new(), "{name}");
    let files = browser.value(
        "[...new Set([...document.querySelectorAll('a:not([href^=\"#\"])')].map(one => one.getAttribute('href')))]",
    );
    for file in files.as_array().expect("a list") {
        let file = file.as_str().expect("a name");
        assert!(folder.join(file).is_file(), "{name}: {file}");
    }
}

#[test]
fn the_committed_results_can_be_read_at_any_width() {
    look_at(&committed(), "committed");
}

#[test]
fn results_of_more_peers_workloads_and_programs_can_be_read_too() {
    look_at(&largest::grown(committed()), "largest");
}

#[test]
fn a_link_opens_what_is_folded_and_a_heading_sorts() {
    let folder = folder("acts");
    let page = report::write(&committed(), &folder).expect("it can be written").html;
    let mut browser = Browser::start(&folder);
    browser.show(&page, 800, false);
    let open = "[...document.querySelectorAll('details[open]')].map(one => one.id)";
    assert_eq!(browser.value(open), json!([]), "all is folded at first");
    browser.value("location.hash = 'workload-larson'");
    // The event comes after the assignment.
    browser.call(
        "Runtime.evaluate",
        json!({"expression": "new Promise(done => setTimeout(done, 100))", "awaitPromise": true}),
    );
    assert_eq!(browser.value(open), json!(["workloads", "workload-larson"]));

    let sorted = "(() => { const table = document.querySelector('#matrix table');
        table.tHead.rows[0].cells[2].click();
        return [...table.tBodies[0].rows].map(row => parseFloat(row.cells[2].dataset.v)); })()";
    for descending in [false, true] {
        let figures: Vec<f64> = serde_json::from_value(browser.value(sorted)).expect("numbers");
        let in_order =
            |pair: &[f64]| if descending { pair[0] >= pair[1] } else { pair[0] <= pair[1] };
        assert!(figures.len() > 20 && figures.windows(2).all(in_order), "{figures:?}");
    }
    assert!(browser.console().is_empty(), "{:?}", browser.console());
}
