//! Parts of the page that fold. Each ends with the files that hold its data and the command that
//! measures it again; the table of contents is made from the same list.

use report_style::escape;

/// A part.
pub struct Part {
    /// Its name in links.
    pub id: &'static str,
    /// Its heading.
    pub title: String,
    /// What a reader must know first.
    pub note: String,
    /// What it shows, as HTML.
    pub content: String,
    /// Files beside the page that hold its data.
    pub data: Vec<&'static str>,
    /// The command that measures it again; empty where there is none.
    pub again: String,
}

impl Part {
    /// The part as HTML, folded.
    pub fn html(&self) -> String {
        let note = if self.note.is_empty() {
            String::new()
        } else {
            format!("<p class=\"note\">{}</p>\n", escape(&self.note))
        };
        format!(
            "<details class=\"part\" id=\"{}\">\n<summary><h2>{}</h2></summary>\n{note}{}{}</details>\n",
            self.id,
            escape(&self.title),
            self.content,
            foot(&self.data, &self.again),
        )
    }
}

/// Where the data is, and what makes it again.
pub fn foot(data: &[&str], again: &str) -> String {
    let files: Vec<_> = data.iter().map(|file| format!("<a href=\"{file}\">{file}</a>")).collect();
    let again = match again {
        "" => String::new(),
        command => format!(" &#183; Repeat: <code>{}</code>", unbroken(command)),
    };
    format!("<p class=\"data\">Data: {}{again}</p>\n", files.join(", "))
}

/// A command whose lines are not broken behind the dashes of its options.
fn unbroken(command: &str) -> String {
    let word = |word: &str| match word.starts_with('-') {
        true => format!("<span>{}</span>", escape(word)),
        false => escape(word),
    };
    command.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

/// The table of contents.
pub fn contents(parts: &[Part]) -> String {
    let line =
        |part: &Part| format!("<li><a href=\"#{}\">{}</a></li>\n", part.id, escape(&part.title));
    let lines: String = parts.iter().map(line).collect();
    format!("<nav aria-label=\"Contents\">\n<h2>Contents</h2>\n<ol>\n{lines}</ol>\n</nav>\n")
}

/// One of many things in a part, which folds as well.
pub fn item(id: &str, title: &str, content: &str) -> String {
    format!(
        "<details class=\"item\" id=\"{id}\">\n<summary><h3>{}</h3></summary>\n{content}</details>\n",
        escape(title)
    )
}

/// A name of something in links: `prefix-` and the name without anything but letters, digits and
/// dashes.
pub fn anchor(prefix: &str, name: &str) -> String {
    let plain = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '-' };
    format!("{prefix}-{}", name.chars().map(plain).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_made_of_letters_digits_and_dashes() {
        assert_eq!(anchor("workload", "a <b> 2"), "workload-a--b--2");
    }

    #[test]
    fn a_part_names_its_data_and_its_command() {
        let part = Part {
            id: "x",
            title: "A & B".to_owned(),
            note: String::new(),
            content: "<p>1</p>\n".to_owned(),
            data: vec!["x.csv", "results.json"],
            again: "ci/bench <w>".to_owned(),
        };
        let html = part.html();
        assert!(html.contains("<a href=\"x.csv\">x.csv</a>, <a href=\"results.json\">"), "{html}");
        assert!(html.contains("<code>ci/bench &lt;w&gt;</code>") && html.contains("A &amp; B"));
        assert!(contents(&[part]).contains("<a href=\"#x\">A &amp; B</a>"));
    }
}
