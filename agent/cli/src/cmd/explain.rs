//! `tracenet explain`: the slow and the damaged turns, of a live process or of a recording.

use tracenet_config::{Config, Format, Time};

use crate::args::{ExplainArgs, TraceArgs};
use crate::cmd::replay;
use crate::failure::Failure;
use crate::focus::Explain;
use crate::settings;
use crate::strace::Habits;
use crate::trace::{self, What};

/// Tells nothing but turns, each with what it waited for and what proves it.
pub fn main(args: ExplainArgs) -> Result<u8, Failure> {
    let explain = Explain { conn: args.conn };
    if let Some(file) = &args.file {
        let mut config = Config::default();
        config.output.format = if args.json { Format::Json } else { Format::Text };
        config.output.file = args.output;
        config.output.slow = args.slow.map(Time);
        config.output.color = args.color.map_or(config.output.color, Into::into);
        return replay::tell(file, &config, Some(explain), Habits::default());
    }
    let trace = TraceArgs {
        follow: u8::from(args.follow),
        interface: args.interface,
        json: args.json,
        output: args.output,
        record: args.record,
        duration: args.duration,
        slow: args.slow,
        color: args.color,
        config: args.config,
        ..TraceArgs::default()
    };
    let mut config = settings::resolve(trace, &[])?;
    config.output.quiet = false;
    if !args.pids.is_empty() {
        config.targets.pids = args.pids;
    }
    if config.targets.pids.is_empty() {
        return Err(Failure::Usage(
            "nothing to explain: tracenet explain --pid PID, or FILE.tnrec that tracenet record has written"
                .into(),
        ));
    }
    trace::trace(&config, What::Live, Some(explain), Habits::default())
}
