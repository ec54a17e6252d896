//! `tracenet attach`

use crate::args::AttachArgs;
use crate::failure::Failure;
use crate::settings;
use crate::strace::Habits;
use crate::trace::{self, What};

/// Traces live processes.
pub fn main(args: AttachArgs) -> Result<u8, Failure> {
    let habits = Habits::of(&args.trace)?;
    let mut config = settings::resolve(args.trace, &args.filter)?;
    if !args.pids.is_empty() {
        config.targets.pids = args.pids;
    }
    if config.targets.pids.is_empty() {
        return Err(Failure::Usage(
            "no process given: tracenet attach --pid PID (pgrep NAME finds one)".into(),
        ));
    }
    trace::trace(&config, What::Live, None, habits)
}
