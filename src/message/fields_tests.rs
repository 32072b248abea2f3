//! How fields are found, changed and written.

use proptest::prelude::*;

use super::*;

fn written(fields: &Fields) -> String {
    let mut out = Vec::new();
    fields.write(&mut out);
    String::from_utf8(out).expect("the test's fields are text")
}

#[test]
fn fields_keep_their_order_and_their_spelling() {
    let mut fields = Fields::from_iter([("hOsT", "a"), ("X-One", "1"), ("x-one", "2"), ("Cookie", "c")]);
    assert_eq!(fields.get(Name::Host), Some(&b"a"[..]));
    assert_eq!(fields.all("X-ONE").collect::<Vec<_>>(), [b"1", b"2"]);
    fields.set("x-One", b"3");
    assert_eq!(written(&fields), "hOsT: a\r\nx-One: 3\r\nCookie: c\r\n");
    fields.remove(Name::Host);
    fields.append(Name::XRequestId, b"7");
    fields.append_with("X-Made", |text| text.extend_from_slice(b"by hand"));
    fields.prepend(Name::Host, b"b");
    assert_eq!(written(&fields), "Host: b\r\nx-One: 3\r\nCookie: c\r\nX-Request-Id: 7\r\nX-Made: by hand\r\n");
    assert_eq!(fields.len(), 5);
    assert!(!fields.has("x-none") && fields.has("x-made"));
}

#[test]
fn a_name_that_the_file_gives_is_written_in_title_case() {
    let mut fields = Fields::from_iter([("x-set", "0"), ("x-set", "1"), ("accept", "*/*")]);
    fields.set_named(&HeaderName::from_static("x-set"), b"2");
    fields.append_named(&HeaderName::from_static("x-set"), b"3");
    fields.append_named(&HeaderName::from_static("tracestate"), b"4");
    assert_eq!(written(&fields), "X-Set: 2\r\naccept: */*\r\nX-Set: 3\r\ntracestate: 4\r\n");
}

#[test]
fn a_list_is_read_by_its_elements() {
    let all: Vec<_> = elements(b" a,, b c ,\t,d").collect();
    assert_eq!(all, [&b"a"[..], b"b c", b"d"]);
    assert!(is_value(b"a\tb \xff") && !is_value(b"a\r\nb") && !is_value(b"\x7f"));
}

#[derive(Debug, Clone)]
enum Edit {
    Set(usize, String),
    Append(usize, String),
    Remove(usize),
}

const NAMES: [&str; 5] = ["Host", "X-A", "x-a", "Content-Type", "X-B"];

fn edit() -> impl Strategy<Value = Edit> {
    let value = "[a-z ]{0,6}".prop_map(|text| text.trim().to_owned());
    prop_oneof![
        (0..NAMES.len(), value.clone()).prop_map(|(name, value)| Edit::Set(name, value)),
        (0..NAMES.len(), value).prop_map(|(name, value)| Edit::Append(name, value)),
        (0..NAMES.len()).prop_map(Edit::Remove),
    ]
}

proptest! {
    #[test]
    fn edits_do_what_the_same_edits_of_a_map_do(edits in proptest::collection::vec(edit(), 0..20)) {
        let (mut fields, mut map) = (Fields::new(), HeaderMap::new());
        for edit in &edits {
            match edit {
                Edit::Set(name, value) => {
                    fields.set(NAMES[*name], value.as_bytes());
                    map.insert(HeaderName::from_bytes(NAMES[*name].as_bytes()).unwrap(), value.parse().unwrap());
                }
                Edit::Append(name, value) => {
                    fields.append(NAMES[*name], value.as_bytes());
                    map.append(HeaderName::from_bytes(NAMES[*name].as_bytes()).unwrap(), value.parse().unwrap());
                }
                Edit::Remove(name) => {
                    fields.remove(NAMES[*name]);
                    map.remove(NAMES[*name]);
                }
            }
        }
        prop_assert_eq!(fields.len(), map.len());
        for name in NAMES {
            let own: Vec<_> = fields.all(name).collect();
            let other: Vec<_> = map.get_all(name).iter().map(HeaderValue::as_bytes).collect();
            prop_assert_eq!(own, other);
        }
        let lines: Vec<_> = fields
            .iter()
            .map(|(name, value)| format!("{}: {}\r\n", name.escape_ascii(), value.escape_ascii()))
            .collect();
        prop_assert_eq!(written(&fields), lines.concat());
    }
}
