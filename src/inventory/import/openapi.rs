//! `OpenAPI` 2 and 3, in JSON or YAML: paths with their methods. Nothing else of a document is kept in memory.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::{Imported, ImportedRoute, NotRead, rooted};

const METHODS: &[&str] = &["GET", "PUT", "POST", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE", "QUERY"];
/// References from one path item to the next; a chain that is longer leads back to itself, or was not written on purpose.
const MOST_REFERENCES: usize = 16;
/// The most nodes of a YAML document: some ten times those of the largest published one (Microsoft Graph: 30 MB).
const MOST_YAML_NODES: usize = 20_000_000;
/// Aliases in YAML repeat what they name; published documents have few or none.
const MOST_ALIASES: usize = 10_000;

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
struct Document {
    paths: Option<Paths>,
    #[serde(rename = "basePath")]
    base_path: Option<String>,
    servers: Option<Vec<Server>>,
    components: Option<Components>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
struct Components {
    #[serde(rename = "pathItems")]
    path_items: Option<Paths>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
struct Server {
    url: String,
    variables: BTreeMap<String, ServerVariable>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
struct ServerVariable {
    default: String,
    #[serde(rename = "enum")]
    values: Option<Vec<Value>>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
struct Operation {
    #[serde(rename = "operationId")]
    id: Option<Value>,
    servers: Option<Vec<Server>>,
}

/// In the order of the document.
#[derive(Debug, Default)]
struct Paths(Vec<(String, PathItem)>);

#[derive(Debug)]
enum PathItem {
    Item(Item),
    /// Something that is no table.
    Other,
}

#[derive(Debug, Default)]
struct Item {
    reference: Option<String>,
    servers: Option<Vec<Server>>,
    operations: Vec<(String, MaybeOperation)>,
}

/// `None`: something that is no table, which is no operation.
#[derive(Debug)]
struct MaybeOperation(Option<Operation>);

impl<'de> Deserialize<'de> for Paths {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PathsVisitor;

        impl<'de> Visitor<'de> for PathsVisitor {
            type Value = Paths;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table of paths")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Paths, A::Error> {
                let mut paths = Vec::new();
                while let Some(path) = key(&mut map)? {
                    if path.starts_with("x-") {
                        map.next_value::<IgnoredAny>()?;
                    } else {
                        paths.push((path, map.next_value()?));
                    }
                }
                Ok(Paths(paths))
            }
        }

        deserializer.deserialize_map(PathsVisitor)
    }
}

/// A key as it was written: YAML may take it for a number, a truth value or nothing.
fn key<'de, A: MapAccess<'de>>(map: &mut A) -> Result<Option<String>, A::Error> {
    Ok(map.next_key()?.map(|key| match key {
        Value::String(text) => text,
        other => other.to_string(),
    }))
}

/// Lets a visitor accept values that are no table.
macro_rules! no_table {
    ($other:expr) => {
        fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
            while sequence.next_element::<IgnoredAny>()?.is_some() {}
            Ok($other)
        }

        fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
            Ok($other)
        }

        fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
            Ok($other)
        }

        fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
            Ok($other)
        }

        fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
            Ok($other)
        }

        fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
            Ok($other)
        }
    };
}

impl<'de> Deserialize<'de> for PathItem {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ItemVisitor;

        impl<'de> Visitor<'de> for ItemVisitor {
            type Value = PathItem;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a path item")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<PathItem, A::Error> {
                let mut item = Item::default();
                while let Some(key) = key(&mut map)? {
                    let method = key.to_ascii_uppercase();
                    match &*key {
                        "$ref" => item.reference = Some(map.next_value()?),
                        "servers" => item.servers = map.next_value()?,
                        // OpenAPI 3.2: methods that have no key of their own, as they are sent.
                        "additionalOperations" => {
                            let more: Option<BTreeMap<String, MaybeOperation>> = map.next_value()?;
                            item.operations.extend(more.unwrap_or_default());
                        }
                        _ if METHODS.contains(&&*method) => {
                            let operation: MaybeOperation = map.next_value()?;
                            item.operations.push((method, operation));
                        }
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(PathItem::Item(item))
            }

            fn visit_unit<E>(self) -> Result<PathItem, E> {
                Ok(PathItem::Item(Item::default()))
            }

            no_table!(PathItem::Other);
        }

        deserializer.deserialize_any(ItemVisitor)
    }
}

impl<'de> Deserialize<'de> for MaybeOperation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OperationVisitor;

        impl<'de> Visitor<'de> for OperationVisitor {
            type Value = MaybeOperation;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an operation")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<MaybeOperation, A::Error> {
                Operation::deserialize(MapAccessDeserializer::new(map)).map(|operation| MaybeOperation(Some(operation)))
            }

            fn visit_unit<E>(self) -> Result<MaybeOperation, E> {
                Ok(MaybeOperation(Some(Operation::default())))
            }

            no_table!(MaybeOperation(None));
        }

        deserializer.deserialize_any(OperationVisitor)
    }
}

pub fn read(text: &str, imported: &mut Imported) -> Result<(), NotRead> {
    let document = parse(text.trim_start_matches('\u{feff}'))?;
    let paths = document.paths.ok_or_else(|| NotRead("the document has no `paths`".to_owned()))?;
    let components = document.components.and_then(|components| components.path_items).unwrap_or_default();
    let named = Named {
        paths: paths.0.iter().map(|(path, item)| (&**path, item)).collect(),
        components: components.0.iter().map(|(name, item)| (&**name, item)).collect(),
    };
    let base = document
        .base_path
        .unwrap_or_else(|| document.servers.as_deref().map_or_else(String::new, |servers| base_of(servers, imported)));
    for (path, item) in &paths.0 {
        if !path.starts_with('/') {
            imported.skip(path, "a path begins with `/`");
            continue;
        }
        let (items, lost) = named.items(item);
        let has_operations = items.iter().any(|item| !item.operations.is_empty());
        match lost {
            Some(why) if has_operations => imported.skip(format!("the `$ref` of {path}"), why),
            Some(why) => imported.skip(path, why),
            None if !has_operations => imported.skip(path, "no operation"),
            None => {}
        }
        routes_of(path, &items, &base, imported);
    }
    Ok(())
}

/// The operations of a path item, and those that it has by reference alone.
fn routes_of(path: &str, items: &[&Item], base: &str, imported: &mut Imported) {
    let mut seen = BTreeSet::new();
    for item in items {
        let base = item.servers.as_deref().map_or_else(|| base.to_owned(), |servers| base_of(servers, imported));
        for (method, operation) in &item.operations {
            let MaybeOperation(Some(operation)) = operation else {
                imported.skip(format!("{method} {path}"), "not an operation");
                continue;
            };
            if !seen.insert(method) {
                imported.note(format!("{path}: its own {method} is taken, not that of its `$ref`"));
                continue;
            }
            if method.bytes().any(|byte| byte.is_ascii_lowercase()) {
                imported.note(format!("{path}: the method {method} is taken in upper case"));
            }
            let own = operation.servers.as_deref().map(|servers| base_of(servers, imported));
            let base = own.as_deref().unwrap_or(&base).trim_end_matches('/');
            imported.add(ImportedRoute {
                path: rooted(&format!("{base}/{}", path.trim_start_matches('/'))),
                methods: vec![method.clone()],
                name: operation.id.as_ref().map(|id| hyphened(&text_of(id))),
                ..ImportedRoute::default()
            });
        }
    }
}

/// As it was written: YAML may take a text for a number.
fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// `listOrders` as `list-Orders`: names of routes are in lower case.
fn hyphened(name: &str) -> String {
    let mut hyphened = String::with_capacity(name.len() + 4);
    for char in name.chars() {
        if char.is_ascii_uppercase() && hyphened.ends_with(|last: char| last.is_ascii_lowercase()) {
            hyphened.push('-');
        }
        hyphened.push(char);
    }
    hyphened
}

/// The path of the first server, with its variables' defaults.
fn base_of(servers: &[Server], imported: &mut Imported) -> String {
    let mut paths = BTreeSet::new();
    let mut first = None;
    for server in servers {
        let mut url = server.url.clone();
        for (name, variable) in &server.variables {
            url = url.replace(&format!("{{{name}}}"), &variable.default);
        }
        let path = path_of_url(&url).trim_end_matches('/').to_owned();
        if first.is_none() {
            other_values(server, imported);
        }
        first.get_or_insert_with(|| path.clone());
        paths.insert(path);
    }
    let first = first.unwrap_or_default();
    if first.contains('{') {
        imported.note(format!("the server's path `{first}` has a variable without a default: it is left out"));
        return String::new();
    }
    if paths.len() > 1 {
        imported.note(format!("the servers have {} paths: the first, `{first}`, is taken", paths.len()));
    }
    first
}

/// A variable of the server's path may have values beside its default.
fn other_values(server: &Server, imported: &mut Imported) {
    for (name, ServerVariable { default, values }) in &server.variables {
        let texts = values.iter().flatten().map(text_of);
        let others: Vec<String> = texts.filter(|text| text != default).map(|text| format!("`{text}`")).collect();
        if !others.is_empty() && path_of_url(&server.url).contains(&format!("{{{name}}}")) {
            let others = others.join(", ");
            imported.note(format!("the server's `{{{name}}}` is `{default}` here; it may also be {others}"));
        }
    }
}

fn path_of_url(url: &str) -> &str {
    let path = match url.split_once("://") {
        Some((_, behind)) => behind.find('/').map_or("", |at| &behind[at..]),
        None => url,
    };
    path.split(['?', '#']).next().unwrap_or("")
}

/// JSON begins with a brace and is tried first, for its errors; JSON with more than JSON allows is YAML.
fn parse(text: &str) -> Result<Document, NotRead> {
    if text.trim_start().starts_with('{') {
        return serde_json::from_str(text).map_err(|error| NotRead(format!("this is no OpenAPI in JSON: {error}")));
    }
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_nodes: MOST_YAML_NODES,
            max_events: 2 * MOST_YAML_NODES,
            max_aliases: MOST_ALIASES,
            max_documents: usize::MAX,
            max_depth: 200,
            max_total_scalar_bytes: usize::MAX,
        },
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        if matches!(error.without_snippet(), serde_saphyr::Error::MultipleDocuments { .. }) {
            return NotRead("the file has several documents with `---` between them: import each by itself".to_owned());
        }
        let error = error.to_string();
        let line = error.lines().next().unwrap_or("it cannot be read");
        let line = line.strip_prefix("error: ").unwrap_or(line);
        // A broken bound is named as the crate names its fields.
        let line = line.split_once("budget breached").map_or_else(
            || line.to_owned(),
            |(place, _)| format!("{place}more anchors, aliases, entries or depth than are read"),
        );
        NotRead(format!("this is no OpenAPI in YAML: {line}"))
    })
}

struct Named<'a> {
    paths: HashMap<&'a str, &'a PathItem>,
    components: HashMap<&'a str, &'a PathItem>,
}

impl<'a> Named<'a> {
    /// The item, and those that it refers to within the document; why the last of them was not found.
    fn items(&self, item: &'a PathItem) -> (Vec<&'a Item>, Option<&'static str>) {
        let (mut items, mut next) = (Vec::new(), item);
        loop {
            let PathItem::Item(found) = next else { return (items, Some("not a path item")) };
            if items.len() == MOST_REFERENCES || items.iter().any(|item| std::ptr::eq(*item, found)) {
                return (items, Some("a reference that leads back to itself"));
            }
            items.push(found);
            let Some(reference) = found.reference.as_deref() else { return (items, None) };
            let Some(pointer) = reference.strip_prefix('#') else {
                return (items, Some("a reference to another document"));
            };
            match self.find(pointer) {
                Some(found) => next = found,
                None => return (items, Some("a reference to nothing in the document")),
            }
        }
    }

    /// A JSON pointer (RFC 6901) to a path item, percent-encoded as fragments are.
    fn find(&self, pointer: &str) -> Option<&'a PathItem> {
        let (items, name) = match (pointer.strip_prefix("/paths/"), pointer.strip_prefix("/components/pathItems/")) {
            (Some(name), _) => (&self.paths, name),
            (_, Some(name)) => (&self.components, name),
            _ => return None,
        };
        let name = percent_encoding::percent_decode_str(name).decode_utf8().ok()?;
        items.get(&*name.replace("~1", "/").replace("~0", "~")).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ListFormat, import};
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        let imported = import(ListFormat::OpenApi, text, &|_| Err("no files")).expect("it is read");
        let routes = imported.routes.into_iter().map(|route| {
            let name = route.name.map(|name| format!(" ({name})")).unwrap_or_default();
            format!("{} {}{name}", route.methods.join("|"), route.path)
        });
        routes
            .chain(imported.skipped.into_iter().map(|skipped| format!("- {}: {}", skipped.what, skipped.why)))
            .chain(imported.notes.into_iter().map(|note| format!("note: {note}")))
            .collect()
    }

    #[test]
    fn yaml_and_json_of_both_versions_give_the_same_routes() {
        let yaml = "swagger: '2.0'\nbasePath: /v1\npaths:\n  /o/{order-id}:\n    parameters: []\n    get: {operationId: showOrder}\n  /o:\n    get:\n    POST:\n";
        let json = r#"{"openapi":"3.0.0","servers":[{"url":"https://{host}/{base}/","variables":{"base":{"default":"v1"},"host":{"default":"a"}}}],
            "paths":{"/o/{order-id}":{"get":{"operationId":"showOrder"}},"/o":{"get":{},"post":null}}}"#;
        let expected = ["GET|POST /v1/o", "GET /v1/o/{order_id} (show-Order)"];
        assert_eq!(lines(yaml), expected);
        assert_eq!(lines(json), expected);
    }

    #[test]
    fn values_beside_the_default_of_a_server_are_said() {
        let yaml = r"openapi: 3.0.0
servers:
  - url: https://{host}/{version}
    variables:
      version: {default: v1, enum: [v1, v2, v3]}
      host: {default: a, enum: [a, b]}
paths: {/o: {get: {}}}
";
        assert_eq!(
            lines(yaml),
            ["GET /v1/o", "note: the server's `{version}` is `v1` here; it may also be `v2`, `v3`"]
        );
        assert_eq!(lines(&yaml.replace(", v2, v3", "")), ["GET /v1/o"]);
        let numbers = lines(&yaml.replace("v2, v3", "2"));
        assert_eq!(numbers[1], "note: the server's `{version}` is `v1` here; it may also be `2`");
    }

    #[test]
    fn references_are_followed_within_the_document_and_end() {
        let yaml = r"openapi: 3.1.0
servers: [{url: /a}, {url: /b}]
paths:
  /one: {$ref: '#/components/pathItems/one'}
  /two: {$ref: '#/paths/~1one'}
  /self: {$ref: '#/paths/~1self'}
  /far: {$ref: 'other.yaml#/x'}
  /gone: {$ref: '#/components/pathItems/gone'}
  /none: {summary: x}
  /text: hello
  x-internal: {get: {}}
components: {pathItems: {one: {get: {}, servers: [{url: 'https://h/c'}]}}}
";
        assert_eq!(
            lines(yaml),
            [
                "GET /c/one",
                "GET /c/two",
                "- /self: a reference that leads back to itself",
                "- /far: a reference to another document",
                "- /gone: a reference to nothing in the document",
                "- /none: no operation",
                "- /text: not a path item",
                "note: the servers have 2 paths: the first, `/a`, is taken",
            ]
        );
    }

    #[test]
    fn what_stands_beside_a_reference_and_methods_without_a_key_are_taken() {
        let yaml = r"openapi: 3.2.0
paths:
  /one:
    $ref: '#/components/pathItems/one'
    put: {}
    post: {operationId: own}
  /far: {$ref: 'other.yaml#/x', get: {}}
  /self: {$ref: '#/paths/~1self', get: {}}
  /more: {query: {}, additionalOperations: {LINK: {operationId: link}, Copy: , NO GOOD: {}}}
  200: {get: {}}
  ~: {get: {}}
  true: {get: {}}
  no-slash: {get: {}}
components: {pathItems: {one: {get: {}, post: {operationId: its}}}}
";
        assert_eq!(
            lines(yaml),
            [
                "GET /far",
                "COPY|LINK|QUERY /more",
                "GET|POST|PUT /one",
                "GET /self",
                "- the `$ref` of /far: a reference to another document",
                "- the `$ref` of /self: a reference that leads back to itself",
                "- NO GOOD /more: a method that is no token",
                "- 200: a path begins with `/`",
                "- null: a path begins with `/`",
                "- true: a path begins with `/`",
                "- no-slash: a path begins with `/`",
                "note: /one: its own POST is taken, not that of its `$ref`",
                "note: /more: the method Copy is taken in upper case",
            ]
        );
    }

    #[test]
    fn an_operation_that_is_no_table_does_not_refuse_the_others() {
        let json = r#"{"paths":{"/a":{"get":{"operationId":7},"post":"x","put":[1],"patch":null},"/b":{"get":true}}}"#;
        assert_eq!(
            lines(json),
            ["GET|PATCH /a", "- POST /a: not an operation", "- PUT /a: not an operation", "- GET /b: not an operation",]
        );
    }

    #[test]
    fn what_takes_several_segments_is_a_catch_all_at_the_end_or_said() {
        let yaml = r"paths:
  /a/{path:.*}: {get: {}}
  /b/{+rest}: {get: {}}
  /c/{path*}: {get: {}}
  /d/{proxy+}: {get: {}}
  /e/{path*}/x: {get: {}}
  /f/{id:[0-9]{2}}/x: {get: {}}
  /g/{id:[^/]+}: {get: {}}
  /h/{p:path}: {get: {}}
";
        assert_eq!(
            lines(yaml),
            [
                "GET /a/{*path}",
                "GET /b/{*rest}",
                "GET /c/{*path}",
                "GET /d/{*proxy}",
                "GET /e/{path}/x",
                "GET /f/{id}/x",
                "GET /g/{id}",
                "GET /h/{*p}",
                "note: /e/{path*}/x: what takes slashes inside the path takes one segment here",
                "note: /f/{id:[0-9]{2}}/x: takes some values alone, here the segment may be any",
            ]
        );
    }

    #[test]
    fn two_documents_in_a_file_are_said_to_be_two() {
        let one = "openapi: 3.0.0\npaths: {/a: {get: {}}}\n";
        let NotRead(why) =
            import(ListFormat::OpenApi, &format!("{one}---\n{one}"), &|_| Err("no files")).expect_err("it is refused");
        assert!(why.starts_with("the file has several documents"), "{why}");
        assert_eq!(lines(&format!("---\n{one}...\n")), ["GET /a"]);
    }

    #[test]
    fn a_bomb_of_aliases_or_of_depth_is_refused_in_words() {
        let mut bomb = String::from("a: &a [x,x,x,x,x,x,x,x,x,x]\n");
        for (from, to) in ('a'..'i').zip('b'..) {
            let aliases = vec![format!("*{from}"); 10].join(",");
            bomb.extend([to.to_string(), format!(": &{to} [{aliases}]\n")]);
        }
        bomb += "paths: {/x: {get: {x: *i}}}\n";
        let deep = format!("paths: {}1{}", "[".repeat(5_000), "]".repeat(5_000));
        let deep_json = format!("{{\"paths\":{}1{}}}", "[".repeat(50_000), "]".repeat(50_000));
        for text in [&bomb, &deep, &deep_json, "paths: [", "a\0b", "- 1\n- 2"] {
            let NotRead(why) = import(ListFormat::OpenApi, text, &|_| Err("no files")).expect_err("it is refused");
            assert!(why.starts_with("this is no OpenAPI in "), "{why}");
            assert!(!why.contains("budget") && !why.contains("error: "), "{why}");
        }
        let deep_inside =
            format!("{{\"paths\":{{\"/x\":{{\"get\":{{\"x\":{}1{}}}}}}}}}", "[".repeat(50_000), "]".repeat(50_000));
        assert_eq!(lines(&deep_inside), ["GET /x"]);
    }
}
