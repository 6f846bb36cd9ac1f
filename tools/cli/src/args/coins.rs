//! Money as people write it: coins with up to nine decimals.

use spacetime_node::chain::Amount;
use spacetime_node::chain::types::UNITS_PER_COIN;

/// Decimals of a coin.
const DECIMALS: usize = 9;

/// Reads `1.5`, `0.000000001` or `20`: exactly, or not at all.
///
/// # Errors
/// If it is no such number, has more than nine decimals, or does not fit 64 bits of base units.
pub fn coins(text: &str) -> Result<Amount, String> {
    let wrong = |what: &str| Err(format!("{what}; an amount is written in coins, like 1.5 or 0.000000001"));
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let are_digits = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !are_digits(whole) || !are_digits(part) || text.ends_with('.') {
        return wrong("no amount");
    }
    if part.len() > DECIMALS {
        return wrong("more than nine decimals");
    }
    let units = format!("{part:0<DECIMALS$}").parse::<u64>().unwrap_or_default();
    let whole: Option<u64> = whole.parse().ok();
    let amount = whole.and_then(|whole| whole.checked_mul(UNITS_PER_COIN)).and_then(|whole| whole.checked_add(units));
    amount.map_or_else(|| wrong("too much"), |amount| Ok(Amount(amount)))
}

/// Writes an amount as [`coins`] reads it, without decimals that say nothing.
#[must_use]
pub fn show_coins(amount: Amount) -> String {
    let (whole, part) = (amount.0 / UNITS_PER_COIN, amount.0 % UNITS_PER_COIN);
    let part = format!("{part:0DECIMALS$}");
    match part.trim_end_matches('0') {
        "" => whole.to_string(),
        part => format!("{whole}.{part}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact() {
        for (text, units) in [
            ("0", 0),
            ("1", 1_000_000_000),
            ("1.5", 1_500_000_000),
            ("0.000000001", 1),
            ("0.1", 100_000_000),
            ("007.10", 7_100_000_000),
            ("18446744073.709551615", u64::MAX),
        ] {
            assert_eq!(coins(text), Ok(Amount(units)), "{text}");
            assert_eq!(coins(&show_coins(Amount(units))), Ok(Amount(units)), "{text}");
        }
        assert_eq!(show_coins(Amount(1_500_000_000)), "1.5");
        assert_eq!(show_coins(Amount(20_000_000_000)), "20");
        assert_eq!(show_coins(Amount(1)), "0.000000001");
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for text in
            ["", ".", ".5", "1.", "-1", "+1", "1,5", "1e3", "1_000", " 1", "1 ", "0x1", "1.5.0", "٣", "1.0000000001"]
        {
            assert!(coins(text).is_err(), "{text:?}");
        }
        for text in ["18446744073.709551616", "18446744074", "99999999999999999999999"] {
            assert!(coins(text).unwrap_err().starts_with("too much"), "{text}");
        }
    }
}
