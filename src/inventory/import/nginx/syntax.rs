//! nginx's configuration language: words, quotes, blocks, and the files that are included.

use super::super::{IncludedFile, Includes, NotRead};

/// Blocks within each other, and files within each other.
const DEEPEST: usize = 32;
const MOST_DIRECTIVES: usize = 1_000_000;
const MOST_FILES: usize = 4_096;
/// All files together, in bytes.
const LARGEST: usize = 64 << 20;
/// `nginx -T` writes this before each file.
const FILE_MARK: &str = "# configuration file ";

/// A directive, where it stands, and what is in its block.
#[derive(Debug, Clone)]
pub struct Directive {
    pub words: Vec<String>,
    /// `nginx.conf:12`; the name is missing where there is one file.
    pub place: String,
    pub block: Option<Vec<Directive>>,
}

impl Directive {
    pub fn name(&self) -> &str {
        &self.words[0]
    }

    pub fn arguments(&self) -> &[String] {
        &self.words[1..]
    }

    pub fn inside(&self) -> &[Self] {
        self.block.as_deref().unwrap_or_default()
    }

    /// As it was written, without its block.
    pub fn told(&self) -> String {
        format!("{}: {}", self.place, self.words.join(" "))
    }
}

/// The directives of a configuration with all that it includes; what could not be included is in `missing`.
#[derive(Debug, Default)]
pub struct Configuration {
    pub directives: Vec<Directive>,
    pub missing: Vec<(String, &'static str)>,
}

pub fn read(text: &str, includes: Includes<'_>) -> Result<Configuration, NotRead> {
    let dumped = dumped(text);
    let mut reader = Reader { includes, dumped: &dumped, files: 0, bytes: 0, directives: 0, missing: Vec::new() };
    let (name, text) = dumped.first().map_or(("", text), |file| (&*file.name, &*file.text));
    let directives = reader.file(name, text, 0)?;
    Ok(Configuration { directives, missing: reader.missing })
}

/// The files of `nginx -T`; none in any other text.
fn dumped(text: &str) -> Vec<IncludedFile> {
    let mut files: Vec<IncludedFile> = Vec::new();
    for line in text.split_inclusive('\n') {
        let name = line.trim_end().strip_prefix(FILE_MARK).and_then(|line| line.strip_suffix(':'));
        match (name, files.last_mut()) {
            (Some(name), _) => files.push(IncludedFile { name: name.to_owned(), text: String::new() }),
            (None, Some(file)) => file.text.push_str(line),
            (None, None) => {}
        }
    }
    files
}

struct Reader<'a> {
    includes: Includes<'a>,
    dumped: &'a [IncludedFile],
    files: usize,
    bytes: usize,
    directives: usize,
    missing: Vec<(String, &'static str)>,
}

impl Reader<'_> {
    fn file(&mut self, name: &str, text: &str, depth: usize) -> Result<Vec<Directive>, NotRead> {
        self.files += 1;
        self.bytes += text.len();
        if self.files > MOST_FILES || self.bytes > LARGEST {
            return Err(NotRead(format!("the configuration has more than {MOST_FILES} files or 64 MiB")));
        }
        let mut tokens = Tokens { bytes: text.as_bytes(), text, at: 0, line: 1, file: name };
        self.block(&mut tokens, depth, false)
    }

    fn block(&mut self, tokens: &mut Tokens<'_>, depth: usize, inside: bool) -> Result<Vec<Directive>, NotRead> {
        if depth > DEEPEST {
            return Err(NotRead(format!("{}: more than {DEEPEST} blocks or files within each other", tokens.place())));
        }
        let mut directives = Vec::new();
        let (mut words, mut place) = (Vec::new(), String::new());
        loop {
            match tokens.next()? {
                Some(Token::Word(word)) => {
                    if words.is_empty() {
                        place = tokens.place();
                    }
                    words.push(word);
                }
                Some(end @ (Token::Semicolon | Token::Open)) => {
                    if words.is_empty() {
                        return Err(NotRead(format!("{}: a directive is missing", tokens.place())));
                    }
                    self.directives += 1;
                    if self.directives > MOST_DIRECTIVES {
                        return Err(NotRead(format!("the configuration has more than {MOST_DIRECTIVES} directives")));
                    }
                    let words = std::mem::take(&mut words);
                    let block = if end == Token::Semicolon {
                        if words[0] == "include" && words.len() == 2 {
                            directives.extend(self.include(&words[1], &place, depth)?);
                            continue;
                        }
                        None
                    } else if words[0].ends_with("_by_lua_block") {
                        tokens.skip_block();
                        Some(Vec::new())
                    } else {
                        Some(self.block(tokens, depth + 1, true)?)
                    };
                    directives.push(Directive { words, place: place.clone(), block });
                }
                Some(Token::Close) if inside && words.is_empty() => return Ok(directives),
                None if !inside && words.is_empty() => return Ok(directives),
                Some(Token::Close) => return Err(NotRead(format!("{}: an unexpected `}}`", tokens.place()))),
                None => {
                    return Err(NotRead(format!("{}: the file ends within a directive or a block", tokens.place())));
                }
            }
        }
    }

    fn include(&mut self, pattern: &str, place: &str, depth: usize) -> Result<Vec<Directive>, NotRead> {
        let dumped: Vec<&IncludedFile> = self.dumped.iter().filter(|file| is_included(pattern, &file.name)).collect();
        let found = if self.dumped.is_empty() {
            match (self.includes)(pattern) {
                Ok(found) => found,
                Err(why) => {
                    self.missing.push((format!("{place}: include {pattern}"), why));
                    return Ok(Vec::new());
                }
            }
        } else {
            dumped.into_iter().cloned().collect()
        };
        let mut directives = Vec::new();
        for file in found {
            directives.extend(self.file(&file.name, &file.text, depth + 1)?);
        }
        Ok(directives)
    }
}

/// In a dump names are absolute, patterns may be relative to a folder that the dump does not name. A `*` takes no slash.
fn is_included(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<&str>, Vec<&str>) = (pattern.split('/').collect(), name.split('/').collect());
    pattern.len() <= name.len()
        && (!pattern[0].is_empty() || pattern.len() == name.len())
        && pattern.iter().rev().zip(name.iter().rev()).all(|(pattern, name)| wildcard(pattern, name))
}

/// One `*` at most in a name, as nearly all have it.
pub fn wildcard(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((before, behind)) => {
            name.len() >= before.len() + behind.len() && name.starts_with(before) && name.ends_with(behind)
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Semicolon,
    Open,
    Close,
}

struct Tokens<'a> {
    bytes: &'a [u8],
    text: &'a str,
    at: usize,
    line: usize,
    file: &'a str,
}

impl Tokens<'_> {
    fn place(&self) -> String {
        if self.file.is_empty() { format!("line {}", self.line) } else { format!("{}:{}", self.file, self.line) }
    }

    fn next(&mut self) -> Result<Option<Token>, NotRead> {
        loop {
            let Some(byte) = self.bytes.get(self.at).copied() else { return Ok(None) };
            match byte {
                b'\n' => {
                    self.line += 1;
                    self.at += 1;
                }
                b' ' | b'\t' | b'\r' => self.at += 1,
                b'#' => {
                    self.at =
                        memchr::memchr(b'\n', &self.bytes[self.at..]).map_or(self.bytes.len(), |end| self.at + end);
                }
                b';' | b'{' | b'}' => {
                    self.at += 1;
                    return Ok(Some(match byte {
                        b';' => Token::Semicolon,
                        b'{' => Token::Open,
                        _ => Token::Close,
                    }));
                }
                b'"' | b'\'' => return self.quoted(byte).map(Some),
                _ => return Ok(Some(self.plain())),
            }
        }
    }

    fn quoted(&mut self, quote: u8) -> Result<Token, NotRead> {
        let begin = self.place();
        let start = self.at + 1;
        let mut at = start;
        while let Some(byte) = self.bytes.get(at) {
            match byte {
                b'\\' => at += 1,
                b'\n' => self.line += 1,
                byte if *byte == quote => {
                    self.at = at + 1;
                    return Ok(Token::Word(unescaped(&self.text[start..at])));
                }
                _ => {}
            }
            at += 1;
        }
        Err(NotRead(format!("{begin}: a quote is not closed")))
    }

    /// To a space, `;` or `{`; `${name}` is a part of the word.
    fn plain(&mut self) -> Token {
        let start = self.at;
        let mut variable = false;
        while let Some(byte) = self.bytes.get(self.at) {
            match byte {
                b'{' if variable => {}
                b' ' | b'\t' | b'\r' | b'\n' | b';' | b'{' => break,
                b'\\' => self.at += 1,
                _ => {}
            }
            variable = *byte == b'$';
            self.at += 1;
        }
        self.at = self.at.min(self.bytes.len());
        while !self.text.is_char_boundary(self.at) {
            self.at += 1;
        }
        Token::Word(unescaped(&self.text[start..self.at]))
    }

    /// Code of another language, to the brace that closes it.
    fn skip_block(&mut self) {
        let mut depth = 1_usize;
        while let Some(byte) = self.bytes.get(self.at) {
            self.at += 1;
            match byte {
                b'{' => depth += 1,
                b'}' => depth -= 1,
                b'\n' => self.line += 1,
                _ => {}
            }
            if depth == 0 {
                return;
            }
        }
    }
}

/// A backslash is taken away before a quote and a backslash alone: others belong to a regular expression.
fn unescaped(text: &str) -> String {
    let mut unescaped = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        match (char, chars.peek()) {
            ('\\', Some(next @ ('"' | '\'' | '\\'))) => {
                unescaped.push(*next);
                chars.next();
            }
            (char, _) => unescaped.push(char),
        }
    }
    unescaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(directives: &[Directive]) -> String {
        let one = |directive: &Directive| {
            let block = directive.block.as_deref().map_or_else(String::new, |block| format!("{{{}}}", shown(block)));
            format!("{}@{}{block};", directive.words.join("|"), directive.place)
        };
        directives.iter().map(one).collect::<Vec<_>>().concat()
    }

    #[test]
    fn words_quotes_comments_and_blocks_are_read_as_nginx_does() {
        let text = "a b # c;\n 'd e' \"f\\\"g\";\nh ~ ^/x\\.y$ {i ${j}k;}\nl#m n;content_by_lua_block { if a then { '}' } end }\n";
        let text = text.replace(" '}' ", " ");
        let read = read(&text, &|_| Err("no")).expect("it is read");
        assert_eq!(
            shown(&read.directives),
            "a|b|d e|f\"g@line 1;h|~|^/x\\.y$@line 3{i|${j}k@line 3;};l#m|n@line 4;content_by_lua_block@line 4{};"
        );
    }

    #[test]
    fn a_dump_of_all_files_brings_what_is_included() {
        let dump = "nginx: ok\n# configuration file /etc/nginx/nginx.conf:\nhttp { include sites/*.conf; include gone; }\n# configuration file /etc/nginx/sites/a.conf:\nserver { b; }\n# configuration file /etc/nginx/sites/b.txt:\nc;\n";
        let read = read(dump, &|_| Err("no")).expect("it is read");
        assert_eq!(
            shown(&read.directives),
            "http@/etc/nginx/nginx.conf:1{server@/etc/nginx/sites/a.conf:1{b@/etc/nginx/sites/a.conf:1;};};"
        );
    }

    #[test]
    fn what_is_cut_off_or_too_deep_says_where() {
        for (text, expected) in [
            ("a {\nb;", "line 2: the file ends within a directive or a block"),
            ("a\n\"b", "line 2: a quote is not closed"),
            ("}", "line 1: an unexpected `}`"),
            ("a }", "line 1: an unexpected `}`"),
            (";", "line 1: a directive is missing"),
        ] {
            let found = read(text, &|_| Err("no")).err().map(|NotRead(why)| why);
            assert_eq!(found.as_deref(), Some(expected), "{text}");
        }
        let deep = "a{".repeat(100_000);
        assert!(read(&deep, &|_| Err("no")).is_err());
        let itself = |_: &str| Ok(vec![IncludedFile { name: "x".to_owned(), text: "include x;".to_owned() }]);
        assert!(read("include x;", &itself).is_err(), "a file that includes itself ends");
        let twice = |_: &str| {
            let text = "include x;".repeat(50);
            Ok(vec![IncludedFile { name: "x".to_owned(), text }])
        };
        assert!(read("include x;", &twice).is_err(), "files that include each other end");
    }
}
