//! The map of huge pages: a cell for each 2 MiB, as full as its pages are used; and how many there
//! are of which density.

use std::fmt::Write as _;

use super::format::{bytes, percent, plural};
use super::snapshot::{HUGE_BYTES, HugePage, PAGE_BYTES};

/// Most cells; in larger heaps a cell stands for several neighbours.
const CELLS: usize = 3_000;

/// Pages in a huge page.
const PAGES: u64 = HUGE_BYTES / PAGE_BYTES;

/// Upper bounds of the classes of density, in pages: the last one is entirely used.
const DENSITIES: [(u64, &str); 6] = [
    (0, "none"),
    (PAGES / 4 - 1, "under a quarter"),
    (PAGES / 2 - 1, "a quarter to a half"),
    (PAGES * 3 / 4 - 1, "a half to three quarters"),
    (PAGES - 1, "three quarters and more"),
    (PAGES, "all"),
];

/// The map and its table.
pub fn section(pages: &[HugePage], huge_backed: Option<u64>) -> String {
    if pages.is_empty() {
        return "<p class=\"note\">The heap has no huge page yet.</p>\n".to_owned();
    }
    let by_kernel = huge_backed.map_or(String::new(), |bytes_| {
        format!(" The kernel has {} of the process in huge pages of its own.", bytes(bytes_))
    });
    let per_cell = pages.len().div_ceil(CELLS);
    let grouped = if per_cell > 1 {
        format!(" A cell stands for {per_cell} neighbours.")
    } else {
        String::new()
    };
    format!(
        "<p class=\"note\">Each cell is 2 MiB of addresses, lowest first, with a gap where addresses \
         are not ours. Dark is in use by spans and large blocks, pale is free and resident, empty \
         holds no memory.{grouped}{by_kernel}</p>\n{}{}",
        cells(pages, per_cell),
        table(pages)
    )
}

fn cells(pages: &[HugePage], per_cell: usize) -> String {
    let mut out =
        "<div class=\"map s2\" role=\"img\" aria-label=\"Huge pages by density\">".to_owned();
    let mut end = pages[0].addr;
    for group in pages.chunks(per_cell) {
        if group[0].addr != end {
            out.push_str("<b></b>");
        }
        end = group[group.len() - 1].addr + HUGE_BYTES;
        let all = PAGES * group.len() as u64;
        let sum = |of: fn(&HugePage) -> u64| group.iter().map(of).sum::<u64>();
        let (used, free) = (sum(|page| page.used), sum(|page| page.free));
        let share = |part: u64| (part * 100).div_ceil(all);
        let backed =
            if group.iter().all(|page| page.is_huge_backed) { ", asked for as huge" } else { "" };
        // Writing to a `String` cannot fail.
        let _ = write!(
            out,
            "<i style=\"--u:{}%;--f:{}%\" title=\"{:#x}: {} used, {} free, {} without memory{backed}\"></i>",
            share(used),
            share(used + free),
            group[0].addr,
            percent(used, all),
            percent(free, all),
            percent(sum(|page| page.released), all),
        );
    }
    out.push_str("</div>\n");
    out
}

fn table(pages: &[HugePage]) -> String {
    let mut out = "<div class=\"wide\"><table><thead><tr><th class=\"left\">pages in use</th>\
                   <th>huge pages</th><th></th><th>used</th><th>free, resident</th>\
                   <th>without memory</th></tr></thead><tbody>\n"
        .to_owned();
    let mut rest: Vec<&HugePage> = pages.iter().collect();
    for (most, name) in DENSITIES {
        let (these, others) = rest.into_iter().partition(|page| page.used <= most);
        rest = others;
        let these: Vec<&HugePage> = these;
        let sum = |of: fn(&HugePage) -> u64| {
            bytes(these.iter().map(|page| of(page)).sum::<u64>() * PAGE_BYTES)
        };
        let _ = writeln!(
            out,
            "<tr><th class=\"left\">{name}</th><td>{}</td><td class=\"bar s2\" style=\"--part:{}%\"></td>\
             <td>{}</td><td>{}</td><td>{}</td></tr>",
            these.len(),
            these.len() * 100 / pages.len(),
            sum(|page| page.used),
            sum(|page| page.free),
            sum(|page| page.released)
        );
    }
    let _ = write!(
        out,
        "</tbody></table></div>\n<p class=\"data\">{} of the heap's own; blocks of more than \
         <code>direct_bytes</code> have mappings of theirs and are not in the map.</p>\n",
        plural(pages.len() as u64, "huge page")
    );
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(index: u64, used: u64, free: u64) -> HugePage {
        HugePage {
            addr: 0x7f00_0000_0000 + index * HUGE_BYTES,
            used,
            free,
            released: PAGES - used - free,
            is_huge_backed: false,
        }
    }

    #[test]
    fn each_huge_page_is_in_one_row_and_neighbours_touch() {
        let pages = [page(0, 256, 0), page(1, 128, 64), page(5, 1, 0), page(6, 0, 256)];
        let html = section(&pages, Some(4 << 20));
        assert_eq!((html.matches("<i style").count(), html.matches("<b></b>").count()), (4, 1));
        assert!(html.contains("--u:50%;--f:75%") && html.contains("--u:1%;--f:1%"));
        for row in [
            "none</th><td>1<",
            "under a quarter</th><td>1<",
            "a half to three quarters</th><td>1<",
            "all</th><td>1<",
        ] {
            assert!(html.contains(row), "{row}: {html}");
        }
        assert!(html.contains("has 4.0 MiB of the process"));
    }

    #[test]
    fn a_heap_of_terabytes_has_no_more_cells_than_a_page_can_show() {
        let pages: Vec<HugePage> = (0..10_000).map(|index| page(index, 256, 0)).collect();
        let html = section(&pages, None);
        assert!(
            html.matches("<i style").count() <= CELLS && html.contains("stands for 4 neighbours")
        );
    }
}
