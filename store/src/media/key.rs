//! Where the bytes of a TAMS object are in the bucket.

/// The longest object id that is still readable in its key: far above a UUID, far below what a file name may have.
const LONGEST_READABLE: usize = 128;

/// Two digits and a slash.
const PREFIX: usize = 3;

/// The key of the object with this id.
///
/// A TAMS object id is any string: it may hold `/`, `..`, control characters or a thousand emoji. A key must
/// be safe as a path on disk and in a URL, so ids take one of two forms:
///
/// - `<xx>/<id>` for an id of 1 to 128 of the characters `a-z 0-9 . _ -` that does not start with a dot
///   (UUIDs, for one). Upper case is left out because `A` and `a` are one file on some file systems.
/// - `<xx>/~<hash>` for every other id, where `<hash>` is its BLAKE3 hash as 64 hexadecimal digits.
///
/// `<xx>` is the first byte of the same hash, which spreads the objects over 256 prefixes, so that no
/// folder of a local store gets a million entries. No readable form starts with `~`, so the two
/// forms never meet, and different ids have different keys.
pub fn object_key(object_id: &str) -> String {
    let mut key = String::with_capacity(PREFIX + LONGEST_READABLE);
    write_object_key(object_id, &mut key);
    key
}

/// Appends the key of the object with this id to `key`: [`object_key`] for where many follow each other.
pub fn write_object_key(object_id: &str, key: &mut String) {
    let hash = blake3::hash(object_id.as_bytes());
    for digit in [hash.as_bytes()[0] >> 4, hash.as_bytes()[0] & 0xf] {
        key.push(char::from(b"0123456789abcdef"[usize::from(digit)]));
    }
    key.push('/');
    if is_readable(object_id) {
        key.push_str(object_id);
    } else {
        key.push('~');
        key.push_str(&hash.to_hex());
    }
}

fn is_readable(object_id: &str) -> bool {
    (1..=LONGEST_READABLE).contains(&object_id.len())
        && !object_id.starts_with('.')
        && object_id.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_uuid_stays_readable_in_its_key() {
        let key = object_key("4f1b8a52-6d5c-4b57-9c1e-0a2f6f3c9d11");
        assert!(key.ends_with("/4f1b8a52-6d5c-4b57-9c1e-0a2f6f3c9d11"), "{key}");
        assert_eq!(key.len(), 2 + 1 + 36);
    }

    #[test]
    fn an_id_that_looks_like_the_hash_form_does_not_take_the_place_of_another() {
        let hashed = object_key("../../etc/passwd");
        let imitation = hashed.split_once('/').map(|(_, name)| name).unwrap_or_default();
        assert_ne!(object_key(imitation), hashed);
    }

    #[test]
    fn ids_that_differ_in_case_only_differ_on_any_file_system() {
        assert_ne!(object_key("ABC").to_ascii_lowercase(), object_key("abc").to_ascii_lowercase());
    }

    proptest! {
        #[test]
        fn every_id_gets_a_safe_key(id in any::<String>()) {
            let key = object_key(&id);
            let (prefix, name) = key.split_once('/').expect("a key has a prefix");
            prop_assert_eq!(prefix.len(), 2);
            prop_assert!((1..=LONGEST_READABLE).contains(&name.len()));
            prop_assert!(!name.starts_with('.'));
            prop_assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-~".contains(&b)));
        }
    }
}
