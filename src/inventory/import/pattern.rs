//! Groups of regular expressions, which Django and nginx write into paths.

/// The end of the group that the text begins with.
pub fn group_end(text: &str) -> Option<usize> {
    let (mut depth, mut escaped, mut class) = (0_u32, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'[' => class = true,
            b']' => class = false,
            b'(' if !class => depth += 1,
            b')' if !class => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}
