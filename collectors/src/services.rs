//! Names of ports and protocols: `/etc/services` (services(5)) and `/etc/protocols` (protocols(5)).

use std::collections::HashMap;
use std::fs;
use std::ops::RangeInclusive;

/// Ports and protocols by number and by name. A file that isn't there has no names.
#[derive(Debug, Clone, Default)]
pub struct Services {
    names: HashMap<(u16, Box<str>), Box<str>>,
    ports: HashMap<(Box<str>, Box<str>), u16>,
    protocols: HashMap<u16, Box<str>>,
}

impl Services {
    /// Those of this host.
    pub fn read() -> Self {
        let text = |path| fs::read_to_string(path).unwrap_or_default();
        Self::parse(&text("/etc/services"), &text("/etc/protocols"))
    }

    /// From the text of both files. Of two lines for one port the first counts.
    pub fn parse(services: &str, protocols: &str) -> Self {
        let mut all = Self::default();
        for line in services.lines() {
            let mut words = words(line);
            let (Some(name), Some(at)) = (words.next(), words.next()) else { continue };
            let Some((port, protocol)) = at.split_once('/') else { continue };
            let Ok(port) = port.parse() else { continue };
            all.names.entry((port, protocol.into())).or_insert_with(|| name.into());
            for name in std::iter::once(name).chain(words) {
                all.ports.entry((name.into(), protocol.into())).or_insert(port);
            }
        }
        for line in protocols.lines() {
            let mut words = words(line);
            let (Some(name), Some(number)) = (words.next(), words.next()) else { continue };
            if let Ok(number) = number.parse() {
                all.protocols.entry(number).or_insert_with(|| name.into());
            }
        }
        all
    }

    /// Name of a port of `protocol`, `tcp` or `udp`.
    pub fn name(&self, port: u16, protocol: &str) -> Option<&str> {
        self.names.get(&(port, protocol.into())).map(|name| &**name)
    }

    /// Port by its name or one of its aliases.
    pub fn port(&self, name: &str, protocol: &str) -> Option<u16> {
        self.ports.get(&(name.into(), protocol.into())).copied()
    }

    /// Name of an IP protocol.
    pub fn protocol(&self, number: u16) -> Option<&str> {
        self.protocols.get(&number).map(|name| &**name)
    }
}

/// Words before a comment.
fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split('#').next().unwrap_or("").split_ascii_whitespace()
}

/// Ports that the kernel gives out by itself in the calling thread's network namespace (ip(7), ip_local_port_range).
pub fn ephemeral_ports() -> RangeInclusive<u16> {
    let text = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut numbers = text.split_ascii_whitespace().map_while(|word| word.parse().ok());
    match (numbers.next(), numbers.next()) {
        (Some(first), Some(last)) => first..=last,
        // The kernel's default.
        _ => 32_768..=60_999,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_aliases_and_comments() {
        let services = "# heading\nhttp\t80/tcp\twww # web\ndomain 53/udp\nother 80/tcp\nbroken\nx y/tcp\n";
        let all = Services::parse(services, "ip 0 IP\nicmp 1 ICMP # control\n");
        assert_eq!(all.name(80, "tcp"), Some("http"));
        assert_eq!(all.name(80, "udp"), None);
        assert_eq!((all.port("www", "tcp"), all.port("domain", "udp")), (Some(80), Some(53)));
        assert_eq!((all.port("other", "tcp"), all.port("domain", "tcp")), (Some(80), None));
        assert_eq!((all.protocol(1), all.protocol(0)), (Some("icmp"), Some("ip")));
    }

    #[test]
    fn the_range_of_this_host() {
        assert!(!ephemeral_ports().is_empty());
    }
}
