//! A page of the heap: one HTML file, which needs no other, about a process that was watched for a
//! while: where every byte is over time, fragmentation by size class, the huge pages as a map, who
//! holds memory as a flame graph, what grew, and advice where the figures allow it.
//!
//! * `snapshot`: what the control socket answers. `process`: what `/proc` says.
//! * `parts`: one moment, taken apart. `watch`: all moments.
//! * `growth`: leak candidates. `facts`: what was seen, as numbers. `advice`: sentences from them.
//! * `format`, `chart`, `tables`, `map`, `flame`: how it is shown.
//!
//! Tables and charts can be read without JavaScript; the script sorts, and zooms the flame graph.
//! The style is the one that the report of the harness has (`report-style`).

mod advice;
mod chart;
mod facts;
mod flame;
mod format;
mod growth;
mod map;
mod parts;
mod process;
mod snapshot;
mod tables;
mod watch;

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use clap::Args;
use report_style::{document, escape};

use crate::client::Client;
use crate::group::{self, Figures, Group};
use crate::suppressions::Suppressions;
use chart::Band;
use format::{bytes, plural, time};
use parts::PARTS;
use watch::Watched;

/// Colours of the size classes with most fragments; the last one is all others.
const CLASS_COLOURS: [&str; 7] = ["s0", "s2", "s3", "s4", "s5", "s7", "s1"];

/// How the page is made.
#[derive(Args)]
pub struct Page {
    /// Seconds to watch; shorter if the process ends.
    #[arg(long = "for", value_name = "SECONDS", default_value_t = 10.0)]
    time: f64,
    /// Seconds between two looks.
    #[arg(long = "every", value_name = "SECONDS", default_value_t = 0.25)]
    pause: f64,
    /// Functions, with colons between, whose allocations are left out; * stands for any text.
    #[arg(long, default_value = "")]
    suppress: String,
    /// The file to write.
    #[arg(long, short)]
    output: PathBuf,
}

impl Page {
    /// Watches the process behind `client`, and writes the page.
    pub fn write(&self, client: &Client, target: &str) -> Result<()> {
        let duration = |seconds: f64| {
            Duration::try_from_secs_f64(seconds).with_context(|| format!("{seconds} seconds"))
        };
        let (time, pause) = (duration(self.time)?, duration(self.pause)?);
        ensure!(pause > Duration::ZERO, "--every takes more than 0 seconds");
        let seen = watch::watch(client, target, time, pause)?;
        let page = page(&seen, &Suppressions::new(&self.suppress));
        fs::write(&self.output, page).with_context(|| self.output.display().to_string())
    }
}

/// A part of the page that folds.
struct Section {
    id: &'static str,
    title: &'static str,
    content: String,
}

impl Section {
    fn html(&self) -> String {
        format!(
            "<details class=\"part\" id=\"{}\" open><summary><h2>{}</h2></summary>\n{}</details>\n",
            self.id, self.title, self.content
        )
    }
}

/// The whole page.
fn page(seen: &Watched, suppressions: &Suppressions) -> String {
    let name = seen.command.as_deref().unwrap_or_default();
    let title = format!("Heap of process {}", seen.pid);
    let groups = seen.profiles.last().map(|last| group::groups(&last.dump, suppressions));
    let mut sections = vec![memory(seen), advised(seen)];
    sections.extend(profile_sections(seen, groups.as_deref(), suppressions));
    sections.push(fragmentation(seen));
    sections.push(Section {
        id: "map",
        title: "Huge pages by density",
        content: map::section(&seen.huge_pages, seen.huge_backed),
    });
    sections.push(thread_caches(seen));
    let body: String = sections.iter().map(Section::html).collect();
    document(
        &title,
        include_str!("style.css"),
        &format!("{}{body}", header(seen, name, &title)),
        include_str!("page.js"),
    )
}

fn header(seen: &Watched, name: &str, title: &str) -> String {
    let now = seen.moments.last().cloned().unwrap_or_default();
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let resident = now.resident.map_or_else(
        || "what is resident could not be read".to_owned(),
        |resident| format!("{} resident", bytes(resident)),
    );
    let end = if seen.has_ended { ", until it ended" } else { "" };
    // The program's own file is what one looks for; its arguments may be long.
    let short: String = name.chars().take(160).collect();
    format!(
        "<header>\n<h1>{title}</h1>\n<p><code>{}</code></p>\n<p>{resident} &#183; {} live in {} &#183; {} \
         &#183; watched for {}{end} &#183; <time data-s=\"{}\"></time></p>\n</header>\n",
        escape(&short),
        bytes(now.in_use()),
        plural(seen.heap.figure("in_use_count"), "block"),
        plural(seen.heap.figure("thread_count"), "thread"),
        time(seen.time_ms()),
        since_1970.map_or(0, |time| time.as_secs()),
    )
}

/// Where every byte is.
fn memory(seen: &Watched) -> Section {
    let times: Vec<u64> = seen.moments.iter().map(|moment| moment.at_ms).collect();
    let bands = PARTS.iter().enumerate().map(|(index, part)| Band {
        class: part.class,
        name: part.name.to_owned(),
        values: seen.moments.iter().map(|moment| moment.parts[index]).collect(),
    });
    let mut bands: Vec<Band<'_>> = bands.collect();
    let released: Vec<u64> = seen.moments.iter().map(|moment| moment.released).collect();
    let most = seen.moments.iter().map(parts::Moment::sum).max().unwrap_or(0);
    // Addresses cost nothing. Where there are many more of them than memory, they would hide it.
    let without = if released.iter().all(|&bytes| bytes <= most) {
        bands.push(Band { class: "without", name: "released".into(), values: released });
        " Pale above it are addresses that hold no memory."
    } else {
        ""
    };
    let resident: Vec<_> = seen.moments.iter().map(|moment| moment.resident).collect();
    let chart = chart::stacked(&times, &bands, &resident, 380.0, "Where every byte is, over time");
    let untouched = seen.moments.last().map_or(0, |moment| moment.untouched());
    let note = if untouched > 0 {
        format!(
            " The parts add up to {} more than that: memory that was handed out or cut into blocks, and \
             never touched, holds none.",
            bytes(untouched)
        )
    } else {
        String::new()
    };
    Section {
        id: "memory",
        title: "Where every byte is",
        content: format!(
            "<p class=\"note\">The dashed line is what the kernel says is resident.{without}{note}</p>\n\
             <div class=\"pair\"><figure>{chart}</figure>{}</div>\n",
            tables::parts(&seen.moments)
        ),
    }
}

fn advised(seen: &Watched) -> Section {
    let said = advice::advice(&facts::Facts::of(seen));
    let content = if said.is_empty() {
        "<p class=\"note\">Nothing stands out. The rules, with their thresholds, are in \
         <code>docs/profiling.md</code>.</p>\n"
            .to_owned()
    } else {
        let items: Vec<String> =
            said.iter().map(|one| format!("<li>{}</li>\n", code(&one.text))).collect();
        format!("<ul class=\"advice\">\n{}</ul>\n", items.concat())
    };
    Section { id: "advice", title: "Advice", content }
}

/// Text with what stands between grave accents, and the names of variables, as code.
fn code(text: &str) -> String {
    let marked = text.split('`').enumerate().map(|(at, part)| match at % 2 {
        0 => escape(part)
            .split(' ')
            .map(|word| match word.starts_with("STRATALLOC_") {
                true => format!("<code>{word}</code>"),
                false => word.to_owned(),
            })
            .collect::<Vec<_>>()
            .join(" "),
        _ => format!("<code>{}</code>", escape(part)),
    });
    marked.collect()
}

/// What the profile tells, or why there is none.
fn profile_sections(
    seen: &Watched,
    groups: Option<&[Group]>,
    suppressions: &Suppressions,
) -> Vec<Section> {
    let Some((groups, last)) = groups.zip(seen.profiles.last()) else {
        let reason = seen.no_profile.as_deref().unwrap_or("it gave no profile");
        return vec![Section {
            id: "holders",
            title: "Who holds memory",
            content: format!(
                "<p class=\"note\">Not known: {}. Start the process with \
                 <code>STRATALLOC_SAMPLE_INTERVAL=512KiB</code>, and this page has a flame graph, the \
                 functions that hold memory, and the stacks that grow.</p>\n",
                escape(reason)
            ),
        }];
    };
    let how = match last.dump.mode.as_str() {
        "sample" => format!("Estimated from a sample every {}", bytes(last.dump.interval)),
        _ => "Every block is counted".to_owned(),
    };
    let in_use = seen.moments.last().map_or(0, parts::Moment::in_use);
    let how = format!(
        "{how}: {} live in all, where the allocator itself counts {}.",
        bytes(last.dump.live_bytes),
        bytes(in_use)
    );
    let candidates = growth::candidates(&seen.profiles, suppressions);
    let grown = if candidates.is_empty() {
        format!(
            "<p class=\"note\">None in {}: no stack held steadily more.</p>\n",
            plural(seen.profiles.len() as u64, "profile")
        )
    } else {
        format!(
            "<p class=\"note\">Stacks whose live bytes grew over {} in {}. A cache that fills up grows \
             as well; watch for longer. A click opens the stack; <i>straight</i> is how much of it a \
             straight line explains.</p>\n{}",
            plural(seen.profiles.len() as u64, "profile"),
            time(last.at_ms),
            tables::grown(&candidates)
        )
    };
    vec![
        Section { id: "growth", title: "Leak candidates", content: grown },
        Section {
            id: "holders",
            title: "Who holds memory",
            content: format!(
                "<p class=\"note\">{how}</p>\n{}{}",
                flames(groups),
                tables::holders(groups)
            ),
        },
    ]
}

fn flames(groups: &[Group]) -> String {
    let kinds = [
        (Figures::Live, "Live now", " open"),
        (Figures::Peak, "At the peak", ""),
        (Figures::Total, "Allocated since the start", ""),
    ];
    let graphs = kinds.into_iter().filter_map(|(figures, title, open)| {
        let graph = flame::graph(groups, figures)?;
        Some(format!(
            "<details class=\"item\"{open}><summary><h3>{title}</h3></summary>\n\
             <p class=\"tools\"></p>\n{graph}</details>\n"
        ))
    });
    graphs.collect()
}

fn fragmentation(seen: &Watched) -> Section {
    let mut sums: HashMap<u64, u64> = HashMap::new();
    for (size, held) in seen.fragments.iter().flatten() {
        *sums.entry(*size).or_default() += held;
    }
    let mut sizes: Vec<u64> = sums.keys().copied().filter(|size| sums[size] > 0).collect();
    sizes.sort_by_key(|size| (std::cmp::Reverse(sums[size]), *size));
    let named = &sizes[..sizes.len().min(CLASS_COLOURS.len() - 1)];
    let at = |size: u64| seen.fragments.iter().map(move |by| by.get(&size).copied().unwrap_or(0));
    let mut bands: Vec<Band<'_>> = named
        .iter()
        .zip(CLASS_COLOURS)
        .map(|(&size, class)| Band {
            class,
            name: format!("{} bytes", format::whole(size)),
            values: at(size).collect(),
        })
        .collect();
    let rest = seen.fragments.iter().map(|by| {
        by.iter().filter(|(size, _)| !named.contains(size)).map(|(_, held)| held).sum::<u64>()
    });
    let last = CLASS_COLOURS[CLASS_COLOURS.len() - 1];
    bands.push(Band { class: last, name: "other sizes".into(), values: rest.collect() });
    let times: Vec<u64> = seen.moments.iter().map(|moment| moment.at_ms).collect();
    let keys: Vec<String> = bands
        .iter()
        .map(|band| format!("<span class=\"{}\"><i></i>{}</span>", band.class, escape(&band.name)))
        .collect();
    let (first, all) = tables::classes(&seen.heap);
    let chart = chart::stacked(&times, &bands, &[], 260.0, "Fragments by size class, over time");
    Section {
        id: "classes",
        title: "Fragmentation by size class",
        content: format!(
            "<p class=\"note\">Fragments are free blocks in partly used spans, and ends of spans, as far \
             as they hold memory. Rounding is what blocks have beyond what was asked for, \
             estimated.</p>\n<div class=\"pair\"><figure><p class=\"keys\">{}</p>{chart}</figure>{first}</div>\n{all}",
            keys.join(" ")
        ),
    }
}

fn thread_caches(seen: &Watched) -> Section {
    let parked = seen.threads.iter().filter(|thread| thread.cache.is_parked).count() as u64;
    let all: u64 = seen.threads.iter().map(|thread| thread.cache.bytes).sum();
    Section {
        id: "threads",
        title: "Caches by thread",
        content: format!(
            "<p class=\"note\">{} have {} cached; the allocator found {} asleep and emptied their caches. \
             Processor time is that of the time watched.</p>\n{}",
            plural(seen.threads.len() as u64, "thread"),
            bytes(all),
            plural(parked, "thread"),
            tables::threads(seen)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use snapshot::Heap;

    fn seen() -> Watched {
        let text = "stratalloc heap 1\npid 7\nclock_ms 90\nfigure in_use 6400\nfigure central_free 640\n\
                    option decay_ms never\nclass 64 2 16384 256 100 0 6 150 4096 1200\nend\n";
        let heap = Heap::parse(text).expect("the form");
        Watched {
            pid: 7,
            command: Some("<script>alert(1)</script> --x".into()),
            moments: (0..3).map(|at| parts::Moment::new(at * 500, &heap, Some(1 << 20))).collect(),
            fragments: vec![HashMap::from([(64, 6_400)]); 3],
            heap,
            profiles: Vec::new(),
            no_profile: Some("the process was started with neither".into()),
            threads: Vec::new(),
            huge_pages: Vec::new(),
            huge_backed: None,
            has_ended: true,
        }
    }

    #[test]
    fn the_page_needs_no_other_file_and_takes_no_markup_from_the_program() {
        let page = page(&seen(), &Suppressions::new(""));
        assert!(page.contains("&lt;script&gt;alert(1)") && !page.contains("<script>alert"));
        for foreign in ["http://", "https://", "src=", "@import", "url("] {
            assert!(!page.contains(foreign), "{foreign}");
        }
        assert!(page.contains("until it ended"));
    }

    #[test]
    fn without_a_profile_the_page_says_which_option_to_set() {
        let page = page(&seen(), &Suppressions::new(""));
        assert!(
            page.contains("started with neither")
                && page.contains("STRATALLOC_SAMPLE_INTERVAL=512KiB")
        );
        assert!(!page.contains("class=\"flame\""));
    }

    #[test]
    fn code_in_advice_is_marked_and_its_markup_is_not() {
        assert_eq!(
            code("set STRATALLOC_X=1 or `a <b>` & c"),
            "set <code>STRATALLOC_X=1</code> or <code>a &lt;b&gt;</code> &amp; c"
        );
    }
}
