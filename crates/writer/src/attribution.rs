//! Giving every row of a call exactly one outcome, whatever the answer leaves out, repeats or invents (D6).

use flow::{Outcome, Receipt};

/// Collects outcomes by row; what is missing at the end is unknown, never delivered.
#[derive(Debug)]
pub struct Outcomes {
    rows: Vec<Option<Outcome>>,
    strangers: usize,
}

impl Outcomes {
    /// For a call of `rows` rows.
    pub fn new(rows: usize) -> Self {
        Self { rows: vec![None; rows], strangers: 0 }
    }

    /// Notes what became of a row. `None` is an answer about a row that was not sent.
    ///
    /// A second refusal of a row changes nothing; any other second answer makes the row unknown.
    pub fn set(&mut self, row: Option<usize>, outcome: Outcome) {
        let Some(slot) = row.and_then(|row| self.rows.get_mut(row)) else {
            self.strangers += 1;
            return;
        };
        *slot = Some(match (slot.take(), outcome) {
            (None, outcome) => outcome,
            (Some(first @ Outcome::Rejected { .. }), Outcome::Rejected { .. }) => first,
            _ => Outcome::Unknown { reason: "more than one answer" },
        });
    }

    /// Rows that have no outcome yet.
    pub fn missing(&self) -> impl Iterator<Item = usize> + '_ {
        self.rows.iter().enumerate().filter(|(_, row)| row.is_none()).map(|(index, _)| index)
    }

    /// What is known so far, by row.
    pub fn known(&self) -> impl Iterator<Item = (usize, &Outcome)> {
        self.rows.iter().enumerate().filter_map(|(row, outcome)| Some((row, outcome.as_ref()?)))
    }

    /// What a later answer says about a row counts instead of what an earlier one said.
    pub fn replace(&mut self, row: usize, outcome: Outcome) {
        if let Some(slot) = self.rows.get_mut(row) {
            *slot = Some(outcome);
        }
    }

    /// Answers about rows that were not sent.
    pub fn strangers(&self) -> usize {
        self.strangers
    }

    /// The receipt; rows without an answer are unknown, for `reason`.
    pub fn receipt(self, reason: &'static str) -> Receipt {
        let outcomes = self
            .rows
            .into_iter()
            .map(|outcome| outcome.unwrap_or(Outcome::Unknown { reason }))
            .collect();
        Receipt { outcomes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codes::R201_INVALID;

    fn delivered() -> Outcome {
        Outcome::Delivered { created: None, remote_id: None }
    }

    fn rejected(message: &str) -> Outcome {
        Outcome::Rejected { code: &R201_INVALID, message: message.to_owned(), field: None }
    }

    #[test]
    fn rows_without_an_answer_are_unknown() {
        let mut outcomes = Outcomes::new(3);
        outcomes.set(Some(1), delivered());
        assert_eq!(outcomes.missing().collect::<Vec<_>>(), [0, 2]);
        let receipt = outcomes.receipt("no answer for the row");
        assert!(matches!(receipt.outcomes[0], Outcome::Unknown { .. }));
        assert!(matches!(receipt.outcomes[1], Outcome::Delivered { .. }));
        assert!(matches!(receipt.outcomes[2], Outcome::Unknown { .. }));
    }

    #[test]
    fn two_answers_for_one_row_are_not_believed() {
        for second in [delivered(), rejected("x")] {
            let mut outcomes = Outcomes::new(1);
            outcomes.set(Some(0), delivered());
            outcomes.set(Some(0), second);
            let receipt = outcomes.receipt("-");
            assert!(matches!(receipt.outcomes[0], Outcome::Unknown { .. }));
        }
        let mut outcomes = Outcomes::new(1);
        outcomes.set(Some(0), rejected("first"));
        outcomes.set(Some(0), rejected("second"));
        let receipt = outcomes.receipt("-");
        assert!(
            matches!(&receipt.outcomes[0], Outcome::Rejected { message, .. } if message == "first")
        );
    }

    #[test]
    fn answers_about_rows_that_were_not_sent_touch_no_row() {
        let mut outcomes = Outcomes::new(1);
        outcomes.set(None, delivered());
        outcomes.set(Some(7), delivered());
        assert_eq!(outcomes.strangers(), 2);
        assert!(matches!(outcomes.receipt("-").outcomes[0], Outcome::Unknown { .. }));
    }
}
