//! `tracenet record`

use crate::args::{RecordArgs, TraceArgs};
use crate::child::Held;
use crate::failure::Failure;
use crate::settings;
use crate::strace::Habits;
use crate::trace::{self, What};

/// Traces into a recording; of the story only the summary is printed.
pub fn main(args: RecordArgs) -> Result<u8, Failure> {
    let trace = TraceArgs {
        follow: u8::from(args.follow),
        expressions: args.expressions,
        string_limit: args.string_limit,
        interface: args.interface,
        record: Some(args.output),
        duration: args.duration,
        quiet: 1,
        config: args.config,
        ..TraceArgs::default()
    };
    let habits = Habits::of(&trace)?;
    let mut config = settings::resolve(trace, &args.filter)?;
    if !args.pids.is_empty() || !args.command.is_empty() {
        config.targets.pids = args.pids;
    }
    match (args.command.is_empty(), config.targets.pids.is_empty()) {
        (false, _) => trace::trace(&config, What::Command(Held::fork(args.command)?), None, habits),
        (true, false) => trace::trace(&config, What::Live, None, habits),
        (true, true) => Err(Failure::Usage(
            "nothing to record: tracenet record -p PID -o FILE, or -o FILE -- COMMAND".into(),
        )),
    }
}
