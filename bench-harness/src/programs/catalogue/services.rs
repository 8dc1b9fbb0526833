//! Servers under load, measured from their start to their end.

use crate::programs::inputs::{bank, transfers};
use crate::programs::load::{Mix, clients, redis, web};
use crate::programs::{Place, Program, Service, Step, Work};
use std::path::PathBuf;

/// A Redis that keeps nothing on disk, under this load.
fn redis_service(place: &Place, mix: Mix, commands: usize) -> Service {
    let socket = place.work.join("socket");
    let (at, seed, commands) = (socket.clone(), place.seed, place.amount(commands));
    let path = socket.to_string_lossy().into_owned();
    Service {
        prepare: Vec::new(),
        server: place.step(&[
            "--port",
            "0",
            "--save",
            "",
            "--appendonly",
            "no",
            "--unixsocket",
            &path,
        ]),
        socket,
        load: Box::new(move || redis(&at, mix, seed, commands)),
    }
}

pub(super) const REDIS_CACHE: Program = Program {
    name: "redis-cache",
    stands_for: "a cache in memory: strings of 16 bytes to 4 KiB, read, replaced, deleted",
    does: "serves GET, SET and DEL on four connections with pipelines",
    packages: &["redis-server"],
    file: "/usr/bin/redis-server",
    version: &["--version"],
    quick: true,
    make: |_| Ok(()),
    work: Work::Service(|place| redis_service(place, Mix::Cache, 700_000)),
};

pub(super) const REDIS_STRUCTURES: Program = Program {
    name: "redis-structures",
    stands_for: "queues and leader boards in memory: blocks that grow and shrink by realloc",
    does: "serves commands on lists, hashes, sorted sets and strings that are appended to",
    quick: false,
    work: Work::Service(|place| redis_service(place, Mix::Structures, 600_000)),
    ..REDIS_CACHE
};

/// Clients of the database.
const CLIENTS: usize = 4;

pub(super) const MARIADB: Program = Program {
    name: "mariadb",
    stands_for: "a database server: a thread for each connection, memory for each statement",
    does: "starts, and serves transfers between accounts to four clients, as pgbench has them",
    packages: &["mariadb-server", "mariadb-client"],
    file: "/usr/sbin/mariadbd",
    version: &["--version"],
    quick: false,
    make: |inputs| {
        inputs.write("bank.sql", &bank(inputs.seed, 2_000))?;
        for client in 0..CLIENTS {
            let text = transfers(inputs.seed, client, inputs.amount(1_200));
            inputs.write(&format!("client{client}.sql"), &text)?;
        }
        Ok(())
    },
    work: Work::Service(mariadb_service),
};

fn mariadb_service(place: &Place) -> Service {
    // A socket's path must be short.
    let (data, socket) = (place.work.join("data"), place.work.join("s"));
    let option = |name: &str, path: &PathBuf| format!("--{name}={}", path.display());
    let common = ["--no-defaults", "--user=root"].map(str::to_owned);
    let install = ["/usr/bin/mariadb-install-db".to_owned()].into_iter().chain(common.clone());
    let install = install.chain([
        option("datadir", &data),
        "--auth-root-authentication-method=normal".to_owned(),
        "--skip-test-db".to_owned(),
    ]);
    let own = ["--skip-networking", "--innodb-buffer-pool-size=32M", "--innodb-log-file-size=8M"];
    // What is measured is no disk, nor io_uring, which not every machine has. Under valgrind, a
    // server with io_uring waits for ever, and one that reserves 8 TiB of addresses for its buffers
    // does not start.
    let quick = [
        "--innodb-flush-log-at-trx-commit=0",
        "--innodb-flush-method=nosync",
        "--innodb-use-native-aio=0",
        // Older servers do not know it.
        "--loose-innodb-buffer-pool-size-max=32M",
        "--skip-log-bin",
    ];
    let options: Vec<String> = common
        .into_iter()
        .chain([option("datadir", &data), option("socket", &socket)])
        .chain([option("pid-file", &place.work.join("pid"))])
        .chain(own.iter().chain(&quick).map(|word| (*word).to_owned()))
        .collect();
    let at = socket.clone();
    let first = PathBuf::from(place.input("bank.sql"));
    let scripts: Vec<_> = (0..CLIENTS)
        .map(|client| PathBuf::from(place.input(&format!("client{client}.sql"))))
        .collect();
    Service {
        prepare: vec![Step { words: install.collect(), ..Step::default() }],
        server: place.step(&options),
        socket,
        load: Box::new(move || clients(&at, &first, &scripts)),
    }
}

/// A web service under its load.
fn web_service(place: &Place, words: &[&str], requests: usize) -> Service {
    let socket = place.work.join("socket");
    let (at, seed, requests) = (socket.clone(), place.seed, place.amount(requests));
    let path = socket.to_string_lossy().into_owned();
    Service {
        prepare: Vec::new(),
        server: place.step(&words.iter().copied().chain([path.as_str()]).collect::<Vec<_>>()),
        socket,
        load: Box::new(move || web(&at, seed, requests)),
    }
}

pub(super) const WEB_RUST: Program = Program {
    name: "web-rust",
    stands_for: "a web service in Rust: JSON on an asynchronous runtime with two threads",
    does: "takes, keeps and gives back orders on four connections: axum, tokio, serde",
    packages: &[],
    file: "stratalloc-bench-program",
    version: &[],
    quick: false,
    make: |_| Ok(()),
    work: Work::Service(|place| web_service(place, &["serve"], 60_000)),
};

pub(super) const WEB_CPP: Program = Program {
    name: "web-cpp",
    stands_for: "a web service in C++: JSON trees, strings, a thread for each connection",
    does: "what web-rust does, on cpp-httplib and nlohmann's json",
    packages: &["g++", "libcpp-httplib-dev", "nlohmann-json3-dev"],
    file: "web-service-cpp",
    version: &[],
    quick: false,
    make: |_| Ok(()),
    work: Work::Service(|place| web_service(place, &[], 30_000)),
};
