//! Text from outside, written so that it can neither end a line nor leave its quotes.

/// Longer texts are cut: one request must not fill the log.
pub(super) const LONGEST: usize = 2048;

/// Writes a JSON string with its quotes. Bytes that are no UTF-8 become U+FFFD.
pub(super) fn json(line: &mut Vec<u8>, text: &[u8]) {
    line.push(b'"');
    let (text, cut) = clip(text);
    // The usual text has nothing to escape and is copied as a whole.
    if text.iter().all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\')) {
        line.extend_from_slice(text);
    } else {
        for chunk in text.utf8_chunks() {
            for character in chunk.valid().chars() {
                json_character(line, character);
            }
            if !chunk.invalid().is_empty() {
                line.extend_from_slice("\u{fffd}".as_bytes());
            }
        }
    }
    if cut {
        line.extend_from_slice("…".as_bytes());
    }
    line.push(b'"');
}

fn json_character(line: &mut Vec<u8>, character: char) {
    match character {
        '"' => line.extend_from_slice(b"\\\""),
        '\\' => line.extend_from_slice(b"\\\\"),
        // Controls of ASCII and of Latin-1, and the separators that end a line in JavaScript.
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' => {
            let code = u32::from(character);
            line.extend_from_slice(b"\\u");
            for shift in [12, 8, 4, 0] {
                line.push(b"0123456789abcdef"[(code >> shift & 0xf) as usize]);
            }
        }
        other => line.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

/// Writes the text of a common log field: quotes, backslashes and everything outside printable ASCII as `\xhh`, as nginx does.
pub(super) fn common(line: &mut Vec<u8>, text: &[u8]) {
    let (text, cut) = clip(text);
    for byte in text {
        match byte {
            b' '..=b'~' if !matches!(byte, b'"' | b'\\') => line.push(*byte),
            _ => {
                line.extend_from_slice(b"\\x");
                line.push(b"0123456789ABCDEF"[usize::from(byte >> 4)]);
                line.push(b"0123456789ABCDEF"[usize::from(byte & 0xf)]);
            }
        }
    }
    if cut {
        line.extend_from_slice(b"...");
    }
}

fn clip(text: &[u8]) -> (&[u8], bool) {
    match text.get(..LONGEST) {
        Some(head) if text.len() > LONGEST => (head, true),
        _ => (text, false),
    }
}

/// Writes a decimal number.
pub(super) fn number(line: &mut Vec<u8>, number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = number;
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(rest % 10).expect("a digit is below 10");
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    line.extend_from_slice(&digits[at..]);
}

/// Writes seconds with six decimals.
pub(super) fn seconds(line: &mut Vec<u8>, duration: std::time::Duration) {
    number(line, duration.as_secs());
    line.push(b'.');
    let mut rest = duration.subsec_micros();
    for place in [100_000, 10_000, 1000, 100, 10, 1] {
        line.push(b'0' + u8::try_from(rest / place).expect("a digit is below 10"));
        rest %= place;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl Fn(&mut Vec<u8>)) -> String {
        let mut line = Vec::new();
        write(&mut line);
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn nothing_leaves_its_quotes_or_ends_the_line_in_json() {
        for (text, wanted) in [
            (&b"plain"[..], "\"plain\""),
            (b"\"}\n{\"a\":\"b", "\"\\\"}\\u000a{\\\"a\\\":\\\"b\""),
            (b"\x1b[31m\r\0", "\"\\u001b[31m\\u000d\\u0000\""),
            (b"back\\slash", "\"back\\\\slash\""),
            ("gr\u{fc}n \u{2028}\u{85}\u{7f}".as_bytes(), "\"gr\u{fc}n \\u2028\\u0085\\u007f\""),
            (b"not \xff text", "\"not \u{fffd} text\""),
        ] {
            let line = written(|line| json(line, text));
            assert_eq!(line, wanted);
            let back: String = serde_json::from_str(&line).unwrap();
            assert_eq!(back, String::from_utf8_lossy(text), "a reader gets back what was sent");
        }
    }

    #[test]
    fn nothing_leaves_its_quotes_or_ends_the_line_in_common_format() {
        let line = written(|line| common(line, b"a\" \"b\n\\c\xc3\xbc\x7f"));
        assert_eq!(line, "a\\x22 \\x22b\\x0A\\x5Cc\\xC3\\xBC\\x7F");
    }

    #[test]
    fn long_texts_are_cut_and_still_valid() {
        let long = "\u{fc}".repeat(LONGEST);
        let back: String = serde_json::from_str(&written(|line| json(line, long.as_bytes()))).unwrap();
        assert!(back.ends_with('…') && back.len() <= LONGEST + 8);
    }

    #[test]
    fn numbers_are_written_in_full() {
        assert_eq!(written(|line| number(line, 0)), "0");
        assert_eq!(written(|line| number(line, u64::MAX)), u64::MAX.to_string());
        assert_eq!(written(|line| seconds(line, std::time::Duration::from_micros(1_002_030))), "1.002030");
    }
}
