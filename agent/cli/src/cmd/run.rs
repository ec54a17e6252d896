//! `tracenet run`

use crate::args::RunArgs;
use crate::child::Held;
use crate::failure::Failure;
use crate::settings;
use crate::strace::Habits;
use crate::trace::{self, What};

/// Traces a command from its first instruction.
pub fn main(args: RunArgs) -> Result<u8, Failure> {
    let habits = Habits::of(&args.trace)?;
    let mut config = settings::resolve(args.trace, &args.filter)?;
    config.targets.pids.clear();
    // Before any thread exists: see there.
    let held = Held::fork(args.command)?;
    trace::trace(&config, What::Command(held), None, habits)
}
