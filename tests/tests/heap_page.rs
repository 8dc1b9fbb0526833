//! The page of a heap that `stratalloc-ctl` writes: what it says of a service that leaks, and how
//! it looks in a headless Chromium, from a telephone's width on, light and dark.

#[path = "../../bench-harness/tests/page/browser.rs"]
mod browser;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use browser::Browser;
use serde_json::json;
use stratalloc_tests::ctl;
use stratalloc_tests::process::{Finished, run};

const LIMIT: Duration = Duration::from_secs(60);

/// What reaches beyond the window, but for what lies in a part that scrolls in itself.
const WIDER: &str = "(() => { const wider = [...document.querySelectorAll('body *')].filter(one =>
        !one.closest('.wide table, .flame') && one.getBoundingClientRect().right > innerWidth + 0.5);
    const names = wider.map(one => one.tagName + '.' + one.getAttribute('class'));
    return document.documentElement.scrollWidth > innerWidth ? ['page', ...names] : names; })()";

/// Clicks the narrowest frame of all flame graphs that are shown. How wide it is then, in
/// hundredths of its graph, and whether the button brings back what was.
const ZOOM: &str = "(() => { const width = one => one.getBoundingClientRect().width;
    const frames = [...document.querySelectorAll('.flame i')];
    frames.sort((one, other) => one.dataset.w - other.dataset.w);
    const narrow = frames[0], flame = narrow.parentElement, before = width(narrow);
    narrow.click();
    const zoomed = width(narrow) / width(flame);
    flame.parentElement.querySelector('.tools button').click();
    return [before < 0.9 * width(flame), Math.round(zoomed * 100), Math.abs(width(narrow) - before) < 1]; })()";

/// A service that is watched; ends with this value.
struct Service {
    child: Child,
    folder: tempfile::TempDir,
}

impl Service {
    fn start(variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).expect("our folder");
        let mut command = Command::new(ctl::example("service"));
        command.env("STRATALLOC_CONTROL", folder.path().join("control.sock"));
        command.envs(variables.iter().copied()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the service");
        let mut line = String::new();
        // Stays open: the service says something at its end, too.
        let out = child.stdout.as_mut().expect("it is piped");
        BufReader::new(out).read_line(&mut line).expect("a line");
        assert_eq!(line, "ready\n");
        Self { child, folder }
    }

    fn page(&self, arguments: &[&str]) -> Finished {
        let mut command = Command::new(ctl::program());
        command.arg(self.folder.path().join("control.sock")).arg("page").args(arguments);
        command.arg("-o").arg(self.path());
        run(command, LIMIT)
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("heap.html")
    }

    fn text(&self) -> String {
        fs::read_to_string(self.path()).expect("it was written")
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Looks at the page in every width, light and dark. With a folder in `STRATALLOC_PAGES`, pictures
/// are left there.
fn look_at(page: &Path) -> Browser {
    let mut browser = Browser::start(page.parent().expect("it is in a folder"));
    for width in [400, 800, 1_400] {
        for dark in [false, true] {
            browser.show(page, width, dark);
            browser
                .value("document.querySelectorAll('details').forEach(one => { one.open = true; })");
            if let Some(folder) = std::env::var_os("STRATALLOC_PAGES") {
                let scheme = if dark { "dark" } else { "light" };
                let picture = Path::new(&folder).join(format!("heap-{width}-{scheme}.png"));
                browser.picture(12_000, &picture);
            }
            assert_eq!(browser.value(WIDER), json!([]), "{width} wide, dark: {dark}");
        }
    }
    browser
}

#[test]
fn the_page_of_a_sampled_service_names_its_leak_and_can_be_read_at_any_width() {
    let service = Service::start(&[("STRATALLOC_SAMPLE_INTERVAL", "16KiB")]);
    service.page(&["--for", "3", "--every", "0.1"]).expect_success();
    let text = service.text();
    let part = |id: &str| {
        let start = text.find(&format!("id=\"{id}\"")).unwrap_or_else(|| panic!("no part {id}"));
        &text[start..start + text[start..].find("class=\"part\"").unwrap_or(text.len() - start)]
    };
    assert!(part("growth").contains("open_session"), "{}", part("growth"));
    assert!(part("holders").contains("class=\"flame\""));
    for name in ["not ours", "internal rounding", "thread caches", "page heap, free", "released"] {
        assert!(part("memory").contains(name), "{name}");
    }
    assert!(part("map").contains("<i style=\"--u:"));
    assert!(part("threads").contains("service"), "threads have names: {}", part("threads"));
    for foreign in ["http://", "https://", " src=", "@import", "url("] {
        assert!(!text.contains(foreign), "{foreign}");
    }
    let mut browser = look_at(&service.path());
    assert_eq!(browser.value(ZOOM), json!([true, 100, true]));
    assert_eq!(browser.console(), Vec::<&serde_json::Value>::new());
}

#[test]
fn the_page_of_a_service_without_a_profile_says_what_to_set() {
    let service = Service::start(&[]);
    service.page(&["--for", "0.5"]).expect_success();
    let text = service.text();
    assert!(
        text.contains("STRATALLOC_SAMPLE_INTERVAL=512KiB") && !text.contains("class=\"flame\"")
    );
    let refused = service.page(&["--every", "0"]);
    assert!(!refused.succeeded() && refused.errors().contains("--every"), "{refused}");
    let refused = service.page(&["--for", "-1"]);
    assert!(!refused.succeeded(), "{refused}");
}

/// What was seen before the end is not lost.
#[test]
fn a_process_that_ends_meanwhile_leaves_its_page() {
    let mut service = Service::start(&[("STRATALLOC_SAMPLE_INTERVAL", "16KiB")]);
    let input = service.child.stdin.take();
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(1_500));
        drop(input);
    });
    let finished = service.page(&["--for", "50"]).expect_success();
    assert!(finished.elapsed < Duration::from_secs(30), "{finished}");
    let text = service.text();
    assert!(text.contains("until it ended") && text.contains("<i style=\"--u:"));
}
