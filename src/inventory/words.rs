//! Words with a meaning of their own in a path: verbs that every resource has, and the ends of file names.

/// Written by programmers below many resources (`/orders/search`); they tell nothing about what stands before them.
const RESERVED: &[&str] = &[
    "active",
    "add",
    "all",
    "archive",
    "autocomplete",
    "batch",
    "bulk",
    "by-id",
    "check",
    "comments",
    "config",
    "confirm",
    "count",
    "create",
    "current",
    "default",
    "delete",
    "download",
    "edit",
    "events",
    "export",
    "files",
    "health",
    "history",
    "import",
    "info",
    "latest",
    "list",
    "login",
    "logout",
    "me",
    "mine",
    "new",
    "popular",
    "preview",
    "public",
    "recent",
    "remove",
    "reset",
    "search",
    "self",
    "settings",
    "starred",
    "stats",
    "status",
    "subscribe",
    "summary",
    "tags",
    "unsubscribe",
    "update",
    "upload",
    "verify",
    "version",
];

/// Endings that name a representation: they stay literal behind a value (`{id}.json`).
const FORMATS: &[&str] = &[
    "action", "asp", "aspx", "atom", "csv", "do", "htm", "html", "ics", "json", "jsp", "pdf", "php", "rss", "txt",
    "xml", "yaml", "yml",
];

/// Endings of pages and scripts that a site has by name.
const PAGES: &[&str] = &["asp", "aspx", "htm", "html", "jsp", "php", "txt", "xml"];

/// Endings of files that are kept in folders of any depth.
const FILES: &[&str] = &[
    "avif", "bmp", "css", "csv", "doc", "docx", "eot", "gif", "gz", "ico", "ics", "jpeg", "jpg", "js", "map", "md",
    "mjs", "mov", "mp3", "mp4", "odt", "ogg", "otf", "pdf", "png", "ppt", "pptx", "py", "rs", "svg", "tar", "tgz",
    "tiff", "ttf", "txt", "wasm", "wav", "webm", "webp", "woff", "woff2", "xls", "xlsx", "yaml", "yml", "zip",
];

/// Endings of what pages are made of: they stay literal behind a value of a path's end, as those of representations do.
const ASSETS: &[&str] = &[
    "avif", "css", "gif", "ico", "jpeg", "jpg", "js", "map", "mjs", "mp3", "mp4", "png", "svg", "ttf", "wasm", "webm",
    "webp", "woff", "woff2",
];

/// Months and days of the week: few, and values all the same.
const CALENDAR: &[&str] = &[
    "apr",
    "april",
    "aug",
    "august",
    "dec",
    "december",
    "feb",
    "february",
    "fri",
    "friday",
    "jan",
    "january",
    "jul",
    "july",
    "jun",
    "june",
    "mar",
    "march",
    "may",
    "mon",
    "monday",
    "nov",
    "november",
    "oct",
    "october",
    "sat",
    "saturday",
    "sep",
    "september",
    "sun",
    "sunday",
    "thu",
    "thursday",
    "tue",
    "tuesday",
    "wed",
    "wednesday",
];

/// Stand for a value that the client is known by, or for several: below them is what is below a value.
const PRONOUNS: &[&str] = &[
    "active", "all", "current", "default", "latest", "me", "mine", "new", "popular", "public", "recent", "self",
    "starred",
];

/// Written as words, without a vowel.
const ACRONYMS: &[&str] = &[
    "cdn", "cfg", "css", "ctx", "db", "dns", "ftp", "grpc", "html", "http", "https", "jpg", "js", "jwt", "mp", "ms",
    "pdf", "php", "png", "rpc", "rss", "sql", "src", "ssh", "ssl", "svg", "tcp", "tls", "ttl", "txt", "vm", "vpc",
    "vpn", "xml", "xss",
];

/// Languages of ISO 639-1 that are no words of English; sorted.
const LANGUAGES: &[&str] = &[
    "af", "ar", "az", "bg", "bn", "bs", "ca", "cs", "cy", "da", "de", "el", "en", "es", "et", "eu", "fa", "fi", "fr",
    "ga", "gl", "gu", "he", "hi", "hr", "hu", "hy", "ja", "ka", "kk", "km", "ko", "ky", "lo", "lt", "lv", "mk", "ml",
    "mn", "mr", "ms", "nb", "ne", "nl", "nn", "pl", "ps", "pt", "ro", "ru", "sk", "sl", "sq", "sr", "sv", "sw", "ta",
    "te", "th", "tl", "tr", "uk", "ur", "uz", "vi", "zh",
];

pub fn is_language(word: &str) -> bool {
    LANGUAGES.binary_search(&word).is_ok()
}

pub fn is_pronoun(word: &str) -> bool {
    PRONOUNS.binary_search(&word).is_ok()
}

pub fn is_acronym(token: &[u8]) -> bool {
    std::str::from_utf8(token).is_ok_and(|token| among(ACRONYMS, token))
}

pub fn is_reserved(word: &str) -> bool {
    RESERVED.binary_search(&word).is_ok()
}

pub fn is_format(ending: &str) -> bool {
    among(FORMATS, ending)
}

/// Whether the ending is that of a page or a script, of which a site has some by name (`robots.txt`, `xmlrpc.php`).
pub fn is_page(ending: &str) -> bool {
    among(PAGES, ending)
}

pub fn is_asset(ending: &str) -> bool {
    among(ASSETS, ending)
}

pub fn is_file(ending: &str) -> bool {
    among(FILES, ending)
}

/// Whether the word is a month or a day of the week.
pub fn is_of_calendar(word: &str) -> bool {
    among(CALENDAR, word)
}

/// Whether the word names several things, as the segment before a parameter does.
pub fn is_plural(word: &str) -> bool {
    word.len() > 3 && word.ends_with('s') && !word.ends_with("ss") && !word.contains('.')
}

/// Whether the word says that a value follows: `by-name`, `by_id`.
pub fn selects(word: &str) -> bool {
    word == "by" || word.starts_with("by-") || word.starts_with("by_")
}

/// Without regard to case, and without an allocation.
fn among(list: &[&str], ending: &str) -> bool {
    let mut low = [0; 9];
    let Some(low) = low.get_mut(..ending.len()) else { return false };
    low.copy_from_slice(ending.as_bytes());
    low.make_ascii_lowercase();
    list.binary_search_by(|word| word.as_bytes().cmp(low)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_sorted() {
        for list in [RESERVED, FORMATS, PAGES, FILES, ASSETS, PRONOUNS, ACRONYMS, LANGUAGES, CALENDAR] {
            assert!(list.is_sorted());
        }
    }

    #[test]
    fn an_ending_is_known_in_any_case() {
        assert!(is_format("JSON") && is_file("Png") && !is_format("environment") && !is_file(""));
    }
}
