//! The rules behind drops, for the agent. To list them takes nft(8), CAP_NET_ADMIN, and CAP_SYS_ADMIN for other network
//! namespaces, all of which the agent gives up; so a process of its own keeps them and answers. It is asked of drops, in
//! packets on a socket, and ends with it.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, getsockopt, recv, send, socketpair, sockopt,
};
use serde::{Deserialize, Serialize};
use tracenet_collectors::firewall::Watch;
use tracenet_core::event::{DropEvent, Event, EventKind};
use tracenet_core::record::{self, Head};
use tracenet_core::time::MonoNs;

use super::confine;
use crate::child;
use crate::failure::Failure;
use crate::privilege::Effective;

/// Drops of one question at most; of more, no rule is told.
const MOST: usize = 64;

/// Longest question or answer, bytes. A drop takes some 400, with its rules.
const MOST_BYTES: usize = 128 << 10;

/// So long the agent waits for an answer. One that comes later is for nobody, and until then nothing is asked.
const PATIENCE_MS: u16 = 250;

/// A question, and its answer: drops, by number.
#[derive(Serialize, Deserialize)]
struct Message {
    number: u64,
    drops: Vec<DropEvent>,
}

/// The agent's end.
pub struct Rules {
    child: Child,
    socket: OwnedFd,
    asked: u64,
    answered: u64,
    gone: bool,
}

impl Rules {
    /// Starts the process, before anything is given up. `None` where CAP_NET_ADMIN is missing, without which no rule can
    /// be read.
    ///
    /// # Errors
    /// What is missing otherwise, in one line.
    pub fn start() -> Result<Option<Self>, String> {
        let effective = Effective::read();
        if !effective.has(caps::Capability::CAP_NET_ADMIN.index()) {
            return Ok(None);
        }
        if !effective.sees_symbols() {
            return Err(
                "the kernel hides at which hook: give CAP_SYSLOG, and set kernel.kptr_restrict to 0 or 1"
                    .to_owned(),
            );
        }
        if child::command_path("nft").is_none() {
            return Err("there is no nft program: install nftables, or leave CAP_NET_ADMIN out".to_owned());
        }
        let started = || -> io::Result<Self> {
            let (socket, its) =
                socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
            let child = Command::new("/proc/self/exe")
                .arg0("tracenet")
                .arg("firewall-rules")
                .stdin(Stdio::from(its))
                .stdout(Stdio::null())
                .spawn()?;
            Ok(Self { child, socket, asked: 0, answered: 0, gone: false })
        };
        started().map(Some).map_err(|e| format!("the process that asks for them can't be started: {e}"))
    }

    /// Says of each drop by netfilter which rule can have done it, as far as that is known in time.
    pub fn explain(&mut self, events: &mut [Event]) {
        let mut drops: Vec<&mut DropEvent> =
            events.iter_mut().filter_map(|e| by_netfilter(&mut e.kind)).take(MOST).collect();
        if drops.is_empty() || self.gone {
            return;
        }
        if let Err(e) = self.ask(&mut drops) {
            self.gone = true;
            tracing::warn!("which rules drop packets is told no more: {e}");
        }
    }

    fn ask(&mut self, drops: &mut [&mut DropEvent]) -> io::Result<()> {
        while self.answered < self.asked {
            // It is still at an older question.
            if self.answer(PollTimeout::ZERO)?.is_none() {
                return Ok(());
            }
        }
        self.asked += 1;
        let question = Message { number: self.asked, drops: drops.iter().map(|d| (**d).clone()).collect() };
        say(&self.socket, &question)?;
        let Some(answer) = self.answer(PATIENCE_MS.into())? else { return Ok(()) };
        for (d, told) in drops.iter_mut().zip(answer.drops) {
            d.details = told.details;
        }
        Ok(())
    }

    fn answer(&mut self, patience: PollTimeout) -> io::Result<Option<Message>> {
        match poll(&mut [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)], patience) {
            Ok(0) | Err(Errno::EINTR) => return Ok(None),
            Err(e) => return Err(e.into()),
            Ok(_) => {}
        }
        let answer = hear(&self.socket)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        self.answered = answer.number;
        Ok(Some(answer))
    }
}

impl Drop for Rules {
    fn drop(&mut self) {
        // It may be listing rules, which nobody waits for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn by_netfilter(kind: &mut EventKind) -> Option<&mut DropEvent> {
    match kind {
        EventKind::Drop(d) if &*d.reason == "NETFILTER_DROP" => Some(d),
        _ => None,
    }
}

fn say(to: &impl AsRawFd, message: &Message) -> io::Result<()> {
    let mut bytes = Vec::new();
    record::encode(message, &mut bytes).map_err(io::Error::other)?;
    send(to.as_raw_fd(), &bytes, MsgFlags::MSG_NOSIGNAL)?;
    Ok(())
}

/// `None`: the other end is gone.
fn hear(from: &impl AsRawFd) -> io::Result<Option<Message>> {
    let mut bytes = vec![0; MOST_BYTES];
    let n = loop {
        match recv(from.as_raw_fd(), &mut bytes, MsgFlags::empty()) {
            Err(Errno::EINTR) => {}
            other => break other?,
        }
    };
    if n == 0 {
        return Ok(None);
    }
    let (head, rest) = bytes[..n].split_first_chunk::<{ Head::LEN }>().ok_or(io::ErrorKind::InvalidData)?;
    let message = Head::read(*head).and_then(|head| record::decode(head, rest));
    message.map(Some).map_err(io::Error::other)
}

/// The other process: answers until the agent has ended.
pub fn serve() -> Result<u8, Failure> {
    let socket = io::stdin();
    if getsockopt(&socket, sockopt::SockType) != Ok(SockType::SeqPacket) {
        return Err(Failure::Usage(
            "firewall-rules is what `tracenet agent` asks for rules, and nobody else".into(),
        ));
    }
    // Otherwise it is called after /proc/self/exe.
    let _ = nix::sys::prctl::set_name(c"tracenet-rules");
    for signal_of_all in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        // They are for the agent, with which this one ends.
        // SAFETY: no handler is installed.
        let _ = unsafe { signal(signal_of_all, SigHandler::SigIgn) };
    }
    for trouble in confine::confine_to_rules() {
        tracing::warn!("rules of the packet filter: {trouble}");
    }
    let broken = |e: io::Error| Failure::Runtime(format!("rules of the packet filter are told no more: {e}"));
    let mut watch = Watch::sparing();
    while let Some(Message { number, drops }) = hear(&socket).map_err(broken)? {
        let event = |d| Event { t: MonoNs::default(), kind: EventKind::Drop(Box::new(d)) };
        let mut events: Vec<Event> = drops.into_iter().map(event).collect();
        watch.explain(&mut events);
        let drops = events.into_iter().filter_map(|e| match e.kind {
            EventKind::Drop(d) => Some(*d),
            _ => None,
        });
        match say(&socket, &Message { number, drops: drops.collect() }) {
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => break,
            other => other.map_err(broken)?,
        }
    }
    Ok(0)
}
