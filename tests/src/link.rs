//! A link of tests' making between two namespaces, which does to packets what a plan says and writes down what it did.
//!
//! Each namespace has a TUN device, and one thread carries the packets from either to the other: after a delay, at a
//! rate, or not at all. It knows nothing of tracenet's code: what it wrote down is the truth that stories are held
//! against.

mod carrier;
mod packet;
mod plan;

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

pub use packet::{Way, flags};
pub use plan::{Action, Done, Plan, Random, Record, Sight};

use crate::netns::Netns;

/// How long the link is and how wide, and what it does to packets.
pub struct Link {
    /// One way; the round trip takes twice as long.
    pub delay: Duration,
    /// Bytes a second each way, with a queue that loses nothing; `None`: as fast as it goes.
    pub rate: Option<u64>,
    /// Bytes of a turn each way: [`Sight::turn`] goes by them.
    pub sizes: Sizes,
    /// Seed of what the plan leaves to chance.
    pub seed: u64,
    /// Says what is to happen to each TCP packet. All others are passed on.
    pub plan: Plan,
}

/// Bytes of each request and of each answer of a connection, so that a place in the stream tells the turn.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// From the client.
    pub request: u32,
    /// From the server.
    pub response: u32,
}

/// Two namespaces with a [`Link`] between them. Dropped, the link is cut and they are deleted.
pub struct Path {
    /// 10.79.0.1 and fd79::1.
    pub client: Netns,
    /// 10.79.0.2 and fd79::2.
    pub server: Netns,
    stop: Arc<AtomicBool>,
    carrier: Option<JoinHandle<Done>>,
}

impl Path {
    /// Address of [`Path::client`].
    pub const CLIENT: &str = "10.79.0.1";
    /// Address of [`Path::server`].
    pub const SERVER: &str = "10.79.0.2";
    /// IPv6 address of [`Path::client`].
    pub const CLIENT6: &str = "fd79::1";
    /// IPv6 address of [`Path::server`].
    pub const SERVER6: &str = "fd79::2";
    /// Name of the interface at either end.
    pub const INTERFACE: &str = "tun0";

    /// Makes and connects them.
    pub fn new(link: Link) -> Self {
        let (client, server) = (Netns::new("near"), Netns::new("far"));
        let addresses = [(&client, Self::CLIENT, Self::CLIENT6), (&server, Self::SERVER, Self::SERVER6)];
        let ends = addresses.map(|(netns, address, address6)| {
            let tun = netns.inside(open_tun).expect("root may make a TUN device");
            let i = Self::INTERFACE;
            // Shorter, and TCP would see losses that nobody ordered.
            netns.ip(&["link", "set", i, "txqueuelen", "20000"]);
            netns.ip(&["addr", "add", &format!("{address}/24"), "dev", i]);
            netns.ip(&["addr", "add", &format!("{address6}/64"), "dev", i, "nodad"]);
            netns.ip(&["link", "set", i, "up"]);
            tun
        });
        let stop = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&stop);
        let carrier = std::thread::spawn(move || carrier::carry(ends, link, &until));
        Self { client, server, stop, carrier: Some(carrier) }
    }

    /// Cuts the link and returns what it did.
    pub fn cut(&mut self) -> Done {
        self.stop.store(true, Ordering::Relaxed);
        let carrier = self.carrier.take().expect("a link is cut once");
        carrier.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Waits until neither side can send anything more on its own. A server may have connections that it doesn't know
    /// to be dead.
    pub fn settle(&self) {
        crate::wait_for("the client's TCP sockets to be closed for good", || {
            self.client.unsettled_sockets().is_empty().then_some(())
        });
        crate::wait_for("the server's TCP sockets to be silent", || {
            self.server.busy_sockets().is_empty().then_some(())
        });
    }
}

impl Drop for Path {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(carrier) = self.carrier.take() {
            // A panic of it is told by whoever cuts the link.
            let _ = carrier.join();
        }
    }
}

/// A TUN device of the namespace that the thread is in.
fn open_tun() -> io::Result<File> {
    let file = File::options().read(true).write(true).custom_flags(libc::O_NONBLOCK).open("/dev/net/tun")?;
    // SAFETY: all-zero is a valid ifreq.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(Path::INTERFACE.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as libc::c_short;
    // SAFETY: TUNSETIFF reads an ifreq, which lives until the call has returned.
    match unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &request) } {
        0 => Ok(file),
        _ => Err(io::Error::last_os_error()),
    }
}
