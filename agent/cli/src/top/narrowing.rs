//! Which connections are meant: those of an interface, and those that meet a tcpdump expression.

use std::net::IpAddr;

use tracenet_collectors::capture::Ends;
use tracenet_collectors::{interfaces, netns};

use super::flows::Flow;
use crate::failure::Failure;

/// All, if neither is asked for.
#[derive(Default)]
pub struct Narrowing {
    pub interface: Option<Interface>,
    pub expression: Option<Ends>,
}

/// An interface of the own network namespace.
pub struct Interface {
    name: String,
    netns: u32,
    addresses: Vec<IpAddr>,
}

impl Interface {
    /// The one of that name.
    ///
    /// # Errors
    /// There is none, or the kernel can't be asked.
    pub fn find(name: &str) -> Result<Self, Failure> {
        let failed = |e: String| Failure::Runtime(format!("cannot ask the kernel for its interfaces: {e}"));
        let addresses = interfaces::addresses(name).map_err(|e| failed(e.desc().to_owned()))?;
        let Some(addresses) = addresses else {
            return Err(Failure::NotFound(format!(
                "no interface {name} in this network namespace: `tracenet interfaces -s` lists them"
            )));
        };
        let netns = netns::current_inode().map_err(|e| failed(e.to_string()))?;
        Ok(Self { name: name.to_owned(), netns, addresses })
    }

    /// Asks again for its addresses: none, once it has gone.
    pub fn refresh(&mut self) {
        self.addresses = interfaces::addresses(&self.name).ok().flatten().unwrap_or_default();
    }
}

impl Narrowing {
    /// True where only some connections are meant.
    pub fn is_some(&self) -> bool {
        self.interface.is_some() || self.expression.is_some()
    }

    /// True where this one is.
    pub fn lets(&self, flow: &Flow) -> bool {
        self.interface
            .as_ref()
            .is_none_or(|i| flow.key.netns == i.netns && i.addresses.contains(&flow.local.ip()))
            && self.expression.as_ref().is_none_or(|ends| ends.matches(flow.local, flow.remote))
    }

    /// What is meant, in words.
    pub fn text(&self) -> String {
        let mut text = "connections".to_owned();
        if let Some(interface) = &self.interface {
            text += &format!(" of {}", interface.name);
        }
        if let Some(ends) = &self.expression {
            text += &format!(" that meet '{}'", ends.text());
        }
        text
    }
}
