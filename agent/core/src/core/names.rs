//! Names that another core has given, so that a part of its story is told with the same ones.

use rustc_hash::FxHashMap;

use super::Core;
use crate::conn::Conn;
use crate::flow::FlowKey;
use crate::key::{ConnId, SocketCookie};
use crate::record::Named;

/// Names that wait for their connections.
#[derive(Debug, Default)]
pub(super) struct Names {
    by_cookie: FxHashMap<SocketCookie, ConnId>,
    /// Of handshakes that have no socket yet.
    by_flow: FxHashMap<FlowKey, ConnId>,
}

impl Names {
    /// The name of a socket that is about to open a connection.
    pub(super) fn of_socket(&mut self, cookie: SocketCookie) -> Option<ConnId> {
        self.by_cookie.remove(&cookie)
    }

    /// The name of a connection.
    pub(super) fn of(&mut self, c: &Conn) -> Option<ConnId> {
        match c.cookie {
            Some(cookie) => self.by_cookie.remove(&cookie),
            None => self.by_flow.remove(&FlowKey::new(c.netns, &c.tuple)),
        }
    }
}

impl Core {
    /// The connection of this socket, when it comes, is to have this name. Other connections get higher ones.
    pub fn call(&mut self, n: &Named) {
        if self.names.by_cookie.len() < self.settings.max_connections {
            self.names.by_cookie.insert(n.cookie, n.id);
            self.names.by_flow.insert(FlowKey::new(n.netns, &n.tuple), n.id);
            self.table.skip_names(n.id);
        }
    }
}
