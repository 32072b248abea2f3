//! The Huffman code of HPACK (RFC 7541, appendix B), read from its lengths: the code is canonical.

/// Bits of each byte's code; the last is the end of the string, which must not occur.
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28,
    28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12,
    10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6,
    5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22,
    22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20,
    22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28,
    27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28,
    27, 27, 27, 27, 27, 26, 30,
];
const LONGEST: usize = 30;
/// Codes of up to this length are found by one look into a table.
const SHORT: usize = 9;

/// The codes of one length.
#[derive(Clone, Copy)]
struct OfLength {
    /// The first code behind those of this length, shifted to the longest length.
    end: u32,
    first: u32,
    /// Where the symbols of this length begin in `SYMBOLS`.
    at: u16,
}

const SYMBOLS: [u16; 257] = symbols();
const CODES: [OfLength; LONGEST + 1] = codes();
/// By the next bits: the byte, and the length of its code; 0: the code is longer.
static SHORT_CODES: [(u8, u8); 1 << SHORT] = short_codes();

/// The symbols by the length of their codes, and by their number.
#[expect(clippy::cast_possible_truncation, reason = "there are 257 symbols")]
const fn symbols() -> [u16; 257] {
    let mut symbols = [0; 257];
    let (mut length, mut count) = (1, 0);
    while length <= LONGEST {
        let mut symbol = 0;
        while symbol < LENGTHS.len() {
            if LENGTHS[symbol] as usize == length {
                symbols[count] = symbol as u16;
                count += 1;
            }
            symbol += 1;
        }
        length += 1;
    }
    symbols
}

#[expect(clippy::cast_possible_truncation, reason = "there are 257 symbols")]
const fn codes() -> [OfLength; LONGEST + 1] {
    let mut codes = [OfLength { end: 0, first: 0, at: 0 }; LONGEST + 1];
    let (mut length, mut code, mut at) = (1, 0_u32, 0_u16);
    while length <= LONGEST {
        let mut count = 0;
        let mut symbol = 0;
        while symbol < LENGTHS.len() {
            if LENGTHS[symbol] as usize == length {
                count += 1;
            }
            symbol += 1;
        }
        codes[length] = OfLength { end: (code + count) << (LONGEST - length), first: code, at };
        at += count as u16;
        code = (code + count) << 1;
        length += 1;
    }
    codes
}

#[expect(clippy::cast_possible_truncation, reason = "a short code stands for a byte")]
const fn short_codes() -> [(u8, u8); 1 << SHORT] {
    let mut table = [(0, 0); 1 << SHORT];
    let mut bits = 0;
    while bits < table.len() {
        let code = (bits as u32) << (LONGEST - SHORT);
        let mut length = 1;
        while length <= SHORT {
            let of = CODES[length];
            if code < of.end {
                let symbol = SYMBOLS[of.at as usize + ((code >> (LONGEST - length)) - of.first) as usize];
                table[bits] = (symbol as u8, length as u8);
                break;
            }
            length += 1;
        }
        bits += 1;
    }
    table
}

/// A string that is not in the code, or is not padded as it must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotInCode;

/// Appends what `coded` stands for: at most 8/5 of its length.
///
/// # Errors
/// The code for the end of a string; padding of 8 bits or more, or of other bits than ones.
pub fn decode(coded: &[u8], out: &mut Vec<u8>) -> Result<(), NotInCode> {
    let (mut bits, mut have) = (0_u64, 0_usize);
    let mut rest = coded.iter();
    loop {
        while have <= 56
            && let Some(byte) = rest.next()
        {
            bits = bits << 8 | u64::from(*byte);
            have += 8;
        }
        // Behind the end stand ones, as in the padding.
        let next = if have >= LONGEST {
            bits >> (have - LONGEST)
        } else {
            let missing = LONGEST - have;
            bits << missing | ((1 << missing) - 1)
        };
        let next = u32::try_from(next & ((1 << LONGEST) - 1)).expect("it was cut to 30 bits");
        if have < 8 && next == (1 << LONGEST) - 1 {
            return Ok(());
        }
        let (byte, length) = SHORT_CODES[(next >> (LONGEST - SHORT)) as usize];
        let (symbol, length) = if length > 0 {
            (u16::from(byte), usize::from(length))
        } else {
            let length = (SHORT + 1..=LONGEST).find(|length| next < CODES[*length].end).ok_or(NotInCode)?;
            let of = CODES[length];
            (SYMBOLS[usize::from(of.at) + ((next >> (LONGEST - length)) - of.first) as usize], length)
        };
        if length > have {
            return Err(NotInCode);
        }
        out.push(u8::try_from(symbol).map_err(|_| NotInCode)?);
        have -= length;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The code of a byte, and its length.
    fn code(byte: u8) -> (u32, u8) {
        let length = LENGTHS[usize::from(byte)];
        let of = CODES[usize::from(length)];
        let place = SYMBOLS[usize::from(of.at)..].iter().position(|symbol| *symbol == u16::from(byte)).unwrap();
        (of.first + u32::try_from(place).unwrap(), length)
    }

    pub fn encode(text: &[u8]) -> Vec<u8> {
        let mut bits: Vec<bool> = Vec::new();
        for byte in text {
            let (code, length) = code(*byte);
            bits.extend((0..length).rev().map(|place| code >> place & 1 == 1));
        }
        bits.resize(bits.len().next_multiple_of(8), true);
        bits.chunks(8).map(|byte| byte.iter().fold(0, |all, bit| all << 1 | u8::from(*bit))).collect()
    }

    fn decoded(coded: &[u8]) -> Result<Vec<u8>, NotInCode> {
        let mut out = Vec::new();
        decode(coded, &mut out).map(|()| out)
    }

    #[test]
    fn the_code_is_the_one_of_the_appendix() {
        // Some of its lines: of the shortest, of some in between, and of the longest.
        for (byte, expected, length) in [
            (b'0', 0x0, 5),
            (b't', 0x9, 5),
            (b' ', 0x14, 6),
            (b':', 0x5c, 7),
            (b'&', 0xf8, 8),
            (b'!', 0x3f8, 10),
            (b'#', 0xffa, 12),
            (b'\\', 0x7fff0, 19),
            (0x80, 0xfffe6, 20),
            (0xff, 0x03ff_ffee, 26),
            (0xf9, 0x0fff_fffe, 28),
            (b'\n', 0x3fff_fffc, 30),
            (22, 0x3fff_fffe, 30),
        ] {
            assert_eq!(code(byte), (expected, length), "{byte}");
        }
    }

    #[test]
    fn every_string_comes_back() {
        for length in 0..40_u8 {
            for first in 0..=255_u8 {
                let text: Vec<u8> =
                    (0..length).map(|place| first.wrapping_mul(31).wrapping_add(u8::wrapping_mul(place, 7))).collect();
                assert_eq!(decoded(&encode(&text)), Ok(text));
            }
        }
    }

    #[test]
    fn padding_is_less_than_a_byte_of_ones() {
        for (coded, expected) in [
            (&[][..], Ok(vec![])),
            (&[0b0000_0111], Ok(b"0".to_vec())),
            (&[0b0000_0110], Err(NotInCode)),
            (&[0b0000_0111, 0xff], Err(NotInCode)),
            (&[0xff], Err(NotInCode)),
            // The end of the string, written out.
            (&[0xff, 0xff, 0xff, 0xff], Err(NotInCode)),
            (&[0xff, 0xff, 0xff, 0xfc], Err(NotInCode)),
        ] {
            assert_eq!(decoded(coded), expected, "{coded:x?}");
        }
    }
}
