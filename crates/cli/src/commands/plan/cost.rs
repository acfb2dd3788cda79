//! What a plan costs at the destination: requests, about how long they take, and their part of the day's quota.

use engine::Plan;

use crate::config::CheckedSync;
use crate::text;

/// Seconds one write call takes while nothing is known about the destination.
const CALL_SECONDS: f64 = 0.4;

/// What the plan costs at the destination: requests, about how long they take, and their part of the day's quota.
pub(super) fn cost(planned: &CheckedSync, plan: &Plan, destination: &Destination) -> String {
    let requests = text::counted(plan.requests, "request");
    if plan.requests == 0 {
        return requests;
    }
    let rate = destination.calls_per_second(planned.sync.delivery.max_concurrency);
    let seconds = (plan.requests as f64 / rate).ceil() as u64;
    let mut cost = format!("{requests}, about {} s at {rate:.0}/s", text::number(seconds));
    if let Some((_, left, limit)) = destination.quotas.iter().find(|(window, ..)| window == "day") {
        let share = plan.requests as f64 / limit.max(1.0) * 100.0;
        let left = text::number(*left as u64);
        cost.push_str(&format!(", {share:.2} % of today's quota ({left} left)"));
    }
    cost
}

/// What is known about the destination once it was asked for its fields.
pub(super) struct Destination {
    pub(super) in_flight_max: usize,
    /// Window, remaining and limit.
    pub(super) quotas: Vec<(String, f64, f64)>,
}

impl Destination {
    /// The present rate: calls in flight, each about as long as CRM calls are, or the reported window if that is less.
    fn calls_per_second(&self, in_flight_max: Option<usize>) -> f64 {
        let calls = self.in_flight_max.min(in_flight_max.unwrap_or(usize::MAX)).max(1);
        let windows = self.quotas.iter().filter_map(|(window, _, limit)| {
            let seconds: f64 = window.strip_suffix('s')?.parse().ok()?;
            Some(limit / seconds)
        });
        windows.fold(calls as f64 / CALL_SECONDS, f64::min).max(0.01)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_the_smaller_of_the_window_and_the_calls_in_flight() {
        let window = |limit| ("10s".to_owned(), 100.0, limit);
        let day = ("day".to_owned(), 10.0, 1_000_000.0);
        let with = |quotas| Destination { in_flight_max: 20, quotas };
        assert_eq!(with(vec![]).calls_per_second(None), 50.0);
        assert_eq!(with(vec![]).calls_per_second(Some(2)), 5.0);
        assert_eq!(with(vec![day.clone(), window(190.0)]).calls_per_second(None), 19.0);
        assert_eq!(with(vec![day, window(190.0)]).calls_per_second(Some(1)), 2.5);
    }
}
