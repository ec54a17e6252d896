//! Runs a command under strace, under tracenet, or under both at once.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use super::compare::{Score, compare};
use super::lines::Trace;
use super::normalise::{self, Normal};

/// Flags that both tools are given.
pub const FLAGS: &[&str] = &["-f", "-yy", "-s", "256", "-v"];

/// A command, where it runs, and what it reads.
#[derive(Debug, Clone)]
pub struct Job {
    /// Program and arguments.
    pub command: Vec<OsString>,
    /// Its working folder.
    pub folder: std::path::PathBuf,
}

/// A run that both saw: compared as it is.
pub fn beside(job: &Job, flags: &[&str]) -> Result<Score> {
    let work = tempfile::tempdir()?;
    let (theirs, ours) = (work.path().join("strace"), work.path().join("tracenet"));
    let mut command = tracenet(&ours, flags);
    command.arg("strace").args(flags).arg("-o").arg(&theirs).args(&job.command);
    finish(command, job)?;
    let (theirs, ours) = (read(&theirs)?, read(&ours)?);
    let (theirs, ours) = (Trace::of_strace(&theirs), Trace::of_strace(&ours));
    let mut score = Score::default();
    for (n, thread) in theirs.threads.iter().enumerate() {
        let mine = ours.thread(thread.tid).map_or(&[][..], |t| &t.calls);
        // What the first process did before it became the command, only tracenet saw.
        let before = match thread.calls.first() {
            Some(first) if n == 0 => mine
                .iter()
                .position(|c| c.starts_with(first.split(',').next().unwrap_or("")) && !c.contains(" = -1")),
            _ => None,
        };
        compare(&thread.calls, &mine[before.unwrap_or(0)..], &mut score);
    }
    Ok(score)
}

/// Runs of their own, normalised: tracenet against strace, and strace against strace, which no tool can beat.
pub struct Apart {
    /// tracenet's lines against strace's.
    pub score: Score,
    /// Those of another run of strace.
    pub ceiling: Score,
}

/// Runs the command three times; `before` makes its folder as it was.
pub fn apart(job: &Job, flags: &[&str], mut before: impl FnMut() -> Result<()>) -> Result<Apart> {
    before()?;
    let first = under_strace(job, flags)?;
    before()?;
    let second = under_strace(job, flags)?;
    before()?;
    let ours = under_tracenet(job, flags)?;
    Ok(Apart { score: by_place(&first, &ours), ceiling: by_place(&first, &second) })
}

/// Threads of the same place in the tree of forks are compared; one that only one side has counts as different.
fn by_place(theirs: &[Normal], ours: &[Normal]) -> Score {
    let mut score = Score::default();
    let find = |side: &[Normal], place: &str| side.iter().position(|n| n.place == place);
    for n in theirs {
        let mine = find(ours, &n.place).and_then(|at| ours.get(at)).map_or(&[][..], |m| &m.calls);
        compare(&n.calls, mine, &mut score);
    }
    for n in ours.iter().filter(|n| find(theirs, &n.place).is_none()) {
        compare(&[], &n.calls, &mut score);
    }
    score
}

fn under_strace(job: &Job, flags: &[&str]) -> Result<Vec<Normal>> {
    let work = tempfile::tempdir()?;
    let file = work.path().join("strace");
    let mut command = Command::new("strace");
    crate::agent::clean_environment(&mut command);
    command.args(flags).arg("-o").arg(&file).args(&job.command);
    finish(command, job)?;
    Ok(normalise::threads(&Trace::of_strace(&read(&file)?)))
}

fn under_tracenet(job: &Job, flags: &[&str]) -> Result<Vec<Normal>> {
    let work = tempfile::tempdir()?;
    let file = work.path().join("tracenet");
    let mut command = tracenet(&file, flags);
    command.args(&job.command);
    finish(command, job)?;
    Ok(normalise::threads(&Trace::of_strace(&read(&file)?)))
}

/// `tracenet run` as far as the command.
fn tracenet(output: &Path, flags: &[&str]) -> Command {
    let mut command = crate::agent::command();
    command.arg("run").args(flags).args(["--strace", "-o"]).arg(output).arg("--");
    command
}

fn finish(mut command: Command, job: &Job) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    command.current_dir(&job.folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let status = command.status().with_context(|| name.clone())?;
    ensure!(status.code() != Some(127), "{name}: {:?} was not found", job.command);
    Ok(())
}

fn read(file: &Path) -> Result<String> {
    let bytes = std::fs::read(file).with_context(|| file.display().to_string())?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
