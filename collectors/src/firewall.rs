//! Which rules of the packet filter throw packets away: what nft(8) says of the namespace that the calling thread is in.
//!
//! The kernel names a packet's loss by `NETFILTER_DROP` and a symbol, not by the rule. The rules that can have done it
//! are those with the verdict drop or reject; one that counts says how often it was it.

mod suspects;
mod watch;

use std::collections::HashMap;
use std::process::{Command, Stdio};

use serde_json::Value;
use tracenet_core::audit::FirewallRule;

pub use watch::Watch;

/// The calling thread's namespace: every rule that can drop, with its counter where it has one. Empty where there is
/// no nft program, no rule, or no permission to look.
///
/// The sets of a rule set are left out (`nft -t`): they may be large.
pub fn rules_here() -> Vec<FirewallRule> {
    listing_here().map_or_else(Vec::new, |v| dropping(&v))
}

fn listing_here() -> Option<Value> {
    let listing = Command::new("nft")
        .args(["-j", "-t", "list", "ruleset"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()
        .filter(|o| o.status.success())?;
    serde_json::from_slice(&listing.stdout).ok()
}

/// What the rules have dropped between two looks: those that did, and those that don't count. A rule that was made
/// meanwhile counts from zero.
pub fn grown(before: &[FirewallRule], after: &[FirewallRule], netns: u32) -> Vec<FirewallRule> {
    let place = |r: &FirewallRule| (r.family.clone(), r.table.clone(), r.chain.clone(), r.handle);
    let was: HashMap<_, u64> = before.iter().map(|r| (place(r), r.packets.unwrap_or(0))).collect();
    after
        .iter()
        .map(|r| {
            let was = was.get(&place(r)).copied().unwrap_or(0);
            FirewallRule { netns, packets: r.packets.map(|n| n.saturating_sub(was)), ..r.clone() }
        })
        .filter(|r| r.packets != Some(0))
        .collect()
}

type Chain<'a> = (&'a str, &'a str, &'a str);

/// The rules of a listing (libnftables-json(5)) that can drop.
fn dropping(listing: &Value) -> Vec<FirewallRule> {
    let objects = || listing["nftables"].as_array().into_iter().flatten();
    let text = |v: &'static str| move |o: &'_ Value| o[v].as_str().unwrap_or_default().to_owned();
    let mut hooks: HashMap<Chain<'_>, &str> = HashMap::new();
    let mut rules = Vec::new();
    for chain in objects().filter_map(|o| o.get("chain")) {
        let Some(hook) = chain["hook"].as_str() else { continue };
        hooks.insert(chain_of(chain, "name"), hook);
        if chain["policy"] == "drop" {
            rules.push(FirewallRule {
                netns: 0,
                family: text("family")(chain),
                table: text("table")(chain),
                chain: text("name")(chain),
                hook: Some(hook.to_owned()),
                handle: None,
                packets: None,
            });
        }
    }
    // A chain without a hook works at that of the chain that jumps there. Jumps don't go in circles.
    for _ in 0..MAX_JUMPS {
        let before = hooks.len();
        for rule in objects().filter_map(|o| o.get("rule")) {
            let Some(&hook) = hooks.get(&chain_of(rule, "chain")) else { continue };
            for to in expressions(rule).filter_map(|e| e.get("jump").or_else(|| e.get("goto"))) {
                let (family, table, _) = chain_of(rule, "chain");
                hooks.entry((family, table, to["target"].as_str().unwrap_or_default())).or_insert(hook);
            }
        }
        if hooks.len() == before {
            break;
        }
    }
    let named = named_counters(objects);
    for rule in objects().filter_map(|o| o.get("rule")) {
        let drops = expressions(rule).any(|e| e.get("drop").is_some() || e.get("reject").is_some());
        if !drops {
            continue;
        }
        rules.push(FirewallRule {
            netns: 0,
            family: text("family")(rule),
            table: text("table")(rule),
            chain: text("chain")(rule),
            hook: hooks.get(&chain_of(rule, "chain")).map(|h| (*h).to_owned()),
            handle: rule["handle"].as_u64(),
            packets: counted(rule, &named),
        });
    }
    rules
}

/// As deep as the kernel lets chains jump (include/net/netfilter/nf_tables.h `NFT_JUMP_STACK_SIZE`).
const MAX_JUMPS: usize = 16;

fn chain_of<'a>(object: &'a Value, name: &str) -> Chain<'a> {
    let text = |key: &str| object[key].as_str().unwrap_or_default();
    (text("family"), text("table"), text(name))
}

fn expressions(rule: &Value) -> impl Iterator<Item = &Value> {
    rule["expr"].as_array().into_iter().flatten()
}

/// Packets of the counters that have a name, by family, table and name; those of which several rules make use are left
/// out: what one of them did can't be told.
fn named_counters<'a, I: Iterator<Item = &'a Value>>(objects: impl Fn() -> I) -> HashMap<Chain<'a>, u64> {
    let mut uses: HashMap<Chain<'_>, u32> = HashMap::new();
    for rule in objects().filter_map(|o| o.get("rule")) {
        let (family, table, _) = chain_of(rule, "chain");
        for name in expressions(rule).filter_map(|e| e.get("counter")?.as_str()) {
            *uses.entry((family, table, name)).or_default() += 1;
        }
    }
    objects()
        .filter_map(|o| o.get("counter"))
        .map(|c| (chain_of(c, "name"), c["packets"].as_u64()))
        .filter(|(name, _)| uses.get(name) == Some(&1))
        .filter_map(|(name, packets)| Some((name, packets?)))
        .collect()
}

/// Packets that a rule's counter has seen, where the counter stands after everything that may say no.
fn counted(rule: &Value, named: &HashMap<Chain<'_>, u64>) -> Option<u64> {
    let mut packets = None;
    let (family, table, _) = chain_of(rule, "chain");
    for e in expressions(rule) {
        if let Some(counter) = e.get("counter") {
            packets = match counter.as_str() {
                Some(name) => named.get(&(family, table, name)).copied(),
                None => counter["packets"].as_u64(),
            };
        } else if ["drop", "reject", "log", "comment"].iter().all(|name| e.get(name).is_none()) {
            packets = None;
        }
    }
    packets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_that_drop_are_found_with_hook_and_counter() {
        let listing = serde_json::json!({"nftables": [
            {"metainfo": {"version": "1.0.6"}},
            {"table": {"family": "inet", "name": "filter", "handle": 1}},
            {"chain": {"family": "inet", "table": "filter", "name": "input", "handle": 1, "type": "filter",
                       "hook": "input", "prio": 0, "policy": "drop"}},
            {"chain": {"family": "inet", "table": "filter", "name": "bad", "handle": 2}},
            {"rule": {"family": "inet", "table": "filter", "chain": "input", "handle": 4,
                      "expr": [{"match": {}}, {"jump": {"target": "bad"}}]}},
            {"rule": {"family": "inet", "table": "filter", "chain": "bad", "handle": 5,
                      "expr": [{"match": {}}, {"counter": {"packets": 7, "bytes": 700}}, {"drop": null}]}},
            {"rule": {"family": "inet", "table": "filter", "chain": "bad", "handle": 6,
                      "expr": [{"counter": {"packets": 9, "bytes": 9}}, {"match": {}}, {"reject": null}]}},
            {"counter": {"family": "inet", "table": "filter", "name": "lost", "handle": 7, "packets": 3}},
            {"rule": {"family": "inet", "table": "filter", "chain": "input", "handle": 7,
                      "expr": [{"counter": "lost"}, {"drop": null}]}},
            {"rule": {"family": "inet", "table": "filter", "chain": "input", "handle": 8,
                      "expr": [{"accept": null}]}},
        ]});
        let rules = dropping(&listing);
        let told: Vec<_> =
            rules.iter().map(|r| (r.chain.as_str(), r.hook.as_deref(), r.handle, r.packets)).collect();
        assert_eq!(
            told,
            [
                ("input", Some("input"), None, None),
                ("bad", Some("input"), Some(5), Some(7)),
                ("bad", Some("input"), Some(6), None),
                ("input", Some("input"), Some(7), Some(3)),
            ]
        );
        let later: Vec<_> =
            rules.iter().map(|r| FirewallRule { packets: r.packets.map(|n| n + 2), ..r.clone() }).collect();
        let grown = grown(&rules, &later, 5);
        assert_eq!(
            grown.iter().map(|r| (r.netns, r.packets)).collect::<Vec<_>>(),
            [(5, None), (5, Some(2)), (5, None), (5, Some(2))]
        );
        assert!(super::grown(&rules[1..2], &rules[1..2], 5).is_empty(), "it did nothing meanwhile");
    }

    #[test]
    fn a_listing_of_another_shape_has_no_rules() {
        for text in ["{}", "[]", "null", r#"{"nftables":[{"rule":3},{"chain":{"hook":1}}]}"#] {
            assert!(dropping(&serde_json::from_str(text).unwrap()).is_empty());
        }
    }
}
