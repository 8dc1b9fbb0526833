//! What the project's pages share, so that they look and read alike: the report of the harness and
//! the page of a heap that `stratalloc-ctl` writes.
//!
//! * [`BASE`]: colours for light and dark, text, parts that fold, tables, charts.
//! * [`escape`]: text for HTML.
//! * [`document`]: the outer elements of a page that needs no other file.
//! * [`svg`]: the outer element of a chart, text, lines, axes with round numbers.
//!
//! No dependencies, and no JavaScript: pages bring their own.

pub mod svg;

/// The style that every page begins with. What a page adds of its own comes behind it.
pub const BASE: &str = include_str!("base.css");

/// `text` with the letters that mean something in HTML replaced.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// A page that needs no other file: `style` behind [`BASE`], `main` inside the element of that
/// name, and `script` at the end.
pub fn document(title: &str, style: &str, main: &str, script: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <meta name=\"color-scheme\" content=\"light dark\"/>\n\
         <title>{}</title>\n<style>\n{BASE}{style}</style>\n</head>\n<body>\n\
         <main id=\"top\">\n{main}</main>\n<script>\n{script}</script>\n</body>\n</html>\n",
        escape(title)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_a_program_cannot_become_part_of_the_page() {
        assert_eq!(escape("<b a='\"&'>é"), "&lt;b a=&#39;&quot;&amp;&#39;&gt;é");
        let page = document("</title><script>", "", "", "");
        assert!(page.contains("<title>&lt;/title&gt;&lt;script&gt;</title>"));
    }
}
