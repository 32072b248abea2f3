//! The method: a set, the known ones as bits, others by name.

use http::Method;

/// Which methods a rule takes. Known methods cost one bit test; extension methods are compared by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MethodSet {
    known: u16,
    others: Vec<Method>,
}

const KNOWN: [Method; 9] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
    Method::TRACE,
    Method::CONNECT,
];

/// The bit of a known method.
pub(in crate::route) fn bit(method: &Method) -> Option<u16> {
    Some(match *method {
        Method::GET => 1,
        Method::HEAD => 1 << 1,
        Method::POST => 1 << 2,
        Method::PUT => 1 << 3,
        Method::PATCH => 1 << 4,
        Method::DELETE => 1 << 5,
        Method::OPTIONS => 1 << 6,
        Method::TRACE => 1 << 7,
        Method::CONNECT => 1 << 8,
        _ => return None,
    })
}

impl MethodSet {
    /// Every known method and every unknown one.
    #[must_use]
    pub const fn all() -> Self {
        Self { known: u16::MAX, others: Vec::new() }
    }

    #[must_use]
    pub fn of(methods: &[Method]) -> Self {
        let mut set = Self::default();
        for method in methods {
            set.insert(method.clone());
        }
        set
    }

    pub fn insert(&mut self, method: Method) {
        match bit(&method) {
            Some(bit) => self.known |= bit,
            None if self.others.contains(&method) => {}
            None => self.others.push(method),
        }
    }

    pub(in crate::route) const fn known_bits(&self) -> u16 {
        self.known
    }

    /// Whether it has methods by name.
    pub(in crate::route) const fn has_extensions(&self) -> bool {
        !self.others.is_empty()
    }

    #[must_use]
    pub const fn is_all(&self) -> bool {
        self.known == u16::MAX
    }

    #[must_use]
    pub fn contains(&self, method: &Method) -> bool {
        match bit(method) {
            Some(bit) => self.known & bit != 0,
            None => self.is_all() || self.others.contains(method),
        }
    }

    /// A set with GET takes HEAD as well.
    #[must_use]
    pub fn takes(&self, method: &Method) -> bool {
        self.contains(method) || (*method == Method::HEAD && self.contains(&Method::GET))
    }

    /// Whether no request has a method that both take.
    pub(in crate::route) fn excludes(&self, other: &Self) -> bool {
        self.is_disjoint(other)
            && !(self.contains(&Method::GET) && other.contains(&Method::HEAD))
            && !(self.contains(&Method::HEAD) && other.contains(&Method::GET))
    }

    #[must_use]
    pub fn is_disjoint(&self, other: &Self) -> bool {
        if self.is_all() || other.is_all() {
            return false;
        }
        self.known & other.known == 0 && !self.others.iter().any(|method| other.others.contains(method))
    }

    /// The methods by name, known ones first. Empty for the set of all.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        if self.is_all() {
            return Vec::new();
        }
        let known = KNOWN.iter().filter(|method| self.contains(method)).map(Method::as_str);
        known.chain(self.others.iter().map(Method::as_str)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn purge() -> Method {
        Method::from_bytes(b"PURGE").expect("a method")
    }

    #[test]
    fn a_set_has_the_methods_it_was_made_of() {
        let set = MethodSet::of(&[purge(), Method::PUT, Method::GET, purge()]);
        assert!(set.contains(&Method::GET) && set.contains(&purge()));
        assert!(!set.contains(&Method::HEAD) && !set.contains(&Method::from_bytes(b"purge").expect("a method")));
        assert_eq!(set.names(), ["GET", "PUT", "PURGE"]);
        assert!(!MethodSet::of(&KNOWN).is_all());
        assert!(!MethodSet::default().contains(&Method::GET));
    }

    #[test]
    fn all_has_every_method_and_is_disjoint_from_none() {
        let all = MethodSet::all();
        assert!(all.contains(&purge()) && all.contains(&Method::TRACE));
        assert!(!all.is_disjoint(&MethodSet::of(&[purge()])));
        assert!(MethodSet::of(&[Method::GET]).is_disjoint(&MethodSet::of(&[Method::POST, purge()])));
        assert!(!MethodSet::of(&[purge()]).is_disjoint(&MethodSet::of(&[purge()])));
    }
}
