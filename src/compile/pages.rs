//! Own error pages: read with the file, cut into text and what is filled in.

use std::fmt::Write as _;
use std::sync::Arc;

use super::draft::Draft;
use crate::config;
use crate::diagnostic::{Code, Sources};

/// `[pages]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pages {
    by_status: Vec<(u16, Arc<ErrorPage>)>,
    others: Option<Arc<ErrorPage>>,
}

/// One page.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ErrorPage {
    pieces: Vec<Piece>,
}

#[derive(Debug, PartialEq, Eq)]
enum Piece {
    Text(Box<str>),
    Status,
    Reason,
    RequestId,
}

impl Pages {
    /// The page for a status, if there is one.
    #[must_use]
    pub fn page(&self, status: u16) -> Option<&ErrorPage> {
        let own = self.by_status.iter().find(|(known, _)| *known == status).map(|(_, page)| page);
        own.or(self.others.as_ref()).map(|page| &**page)
    }

    /// Statuses that have a page, as a person reads them; `None`: there are none.
    #[must_use]
    pub fn described(&self) -> Option<String> {
        let named: Vec<_> = self.by_status.iter().map(|(status, _)| status.to_string()).collect();
        match (named.is_empty(), self.others.is_some()) {
            (true, false) => None,
            (true, true) => Some("every error".to_owned()),
            (false, others) => Some(named.join(", ") + if others { " and every other error" } else { "" }),
        }
    }
}

impl ErrorPage {
    fn read(text: &str) -> Self {
        let mut pieces = Vec::new();
        let mut rest = text;
        let places = [("{status}", Piece::Status), ("{reason}", Piece::Reason), ("{request_id}", Piece::RequestId)];
        while let Some((at, (word, _))) =
            places.iter().filter_map(|place| Some((rest.find(place.0)?, place))).min_by_key(|(at, _)| *at)
        {
            pieces.push(Piece::Text(rest[..at].into()));
            pieces.push(match *word {
                "{status}" => Piece::Status,
                "{reason}" => Piece::Reason,
                _ => Piece::RequestId,
            });
            rest = &rest[at + word.len()..];
        }
        pieces.push(Piece::Text(rest.into()));
        Self { pieces }
    }

    /// The page with what is filled in, escaped for HTML.
    #[must_use]
    pub fn fill(&self, status: u16, reason: &str, request_id: &str) -> String {
        let mut page = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => page.push_str(text),
                Piece::Status => write!(page, "{status}").expect("writing to a string"),
                Piece::Reason => escape(reason, &mut page),
                Piece::RequestId => escape(request_id, &mut page),
            }
        }
        page
    }
}

fn escape(text: &str, page: &mut String) {
    for c in text.chars() {
        match c {
            '&' => page.push_str("&amp;"),
            '<' => page.push_str("&lt;"),
            '>' => page.push_str("&gt;"),
            '"' => page.push_str("&quot;"),
            '\'' => page.push_str("&#39;"),
            _ => page.push(c),
        }
    }
}

/// The pages of the file; their texts are among what was read with it.
pub(super) fn compile(file: &config::File, sources: &Sources, draft: &mut Draft<'_>) -> Pages {
    let mut pages = Pages::default();
    for entry in file.pages.get().map(|named| named.entries.as_slice()).unwrap_or_default() {
        let status = entry.name.parse().ok().filter(|status| (400..600).contains(status));
        if status.is_none() && entry.name != "error" {
            let help = "write a status from 400 to 599, `\"503\" = \"busy.html\"`, or `error` for all others";
            let message = format!("`{}` is not the status of an error", entry.name);
            draft.say(Code::InvalidValue, entry.key.clone(), message, "not a status", help);
            continue;
        }
        // Without what is beside the text, the page is only named.
        let text = match sources.extra(&entry.value).map(|extra| &extra.text) {
            None => continue,
            Some(Ok(text)) => text,
            Some(Err(why)) => {
                let help =
                    "name a file that can be read, in UTF-8 and of 256 KiB at most, as seen from where multilith runs";
                draft.say(Code::UnreadableFile, entry.span.clone(), why.to_string(), "not a page", help);
                continue;
            }
        };
        let page = Arc::new(ErrorPage::read(text));
        match status {
            Some(status) => pages.by_status.push((status, page)),
            None => pages.others = Some(page),
        }
    }
    pages
}

#[cfg(test)]
mod tests {
    use super::ErrorPage;

    #[test]
    fn what_is_filled_in_is_escaped_and_other_braces_stay() {
        let page = ErrorPage::read("<style>a{b:c}</style>{status} {reason}: {request_id}{status}{}");
        let filled = page.fill(503, "a < b & \"c\"", "it's");
        assert_eq!(filled, "<style>a{b:c}</style>503 a &lt; b &amp; &quot;c&quot;: it&#39;s503{}");
        assert_eq!(ErrorPage::read("").fill(500, "", ""), "");
    }
}
