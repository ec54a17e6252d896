//! Who is followed how far.

use std::collections::BTreeMap;

use tracenet_collectors::identity::Identity;
use tracenet_config::agent::{Agent, Depth, Selector};

/// What a selector may look at.
#[derive(Clone, Copy)]
pub struct Candidate<'a> {
    pub identity: &'a Identity,
    /// Name of the executable, and its path where that is known.
    pub executable: &'a str,
    pub path: Option<&'a str>,
    /// TCP ports on which it listens; asked for only where a selector names one.
    pub ports: &'a dyn Fn() -> Vec<u16>,
}

/// How far it is followed: the first selector that fits says so.
pub fn depth(config: &Agent, of: Candidate<'_>) -> Depth {
    config.selectors.iter().find(|s| fits(s, of)).map_or(config.depth, |s| s.depth)
}

/// The same in the probes' words.
pub fn probed(depth: Depth) -> tracenet_probes::Depth {
    match depth {
        Depth::Counters => tracenet_probes::Depth::Counters,
        Depth::Connections => tracenet_probes::Depth::Connections,
        // Sums of turns are kept here; what is told of them is another session's.
        Depth::Turns | Depth::Calls => tracenet_probes::Depth::Turns,
    }
}

fn fits(s: &Selector, of: Candidate<'_>) -> bool {
    let attribute = |key: &str| of.identity.attribute(key);
    let named = |wanted: &Option<String>, values: &[Option<&str>]| {
        wanted.as_ref().is_none_or(|wanted| values.iter().flatten().any(|value| matches(wanted, value)))
    };
    let container = of.identity.cgroup.container.as_ref().map(|c| c.id.as_str());
    let unit = of.identity.cgroup.unit.as_ref().map(|unit| unit.name.as_str());
    let executable = match &s.executable {
        Some(wanted) if wanted.contains('/') => of.path,
        _ => Some(of.executable),
    };
    named(&s.namespace, &[attribute("k8s.namespace.name")])
        && named(&s.container, &[attribute("k8s.container.name"), attribute("container.name"), container])
        && named(&s.unit, &[unit])
        && named(&s.cgroup, &[Some(of.identity.cgroup.path.as_str())])
        && named(&s.executable, &[executable])
        && has_labels(&s.pod_labels, of.identity)
        && s.port.is_none_or(|port| (of.ports)().contains(&port))
}

fn has_labels(wanted: &BTreeMap<String, String>, identity: &Identity) -> bool {
    let label = |name: &str| identity.pod.as_ref().and_then(|pod| pod.labels.get(name));
    wanted.iter().all(|(name, value)| label(name).is_some_and(|has| matches(value, has)))
}

/// `*` stands for any characters, also none.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut left) = text.strip_prefix(first) else { return false };
    let mut parts = rest.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return left.ends_with(part);
        }
        let Some(at) = left.find(part) else { return false };
        left = left.get(at + part.len()..).unwrap_or_default();
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, text) in
            [("*", ""), ("*", "x"), ("a*", "abc"), ("*c", "abc"), ("a*c*e", "abcde"), ("ab", "ab")]
        {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("a", "ab"), ("a*", "ba"), ("a*b", "abc"), ("ab*ba", "aba"), ("", "a")] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }
}
