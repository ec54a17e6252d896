//! `-e` and `-m`, in ss's words.

use std::fmt::Write as _;

use tracenet_collectors::sockets::{Detail, Memory, PacketDetail, PacketRing, Socket};

use crate::paint::push_safe;

/// `-e`, each with a blank before it; `line` is what a packet socket's further lines begin with.
pub fn push(out: &mut String, s: &Socket, cgroup: Option<&str>, line: &str) {
    if let Some(uid) = s.uid.filter(|uid| *uid != 0) {
        let _ = write!(out, " uid:{uid}");
    }
    // A Unix socket's is its port already; `ino:` is the file's.
    if !s.kind.is_unix() {
        let _ = write!(out, " ino:{} sk:{:x}", s.inode, s.cookie);
    }
    if s.mark != 0 {
        let _ = write!(out, " fwmark:{:#x}", s.mark);
    }
    if let Some(path) = cgroup {
        out.push_str(" cgroup:");
        push_safe(out, path);
    }
    if let Some(v6only) = s.v6only {
        let _ = write!(out, " v6only:{}", u8::from(v6only));
    }
    if let Some(mask) = s.shutdown {
        let (receive, send) = (if mask & 1 == 0 { '<' } else { '-' }, if mask & 2 == 0 { '>' } else { '-' });
        let _ = write!(out, " {receive}-{send}");
    }
    family_details(out, s, line);
}

fn family_details(out: &mut String, s: &Socket, line: &str) {
    match &s.detail {
        None => {}
        Some(Detail::Unix { file, pending }) => {
            if let Some((inode, device)) = file {
                // include/linux/kdev_t.h: 20 bits of minor.
                let _ = write!(out, " ino:{inode} dev:{}/{}", device >> 20, device & 0xf_ffff);
            }
            if let Some(peers) = pending {
                out.push_str(" peers:");
                for peer in peers {
                    let _ = write!(out, " {peer}");
                }
            }
        }
        Some(Detail::Packet(packet)) => packet_details(out, packet, line),
        Some(Detail::Netlink(groups)) => {
            let _ = write!(out, " groups={:#010x}", groups & 0xffff_ffff);
        }
    }
}

fn packet_details(out: &mut String, p: &PacketDetail, line: &str) {
    let _ = write!(out, "{line}ver:{} cpy_thresh:{} flags(", p.version, p.copy_threshold);
    // PDI_... (include/uapi/linux/packet_diag.h)
    let flags = [(1, "running"), (2, "auxdata"), (4, "origdev"), (8, "vnethdr"), (16, "loss")];
    for (_, name) in flags.into_iter().filter(|(bit, _)| p.flags & bit != 0) {
        let _ = write!(out, " {name}");
    }
    out.push_str(if p.flags == 0 { " 0 )" } else { " )" });
    for (name, ring) in [("ring_rx", p.rx_ring), ("ring_tx", p.tx_ring)] {
        if let Some(PacketRing { block_size, block_nr, frame_size, frame_nr, retire_tmo, features }) = ring {
            let _ = write!(
                out,
                "{line}{name}(blk_size:{block_size},blk_nr:{block_nr},frm_size:{frame_size},frm_nr:{frame_nr},\
                 tmo:{retire_tmo},features:{features:#x})"
            );
        }
    }
    if let Some(fanout) = p.fanout {
        // PACKET_FANOUT_... (include/uapi/linux/if_packet.h)
        let kinds = ["hash", "lb", "cpu", "roll", "random", "qm"];
        let (id, kind) = (fanout & 0xffff, fanout >> 16);
        let name = usize::try_from(kind).ok().and_then(|n| kinds.get(n));
        let _ = match name {
            Some(name) => write!(out, "{line}fanout(id:{id},type:{name})"),
            None => write!(out, "{line}fanout(id:{id},type:{kind:#x})"),
        };
    }
}

/// `-m`
pub fn memory(out: &mut String, m: &Memory) {
    let _ = write!(
        out,
        " skmem:(r{},rb{},t{},tb{},f{},w{},o{},bl{},d{})",
        m.rmem_alloc,
        m.rcvbuf,
        m.wmem_alloc,
        m.sndbuf,
        m.fwd_alloc,
        m.wmem_queued,
        m.optmem,
        m.backlog,
        m.drops
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_socket_without_flags() {
        let mut out = String::new();
        packet_details(&mut out, &PacketDetail { fanout: Some(0x1_0007), ..PacketDetail::default() }, " ");
        assert_eq!(out, " ver:0 cpy_thresh:0 flags( 0 ) fanout(id:7,type:lb)");
    }
}
