//! Patterns of names: of routes, and of files.

/// Whether a pattern takes a whole name: `*` stands for any part, `?` for one byte.
#[must_use]
pub fn takes(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    // Where the last `*` stood, and how much of the name it has taken so far.
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(byte) if *byte == b'?' || *byte == name[n] => {
                p += 1;
                n += 1;
            }
            _ => {
                let Some((at, taken)) = star else { return false };
                star = Some((at, taken + 1));
                p = at + 1;
                n = taken + 1;
            }
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::takes;

    #[test]
    fn a_star_stands_for_any_part_and_a_question_mark_for_one_byte() {
        for (pattern, name, expected) in [
            ("*", "orders", true),
            ("*", "", true),
            ("orders", "orders", true),
            ("orders", "orders-v2", false),
            ("orders*", "orders-v2", true),
            ("*-v2", "orders-v2", true),
            ("*-v2", "orders-v2-old", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("aa*aa", "aaa", false),
            ("team-?", "team-a", true),
            ("team-?", "team-ab", false),
            ("team-?", "team-", false),
        ] {
            assert_eq!(takes(pattern, name), expected, "{pattern} {name}");
        }
    }
}
