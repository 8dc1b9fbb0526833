//! Trees: parsers, document models, search structures that are built and thrown away.
//!
//! Complete binary trees of many depths are built top down and torn down while one big tree stays,
//! as in the binary-trees program of the language comparison sites, which goes back to Boehm's and
//! Ellis's GCBench. Every node is one box whose size the compiler knows. One operation is one node.

use super::{Outcome, Settings, Work, Workload};
use crate::random::Random;
use std::hint::black_box;

pub(super) const WORKLOAD: Workload = Workload {
    name: "trees",
    stands_for: "parsers and document models: trees of small nodes built and torn down",
    origin: "binary-trees, after Boehm's and Ellis's GCBench",
    unit: "nodes",
    threaded: false,
    prepare,
};

/// Nodes of a full run.
const NODES: usize = 11_000_000;
/// Depth of the tree that stays: about 16 MiB of nodes.
const LASTING_DEPTH: usize = 18;

struct Node {
    left: Option<Box<Node>>,
    right: Option<Box<Node>>,
    key: u64,
    weight: u64,
}

fn prepare(settings: Settings) -> Work {
    let mut random = Random::new(settings.seed);
    let goal = settings.scaled(NODES);
    let lasting_depth = if settings.scale < 0.1 { LASTING_DEPTH - 6 } else { LASTING_DEPTH };
    Box::new(move || {
        let lasting = build(lasting_depth, &mut random);
        let mut made = (1 << (lasting_depth + 1)) - 1;
        let mut checksum = 0;
        while made < goal {
            let depth = random.between(4, 15);
            let tree = black_box(build(depth, &mut random));
            made += (1 << (depth + 1)) - 1;
            checksum += sum(&tree);
        }
        checksum += sum(&lasting);
        drop(lasting);
        Outcome { operations: made as u64, checksum }
    })
}

/// A complete tree with `2^(depth + 1) - 1` nodes.
fn build(depth: usize, random: &mut Random) -> Box<Node> {
    let key = random.next() >> 32;
    let mut node = Box::new(Node { left: None, right: None, key, weight: depth as u64 });
    if depth > 0 {
        node.left = Some(build(depth - 1, random));
        node.right = Some(build(depth - 1, random));
    }
    node
}

/// All keys and weights of the tree.
fn sum(node: &Node) -> u64 {
    let below = |child: &Option<Box<Node>>| child.as_deref().map_or(0, sum);
    node.key + node.weight + below(&node.left) + below(&node.right)
}
