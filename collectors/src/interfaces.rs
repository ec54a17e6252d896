//! Network interfaces of the calling thread's network namespace.

pub mod details;
pub mod ethtool;
mod netlink;

use nix::errno::Errno;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_found_both_ways() {
        let lo = index("lo").expect("every namespace has lo");
        assert_eq!(name(lo).as_deref(), Some("lo"));
        assert!(list().unwrap().contains(&Interface { index: lo, name: "lo".into() }));
        assert_eq!(index("nosuchif0"), None);
        assert_eq!(name(u32::MAX), None);
    }
}
