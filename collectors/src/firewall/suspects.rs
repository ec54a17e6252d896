//! Which rules can have dropped a packet: the rule set is walked as the kernel walks it, with three answers to each
//! match. What a rule asks that the packet's drop doesn't tell (marks, connection tracking, random numbers, sets) is
//! answered by "maybe".

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use serde_json::Value;
use tracenet_core::drops::{Hook, Rule};
use tracenet_core::event::DropEvent;
use tracenet_core::key::{Direction, Transport};

use super::{Chain, MAX_JUMPS, chain_of, counted, expressions, named_counters};

/// A packet as the packet filter met it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Met {
    pub(super) hook: Hook,
    pub(super) interface: String,
    pub(super) transport: Transport,
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    pub(super) flags: u8,
    /// 0: unknown.
    pub(super) ttl: u8,
}

impl Met {
    /// `None` where the drop doesn't tell at which hook it was.
    pub(super) fn of(d: &DropEvent) -> Option<Self> {
        let (from, to) = match d.direction {
            Direction::Out => (d.tuple.local, d.tuple.remote),
            Direction::In => (d.tuple.remote, d.tuple.local),
        };
        Some(Self {
            hook: d.details.hook?,
            interface: d.details.interface.to_string(),
            transport: d.tuple.transport,
            from,
            to,
            flags: d.tcp_flags,
            ttl: d.details.ttl,
        })
    }
}

/// A rule set (libnftables-json(5)).
#[derive(Debug, Default)]
pub(super) struct Ruleset {
    /// Base chains, in the order in which packets pass them.
    bases: Vec<Base>,
    chains: HashMap<Place, Vec<Value>>,
    /// Packets of the rules that count what they drop.
    pub(super) counters: HashMap<(String, String, u64), u64>,
}

type Place = (String, String, String);

#[derive(Debug)]
struct Base {
    place: Place,
    hook: String,
    priority: i64,
    device: Option<String>,
    drops: bool,
}

/// An answer that may not be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Truth {
    No,
    Maybe,
    Yes,
}

impl From<bool> for Truth {
    fn from(b: bool) -> Self {
        if b { Self::Yes } else { Self::No }
    }
}

/// Where a packet surely is after a chain.
#[derive(PartialEq, Eq)]
enum End {
    Dropped,
    Accepted,
    Goes,
}

/// What is known of what a match looks at.
enum Datum<'a> {
    Address(IpAddr),
    Number(u64),
    Word(&'a str),
    Flags(u8),
    /// The packet has no such thing, so that the rule doesn't match.
    Absent,
    Unknown,
}

fn owned((family, table, name): Chain<'_>) -> Place {
    (family.to_owned(), table.to_owned(), name.to_owned())
}

impl Ruleset {
    pub(super) fn parse(listing: &Value) -> Self {
        let objects = || listing["nftables"].as_array().into_iter().flatten();
        let mut out = Self::default();
        for chain in objects().filter_map(|o| o.get("chain")) {
            let Some(hook) = chain["hook"].as_str() else { continue };
            out.bases.push(Base {
                place: owned(chain_of(chain, "name")),
                hook: hook.to_owned(),
                priority: chain["prio"].as_i64().unwrap_or(0),
                device: chain["dev"].as_str().map(str::to_owned),
                drops: chain["policy"] == "drop",
            });
        }
        out.bases.sort_by_key(|b| b.priority);
        let named = named_counters(objects);
        for rule in objects().filter_map(|o| o.get("rule")) {
            let chain = chain_of(rule, "chain");
            if let (Some(handle), Some(packets)) = (rule["handle"].as_u64(), counted(rule, &named)) {
                out.counters.insert((chain.0.to_owned(), chain.1.to_owned(), handle), packets);
            }
            out.chains.entry(owned(chain)).or_default().push(rule.clone());
        }
        out
    }

    /// What a rule has counted, where it counts.
    pub(super) fn count(&self, rule: &Rule) -> Option<u64> {
        self.counters.get(&(rule.family.to_string(), rule.table.to_string(), rule.handle?)).copied()
    }

    /// The rules that can have dropped `p`, in the order in which it met them.
    pub(super) fn suspects(&self, p: &Met) -> Vec<Rule> {
        let mut found = Vec::new();
        for base in self.bases.iter().filter(|b| b.sees(p)) {
            let end = self.walk(&base.place, p, Truth::Yes, MAX_JUMPS, &mut found);
            if end == End::Goes && base.drops {
                found.push(rule_of(&base.place, None));
                break;
            }
            if end == End::Dropped {
                break;
            }
        }
        found
    }

    /// `here`: whether the packet comes here at all.
    fn walk(&self, chain: &Place, p: &Met, here: Truth, depth: usize, found: &mut Vec<Rule>) -> End {
        let Some(rules) = self.chains.get(chain).filter(|_| depth > 0) else { return End::Goes };
        let place = |name: &Value| {
            (chain.0.clone(), chain.1.clone(), name["target"].as_str().unwrap_or_default().to_owned())
        };
        'rules: for rule in rules {
            let mut truth = here;
            for statement in expressions(rule) {
                let Some((name, value)) = statement.as_object().and_then(|o| o.iter().next()) else {
                    continue;
                };
                match name.as_str() {
                    "match" => truth = truth.min(matches(value, p)),
                    "drop" | "reject" => {
                        found.push(rule_of(chain, rule["handle"].as_u64()));
                        if truth == Truth::Yes {
                            return End::Dropped;
                        }
                        continue 'rules;
                    }
                    "accept" | "queue" if truth == Truth::Yes => return End::Accepted,
                    "return" if truth == Truth::Yes => return End::Goes,
                    "accept" | "queue" | "return" => continue 'rules,
                    "jump" | "goto" => {
                        let end = self.walk(&place(value), p, truth, depth - 1, found);
                        if end != End::Goes {
                            return end;
                        }
                        if name == "goto" && truth == Truth::Yes {
                            return End::Goes;
                        }
                        continue 'rules;
                    }
                    "vmap" => {
                        for (_, verdict) in pairs(value) {
                            if verdict.get("drop").is_some() {
                                found.push(rule_of(chain, rule["handle"].as_u64()));
                            }
                            for to in ["jump", "goto"].iter().filter_map(|j| verdict.get(j)) {
                                self.walk(&place(to), p, Truth::Maybe, depth - 1, found);
                            }
                        }
                        truth = truth.min(Truth::Maybe);
                    }
                    "counter" | "log" | "comment" | "mangle" | "notrack" | "ct helper" => {}
                    // Limits, quotas and whatever else may say no.
                    _ => truth = truth.min(Truth::Maybe),
                }
                if truth == Truth::No {
                    continue 'rules;
                }
            }
        }
        End::Goes
    }
}

impl Base {
    fn sees(&self, p: &Met) -> bool {
        let family = match self.place.0.as_str() {
            "ip" => p.to.is_ipv4(),
            "ip6" => p.to.is_ipv6(),
            "inet" => true,
            "netdev" => self.device.as_ref().is_none_or(|d| *d == p.interface),
            _ => false,
        };
        family && self.hook == p.hook.as_str()
    }
}

fn rule_of(chain: &Place, handle: Option<u64>) -> Rule {
    Rule {
        family: chain.0.as_str().into(),
        table: chain.1.as_str().into(),
        chain: chain.2.as_str().into(),
        handle,
    }
}

/// Keys and verdicts of a verdict map that is written out in the rule.
fn pairs(vmap: &Value) -> impl Iterator<Item = (&Value, &Value)> {
    vmap["data"]["set"].as_array().into_iter().flatten().filter_map(|pair| Some((pair.get(0)?, pair.get(1)?)))
}

fn matches(m: &Value, p: &Met) -> Truth {
    let datum = datum(&m["left"], p);
    let right = &m["right"];
    match m["op"].as_str().unwrap_or_default() {
        "==" => equal(&datum, right),
        "in" => match datum {
            Datum::Flags(flags) => flags_of(right).map_or(Truth::Maybe, |mask| (flags & mask != 0).into()),
            _ => equal(&datum, right),
        },
        "!=" => match (equal(&datum, right), datum) {
            // What isn't there is not unequal either.
            (_, Datum::Absent) => Truth::No,
            (Truth::Yes, _) => Truth::No,
            (Truth::No, _) => Truth::Yes,
            (Truth::Maybe, _) => Truth::Maybe,
        },
        op => match (datum, right.as_u64()) {
            (Datum::Absent, _) => Truth::No,
            (Datum::Number(n), Some(r)) => match op {
                "<" => (n < r).into(),
                ">" => (n > r).into(),
                "<=" => (n <= r).into(),
                ">=" => (n >= r).into(),
                _ => Truth::Maybe,
            },
            _ => Truth::Maybe,
        },
    }
}

fn datum<'a>(left: &Value, p: &'a Met) -> Datum<'a> {
    let protocol = p.transport.as_str();
    if let Some(masked) = left.get("&").and_then(Value::as_array) {
        let [of, mask] = masked.as_slice() else { return Datum::Unknown };
        return match (datum(of, p), flags_of(mask)) {
            (Datum::Flags(flags), Some(mask)) => Datum::Flags(flags & mask),
            (Datum::Absent, _) => Datum::Absent,
            _ => Datum::Unknown,
        };
    }
    if let Some(payload) = left.get("payload") {
        let (header, field) =
            (payload["protocol"].as_str().unwrap_or_default(), payload["field"].as_str().unwrap_or_default());
        let there = match header {
            "tcp" | "udp" => header == protocol,
            "th" => true,
            "ip" => p.to.is_ipv4(),
            "ip6" => p.to.is_ipv6(),
            "icmp" | "icmpv6" | "sctp" | "dccp" | "udplite" => false,
            _ => return Datum::Unknown,
        };
        return match (there, field) {
            (false, _) => Datum::Absent,
            (true, "sport") => Datum::Number(p.from.port().into()),
            (true, "dport") => Datum::Number(p.to.port().into()),
            (true, "saddr") => Datum::Address(p.from.ip()),
            (true, "daddr") => Datum::Address(p.to.ip()),
            (true, "protocol" | "nexthdr") => Datum::Word(protocol),
            (true, "ttl" | "hoplimit") if p.ttl > 0 => Datum::Number(p.ttl.into()),
            (true, "flags") if header == "tcp" => Datum::Flags(p.flags),
            _ => Datum::Unknown,
        };
    }
    let inwards = matches!(p.hook, Hook::Ingress | Hook::Prerouting | Hook::Input | Hook::Forward);
    match left["meta"]["key"].as_str() {
        Some("l4proto") => Datum::Word(protocol),
        Some("nfproto") => Datum::Word(if p.to.is_ipv4() { "ipv4" } else { "ipv6" }),
        Some("iifname" | "iif") if inwards && !p.interface.is_empty() => Datum::Word(&p.interface),
        Some("oifname" | "oif") if !inwards && !p.interface.is_empty() => Datum::Word(&p.interface),
        _ => Datum::Unknown,
    }
}

fn equal(datum: &Datum<'_>, right: &Value) -> Truth {
    if let Some(set) = right["set"].as_array() {
        return set.iter().map(|e| equal(datum, e)).max().unwrap_or(Truth::No);
    }
    // An element with a counter or a time of its own.
    let right = right.get("elem").and_then(|e| e.get("val")).unwrap_or(right);
    if right.as_str().is_some_and(|s| s.starts_with('@')) && !matches!(datum, Datum::Absent) {
        return Truth::Maybe;
    }
    match datum {
        Datum::Absent => Truth::No,
        Datum::Unknown => Truth::Maybe,
        Datum::Flags(flags) => match right.as_u64() {
            Some(n) => (u64::from(*flags) == n).into(),
            None => flags_of(right).map_or(Truth::Maybe, |f| (*flags == f).into()),
        },
        Datum::Word(word) => match right.as_str() {
            // nft shows interfaces by a pattern, `veth*`.
            Some(r) if r.ends_with('*') => word.starts_with(r.trim_end_matches('*')).into(),
            Some(r) => (*word == r).into(),
            None => Truth::Maybe,
        },
        Datum::Number(n) => match (right.as_u64(), range(right)) {
            (Some(r), _) => (*n == r).into(),
            (None, Some((low, high))) => match (low.as_u64(), high.as_u64()) {
                (Some(low), Some(high)) => (low..=high).contains(n).into(),
                _ => Truth::Maybe,
            },
            _ => Truth::Maybe,
        },
        Datum::Address(a) => address(*a, right),
    }
}

fn range(right: &Value) -> Option<(&Value, &Value)> {
    let ends = right.get("range")?;
    Some((ends.get(0)?, ends.get(1)?))
}

fn address(a: IpAddr, right: &Value) -> Truth {
    let parse = |v: &Value| v.as_str().and_then(|s| s.parse::<IpAddr>().ok());
    if let Some(r) = parse(right) {
        return (a == r).into();
    }
    if let Some((low, high)) = range(right).and_then(|(l, h)| Some((parse(l)?, parse(h)?))) {
        return (low <= a && a <= high).into();
    }
    let prefix = &right["prefix"];
    match (a, parse(&prefix["addr"]), prefix["len"].as_u64()) {
        (IpAddr::V4(a), Some(IpAddr::V4(r)), Some(len @ 0..=32)) => {
            (len == 0 || (u32::from(a) ^ u32::from(r)) >> (32 - len) == 0).into()
        }
        (IpAddr::V6(a), Some(IpAddr::V6(r)), Some(len @ 0..=128)) => {
            (len == 0 || (u128::from(a) ^ u128::from(r)) >> (128 - len) == 0).into()
        }
        (_, Some(_), Some(_)) => Truth::No,
        _ => Truth::Maybe,
    }
}

/// `"syn"`, or `["syn", "ack"]`.
fn flags_of(v: &Value) -> Option<u8> {
    const NAMES: [&str; 8] = ["fin", "syn", "rst", "psh", "ack", "urg", "ecn", "cwr"];
    if let Some(all) = v.as_array() {
        return all.iter().try_fold(0, |sum, one| Some(sum | flags_of(one)?));
    }
    let name = v.as_str()?;
    NAMES.iter().position(|n| *n == name).map(|bit| 1 << bit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn met(hook: Hook, from: &str, to: &str, flags: u8) -> Met {
        Met {
            hook,
            interface: "veth0".into(),
            transport: Transport::Tcp,
            from: from.parse().unwrap(),
            to: to.parse().unwrap(),
            flags,
            ttl: 64,
        }
    }

    fn rule(chain: &str, handle: u64, expr: Value) -> Value {
        serde_json::json!({"rule": {"family": "inet", "table": "f", "chain": chain, "handle": handle, "expr": expr}})
    }

    fn base(name: &str, hook: &str, policy: &str) -> Value {
        serde_json::json!({"chain": {"family": "inet", "table": "f", "name": name, "hook": hook, "prio": 0,
                                     "policy": policy}})
    }

    fn payload(protocol: &str, field: &str, op: &str, right: Value) -> Value {
        serde_json::json!({"match": {"op": op, "left": {"payload": {"protocol": protocol, "field": field}},
                                     "right": right}})
    }

    fn handles(objects: &[Value], p: &Met) -> Vec<Option<u64>> {
        Ruleset::parse(&serde_json::json!({ "nftables": objects }))
            .suspects(p)
            .iter()
            .map(|r| r.handle)
            .collect()
    }

    #[test]
    fn what_a_rule_says_of_ports_addresses_and_flags_clears_it() {
        let drop = serde_json::json!({"drop": null});
        let numgen = serde_json::json!({"match": {"op": "<", "left": {"numgen": {"mod": 100}}, "right": 3}});
        let syn = serde_json::json!({"match": {"op": "==", "right": "syn",
            "left": {"&": [{"payload": {"protocol": "tcp", "field": "flags"}}, ["syn", "ack"]]}}});
        let prefix = serde_json::json!({"prefix": {"addr": "10.0.0.0", "len": 8}});
        let ports = serde_json::json!({"set": [80, {"range": [8000, 8010]}]});
        let rules = [
            base("out", "output", "accept"),
            base("in", "input", "drop"),
            rule("out", 1, serde_json::json!([payload("tcp", "dport", "==", 9.into()), drop])),
            rule("out", 2, serde_json::json!([payload("ip", "saddr", "==", prefix), numgen, drop])),
            rule("out", 3, serde_json::json!([payload("udp", "dport", "!=", 9.into()), drop])),
            rule("out", 4, serde_json::json!([payload("tcp", "dport", "==", ports), syn, drop])),
            rule("out", 5, serde_json::json!([payload("ip", "daddr", "==", "@bad".into()), drop])),
            rule(
                "out",
                6,
                serde_json::json!([payload("tcp", "dport", "==", 8001.into()), {"jump": {"target": "sub"}}]),
            ),
            rule("out", 7, serde_json::json!([drop])),
            rule("sub", 8, serde_json::json!([{"limit": {}}, {"reject": null}])),
            rule("sub", 9, serde_json::json!([drop])),
        ];
        let data = met(Hook::Output, "10.0.0.1:5", "10.0.0.2:8001", 0x18);
        assert_eq!(handles(&rules, &data), [Some(2), Some(5), Some(8), Some(9)]);
        let syn = met(Hook::Output, "192.168.0.1:5", "10.0.0.2:8001", 2);
        assert_eq!(handles(&rules, &syn), [Some(4)]);
        assert_eq!(handles(&rules, &met(Hook::Output, "[fd00::1]:5", "[fd00::2]:1", 2)), [Some(7)]);
        assert_eq!(handles(&rules, &met(Hook::Input, "10.0.0.1:5", "10.0.0.2:8001", 2)), [None]);
        assert!(handles(&rules, &met(Hook::Forward, "10.0.0.1:5", "10.0.0.2:8001", 2)).is_empty());
    }

    #[test]
    fn accepted_packets_meet_the_next_base_chain_only() {
        let drop = serde_json::json!({"drop": null});
        let interface = serde_json::json!({"match": {"op": "==", "left": {"meta": {"key": "oifname"}}, "right": "veth*"}});
        let later = serde_json::json!({"chain": {"family": "ip", "table": "g", "name": "late", "hook": "output",
                                                 "prio": 10, "policy": "accept"}});
        let late = serde_json::json!({"rule": {"family": "ip", "table": "g", "chain": "late", "handle": 3,
                                               "expr": [{"vmap": {"data": {"set": [[1, {"drop": null}]]}}}]}});
        let rules = [
            later,
            late,
            base("out", "output", "drop"),
            rule("out", 1, serde_json::json!([interface, {"accept": null}])),
            rule("out", 2, serde_json::json!([drop])),
        ];
        assert_eq!(handles(&rules, &met(Hook::Output, "10.0.0.1:5", "10.0.0.2:1", 2)), [Some(3)]);
    }
}
