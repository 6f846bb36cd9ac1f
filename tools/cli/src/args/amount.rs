//! Sizes, rates and durations.

use std::time::Duration;

/// A number of bytes, above zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size {
    /// The number itself.
    pub bytes: u64,
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Units that `size` reads again as the same number.
        match self.bytes {
            bytes if bytes.is_multiple_of(1 << 30) => write!(f, "{}GiB", bytes >> 30),
            bytes if bytes.is_multiple_of(1 << 20) => write!(f, "{}MiB", bytes >> 20),
            bytes => bytes.fmt(f),
        }
    }
}

/// Bytes a second, above zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate {
    /// The number itself.
    pub bytes_per_second: u64,
}

/// Reads `512MiB` (2^20 bytes each), `1TB` (10^12), `1.5GiB` or plain bytes.
///
/// # Errors
/// If it is no size, is zero, or does not fit 64 bits.
pub fn size(text: &str) -> Result<Size, String> {
    let bytes = parse_size::parse_size(text)
        .map_err(|error| format!("{error}; a size is written like 512MiB, 1.5TB or 4096"))?;
    if bytes == 0 {
        return Err("a size must be above zero".to_owned());
    }
    Ok(Size { bytes })
}

/// Reads `200MB/s`, or a size alone.
///
/// # Errors
/// As [`size`].
pub fn rate(text: &str) -> Result<Rate, String> {
    let per_second = text.strip_suffix("/s").unwrap_or(text);
    let bytes_per_second = parse_size::parse_size(per_second)
        .map_err(|error| format!("{error}; a rate is written like 200MB/s or 1.5GiB/s"))?;
    if bytes_per_second == 0 {
        return Err("a rate must be above zero".to_owned());
    }
    Ok(Rate { bytes_per_second })
}

/// Reads `60s`, `500ms`, `2m` or `1m 30s`. Zero is allowed.
///
/// # Errors
/// If it is no duration; a bare number is none, it names no unit.
pub fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("{error}; a duration is written like 60s, 500ms or 2m"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binary_and_decimal_units_differ() {
        let sizes = [
            ("4096", 4096),
            ("512MiB", 512 << 20),
            ("512MB", 512_000_000),
            ("100GiB", 100 << 30),
            ("1TB", 1_000_000_000_000),
            ("1TiB", 1 << 40),
            ("1.5GiB", 3 << 29),
            ("8 GiB", 8 << 30),
            ("2k", 2000),
        ];
        for (text, bytes) in sizes {
            assert_eq!(size(text), Ok(Size { bytes }), "{text}");
            assert_eq!(size(&Size { bytes }.to_string()), Ok(Size { bytes }), "{text}");
        }
    }

    #[test]
    fn no_size_is_refused() {
        for text in ["", "0", "0MiB", "-1", "12XB", "MiB", "1MiBs", "99999999TB", "1MiB/s"] {
            let message = size(text).expect_err(text);
            assert!(message.contains("size"), "{text}: {message}");
        }
    }

    #[test]
    fn rates() {
        assert_eq!(rate("200MB/s"), Ok(Rate { bytes_per_second: 200_000_000 }));
        assert_eq!(rate("1GiB"), Ok(Rate { bytes_per_second: 1 << 30 }));
        for text in ["", "/s", "0MB/s", "200MB/h", "fast"] {
            assert!(rate(text).expect_err(text).contains("rate"), "{text}");
        }
    }

    #[test]
    fn durations() {
        assert_eq!(duration("60s"), Ok(Duration::from_secs(60)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(duration("1m 30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        for text in ["", "60", "s", "-1s", "1 fortnight", "99999999999999999999s"] {
            assert!(duration(text).expect_err(text).contains("duration"), "{text}");
        }
    }
}
