//! One definition of a table makes its struct, its decoder and its JSON Schema.

/// `field: Type` is optional; `field: Type = required` is reported when it is missing, `= checked` is required by the schema
/// and reported later. Doc comments become descriptions.
macro_rules! table {
    (@required $reader:ident $decoded:ident $field:ident $value:ident) => {
        $reader.require(&$decoded.$field, stringify!($field), &$value.span());
    };
    // Reported with a code of its own where the file is compiled.
    (@checked $reader:ident $decoded:ident $field:ident $value:ident) => {};
    ($(#[doc = $about:literal])* pub struct $name:ident {
        $($(#[doc = $doc:literal])* $field:ident: $type:ty $(= $mode:ident)?,)*
    }) => {
        $(#[doc = $about])*
        #[derive(Debug, Default)]
        pub struct $name {
            /// The header of the table, or the whole of an inline one.
            pub span: $crate::diagnostic::Span,
            $($(#[doc = $doc])* pub $field: $crate::config::Field<$type>,)*
        }

        impl $crate::config::reader::Decode for $name {
            const EXPECTED: &'static str = "a table";
            const EXAMPLE: &'static str = "{ … }";

            fn decode(
                value: &$crate::config::reader::Value<'_>,
                reader: &mut $crate::config::reader::Reader<'_>,
            ) -> Option<Self> {
                let table = reader.table::<Self>(value)?;
                let damaged = reader.begin_table(table, &value.span(), &[$(stringify!($field)),*]);
                let decoded = Self {
                    span: value.span(),
                    $($field: reader.field(table, stringify!($field), damaged),)*
                };
                $($($crate::config::table::table!(@$mode reader decoded $field value);)?)*
                Some(decoded)
            }

            fn schema() -> serde_json::Value {
                #[allow(unused_mut, reason = "a table may have no key or no required one")]
                let (mut properties, mut required) = (serde_json::Map::new(), Vec::<&str>::new());
                $(
                    let text = concat!($($doc),*);
                    let schema = <$type as $crate::config::reader::Decode>::schema();
                    properties.insert(stringify!($field).to_owned(), $crate::config::table::described(schema, text));
                    $(let _ = stringify!($mode); required.push(stringify!($field));)?
                )*
                let mut schema = serde_json::json!({
                    "type": "object",
                    "description": concat!($($about),*).trim(),
                    "properties": properties,
                    "additionalProperties": false,
                });
                if !required.is_empty() {
                    schema["required"] = required.into();
                }
                schema
            }
        }
    };
}

pub(super) use table;

/// The schema with the key's own description in place of its type's.
pub(super) fn described(mut schema: serde_json::Value, text: &str) -> serde_json::Value {
    if let Some(object) = schema.as_object_mut() {
        object.insert("description".to_owned(), text.trim().into());
    }
    schema
}
