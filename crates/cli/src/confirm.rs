//! Asking before something is forgotten; never without a terminal.

use std::io::{self, BufRead, IsTerminal, Write};

use crate::exit;
use crate::failure::{Failure, Result};

/// Asks `question`, unless the command line answered it already.
///
/// # Errors
/// A usage error where nobody can be asked, and when the answer is no.
pub(crate) fn ask(yes: bool, question: &str) -> Result<()> {
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err(Failure::usage(
            "nobody can be asked here",
            "add --yes to go on without asking",
        ));
    }
    let mut answer = String::new();
    let asked = write!(io::stderr().lock(), "{question} Type `yes` to go on: ")
        .and_then(|()| io::stdin().lock().read_line(&mut answer));
    match asked {
        Ok(_) if answer.trim() == "yes" => Ok(()),
        Ok(_) => Err(Failure::usage("nothing was done", "answer `yes` to go on")),
        Err(error) => Err(Failure::Shown(exit::FAILED, None, error.to_string())),
    }
}
