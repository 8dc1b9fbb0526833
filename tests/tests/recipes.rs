//! Every command and snippet of `docs/recipes` runs, as far as one machine has what they are for:
//! units are checked by systemd and run without it, Dockerfiles are built by Buildah from images
//! that are made here, and manifests are checked against Kubernetes' schemas and run as processes.
//! The tables of `moving.md` are `recipes_moving.rs`'s, the pages of services
//! `recipes_services.rs`'s.

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use stratalloc_tests::compile::{Link, command};
use stratalloc_tests::container::MadeUp;
use stratalloc_tests::documents::{Runner, blocks, home_of, read, root};
use stratalloc_tests::process::{exclusive, run, spawn, start_service};
use stratalloc_tests::{ctl, library};

const LIMIT: Duration = Duration::from_secs(300);

/// Where the recipes have the library.
const INSTALLED: &str = "/usr/local/lib/libstratalloc.so.0";

/// A process that ends with this value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A port that nobody listens on.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its address").port()
}

/// Writes the files that a page shows, before any of its commands runs.
fn write_files(runner: &Runner, page: &str) {
    for block in blocks(page).iter().filter(|block| block.file.is_some()) {
        runner.run(block);
    }
}

/// Runs the blocks of a page. Returns what they printed (`--nocapture` shows it), and how many are
/// not run.
fn run_page(runner: &Runner, page: &str) -> (Vec<String>, usize) {
    let all = blocks(page);
    let mut printed = Vec::new();
    for block in all.iter().filter(|block| block.file.is_none()) {
        if let Some(output) = runner.run(block) {
            eprintln!("{}:\n{output}", block.place);
            printed.push(output);
        }
    }
    (printed, all.iter().filter(|block| block.not_run.is_some()).count())
}

/// Starts a service, with the library where the recipe has it installed, and waits for its socket.
fn start(command: &[String], variables: &[(String, String)], port: u16) -> Running {
    let words: Vec<String> =
        command.iter().map(|word| word.replace("8000", &port.to_string())).collect();
    let mut service = Command::new(&words[0]);
    service.args(&words[1..]);
    for (name, value) in variables {
        service.env(name, value.replace(INSTALLED, &library::shared().display().to_string()));
    }
    service.stdout(File::create("/dev/null").expect("a device"));
    let service = Running(spawn(&mut service).expect("a service"));
    let begin = Instant::now();
    let answers = || {
        let mut ask = Command::new(ctl::program());
        ask.arg(service.0.id().to_string()).arg("stats");
        run(ask, LIMIT).succeeded()
    };
    while !answers() {
        assert!(begin.elapsed() < LIMIT / 10, "{words:?} does not answer");
        thread::sleep(Duration::from_millis(50));
    }
    service
}

/// In a group with these limits, free memory goes back although the decay would keep it.
fn memory_goes_back_under(limits: &[(&str, u64)]) {
    let _alone = exclusive();
    let Some(groups) = MadeUp::new() else { return };
    for (file, bytes) in limits {
        fs::write(groups.group().join(file), bytes.to_string()).expect("a limit");
    }
    let mut program = command("container.c", Link::Preload);
    program.arg("given").env("STRATALLOC_OPTIONS", "decay_ms=3600s");
    run(groups.command(&program, &groups.group()), LIMIT).expect_success();
}

/// The values of a key in a unit.
fn values<'a>(unit: &'a str, key: &str) -> Vec<&'a str> {
    unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect()
}

/// Bytes, as systemd (`384M`) and Kubernetes (`512Mi`) write them: powers of 1,024 both.
fn bytes(text: &str) -> u64 {
    let number = text.trim_end_matches("Mi").trim_end_matches('M');
    number.parse::<u64>().unwrap_or_else(|e| panic!("{text}: {e}")) << 20
}

#[test]
fn a_unit_of_systemd_is_right_and_its_service_runs() {
    let page = "docs/recipes/systemd.md";
    let mut runner = Runner::default();
    write_files(&runner, page);
    let folder = runner.folder().join("etc/systemd/system");
    let unit = fs::read_to_string(folder.join("orders.service")).expect("the unit");
    let added = folder.join("orders.service.d/stratalloc.conf");
    let added = fs::read_to_string(added).expect("the file beside it");

    let sockets = ctl::private_folder();
    let variables: Vec<(String, String)> = values(&added, "Environment")
        .into_iter()
        .map(|pair| pair.split_once('=').expect("a variable"))
        .map(|(name, value)| {
            let value = value.replace("%%", "%");
            (name.to_owned(), value.replace("/run/orders", &sockets.path().display().to_string()))
        })
        .collect();
    assert_eq!(variables.len(), 3, "{variables:?}");
    let exec: Vec<String> =
        values(&unit, "ExecStart")[0].split_whitespace().map(str::to_owned).collect();
    let service = start(&exec, &variables, free_port());
    let process = service.0.id();
    runner.replace(" PID ", format!(" {process} "));
    runner.replace("/PID/", format!("/{process}/"));
    runner.replace("/etc/systemd", format!("{}/etc/systemd", runner.folder().display()));
    let (printed, not_run) = run_page(&runner, page);
    assert_eq!((printed.len(), not_run), (2, 1));
    assert_eq!(printed[0], "", "systemd-analyze complains");
    assert!(printed[1].contains(&process.to_string()), "{}", printed[1]);

    let limit = |key: &str| bytes(values(&added, key)[0]);
    memory_goes_back_under(&[
        ("memory.high", limit("MemoryHigh")),
        ("memory.max", limit("MemoryMax")),
    ]);
}

#[test]
fn a_pod_of_kubernetes_is_right_and_its_process_runs() {
    let page = "docs/recipes/kubernetes.md";
    let mut runner = Runner::default();
    write_files(&runner, page);
    let tools = recipe_tools();
    runner.link("kubernetes-validate", &tools.join("kubernetes-validate"));
    let script = "import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))";
    let mut convert = Command::new(tools.join("python"));
    convert.args(["-c", script]).arg(runner.folder().join("pod.yaml"));
    let pod: Value =
        serde_json::from_str(&run(convert, LIMIT).expect_success().text()).expect("JSON");
    let container = &pod["spec"]["containers"][0];
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let list = |value: &Value| value.as_array().expect("a list").clone();
    let variables: Vec<(String, String)> = list(&container["env"])
        .iter()
        .map(|one| (text(&one["name"]), text(&one["value"])))
        .collect();
    let words: Vec<String> = list(&container["command"]).iter().map(text).collect();
    assert_eq!((variables.len(), words.len()), (3, 6));

    let service = start(&words, &variables, free_port());
    let process = service.0.id();
    runner.replace("kubectl exec orders -- ", "");
    runner.replace(" PID ", format!(" {process} "));
    let (printed, not_run) = run_page(&runner, page);
    assert_eq!((printed.len(), not_run), (2, 2));
    assert!(printed[1].contains(&process.to_string()), "{}", printed[1]);
    let profile = fs::read_to_string(runner.folder().join("heap.folded")).expect("a profile");
    let is_stack = |line: &str| {
        line.rsplit_once(' ')
            .is_some_and(|(stack, bytes)| stack.contains(';') && bytes.parse::<u64>().is_ok())
    };
    assert!(profile.lines().next().is_some_and(is_stack), "{profile}");

    // What a debug container does.
    // SAFETY: takes nothing, and cannot fail.
    let user = unsafe { libc::getuid() };
    let socket = format!("/tmp/stratalloc-{user}/{process}.sock");
    let mut debug = Command::new(ctl::program());
    debug.arg(format!("/proc/{process}/root{socket}")).arg("stats");
    assert!(run(debug, LIMIT).expect_success().text().contains("in use by the program"));
    drop(service);
    fs::remove_file(socket).expect("what a process that is killed leaves behind");

    memory_goes_back_under(&[(
        "memory.max",
        bytes(&text(&container["resources"]["limits"]["memory"])),
    )]);
}

/// The folder with hadolint and kubernetes-validate, which `ci/recipe-tools` gets where they are
/// missing.
fn recipe_tools() -> PathBuf {
    let mut get = Command::new(root().join("ci/recipe-tools"));
    get.env("CARGO_TARGET_DIR", library::target_dir());
    PathBuf::from(run(get, LIMIT).expect_success().text().trim())
}

/// An archive of the files of some packages of this machine: a Debian that has no more.
fn small_debian(archive: &Path) {
    const PACKAGES: &str = "base-files bash coreutils dash grep libacl1 libattr1 libc-bin libc6 \
                            libcrypt1 libgcc-s1 libgmp10 libpcre2-8-0 libselinux1 libtinfo6 \
                            perl-base sed";
    let mut pack = Command::new("bash");
    pack.args([
        "-ec",
        "dpkg -L $0 | sed -E 's,^/(bin|sbin|lib|lib64)/,/usr/\\1/,' | sort -u |
             grep -vE '^/usr/share/|^/\\.$' |
             tar --create --file \"$1\" --directory / --no-recursion --ignore-failed-read \
                 --files-from - 2>/dev/null",
        PACKAGES,
    ]);
    pack.arg(archive);
    run(pack, LIMIT).expect_success();
}

/// An archive of a system without files, into which this machine's are mounted.
fn empty_system(folder: &Path, archive: &Path) {
    for name in ["usr", "etc", "tmp", "proc", "dev", "sys"] {
        fs::create_dir_all(folder.join(name)).expect("folders");
    }
    for name in ["bin", "sbin", "lib", "lib64"] {
        symlink(format!("usr/{name}"), folder.join(name)).expect("a link");
    }
    let mut pack = Command::new("tar");
    pack.arg("--create").arg("--file").arg(archive).arg("--directory").arg(folder).arg(".");
    run(pack, LIMIT).expect_success();
}

/// Where Rust has no musl and rustup cannot get it, the image is a static program of glibc.
fn use_an_installed_target(dockerfile: &Path, variables: &mut Vec<String>) {
    const MUSL: &str = "x86_64-unknown-linux-musl";
    let mut list = Command::new("rustup");
    list.args(["target", "list", "--installed"]);
    if run(list, LIMIT).expect_success().text().lines().any(|target| target == MUSL) {
        return;
    }
    eprintln!("{MUSL} is not installed: a static program of glibc instead");
    let text = fs::read_to_string(dockerfile).expect("the file");
    fs::write(dockerfile, text.replace(MUSL, "x86_64-unknown-linux-gnu")).expect("the file");
    variables.push("RUSTFLAGS=-C target-feature=+crt-static".to_owned());
}

#[test]
fn the_dockerfiles_are_clean_and_their_images_run() {
    let page = "docs/recipes/docker.md";
    let mut runner = Runner::default();
    write_files(&runner, page);
    let at = |name: &str| runner.folder().join(name);
    for dockerfile in ["Dockerfile", "rust/Dockerfile"] {
        let mut lint = Command::new(recipe_tools().join("hadolint"));
        lint.arg(at(dockerfile));
        assert_eq!(run(lint, LIMIT).expect_success().text(), "");
    }
    // SAFETY: takes nothing, and cannot fail.
    if unsafe { libc::getuid() } != 0 {
        eprintln!("left out: Buildah's chroot isolation needs root");
        return;
    }
    for (file, name) in [
        (library::shared(), "lib/libstratalloc.so.0"),
        (ctl::runner(), "bin/stratalloc-run"),
        (ctl::program(), "bin/stratalloc-ctl"),
    ] {
        let path = at("installed/usr/local").join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
        fs::copy(file, path).expect("a copy");
    }
    let docker = library::programs_dir().join("docker_by_buildah.sh");
    let images = at("images");
    let base = |name: &str, archive: &Path, variables: &[String]| {
        let mut make = Command::new(&docker);
        make.args(["base", name]).arg(archive).args(variables).env("IMAGES", &images);
        run(make, LIMIT).expect_success();
    };
    small_debian(&at("debian.tar"));
    base("docker.io/library/debian:bookworm-slim", &at("debian.tar"), &[]);
    empty_system(&at("empty"), &at("empty.tar"));
    let homes =
        ["CARGO_HOME", "RUSTUP_HOME"].map(|name| (name, home_of(name).display().to_string()));
    let mut variables = homes.clone().map(|(name, home)| format!("{name}={home}")).to_vec();
    variables.push(format!("PATH={}/bin:/usr/bin", homes[0].1));
    // Less time; what is asked is whether it links and runs.
    variables.push("CARGO_PROFILE_RELEASE_OPT_LEVEL=0".to_owned());
    let mut mounts = "-v /usr:/usr:ro -v /etc:/etc:ro".to_owned();
    for (_, home) in homes {
        mounts += &format!(" -v {home}:{home}");
    }
    use_an_installed_target(&at("rust/Dockerfile"), &mut variables);
    base("docker.io/library/rust:1.90-slim", &at("empty.tar"), &variables);
    runner.link("docker", &docker);
    runner.set("IMAGES", &images);
    runner.set("MOUNTS", mounts);
    let built = library::target_dir().join("package/").display().to_string();
    runner.replace("target/package/", format!("{built}/"));
    runner.replace("--no-verify", "--no-verify --allow-dirty");
    let (printed, not_run) = run_page(&runner, page);
    assert_eq!((printed.len(), not_run), (3, 3), "{printed:#?}");
}

#[test]
fn a_service_on_tokio_shows_its_heap_and_gives_memory_back() {
    let page = "docs/recipes/tokio.md";
    let folder = root().join("allocator/examples/axum");
    let source = ["src/main.rs", "Cargo.toml"]
        .map(|name| fs::read_to_string(folder.join(name)).expect("the example"))
        .concat();
    for block in blocks(page).iter().filter(|block| !block.language.is_empty()) {
        assert!(source.contains(&block.text()), "{} is not in the example", block.place);
    }
    let (child, line) = start_service(Command::new(ctl::axum_pprof()).arg("127.0.0.1:0"));
    let _service = Running(child);
    let address = line.trim().strip_prefix("listening on ").expect("an address");
    let mut runner = Runner::default();
    runner.replace("127.0.0.1:8080", address);
    let (printed, not_run) = run_page(&runner, page);
    assert_eq!((printed.len(), not_run), (1, 7));
    let figure = |file: &str, name: &str| -> u64 {
        let text = fs::read_to_string(runner.folder().join(file)).expect("metrics");
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("no {name} in\n{text}")).parse().expect("a number")
    };
    let live = figure("busy", "stratalloc_tag_live_bytes{tag=\"requests\"}");
    assert!((5_000_000..20_000_000).contains(&live), "{live} of some 10,000,000 bytes");
    let cached = "stratalloc_thread_cache_free_bytes";
    assert!(figure("busy", cached) > 40_000, "{printed:?}");
    assert!(figure("idle", cached) * 4 < figure("busy", cached), "{printed:?}");
    let json = fs::read_to_string(runner.folder().join("heap.json")).expect("a profile");
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["mode"], "sample");
    let profile = fs::read(runner.folder().join("heap.pb.gz")).expect("a profile");
    assert!(profile.starts_with(&[0x1f, 0x8b]), "gzip");
}

#[test]
fn every_page_is_in_the_index_and_has_a_test() {
    let index = read("docs/recipes/README.md");
    let folder = root().join("tests/tests");
    let tests: String = ["recipes.rs", "recipes_moving.rs", "recipes_services.rs"]
        .iter()
        .map(|name| fs::read_to_string(folder.join(name)).unwrap_or_default())
        .collect();
    for entry in fs::read_dir(root().join("docs/recipes")).expect("the recipes") {
        let name = entry.expect("an entry").file_name().to_string_lossy().into_owned();
        if name != "README.md" {
            assert!(index.contains(&format!("({name})")), "{name} is not in the index");
            let service = format!("Recipe::new(\"{}\")", name.trim_end_matches(".md"));
            let is_tested =
                tests.contains(&format!("docs/recipes/{name}")) || tests.contains(&service);
            assert!(is_tested, "{name} has no test");
        }
    }
}
