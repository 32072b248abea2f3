//! One exchange, as the learner sees it.

/// One exchange, as the learner sees it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Observation<'a> {
    pub method: &'a str,
    /// Normalised, without query; begins with a slash.
    pub path: &'a str,
    pub status: u16,
    /// Where a redirect leads, by [`super::redirect_target`]; 0: nowhere else, or not known.
    pub location: u32,
    /// A hash of the client's address.
    pub client: u32,
    /// The client's User-Agent; may be empty.
    pub agent: &'a str,
    /// For how many exchanges this one stands.
    pub weight: u32,
    /// Minutes since 1970.
    pub minute: u32,
    /// From the request's head to the end of the answer.
    pub micros: Option<u32>,
    pub monolith: bool,
}
