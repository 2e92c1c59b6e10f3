//! The help pages of refusals, as the documentation has them: a section for each reason, built into the program.

/// What the documentation says of one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) reason: &'static str,
    /// What it means.
    pub(crate) means: String,
    /// What would have to change.
    pub(crate) what_to_do: String,
}

/// Every page, in the order of the documentation.
pub(crate) fn all() -> impl Iterator<Item = Page> {
    DOCUMENT.split("\n## ").skip(1).filter_map(page)
}

/// The page of a reason.
pub(crate) fn of(reason: &str) -> Option<Page> {
    all().find(|page| page.reason == reason)
}

/// The reason that was probably meant.
pub(crate) fn nearest(text: &str) -> Option<&'static str> {
    all()
        .map(|page| page.reason)
        .max_by(|a, b| likeness(text, a).total_cmp(&likeness(text, b)))
        .filter(|reason| likeness(text, reason) > ALIKE)
}

fn likeness(a: &str, b: &str) -> f64 {
    strsim::jaro_winkler(a, b)
}

fn page(section: &'static str) -> Option<Page> {
    let (title, body) = section.split_once('\n')?;
    let (means, what_to_do) = body.split_once(MARK)?;
    Some(Page { reason: title.trim(), means: flowing(means), what_to_do: flowing(what_to_do) })
}

/// Paragraphs as one line each.
fn flowing(text: &str) -> String {
    let paragraphs = text.trim().split("\n\n");
    let lines = paragraphs.map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" "));
    lines.collect::<Vec<_>>().join("\n\n")
}

const DOCUMENT: &str = include_str!("../../../../broker/docs/errors.md");
const MARK: &str = "**What to do.**";
const ALIKE: f64 = 0.8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_section_of_the_documentation_is_a_page() {
        let titles = DOCUMENT.lines().filter(|line| line.starts_with("## ")).count();
        let pages: Vec<_> = all().collect();
        assert_eq!(pages.len(), titles, "a section lacks `{MARK}`");
        assert!(titles > 50);
        for page in pages {
            assert!(!page.means.is_empty() && !page.what_to_do.is_empty(), "{page:?}");
            assert!(!page.means.contains("##") && !page.what_to_do.contains("**"), "{page:?}");
            assert!(page.reason.chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{page:?}");
        }
    }

    #[test]
    fn what_was_probably_meant_is_found() {
        assert_eq!(nearest("scope-not-entiteld"), Some("scope-not-entitled"));
        assert_eq!(nearest("code_spent"), Some("code-spent"));
        assert_eq!(nearest("weather"), None);
    }
}
