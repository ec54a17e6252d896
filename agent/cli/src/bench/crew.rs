//! The workers, in a network namespace with nothing but a loopback, each on its CPU.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use nix::sched::{CloneFlags, CpuSet, sched_getaffinity, sched_setaffinity, unshare};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use nix::sys::time::TimeValLike;
use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;
use serde::Serialize;

use super::worker::{Role, Workload};
use crate::failure::Failure;

/// One measurement.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Run {
    /// How often the operation was done.
    pub operations: u64,
    /// How long that took.
    pub wall_ns: u64,
    /// CPU time of those who did it: of a request, client and server.
    pub cpu_ns: u64,
}

impl Run {
    /// Nanoseconds of an operation.
    pub fn ns(&self) -> f64 {
        self.wall_ns as f64 / self.operations as f64
    }

    /// CPU time of an operation.
    pub fn cpu_ns(&self) -> f64 {
        self.cpu_ns as f64 / self.operations as f64
    }
}

/// Everybody who works, or is traced while others do.
pub struct Crew {
    /// Does what it does alone.
    hand: Worker,
    /// Asks the server; apart from the hand, so that a tracer can have the server alone, as a tracer of one has.
    client: Worker,
    server: Worker,
    idle: Worker,
    address: SocketAddr,
}

impl Crew {
    /// Starts them. The process is in a network namespace of its own from then on, so that nobody else's traffic is measured.
    pub fn start() -> Result<Self, Failure> {
        unshare(CloneFlags::CLONE_NEWNET).map_err(|e| {
            Failure::Privilege(format!("cannot make a network namespace ({e}): run tracenet bench as root"))
        })?;
        loopback_up().map_err(|e| Failure::Runtime(format!("cannot set the loopback up: {e}")))?;
        let (first, second) = two_cpus()?;
        let (server, address) = Worker::start(Role::Server, first)?;
        let address = address
            .parse()
            .map_err(|_| Failure::Runtime(format!("the server of bench has no address: '{address}'")))?;
        let hand = Worker::start(Role::Hand, second)?.0;
        let client = Worker::start(Role::Hand, second)?.0;
        Ok(Self { hand, client, server, idle: Worker::start(Role::Idle, second)?.0, address })
    }

    /// Whom a tracer has: those who do the work, at a request the server.
    pub fn targets(&self) -> Vec<u32> {
        vec![self.hand.pid(), self.server.pid()]
    }

    /// The client, which is nobody's target.
    pub fn client(&self) -> u32 {
        self.client.pid()
    }

    /// Somebody who does nothing.
    pub fn idle(&self) -> u32 {
        self.idle.pid()
    }

    /// Lets one be done for so long.
    pub fn run(&mut self, workload: Workload, time: Duration) -> Result<Run, Failure> {
        let alone = workload != Workload::Request;
        let pids = if alone { vec![self.hand.pid()] } else { vec![self.client.pid(), self.server.pid()] };
        let before: u64 = pids.iter().map(|pid| cpu_ns(*pid)).sum();
        let worker = if alone { &mut self.hand } else { &mut self.client };
        let answer = worker.ask(&format!("{} {} {}", workload.name(), time.as_nanos(), self.address))?;
        let cpu_ns = pids.iter().map(|pid| cpu_ns(*pid)).sum::<u64>().saturating_sub(before);
        let mut numbers = answer.split_whitespace().filter_map(|n| n.parse().ok());
        match (numbers.next(), numbers.next()) {
            (Some(operations @ 1..), Some(wall_ns @ 1..)) => Ok(Run { operations, wall_ns, cpu_ns }),
            _ => Err(Failure::Runtime(format!("a worker of bench said '{answer}'"))),
        }
    }
}

struct Worker {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Worker {
    /// Starts one on a CPU; the other value is what it says first.
    fn start(role: Role, cpu: usize) -> Result<(Self, String), Failure> {
        let fail = |e: &dyn std::fmt::Display| Failure::Runtime(format!("cannot start a worker: {e}"));
        let me = std::env::current_exe().map_err(|e| fail(&e))?;
        let role = match role {
            Role::Hand => "hand",
            Role::Server => "server",
            Role::Idle => "idle",
        };
        let mut child = Command::new(me)
            .args(["bench", "--worker", role])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| fail(&e))?;
        let (Some(to), Some(from)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(fail(&"no pipes"));
        };
        let mut worker = Self { child, to, from: BufReader::new(from) };
        let first = worker.line()?;
        let mut cpus = CpuSet::new();
        cpus.set(cpu).map_err(|e| fail(&e))?;
        sched_setaffinity(Pid::from_raw(worker.pid().cast_signed()), &cpus).map_err(|e| fail(&e))?;
        Ok((worker, first))
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }

    fn line(&mut self) -> Result<String, Failure> {
        let mut line = String::new();
        match self.from.read_line(&mut line) {
            Ok(1..) => Ok(line.trim_end().to_owned()),
            Ok(0) => Err(Failure::Runtime("a worker of bench has ended".into())),
            Err(e) => Err(Failure::Runtime(format!("cannot read a worker's answer: {e}"))),
        }
    }

    fn ask(&mut self, work: &str) -> Result<String, Failure> {
        writeln!(self.to, "{work}")
            .map_err(|e| Failure::Runtime(format!("cannot tell a worker what to do: {e}")))?;
        self.line()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// CPU time of a process, all threads, in nanoseconds; 0 of one that has ended.
pub fn cpu_ns(pid: u32) -> u64 {
    clock_getcpuclockid(Pid::from_raw(pid.cast_signed()))
        .and_then(|clock| clock.now())
        .ok()
        .and_then(|time| u64::try_from(time.num_nanoseconds()).ok())
        .unwrap_or(0)
}

/// The first two CPUs on which this process may run; the same twice where there is one.
fn two_cpus() -> Result<(usize, usize), Failure> {
    let allowed = sched_getaffinity(Pid::from_raw(0))
        .map_err(|e| Failure::Runtime(format!("cannot tell the CPUs: {e}")))?;
    let mut cpus = (0..CpuSet::count()).filter(|cpu| allowed.is_set(*cpu).unwrap_or(false));
    let first = cpus.next().ok_or_else(|| Failure::Runtime("no CPU to run on".into()))?;
    Ok((first, cpus.next().unwrap_or(first)))
}

/// netdevice(7): a new namespace's loopback is down.
fn loopback_up() -> nix::Result<()> {
    let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    // SAFETY: all zero is a valid value of it.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING | libc::IFF_LOOPBACK) as libc::c_short;
    // SAFETY: an open socket, and a request that lives through the call.
    let done = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) };
    nix::errno::Errno::result(done).map(drop)
}
