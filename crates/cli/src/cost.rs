//! What a run or a plan is going to cost at its destination, in words.

use engine::Forecast;

use crate::text;

/// The forecast in words: requests, time and the part of the day's quota, as far as they are known; `None` where
/// there is nothing to say.
pub(crate) fn cost(forecast: &Forecast) -> Option<String> {
    let rate = format!("{}/s", text::number(forecast.per_second().round().max(1.0) as u64));
    let mut said = match (forecast.requests, forecast.time()) {
        (Some(0), _) => return None,
        (Some(requests), Some(time)) => {
            let seconds = text::number(time.as_secs_f64().ceil() as u64);
            format!("{}, about {seconds} s at {rate}", text::counted(requests, "request"))
        }
        _ => format!("at most {rate}"),
    };
    match forecast.day() {
        Some((Some(share), left)) => said.push_str(&format!(
            ", {:.2} % of today's quota ({} left)",
            share * 100.0,
            text::number(left)
        )),
        Some((None, left)) => {
            said.push_str(&format!(", {} left today", text::counted(left, "request")));
        }
        None if forecast.requests.is_none() => return None,
        None => {}
    }
    Some(said)
}
