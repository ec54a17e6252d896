//! tracenet: what a process asked of the network, what was lost, where, why, and whose time it cost.

mod args;
mod child;
mod closing;
mod cmd;
mod engine;
mod failure;
mod identity;
mod namespace;
mod output;
mod paint;
mod privilege;
mod report;
mod settings;
mod signals;
mod sinks;
mod sources;
mod story;
mod targets;
mod trace;
mod units;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, Command};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        Command::Attach(args) => cmd::attach::main(args),
        Command::Run(args) => cmd::run::main(args),
        Command::Doctor { json } => cmd::doctor::main(json),
        Command::Config { action } => cmd::config::main(action),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            sinks::warn(&failure.to_string());
            ExitCode::from(failure.code())
        }
    }
}
