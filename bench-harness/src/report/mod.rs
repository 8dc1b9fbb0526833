//! The report of a result file: one HTML page, Markdown tables, and CSV.
//!
//! Everything here is a function from [`Results`] to text; nothing is measured, and only
//! [`write()`] touches the disk. The page needs nothing but itself: style and charts are inside.

mod csv;
mod extras;
mod format;
mod html;
mod latency;
mod markdown;
mod noise;
mod readme;
mod scenarios;
mod standing;
mod svg_file;
mod weak;

use crate::results::Results;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Where a report was written to.
pub struct Files {
    /// The page.
    pub html: PathBuf,
    /// The tables for people.
    pub markdown: PathBuf,
    /// The summary's chart, where there is one.
    pub picture: PathBuf,
    /// Every run, one per line, for other programs.
    pub csv: PathBuf,
}

/// Writes `report.html`, `report.md`, `summary.svg`, `runs.csv` and the CSV files that the page's
/// parts link to to `folder`, which is made where it is missing. The page also links to
/// `results.json`, which belongs beside it.
pub fn write(results: &Results, folder: &Path) -> io::Result<Files> {
    fs::create_dir_all(folder)?;
    let files = Files {
        html: folder.join("report.html"),
        markdown: folder.join("report.md"),
        picture: folder.join("summary.svg"),
        csv: folder.join("runs.csv"),
    };
    fs::write(&files.html, html::page(results))?;
    fs::write(&files.markdown, markdown::page(results))?;
    if let Some(picture) = svg_file::picture(results) {
        fs::write(&files.picture, picture)?;
    }
    for (name, text) in csv::files(results) {
        fs::write(folder.join(name), text)?;
    }
    Ok(files)
}

/// Writes the conclusions, the table and the weak sides anew in a README, between the marks that it
/// has for them.
pub fn write_readme(results: &Results, readme: &Path) -> io::Result<()> {
    let text = fs::read_to_string(readme)?;
    let filled = readme::filled(results, &text);
    let filled = filled.map_err(|reason| io::Error::new(io::ErrorKind::InvalidData, reason))?;
    fs::write(readme, filled)
}

/// What became of the documents' claims, a line each, for a terminal.
pub fn verdicts_text(results: &Results) -> String {
    markdown::verdict_lines(results)
}

/// How long calls took, a line for each load, for a terminal.
pub fn latency_text(results: &Results) -> String {
    markdown::latency_lines(results)
}

/// The conclusion in a few lines, for a terminal.
pub fn summary_text(results: &Results) -> String {
    markdown::summary(results)
}
