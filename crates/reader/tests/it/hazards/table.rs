//! The table of hazards: complete, and every test that it names is there.

use std::collections::BTreeSet;
use std::path::Path;

const TABLE: &str = include_str!("../../../HAZARDS.md");
const HAZARDS: usize = 32;

#[test]
fn every_hazard_has_a_remedy_and_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut seen = BTreeSet::new();
    for line in TABLE.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [number, hazard, remedy, tests] = cells[..] else { panic!("four cells: {line}") };
        if number == "#" {
            continue;
        }
        assert!(seen.insert(number.to_owned()), "twice: {number}");
        assert!(!hazard.is_empty() && !remedy.is_empty(), "{line}");
        let named: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
        assert!(!named.is_empty(), "no test: {line}");
        for test in named {
            let (path, name) = test.split_once("::").unwrap_or_else(|| panic!("no test: {test}"));
            let text = std::fs::read_to_string(root.join(path))
                .unwrap_or_else(|error| panic!("{path}: {error}"));
            assert!(text.contains(&format!("fn {name}(")), "{path} has no {name}");
        }
    }
    let numbers: BTreeSet<String> = (1..=HAZARDS).map(|number| number.to_string()).collect();
    let missing: Vec<&String> = numbers.difference(&seen).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
