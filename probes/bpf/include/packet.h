/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The flow of a packet, from its IP header on. Everything is read fault-safe: a dropped packet may be anything. */
#ifndef TRACENET_PACKET_H
#define TRACENET_PACKET_H

struct packet {
	struct tuple tuple; /* local: source, remote: destination */
	u32 seq;
	u32 payload_len;
	u8 tcp_flags;
	u8 ttl; /* or hop limit */
	u8 ip; /* version */
};

#define TCP_SYN 0x02
#define TCP_ACK 0x10
#define NEXTHDR_HOP 0
#define NEXTHDR_ROUTING 43
#define NEXTHDR_FRAGMENT 44
#define NEXTHDR_AUTH 51
#define NEXTHDR_DEST 60
#define IPV6_EXTHDRS_MAX 6

/*
 * False where it is no first fragment of TCP or UDP over IP. The transport header offset is worked out here: at
 * netfilter's hooks skb->transport_header may not be set yet.
 */
static __always_inline bool parse_packet(struct packet *p, struct sk_buff *skb)
{
	u16 network_header = BPF_CORE_READ(skb, network_header);
	__be16 protocol = BPF_CORE_READ(skb, protocol);
	u8 *ip = BPF_CORE_READ(skb, head) + network_header;
	u32 off, ip_len, doff = 8, bytes;
	__be16 ports[2];
	u8 proto, b[8];
	s32 above;

	if (network_header == 0xffff)
		return false;
	__builtin_memset(p, 0, sizeof(*p));
	if (protocol == bpf_htons(ETH_P_IP)) {
		struct {
			u8 vihl, tos;
			__be16 tot_len, id, frag;
			u8 ttl, proto;
			__be16 check;
			__be32 saddr, daddr;
		} h;

		if (bpf_probe_read_kernel(&h, sizeof(h), ip) || h.vihl >> 4 != 4)
			return false;
		if (h.frag & bpf_htons(0x1fff))
			return false;
		off = (h.vihl & 15) * 4;
		ip_len = bpf_ntohs(h.tot_len);
		proto = h.proto;
		p->ttl = h.ttl;
		p->ip = 4;
		map_v4(p->tuple.local, h.saddr);
		map_v4(p->tuple.remote, h.daddr);
	} else if (protocol == bpf_htons(ETH_P_IPV6)) {
		struct {
			__be32 flow;
			__be16 payload_len;
			u8 next, hops;
			u8 saddr[16], daddr[16];
		} h;

		if (bpf_probe_read_kernel(&h, sizeof(h), ip) || (bpf_ntohl(h.flow) >> 28) != 6)
			return false;
		__builtin_memcpy(p->tuple.local, h.saddr, 16);
		__builtin_memcpy(p->tuple.remote, h.daddr, 16);
		proto = h.next;
		p->ttl = h.hops;
		p->ip = 6;
		ip_len = bpf_ntohs(h.payload_len);
		if (ip_len)
			ip_len += sizeof(h);
		off = sizeof(h);
		for (int i = 0; i < IPV6_EXTHDRS_MAX; i++) {
			if (proto != NEXTHDR_HOP && proto != NEXTHDR_ROUTING && proto != NEXTHDR_DEST &&
			    proto != NEXTHDR_AUTH && proto != NEXTHDR_FRAGMENT)
				break;
			if (bpf_probe_read_kernel(b, sizeof(b), ip + off))
				return false;
			if (proto == NEXTHDR_FRAGMENT) {
				if ((b[2] << 8 | b[3]) & 0xfff8)
					return false;
				off += 8;
			} else if (proto == NEXTHDR_AUTH) {
				off += (b[1] + 2) * 4;
			} else {
				off += (b[1] + 1) * 8;
			}
			proto = b[0];
		}
	} else {
		return false;
	}

	if (proto != IPPROTO_TCP && proto != IPPROTO_UDP)
		return false;
	if (bpf_probe_read_kernel(ports, sizeof(ports), ip + off))
		return false;
	p->tuple.proto = proto;
	p->tuple.lport = bpf_ntohs(ports[0]);
	p->tuple.rport = bpf_ntohs(ports[1]);
	if (proto == IPPROTO_TCP) {
		__be32 seq = 0;

		bpf_probe_read_kernel(&seq, sizeof(seq), ip + off + 4);
		bpf_probe_read_kernel(b, 2, ip + off + 12);
		p->seq = bpf_ntohl(seq);
		doff = (b[0] >> 4) * 4;
		p->tcp_flags = b[1];
	}
	/* skb->data may stand before, at or behind the transport header; the distance is signed. */
	above = (s32)BPF_CORE_READ(skb, len) - (s32)((s64)(ip + off) - (s64)BPF_CORE_READ(skb, data)) - (s32)doff;
	bytes = above > 0 ? above : 0;
	/* A short frame may still carry its padding. */
	if (ip_len >= off + doff && ip_len - off - doff < bytes)
		bytes = ip_len - off - doff;
	p->payload_len = bytes;
	return true;
}

static __always_inline u32 segments_of(struct sk_buff *skb)
{
	struct skb_shared_info *info = (void *)(BPF_CORE_READ(skb, head) + BPF_CORE_READ(skb, end));
	u16 n = 0;

	bpf_core_read(&n, sizeof(n), &info->gso_segs);
	return n ? n : 1;
}

#endif
