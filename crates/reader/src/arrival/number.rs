//! Exact numbers in their one text: no exponent, no zeros around them.

/// Digits of the largest number that is written out; PostgreSQL's may have more, and are seldom numbers then.
const DIGITS_MAX: usize = 150_000;

/// The number of a text.
///
/// # Errors
/// Why it is none, without the text.
pub(crate) fn canonical(text: &str) -> Result<String, String> {
    let text = text.trim();
    match text.to_ascii_lowercase().as_str() {
        "nan" => return Ok("NaN".to_owned()),
        "infinity" | "inf" | "+infinity" => return Ok("Infinity".to_owned()),
        "-infinity" | "-inf" => return Ok("-Infinity".to_owned()),
        _ => {}
    }
    let none = || "it is no number".to_owned();
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().map_err(|_| none())?),
        None => (rest, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(none());
    }
    let significant = digits.trim_start_matches('0');
    if significant.is_empty() {
        return Ok("0".to_owned());
    }
    let point = (whole.len() as i64).saturating_add(exponent);
    let far = DIGITS_MAX as i64;
    if digits.len() > DIGITS_MAX || !(-far..=far).contains(&point) {
        return Err("it is out of range".to_owned());
    }
    let (whole, fraction) = if point <= 0 {
        let zeros = "0".repeat(usize::try_from(-point).unwrap_or(0));
        (String::new(), format!("{zeros}{digits}"))
    } else {
        let point = usize::try_from(point).unwrap_or(0);
        let padded = format!("{digits:0<point$}");
        let (whole, fraction) = padded.split_at(point);
        (whole.trim_start_matches('0').to_owned(), fraction.to_owned())
    };
    let whole = if whole.is_empty() { "0" } else { &whole };
    Ok(match fraction.trim_end_matches('0') {
        "" => format!("{sign}{whole}"),
        fraction => format!("{sign}{whole}.{fraction}"),
    })
}
