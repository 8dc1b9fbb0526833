//! Tests of the map of blocks with mappings of their own.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::vec::Vec;

/// Something like the address of a span; nothing looks into it.
fn span(number: usize) -> *mut Span {
    (number << 7) as *mut Span
}

/// Number of nodes in the tree, by walking it; checks the counts and labels on the way.
fn nodes_in_tree(map: &DirectMap) -> usize {
    fn walk(node: usize, level: u32, page: usize) -> usize {
        // SAFETY: a node of the tree, which nobody else uses.
        let node = unsafe { &*(node as *const Node) };
        let label = node.label.load(Ordering::Relaxed);
        assert_eq!(label & ((1 << PART_BITS) - 1), part(PageId(page), level));
        let (mut used, mut nodes) = (0, 1);
        for (at, entry) in node.entries.iter().enumerate() {
            let value = entry.load(Ordering::Relaxed);
            if value != 0 {
                used += 1;
                if level > 0 {
                    nodes += walk(value, level - 1, page | at << (level * NODE_SHIFT));
                }
            }
        }
        assert_eq!(node.used, used);
        assert!(used > 0, "a node that holds nothing is in the tree");
        nodes
    }
    let roots = map.root.iter().enumerate().filter(|(_, entry)| entry.load(Ordering::Relaxed) != 0);
    roots
        .map(|(at, entry)| {
            walk(entry.load(Ordering::Relaxed), LEVELS - 1, at << (LEVELS * NODE_SHIFT))
        })
        .sum()
}

/// Pages near each other and far apart, so that they share all, some or none of the nodes.
fn pages() -> impl Strategy<Value = usize> {
    (0_usize..3, 0_usize..3, 0_usize..3, 0_usize..3, 0_usize..3).prop_map(|(a, b, c, d, e)| {
        (a << (LEVELS * NODE_SHIFT) | b << (3 * NODE_SHIFT) | c << (2 * NODE_SHIFT))
            | d << NODE_SHIFT
            | e
    })
}

proptest! {
    /// Whatever is entered, reserved, hidden and removed: each page leads to its span, and no node
    /// is in the tree that holds nothing.
    #[test]
    fn lookups_agree_with_a_list_and_nodes_go_with_what_they_held(
        steps in prop::collection::vec((pages(), 0_u8..4), 1..200),
    ) {
        let map = DirectMap::new();
        let mut model: BTreeMap<usize, usize> = BTreeMap::new();
        for (number, (page, action)) in steps.into_iter().enumerate() {
            let number = number + 1;
            match action {
                0 => {
                    prop_assert!(map.insert(PageId(page), span(number)));
                    model.insert(page, number);
                }
                1 => {
                    prop_assert!(map.reserve(PageId(page)));
                    model.entry(page).or_insert(0);
                }
                2 => {
                    map.hide(PageId(page));
                    model.entry(page).and_modify(|number| *number = 0);
                }
                _ => {
                    map.remove(PageId(page));
                    model.remove(&page);
                }
            }
            for (&page, &number) in &model {
                prop_assert_eq!(map.span(PageId(page)), span(number));
                prop_assert!(map.has(PageId(page)));
            }
            prop_assert!(model.contains_key(&page) || !map.has(PageId(page)));
            let most = model.len() * LEVELS as usize;
            prop_assert!(nodes_in_tree(&map) <= most);
        }
        for page in model.into_keys() {
            map.remove(PageId(page));
        }
        prop_assert_eq!(nodes_in_tree(&map), 0);
    }
}

/// A hundred thousand blocks one after the other, each elsewhere, need the nodes of one.
#[test]
fn blocks_one_after_the_other_need_the_nodes_of_one() {
    let map = DirectMap::new();
    for at in 0..100_000 {
        let page = PageId(at * 1280 + 7);
        assert!(map.reserve(page) && map.insert(page, span(at + 1)));
        assert_eq!(map.span(page), span(at + 1));
        map.remove(page);
        assert!(!map.has(page));
    }
    let mut unused = 0;
    let mut node = map.unused.lock().first;
    while !node.is_null() {
        unused += 1;
        // SAFETY: an unused node of this map, which nobody else uses.
        node = unsafe { (*node).next };
    }
    let nodes = if HARDENED { SPARE } else { LEVELS as usize };
    assert_eq!((unused, nodes_in_tree(&map)), (nodes, 0));
}

/// Nothing is beyond the address space, and asking for it does no harm.
#[test]
fn pages_beyond_the_address_space_cannot_be_entered() {
    let map = DirectMap::new();
    for page in [1 << (ADDRESS_BITS - PAGE_SHIFT), usize::MAX >> PAGE_SHIFT] {
        assert!(!map.reserve(PageId(page)) && !map.has(PageId(page)));
        map.remove(PageId(page));
    }
}

/// While others enter and remove, who owns a block finds it, and nobody finds a span under
/// another's page: each span is named after its page.
#[test]
fn readers_find_the_span_of_their_page_or_none_while_nodes_are_used_anew() {
    static MAP: DirectMap = DirectMap::new();
    let stop = AtomicBool::new(false);
    let own = PageId(5 << (2 * NODE_SHIFT));
    assert!(MAP.insert(own, span(own.0)));
    // They share nodes with `own` and with each other, at each level.
    let pages: Vec<usize> = (1..=LEVELS)
        .flat_map(|level| [own.0 + (1 << ((level - 1) * NODE_SHIFT)), 3 << (level * NODE_SHIFT)])
        .collect();
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut found = 0_usize;
                    while !stop.load(Ordering::Relaxed) {
                        for &page in &pages {
                            let value = MAP.span(PageId(page));
                            assert!(value.is_null() || value == span(page), "another's span");
                            found += usize::from(!value.is_null());
                        }
                        assert_eq!(MAP.span(own), span(own.0), "an owner finds its block");
                    }
                    found
                })
            })
            .collect();
        let mut random = 1_usize;
        for _ in 0..300_000 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let page = PageId(pages[random % pages.len()]);
            if MAP.has(page) {
                MAP.remove(page);
            } else {
                assert!(MAP.insert(page, span(page.0)));
            }
        }
        stop.store(true, Ordering::Relaxed);
        for reader in readers {
            assert!(reader.join().unwrap() > 0, "a reader that found nothing tests nothing");
        }
    });
}
