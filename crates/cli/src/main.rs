//! The binary `outflow`; everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    outflow::main(std::env::args_os())
}
