//! The command of `tracenet run`: forked, held before its first instruction, released once the probes are on.

use std::ffi::{CString, OsString};
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use nix::sys::signal::{SigSet, SigmaskHow, Signal, pthread_sigmask};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{AccessFlags, ForkResult, Pid, access, execvp, fork};

use crate::failure::Failure;

/// A forked child that waits for [`Held::release`]. Dropped unreleased, the child exits without having run.
pub struct Held {
    pid: Pid,
    name: String,
    go: PipeWriter,
    exec_error: PipeReader,
}

impl Held {
    /// Forks. Call it while the process has one thread only: the child runs Rust code before its exec.
    pub fn fork(command: Vec<OsString>) -> Result<Self, Failure> {
        let fail = |e: &dyn std::fmt::Display| Failure::Runtime(format!("cannot start the command: {e}"));
        let name = command.first().map(|c| c.to_string_lossy().into_owned()).unwrap_or_default();
        let argv = command
            .into_iter()
            .map(|a| CString::new(a.into_vec()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| Failure::Usage("the command contains a NUL byte".into()))?;
        let program = command_path(&name).and_then(|p| CString::new(p.into_os_string().into_vec()).ok());
        let (mut wait, go) = std::io::pipe().map_err(|e| fail(&e))?;
        let (exec_error, mut tell) = std::io::pipe().map_err(|e| fail(&e))?;
        // SAFETY: no other thread exists yet (this function's contract), so the child may run any code.
        match unsafe { fork() }.map_err(|e| fail(&e))? {
            ForkResult::Parent { child } => Ok(Self { pid: child, name, go, exec_error }),
            ForkResult::Child => {
                drop(go);
                drop(exec_error);
                let mut byte = [0];
                if wait.read_exact(&mut byte).is_err() {
                    std::process::exit(1);
                }
                let _ = pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None);
                // SAFETY: restores the default action that the Rust runtime changed; no handler is installed.
                let _ = unsafe {
                    nix::sys::signal::signal(Signal::SIGPIPE, nix::sys::signal::SigHandler::SigDfl)
                };
                // One path, so that a failed attempt at each folder of PATH is not the command's.
                let Some(program) = program.as_ref().or(argv.first()) else { std::process::exit(1) };
                let error = execvp(program, &argv).err().unwrap_or(nix::errno::Errno::EINVAL);
                let _ = tell.write_all(&(error as i32).to_ne_bytes());
                std::process::exit(127);
            }
        }
    }

    /// The command, as it was given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Process id.
    pub fn pid(&self) -> u32 {
        self.pid.as_raw().unsigned_abs()
    }

    /// Lets the child exec. An exec that fails comes back as an error.
    pub fn release(mut self) -> Result<Running, Failure> {
        self.go
            .write_all(&[1])
            .map_err(|e| Failure::Runtime(format!("the command died before it ran: {e}")))?;
        let mut errno = [0; 4];
        if self.exec_error.read_exact(&mut errno).is_ok() {
            let errno = nix::errno::Errno::from_raw(i32::from_ne_bytes(errno));
            let _ = waitpid(self.pid, None);
            let text = format!("cannot execute {}: {}", self.name, errno.desc());
            return Err(if errno == nix::errno::Errno::ENOENT {
                Failure::NotFound(text)
            } else {
                Failure::Runtime(text)
            });
        }
        Ok(Running { pid: self.pid })
    }
}

/// The file that execvp(3) would run: the first of that name in PATH that may be executed; `None` where the name says
/// the path itself, or nothing is found.
/// Where `PATH` has a program of this name.
pub fn command_path(name: &str) -> Option<PathBuf> {
    if name.is_empty() || name.contains('/') {
        return None;
    }
    let runs = |p: &PathBuf| p.is_file() && access(p, AccessFlags::X_OK).is_ok();
    std::env::split_paths(&std::env::var_os("PATH")?).map(|folder| folder.join(name)).find(runs)
}

/// A child that runs.
pub struct Running {
    pid: Pid,
}

impl Running {
    /// Process id.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Waits for its end: its exit status, 128+n where signal n killed it.
    pub fn wait(self) -> u8 {
        loop {
            match waitpid(self.pid, None) {
                Ok(WaitStatus::Exited(_, status)) => return (status & 0xff) as u8,
                Ok(WaitStatus::Signaled(_, signal, _)) => return 128 + signal as u8,
                Ok(_) | Err(nix::errno::Errno::EINTR) => {}
                // The child was reaped elsewhere: its status is not known.
                Err(_) => return 1,
            }
        }
    }
}
