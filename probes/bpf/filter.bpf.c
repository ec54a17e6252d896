/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The packet filter of the captures: packets of targets' flows, and the SYNs that open new ones. */

#define SNAP_ALL 0x40000
#define PACKET_OUTGOING 4
#define LOOPBACK_IFINDEX 1

static __always_inline int snap_of(struct __sk_buff *skb)
{
	struct port_key port = {};
	struct tuple t = {}, r;
	u8 b[20], proto;
	__be16 sport_dport[2];
	u32 off, one = 1;

	/* Loopback shows each packet twice, and libpcap throws this sighting away: it would only take up room. */
	if (skb->pkt_type == PACKET_OUTGOING && skb->ifindex == LOOPBACK_IFINDEX)
		return 0;
	/* From the network header on, whatever the link type. */
	if (bpf_skb_load_bytes_relative(skb, 0, b, 20, BPF_HDR_START_NET))
		return 0;
	if (b[0] >> 4 == 4) {
		if ((b[6] & 0x1f) || b[7])
			return 0;
		off = (b[0] & 15) * 4;
		proto = b[9];
		t.local[10] = t.local[11] = t.remote[10] = t.remote[11] = 0xff;
		__builtin_memcpy(t.local + 12, b + 12, 4);
		__builtin_memcpy(t.remote + 12, b + 16, 4);
	} else if (b[0] >> 4 == 6) {
		if (bpf_skb_load_bytes_relative(skb, 8, t.local, 16, BPF_HDR_START_NET) ||
		    bpf_skb_load_bytes_relative(skb, 24, t.remote, 16, BPF_HDR_START_NET))
			return 0;
		proto = b[6];
		off = 40;
		for (int i = 0; i < IPV6_EXTHDRS_MAX; i++) {
			if (proto != NEXTHDR_HOP && proto != NEXTHDR_ROUTING && proto != NEXTHDR_DEST &&
			    proto != NEXTHDR_AUTH && proto != NEXTHDR_FRAGMENT)
				break;
			if (bpf_skb_load_bytes_relative(skb, off, b, 4, BPF_HDR_START_NET))
				return 0;
			if (proto == NEXTHDR_FRAGMENT) {
				if ((b[2] << 8 | b[3]) & 0xfff8)
					return 0;
				off += 8;
			} else if (proto == NEXTHDR_AUTH) {
				off += (b[1] + 2) * 4;
			} else {
				off += (b[1] + 1) * 8;
			}
			proto = b[0];
		}
	} else {
		return 0;
	}
	if (proto != IPPROTO_TCP && proto != IPPROTO_UDP)
		return 0;
	if (bpf_skb_load_bytes_relative(skb, off, sport_dport, 4, BPF_HDR_START_NET))
		return 0;
	t.proto = proto;
	t.lport = bpf_ntohs(sport_dport[0]);
	t.rport = bpf_ntohs(sport_dport[1]);
	if (bpf_map_lookup_elem(&flows, &t))
		return SNAP_ALL;
	reverse(&r, &t);
	if (bpf_map_lookup_elem(&flows, &r))
		return SNAP_ALL;

	port.proto = proto;
	port.port = t.rport;
	if (proto == IPPROTO_UDP) {
		if (bpf_map_lookup_elem(&ports, &port))
			return SNAP_ALL;
		port.port = t.lport;
		return bpf_map_lookup_elem(&ports, &port) ? SNAP_ALL : 0;
	}
	if (bpf_skb_load_bytes_relative(skb, off + 13, b, 1, BPF_HDR_START_NET))
		return 0;
	if ((b[0] & (TCP_SYN | TCP_ACK)) == TCP_SYN && bpf_map_lookup_elem(&ports, &port)) {
		bpf_map_update_elem(&syn_flows, &r, &one, BPF_ANY);
		return SNAP_ALL;
	}
	if (bpf_map_lookup_elem(&syn_flows, &r) || bpf_map_lookup_elem(&syn_flows, &t))
		return SNAP_ALL;
	return 0;
}

SEC("socket")
int flow_filter(struct __sk_buff *skb)
{
	u32 site = COST_FILTER;
	struct cost *c;
	int snap;
	u64 began = 0;

	if (!cfg_governed)
		return snap_of(skb);
	/* It can't ask whom it interrupts: what the packets of targets cost counts as theirs. */
	c = bpf_map_lookup_elem(&costs, &site);
	if (c && c->runs + 1 >= c->next)
		began = bpf_ktime_get_ns();
	snap = snap_of(skb);
	if (c && snap)
		c->runs++;
	if (snap)
		cost_end(site, began);
	return snap;
}
