//! Time ranges as sections 3.1 to 3.4 describe them, in the plainest way.

use std::fmt;

/// A bound: nanoseconds, and whether it belongs to the range.
type Bound = (i128, bool);

/// A time range. Without a bound it goes on for ever on that side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    pub start: Option<Bound>,
    pub end: Option<Bound>,
}

impl Range {
    pub const EVER: Self = Self { start: None, end: None };
    pub const NEVER: Self = Self { start: Some((0, true)), end: Some((0, false)) };

    /// The range that a text means; none where the text is wrong.
    pub fn parse(text: &str) -> Option<Self> {
        if text == "()" {
            return Some(Self::NEVER);
        }
        let (from_start, inner) = match text.strip_prefix(['[', '(']) {
            Some(inner) => (!text.starts_with('('), inner),
            None => (true, text),
        };
        let (to_end, inner) = match inner.strip_suffix([']', ')']) {
            Some(rest) => (!inner.ends_with(')'), rest),
            None => (true, inner),
        };
        let Some((start, end)) = inner.split_once('_') else {
            // A single timestamp is an instant, and an instant has its bounds.
            let bound = Some((timestamp(inner)?, true));
            return (from_start && to_end).then_some(Self { start: bound, end: bound });
        };
        let bound = |text: &str, belongs| match text {
            "" => Some(None),
            text => timestamp(text).map(|at| Some((at, belongs))),
        };
        let range = Self { start: bound(start, from_start)?, end: bound(end, to_end)? };
        Some(if range.is_empty() { Self::NEVER } else { range })
    }

    /// The first nanosecond in it.
    pub fn from(&self) -> i128 {
        self.start.map_or(i128::MIN, |(at, belongs)| if belongs { at } else { at + 1 })
    }

    /// The first nanosecond after it.
    pub fn to(&self) -> i128 {
        self.end.map_or(i128::MAX, |(at, belongs)| if belongs { at + 1 } else { at })
    }

    pub fn is_empty(&self) -> bool {
        self.from() >= self.to()
    }

    /// Whether it can be the range of a segment (section 6, rule 1).
    pub fn is_of_segment(&self) -> bool {
        self.start.is_some_and(|(_, belongs)| belongs) && self.end.is_some() && !self.is_empty()
    }

    pub fn overlaps(&self, other: &Self) -> bool {
        self.from().max(other.from()) < self.to().min(other.to())
    }

    pub fn contains(&self, other: &Self) -> bool {
        self.from() <= other.from() && other.to() <= self.to()
    }

    /// Moved by nanoseconds.
    pub fn shifted(&self, by: i128) -> Self {
        let shift = |bound: Option<Bound>| bound.map(|(at, belongs)| (at + by, belongs));
        Self { start: shift(self.start), end: shift(self.end) }
    }

    /// What lies in both.
    pub fn intersection(&self, other: &Self) -> Self {
        let later = if self.from() >= other.from() { self } else { other };
        let earlier = if self.to() <= other.to() { self } else { other };
        let both = Self { start: later.start, end: earlier.end };
        if both.is_empty() { Self::NEVER } else { both }
    }

    /// From the start of the first to the end of the last, of ranges in their order.
    pub fn hull(ranges: &[Self]) -> Self {
        match ranges {
            [] => Self::NEVER,
            [first, .., last] => Self { start: first.start, end: last.end },
            [only] => *only,
        }
    }
}

/// In the form that 3.2 prefers.
impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("()");
        }
        if let (Some((start, true)), Some((end, true))) = (self.start, self.end)
            && start == end
        {
            return write!(f, "[{}]", text(start));
        }
        if let Some((at, belongs)) = self.start {
            write!(f, "{}{}", if belongs { '[' } else { '(' }, text(at))?;
        }
        f.write_str("_")?;
        if let Some((at, belongs)) = self.end {
            write!(f, "{}{}", text(at), if belongs { ']' } else { ')' })?;
        }
        Ok(())
    }
}

/// Nanoseconds of a timestamp; none where the text is wrong.
pub fn timestamp(text: &str) -> Option<i128> {
    let (sign, text) = text.strip_prefix('-').map_or((1, text), |text| (-1, text));
    let (seconds, nanoseconds) = text.split_once(':')?;
    let number = |text: &str, digits: usize| {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let has_zeros = text.len() > 1 && text.starts_with('0');
        (is_number && !has_zeros && text.len() <= digits).then(|| text.parse::<i128>().ok()).flatten()
    };
    Some(sign * (number(seconds, 15)? * 1_000_000_000 + number(nanoseconds, 9)?))
}

/// The text of a timestamp.
pub fn text(nanoseconds: i128) -> String {
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let nanoseconds = nanoseconds.abs();
    format!("{sign}{}:{}", nanoseconds / 1_000_000_000, nanoseconds % 1_000_000_000)
}

#[test]
fn the_model_reads_ranges_as_the_specification_says() {
    for (written, meant) in [
        ("_", "_"),
        ("[_)", "_"),
        ("()", "()"),
        ("[5:0_3:0)", "()"),
        ("[5:0_5:0)", "()"),
        ("[5:0_5:0]", "[5:0]"),
        ("5:0", "[5:0]"),
        ("0:0_10:0", "[0:0_10:0]"),
        ("[0:0_10:0", "[0:0_10:0]"),
        ("0:0_10:0)", "[0:0_10:0)"),
        ("[5:0_)", "[5:0_"),
        ("(-0:500000000_", "(-0:500000000_"),
        ("-0:0", "[0:0]"),
    ] {
        assert_eq!(Range::parse(written).map(|range| range.to_string()).as_deref(), Some(meant), "{written}");
    }
    for wrong in ["", "bad", "[0_1)", "[00:0_1:0)", "[0:0_1:0000000001)", "[1.5_2)", "(1:0)", "[0:0_1:0_2:0)"] {
        assert_eq!(Range::parse(wrong), None, "{wrong}");
    }
}
