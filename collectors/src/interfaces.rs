//! Network interfaces of the calling thread's network namespace.

pub mod details;
pub mod ethtool;
mod netlink;

use std::net::IpAddr;

use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::net::if_::{if_nameindex, if_nametoindex};

/// An interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Kernel's index, unique within its namespace.
    pub index: u32,
    /// Name, as ip(8) shows it.
    pub name: String,
}

/// All interfaces, by index.
///
/// # Errors
/// What the kernel says to if_nameindex(3); in practice only a lack of memory or descriptors.
pub fn list() -> Result<Vec<Interface>, Errno> {
    let mut all: Vec<_> = if_nameindex()?
        .iter()
        .map(|i| Interface { index: i.index(), name: i.name().to_string_lossy().into_owned() })
        .collect();
    all.sort_by_key(|i| i.index);
    Ok(all)
}

/// Index of `name`, `None` where there is no such interface.
pub fn index(name: &str) -> Option<u32> {
    if_nametoindex(name).ok()
}

/// Name of `index`, `None` where there is no such interface (any more).
pub fn name(index: u32) -> Option<String> {
    list().ok()?.into_iter().find(|i| i.index == index).map(|i| i.name)
}

/// Addresses of the interface of that name (getifaddrs(3)), `None` where there is no such interface.
///
/// # Errors
/// What the kernel says to getifaddrs; in practice only a lack of memory or descriptors.
pub fn addresses(name: &str) -> Result<Option<Vec<IpAddr>>, Errno> {
    if index(name).is_none() {
        return Ok(None);
    }
    let all = getifaddrs()?.filter(|i| i.interface_name == name).filter_map(|i| i.address);
    let ips = all.filter_map(|address| {
        let v4 = address.as_sockaddr_in().map(|a| IpAddr::V4(a.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|a| IpAddr::V6(a.ip())))
    });
    Ok(Some(ips.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_has_its_address() {
        let addresses = addresses("lo").unwrap().expect("every namespace has it");
        // Set up or not: where it is up, it has this one.
        assert!(addresses.is_empty() || addresses.contains(&IpAddr::from([127, 0, 0, 1])));
        assert_eq!(super::addresses("no-such-interface"), Ok(None));
    }

    #[test]
    fn loopback_is_found_both_ways() {
        let lo = index("lo").expect("every namespace has lo");
        assert_eq!(name(lo).as_deref(), Some("lo"));
        assert!(list().unwrap().contains(&Interface { index: lo, name: "lo".into() }));
        assert_eq!(index("nosuchif0"), None);
        assert_eq!(name(u32::MAX), None);
    }
}
