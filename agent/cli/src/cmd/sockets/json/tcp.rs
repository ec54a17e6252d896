//! What TCP says of a connection, for `--json`.

use serde::Serialize;
use tracenet_collectors::sockets::Tcp;
use tracenet_core::summary::KernelTcp;

use super::MS;

/// `tcp_info`
#[derive(Debug, Serialize)]
pub struct TcpLine<'a> {
    #[serde(flatten)]
    kernel: KernelTcp,
    congestion: Option<&'a str>,
    rto_us: u32,
    ato_us: u32,
    rcv_rtt_us: u32,
    backoff: u8,
    pmtu: u32,
    advmss: u32,
    rcv_mss: u32,
    unacked: u32,
    sacked: u32,
    retrans: u32,
    notsent_bytes: u32,
    data_segs_in: u32,
    data_segs_out: u32,
    delivered: u32,
    last_sent_ns: u64,
    last_received_ns: u64,
    last_ack_ns: u64,
    busy_ns: u64,
    rwnd_limited_ns: u64,
    sndbuf_limited_ns: u64,
    pacing_bytes_per_second: Option<u64>,
    delivery_bytes_per_second: u64,
}

impl<'a> TcpLine<'a> {
    /// Everything, the kernel's numbers with their units in the names.
    pub fn new(tcp: &'a Tcp) -> Self {
        let i = &tcp.info;
        let us = |n: u64| n.saturating_mul(1_000);
        Self {
            kernel: KernelTcp {
                srtt_us: i.rtt,
                rttvar_us: i.rttvar,
                min_rtt_us: i.min_rtt,
                snd_cwnd: i.snd_cwnd,
                snd_ssthresh: i.snd_ssthresh,
                total_retrans: i.total_retrans,
                bytes_acked: i.bytes_acked,
                bytes_received: i.bytes_received,
                bytes_sent: i.bytes_sent,
                bytes_retrans: i.bytes_retrans,
                segs_in: i.segs_in,
                segs_out: i.segs_out,
                snd_wnd: i.snd_wnd,
                rcv_wnd: i.rcv_wnd,
                mss_cache: i.snd_mss,
                lost: i.lost,
                reordering: i.reordering,
                dsack_dups: i.dsack_dups,
                rcv_ooopack: i.rcv_ooopack,
            },
            congestion: tcp.congestion.as_deref(),
            rto_us: i.rto,
            ato_us: i.ato,
            rcv_rtt_us: i.rcv_rtt,
            backoff: i.backoff,
            pmtu: i.pmtu,
            advmss: i.advmss,
            rcv_mss: i.rcv_mss,
            unacked: i.unacked,
            sacked: i.sacked,
            retrans: i.retrans,
            notsent_bytes: i.notsent_bytes,
            data_segs_in: i.data_segs_in,
            data_segs_out: i.data_segs_out,
            delivered: i.delivered,
            last_sent_ns: u64::from(i.last_data_sent) * MS,
            last_received_ns: u64::from(i.last_data_recv) * MS,
            last_ack_ns: u64::from(i.last_ack_recv) * MS,
            busy_ns: us(i.busy_time),
            rwnd_limited_ns: us(i.rwnd_limited),
            sndbuf_limited_ns: us(i.sndbuf_limited),
            // All ones: no limit.
            pacing_bytes_per_second: Some(i.pacing_rate).filter(|rate| *rate != u64::MAX),
            delivery_bytes_per_second: i.delivery_rate,
        }
    }
}
