//! Ctrl-C and its relatives, as messages.

use crossbeam_channel::Sender;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, pthread_sigmask};
use nix::sys::signalfd::SignalFd;

use crate::engine::Message;
use crate::failure::Failure;

/// Blocks the signals that end a run, for this thread and all that it will start, and hands them to `to` as
/// messages; SIGUSR1 too, where it has a meaning. Call it before any other thread exists.
pub fn block(usr1: bool) -> Result<SigSet, Failure> {
    let mut set = SigSet::empty();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        set.add(signal);
    }
    if usr1 {
        set.add(Signal::SIGUSR1);
    }
    pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&set), None)
        .map_err(|e| Failure::Runtime(format!("cannot block signals: {e}")))?;
    Ok(set)
}

/// Waits for the blocked signals in a thread of its own. The first one asks for the summary; a second one ends
/// the process at once, as a shell would see it.
pub fn forward(set: SigSet, to: Sender<Message>) -> Result<(), Failure> {
    let fd = SignalFd::new(&set).map_err(|e| Failure::Runtime(format!("cannot create a signalfd: {e}")))?;
    std::thread::Builder::new()
        .name("tracenet-signal".into())
        .spawn(move || {
            let mut seen = false;
            while let Ok(Some(info)) = fd.read_signal() {
                let number = i32::try_from(info.ssi_signo).unwrap_or(0);
                let Ok(signal) = Signal::try_from(number) else { continue };
                if signal == Signal::SIGUSR1 {
                    if to.send(Message::Freeze).is_err() {
                        return;
                    }
                    continue;
                }
                if seen {
                    std::process::exit(128 + number);
                }
                seen = true;
                let from_terminal = info.ssi_code == libc::SI_KERNEL;
                if to.send(Message::Signal { signal, from_terminal }).is_err() {
                    return;
                }
            }
        })
        .map(drop)
        .map_err(|e| Failure::Runtime(format!("cannot start the signal thread: {e}")))
}
