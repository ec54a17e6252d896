//! The network namespaces in which targets live: those of the beginning, and those that a target moves into later
//! (`ip netns exec`, a container runtime).

use std::collections::BTreeSet;

use crossbeam_channel::Sender;
use tracenet_collectors::capture::{BUFFER_BYTES, CaptureOptions, SNAPLEN_HEADERS};
use tracenet_collectors::netns;
use tracenet_config::Config;
use tracenet_core::key::NetnsCookie;
use tracenet_core::merge::SourceId;
use tracenet_probes::{FlowFilter, Totals};

use crate::engine::Message;
use crate::failure::Failure;
use crate::governor::Taps;
use crate::incident::Activity;
use crate::namespace::{Assignment, NamespaceThread};
use crate::sinks;

/// Namespaces that get a thread and a capture; in further ones only sockets, syscalls and drops are seen.
const MAX_NAMESPACES: usize = 64;

/// Most bytes of the ring of a namespace that a target moves into: 64 MiB take 30 ms to set up, in which a program that
/// has just begun may be done. This takes 15, most of it a wait that every ring has (packet_set_ring's synchronize_net).
const LATE_BUFFER_BYTES: i32 = 8 << 20;

/// Bytes of a packet that the flight recorder keeps: whole ones of an Ethernet, while one that the card has yet to cut
/// into segments (64 KiB) would push out forty others.
const SNAPLEN_RECORDER: i32 = 2 << 10;

/// One thread for each namespace.
pub struct Namespaces<'a> {
    config: &'a Config,
    filter: Option<FlowFilter>,
    totals: Totals,
    to: Sender<Message>,
    activity: Activity,
    taps: Taps,
    threads: Vec<NamespaceThread>,
    /// Inode numbers that were looked at, those that could not be entered too.
    seen: BTreeSet<u32>,
    /// Names of sources that were given.
    named: u16,
}

impl<'a> Namespaces<'a> {
    /// None yet.
    pub fn new(
        config: &'a Config,
        filter: Option<FlowFilter>,
        totals: Totals,
        to: Sender<Message>,
        activity: Activity,
    ) -> Self {
        let (taps, threads, seen) = (Taps::default(), Vec::new(), BTreeSet::new());
        Self { config, filter, totals, to, activity, taps, threads, seen, named: 0 }
    }

    /// Whether packets come, of all captures, those to come too.
    pub fn taps(&self) -> Taps {
        self.taps.clone()
    }

    /// The threads so far.
    pub fn threads(&self) -> &[NamespaceThread] {
        &self.threads
    }

    /// The threads, at the end.
    pub fn into_threads(self) -> Vec<NamespaceThread> {
        self.threads
    }

    /// Cookie of a namespace, where a thread lives in it.
    pub fn cookie(&self, inum: u32) -> Option<NetnsCookie> {
        self.threads.iter().find(|n| n.ready.inum == inum).map(|n| n.ready.netns)
    }

    /// Makes sure that somebody watches the namespace `inum`, in which `pid` lives. Returns the thread if it is new.
    /// Where a capture was not asked for by `-w`, what can't be had is warned of and done without.
    pub fn add(&mut self, pid: u32, inum: u32) -> Result<Option<&NamespaceThread>, Failure> {
        self.watch(pid, inum, i32::MAX)
    }

    fn watch(&mut self, pid: u32, inum: u32, most_bytes: i32) -> Result<Option<&NamespaceThread>, Failure> {
        if !self.seen.insert(inum) {
            return Ok(None);
        }
        if self.threads.len() >= MAX_NAMESPACES {
            sinks::warn(&format!(
                "no packets and no counters of netns {inum}: {MAX_NAMESPACES} are watched already"
            ));
            return Ok(None);
        }
        self.named = self.named.checked_add(1).unwrap_or(1);
        let index = self.named;
        let wanted = self.config.capture.enabled && self.filter.is_some();
        let thread = NamespaceThread::start(
            Assignment {
                pid,
                capture: wanted.then(|| {
                    let options = capture_options(self.config, index);
                    CaptureOptions { buffer_bytes: options.buffer_bytes.min(most_bytes), ..options }
                }),
                filter: self.filter.clone(),
                source: SourceId(index),
                totals: self.totals.clone(),
                host: self.threads.is_empty(),
                activity: self.activity.clone(),
            },
            self.to.clone(),
        );
        let mut thread = match thread {
            Ok(t) => t,
            // Without setns the sockets, syscalls and drops of that namespace are still told.
            Err(Failure::Privilege(text)) if self.config.capture.write.is_none() => {
                sinks::warn(&format!("{text}; no packets and no counters of the network namespace of {pid}"));
                return Ok(None);
            }
            // It has ended since, which the ring tells; others may live there.
            Err(Failure::NotFound(_)) => {
                self.seen.remove(&inum);
                return Ok(None);
            }
            Err(e) => return Err(e),
        };
        if let Some(problem) = &thread.ready.problem {
            if self.config.capture.write.is_some() {
                return Err(if problem.is_privilege() {
                    Failure::Privilege(problem.to_string())
                } else {
                    Failure::Runtime(problem.to_string())
                });
            }
            sinks::warn(&format!("{problem}; the packet view is off"));
        }
        if let Some(tap) = thread.ready.tap.take() {
            self.taps.add(tap);
        }
        self.threads.push(thread);
        Ok(self.threads.last())
    }

    /// Ends the threads of namespaces in which none of these processes lives. Returns the names of their sources, and the namespaces.
    pub fn leave_all_but(&mut self, pids: &[u32]) -> Vec<(SourceId, u32)> {
        let inhabited: Vec<u32> = pids.iter().filter_map(|pid| netns::inode_of(*pid).ok()).collect();
        let (kept, left): (Vec<_>, Vec<_>) = std::mem::take(&mut self.threads)
            .into_iter()
            .partition(|thread| inhabited.contains(&thread.ready.inum));
        self.threads = kept;
        // What could not be entered may be entered another time.
        self.seen.retain(|inum| inhabited.contains(inum));
        let mut gone = Vec::new();
        for thread in left {
            thread.stop();
            gone.push((thread.source, thread.ready.inum));
        }
        gone
    }

    /// A target runs something new, or uses a socket of another namespace: is it one that nobody watches? A failure
    /// is no reason to end a run that goes on elsewhere.
    pub fn follow(&mut self, pid: u32, inum: Option<u32>) -> Option<&NamespaceThread> {
        // The namespace of a socket may be one that its owner has left: only the owner's own can be entered by it.
        let own = netns::inode_of(pid).ok()?;
        if inum.is_some_and(|n| n != own) || self.seen.contains(&own) {
            return None;
        }
        match self.watch(pid, own, LATE_BUFFER_BYTES) {
            Ok(thread) => thread,
            Err(e) => {
                sinks::warn(&format!("{e}; no packets and no counters of netns {own}"));
                None
            }
        }
    }
}

fn capture_options(config: &Config, source: u16) -> CaptureOptions {
    let most = match (&config.capture.write, config.recorder.bytes) {
        (Some(_), _) => i32::MAX,
        (None, Some(_)) => SNAPLEN_RECORDER,
        // Headers are all that the analysis needs.
        (None, None) => SNAPLEN_HEADERS,
    };
    let snaplen = i32::try_from(config.capture.snaplen).unwrap_or(i32::MAX);
    CaptureOptions {
        interface: config.capture.interface.clone(),
        filter: config.capture.filter.clone(),
        snaplen: snaplen.min(most),
        buffer_bytes: i32::try_from(config.capture.buffer_bytes.0).unwrap_or(BUFFER_BYTES),
        keep_frames: most > SNAPLEN_HEADERS,
        source,
        netns: NetnsCookie::default(),
    }
}
