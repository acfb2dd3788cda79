//! Telephone numbers in E.164 form: `+`, country code, number; 8 to 15 digits.

use std::borrow::Cow;

/// Country codes whose national numbers really begin with 0, so that a leading 0 is not a trunk prefix.
const ZERO_STAYS: [&str; 5] = ["39", "378", "225", "241", "242"];

/// The number in E.164 form, or why it has none.
///
/// Accepted is a number that begins with `+` or `00`, or any national number where `country_code` is given.
/// Spaces, hyphens, dots, slashes and parentheses between the digits are dropped; anything else is refused,
/// also `(0)`. Of a national number one leading 0 is dropped, except in countries where it belongs to the
/// number. A national number that begins with the country code itself could be read two ways and is refused.
pub(crate) fn e164(text: &str, country_code: Option<&str>) -> Result<String, Cow<'static, str>> {
    let text = text.trim();
    if text.contains("(0)") {
        return Err("`(0)` makes it unclear whether the 0 belongs to the number".into());
    }
    let (plus, rest) = match text.strip_prefix('+').or_else(|| text.strip_prefix("(+")) {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let mut digits = String::with_capacity(16);
    for c in rest.chars() {
        match c {
            '0'..='9' => digits.push(c),
            ' ' | '-' | '.' | '/' | '(' | ')' | '\u{a0}' | '\u{2010}'..='\u{2015}' => {}
            c if c.is_whitespace() => {}
            _ => {
                return Err(
                    "the text has characters that are not part of a telephone number".into()
                );
            }
        }
    }
    let number = if plus {
        digits
    } else if let Some(international) = digits.strip_prefix("00") {
        international.to_owned()
    } else if let Some(code) = country_code {
        national(&digits, code)?
    } else {
        return Err(
            "the number begins neither with + nor with 00 and no country code is given".into()
        );
    };
    if !(8..=15).contains(&number.len()) {
        return Err(format!("the number has {} digits; E.164 has 8 to 15", number.len()).into());
    }
    if number.starts_with('0') {
        return Err("a country code cannot begin with 0".into());
    }
    Ok(format!("+{number}"))
}

/// A national number with its country code in front.
fn national(digits: &str, code: &str) -> Result<String, Cow<'static, str>> {
    if digits.is_empty() {
        return Err("the text has no digits".into());
    }
    if let Some(rest) = digits.strip_prefix('0')
        && !ZERO_STAYS.contains(&code)
    {
        return Ok(format!("{code}{rest}"));
    }
    if digits.starts_with(code) {
        // Numbers of country code 1 have ten digits and never begin with 1.
        if code == "1" && digits.len() == 11 {
            return Ok(digits.to_owned());
        }
        return Err("the number begins with the country code but without + or 00".into());
    }
    Ok(format!("{code}{digits}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, code: Option<&str>, expected: Option<&str>) {
        assert_eq!(e164(text, code).ok().as_deref(), expected, "{text:?} {code:?}");
    }

    #[test]
    fn numbers_with_a_country_code_of_their_own_need_no_other() {
        for code in [None, Some("48")] {
            check("+48 600 100 200", code, Some("+48600100200"));
            check("0048 600-100-200", code, Some("+48600100200"));
            check("+1 (415) 555-2671", code, Some("+14155552671"));
            check(" (+44) 20 7946 0958 ", code, Some("+442079460958"));
            check("+49\u{a0}30/901820", code, Some("+4930901820"));
            check("+14155552671", code, Some("+14155552671"));
        }
    }

    #[test]
    fn national_numbers_need_a_country_code() {
        check("600 100 200", None, None);
        check("600 100 200", Some("48"), Some("+48600100200"));
        check("022 1234567", Some("48"), Some("+48221234567"));
        check("030 901820", Some("49"), Some("+4930901820"));
        check("06 6982 1234", Some("39"), Some("+390669821234"));
        check("(415) 555-2671", Some("1"), Some("+14155552671"));
        check("1 415 555 2671", Some("1"), Some("+14155552671"));
        check("48600100200", Some("48"), None);
    }

    #[test]
    fn what_is_no_telephone_number_is_refused() {
        for text in [
            "",
            "+",
            "00",
            "n/a",
            "+48 600 100 200 ext. 5",
            "+44 (0)20 7946 0958",
            "+1234567",
            "+1234567890123456",
            "+0123456789",
            "12345678",
            "tel:+48600100200",
            "++48600100200",
            "+48600+100200",
            "+٤٨٦٠٠١٠٠٢٠٠",
        ] {
            check(text, None, None);
        }
    }
}
