//! How a button that was pressed ended.

/// What came of it: a sentence, and the route to look at.
pub enum Done {
    Said(String, Option<String>),
    Refused(u16, String),
}
