//! One direction of a flow, packet by packet: integers only, nothing is kept of a packet.

use crate::event::{Segment, tcp_flags};
use crate::ip::IpFacts;
use crate::tcp::Verdicts;
use crate::time::WallNs;

use super::bits::{anomaly, combined, ip_flag, status};
use super::clock::Clock;
use super::options::{Kinds, OptionsSeen};
use super::spread::{Sizes, Times};
use super::{Seen, WINDOW_THRESHOLD};

/// Share of the newest window in the smoothed one.
const SMOOTHING: f32 = 0.3;

/// Anomalies that a verdict stands for.
const ANOMALY_OF: [(Verdicts, u16); 7] = [
    (Verdicts::DUPLICATE_ACK, anomaly::DUPLICATE_ACK),
    (Verdicts::KEEP_ALIVE, anomaly::KEEP_ALIVE),
    (Verdicts::KEEP_ALIVE_ACK, anomaly::KEEP_ALIVE_ACK),
    (Verdicts::OUT_OF_ORDER, anomaly::OUT_OF_ORDER),
    (Verdicts::ACK_LOST_SEGMENT, anomaly::ACK_UNSEEN),
    (Verdicts::LOST_SEGMENT, anomaly::PREVIOUS_NOT_CAPTURED),
    (Verdicts::REUSED_PORTS, anomaly::REUSED_PORTS),
];

/// Status bits that a verdict stands for.
const STATUS_OF: [(Verdicts, u16); 5] = [
    (Verdicts::WINDOW_UPDATE, status::WINDOW_UPDATE),
    (Verdicts::ZERO_WINDOW_PROBE, status::ZERO_WINDOW_PROBE),
    (Verdicts::ZERO_WINDOW_PROBE_ACK, status::ZERO_WINDOW_PROBE_ACK),
    (Verdicts::ZERO_WINDOW, status::ZERO_WINDOW),
    (Verdicts::WINDOW_FULL, status::WINDOW_FULL),
];

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Way {
    pub first: WallNs,
    pub last: WallNs,
    pub packets: u32,
    pub wire_bytes: u64,
    pub sizes: Sizes,
    pub gaps: Times,
    /// From this side's last packet to the one that the other side sends after it.
    pub trips: Times,
    pub ip: Ip,
    pub tcp: Tcp,
    pub windows: Windows,
    pub options: OptionsSeen,
    pub clock: Clock,
}

/// What the IP headers told.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Ip {
    last_id: Option<u32>,
    /// Smallest and largest step forward, once there was one.
    pub id_steps: Option<(u32, u32)>,
    pub ttl_min: u8,
    pub ttl_max: u8,
    ttl_last: u8,
    pub ttl_changes: u16,
    pub tos: u8,
    pub flags: u32,
    pub options: u16,
    pub destination_options: u16,
    pub classes: u8,
    pub numbers: u32,
    pub destination_numbers: u32,
}

/// What sequence numbers, flags and the analyser told.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tcp {
    pub isn: Option<u32>,
    /// After the last segment.
    next: Option<u32>,
    /// After the highest segment, SYN and FIN included.
    highest: u32,
    /// Where the FIN is.
    fin: Option<u32>,
    pub seq_bytes: u64,
    last_ack: Option<u32>,
    highest_ack: u32,
    pub acked_bytes: u64,
    pub in_sequence: u32,
    pub seq_faults: u32,
    pub acks: u32,
    pub ack_faults: u32,
    pub max_flight: u32,
    pub flags: u16,
    /// Flags of the first segment.
    pub first_flags: u8,
    pub anomalies: u16,
    pub status: u16,
    pub mss: Option<u16>,
    pub scale: Option<u8>,
    pub syn_window: u16,
    pub kinds: Kinds,
    /// The SYN, or SYN/ACK, was seen.
    pub syn_seen: bool,
    /// It sent the first RST, and not after both sides had closed.
    pub reset_first: bool,
}

/// Receive windows as they were told, scaled where both sides agreed to scale.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Windows {
    pub count: u32,
    pub initial: u32,
    pub min: u32,
    pub max: u32,
    last: u32,
    pub sum: u64,
    pub smoothed: f32,
    pub below: u32,
    pub up: u32,
    pub down: u32,
    pub turns: u32,
    rising: bool,
}

impl Way {
    /// See [`super::Features::fetch`].
    #[inline]
    pub fn fetch(&self) -> u64 {
        self.last.0
            ^ self.wire_bytes
            ^ self.sizes.sum()
            ^ u64::from(self.gaps.count() ^ self.trips.count() ^ self.ip.flags ^ self.tcp.max_flight)
            ^ self.tcp.acked_bytes
            ^ self.windows.sum
            ^ u64::from(self.options.count ^ self.clock.last)
    }

    /// What holds for every protocol.
    #[inline]
    pub fn packet(&mut self, seen: &Seen<'_>) {
        if self.packets == 0 {
            self.first = seen.t;
            self.ip.ttl_min = seen.ip.ttl;
            self.ip.ttl_last = seen.ip.ttl;
        } else {
            if seen.t <= self.last {
                self.ip.flags |= if seen.t == self.last { ip_flag::SAME_TIME } else { ip_flag::TIME_BACK };
            }
            self.gaps.add(seen.t.0.saturating_sub(self.last.0));
        }
        self.last = seen.t;
        self.packets = self.packets.saturating_add(1);
        self.wire_bytes = self.wire_bytes.saturating_add(u64::from(seen.wire_len));
        self.sizes.add(seen.payload_len);
        self.ip.add(seen.ip);
        if seen.bad_ip_checksum {
            self.ip.flags |= ip_flag::BAD_IP_CHECKSUM;
        }
        if seen.bad_checksum {
            self.ip.flags |= ip_flag::BAD_CHECKSUM;
        }
    }

    /// What only TCP has. `peer` is that of the other direction.
    #[inline]
    pub fn segment(&mut self, seen: &Seen<'_>, seg: &Segment, peer: &Tcp) {
        let first = self.windows.count == 0;
        if first {
            self.tcp.first_flags = seg.flags;
        }
        let syn = seg.flags & tcp_flags::SYN != 0;
        if syn {
            self.tcp.syn(seg, seen);
        }
        self.options.add(seen.options);
        self.options.damaged |= seen.cut;
        if let Some((value, echo)) = seg.options.timestamps {
            self.clock.add(seen.t, value, echo);
        }
        self.tcp.sequence(seg, seen.payload_len, peer);
        self.tcp.verdicts(seen.verdicts, syn);
        let agreed = self.tcp.scale.filter(|_| !syn && (peer.scale.is_some() || !peer.syn_seen));
        if agreed.is_some() && peer.syn_seen {
            self.tcp.status |= status::SCALE_USED;
        }
        let window = u32::from(seg.window) << agreed.unwrap_or(0).min(14);
        // RST and SYN say nothing of a buffer that is full.
        let control = seg.flags & (tcp_flags::SYN | tcp_flags::RST) != 0;
        self.windows.add(window, control);
    }
}

impl Ip {
    #[inline]
    fn add(&mut self, ip: &IpFacts) {
        self.ttl_min = self.ttl_min.min(ip.ttl);
        self.ttl_max = self.ttl_max.max(ip.ttl);
        if ip.ttl != self.ttl_last {
            self.ttl_last = ip.ttl;
            self.ttl_changes = self.ttl_changes.saturating_add(1);
        }
        self.tos |= ip.tos;
        self.flags |= u32::from(ip.flags & 7) * ip_flag::MORE_FRAGMENTS;
        if let (Some(id), 4) = (ip.id, ip.version) {
            if let Some(last) = self.last_id {
                match id.checked_sub(last) {
                    Some(step) => {
                        let (min, max) = self.id_steps.unwrap_or((step, step));
                        self.id_steps = Some((min.min(step), max.max(step)));
                    }
                    None => self.flags |= ip_flag::ID_BACK,
                }
            }
            self.last_id = Some(id);
        }
        let o = &ip.options;
        if o.count | o.destination_count != 0 {
            self.options = self.options.saturating_add(u16::from(o.count));
            self.destination_options =
                self.destination_options.saturating_add(u16::from(o.destination_count));
            self.classes |= o.classes;
            self.numbers |= o.numbers;
            self.destination_numbers |= o.destination_numbers;
        }
    }
}

impl Tcp {
    /// A FIN was sent.
    pub fn is_closed(&self) -> bool {
        self.fin.is_some()
    }

    fn syn(&mut self, seg: &Segment, seen: &Seen<'_>) {
        self.mss = seg.options.mss;
        self.scale = seg.options.window_scale;
        if seen.payload_len > 0 {
            self.anomalies |= anomaly::SYN_PAYLOAD;
        }
        if !self.syn_seen {
            self.syn_seen = true;
            self.syn_window = seg.window;
            self.kinds = Kinds::of(seen.options);
        }
    }

    #[inline]
    fn sequence(&mut self, seg: &Segment, len: u32, peer: &Tcp) {
        use tcp_flags::{ACK, FIN, SYN};
        let acks = seg.flags & ACK != 0;
        let after = seg.seq.wrapping_add(len);
        let end = after.wrapping_add(u32::from(seg.flags & (SYN | FIN) != 0));
        match self.next {
            None => {
                self.isn = Some(seg.seq);
                self.highest = seg.seq;
                if acks && peer.last_ack.is_none_or(|ack| ack == seg.seq) {
                    self.in_sequence = 1;
                }
            }
            Some(next) if acks && next == seg.seq => self.in_sequence = self.in_sequence.saturating_add(1),
            Some(_) => {}
        }
        self.next = Some(end);
        let step = end.wrapping_sub(self.highest);
        if (1..1 << 31).contains(&step) {
            self.highest = end;
            let new_fin = seg.flags & FIN != 0 && self.fin != Some(after);
            let controls = u32::from(seg.flags & SYN != 0 || new_fin);
            self.seq_bytes = self.seq_bytes.saturating_add(u64::from(step - step.min(controls)));
        }
        if seg.flags & FIN != 0 {
            self.fin = Some(after);
        }
        if acks {
            self.acks = self.acks.saturating_add(1);
            self.acknowledge(seg.ack, peer);
        }
        if let Some(ack) = peer.last_ack {
            let flight = after.wrapping_sub(ack);
            if flight < 1 << 31 {
                self.max_flight = self.max_flight.max(flight);
            }
        }
        self.flags |= combined(seg.flags);
    }

    #[inline]
    fn acknowledge(&mut self, ack: u32, peer: &Tcp) {
        if self.last_ack.is_none() {
            self.highest_ack = ack;
        }
        self.last_ack = Some(ack);
        let step = ack.wrapping_sub(self.highest_ack);
        if (1..1 << 31).contains(&step) {
            self.highest_ack = ack;
            let fin = u32::from(peer.fin.is_some_and(|fin| fin.wrapping_add(1) == ack));
            self.acked_bytes = self.acked_bytes.saturating_add(u64::from(step - fin));
        }
    }

    #[inline]
    fn verdicts(&mut self, v: Verdicts, syn: bool) {
        if v.is_empty() {
            return;
        }
        let again = Verdicts::RETRANSMISSION;
        let fault = again | Verdicts::OUT_OF_ORDER | Verdicts::LOST_SEGMENT;
        self.seq_faults = self.seq_faults.saturating_add(u32::from(v.intersects(fault)));
        self.ack_faults = self.ack_faults.saturating_add(u32::from(v.contains(Verdicts::DUPLICATE_ACK)));
        if v.contains(again) {
            self.anomalies |= if syn {
                anomaly::SYN_RETRANSMISSION
            } else if v.contains(Verdicts::SPURIOUS_RETRANSMISSION) {
                anomaly::SPURIOUS_RETRANSMISSION
            } else if v.contains(Verdicts::FAST_RETRANSMISSION) {
                anomaly::FAST_RETRANSMISSION
            } else {
                anomaly::TIMEOUT_RETRANSMISSION
            };
        }
        for (verdict, bit) in ANOMALY_OF {
            if v.contains(verdict) {
                self.anomalies |= bit;
            }
        }
        for (verdict, bit) in STATUS_OF {
            if v.contains(verdict) {
                self.status |= bit;
            }
        }
    }
}

impl Windows {
    #[inline]
    fn add(&mut self, window: u32, control: bool) {
        if self.count == 0 {
            (self.initial, self.min, self.smoothed) = (window, window, window as f32);
        } else {
            self.smoothed += (window as f32 - self.smoothed) * SMOOTHING;
            if window != self.last {
                let rises = window > self.last;
                self.up = self.up.saturating_add(u32::from(rises));
                self.down = self.down.saturating_add(u32::from(!rises));
                self.turns = self.turns.saturating_add(u32::from(rises != self.rising));
                self.rising = rises;
            }
        }
        self.count = self.count.saturating_add(1);
        self.min = self.min.min(window);
        self.max = self.max.max(window);
        self.last = window;
        self.sum = self.sum.saturating_add(u64::from(window));
        self.below = self.below.saturating_add(u32::from(window < WINDOW_THRESHOLD && !control));
    }

    pub fn grew(&self) -> bool {
        self.up > 0
    }
}
