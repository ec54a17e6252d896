//! `-i`: ss's words for `struct tcp_info` and the congestion control.

use std::fmt::{self, Write as _};

use tracenet_collectors::sockets::{Bbr, Dctcp, State, Tcp, TcpInfo};

use crate::units::General;

/// `TCPI_OPT_...` (include/uapi/linux/tcp.h) and ss's words.
const OPTIONS: [(u8, &str); 5] = [(1, "ts"), (2, "sack"), (8, "ecn"), (16, "ecnseen"), (32, "fastopen")];
const WSCALE: u8 = 4;

/// The kernel's initial retransmission timeout that ss leaves out, microseconds.
const NO_RTO: u32 = 3_000_000;

/// `TCP_INFINITE_SSTHRESH` and its like.
const NO_SSTHRESH: u32 = 0xffff;

/// Reordering that is assumed until some is seen (net/ipv4/tcp_ipv4.c, sysctl_tcp_reordering).
const REORDERING: u32 = 3;

/// Appends each with a blank before it.
pub fn push(out: &mut String, tcp: &Tcp, state: State, numeric: bool) {
    // A string takes everything.
    let _ = words(out, tcp, state, numeric);
}

fn words(out: &mut String, tcp: &Tcp, state: State, numeric: bool) -> fmt::Result {
    let i = &tcp.info;
    let rate = |bits: f64| Rate { bits, numeric };
    for (_, word) in OPTIONS.iter().filter(|(bit, _)| i.options & bit != 0) {
        write!(out, " {word}")?;
    }
    if let Some(name) = &tcp.congestion {
        write!(out, " {name}")?;
    }
    if i.options & WSCALE != 0 {
        write!(out, " wscale:{},{}", i.snd_wscale, i.rcv_wscale)?;
    }
    if i.rto != NO_RTO {
        named(out, "rto", ms(i.rto))?;
    }
    counted(out, "backoff", i.backoff)?;
    if i.rtt != 0 {
        write!(out, " rtt:{}/{}", General(ms(i.rtt), 6), General(ms(i.rttvar), 6))?;
    }
    named(out, "ato", ms(i.ato))?;
    counted(out, "mss", i.snd_mss)?;
    counted(out, "pmtu", i.pmtu)?;
    counted(out, "rcvmss", i.rcv_mss)?;
    counted(out, "advmss", i.advmss)?;
    counted(out, "cwnd", i.snd_cwnd)?;
    if i.snd_ssthresh < NO_SSTHRESH {
        counted(out, "ssthresh", i.snd_ssthresh)?;
    }
    counted(out, "bytes_sent", i.bytes_sent)?;
    counted(out, "bytes_retrans", i.bytes_retrans)?;
    counted(out, "bytes_acked", i.bytes_acked)?;
    counted(out, "bytes_received", i.bytes_received)?;
    counted(out, "segs_out", i.segs_out)?;
    counted(out, "segs_in", i.segs_in)?;
    counted(out, "data_segs_out", i.data_segs_out)?;
    counted(out, "data_segs_in", i.data_segs_in)?;
    if let Some(dctcp) = &tcp.dctcp {
        dctcp_words(out, dctcp)?;
    }
    if let Some(bbr) = &tcp.bbr {
        bbr_words(out, bbr, numeric)?;
    }
    let rtt = tcp.vegas_rtt_us.unwrap_or(i.rtt);
    if rtt > 0 && i.snd_mss > 0 && i.snd_cwnd > 0 {
        let bits = f64::from(i.snd_cwnd) * f64::from(i.snd_mss) * 8_000_000. / f64::from(rtt);
        write!(out, " send {}bps", rate(bits))?;
    }
    counted(out, "lastsnd", i.last_data_sent)?;
    counted(out, "lastrcv", i.last_data_recv)?;
    counted(out, "lastack", i.last_ack_recv)?;
    let limited = |bytes: u64| bytes != 0 && bytes != u64::MAX;
    if limited(i.pacing_rate) {
        write!(out, " pacing_rate {}bps", rate(bits(i.pacing_rate)))?;
        if limited(i.max_pacing_rate) {
            write!(out, "/{}bps", rate(bits(i.max_pacing_rate)))?;
        }
    }
    if i.delivery_rate != 0 {
        write!(out, " delivery_rate {}bps", rate(bits(i.delivery_rate)))?;
    }
    counted(out, "delivered", i.delivered)?;
    counted(out, "delivered_ce", i.delivered_ce)?;
    if i.delivery_rate_app_limited {
        out.push_str(" app_limited");
    }
    busy(out, i)?;
    counted(out, "unacked", i.unacked)?;
    if i.retrans != 0 || i.total_retrans != 0 {
        write!(out, " retrans:{}/{}", i.retrans, i.total_retrans)?;
    }
    counted(out, "lost", i.lost)?;
    // Of a listener these two are its queue.
    if state != State::Listen {
        counted(out, "sacked", i.sacked)?;
    }
    counted(out, "dsack_dups", i.dsack_dups)?;
    counted(out, "fackets", i.fackets)?;
    if i.reordering != REORDERING {
        write!(out, " reordering:{}", i.reordering)?;
    }
    counted(out, "reord_seen", i.reord_seen)?;
    named(out, "rcv_rtt", ms(i.rcv_rtt))?;
    counted(out, "rcv_space", i.rcv_space)?;
    counted(out, "rcv_ssthresh", i.rcv_ssthresh)?;
    counted(out, "notsent", i.notsent_bytes)?;
    if i.min_rtt != u32::MAX {
        named(out, "minrtt", ms(i.min_rtt))?;
    }
    counted(out, "rcv_ooopack", i.rcv_ooopack)?;
    counted(out, "snd_wnd", i.snd_wnd)?;
    if let Some(name) = &tcp.ulp {
        write!(out, " tcp-ulp-{name}")?;
    }
    Ok(())
}

fn busy(out: &mut String, i: &TcpInfo) -> fmt::Result {
    if i.busy_time == 0 {
        return Ok(());
    }
    write!(out, " busy:{}ms", i.busy_time / 1_000)?;
    for (name, us) in [("rwnd_limited", i.rwnd_limited), ("sndbuf_limited", i.sndbuf_limited)] {
        if us != 0 {
            write!(out, " {name}:{}ms({:.1}%)", us / 1_000, 100. * us as f64 / i.busy_time as f64)?;
        }
    }
    Ok(())
}

fn dctcp_words(out: &mut String, d: &Dctcp) -> fmt::Result {
    if !d.enabled {
        return out.write_str(" dctcp:fallback_mode");
    }
    write!(out, " dctcp:(ce_state:{},alpha:{},ab_ecn:{},ab_tot:{})", d.ce_state, d.alpha, d.ab_ecn, d.ab_tot)
}

fn bbr_words(out: &mut String, bbr: &Bbr, numeric: bool) -> fmt::Result {
    write!(out, " bbr:(bw:{}bps,mrtt:{}", Rate { bits: bits(bbr.bw), numeric }, General(ms(bbr.min_rtt), 6))?;
    for (name, gain) in [("pacing_gain", bbr.pacing_gain), ("cwnd_gain", bbr.cwnd_gain)] {
        if gain != 0 {
            write!(out, ",{name}:{}", General(f64::from(gain) / 256., 6))?;
        }
    }
    out.write_char(')')
}

/// Microseconds in milliseconds.
fn ms(us: u32) -> f64 {
    f64::from(us) / 1_000.
}

fn bits(bytes: u64) -> f64 {
    bytes as f64 * 8.
}

/// What is 0 says nothing.
fn counted(out: &mut String, name: &str, n: impl Into<u64>) -> fmt::Result {
    match n.into() {
        0 => Ok(()),
        n => write!(out, " {name}:{n}"),
    }
}

fn named(out: &mut String, name: &str, value: f64) -> fmt::Result {
    if value == 0. { Ok(()) } else { write!(out, " {name}:{}", General(value, 6)) }
}

/// Bits a second: three digits and a unit, or all of them.
struct Rate {
    bits: f64,
    numeric: bool,
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.numeric {
            return write!(f, "{:.0}", self.bits);
        }
        match [(1e12, 'T'), (1e9, 'G'), (1e6, 'M'), (1e3, 'k')].iter().find(|(unit, _)| self.bits >= *unit) {
            Some((unit, letter)) => write!(f, "{}{letter}", General(self.bits / unit, 3)),
            None => General(self.bits, 6).fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ss_words() {
        let info = TcpInfo {
            options: 7,
            snd_wscale: 7,
            rcv_wscale: 10,
            rto: 204_000,
            rtt: 52,
            rttvar: 26,
            snd_mss: 1_448,
            snd_cwnd: 10,
            snd_ssthresh: u32::MAX,
            reordering: 3,
            min_rtt: u32::MAX,
            pacing_rate: u64::MAX,
            ..TcpInfo::default()
        };
        let tcp = Tcp { info, congestion: Some("cubic".into()), ..Tcp::default() };
        let mut out = String::new();
        push(&mut out, &tcp, State::Established, false);
        let expected = " ts sack cubic wscale:7,10 rto:204 rtt:0.052/0.026 mss:1448 cwnd:10 send 2.23Gbps";
        assert_eq!(out, expected);
    }
}
