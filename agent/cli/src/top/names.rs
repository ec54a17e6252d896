//! Names of hosts and ports. The screen never waits for the DNS: until an answer has come, the address is shown.

use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use nix::sys::signal::SigSet;
use rustc_hash::FxHashMap;
use tracenet_collectors::services::{Services, ephemeral_ports};

use super::screen::Look;
use crate::paint::push_safe;

/// Answers that are kept; with one more all are forgotten.
const MAX_NAMES: usize = 4_096;

/// Questions that wait; more are asked when they are shown again.
const MAX_QUESTIONS: usize = 256;

/// What to call addresses.
pub struct Names {
    services: Services,
    ephemeral: RangeInclusive<u16>,
    resolver: RefCell<Resolver>,
}

#[derive(Default)]
struct Resolver {
    /// `None`: asked for, or without a name.
    names: FxHashMap<IpAddr, Option<String>>,
    thread: Option<(SyncSender<IpAddr>, Receiver<Answer>)>,
}

/// A host, and its name if it has one.
type Answer = (IpAddr, Option<String>);

impl Names {
    /// Those of this host; nobody is asked yet.
    pub fn new() -> Self {
        Self { services: Services::read(), ephemeral: ephemeral_ports(), resolver: RefCell::default() }
    }

    /// `10.0.0.1:https`, `web.example.org:https`, `[fd77::1]:40312`
    pub fn end(&self, end: SocketAddr, look: Look) -> String {
        let host = match self.known(end.ip(), look) {
            Some(name) => name,
            None if end.is_ipv6() => format!("[{}]", end.ip()),
            None => end.ip().to_string(),
        };
        format!("{host}:{}", self.port(end.port(), look))
    }

    /// A host's name, or its address.
    pub fn host(&self, ip: IpAddr, look: Look) -> String {
        self.known(ip, look).unwrap_or_else(|| ip.to_string())
    }

    /// A port's name, or its number.
    pub fn port(&self, port: u16, look: Look) -> String {
        // A port that the kernel chose stands for no service.
        let name =
            (look.services && !self.ephemeral.contains(&port)).then(|| self.services.name(port, "tcp"));
        let mut out = String::new();
        match name.flatten() {
            Some(name) => push_safe(&mut out, name),
            None => out = port.to_string(),
        }
        out
    }

    fn known(&self, ip: IpAddr, look: Look) -> Option<String> {
        if !look.resolve {
            return None;
        }
        self.resolver.borrow_mut().name(ip)
    }
}

impl Resolver {
    fn name(&mut self, ip: IpAddr) -> Option<String> {
        let (questions, answers) = self.thread.get_or_insert_with(start);
        for (ip, name) in answers.try_iter() {
            self.names.insert(ip, name);
        }
        if let Some(name) = self.names.get(&ip) {
            return name.clone();
        }
        if self.names.len() >= MAX_NAMES {
            self.names.clear();
        }
        if questions.try_send(ip).is_ok() {
            self.names.insert(ip, None);
        }
        None
    }
}

/// The thread that asks: it ends with the process, whatever it waits for. Where there can be no thread there are no names.
fn start() -> (SyncSender<IpAddr>, Receiver<Answer>) {
    let (questions, asked) = sync_channel::<IpAddr>(MAX_QUESTIONS);
    let (answer, answers) = sync_channel(MAX_QUESTIONS);
    let _ = std::thread::Builder::new().name("tracenet-dns".into()).spawn(move || {
        // Signals are for the thread that draws.
        let _ = SigSet::all().thread_block();
        for ip in asked {
            let name = dns_lookup::lookup_addr(&ip).ok().filter(|name| name.parse::<IpAddr>().is_err());
            let safe = name.map(|name| {
                let mut out = String::new();
                push_safe(&mut out, &name);
                out
            });
            if answer.send((ip, safe)).is_err() {
                return;
            }
        }
    });
    (questions, answers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_have_names_unless_the_kernel_chose_them_or_numbers_are_wanted() {
        let services = Services::parse("https 443/tcp\nodd 40000/tcp\n", "");
        let names = Names { services, ephemeral: 32_768..=60_999, resolver: RefCell::default() };
        let look = Look { services: true, ..Look::default() };
        let end = |text: &str, look| names.end(text.parse().expect("an address"), look);
        assert_eq!(end("10.0.0.1:443", look), "10.0.0.1:https");
        assert_eq!(end("[fd77::1]:40000", look), "[fd77::1]:40000");
        assert_eq!(end("10.0.0.1:443", Look::default()), "10.0.0.1:443");
    }

    #[test]
    fn what_is_not_known_yet_shows_its_address_and_does_not_wait() {
        let (questions, asked) = sync_channel(1);
        let (answer, answers) = sync_channel(1);
        let resolver = Resolver { names: FxHashMap::default(), thread: Some((questions, answers)) };
        let names =
            Names { services: Services::default(), ephemeral: 1..=1, resolver: RefCell::new(resolver) };
        let look = Look { resolve: true, ..Look::default() };
        let (a, b) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        for ip in [a, b, a] {
            assert_eq!(names.host(ip, look), ip.to_string());
        }
        // One question had room.
        assert_eq!(asked.try_iter().collect::<Vec<_>>(), [a]);
        answer.send((a, Some("a.example.org".to_owned()))).expect("there is room");
        assert_eq!(names.host(a, look), "a.example.org");
        assert_eq!(names.host(a, Look::default()), "10.0.0.1");
        // The other one is asked when it is shown again.
        assert_eq!(names.host(b, look), "10.0.0.2");
        assert_eq!(asked.try_iter().collect::<Vec<_>>(), [b]);
    }
}
