//! The counts of a route as text: numbers of seven bits a byte, runs of zeros as one, in base64. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;

use crate::migration::gate::{Discordant, SideCounts, Tick};

/// Of the layout below.
const LAYOUT: u64 = 2;

pub fn encode(tick: &Tick) -> String {
    let mut bytes = Writer { bytes: Vec::with_capacity(1024), zeros: 0 };
    bytes.number(LAYOUT);
    for side in [&tick.monolith, &tick.service] {
        let lists = [&side.asked[..], &side.failed, &side.refused, &side.late[..]];
        for count in lists.into_iter().chain(side.beyond.iter().map(|list| &list[..])).flatten() {
            bytes.number(u64::from(*count));
        }
    }
    bytes.number(tick.copies.compared);
    bytes.number(tick.copies.mismatched);
    for pair in &tick.pairs {
        for count in [pair.service_alone, pair.kept_waiting, pair.monolith_alone, pair.pairs] {
            bytes.number(count);
        }
    }
    bytes.end_zeros();
    BASE64.encode(bytes.bytes)
}

/// `None`: not what this program writes.
pub fn decode(text: &str) -> Option<Tick> {
    let bytes = BASE64.decode(text).ok()?;
    let mut reader = Reader { bytes: &bytes, zeros: 0 };
    if reader.number()? != LAYOUT {
        return None;
    }
    let mut tick = Tick::default();
    for side in [&mut tick.monolith, &mut tick.service] {
        let SideCounts { asked, failed, refused, late, beyond } = side;
        let lists = [&mut asked[..], failed, refused, &mut late[..]];
        for count in lists.into_iter().chain(beyond.iter_mut().map(|list| &mut list[..])).flatten() {
            *count = u32::try_from(reader.number()?).ok()?;
        }
    }
    tick.copies.compared = reader.number()?;
    tick.copies.mismatched = reader.number()?;
    for pair in &mut tick.pairs {
        let Discordant { service_alone, kept_waiting, monolith_alone, pairs } = pair;
        for count in [service_alone, kept_waiting, monolith_alone, pairs] {
            *count = reader.number()?;
        }
    }
    (reader.bytes.is_empty() && reader.zeros == 0).then_some(tick)
}

struct Writer {
    bytes: Vec<u8>,
    /// Zeros that are not written yet.
    zeros: u64,
}

impl Writer {
    fn number(&mut self, number: u64) {
        if number == 0 {
            self.zeros += 1;
            return;
        }
        self.end_zeros();
        self.seven_bits(number);
    }

    fn end_zeros(&mut self) {
        if self.zeros > 0 {
            self.bytes.push(0);
            let zeros = std::mem::take(&mut self.zeros);
            self.seven_bits(zeros);
        }
    }

    fn seven_bits(&mut self, mut number: u64) {
        loop {
            let [low, ..] = number.to_le_bytes();
            number >>= 7;
            if number == 0 {
                self.bytes.push(low & 0x7f);
                return;
            }
            self.bytes.push(low | 0x80);
        }
    }
}

struct Reader<'b> {
    bytes: &'b [u8],
    zeros: u64,
}

impl Reader<'_> {
    fn number(&mut self) -> Option<u64> {
        if self.zeros > 0 {
            self.zeros -= 1;
            return Some(0);
        }
        let number = self.seven_bits()?;
        if number == 0 {
            self.zeros = self.seven_bits()?.checked_sub(1)?;
        }
        Some(number)
    }

    fn seven_bits(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let (first, rest) = self.bytes.split_first()?;
            self.bytes = rest;
            number |= u64::from(first & 0x7f).checked_shl(shift)?;
            if first & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::fleet) fn some(random: &mut fastrand::Rng, full: u32) -> Tick {
        let mut tick = Tick::default();
        for side in [&mut tick.monolith, &mut tick.service] {
            let SideCounts { asked, failed, refused, late, beyond } = side;
            let lists = [&mut asked[..], failed, refused, &mut late[..]];
            for count in lists.into_iter().chain(beyond.iter_mut().map(|list| &mut list[..])).flatten() {
                if random.u32(0..100) < full {
                    *count = random.u32(..) >> random.u32(0..32);
                }
            }
        }
        tick.copies.compared = random.u64(..) >> random.u32(0..64);
        tick.pairs[1].pairs = random.u64(0..300);
        tick
    }

    #[test]
    fn counts_are_read_as_they_were_written() {
        let mut random = fastrand::Rng::with_seed(22);
        for full in [0, 1, 10, 50, 100] {
            for _ in 0..20 {
                let tick = some(&mut random, full);
                assert_eq!(decode(&encode(&tick)), Some(tick));
            }
        }
        assert_eq!(encode(&Tick::default()).len(), 6, "silence is short");
    }

    #[test]
    fn what_is_cut_or_changed_never_panics() {
        let mut random = fastrand::Rng::with_seed(22);
        let text = encode(&some(&mut random, 20));
        for cut in 0..text.len() {
            assert_eq!(decode(&text[..cut]), None, "{cut}");
        }
        for _ in 0..2000 {
            let mut bytes = text.clone().into_bytes();
            let at = random.usize(0..bytes.len());
            bytes[at] = random.alphanumeric() as u8;
            // Another number, or nothing; never a panic.
            drop(decode(std::str::from_utf8(&bytes).expect("letters")));
        }
    }
}
