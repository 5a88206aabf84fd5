//! What a content begins with: another layer, or the file itself.

use const_oid::ObjectIdentifier;

use crate::algorithm as oid;
use crate::ber::{self, Header};
use crate::open::frame::Kind;

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guess {
    /// Too early to say.
    NeedMore,
    /// A ContentInfo of this type.
    Layer(Kind),
    /// Anything else.
    Other,
}

/// Looks at the first octets: SEQUENCE, object identifier of a content type.
pub(super) fn sniff(octets: &[u8]) -> Guess {
    let Some(body) = behind_header(octets, ber::SEQUENCE) else { return Guess::Other };
    let Some(body) = body else { return Guess::NeedMore };
    let Some(value) = behind_header(body, ber::OBJECT_IDENTIFIER) else { return Guess::Other };
    let Some(value) = value else { return Guess::NeedMore };
    let types = [
        (oid::SIGNED_DATA, Kind::Signed),
        (oid::COMPRESSED_DATA, Kind::Compressed),
        (oid::ENVELOPED_DATA, Kind::Enveloped),
    ];
    let mut guess = Guess::Other;
    for (oid, kind) in types {
        let wanted = oid.as_bytes();
        let length = octets[..octets.len() - value.len()].last().map_or(0, |length| usize::from(*length));
        if length != wanted.len() {
            continue;
        }
        if value.starts_with(wanted) {
            return Guess::Layer(kind);
        }
        if value.len() < wanted.len() && wanted.starts_with(value) {
            guess = Guess::NeedMore;
        }
    }
    guess
}

/// The type that an object identifier names.
pub(super) fn kind_of(oid: ObjectIdentifier) -> Option<Kind> {
    match oid {
        oid::SIGNED_DATA => Some(Kind::Signed),
        oid::COMPRESSED_DATA => Some(Kind::Compressed),
        oid::ENVELOPED_DATA => Some(Kind::Enveloped),
        _ => None,
    }
}

/// What stands behind a header with this tag. Outer none: not this tag. Inner none: too short to say.
#[allow(clippy::option_option, reason = "yes, no, and not yet are three things")]
fn behind_header(octets: &[u8], tag: u8) -> Option<Option<&[u8]>> {
    if octets.first().is_some_and(|first| *first != tag) {
        return None;
    }
    let needed = Header::bytes_needed(octets).ok()?;
    if octets.len() < needed.max(2) {
        return Some(None);
    }
    Some(octets.get(needed..))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_is_recognised_in_any_form_and_not_before_it_is_certain() {
        for head in [&[0x30, 0x80][..], &[0x30, 0x82, 1, 0], &[0x30, 0x84, 0, 0, 1, 0]] {
            for (value, kind) in [(oid::SIGNED_DATA, Kind::Signed), (oid::COMPRESSED_DATA, Kind::Compressed)]
            {
                let mut octets = head.to_vec();
                ber::put(&mut octets, ber::OBJECT_IDENTIFIER, value.as_bytes());
                for end in 0..octets.len() {
                    assert_eq!(sniff(&octets[..end]), Guess::NeedMore, "{end} of {octets:x?}");
                }
                assert_eq!(sniff(&octets), Guess::Layer(kind));
            }
        }
    }

    #[test]
    fn a_file_is_a_file() {
        for octets in
            [&b"ISO-10303-21;"[..], &[0x30, 0x03, 0x02, 0x01, 1], &[0x30, 0x80, 0x06, 0x03, 0x55, 4, 3]]
        {
            assert_eq!(sniff(octets), Guess::Other, "{octets:x?}");
        }
    }
}
