//! Live capture through libpcap, in the calling thread's network namespace.
//!
//! A capture is opened with its gate shut: a one-instruction kernel filter rejects everything and what had come
//! before it is thrown away. The caller attaches the eBPF flow filter to [`Capture::fd`], which replaces the gate in
//! one step, so no packet is ever delivered that the flow filter didn't pass.

mod tap;

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use pcap::{Active, Linktype, Precision};
use tracenet_core::event::{Event, EventKind, Frame, LossSource, Packet};
use tracenet_core::filling::Filling;
use tracenet_core::key::NetnsCookie;
use tracenet_core::time::{ClockOffset, MonoNs, WallNs};

pub use tap::Tap;

mod ends;
mod error;
mod expression;

pub use ends::Ends;
pub use error::CaptureError;
pub use expression::Expression;

use crate::clock::mono_now;
use crate::decode::{LinkType, decode_frame};
use crate::interfaces;
use crate::opening::opening;

/// Bytes that hold every header tracenet reads: a cooked header, IPv6 with extension headers, TCP with all options; in most
/// packets also the line of a request and the headers of TLS records.
pub const SNAPLEN_HEADERS: i32 = 256;

/// libpcap's largest snapshot length: whole frames, also those of large receive and send offload.
pub const SNAPLEN_FULL: i32 = 262_144;

/// Default size of the kernel's ring, bytes. With 2 MiB, short bursts were lost.
pub const BUFFER_BYTES: i32 = 64 << 20;

/// Up to this snapshot length the ring has a slot per packet and each packet can be read at once (TPACKET_V2).
/// Above, such a ring would hold a few hundred packets: there, packets are packed into blocks (TPACKET_V3) that
/// become readable when full or after a while. Blocks would cost the traced less (2.4 instead of 2.9 us a request), but are
/// closed half empty, and a reader that gets little of the CPUs loses packets then of which slots hold all.
const SLOT_MAX: i32 = 4_096;

/// Period of the timer that closes blocks which are not full.
const BLOCK_MS: i32 = 2;

/// Age at which a block is readable for sure. The kernel's timer closes a block that it has seen open before, so after
/// up to two periods, and rounds periods up to its tick, which is 10 ms where it is slowest.
const BLOCK_DELAY: Duration = Duration::from_millis(20);

/// libpcap knows the loopback interface by this name too.
const LOOPBACK: &str = "lo";

/// What to capture and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaptureOptions {
    /// Interface name, or `any`.
    pub interface: String,
    /// tcpdump expression that narrows the capture further.
    pub filter: Option<String>,
    /// Bytes kept of each packet, 1..=[`SNAPLEN_FULL`].
    pub snaplen: i32,
    /// Size of the kernel's ring, bytes.
    pub buffer_bytes: i32,
    /// Hand the frames on with the packets, for [`crate::pcapng`].
    pub keep_frames: bool,
    /// Number of this capture in [`Frame::source`].
    pub source: u16,
    /// Cookie of the namespace, written into each packet.
    pub netns: NetnsCookie,
}

impl Default for CaptureOptions {
    fn default() -> Self {
        Self {
            interface: "any".into(),
            filter: None,
            snaplen: SNAPLEN_HEADERS,
            buffer_bytes: BUFFER_BYTES,
            keep_frames: false,
            source: 0,
            netns: NetnsCookie::default(),
        }
    }
}

/// What a capture is, for the interface description of a capture file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// [`CaptureOptions::source`].
    pub source: u16,
    /// Interface name.
    pub name: String,
    /// Free text for the reader, for example which namespace it is.
    pub description: Option<String>,
    /// Link type of the frames.
    pub link_type: LinkType,
    /// Bytes kept of each packet.
    pub snaplen: u32,
    /// tcpdump expression.
    pub filter: Option<String>,
}

/// What one call of [`Capture::read_batch`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Batch {
    /// Frames taken from the ring, also those that the expression rejected or that hold no TCP or UDP.
    pub read: usize,
    /// Nothing more can be read now.
    pub emptied: bool,
    /// Time of the last of them, and so of all that were read.
    pub through: Option<MonoNs>,
}

/// Counts since [`Capture::start`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CaptureStats {
    /// Packets that passed the kernel filter, those dropped for want of room in the ring included.
    pub received: u64,
    /// Packets dropped because the ring was full. On `any`, packets of lo pass twice, so that one lost may count
    /// as two (unless the flow filter leaves out lo's outgoing ones).
    pub dropped: u64,
    /// Packets that the interface itself dropped, as its driver counts (never known for `any`).
    pub if_dropped: u64,
    /// Packets handed on as events.
    pub delivered: u64,
    /// Packets that the tcpdump expression rejected.
    pub rejected: u64,
    /// Packets without a TCP or UDP header (other protocols, later fragments, damaged).
    pub undecoded: u64,
}

/// A live capture.
pub struct Capture {
    handle: pcap::Capture<Active>,
    expression: Option<Expression>,
    link: Link,
    link_type: LinkType,
    ifindex: u32,
    options: CaptureOptions,
    what: Arc<str>,
    /// libpcap's own totals are 32 bits wide: kept here to count on from.
    last: (u32, u32, u32),
    stats: CaptureStats,
    told_dropped: u64,
    filling: Filling,
    gone: bool,
}

impl Capture {
    /// Opens a capture in the calling thread's network namespace, with its gate shut.
    ///
    /// # Errors
    /// [`CaptureError`], one line with the remedy.
    pub fn open(options: CaptureOptions) -> Result<Self, CaptureError> {
        let name = options.interface.as_str();
        let inactive = pcap::Capture::from_device(name)
            .map_err(|e| CaptureError::open(name, &e))?
            // Only sockets of this host matter: there is no need to see others' frames.
            .promisc(false)
            .snaplen(options.snaplen.clamp(1, SNAPLEN_FULL))
            .buffer_size(options.buffer_bytes)
            .timeout(BLOCK_MS)
            .immediate_mode(options.snaplen <= SLOT_MAX)
            .precision(Precision::Nano);
        let handle = inactive.open().map_err(|e| CaptureError::open(name, &e))?;
        let mut handle = handle.setnonblock().map_err(|e| CaptureError::open(name, &e))?;
        shut_gate(handle.as_fd()).map_err(|e| CaptureError::Filter { interface: name.into(), source: e })?;
        if name == LOOPBACK {
            ignore_outgoing(handle.as_fd());
        }

        let mut dlt = handle.get_datalink();
        // The second version of the cooked header tells the interface of each packet.
        if dlt == Linktype::LINUX_SLL && handle.set_datalink(Linktype::LINUX_SLL2).is_ok() {
            dlt = Linktype::LINUX_SLL2;
        }
        let link_type = LinkType::from_dlt(dlt.0);
        if !link_type.is_known() {
            return Err(CaptureError::LinkType { interface: name.into(), dlt: dlt.0 });
        }
        let expression = match options.filter.as_deref().map(str::trim) {
            None | Some("") => None,
            Some(text) => Some(Expression::compile(text, dlt)?),
        };
        let link = Link {
            source: options.source,
            name: options.interface.clone(),
            description: None,
            link_type,
            snaplen: options.snaplen.clamp(1, SNAPLEN_FULL).unsigned_abs(),
            filter: expression.as_ref().map(|e| e.text().to_owned()),
        };
        let ifindex = if name == "any" { 0 } else { interfaces::index(name).unwrap_or(0) };
        let what = Arc::from(name);
        let mut capture = Self {
            handle,
            expression,
            link,
            link_type,
            ifindex,
            options,
            what,
            last: (0, 0, 0),
            stats: CaptureStats::default(),
            told_dropped: 0,
            filling: Filling::default(),
            gone: false,
        };
        capture.drain()?;
        Ok(capture)
    }

    /// The packet socket: to attach the eBPF flow filter to (SO_ATTACH_BPF), and to poll(2) for reading.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.handle.as_fd()
    }

    /// A hold on whether it gets packets.
    ///
    /// # Errors
    /// Where no descriptor is left.
    pub fn tap(&self) -> std::io::Result<Tap> {
        Tap::of(self.fd(), self.ifindex)
    }

    /// Begins. Where the caller attached a filter to [`Self::fd`] it stays; else every packet passes from now on.
    ///
    /// # Errors
    /// The kernel refuses to take the gate away.
    pub fn start(&mut self) -> Result<(), CaptureError> {
        open_gate(self.fd())
            .map_err(|source| CaptureError::Filter { interface: self.link.name.clone(), source })?;
        self.stats = CaptureStats::default();
        self.told_dropped = 0;
        self.filling.emptied();
        if let Ok(s) = self.handle.stats() {
            self.last = (s.received, s.dropped, s.if_dropped);
        }
        Ok(())
    }

    /// How long a packet may lie in the ring before it can be read. A source that has been emptied at time `t`
    /// has given everything up to `t - max_delay()`.
    pub fn max_delay(&self) -> Duration {
        if self.options.snaplen <= SLOT_MAX { Duration::ZERO } else { BLOCK_DELAY }
    }

    /// Takes up to `max` frames from the ring, never waiting, and appends their events to `out`, stamped with
    /// the packet's time on the monotonic clock by `offset`. Frames lost since the last call follow as
    /// [`EventKind::Lost`].
    ///
    /// # Errors
    /// [`CaptureError::Gone`] when the interface was removed or went down; what was read before is in `out`.
    pub fn read_batch(
        &mut self,
        max: usize,
        offset: ClockOffset,
        out: &mut Vec<Event>,
    ) -> Result<Batch, CaptureError> {
        if self.gone {
            return Ok(Batch { emptied: true, ..Batch::default() });
        }
        let mut batch = Batch::default();
        let failed = loop {
            if batch.read >= max {
                break None;
            }
            match self.handle.next_packet() {
                Ok(p) => {
                    batch.read += 1;
                    let wall = stamp(&p.header.ts);
                    let t = offset.mono(wall);
                    batch.through = Some(t);
                    self.filling.held(t);
                    if self.expression.as_ref().is_some_and(|x| !x.matches(p.data, p.header.len)) {
                        self.stats.rejected += 1;
                        continue;
                    }
                    let Ok(d) = decode_frame(self.link_type, p.data, p.header.len) else {
                        self.stats.undecoded += 1;
                        continue;
                    };
                    self.stats.delivered += 1;
                    let frame = self
                        .options
                        .keep_frames
                        .then(|| Frame { source: self.options.source, data: p.data.into() });
                    let packet = Packet {
                        netns: self.options.netns,
                        ifindex: d.ifindex.unwrap_or(self.ifindex),
                        wall,
                        tuple: d.tuple,
                        wire_len: p.header.len,
                        ip_id: d.ip_id,
                        payload_len: d.payload_len,
                        tcp: d.tcp,
                        opening: d.tcp.and_then(|_| opening(d.payload)),
                        frame,
                    };
                    out.push(Event { t, kind: EventKind::Packet(Box::new(packet)) });
                }
                Err(pcap::Error::TimeoutExpired) => {
                    batch.emptied = true;
                    break None;
                }
                Err(e) => break Some(e),
            }
        };
        if batch.read > 0 {
            self.tell_losses(out);
        }
        if batch.emptied {
            self.filling.emptied();
        }
        match failed {
            None => Ok(batch),
            Some(e) => {
                self.gone = true;
                Err(CaptureError::read(&self.link.name, &e))
            }
        }
    }

    /// Appends [`EventKind::Lost`] if frames were dropped that no event told of yet: one where that may have begun, and one
    /// of now.
    pub fn tell_losses(&mut self, out: &mut Vec<Event>) {
        let t = mono_now();
        let begun = self.filling.look(t);
        let dropped = self.stats().dropped;
        let count = dropped - self.told_dropped;
        if count > 0 {
            self.told_dropped = dropped;
            for (t, count) in [(begun, 0), (t, count)] {
                let what = Arc::clone(&self.what);
                out.push(Event { t, kind: EventKind::Lost { source: LossSource::Capture, what, count } });
            }
        }
    }

    /// Totals since [`Self::start`].
    pub fn stats(&mut self) -> CaptureStats {
        // After the interface is gone the last totals stand.
        if let Ok(now) = self.handle.stats() {
            self.stats.received += u64::from(now.received.wrapping_sub(self.last.0));
            self.stats.dropped += u64::from(now.dropped.wrapping_sub(self.last.1));
            self.stats.if_dropped += u64::from(now.if_dropped.wrapping_sub(self.last.2));
            self.last = (now.received, now.dropped, now.if_dropped);
        }
        self.stats
    }

    /// Description for the capture file.
    pub fn link(&self) -> Link {
        self.link.clone()
    }

    /// Throws away what came before the gate was shut. Ends, since nothing comes any more.
    fn drain(&mut self) -> Result<(), CaptureError> {
        loop {
            match self.handle.next_packet() {
                Ok(_) => {}
                Err(pcap::Error::TimeoutExpired) => return Ok(()),
                Err(e) => return Err(CaptureError::read(&self.link.name, &e)),
            }
        }
    }
}

/// With nanosecond precision libpcap stores nanoseconds in `tv_usec` (pcap_set_tstamp_precision(3PCAP)).
fn stamp(ts: &libc::timeval) -> WallNs {
    let secs = u64::try_from(ts.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(ts.tv_usec).unwrap_or(0);
    WallNs(secs.saturating_mul(1_000_000_000).saturating_add(nanos))
}

/// `BPF_RET | BPF_K` with 0: rejects every packet.
const REJECT: libc::sock_filter = libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: 0 };

fn shut_gate(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    let mut program = [REJECT];
    let fprog = libc::sock_fprog { len: 1, filter: program.as_mut_ptr() };
    // SAFETY: `fprog` points to one valid instruction, and the kernel copies it during the call.
    let rc = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const fprog).cast(),
            size_of::<libc::sock_fprog>() as libc::socklen_t,
        )
    };
    Errno::result(rc).map(drop)
}

/// A packet on lo passes the socket twice, and libpcap throws the outgoing copy away: it need not take room in the
/// ring, nor be counted when there is none.
fn ignore_outgoing(fd: BorrowedFd<'_>) {
    let one = 1 as libc::c_int;
    // SAFETY: the option's value is an int that lives through the call.
    unsafe {
        // Before Linux 4.20 the option isn't there, and only the room is lost.
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_PACKET,
            PACKET_IGNORE_OUTGOING,
            (&raw const one).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        );
    }
}

/// include/uapi/linux/if_packet.h
const PACKET_IGNORE_OUTGOING: libc::c_int = 23;

/// Takes our one-instruction filter away, and leaves any other in place.
fn open_gate(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    if !gate_is_shut(fd) {
        return Ok(());
    }
    let none = 0 as libc::c_int;
    // SAFETY: the option's value is ignored by the kernel, but must be an int.
    let rc = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_DETACH_FILTER,
            (&raw const none).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    Errno::result(rc).map(drop)
}

/// SO_GET_FILTER tells the number of classic instructions, and refuses for an eBPF filter with EACCES
/// (net/core/filter.c, `sk_get_filter`).
fn gate_is_shut(fd: BorrowedFd<'_>) -> bool {
    let mut program = [libc::sock_filter { code: 0, jt: 0, jf: 0, k: 0 }; 1];
    // The length is counted in instructions here, not in bytes.
    let mut len: libc::socklen_t = 1;
    // SAFETY: `program` has room for the one instruction that `len` announces; the kernel writes no more.
    let rc = unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            program.as_mut_ptr().cast(),
            &raw mut len,
        )
    };
    rc == 0 && len == 1 && program[0].code == REJECT.code && program[0].k == REJECT.k
}
