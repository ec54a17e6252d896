//! A client, a router and a server, each in a namespace of its own.

use crate::counters::{self, Mib};
use crate::netns::Netns;

/// 10.81.0.1 (`eth0`) - 10.81.0.254 (`left`), 10.82.0.254 (`right`) - 10.82.0.1 (`eth0`); the same with fd81:: and fd82::.
pub struct Route {
    /// Who asks.
    pub client: Netns,
    /// Who passes on.
    pub router: Netns,
    /// Who answers.
    pub server: Netns,
}

impl Route {
    /// Address of [`Route::client`].
    pub const CLIENT: &str = "10.81.0.1";
    /// Address of [`Route::server`].
    pub const SERVER: &str = "10.82.0.1";
    /// IPv6 address of [`Route::client`].
    pub const CLIENT6: &str = "fd81::1";
    /// IPv6 address of [`Route::server`].
    pub const SERVER6: &str = "fd82::1";
    /// The server's port. Nobody listens on the next one.
    pub const PORT: u16 = 8200;
    /// Name of the interface of client and server.
    pub const INTERFACE: &str = "eth0";
    /// Name of the router's interface towards the client.
    pub const LEFT: &str = "left";
    /// Name of the router's interface towards the server.
    pub const RIGHT: &str = "right";

    /// Makes and connects them.
    pub fn new() -> Self {
        let route = Self {
            client: Netns::new("asking"),
            router: Netns::new("router"),
            server: Netns::new("answering"),
        };
        let ends = [
            (&route.client, Self::CLIENT, Self::CLIENT6, Self::LEFT, "10.81.0.254", "fd81::254"),
            (&route.server, Self::SERVER, Self::SERVER6, Self::RIGHT, "10.82.0.254", "fd82::254"),
        ];
        for (netns, address, address6, far, gateway, gateway6) in ends {
            let (i, router) = (Self::INTERFACE, &route.router);
            let there = router.path();
            let there = there.file_name().and_then(|n| n.to_str()).expect("a name");
            netns.ip(&["link", "add", i, "type", "veth", "peer", "name", far, "netns", there]);
            netns.ip(&["addr", "add", &format!("{address}/24"), "dev", i]);
            netns.ip(&["link", "set", i, "up"]);
            router.ip(&["addr", "add", &format!("{gateway}/24"), "dev", far]);
            router.ip(&["link", "set", far, "up"]);
            netns.ip(&["route", "add", "default", "via", gateway]);
            netns.ip(&["addr", "add", &format!("{address6}/64"), "dev", i, "nodad"]);
            router.ip(&["addr", "add", &format!("{gateway6}/64"), "dev", far, "nodad"]);
            netns.ip(&["route", "add", "default", "via", gateway6]);
        }
        route.router.run("sysctl", &["-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"]);
        // The first packets must not wait for neighbours that are yet to be found: their queue is short.
        for (netns, peer) in [
            (&route.client, Self::SERVER),
            (&route.server, Self::CLIENT),
            (&route.client, Self::SERVER6),
            (&route.server, Self::CLIENT6),
        ] {
            let closed = std::net::SocketAddr::new(peer.parse().expect("an address"), Self::PORT + 1);
            netns.inside(|| std::net::TcpStream::connect(closed)).expect_err("nobody listens");
        }
        route
    }

    /// The kernel's counters of client, router and server.
    pub fn counters(&self) -> [Mib; 3] {
        [&self.client, &self.router, &self.server].map(counters::mib)
    }

    /// Waits until neither side can send anything more on its own.
    pub fn settle(&self) {
        for netns in [&self.client, &self.server] {
            crate::wait_for("the TCP sockets to be silent", || netns.busy_sockets().is_empty().then_some(()));
        }
    }
}

impl Default for Route {
    fn default() -> Self {
        Self::new()
    }
}
