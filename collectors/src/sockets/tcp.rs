//! What TCP says of a connection: `struct tcp_info` (include/uapi/linux/tcp.h), and of its congestion control.

use super::inet::{
    INET_DIAG_BBRINFO, INET_DIAG_CONG, INET_DIAG_DCTCPINFO, INET_DIAG_INFO, INET_DIAG_ULP_INFO,
    INET_DIAG_VEGASINFO,
};
use super::message::{Attributes, Fields};

/// All of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tcp {
    /// The kernel's numbers.
    pub info: TcpInfo,
    /// Name of the congestion control.
    pub congestion: Option<Box<str>>,
    /// Vegas' own round-trip time, microseconds.
    pub vegas_rtt_us: Option<u32>,
    /// What DCTCP says.
    pub dctcp: Option<Dctcp>,
    /// What BBR says.
    pub bbr: Option<Bbr>,
    /// Name of the upper layer protocol, such as `tls`.
    pub ulp: Option<Box<str>>,
}

/// `struct tcp_info`: the kernel's names, times in microseconds but for `last_...` (milliseconds), rates in bytes a
/// second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the kernel's own names")]
pub struct TcpInfo {
    pub backoff: u8,
    /// `TCPI_OPT_...`
    pub options: u8,
    pub snd_wscale: u8,
    pub rcv_wscale: u8,
    pub delivery_rate_app_limited: bool,
    pub rto: u32,
    pub ato: u32,
    pub snd_mss: u32,
    pub rcv_mss: u32,
    pub unacked: u32,
    pub sacked: u32,
    pub lost: u32,
    pub retrans: u32,
    pub fackets: u32,
    pub last_data_sent: u32,
    pub last_data_recv: u32,
    pub last_ack_recv: u32,
    pub pmtu: u32,
    pub rcv_ssthresh: u32,
    pub rtt: u32,
    pub rttvar: u32,
    pub snd_ssthresh: u32,
    pub snd_cwnd: u32,
    pub advmss: u32,
    pub reordering: u32,
    pub rcv_rtt: u32,
    pub rcv_space: u32,
    pub total_retrans: u32,
    pub pacing_rate: u64,
    pub max_pacing_rate: u64,
    pub bytes_acked: u64,
    pub bytes_received: u64,
    pub segs_out: u32,
    pub segs_in: u32,
    pub notsent_bytes: u32,
    pub min_rtt: u32,
    pub data_segs_in: u32,
    pub data_segs_out: u32,
    pub delivery_rate: u64,
    pub busy_time: u64,
    pub rwnd_limited: u64,
    pub sndbuf_limited: u64,
    pub delivered: u32,
    pub delivered_ce: u32,
    pub bytes_sent: u64,
    pub bytes_retrans: u64,
    pub dsack_dups: u32,
    pub reord_seen: u32,
    pub rcv_ooopack: u32,
    pub snd_wnd: u32,
    pub rcv_wnd: u32,
}

/// `struct tcp_dctcp_info`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the kernel's own names")]
pub struct Dctcp {
    /// False where the peer has no ECN and it goes on as Reno.
    pub enabled: bool,
    pub ce_state: u16,
    pub alpha: u32,
    pub ab_ecn: u32,
    pub ab_tot: u32,
}

/// `struct tcp_bbr_info`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bbr {
    /// Bytes a second.
    pub bw: u64,
    /// Microseconds.
    pub min_rtt: u32,
    /// In 256ths.
    pub pacing_gain: u32,
    /// In 256ths.
    pub cwnd_gain: u32,
}

/// Takes one attribute of a TCP socket; those of no interest are left out.
pub(super) fn attribute(to: &mut Option<Box<Tcp>>, attribute: u16, value: Fields<'_>) {
    match attribute {
        INET_DIAG_INFO => to.get_or_insert_default().info = info(value),
        INET_DIAG_CONG => to.get_or_insert_default().congestion = text(value),
        INET_DIAG_VEGASINFO => to.get_or_insert_default().vegas_rtt_us = vegas_rtt(value),
        INET_DIAG_DCTCPINFO => {
            to.get_or_insert_default().dctcp = Some(Dctcp {
                enabled: value.u16(0) != 0,
                ce_state: value.u16(2),
                alpha: value.u32(4),
                ab_ecn: value.u32(8),
                ab_tot: value.u32(12),
            });
        }
        INET_DIAG_BBRINFO => {
            to.get_or_insert_default().bbr = Some(Bbr {
                bw: u64::from(value.u32(4)) << 32 | u64::from(value.u32(0)),
                min_rtt: value.u32(8),
                pacing_gain: value.u32(12),
                cwnd_gain: value.u32(16),
            });
        }
        INET_DIAG_ULP_INFO => {
            const INET_ULP_INFO_NAME: u16 = 1;
            let name = Attributes::of(value.0).find(|(attribute, _)| *attribute == INET_ULP_INFO_NAME);
            to.get_or_insert_default().ulp = name.and_then(|(_, name)| text(name));
        }
        _ => {}
    }
}

fn text(value: Fields<'_>) -> Option<Box<str>> {
    let text = value.0.split(|b| *b == 0).next()?;
    Some(String::from_utf8_lossy(text).into())
}

/// `struct tcpvegas_info`: enabled, count, rtt, least rtt.
fn vegas_rtt(value: Fields<'_>) -> Option<u32> {
    const NONE: u32 = 0x7fff_ffff;
    let (enabled, rtt) = (value.u32(0), value.u32(8));
    (enabled != 0 && rtt != 0 && rtt != NONE).then_some(rtt)
}

fn info(v: Fields<'_>) -> TcpInfo {
    TcpInfo {
        backoff: v.u8(4),
        options: v.u8(5),
        // Bit fields begin at the low end on the machines that tracenet is built for.
        snd_wscale: v.u8(6) & 0xf,
        rcv_wscale: v.u8(6) >> 4,
        delivery_rate_app_limited: v.u8(7) & 1 != 0,
        rto: v.u32(8),
        ato: v.u32(12),
        snd_mss: v.u32(16),
        rcv_mss: v.u32(20),
        unacked: v.u32(24),
        sacked: v.u32(28),
        lost: v.u32(32),
        retrans: v.u32(36),
        fackets: v.u32(40),
        last_data_sent: v.u32(44),
        last_data_recv: v.u32(52),
        last_ack_recv: v.u32(56),
        pmtu: v.u32(60),
        rcv_ssthresh: v.u32(64),
        rtt: v.u32(68),
        rttvar: v.u32(72),
        snd_ssthresh: v.u32(76),
        snd_cwnd: v.u32(80),
        advmss: v.u32(84),
        reordering: v.u32(88),
        rcv_rtt: v.u32(92),
        rcv_space: v.u32(96),
        total_retrans: v.u32(100),
        pacing_rate: v.u64(104),
        max_pacing_rate: v.u64(112),
        bytes_acked: v.u64(120),
        bytes_received: v.u64(128),
        segs_out: v.u32(136),
        segs_in: v.u32(140),
        notsent_bytes: v.u32(144),
        min_rtt: v.u32(148),
        data_segs_in: v.u32(152),
        data_segs_out: v.u32(156),
        delivery_rate: v.u64(160),
        busy_time: v.u64(168),
        rwnd_limited: v.u64(176),
        sndbuf_limited: v.u64(184),
        delivered: v.u32(192),
        delivered_ce: v.u32(196),
        bytes_sent: v.u64(200),
        bytes_retrans: v.u64(208),
        dsack_dups: v.u32(216),
        reord_seen: v.u32(220),
        rcv_ooopack: v.u32(224),
        snd_wnd: v.u32(228),
        rcv_wnd: v.u32(232),
    }
}
