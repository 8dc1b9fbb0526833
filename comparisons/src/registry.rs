//! Names and places of the allocators in the report.

use crate::system;
use bench_harness::child::Subject;

/// An allocator that has a program of its own, `run-NAME`.
#[derive(Debug)]
pub struct Peer {
    /// Name on the command line, in result files and in the name of its program.
    pub name: &'static str,
    /// Name for people, with what it is.
    pub title: &'static str,
}

/// The allocator of this workspace.
pub const STRATALLOC: Peer =
    Peer { name: "stratalloc", title: "stratalloc, this workspace's allocator" };

/// The C library's allocator: the baseline.
pub const PTMALLOC: Peer = Peer { name: "ptmalloc", title: "ptmalloc, the C library's allocator" };

/// The same, set as the documents advise (contract clause C2.2).
pub const PTMALLOC_REMEDY: Peer = Peer {
    name: "ptmalloc-remedy",
    title: "ptmalloc with M_MMAP_MAX=0 and M_TRIM_THRESHOLD=-1, as the documents advise",
};

/// The newest C library's, started by its own loader. Its program is `run-ptmalloc`.
pub const PTMALLOC_SID: Peer =
    Peer { name: "ptmalloc-sid", title: "ptmalloc of the newest glibc, by its own loader" };

/// jemalloc, by the crate that carries it.
pub const JEMALLOC: Peer = Peer { name: "jemalloc", title: "jemalloc, by tikv-jemallocator" };

/// mimalloc's second series.
pub const MIMALLOC2: Peer = Peer { name: "mimalloc2", title: "mimalloc 2, by the crate mimalloc" };

/// mimalloc's third series.
pub const MIMALLOC3: Peer = Peer { name: "mimalloc3", title: "mimalloc 3, by the crate mimalloc" };

/// snmalloc.
pub const SNMALLOC: Peer = Peer { name: "snmalloc", title: "snmalloc, by snmalloc-rs" };

/// rpmalloc.
pub const RPMALLOC: Peer = Peer { name: "rpmalloc", title: "rpmalloc, by the crate rpmalloc" };

/// Google's tcmalloc.
pub const TCMALLOC: Peer =
    Peer { name: "tcmalloc", title: "Google's tcmalloc, by tcmalloc-better" };

/// mimalloc's third series with guard pages, encoded free lists and checks.
pub const MIMALLOC_SECURE: Peer =
    Peer { name: "mimalloc-secure", title: "mimalloc 3 in its secure mode, by the crate mimalloc" };

/// GrapheneOS's hardened_malloc.
pub const HARDENED_MALLOC: Peer = Peer {
    name: "hardened-malloc",
    title: "GrapheneOS's hardened_malloc, by the crate hardened-malloc",
};

/// All of them, in the order of the report.
pub const PEERS: &[Peer] = &[
    STRATALLOC,
    PTMALLOC,
    PTMALLOC_REMEDY,
    PTMALLOC_SID,
    JEMALLOC,
    MIMALLOC2,
    MIMALLOC3,
    SNMALLOC,
    RPMALLOC,
    TCMALLOC,
    MIMALLOC_SECURE,
    HARDENED_MALLOC,
];

/// Where libraries that are preloaded under `run-ptmalloc` come in the report: behind all peers.
pub const PRELOADED_ORDER: u32 = PEERS.len() as u32;

impl Peer {
    /// A runner's subject with this name and place, and no way yet to prove that it is in use but
    /// that the system's allocator must not be.
    pub fn subject(&self, version: fn() -> String) -> Subject {
        Subject {
            name: self.name.to_owned(),
            title: self.title.to_owned(),
            order: self.order(),
            version,
            live_bytes: None,
            owns: None,
            witness: None,
            other_live_bytes: Some(system::ptmalloc_live_bytes),
            tune: None,
            largest_alignment: None,
            trim: None,
            release: None,
        }
    }

    /// Its place in the report.
    pub fn order(&self) -> u32 {
        let place = PEERS.iter().position(|peer| peer.name == self.name);
        place.unwrap_or(PEERS.len()) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_peer_has_its_own_place() {
        let orders: Vec<_> = PEERS.iter().map(Peer::order).collect();
        assert_eq!(orders, (0..PRELOADED_ORDER).collect::<Vec<_>>());
        let names: std::collections::HashSet<_> = PEERS.iter().map(|peer| peer.name).collect();
        assert_eq!(names.len(), PEERS.len());
    }
}
