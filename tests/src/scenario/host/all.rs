//! The scenarios: each injects what it is named after and counts it from outside.

use std::net::SocketAddr;
use std::time::Duration;

use super::{Cast, Expected, Extent, Ground, Outcome, Place, Route, Scenario, Turns};
use crate::counters;
use crate::load::script;
use crate::netns::Netns;
use crate::program::Program;
use crate::scenario::Side;
use crate::scenario::load::{Load, Report};

/// All of them.
pub const ALL: &[Scenario] = &[
    Scenario { name: "nft-output", cast: nft_output, play: play_output },
    Scenario { name: "nft-input", cast: nft_input, play: play_input },
    Scenario { name: "nft-output-ipv6", cast: nft_output6, play: play_output },
    Scenario { name: "nft-input-ipv6", cast: nft_input6, play: play_input },
    Scenario { name: "nft-reject", cast: nft_reject, play: play_reject },
    Scenario { name: "nft-forward", cast: nft_forward, play: play_forward },
    Scenario { name: "conntrack-full", cast: conntrack, play: play_conntrack },
    Scenario { name: "udp-buffer", cast: udp_buffer, play: play_udp_buffer },
    Scenario { name: "tbf", cast: tbf, play: play_tbf },
    Scenario { name: "ttl", cast: ttl, play: play_ttl },
    Scenario { name: "checksum", cast: checksum, play: play_checksum },
    Scenario { name: "old-timestamp", cast: old_timestamp, play: play_old_timestamp },
    Scenario { name: "accept-queue", cast: accept_queue, play: play_accept_queue },
    Scenario { name: "no-listener", cast: no_listener, play: play_no_listener },
    Scenario { name: "rp-filter", cast: rp_filter, play: play_rp_filter },
    Scenario { name: "cpu-starved", cast: cpu_starved, play: play_cpu_starved },
];

/// Every so many packets of a hundred are lost where a rule drops.
const LOSS: u32 = 4;

/// What rules may drop: data and acknowledgements, so that every connection comes about and ends.
const ANY_DATA: &str = "tcp flags & (syn|fin|rst) == 0";

const LOSSES: &[&str] = &["loss_fast", "loss_tlp", "loss_rto"];

/// A turn that took this much longer than the round trip, which is far below a millisecond, waited for a timer.
const HELD_NS: u64 = 150_000_000;

fn server() -> SocketAddr {
    at(Route::SERVER)
}

fn at(address: &str) -> SocketAddr {
    SocketAddr::new(address.parse().expect("an address"), Route::PORT)
}

fn actor(netns: &Netns, words: &[&str]) -> Program {
    let program = Program::start(script(netns, "hurt.py").args(words));
    program.json();
    program
}

/// A client and a server that ask and answer until about so many packets were lost.
fn talk(route: &Route, extent: Extent, address: &str) -> Cast {
    // A turn of these sizes makes some three packets each way.
    let turns = extent.drops * 100 / LOSS / 3;
    let load = Load { response: 6_000, ..Load::new(extent.seed) }.with_turns(turns);
    let server_program = load.serve(&route.server, at(address));
    Cast { client: load.client(&route.client, at(address)), server: Some(server_program) }
}

/// Lets a talk go on to its end; which of the client's turns were held up.
fn talked(route: &Route, cast: &mut Cast) -> Turns {
    cast.client.say("go");
    let reports: Vec<Report> = serde_json::from_value(cast.client.json()).expect("the client's reports");
    cast.client.finish();
    route.settle();
    let turns = reports.iter().flat_map(|r| (0..).zip(&r.turns).map(move |(n, t)| (r.ports, n, t)));
    let held = turns.filter(|(_, _, t)| t.took_ns > HELD_NS && t.error.is_none());
    Turns { side: Side::Client, hurt: held.map(|(ports, n, _)| (ports, n)).collect(), causes: LOSSES }
}

/// Chain, handle and packets of the rules that count, in the order of the rule set.
fn rules(netns: &Netns) -> Vec<(String, u64, u64)> {
    let text = netns.run("nft", &["-j", "list", "ruleset"]);
    let json: serde_json::Value = serde_json::from_str(&text).expect("nft -j prints JSON");
    let all = json["nftables"].as_array().expect("nft's list").iter().filter_map(|o| o.get("rule"));
    all.filter_map(|rule| {
        let counter = rule["expr"].as_array()?.iter().find_map(|e| e.get("counter"))?;
        Some((rule["chain"].as_str()?.to_owned(), rule["handle"].as_u64()?, counter["packets"].as_u64()?))
    })
    .collect()
}

fn by_rule(
    netns: &Netns,
    which: usize,
    place: Place,
    side: Side,
    hurt: &'static str,
    interface: &'static str,
    ground: &Ground,
) -> Expected {
    let (chain, handle, count) = rules(netns).swap_remove(which);
    Expected {
        why: "firewall_rule",
        place,
        hurt,
        victim: side,
        interface,
        rule: Some((chain, handle)),
        queue: None,
        count,
        blind: ground.blindspot.drops("NETFILTER_DROP"),
    }
}

fn nft_output(route: &Route, extent: Extent) -> Cast {
    lose_output(route);
    talk(route, extent, Route::SERVER)
}

fn nft_output6(route: &Route, extent: Extent) -> Cast {
    lose_output(route);
    talk(route, extent, Route::SERVER6)
}

fn lose_output(route: &Route) {
    let port = Route::PORT;
    // Rules beside it that have nothing to do with it.
    route.client.nft(&format!(
        "table inet filter {{
            chain input {{ type filter hook input priority 0; policy accept; tcp dport 22 counter drop; }}
            chain output {{
                type filter hook output priority 0; policy accept;
                udp dport {port} counter drop
                ip daddr 10.99.0.0/16 counter drop
                tcp dport {port} {ANY_DATA} numgen random mod 100 < {LOSS} counter drop
                tcp dport {{ 80, 443 }} counter reject
            }}
        }}"
    ));
}

fn play_output(route: &Route, cast: &mut Cast, ground: &Ground) -> Outcome {
    let turns = talked(route, cast);
    let (side, i) = (Side::Client, Route::INTERFACE);
    let drops = by_rule(&route.client, 3, Place::Client, side, "sender", i, ground);
    Outcome { expected: vec![drops], turns: Some(turns) }
}

fn nft_input(route: &Route, extent: Extent) -> Cast {
    lose_input(route);
    talk(route, extent, Route::SERVER)
}

fn nft_input6(route: &Route, extent: Extent) -> Cast {
    lose_input(route);
    talk(route, extent, Route::SERVER6)
}

fn lose_input(route: &Route) {
    let port = Route::PORT;
    route.server.nft(&format!(
        "table ip early {{
            chain pre {{ type filter hook prerouting priority -300; policy accept; udp dport {port} counter drop; }}
        }}
        table inet filter {{
            chain bad {{
                numgen random mod 100 < {LOSS} counter drop
            }}
            chain input {{
                type filter hook input priority 0; policy accept;
                iifname lo accept
                tcp dport {port} {ANY_DATA} jump bad
                iifname != lo tcp dport 22 counter drop
            }}
        }}"
    ));
}

fn play_input(route: &Route, cast: &mut Cast, ground: &Ground) -> Outcome {
    let turns = talked(route, cast);
    let (side, i) = (Side::Server, Route::INTERFACE);
    let drops = by_rule(&route.server, 1, Place::Server, side, "receiver", i, ground);
    Outcome { expected: vec![drops], turns: Some(turns) }
}

fn nft_reject(route: &Route, extent: Extent) -> Cast {
    let port = Route::PORT;
    route.server.nft(&format!(
        "table inet filter {{
            chain input {{
                type filter hook input priority 0; policy accept;
                tcp dport {port} tcp flags & (syn|ack) == syn numgen random mod 2 == 0 counter reject with tcp reset
            }}
        }}"
    ));
    let load = Load { turns: 1, response: 100, ..Load::new(extent.seed) }.with_turns(2 * extent.drops);
    let server_program = load.serve(&route.server, server());
    Cast { client: load.client(&route.client, server()), server: Some(server_program) }
}

fn play_reject(route: &Route, cast: &mut Cast, ground: &Ground) -> Outcome {
    talked(route, cast);
    let (side, i) = (Side::Server, Route::INTERFACE);
    let drops = by_rule(&route.server, 0, Place::Server, side, "receiver", i, ground);
    Outcome { expected: vec![drops], turns: None }
}

fn nft_forward(route: &Route, extent: Extent) -> Cast {
    let port = Route::PORT;
    route.router.nft(&format!(
        "table ip filter {{
            chain forward {{
                type filter hook forward priority 0; policy drop;
                iifname left tcp dport {port} {ANY_DATA} numgen random mod 100 < {LOSS} counter drop
                iifname left accept
                iifname right tcp sport {port} {ANY_DATA} numgen random mod 100 < {LOSS} counter drop
                ip saddr {} accept
            }}
        }}",
        Route::SERVER
    ));
    talk(route, extent, Route::SERVER)
}

fn play_forward(route: &Route, cast: &mut Cast, ground: &Ground) -> Outcome {
    let turns = talked(route, cast);
    let at = |which, side, interface| {
        by_rule(&route.router, which, Place::Router, side, "sender", interface, ground)
    };
    let both = vec![at(0, Side::Client, Route::LEFT), at(1, Side::Server, Route::RIGHT)];
    Outcome { expected: both, turns: Some(turns) }
}

/// The limit is the whole host's: it is put back as soon as its value is dropped.
struct Limit(String);

const CONNTRACK_MAX: &str = "/proc/sys/net/netfilter/nf_conntrack_max";

impl Limit {
    fn set(to: u32) -> Self {
        let before = std::fs::read_to_string(CONNTRACK_MAX).expect("connections can be tracked");
        std::fs::write(CONNTRACK_MAX, to.to_string()).expect("root may set it");
        Self(before)
    }
}

impl Drop for Limit {
    fn drop(&mut self) {
        let _ = std::fs::write(CONNTRACK_MAX, self.0.trim());
    }
}

fn conntrack(route: &Route, extent: Extent) -> Cast {
    route.server.nft(
        "table inet filter {
            chain input { type filter hook input priority 0; policy accept; ct state established counter accept; }
        }",
    );
    let count = extent.drops.to_string();
    let port = Route::PORT.to_string();
    let server_program = actor(&route.server, &["sink", Route::SERVER, &port, "1000000"]);
    // Flows enough to fill the table, and then one that finds no room in it.
    let client = actor(&route.client, &["scatter", Route::SERVER, &port, &count]);
    Cast { client, server: Some(server_program) }
}

fn conntrack_drops(netns: &Netns) -> u64 {
    let text = netns.inside(|| std::fs::read_to_string("/proc/thread-self/net/stat/nf_conntrack"));
    let text = text.expect("connections are tracked");
    let mut lines = text.lines();
    let names = lines.next().expect("a head");
    let at = names.split_whitespace().position(|n| n == "drop").expect("a column");
    lines
        .map(|l| u64::from_str_radix(l.split_whitespace().nth(at).expect("a number"), 16).expect("hex"))
        .sum()
}

fn play_conntrack(route: &Route, cast: &mut Cast, ground: &Ground) -> Outcome {
    let limit = Limit::set(4);
    let before = conntrack_drops(&route.server);
    cast.client.say("go");
    cast.client.json();
    let count = conntrack_drops(&route.server) - before;
    drop(limit);
    let e = Expected {
        why: "conntrack_full",
        place: Place::Server,
        hurt: "receiver",
        victim: Side::Server,
        interface: Route::INTERFACE,
        rule: None,
        queue: None,
        count,
        blind: ground.blindspot.drops("NETFILTER_DROP"),
    };
    Outcome { expected: vec![e], turns: None }
}

/// Datagrams or connections, and one counter that counts what becomes of them.
struct Simple {
    why: &'static str,
    reason: &'static str,
    place: Place,
    hurt: &'static str,
    victim: Side,
    interface: &'static str,
    queue: Option<&'static str>,
    counter: &'static str,
}

impl Simple {
    fn play(&self, route: &Route, cast: &mut Cast, ground: &Ground) -> Outcome {
        cast.client.say("go");
        cast.client.json();
        self.outcome(route, ground)
    }

    fn outcome(&self, route: &Route, ground: &Ground) -> Outcome {
        let at = match self.place {
            Place::Client => 0,
            Place::Router => 1,
            Place::Server => 2,
        };
        let count = counters::delta(&ground.before[at], &route.counters()[at], self.counter);
        assert!(count > 0, "{} did not move", self.counter);
        let e = Expected {
            why: self.why,
            place: self.place,
            hurt: self.hurt,
            victim: self.victim,
            interface: self.interface,
            rule: None,
            queue: self.queue,
            count,
            blind: ground.blindspot.drops(self.reason),
        };
        Outcome { expected: vec![e], turns: None }
    }
}

/// The client sends datagrams to a server that does not read.
fn flood(route: &Route, extent: Extent, size: &str, ttl: &str, source: &str, buffer: &str) -> Cast {
    let (count, port) = (extent.drops.to_string(), Route::PORT.to_string());
    let server_program = actor(&route.server, &["sink", Route::SERVER, &port, buffer]);
    let client = actor(&route.client, &["flood", Route::SERVER, &port, &count, size, ttl, source]);
    Cast { client, server: Some(server_program) }
}

fn udp_buffer(route: &Route, extent: Extent) -> Cast {
    flood(route, extent, "500", "0", "-", "2048")
}

fn play_udp_buffer(route: &Route, cast: &mut Cast, ground: &Ground) -> Outcome {
    let simple = Simple {
        why: "receive_buffer_full",
        reason: "SOCKET_RCVBUFF",
        place: Place::Server,
        hurt: "receiver",
        victim: Side::Server,
        interface: Route::INTERFACE,
        queue: Some("receive"),
        counter: "UdpRcvbufErrors",
    };
    simple.play(route, cast, ground)
}

fn tbf(route: &Route, extent: Extent) -> Cast {
    let i = Route::INTERFACE;
    let words = [
        "qdisc", "add", "dev", i, "root", "handle", "8001:", "tbf", "rate", "1mbit", "burst", "3000",
        "limit", "6000",
    ];
    route.client.run("tc", &words);
    flood(route, Extent { drops: extent.drops * 5 / 4, ..extent }, "1000", "0", "-", "4000000")
}

fn play_tbf(route: &Route, cast: &mut Cast, ground: &Ground) -> Outcome {
    cast.client.say("go");
    cast.client.json();
    let text = route.client.run("tc", &["-s", "-j", "qdisc", "show", "dev", Route::INTERFACE]);
    let json: serde_json::Value = serde_json::from_str(&text).expect("tc -j prints JSON");
    let count = json[0]["drops"].as_u64().unwrap_or_else(|| panic!("no drops: {text}"));
    let e = Expected {
        why: "qdisc_full",
        place: Place::Client,
        hurt: "sender",
        victim: Side::Client,
        interface: Route::INTERFACE,
        rule: None,
        queue: Some("qdisc"),
        count,
        blind: ground.blindspot.drops("QDISC_DROP"),
    };
    Outcome { expected: vec![e], turns: None }
}

fn ttl(route: &Route, extent: Extent) -> Cast {
    flood(route, extent, "100", "1", "-", "4000000")
}

fn play_ttl(route: &Route, cast: &mut Cast, ground: &Ground) -> Outcome {
    let simple = Simple {
        why: "ttl_expired",
        reason: "IP_INHDR",
        place: Place::Router,
        hurt: "sender",
        victim: Side::Client,
        interface: Route::LEFT,
        queue: None,
        counter: "IpInHdrErrors",
    };
    simple.play(route, cast, ground)
}

/// Copies of a request with something wrong, for a connection that is open.
fn stale(route: &Route, extent: Extent, what: &str) -> Cast {
    let (count, port) = (extent.drops.to_string(), Route::PORT.to_string());
    let server_program = actor(&route.server, &["echo", Route::SERVER, &port]);
    let words = ["stale", Route::SERVER, &port, &count, Route::INTERFACE, what];
    Cast { client: actor(&route.client, &words), server: Some(server_program) }
}

fn checksum(route: &Route, extent: Extent) -> Cast {
    stale(route, extent, "checksum")
}

fn play_checksum(route: &Route, cast: &mut Cast, ground: &Ground) -> Outcome {
    let simple = Simple {
        why: "bad_checksum",
        reason: "TCP_CSUM",
        place: Place::Server,
        hurt: "receiver",
        victim: Side::Server,
        interface: Route::INTERFACE,
        queue: None,
        counter: "TcpInCsumErrors",
    };
    simple.play(route, cast, ground)
}

fn old_timestamp(route: &Route, extent: Extent) -> Cast {
    stale(route, extent, "paws")
}

fn play_old_timestamp(route: &Route, cast: &mut Cast, ground: &Ground) -> Outcome {
    let simple = Simple {
        why: "old_timestamp",
        reason: "TCP_RFC7323_PAWS",
        place: Place::Server,
        hurt: "receiver",
        victim: Side::Server,
        interface: Route::INTERFACE,
        queue: None,
        counter: "TcpExtPAWSEstab",
    };
    simple.play(route, cast, ground)
}

fn accept_queue(route: &Route, extent: Extent) -> Cast {
    let port = Route::PORT.to_string();
    // Each of those that find no room knocks twice within two seconds.
    let count = (extent.drops / 2 + 8).to_string();
    let server_program = actor(&route.server, &["full", Route::SERVER, &port, "4"]);
    Cast {
        client: actor(&route.client, &["crowd", Route::SERVER, &port, &count]),
        server: Some(server_program),
    }
}

fn play_accept_queue(route: &Route, cast: &mut Cast, ground: &Ground) -> Outcome {
    let server_program = cast.server.as_mut().expect("it listens");
    server_program.say("go");
    cast.client.say("go");
    cast.client.json();
    server_program.json();
    let simple = Simple {
        why: "accept_queue_full",
        reason: "TCP_LISTEN_OVERFLOW",
        place: Place::Server,
        hurt: "receiver",
        victim: Side::Server,
        interface: Route::INTERFACE,
        queue: Some("accept"),
        counter: "TcpExtListenOverflows",
    };
    simple.outcome(route, ground)
}

fn no_listener(route: &Route, extent: Extent) -> Cast {
    let (count, port) = (extent.drops.to_string(), Route::PORT.to_string());
    Cast { client: actor(&route.client, &["knock", Route::SERVER, &port, &count]), server: None }
}

fn play_no_listener(route: &Route, cast: &mut Cast, ground: &Ground) -> Outcome {
    let simple = Simple {
        why: "no_listener",
        reason: "NO_SOCKET",
        place: Place::Server,
        hurt: "sender",
        victim: Side::Client,
        interface: Route::INTERFACE,
        queue: None,
        // Each is answered by a reset.
        counter: "TcpOutRsts",
    };
    simple.play(route, cast, ground)
}

fn rp_filter(route: &Route, extent: Extent) -> Cast {
    const ELSEWHERE: &str = "10.99.0.1";
    route.client.ip(&["addr", "add", &format!("{ELSEWHERE}/32"), "dev", "lo"]);
    route.server.run("sysctl", &["-qw", "net.ipv4.conf.all.rp_filter=1", "net.ipv4.conf.eth0.rp_filter=1"]);
    route.server.ip(&["route", "add", "unreachable", "10.99.0.0/16"]);
    flood(route, extent, "100", "0", ELSEWHERE, "4000000")
}

fn play_rp_filter(route: &Route, cast: &mut Cast, ground: &Ground) -> Outcome {
    let simple = Simple {
        why: "reverse_path",
        reason: "IP_RPFILTER",
        place: Place::Server,
        hurt: "receiver",
        victim: Side::Server,
        interface: Route::INTERFACE,
        queue: None,
        counter: "TcpExtIPReversePathFilter",
    };
    simple.play(route, cast, ground)
}

/// The server may use one CPU only, and has to share it with others that are preferred.
fn cpu_starved(route: &Route, extent: Extent) -> Cast {
    let load = Load { workers: 1, response: 200, ..Load::new(extent.seed) }.with_turns(extent.drops);
    let server_program = load.serve(&route.server, server());
    let pid = server_program.pid().to_string();
    route.server.run("taskset", &["-a", "-c", "-p", "0", &pid]);
    route.server.run("renice", &["-n", "19", "-p", &pid]);
    // Nobody but the server is to wait: a client that is woken beside it would share its lot.
    let client = load.client(&route.client, server());
    let pid = client.pid().to_string();
    let last = std::thread::available_parallelism().map_or(1, usize::from) - 1;
    route.client.run("taskset", &["-a", "-c", "-p", &last.to_string(), &pid]);
    route.client.run("chrt", &["-a", "-f", "-p", "1", &pid]);
    Cast { client, server: Some(server_program) }
}

/// Nanoseconds that the threads of a process have waited for a CPU (Documentation/scheduler/sched-stats.rst).
fn waited(pid: u32) -> u64 {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("it lives").flatten();
    let of = |task: std::fs::DirEntry| {
        let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split_whitespace().nth(1)?.parse::<u64>().ok()
    };
    tasks.filter_map(of).sum()
}

fn play_cpu_starved(route: &Route, cast: &mut Cast, _: &Ground) -> Outcome {
    let pid = cast.server.as_ref().expect("it answers").pid();
    let rivals: Vec<Program> = (0..2)
        .map(|_| {
            let mut spin = route.server.command("taskset");
            Program::start(spin.args([
                "-c",
                "0",
                "nice",
                "-n",
                "-10",
                "/usr/bin/python3",
                "-c",
                "while True: pass",
            ]))
        })
        .collect();
    // They run once they have used up some time.
    for rival in &rivals {
        crate::wait_for("a rival to be busy", || (counters::cpu_ns(rival.pid()) > 50_000_000).then_some(()));
    }
    let before = waited(pid);
    cast.client.say("go");
    let reports: Vec<Report> = serde_json::from_value(cast.client.json()).expect("the client's reports");
    drop(rivals);
    let all: Vec<_> =
        reports.iter().flat_map(|r| (0..).zip(&r.turns).map(move |(n, t)| (r.ports, n, t))).collect();
    let took: u64 = all.iter().map(|(_, _, t)| t.took_ns).sum();
    // Threads whose connection has ended are gone with what they waited: this is the least of it.
    let kept = waited(pid).saturating_sub(before);
    assert!(kept <= took, "{kept} of {took}");
    // One time slice at least.
    let slow = Duration::from_millis(4).as_nanos() as u64;
    let hurt = all.iter().filter(|(_, _, t)| t.took_ns > slow).map(|(ports, n, _)| (*ports, *n)).collect();
    cast.client.finish();
    Outcome { expected: Vec::new(), turns: Some(Turns { side: Side::Server, hurt, causes: &["run_queue"] }) }
}
