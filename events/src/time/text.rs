//! The buffer that timestamps and ranges are written in.

/// `-281474976710655:999999999`, the longest timestamp, twice, with two markers and an underscore.
const LONGEST: usize = 2 * 26 + 3;

/// Room for the longest text on the stack, since listings write two of them for every segment.
pub(super) struct Text {
    bytes: [u8; LONGEST],
    length: usize,
}

impl Text {
    pub(super) const fn new() -> Self {
        Self { bytes: [0; LONGEST], length: 0 }
    }

    pub(super) fn push(&mut self, character: u8) {
        self.bytes[self.length] = character;
        self.length += 1;
    }

    pub(super) fn push_number(&mut self, number: u64) {
        let digits = number.checked_ilog10().map_or(1, |log| log as usize + 1);
        let mut rest = number;
        for byte in self.bytes[self.length..self.length + digits].iter_mut().rev() {
            *byte = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        self.length += digits;
    }

    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.length]).expect("digits and punctuation are all that is ever pushed")
    }
}
