//! Every feature by name: what it says, where Tranalyzer2 says it, and how to get at its value.

use std::borrow::Cow;

use super::bits::{self, Bit};
use super::way::Way;
use super::{Direction, Features};

/// A feature's value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// There is none.
    Absent,
    /// A number.
    Count(u64),
    /// A mean, a share.
    Float(f64),
    /// A set of bits, with the number of hexadecimal digits to print.
    Bits(u64, u8),
    /// A length of time, nanoseconds.
    Time(u64),
    /// A point of time, nanoseconds since the Unix epoch.
    Wall(u64),
    /// A word.
    Text(Cow<'static, str>),
}

/// Who is told of values: no closure, so that each kind of value can be taken where it is made (`inline(always)`).
pub trait Tell {
    /// The value of the next feature.
    fn value(&mut self, value: Value);
}

/// A feature of one direction.
#[derive(Clone, Copy)]
pub struct Feature {
    /// Its name.
    pub name: &'static str,
    /// What it says, with its unit.
    pub meaning: &'static str,
    /// Column of Tranalyzer2, and where it differs; empty where there is none.
    pub tranalyzer: &'static str,
    /// Its bits, if it is a set of bits.
    pub bits: &'static [Bit],
    get: fn(&Of<'_>) -> Value,
}

/// A direction of a flow.
struct Of<'a> {
    all: &'a Features,
    direction: Direction,
    own: &'a Way,
    peer: &'a Way,
}

impl Of<'_> {
    fn is_tcp(&self) -> bool {
        self.own.windows.count > 0
    }

    /// Only where there is TCP.
    fn tcp(&self, value: impl Into<Value>) -> Value {
        if self.is_tcp() { value.into() } else { Value::Absent }
    }

    fn tcp_bits(&self, value: u16) -> Value {
        if self.is_tcp() { Value::Bits(value.into(), 4) } else { Value::Absent }
    }
}

impl Feature {
    /// Its value for a direction of a flow.
    pub fn value(&self, features: &Features, direction: Direction) -> Value {
        let (own, peer) = (features.way(direction), features.way(direction.other()));
        (self.get)(&Of { all: features, direction, own, peer })
    }
}

impl std::fmt::Debug for Feature {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// A feature by its name.
pub fn feature(name: &str) -> Option<&'static Feature> {
    CATALOGUE.iter().find(|f| f.name == name)
}

impl From<u64> for Value {
    fn from(n: u64) -> Self {
        Self::Count(n)
    }
}

impl From<u32> for Value {
    fn from(n: u32) -> Self {
        Self::Count(n.into())
    }
}

impl From<u16> for Value {
    fn from(n: u16) -> Self {
        Self::Count(n.into())
    }
}

impl From<u8> for Value {
    fn from(n: u8) -> Self {
        Self::Count(n.into())
    }
}

impl From<f64> for Value {
    fn from(n: f64) -> Self {
        Self::Float(n)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(n: Option<T>) -> Self {
        n.map_or(Self::Absent, T::into)
    }
}

fn time(ns: Option<u64>) -> Value {
    ns.map_or(Value::Absent, Value::Time)
}

/// (a − b) / (a + b), from −1 to 1; absent where both are zero.
fn asymmetry(a: u64, b: u64) -> Value {
    let sum = a as f64 + b as f64;
    if sum > 0.0 { Value::Float((a as f64 - b as f64) / sum) } else { Value::Absent }
}

fn per_second(n: u64, of: &Way) -> Value {
    match of.last.0.saturating_sub(of.first.0) {
        0 => Value::Absent,
        ns => Value::Float(n as f64 * 1e9 / ns as f64),
    }
}

fn text(text: Option<String>) -> Value {
    text.map_or(Value::Absent, |text| Value::Text(text.into()))
}

macro_rules! catalogue {
    ($($name:ident: $meaning:literal, $t2:literal $(, bits $bits:ident)?, |$of:ident| $value:expr;)*) => {
        impl Features {
            /// Tells the values of all features for a direction, in the order of the table: the same as
            /// [`Feature::value`] of each, in a fraction of the time.
            #[inline]
            pub fn values(&self, direction: Direction, to: &mut impl Tell) {
                let (own, peer) = (self.way(direction), self.way(direction.other()));
                let of = Of { all: self, direction, own, peer };
                $({
                    let $of = &of;
                    to.value($value);
                })*
            }
        }

        /// Every feature, in the order of the table.
        pub const CATALOGUE: &[Feature] = &[$(Feature {
            name: stringify!($name),
            meaning: $meaning,
            tranalyzer: $t2,
            bits: catalogue!(@bits $($bits)?),
            get: |$of| $value,
        },)*];
    };
    (@bits $bits:ident) => { bits::$bits };
    (@bits) => { &[] };
}

catalogue! {
    first: "time of the first packet", "timeFirst", |w| Value::Wall(w.own.first.0);
    last: "time of the last packet", "timeLast", |w| Value::Wall(w.own.last.0);
    duration: "from the first packet to the last, s", "duration",
        |w| Value::Time(w.own.last.0.saturating_sub(w.own.first.0));
    packets: "packets sent", "pktsSnt", |w| w.own.packets.into();
    peer_packets: "packets that the other side sent", "pktsRcvd", |w| w.peer.packets.into();
    wire_bytes: "bytes of the frames on the wire", "", |w| w.own.wire_bytes.into();
    payload_bytes: "bytes above the transport header", "l7BytesSnt", |w| w.own.sizes.sum().into();
    peer_payload_bytes: "the same of the other side", "l7BytesRcvd", |w| w.peer.sizes.sum().into();
    payload_min: "smallest payload of a packet, bytes", "minL7PktSz", |w| w.own.sizes.min().into();
    payload_max: "largest payload of a packet, bytes", "maxL7PktSz", |w| w.own.sizes.max().into();
    payload_mean: "mean payload of a packet, bytes", "avgL7PktSz", |w| w.own.sizes.mean().into();
    payload_deviation: "standard deviation of it, bytes",
        "stdL7PktSz, which sums squared distances from the mean as it is so far and divides by the count",
        |w| w.own.sizes.deviation().into();
    gap_min: "shortest time between packets, s", "minIAT, which counts 0 before the first packet",
        |w| time(w.own.gaps.min());
    gap_max: "longest time between packets, s", "maxIAT", |w| time(w.own.gaps.max());
    gap_mean: "mean time between packets, s", "avgIAT, which counts 0 before the first packet",
        |w| time(w.own.gaps.mean());
    gap_deviation: "standard deviation of it, s", "stdIAT, as gap_mean and payload_deviation",
        |w| time(w.own.gaps.deviation());
    packets_per_second: "packets by the duration", "pktps", |w| per_second(w.own.packets.into(), w.own);
    payload_per_second: "payload bytes by the duration", "bytps", |w| per_second(w.own.sizes.sum(), w.own);
    packet_asymmetry: "(own - other) / (own + other) of packets", "pktAsm",
        |w| asymmetry(w.own.packets.into(), w.peer.packets.into());
    payload_asymmetry: "the same of payload bytes", "bytAsm, 0 where there is no payload",
        |w| asymmetry(w.own.sizes.sum(), w.peer.sizes.sum());

    ip_id_step_min: "smallest step forward of the IPv4 identification",
        "ipMindIPID, which begins anew after a step back", |w| w.own.ip.id_steps.map(|(min, _)| min).into();
    ip_id_step_max: "largest step forward of it", "ipMaxdIPID", |w| w.own.ip.id_steps.map(|(_, max)| max).into();
    ttl_min: "smallest TTL or hop limit", "ipMinTTL", |w| w.own.ip.ttl_min.into();
    ttl_max: "largest TTL or hop limit", "ipMaxTTL", |w| w.own.ip.ttl_max.into();
    ttl_changes: "how often it changed", "ipTTLChg", |w| w.own.ip.ttl_changes.into();
    ip_tos: "type of service, or traffic class, of all packets together", "ipToS", bits IP_TOS,
        |w| Value::Bits(w.own.ip.tos.into(), 2);
    ip_flags: "IP flags, identification, fragments, checksums and time stamps", "ipFlags", bits IP_FLAGS,
        |w| Value::Bits(w.own.ip.flags.into(), 4);
    ip_options: "IPv4 options, or hop-by-hop options of IPv6", "ipOptCnt, ip6OptCntHH_D (first)",
        |w| w.own.ip.options.into();
    ip_option_classes: "bit n: copied flag and class (three high bits of the type) n", "ipOptCpCl_Num (first)",
        |w| Value::Bits(w.own.ip.classes.into(), 2);
    ip_option_numbers: "bit n: option number (five low bits of the type) n", "ipOptCpCl_Num (second), ip6OptHH_D (first)",
        |w| Value::Bits(w.own.ip.numbers.into(), 8);
    ip6_destination_options: "destination options of IPv6", "ip6OptCntHH_D (second)",
        |w| w.own.ip.destination_options.into();
    ip6_destination_option_numbers: "bit n: destination option number n", "ip6OptHH_D (second)",
        |w| Value::Bits(w.own.ip.destination_numbers.into(), 8);

    icmp: "types and codes of ICMP messages, up to six", "icmpBFTypH_TypL_Code, as bits",
        |w| text(w.all.icmp_messages(w.direction));

    isn: "sequence number of the first segment", "tcpISeqN", |w| w.own.tcp.isn.into();
    in_sequence: "segments with ACK that begin where the one before ended", "tcpPSeqCnt", |w| w.tcp(w.own.tcp.in_sequence);
    seq_bytes: "sequence space sent without SYN and FIN, gaps included, bytes",
        "tcpSeqSntBytes, which leaves the last segment out", |w| w.tcp(w.own.tcp.seq_bytes);
    seq_faults: "segments sent again, out of order, or after a gap",
        "tcpSeqFaultCnt, of which the documentation says no more", |w| w.tcp(w.own.tcp.seq_faults);
    acks: "segments with ACK", "tcpPAckCnt", |w| w.tcp(w.own.tcp.acks);
    acked_bytes: "bytes of the other side that this side acknowledged, captured or not",
        "tcpFlwLssAckRcvdBytes, which counts some FIN as a byte", |w| w.tcp(w.own.tcp.acked_bytes);
    ack_faults: "duplicate ACKs", "tcpAckFaultCnt", |w| w.tcp(w.own.tcp.ack_faults);
    max_bytes_in_flight: "most bytes beyond the peer's last acknowledgement", "tcpBFlgtMx",
        |w| w.tcp(w.own.tcp.max_flight);

    window_initial: "first receive window, bytes", "tcpInitWinSz", |w| w.tcp(w.own.windows.initial);
    window_mean: "mean receive window, bytes", "",
        |w| w.tcp((w.own.windows.count > 0).then(|| w.own.windows.sum as f64 / f64::from(w.own.windows.count)));
    window_smoothed: "receive window, each new one with weight 0.3, bytes", "tcpAvgWinSz",
        |w| w.tcp(f64::from(w.own.windows.smoothed));
    window_min: "smallest receive window, bytes", "tcpMinWinSz", |w| w.tcp(w.own.windows.min);
    window_max: "largest receive window, bytes", "tcpMaxWinSz", |w| w.tcp(w.own.windows.max);
    window_down: "how often it shrank", "tcpWinSzDwnCnt", |w| w.tcp(w.own.windows.down);
    window_up: "how often it grew", "tcpWinSzUpCnt", |w| w.tcp(w.own.windows.up);
    window_turns: "how often it turned from shrinking to growing or back", "tcpWinSzChgDirCnt, which once grown counts each time it shrinks",
        |w| w.tcp(w.own.windows.turns);
    window_below_share: "share of segments, SYN and RST left out of them, whose window is shut", "tcpWinSzThRt",
        |w| w.tcp((w.own.windows.count > 0)
            .then(|| f64::from(w.own.windows.below) / f64::from(w.own.windows.count)));

    conn_state: "how the connection went, in Zeek's word (conn.log)", "tcpStatesAFlags, as bits",
        |w| if w.is_tcp() { Value::Text(w.all.conn_state().into()) } else { Value::Absent };
    tcp_flags: "TCP flags of all segments together", "tcpFlags", bits TCP_FLAGS, |w| w.tcp_bits(w.own.tcp.flags);
    tcp_anomaly: "what went wrong", "tcpAnomaly", bits TCP_ANOMALY,
        |w| w.tcp_bits(w.all.anomalies(w.direction));
    tcp_status: "what was in use or happened", "tcpFStat", bits TCP_STATUS, |w| w.tcp_bits(w.all.status(w.direction));
    ja4t: "JA4T of the SYN, JA4TS of the SYN/ACK: window, options, MSS, window scale",
        "tcpJA4T, which repeats the options of a repeated SYN and lacks a separator",
        |w| text(w.all.ja4t(w.direction));

    option_packets: "segments with options", "tcpOptPktCnt", |w| w.tcp(w.own.options.packets);
    options: "options, the end of the list not counted", "tcpOptCnt", |w| w.tcp(w.own.options.count);
    tcp_options: "kinds of options seen", "tcpOptions", bits TCP_OPTIONS,
        |w| if w.is_tcp() { Value::Bits(w.own.options.kinds.into(), 8) } else { Value::Absent };
    mss: "maximum segment size offered, bytes", "tcpMSS", |w| w.own.tcp.mss.into();
    window_scale: "window scale offered, as a shift", "tcpWS, as a factor, 0 where scaling was not agreed",
        |w| w.own.tcp.scale.into();
    mptcp_subtypes: "multipath TCP subtypes", "tcpMPTBF", bits MPTCP_SUBTYPES,
        |w| w.tcp_bits(w.own.options.mptcp.subtypes);
    mptcp_flags: "flags of MP_CAPABLE", "tcpMPF",
        |w| if w.is_tcp() { Value::Bits(w.own.options.mptcp.flags.into(), 2) } else { Value::Absent };
    mptcp_address_id: "last address identifier", "tcpMPAID", |w| w.tcp(w.own.options.mptcp.address_id);
    mptcp_dss: "flags of DSS", "tcpMPDSSF", bits MPTCP_DSS,
        |w| if w.is_tcp() { Value::Bits(w.own.options.mptcp.dss_flags.into(), 2) } else { Value::Absent };
    timestamp: "last timestamp", "tcpTmS", |w| w.own.clock.seen.then_some(w.own.clock.last).into();
    timestamp_echo: "last timestamp echoed", "tcpTmER", |w| w.own.clock.seen.then_some(w.own.clock.echo).into();
    clock_rate: "rate of the timestamp clock, Hz", "tcpEcI, its inverse, guessed where nothing tells it",
        |w| w.own.clock.rate().into();
    uptime: "how long that clock has run, s", "tcpUtm", |w| time(w.own.clock.uptime_ns());
    boot: "when that clock began", "tcpBtm", |w| w.own.clock.boot().map_or(Value::Absent, |t| Value::Wall(t.0));

    handshake_trip: "SYN to SYN/ACK for the side of the SYN, SYN/ACK to ACK for the other, s", "tcpSSASAATrip",
        |w| time(w.all.handshake_trip(w.direction));
    handshake_round_trip: "SYN to ACK, s", "tcpRTTSseqAA (A)", |w| time(w.all.handshake_round_trip());
    trip_min: "shortest time from this side's last packet to the other side's next, s", "tcpRTTAckTripMin",
        |w| time(w.own.trips.min());
    trip_max: "longest such time, s", "tcpRTTAckTripMax", |w| time(w.own.trips.max());
    trip_mean: "mean of such times, s", "tcpRTTAckTripAvg, which counts B's first one twice",
        |w| time(w.own.trips.mean());
    trip_jitter: "standard deviation of such times, s", "tcpRTTAckTripJitAvg, as payload_deviation",
        |w| time(w.own.trips.deviation());
    trips: "how many such times there were", "", |w| w.own.trips.count().into();
}
