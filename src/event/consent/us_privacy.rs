//! US Privacy strings: exactly `1[YN-][YN-][YN-]`.

/// Whether the string opts out of sale; `None` when it is malformed.
pub(super) fn opted_out(us_privacy: &str) -> Option<bool> {
    let [b'1', notice, opt_out, agreement] = us_privacy.as_bytes() else { return None };
    let is_flag = |flag: &u8| matches!(flag, b'Y' | b'N' | b'-');
    [notice, opt_out, agreement].into_iter().all(is_flag).then_some(*opt_out == b'Y')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_third_character_decides_and_the_form_is_exact() {
        for (string, expected) in [
            ("1YYN", Some(true)),
            ("1NYN", Some(true)),
            ("1-Y-", Some(true)),
            ("1YNY", Some(false)),
            ("1Y-Y", Some(false)),
            ("1---", Some(false)),
            ("", None),
            ("1Y", None),
            ("1YY", None),
            ("1YYNN", None),
            ("0YYN", None),
            ("2YYN", None),
            ("1yyn", None),
            ("1XYN", None),
            ("1YXN", None),
            ("1YYX", None),
            (" 1YYN", None),
            ("1YYN ", None),
            ("1Yé", None),
        ] {
            assert_eq!(opted_out(string), expected, "{string:?}");
        }
    }
}
