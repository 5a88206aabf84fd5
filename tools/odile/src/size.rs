//! Sizes as people type them, and rates as they read them.

/// Parses `4096`, `64KiB`, `8MiB`, `2GiB`, `1TiB`.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no size: give octets, or a number with KiB, MiB, GiB or TiB");
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let factor: u64 = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        _ => return Err(wrong()),
    };
    number.checked_mul(factor).ok_or_else(wrong)
}

/// As [`parse_size`], for what memory must hold.
pub fn parse_memory_size(text: &str) -> Result<usize, String> {
    usize::try_from(parse_size(text)?).map_err(|_| format!("{text} is more than this machine can address"))
}

/// `438 MB/s`: decimal, as lines are sold. Nothing for an immeasurably short time.
pub fn rate(octets: u64, seconds: f64) -> String {
    if seconds <= 0.0 {
        return "-".to_owned();
    }
    let mega = megabytes(octets) / seconds;
    match mega {
        mega if mega >= 100.0 => format!("{mega:.0} MB/s"),
        mega if mega >= 1.0 => format!("{mega:.1} MB/s"),
        mega => format!("{:.1} kB/s", mega * 1000.0),
    }
}

/// Octets in units of a million.
#[allow(clippy::cast_precision_loss, reason = "shown with three digits")]
pub fn megabytes(octets: u64) -> f64 {
    octets as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_binary_units() {
        for (text, octets) in [
            ("0", 0),
            ("4096", 4096),
            ("1b", 1),
            ("64KiB", 65_536),
            ("256 MiB", 268_435_456),
            ("2g", 2_147_483_648),
            ("1TiB", 1 << 40),
        ] {
            assert_eq!(parse_size(text), Ok(octets), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_size() {
        for text in ["", "MiB", "-1", "1.5GiB", "12 parsecs", "18446744073709551616", "99999999TiB"] {
            let message = parse_size(text).unwrap_err();
            assert!(message.contains("is no size"), "{message}");
        }
    }

    #[test]
    fn rates_have_three_digits_or_so() {
        assert_eq!(rate(438_000_000, 1.0), "438 MB/s");
        assert_eq!(rate(43_800_000, 2.0), "21.9 MB/s");
        assert_eq!(rate(1500, 1.0), "1.5 kB/s");
        assert_eq!(rate(1500, 0.0), "-");
    }
}
