//! Who holds a data directory: what stands in its lock file.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

/// The process that holds a data directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its process id.
    pub pid: u32,
    /// Since when it holds it, Unix milliseconds.
    pub since_ms: u64,
}

impl Holder {
    /// This process, from now on.
    #[must_use]
    pub fn this_process() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { pid: std::process::id(), since_ms: since.as_millis() as u64 }
    }

    /// What stands in the lock file: `pid 123 since_ms 456`.
    pub(super) fn encode(self) -> String {
        format!("pid {} since_ms {}\n", self.pid, self.since_ms)
    }

    /// Reads a lock file's text; none if it is something else, as it is for a moment while it is written.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_ascii_whitespace();
        let mut number_after = |name: &str| (words.next()? == name).then(|| words.next()?.parse::<u64>().ok())?;
        let (pid, since_ms) = (number_after("pid")?, number_after("since_ms")?);
        Some(Self { pid: u32::try_from(pid).ok()?, since_ms })
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} holds it since {}", self.pid, Moment(self.since_ms))
    }
}

/// A time as people write it, in UTC: `2026-11-21 18:23:14 UTC`.
struct Moment(u64);

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0 / 1000;
        let (days, second) = (seconds / 86_400, seconds % 86_400);
        let (year, month, day) = date_of(days);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
    }
}

/// Year, month and day so many days after 1970-01-01 (Howard Hinnant, "chrono-compatible low-level date algorithms",
/// `civil_from_days`).
fn date_of(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let holder = Holder { pid: 4711, since_ms: 1_795_285_394_123 };
        assert_eq!(Holder::parse(&holder.encode()), Some(holder));
        for text in ["", "pid", "pid x since_ms 1", "since_ms 1 pid 2", "pid 99999999999 since_ms 1", "pid 1 since_ms"]
        {
            assert_eq!(Holder::parse(text), None, "{text}");
        }
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        // As date(1) has them: `date -u -d @SECONDS`.
        for (seconds, text) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_399, "2000-02-28 23:59:59 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (951_868_800, "2000-03-01 00:00:00 UTC"),
            (1_795_285_394, "2026-11-21 18:23:14 UTC"),
            (4_107_542_399, "2100-02-28 23:59:59 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC"),
        ] {
            assert_eq!(Moment(seconds * 1000).to_string(), text);
        }
    }
}
