//! What a run is going to cost at its destination, said before the first request; and a run that its account's limits
//! keep from beginning.

use std::time::Duration;

use flow::{Error, Quota, Result};

use crate::{Ports, Sync, codes};

/// About how long a call takes, where nothing better is known.
const CALL: Duration = Duration::from_millis(400);

/// What is known before the first request.
#[derive(Debug, Clone, Default)]
pub struct Forecast {
    /// Write calls the run needs, where its rows were weighed.
    pub requests: Option<u64>,
    /// What is left of the account's limits.
    pub quota: Quota,
    /// Calls in flight at once.
    pub in_flight_max: usize,
}

impl Forecast {
    /// What is left of the budget; `requests` is what was weighed.
    pub(crate) async fn of(sync: &Sync, ports: &Ports, requests: Option<u64>) -> Self {
        let quota = quota(ports).await.unwrap_or_default();
        let most = ports.destination.limits(&sync.object).map_or(1, |limits| limits.in_flight_max);
        let asked = sync.delivery.max_concurrency.unwrap_or(most);
        Self { requests, quota, in_flight_max: most.min(asked).max(1) }
    }

    /// Requests a second at the present limits: the tightest window, or what is in flight, each call about as long as
    /// calls are.
    pub fn per_second(&self) -> f64 {
        let calls = self.in_flight_max as f64 / CALL.as_secs_f64();
        let windows = self.quota.windows.iter().filter_map(|window| {
            let seconds = window.length?.as_secs_f64();
            (seconds > 0.0).then(|| window.ours as f64 / seconds)
        });
        windows.fold(calls, f64::min).max(0.001)
    }

    /// About how long the requests take.
    pub fn time(&self) -> Option<Duration> {
        let seconds = self.requests? as f64 / self.per_second();
        Duration::try_from_secs_f64(seconds).ok()
    }

    /// The day's quota: the part of it that the requests take, where they are known, and what is left for us.
    pub fn day(&self) -> Option<(Option<f64>, u64)> {
        let day = self.quota.windows.iter().find(|window| window.name == "day")?;
        let share = self.requests.map(|requests| requests as f64 / day.limit.max(1) as f64);
        Some((share, day.left?))
    }
}

/// What is left of the account's limits, as far as they are kept.
pub(crate) async fn quota(ports: &Ports) -> Result<Quota> {
    match ports.destination.keeps_quota() {
        Some(keeper) => keeper.quota().await,
        None => Ok(Quota::default()),
    }
}

/// Refuses a run whose account is parked, before anything is asked of anybody.
pub(crate) async fn parked(sync: &Sync, ports: &Ports) -> Result<()> {
    let quota = quota(ports).await?;
    let now = ports.clock.now_micros();
    let Some(until) = quota.parked_until.filter(|until| *until > now) else { return Ok(()) };
    let why = quota.parked_why.unwrap_or_default();
    let wait = Duration::from_micros(until.saturating_sub(now).unsigned_abs());
    let message = format!("`{}` takes nothing now: {why}", sync.destination);
    Err(Error::new(&codes::E4070, message).with_wait(wait))
}

#[cfg(test)]
mod tests {
    use flow::QuotaWindow;

    use super::*;

    #[test]
    fn the_rate_is_the_tightest_window_or_what_is_in_flight() {
        let window = |name, seconds, ours| QuotaWindow {
            name,
            length: Some(Duration::from_secs(seconds)),
            limit: 200,
            ours,
            left: None,
            resets_at: None,
        };
        let day = QuotaWindow { length: None, left: Some(90), ..window("day", 0, 100) };
        let with = |windows| Forecast {
            requests: Some(100),
            quota: Quota { windows, ..Quota::default() },
            in_flight_max: 20,
        };
        assert_eq!(with(vec![]).per_second(), 50.0);
        let slow = |calls, windows| Forecast { in_flight_max: calls, ..with(windows) };
        assert_eq!(slow(2, vec![]).per_second(), 5.0);
        assert_eq!(with(vec![day.clone(), window("10s", 10, 190)]).per_second(), 19.0);
        assert_eq!(slow(1, vec![day.clone(), window("10s", 10, 190)]).per_second(), 2.5);
        let forecast = with(vec![window("10s", 10, 100), window("concurrency", 0, 4), day]);
        assert_eq!(forecast.per_second(), 10.0);
        assert_eq!(forecast.time(), Some(Duration::from_secs(10)));
        assert_eq!(forecast.day(), Some((Some(0.5), 90)));
    }
}
