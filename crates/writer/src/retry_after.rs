//! How long a destination asks us to wait, from a `Retry-After` header in any of its forms (F12).

use std::time::Duration;

use chrono::DateTime;

use crate::Reply;

/// The longest wait a run sits out; above it the run ends and says when to come back.
pub const WAIT_MAX: Duration = Duration::from_secs(300);

/// The wait the answer asks for; `None` where it asks for none or cannot be understood.
///
/// Seconds may have decimals and may be absurdly large. A date is compared with the answer's own `Date`, so
/// that a wrong clock on either side changes nothing, and with `now_micros` where there is none.
pub fn retry_after(reply: &Reply, now_micros: i64) -> Option<Duration> {
    let text = reply.header("retry-after")?.trim();
    if text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() {
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let until = http_date_micros(text)?;
    let now = reply.header("date").and_then(http_date_micros).unwrap_or(now_micros);
    Some(Duration::from_micros(u64::try_from(until.saturating_sub(now)).unwrap_or(0)))
}

fn http_date_micros(text: &str) -> Option<i64> {
    DateTime::parse_from_rfc2822(text).ok().map(|date| date.timestamp_micros())
}

/// The wait in words: `10 s`, `25 min`, `3 h`, rounded up.
pub fn in_words(wait: Duration) -> String {
    match wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)) {
        seconds @ 0..=120 => format!("{seconds} s"),
        seconds @ 121..=7200 => format!("{} min", seconds.div_ceil(60)),
        seconds => format!("{} h", seconds.div_ceil(3600)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::refusals::reply;

    #[track_caller]
    fn check(headers: &[(&'static str, &str)], expected: Option<Duration>) {
        let reply = reply(429, headers, "");
        // 2015-10-21T07:27:00Z
        assert_eq!(retry_after(&reply, 1_445_412_420_000_000), expected, "{headers:?}");
    }

    #[test]
    fn every_form_is_understood_and_garbage_is_not() {
        let seconds = |n| Some(Duration::from_secs(n));
        check(&[], None);
        check(&[("retry-after", "10")], seconds(10));
        check(&[("retry-after", " 0 ")], seconds(0));
        check(&[("retry-after", "1.5")], Some(Duration::from_millis(1500)));
        check(&[("retry-after", "1000000000")], seconds(1_000_000_000));
        check(&[("retry-after", "99999999999999999999999999")], seconds(u64::MAX));
        check(&[("retry-after", "Wed, 21 Oct 2015 07:28:00 GMT")], seconds(60));
        check(&[("retry-after", "Wed, 21 Oct 2015 07:00:00 GMT")], seconds(0));
        check(
            &[
                ("retry-after", "Wed, 21 Oct 2015 09:00:00 GMT"),
                ("date", "Wed, 21 Oct 2015 08:59:30 GMT"),
            ],
            seconds(30),
        );
        for garbage in ["", "soon", "-5", "NaN", "inf", "1e400", "Wed, 99 Oct 2015 07:28:00 GMT"] {
            check(&[("retry-after", garbage)], None);
        }
    }

    #[test]
    fn waits_are_said_in_round_words() {
        let words = [1, 120, 121, 7200, 7201, 86_400].map(|s| in_words(Duration::from_secs(s)));
        assert_eq!(words, ["1 s", "120 s", "3 min", "120 min", "3 h", "24 h"]);
        assert_eq!(in_words(Duration::from_millis(1200)), "2 s");
        in_words(Duration::MAX);
    }
}
