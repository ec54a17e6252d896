//! Features of flows made by hand.

use super::*;
use crate::event::TcpOptions;
use crate::ip::IpOptions;

const MS: u64 = 1_000_000;

/// MSS 1460, SACK permitted, timestamps, no operation, window scale 7.
const SYN_OPTIONS: [u8; 20] = [2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7];

struct Flow {
    features: Features,
    t_ns: u64,
    ip: IpFacts,
    verdicts: Verdicts,
}

impl Flow {
    fn new() -> Self {
        let ip = IpFacts { version: 4, ttl: 64, id: Some(1), total_len: 40, ..IpFacts::default() };
        Self { features: Features::new(), t_ns: 1_000 * MS, ip, verdicts: Verdicts::NONE }
    }

    /// One millisecond after the one before.
    fn send(&mut self, from: Direction, flags: u8, seq: u32, ack: u32, window: u16, len: u32) {
        let mut seg = Segment { seq, ack, window, flags, options: TcpOptions::default() };
        let mut options: &[u8] = &[];
        if flags & tcp_flags::SYN != 0 {
            seg.options.mss = Some(1460);
            seg.options.window_scale = Some(7);
            options = &SYN_OPTIONS;
        }
        self.packet(from, Some((&seg, options)), len);
    }

    fn packet(&mut self, from: Direction, tcp: Option<(&Segment, &[u8])>, len: u32) {
        let seen = Seen {
            t: WallNs(self.t_ns),
            ip: &self.ip,
            tcp: tcp.map(|(seg, _)| seg),
            options: tcp.map_or(&[], |(_, options)| options),
            payload_len: len,
            wire_len: len.saturating_add(54),
            verdicts: self.verdicts,
            bad_ip_checksum: false,
            bad_checksum: false,
            cut: false,
        };
        self.features.packet(from, &seen);
        self.t_ns = self.t_ns.wrapping_add(MS);
    }

    fn value(&self, direction: Direction, name: &str) -> Value {
        feature(name).unwrap_or_else(|| panic!("no feature {name}")).value(&self.features, direction)
    }

    fn is(&self, direction: Direction, name: &str, want: impl Into<Value>) {
        assert_eq!(self.value(direction, name), want.into(), "{name} of {direction:?}");
    }
}

use Direction::{A, B};
use tcp_flags::{ACK, FIN, PSH, RST, SYN, URG};

/// Handshake, 100 bytes there, 300 back, both close.
fn conversation() -> Flow {
    let mut f = Flow::new();
    f.send(A, SYN, 1000, 0, 64240, 0);
    f.send(B, SYN | ACK, u32::MAX - 100, 1001, 65160, 0);
    f.send(A, ACK, 1001, u32::MAX - 99, 502, 0);
    f.send(A, PSH | ACK, 1001, u32::MAX - 99, 502, 100);
    f.send(B, ACK, u32::MAX - 99, 1101, 500, 0);
    f.send(B, PSH | ACK, u32::MAX - 99, 1101, 510, 300);
    f.send(A, ACK, 1101, 200, 502, 0);
    f.send(A, FIN | ACK, 1101, 200, 502, 0);
    f.send(B, FIN | ACK, 200, 1102, 510, 0);
    f.send(A, ACK, 1102, 201, 502, 0);
    f
}

#[test]
fn a_conversation_tells_what_each_side_sent() {
    let f = conversation();
    f.is(A, "packets", 6_u32);
    f.is(B, "packets", 4_u32);
    f.is(A, "payload_bytes", 100_u64);
    f.is(B, "peer_payload_bytes", 100_u64);
    f.is(A, "isn", 1000_u32);
    f.is(A, "seq_bytes", 100_u64);
    f.is(B, "seq_bytes", 300_u64);
    f.is(A, "acked_bytes", 300_u64);
    f.is(B, "acked_bytes", 100_u64);
    f.is(A, "in_sequence", 5_u32);
    f.is(B, "in_sequence", 4_u32);
    f.is(A, "acks", 5_u32);
    f.is(A, "max_bytes_in_flight", 100_u32);
    f.is(B, "max_bytes_in_flight", 300_u32);
    assert_eq!(f.value(A, "tcp_flags"), Value::Bits(0x011b, 4));
    assert_eq!(f.value(B, "tcp_flags"), Value::Bits(0x031b, 4));
    assert_eq!(f.value(A, "tcp_anomaly"), Value::Bits(0, 4));
}

#[test]
fn windows_are_scaled_once_both_sides_agreed() {
    let f = conversation();
    f.is(A, "window_initial", 64240_u32);
    f.is(A, "window_max", 502_u32 << 7);
    f.is(A, "window_min", 64240_u32);
    f.is(B, "window_down", 1_u32);
    f.is(B, "window_up", 1_u32);
    f.is(B, "window_turns", 1_u32);
    f.is(A, "window_scale", 7_u8);
    f.is(A, "ja4t", Value::Text("64240_2-4-8-1-3_1460_7".into()));
    f.is(B, "ja4t", Value::Text("65160_2-4-8-1-3_1460_7".into()));
}

#[test]
fn trips_are_told_from_the_side_that_waits() {
    let f = conversation();
    f.is(A, "handshake_trip", Value::Time(MS));
    f.is(B, "handshake_trip", Value::Time(MS));
    f.is(A, "handshake_round_trip", Value::Time(2 * MS));
    f.is(A, "trips", 4_u32);
    f.is(A, "trip_min", Value::Time(MS));
    f.is(A, "trip_max", Value::Time(2 * MS));
    f.is(A, "gap_max", Value::Time(3 * MS));
}

#[test]
fn an_unseen_side_is_estimated_by_what_was_acknowledged() {
    let mut f = Flow::new();
    f.send(A, ACK, 1, 5_000, 100, 0);
    f.send(A, ACK, 1, 3_005_000, 100, 0);
    f.is(A, "acked_bytes", 3_000_000_u64);
    f.is(A, "peer_payload_bytes", 0_u64);
    f.is(A, "mss", Value::Absent);
    f.is(A, "handshake_trip", Value::Absent);
}

#[test]
fn probes_that_are_only_knocks_are_scans() {
    for (flags, answer) in [(SYN, RST | ACK), (0, RST | ACK), (FIN | PSH | URG, RST | ACK), (SYN, SYN | ACK)]
    {
        let mut f = Flow::new();
        f.send(A, flags, 7, 0, 1024, 0);
        assert_eq!(f.value(A, "tcp_anomaly"), Value::Bits(0x1000, 4), "{flags:#x}");
        f.send(B, answer, 0, 8, 0, 0);
        assert_eq!(f.value(A, "tcp_anomaly"), Value::Bits(0x3000, 4), "{flags:#x}");
        assert_eq!(f.value(B, "tcp_anomaly"), Value::Bits(0x2000, 4), "{flags:#x}");
    }
    assert_eq!(conversation().value(A, "tcp_anomaly"), Value::Bits(0, 4));
}

#[test]
fn verdicts_become_anomalies() {
    let mut f = conversation();
    f.verdicts = Verdicts::RETRANSMISSION | Verdicts::FAST_RETRANSMISSION;
    f.send(A, ACK, 1001, 201, 502, 100);
    f.verdicts = Verdicts::OUT_OF_ORDER;
    f.send(A, ACK, 1001, 201, 502, 100);
    f.verdicts = Verdicts::LOST_SEGMENT | Verdicts::RETRANSMISSION | Verdicts::SPURIOUS_RETRANSMISSION;
    f.send(A, ACK, 1001, 201, 502, 100);
    assert_eq!(f.value(A, "tcp_anomaly"), Value::Bits(0x02c4, 4));
    f.is(A, "seq_faults", 3_u32);
}

#[test]
fn ip_headers_tell_steps_and_changes() {
    let mut f = Flow::new();
    for (id, ttl, flags) in [(10, 64, 2), (13, 64, 0), (14, 63, 1), (3, 64, 0)] {
        f.ip = IpFacts { id: Some(id), ttl, flags, ..f.ip };
        f.packet(A, None, 8);
    }
    f.is(A, "ip_id_step_min", 1_u32);
    f.is(A, "ip_id_step_max", 3_u32);
    f.is(A, "ttl_min", 63_u8);
    f.is(A, "ttl_changes", 2_u16);
    assert_eq!(f.value(A, "ip_flags"), Value::Bits(0x0064, 4));
    f.is(A, "acks", Value::Absent);
    f.ip.options = IpOptions { count: 1, classes: 0x10, numbers: 1 << 20, ..IpOptions::default() };
    f.packet(B, None, 8);
    f.is(B, "ip_options", 1_u16);
    assert_eq!(f.value(B, "ip_option_numbers"), Value::Bits(0x0010_0000, 8));
}

#[test]
fn a_flow_is_small() {
    // Both directions, and where the messages are that only ICMP has.
    assert!(size_of::<Features>() <= 2 * 450 + size_of::<usize>(), "{}", size_of::<Features>());
}

#[test]
fn every_feature_has_a_value_whatever_was_seen() {
    let mut wild = Flow::new();
    for n in 0..64_u32 {
        let flags = (n.wrapping_mul(37) & 0xff) as u8;
        wild.t_ns = wild.t_ns.wrapping_add(u64::from(n).wrapping_mul(u64::MAX / 7));
        let seq = n.wrapping_mul(0x9e37_79b9);
        wild.send(if n % 3 == 0 { B } else { A }, flags, seq, !seq, n as u16, u32::MAX - n);
    }
    for f in [Flow::new(), conversation(), wild] {
        for direction in [A, B] {
            for feature in CATALOGUE {
                let _ = feature.value(&f.features, direction);
            }
        }
    }
}

#[test]
fn names_are_unique() {
    for (n, one) in CATALOGUE.iter().enumerate() {
        assert!(CATALOGUE.iter().skip(n + 1).all(|other| other.name != one.name), "{}", one.name);
    }
}
