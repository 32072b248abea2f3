//! Answers that prove no path at once: a redirect, or a demand for credentials, may be what every path gets. A path is believed
//! when a second client was answered so, and when few other paths were.

/// Different paths that get one answer; an answer of more is said to any path.
const MOST_PATHS: usize = 20;
/// Answers and paths that are remembered at once: 27 KiB.
const ANSWERS: usize = 128;
const PATHS: usize = 1_024;

/// A demand for credentials is counted as this, in the place of where a redirect leads.
pub const REFUSED: u32 = u32::MAX;

/// The proof that a path exists, from an answer that proves nothing by itself.
#[derive(Debug, PartialEq, Eq)]
pub enum Proof {
    No,
    Yes,
    /// It is said to any path: those that were believed because of it were not proven.
    ForAny(Vec<u32>),
}

#[derive(Debug, Clone, Default)]
pub struct Unproven {
    answers: Vec<Answer>,
    /// Hash of the path, and the first client that asked for it: a ring.
    paths: Vec<(u32, u16)>,
    next: usize,
}

#[derive(Debug, Clone)]
struct Answer {
    key: u32,
    /// Hashes of the paths that got it.
    paths: Vec<u32>,
    for_any: bool,
}

impl Unproven {
    /// `answer`: [`redirect_target`] or [`REFUSED`]; `path`: [`path_hash`].
    pub fn see(&mut self, answer: u32, path: u32, client: u16) -> Proof {
        let answer = self.answer(answer);
        if answer.for_any {
            return Proof::No;
        }
        if !answer.paths.contains(&path) {
            answer.paths.push(path);
            if answer.paths.len() > MOST_PATHS {
                answer.for_any = true;
                return Proof::ForAny(std::mem::take(&mut answer.paths));
            }
        }
        match self.paths.iter().find(|(known, _)| *known == path) {
            Some((_, first)) if *first != client => return Proof::Yes,
            Some(_) => {}
            None if self.paths.len() < PATHS => self.paths.push((path, client)),
            None => {
                self.paths[self.next % PATHS] = (path, client);
                self.next += 1;
            }
        }
        Proof::No
    }

    fn answer(&mut self, key: u32) -> &mut Answer {
        if let Some(at) = self.answers.iter().position(|answer| answer.key == key) {
            return &mut self.answers[at];
        }
        let new = Answer { key, paths: Vec::new(), for_any: false };
        if self.answers.len() < ANSWERS {
            self.answers.push(new);
            return self.answers.last_mut().expect("one was pushed");
        }
        // The answer that fewest paths got is the easiest to learn again.
        let least = self.answers.iter_mut().min_by_key(|answer| (answer.for_any, answer.paths.len()));
        let least = least.expect("there are as many as there may be");
        *least = new;
        least
    }
}

/// Where a redirect of `path` leads, as 24 bits; 0: to the same path, but for a slash, case, scheme or host. Numbers are all one:
/// `/old/1` to `/new/1` is the move of one place.
#[must_use]
pub fn redirect_target(path: &[u8], location: &[u8]) -> u32 {
    let target = target_path(location);
    if without_slash(target).eq_ignore_ascii_case(without_slash(path)) {
        return 0;
    }
    let mut hash = EMPTY;
    let mut number = false;
    for byte in target {
        let is_digit = byte.is_ascii_digit();
        if !(is_digit && number) {
            hash = step(hash, if is_digit { b'0' } else { *byte });
        }
        number = is_digit;
    }
    ((hash >> 8) ^ hash) & 0xff_ffff | 1
}

fn without_slash(path: &[u8]) -> &[u8] {
    path.strip_suffix(b"/").unwrap_or(path)
}

/// Without scheme, host, query and parameters.
fn target_path(location: &[u8]) -> &[u8] {
    let end = location.iter().position(|byte| b"?#;".contains(byte)).unwrap_or(location.len());
    let location = &location[..end];
    let behind_scheme = |scheme: &[u8]| {
        let (head, rest) = location.split_at_checked(scheme.len())?;
        head.eq_ignore_ascii_case(scheme).then_some(rest)
    };
    let Some(rest) = [&b"http://"[..], b"https://", b"//"].into_iter().find_map(behind_scheme) else { return location };
    match rest.iter().position(|byte| *byte == b'/') {
        Some(at) => &rest[at..],
        None => b"/",
    }
}

/// FNV-1a.
pub const EMPTY: u32 = 0x811c_9dc5;

const fn step(hash: u32, byte: u8) -> u32 {
    (hash ^ byte as u32).wrapping_mul(0x0100_0193)
}

/// The hash of a path with one more segment; `None` for a value.
pub fn path_hash(before: u32, segment: Option<&str>) -> u32 {
    let text = segment.unwrap_or("{}");
    text.bytes().fold(step(before, b'/'), step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_that_changes_only_slash_case_scheme_or_host_leads_nowhere() {
        for location in ["/Orders/", "https://shop.example.com/orders", "//other/orders/?a=1", "/orders#top"] {
            assert_eq!(redirect_target(b"/orders", location.as_bytes()), 0, "{location}");
        }
        for location in ["/", "/login?next=/orders", "https://shop.example.com", "/orders/1", "login"] {
            let target = redirect_target(b"/orders", location.as_bytes());
            assert!((1..1 << 24).contains(&target), "{location}");
        }
        assert_eq!(redirect_target(b"/a", b"/login?next=/a"), redirect_target(b"/b", b"http://x/login;jsessionid=7"));
        assert_eq!(redirect_target(b"/old/1", b"/new/1"), redirect_target(b"/old/22", b"/new/22"));
        assert_ne!(redirect_target(b"/old/a", b"/new/a"), redirect_target(b"/old/b", b"/new/b"));
    }

    #[test]
    fn a_path_is_believed_at_its_second_client_until_too_many_paths_get_the_same_answer() {
        let mut unproven = Unproven::default();
        assert_eq!(unproven.see(5, 100, 1), Proof::No);
        assert_eq!(unproven.see(5, 100, 1), Proof::No);
        assert_eq!(unproven.see(5, 100, 2), Proof::Yes);
        for path in 101..120 {
            assert_eq!(unproven.see(5, path, 1), Proof::No);
        }
        let Proof::ForAny(paths) = unproven.see(5, 120, 1) else { panic!("twenty-one paths are too many") };
        assert_eq!(paths, (100..=120).collect::<Vec<_>>());
        assert_eq!(unproven.see(5, 100, 3), Proof::No);
        assert_eq!(unproven.see(6, 100, 3), Proof::Yes, "another answer still proves it");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut unproven = Unproven::default();
        for number in 0..50_000 {
            unproven.see(number % 3_000, number, 1);
        }
        assert_eq!((unproven.answers.len(), unproven.paths.len()), (ANSWERS, PATHS));
    }
}
