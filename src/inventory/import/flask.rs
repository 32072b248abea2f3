//! `flask routes`: a table of endpoints, methods and rules, also of hosts or subdomains.

use super::{ANY_VALUE, Imported, ImportedRoute, ONE_SEGMENT, SUBDOMAIN, with_literal_braces};

/// Converters that take what a segment of their kind has.
const CONVERTERS: &[&str] = &["default", "string", "int", "float", "uuid"];

/// The columns of the table: where each begins, and its name.
struct Columns(Vec<(usize, String)>);

/// A line of the table.
#[derive(Default)]
struct Row {
    methods: Vec<String>,
    host: String,
    subdomain: String,
    rule: String,
}

pub fn read(text: &str, imported: &mut Imported) {
    let mut columns = Columns(Vec::new());
    let mut rows = Vec::new();
    let mut before = "";
    for line in text.lines() {
        if line.starts_with("--") && line.bytes().all(|byte| matches!(byte, b'-' | b' ')) {
            columns = Columns::of(before, line);
        } else if let Some(row) = columns.row(line) {
            rows.push(row);
        } else if !line.starts_with("Endpoint ") && !line.starts_with("Sub") {
            imported.skip_line(line);
        }
        before = line;
    }
    // `--all-methods` shows HEAD and OPTIONS, which Flask answers itself for most rules.
    let shows_all = rows.iter().any(|row| row.methods.iter().any(|method| method == "OPTIONS"));
    for mut row in rows {
        if row.methods.is_empty() && !shows_all {
            imported.skip(row.rule, "no method is listed, so that it takes HEAD or OPTIONS alone, or all: `flask routes --all-methods` tells");
            continue;
        }
        if row.methods.iter().any(|method| !matches!(&**method, "HEAD" | "OPTIONS")) {
            row.methods.retain(|method| method != "OPTIONS");
        }
        route(row, imported);
    }
}

impl Columns {
    fn of(heading: &str, dashes: &str) -> Self {
        let name = |start: usize| {
            let rest = heading.get(start..).unwrap_or("");
            rest.split("  ").next().unwrap_or("").trim().to_owned()
        };
        let starts = dashes.match_indices('-').map(|(at, _)| at);
        let starts = starts.filter(|at| *at == 0 || dashes.as_bytes()[at - 1] == b' ');
        Self(starts.map(|start| (start, name(start))).collect())
    }

    /// `None` for a line that has other columns.
    fn row(&self, line: &str) -> Option<Row> {
        let chars: Vec<char> = line.chars().collect();
        let mut row = Row::default();
        for (at, (start, name)) in self.0.iter().enumerate() {
            if *start > 0 && chars.get(start - 1) != Some(&' ') {
                return None;
            }
            let end = self.0.get(at + 1).map_or(chars.len(), |(next, _)| *next).min(chars.len());
            let cell: String = chars.get(*start..end)?.iter().collect();
            let cell = cell.trim().to_owned();
            match &**name {
                "Methods" => {
                    row.methods = cell.split(", ").filter(|method| !method.is_empty()).map(str::to_owned).collect();
                }
                "Host" => row.host = cell,
                "Subdomain" | "Sub Domain" => row.subdomain = cell,
                "Rule" => row.rule = cell,
                _ => {}
            }
        }
        row.rule.starts_with('/').then_some(row)
    }
}

fn route(row: Row, imported: &mut Imported) {
    let Row { methods, host, subdomain, rule } = row;
    if host.contains('<') {
        return imported.skip(format!("{host}{rule}"), "a domain with a parameter");
    }
    let mut comments = Vec::new();
    if !subdomain.is_empty() {
        imported.note(format!("{rule}: {SUBDOMAIN}"));
        comments.push(format!("only under the subdomain {subdomain}"));
    }
    match template(&rule, imported) {
        Some(path) => {
            let host = Some(host).filter(|host| !host.is_empty());
            imported.add(ImportedRoute { path, methods, host, comments, ..ImportedRoute::default() });
        }
        None => imported.skip(rule, "a converter that is not understood"),
    }
}

fn template(rule: &str, imported: &mut Imported) -> Option<String> {
    let mut path = String::with_capacity(rule.len());
    let mut rest = rule;
    while let Some(open) = rest.find('<') {
        let close = open + rest[open..].find('>')?;
        let (converter, name) = rest[open + 1..close].rsplit_once(':').unwrap_or(("string", &rest[open + 1..close]));
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return None;
        }
        path.push_str(&with_literal_braces(&rest[..open]));
        rest = &rest[close + 1..];
        if converter != "path" {
            if !CONVERTERS.contains(&converter) {
                imported.note(format!("{rule}: {ANY_VALUE}"));
            }
            path.extend(["{", name, "}"]);
        } else if rest.is_empty() && path.ends_with('/') {
            path.extend(["{*", name, "}"]);
        } else {
            imported.note(format!("{rule}: {ONE_SEGMENT}"));
            path.extend(["{", name, "}"]);
        }
    }
    path.push_str(&with_literal_braces(rest));
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::super::ListFormat;
    use super::super::tests::said;

    fn lines(text: &str) -> Vec<String> {
        said(ListFormat::Flask, text)
    }

    #[test]
    fn hosts_are_taken_and_subdomains_are_said() {
        let hosts = "\
Endpoint  Methods  Host                   Rule
--------  -------  ---------------------  ----
a         GET      shop.example           /a
b         GET                             /b
c         GET      <tenant>.shop.example  /c
";
        assert_eq!(
            lines(hosts),
            ["GET /b", "GET shop.example/a", "- <tenant>.shop.example/c: a domain with a parameter"]
        );
        let subdomains = "Endpoint  Methods  Subdomain  Rule\n--------  -------  ---------  ----\na         GET      api        /a\nb         GET                 /b\n";
        assert_eq!(
            lines(subdomains),
            [
                "GET /a",
                "GET /b",
                "note: /a: is asked under one subdomain alone, here under every host: name its `host`"
            ]
        );
    }

    #[test]
    fn a_rule_without_a_listed_method_does_not_become_one_for_all() {
        let table = |methods: &str| {
            format!(
                "Endpoint  Methods             Rule\n--------  ------------------  ----\na         {methods:<18}  /a\nb         GET, HEAD, OPTIONS  /b\n"
            )
        };
        assert_eq!(lines(&table("OPTIONS")), ["OPTIONS /a", "GET /b"]);
        assert_eq!(lines(&table("HEAD, OPTIONS")), ["HEAD|OPTIONS /a", "GET /b"]);
        // Every method is shown, and there is none: all are taken.
        assert_eq!(lines(&table("")), [" /a", "GET /b"]);
        let short = table("").replace("GET, HEAD, OPTIONS", "GET               ");
        assert_eq!(
            lines(&short),
            [
                "GET /b",
                "- /a: no method is listed, so that it takes HEAD or OPTIONS alone, or all: `flask routes --all-methods` tells"
            ]
        );
    }

    #[test]
    fn converters_that_take_some_values_alone_are_said() {
        let table =
            |rule: &str| format!("Endpoint  Methods  Rule\n--------  -------  ----\na         GET      {rule}\n");
        let note = "takes some values alone, here the segment may be any";
        for rule in ["/<any(de,en):x>/a", "/<any(\"a, b\"):x>/a", "/<string(length=2):x>/a", "/<own:x>/a"] {
            assert_eq!(lines(&table(rule)), ["GET /{x}/a".to_owned(), format!("note: {rule}: {note}")]);
        }
        assert_eq!(lines(&table("/<int:x>/a")), ["GET /{x}/a"]);
        assert_eq!(lines(&table("/<any(\"a>b\"):x>")), ["- /<any(\"a>b\"):x>: a converter that is not understood"]);
    }
}
