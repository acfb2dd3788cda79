//! One measured figure, and how figures are shown and kept.

use serde::Serialize;

/// What was measured, and what it should be.
#[derive(Debug, Serialize)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
    /// For example `<= 1.1`; empty where the figure is for information.
    pub(crate) goal: String,
    /// Whether the goal is reached; `null` without one.
    pub(crate) ok: Option<bool>,
}

impl Figure {
    /// A figure that should be at most so much. One that is not a number was measured among too much noise.
    pub(crate) fn at_most(name: &str, value: f64, unit: &'static str, goal: f64) -> Self {
        let ok = value.is_finite().then_some(value <= goal);
        Self { name: name.to_owned(), value, unit, goal: format!("<= {goal}"), ok }
    }

    /// A figure that should be at least so much.
    pub(crate) fn at_least(name: &str, value: f64, unit: &'static str, goal: f64) -> Self {
        let ok = value.is_finite().then_some(value >= goal);
        Self { name: name.to_owned(), value, unit, goal: format!(">= {goal}"), ok }
    }

    /// A figure for information.
    pub(crate) fn info(name: &str, value: f64, unit: &'static str) -> Self {
        Self { name: name.to_owned(), value, unit, goal: String::new(), ok: None }
    }
}

/// Prints the table.
pub(crate) fn print(figures: &[Figure]) {
    println!("{:<46} {:>12} {:<8} {:>10}  ok", "figure", "value", "unit", "goal");
    for figure in figures {
        let ok = match figure.ok {
            Some(true) => "yes",
            Some(false) => "NO",
            None if figure.value.is_nan() => "noisy",
            None => "",
        };
        println!(
            "{:<46} {:>12.3} {:<8} {:>10}  {ok}",
            figure.name, figure.value, figure.unit, figure.goal
        );
    }
}

/// Writes `target/bench.json` in the folder the benchmark is started in.
pub(crate) fn write(figures: &[Figure]) {
    let text = serde_json::to_string_pretty(figures).expect("figures are plain data");
    std::fs::create_dir_all("target").expect("target can be made");
    std::fs::write("target/bench.json", text + "\n").expect("target/bench.json can be written");
    eprintln!("written: target/bench.json");
}

/// The middle value.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
