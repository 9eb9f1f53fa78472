//! Attempts as they travel: some of them in one message.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::AttemptRow;

/// The form of a message. Nodes of an older version leave out messages of a newer one.
const FORMAT: u16 = 1;

#[derive(Serialize)]
struct Encoded<'a> {
    format: u16,
    attempts: &'a [AttemptRow],
}

#[derive(Deserialize)]
struct Format {
    format: u16,
}

#[derive(Deserialize)]
struct Decoded {
    attempts: Vec<AttemptRow>,
}

pub fn encode(attempts: &[AttemptRow]) -> Bytes {
    let encoded = rmp_serde::to_vec_named(&Encoded { format: FORMAT, attempts });
    encoded.expect("attempts can always be encoded").into()
}

/// The attempts in a message, unless it is none that this version understands.
pub fn decode(message: &[u8]) -> Option<Vec<AttemptRow>> {
    let Format { format } = rmp_serde::from_slice(message).ok()?;
    (format == FORMAT).then(|| rmp_serde::from_slice::<Decoded>(message).ok())?.map(|decoded| decoded.attempts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_of_a_newer_version_is_left_out() {
        #[derive(Serialize)]
        struct Newer {
            format: u16,
            deliveries: &'static str,
        }

        assert_eq!(decode(&encode(&[])), Some(vec![]));
        assert_eq!(decode(&rmp_serde::to_vec_named(&Newer { format: 2, deliveries: "x" }).unwrap()), None);
        assert_eq!(decode(b"no message"), None);
    }
}
