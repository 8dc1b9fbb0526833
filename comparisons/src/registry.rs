//! Names and places of the allocators in the report.

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

/// jemalloc, by the crate that carries it.
pub const JEMALLOC: Peer = Peer { name: "jemalloc", title: "jemalloc, by tikv-jemallocator" };

/// All of them, in the order of the report.
pub const PEERS: &[Peer] = &[STRATALLOC, PTMALLOC, JEMALLOC];

/// Where libraries that are preloaded under `run-ptmalloc` come in the report: behind all peers.
pub const PRELOADED_ORDER: u32 = PEERS.len() as u32;

impl Peer {
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
    }
}
