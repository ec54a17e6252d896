//! Under loss, every retransmission and every dropped packet has the right owner, and the sums are the kernel's.

use std::process::ExitCode;

use tracenet_tests::agent::{Agent, Story};
use tracenet_tests::blindspot::{BlindSpot, assert_seen};
use tracenet_tests::counters::{self, Mib};
use tracenet_tests::harness::{self, LAB};
use tracenet_tests::netns::Pair;
use tracenet_tests::program::Program;
use tracenet_tests::report::Retransmits;
use tracenet_tests::{case, load};

const LOSSY_PORT: u16 = 8001;
const CLEAN_PORT: u16 = 8002;

fn main() -> ExitCode {
    harness::main(vec![
        case!(retransmits_and_drops_have_the_right_owner_and_the_kernels_sums, LAB),
        case!(a_clients_view_alone_still_shows_drops_at_its_peer, LAB),
        case!(large_segments_are_counted_as_the_kernel_counts_them, LAB),
        case!(a_lost_syn_and_a_lost_syn_ack_are_told_apart, LAB),
        case!(a_lost_handshake_belongs_to_the_listener_without_a_capture_too, LAB),
        case!(the_causes_are_the_kernels_own, LAB),
        case!(drops_at_a_listener_and_at_a_datagram_buffer_are_attributed, LAB),
    ])
}

/// 3 % of one client's packets are lost: answers at its own input, requests at the server's prerouting.
fn lose(pair: &Pair, port: u16) {
    pair.client.nft(&format!(
        "table inet loss {{
            counter lost {{ }}
            chain input {{
                type filter hook input priority 0; policy accept;
                tcp sport {port} numgen random mod 100 < 3 counter name lost drop
            }}
        }}"
    ));
    pair.server.lose_incoming(&format!("tcp dport {port} numgen random mod 100 < 3"));
}

/// Two servers and their two clients, one of them behind the loss.
struct Scene {
    pair: Pair,
    servers: [Program; 2],
    lossy: Program,
    clean: Program,
    before: [Mib; 2],
    blindspot: BlindSpot,
}

/// What the outside world counted while tracenet watched.
struct Truth {
    client_retransmits: u64,
    server_retransmits: u64,
    client_drops: u64,
    server_drops: u64,
    /// Of both, those that no BPF program could see.
    blind_drops: u64,
    blind_retransmissions: u64,
    client_mib: [Mib; 2],
    server_mib: [Mib; 2],
}

impl Scene {
    fn new(connections: u64, turns: u64, sizes: (u64, u64), probes: bool) -> Self {
        let pair = Pair::new();
        // Where this machine is slow to answer, a tail loss probe is sent for nothing, also by the clean client.
        if !probes {
            for netns in [&pair.client, &pair.server] {
                netns.run("sysctl", &["-qw", "net.ipv4.tcp_early_retrans=0"]);
            }
        }
        lose(&pair, LOSSY_PORT);
        let address = |port| format!("{}:{port}", Pair::SERVER);
        let servers = [LOSSY_PORT, CLEAN_PORT].map(|port| load::serve(&pair.server, &address(port)));
        let client = |port, seed| load::client(&pair.client, &address(port), connections, turns, sizes, seed);
        let (lossy, clean) = (client(LOSSY_PORT, 1), client(CLEAN_PORT, 2));
        let before = [counters::mib(&pair.client), counters::mib(&pair.server)];
        let blindspot = BlindSpot::watch();
        Self { pair, servers, lossy, clean, before, blindspot }
    }

    /// Runs the load to its end, waits until nothing can be sent any more, and reads the counters.
    fn play(&mut self) -> Truth {
        self.lossy.say("go");
        self.clean.say("go");
        for client in [&self.lossy, &self.clean] {
            load::books(&client.json(), "local");
        }
        self.pair.settle();
        let after = [counters::mib(&self.pair.client), counters::mib(&self.pair.server)];
        let retransmits = |n: usize| counters::delta(&self.before[n], &after[n], "TcpRetransSegs");
        Truth {
            client_retransmits: retransmits(0),
            server_retransmits: retransmits(1),
            client_drops: self.pair.client.nft_counters()["lost"].packets,
            server_drops: self.pair.server.nft_counters()["lost"].packets,
            blind_drops: self.blindspot.netfilter_drops(),
            blind_retransmissions: self.blindspot.retransmissions(),
            client_mib: [self.before[0].clone(), after[0].clone()],
            server_mib: [self.before[1].clone(), after[1].clone()],
        }
    }
}

/// The clean client and its server are as if nothing had happened.
fn assert_clean(story: &Story, pid: u32) {
    let mut seen = 0;
    for connection in story.summary.of(pid).filter(|c| {
        let port = if c.role == "client" { c.remote.port() } else { c.local.port() };
        port == CLEAN_PORT
    }) {
        assert_eq!(connection.retransmits.total, 0, "{connection:?}");
        assert!(connection.drops.is_empty() && connection.peer_drops.is_empty(), "{connection:?}");
        seen += 1;
    }
    assert!(seen > 0, "the clean process {pid} has connections");
}

fn retransmits_and_drops_have_the_right_owner_and_the_kernels_sums() {
    let mut scene = Scene::new(40, 25, (3_000, 30_000), false);
    let [lossy_server, clean_server] = [scene.servers[0].pid(), scene.servers[1].pid()];
    let (lossy, clean) = (scene.lossy.pid(), scene.clean.pid());
    let agent = Agent::attach(&[lossy, clean, lossy_server, clean_server], &["-e", "trace=none"]);
    let truth = scene.play();
    let story = agent.stop();
    let summary = &story.summary;

    assert!(truth.client_drops > 20 && truth.server_drops > 20, "the rules dropped something");
    assert!(truth.client_retransmits > 0 && truth.server_retransmits > 0, "TCP repaired something");

    let rest = format!("{:?} {:?} {:?}", summary.audit, summary.unattributed, summary.lost);
    assert_eq!(summary.retransmitted(lossy), truth.client_retransmits, "the client's segments; {rest}");
    assert_eq!(
        summary.retransmitted(lossy_server),
        truth.server_retransmits,
        "the server's segments; {rest}"
    );
    let at_client = summary.dropped(lossy, "NETFILTER_DROP", "in");
    assert_seen(at_client, truth.client_drops, truth.blind_drops, "dropped at the client's input");
    let at_server = summary.dropped(lossy_server, "NETFILTER_DROP", "in");
    assert_seen(at_server, truth.server_drops, truth.blind_drops, "dropped at the server's prerouting");

    // Both ends live on this host, so each also shows what its packets met at the other end.
    let at_peer: u64 = summary.of(lossy).map(|c| c.dropped_at_peer("NETFILTER_DROP", "in")).sum();
    assert_seen(at_peer, truth.server_drops, truth.blind_drops, "the client's packets dropped at the server");
    for drops in summary.of(lossy).flat_map(|c| &c.peer_drops) {
        assert_eq!(drops.pid, Some(lossy_server), "the owner of the socket that a peer drop hurt");
    }
    let at_peer: u64 = summary.of(lossy_server).map(|c| c.dropped_at_peer("NETFILTER_DROP", "in")).sum();
    assert_seen(at_peer, truth.client_drops, truth.blind_drops, "the server's packets dropped at the client");

    // What moved around the incidents is all that moved.
    for (netns, mib) in [(&scene.pair.client, &truth.client_mib), (&scene.pair.server, &truth.server_mib)] {
        let told: u64 = story
            .kind("counters")
            .iter()
            .filter(|event| event["netns"] == netns.inode())
            .filter_map(|event| event["moved"]["TcpExtTCPTimeouts"].as_u64())
            .sum();
        assert_eq!(told, counters::delta(&mib[0], &mib[1], "TcpExtTCPTimeouts"));
    }

    assert_clean(&story, clean);
    assert_clean(&story, clean_server);
    assert_eq!((summary.unattributed.retransmits, summary.unattributed.drops), (0, 0));
    for (netns, kernel) in [
        (scene.pair.client.inode(), truth.client_retransmits),
        (scene.pair.server.inode(), truth.server_retransmits),
    ] {
        let row = summary.audit("TcpRetransSegs", netns);
        assert_eq!((row.kernel, row.tracenet), (kernel.cast_signed(), kernel.cast_signed()), "{row:?}");
    }
    // The rules by name, with what the rules themselves counted.
    let rules: Vec<_> =
        summary.firewall.iter().map(|r| (r.netns, r.chain.as_str(), r.hook.as_deref(), r.packets)).collect();
    let here = (scene.pair.client.inode(), "input", Some("input"), Some(truth.client_drops));
    let there = (scene.pair.server.inode(), "prerouting", Some("prerouting"), Some(truth.server_drops));
    assert_eq!(rules.len(), 2, "{:?}", summary.firewall);
    assert!(rules.contains(&here) && rules.contains(&there), "{:?}", summary.firewall);
    for (netns, rule) in [&scene.pair.client, &scene.pair.server].into_iter().zip(["input", "prerouting"]) {
        let listed = netns.run(
            "nft",
            &["-a", "list", "chain", "inet", if rule == "input" { "loss" } else { "incoming" }, rule],
        );
        let rule = summary.firewall.iter().find(|r| r.netns == netns.inode()).and_then(|r| r.handle);
        let handle = format!("drop # handle {}", rule.expect("a handle"));
        assert!(listed.contains(&handle), "{handle}: {listed}");
    }

    // The story tells each of them as it happens, not only in the end.
    let told: u64 = story
        .kind("retransmit")
        .iter()
        .filter(|e| e["pid"] == lossy)
        .map(|e| e["segments"].as_u64().expect("segments of a retransmit event"))
        .sum();
    assert!(told > 0 && told <= truth.client_retransmits, "{told} of {}", truth.client_retransmits);
}

fn a_clients_view_alone_still_shows_drops_at_its_peer() {
    let mut scene = Scene::new(20, 20, (1_000, 5_000), false);
    let server = scene.servers[0].pid();
    let lossy = scene.lossy.pid();
    let agent = Agent::attach(&[lossy], &["-e", "trace=none"]);
    let truth = scene.play();
    let story = agent.stop();
    let summary = &story.summary;

    assert!(summary.connections.iter().all(|c| c.pid == lossy), "only the target's connections");
    assert_eq!(summary.connections.len(), 20);
    assert_eq!(summary.retransmitted(lossy), truth.client_retransmits);
    let here = summary.dropped(lossy, "NETFILTER_DROP", "in");
    assert_seen(here, truth.client_drops, truth.blind_drops, "here");
    let there: u64 = summary.of(lossy).map(|c| c.dropped_at_peer("NETFILTER_DROP", "in")).sum();
    assert_seen(there, truth.server_drops, truth.blind_drops, "at the peer");
    for drops in summary.of(lossy).flat_map(|c| &c.peer_drops) {
        assert_eq!(drops.pid, Some(server));
    }
    // The agent counts the other processes too, even though it does not show them.
    let row = summary.audit("TcpRetransSegs", scene.pair.client.inode());
    assert_eq!(row.kernel, row.tracenet, "{row:?}");
    assert_eq!(row.kernel, truth.client_retransmits.cast_signed());
}

fn large_segments_are_counted_as_the_kernel_counts_them() {
    // Requests and answers far above the MSS: socket buffers hold many segments, and one event may resend them all.
    let mut scene = Scene::new(8, 8, (400_000, 400_000), false);
    let (server, lossy) = (scene.servers[0].pid(), scene.lossy.pid());
    let agent = Agent::attach(&[lossy, server], &["-e", "trace=none"]);
    let truth = scene.play();
    let story = agent.stop();
    let summary = &story.summary;
    assert_eq!(summary.retransmitted(lossy), truth.client_retransmits);
    assert_eq!(summary.retransmitted(server), truth.server_retransmits);
    let mut segments = 0;
    for (pid, packets) in [(lossy, truth.client_drops), (server, truth.server_drops)] {
        let dropped = summary.dropped(pid, "NETFILTER_DROP", "in");
        assert_seen(dropped, packets, truth.blind_drops, "large segments");
        segments += summary.of(pid).flat_map(|c| &c.drops).map(|d| d.segments).sum::<u64>();
    }
    assert!(segments > truth.client_drops + truth.server_drops, "some dropped buffer held several segments");
}

fn a_lost_handshake_belongs_to_the_listener_without_a_capture_too() {
    // The SYN, and the acknowledgement that ends the handshake: neither finds a connected socket.
    for (flags, limit) in [("syn", 61), ("ack", 53)] {
        let pair = Pair::new();
        pair.server.lose_incoming(&format!(
            "tcp dport 8001 tcp flags & (syn|ack) == {flags} quota until {limit} bytes"
        ));
        let address = format!("{}:8001", Pair::SERVER);
        let server = load::serve(&pair.server, &address);
        let mut client = load::client(&pair.client, &address, 1, 1, (10, 10), 1);
        let agent = Agent::attach(&[client.pid(), server.pid()], &["-e", "trace=none", "-i", "none"]);
        client.say("go");
        load::books(&client.json(), "local");
        pair.settle();
        let story = agent.stop();
        assert_eq!(pair.server.nft_counters()["lost"].packets, 1);
        assert_eq!(
            story.summary.dropped(server.pid(), "NETFILTER_DROP", "in"),
            1,
            "{flags}: {:?}",
            story.summary
        );
    }
}

fn a_lost_syn_and_a_lost_syn_ack_are_told_apart() {
    let pair = Pair::new();
    // The first SYN to 8001 is lost on its way, the first SYN/ACK from 8002 on its way back.
    pair.server.nft(
        "table inet loss {
            chain prerouting {
                type filter hook prerouting priority -300;
                tcp dport 8001 tcp flags & (syn|ack) == syn quota until 61 bytes drop
            }
            chain output {
                type filter hook output priority 0;
                tcp sport 8002 tcp flags & (syn|ack) == (syn|ack) quota until 61 bytes drop
            }
        }",
    );
    let address = |port| format!("{}:{port}", Pair::SERVER);
    let servers = [8001, 8002].map(|port| load::serve(&pair.server, &address(port)));
    let mut clients = [8001, 8002].map(|port| load::client(&pair.client, &address(port), 1, 1, (10, 10), 1));
    let pids = [clients[0].pid(), clients[1].pid(), servers[0].pid(), servers[1].pid()];
    let before = [counters::mib(&pair.client), counters::mib(&pair.server)];
    let agent = Agent::attach(&pids, &["-e", "trace=none"]);
    for client in &mut clients {
        client.say("go");
    }
    for client in &clients {
        load::books(&client.json(), "local");
    }
    pair.settle();
    let after = [counters::mib(&pair.client), counters::mib(&pair.server)];
    let story = agent.stop();
    let of = |pid| {
        let mut all = story.summary.of(pid);
        let one = all.next().unwrap_or_else(|| panic!("process {pid} has a connection"));
        assert!(all.next().is_none());
        one
    };
    let nothing =
        Retransmits { total: 0, fast: 0, tail_loss_probe: 0, timeout: 0, syn: 0, syn_ack: 0, other: 0 };
    assert_eq!(of(pids[0]).retransmits, Retransmits { total: 1, syn: 1, ..nothing });
    assert!(of(pids[0]).connect_ns.is_some_and(|ns| ns > 900_000_000), "the lost SYN cost a second");
    assert_eq!(of(pids[0]).dropped_at_peer("NETFILTER_DROP", "in"), 1, "{:?}", of(pids[0]));
    // Either end may have repaired the loss of the SYN/ACK: the client by its SYN, the server by its timer.
    let repaired = counters::delta(&before[1], &after[1], "TcpRetransSegs");
    assert_eq!(of(pids[3]).retransmits.syn_ack, repaired, "{:?}", of(pids[3]));
    let both = counters::delta(&before[0], &after[0], "TcpRetransSegs");
    assert_eq!(of(pids[0]).retransmits.total + of(pids[1]).retransmits.total, both);
    assert_eq!(of(pids[3]).dropped("NETFILTER_DROP", "out"), 1, "{:?}", of(pids[3]));
    assert_eq!((story.summary.unattributed.retransmits, story.summary.unattributed.drops), (0, 0));
}

fn the_causes_are_the_kernels_own() {
    const LARGEST: u64 = 60_000;
    // Of Ethernet's 1500 bytes, without the headers and the timestamps.
    const SEGMENT: u64 = 1_448;
    let mut scene = Scene::new(30, 30, (2_000, LARGEST), true);
    let pids = [scene.lossy.pid(), scene.clean.pid(), scene.servers[0].pid(), scene.servers[1].pid()];
    let agent = Agent::attach(&pids, &["-e", "trace=none", "-i", "none"]);
    let truth = scene.play();
    let story = agent.stop();
    for (netns, [before, after]) in
        [(scene.pair.client.inode(), &truth.client_mib), (scene.pair.server.inode(), &truth.server_mib)]
    {
        let here: Vec<_> = story.summary.connections.iter().filter(|c| c.netns == netns).collect();
        let sum = |pick: fn(&Retransmits) -> u64| here.iter().map(|c| pick(&c.retransmits)).sum::<u64>();
        let kernel = |name: &str| counters::delta(before, after, name);
        assert_eq!(sum(|r| r.total), kernel("TcpRetransSegs"));
        let causes = sum(|r| r.fast + r.tail_loss_probe + r.timeout + r.syn + r.syn_ack + r.other);
        assert_eq!(causes, sum(|r| r.total), "every segment has one cause");
        // Where a BPF program was not run, the next one finds by the socket's own counter what it missed: the sum is
        // exact, but the cause is that of the next one, or none. One event may be of all that one `send` gave.
        let blind = truth.blind_retransmissions * LARGEST.div_ceil(SEGMENT);
        assert!(sum(|r| r.other) <= blind, "other {} of {blind} unseen", sum(|r| r.other));
        let near = |ours: u64, kernels: u64| ours.abs_diff(kernels) <= 1 + kernels / 25 + blind;
        let fast = (sum(|r| r.fast), kernel("TcpExtTCPFastRetrans"));
        assert!(near(fast.0, fast.1), "fast {fast:?}");
        // A probe may also carry new data, and is then no retransmission.
        assert!(sum(|r| r.tail_loss_probe) <= 1 + kernel("TcpExtTCPLossProbes") * 26 / 25);
        let syn = (sum(|r| r.syn + r.syn_ack), kernel("TcpExtTCPSynRetrans"));
        assert!(near(syn.0, syn.1), "SYN {syn:?}");
        // The timer sends one segment (or SYN) itself; what follows it is counted as slow start. A timeout that finds its
        // segment still in a queue of this host (-EBUSY) sends nothing again.
        let held = kernel("TcpExtTCPSpuriousRtxHostQueues");
        let timer = kernel("TcpExtTCPTimeouts") + kernel("TcpExtTCPSlowStartRetrans");
        let timeout = (sum(|r| r.timeout + r.syn), timer);
        let most = timeout.0.max(timeout.1.min(timeout.0 + held));
        assert!(near(most, timeout.1), "timer {timeout:?}, {held} held, {blind} unseen");
    }
}

fn drops_at_a_listener_and_at_a_datagram_buffer_are_attributed() {
    let pair = Pair::new();
    pair.server.nft(
        "table inet loss {
            counter lost { }
            chain input {
                type filter hook input priority 0; policy accept;
                udp dport 8003 numgen inc mod 4 == 3 counter name lost drop
            }
        }",
    );
    let server =
        Program::start(load::script(&pair.server, "datagrams.py").args(["serve", Pair::SERVER, "8003"]));
    server.json();
    let client = Program::start(load::script(&pair.client, "flood.py").args([Pair::SERVER, "8003", "100"]));
    client.json();
    let mut client = client;
    let agent = Agent::attach(&[client.pid(), server.pid()], &["-e", "trace=none"]);
    client.say("go");
    client.json();
    let lost = pair.server.nft_counters()["lost"].packets;
    let story = agent.stop();
    assert_eq!(lost, 25);
    let at_server = story.summary.dropped(server.pid(), "NETFILTER_DROP", "in");
    assert_eq!(at_server, lost);
    let at_peer: u64 =
        story.summary.of(client.pid()).map(|c| c.dropped_at_peer("NETFILTER_DROP", "in")).sum();
    assert_eq!(at_peer, lost);
}
