//! Writing JSON by hand, for listings of segments: the most frequent read there is.

use std::fmt::{Display, Write as _};

/// Writes a string with its quotes.
pub fn push_string(out: &mut String, text: &str) {
    // Without a branch for each byte, which lets the compiler look at many at once.
    let escapes = text.bytes().fold(false, |escapes, byte| escapes | (byte < 0x20) | (byte == b'"') | (byte == b'\\'));
    if !escapes {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        out.push_str(&serde_json::to_string(text).expect("a text is JSON"));
    }
}

/// Writes `before` and then a value, whose text needs no escapes.
pub fn push(out: &mut String, before: &str, value: impl Display) {
    out.push_str(before);
    write!(out, "{value}").expect("writing to a string cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_read_back_as_they_were() {
        for text in ["", "plain", "a\"b", "back\\slash", "line\nbreak", "\u{1}", "ü🎬", "\u{2028}", "</script>"] {
            let mut out = String::new();
            push_string(&mut out, text);
            assert_eq!(serde_json::from_str::<String>(&out).ok().as_deref(), Some(text), "{out}");
        }
    }
}
