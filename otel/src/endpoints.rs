//! The collectors of one signal, of which one is used at a time: the first that works.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::file::JsonFile;
use crate::options::{Destination, Error, SignalOptions};
use crate::otlp::Client;
use crate::queue::Queue;

/// Attempts in a row that fail before the next collector is used.
pub(crate) const TRIES: u32 = 3;
/// How long others are used before the first one is tried again.
const FIRST_AGAIN: Duration = Duration::from_secs(60);

/// A signal's collectors.
#[derive(Debug)]
pub(crate) struct Endpoints {
    signal: &'static str,
    options: SignalOptions,
    file: Option<JsonFile>,
    queue: Arc<Queue>,
    /// Of the one that is used.
    client: Client,
    /// Which one that is.
    at: usize,
    /// Attempts in a row that failed there.
    failures: u32,
    /// When the first is tried again.
    first_again: Instant,
    /// The first is tried again; where it fails, this one goes on.
    back_to: Option<usize>,
}

impl Endpoints {
    /// To be called inside the runtime that will send. `file` is that of a [`Destination::File`].
    pub(crate) fn new(
        signal: &'static str,
        options: &SignalOptions,
        file: Option<JsonFile>,
        queue: &Arc<Queue>,
    ) -> Result<Self, Error> {
        Ok(Self {
            signal,
            client: Client::new(&options.destination, options, file.as_ref())?,
            options: options.clone(),
            file,
            queue: Arc::clone(queue),
            at: 0,
            failures: 0,
            first_again: Instant::now(),
            back_to: None,
        })
    }

    /// The way to the one whose turn it is.
    pub(crate) fn client(&mut self) -> &mut Client {
        if self.at > 0 && self.back_to.is_none() && Instant::now() >= self.first_again {
            let back = self.at;
            if self.go(0) {
                self.back_to = Some(back);
            }
        }
        &mut self.client
    }

    /// True where one of them is no file.
    pub(crate) fn has_collector(&self) -> bool {
        (0..self.count()).any(|i| matches!(self.destination(i), Destination::Collector { .. }))
    }

    /// Failed attempts after which each of them has had its tries.
    pub(crate) fn tries(&self) -> u32 {
        u32::try_from(self.count()).unwrap_or(u32::MAX).saturating_mul(TRIES)
    }

    /// For the log: "traces to http://...".
    pub(crate) fn label(&self) -> String {
        match self.destination(self.at) {
            Destination::Collector { uri, .. } => format!("{} to {uri}", self.signal),
            Destination::File(path) => format!("{} to {}", self.signal, path.display()),
        }
    }

    /// True while another one works, and the first is only tried again.
    pub(crate) fn is_trying_first(&self) -> bool {
        self.back_to.is_some()
    }

    /// An attempt succeeded.
    pub(crate) fn worked(&mut self) {
        self.failures = 0;
        if self.back_to.take().is_some() {
            tracing::info!("export of {}, the first of its collectors, works again", self.label());
        }
    }

    /// An attempt failed. True: now it is another one's turn.
    pub(crate) fn failed(&mut self) -> bool {
        if let Some(back) = self.back_to.take() {
            self.first_again = Instant::now() + FIRST_AGAIN;
            return self.go(back);
        }
        self.failures += 1;
        if self.failures < TRIES {
            return false;
        }
        if self.at == 0 {
            self.first_again = Instant::now() + FIRST_AGAIN;
        }
        let (from, count) = (self.at, self.count());
        // The last candidate is the one that failed: its client is made anew, so that certificates are read again.
        (1..=count).any(|step| self.go((from + step) % count)) && self.at != from
    }

    fn count(&self) -> usize {
        1 + self.options.further.len()
    }

    fn destination(&self, index: usize) -> &Destination {
        match index.checked_sub(1) {
            None => &self.options.destination,
            Some(index) => self.options.further.get(index).unwrap_or(&self.options.destination),
        }
    }

    /// Makes it the turn of `index`; false where there is no way to it.
    fn go(&mut self, index: usize) -> bool {
        self.failures = 0;
        let file = self.file.as_ref().filter(|_| index == 0);
        match Client::new(self.destination(index), &self.options, file) {
            Ok(client) => {
                self.client = client;
                if self.at != index {
                    self.at = index;
                    self.queue.count_switch();
                    tracing::debug!("export of {}", self.label());
                }
                true
            }
            Err(e) => {
                tracing::warn!("export of {}: {e}", self.signal);
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{Compression, Protocol};
    use crate::tls::Tls;

    fn endpoints(queue: &Arc<Queue>) -> Endpoints {
        let to = |uri: &'static str| Destination::Collector {
            uri: http::Uri::from_static(uri),
            protocol: Protocol::HttpProtobuf,
        };
        let options = SignalOptions {
            destination: to("http://a:1"),
            further: vec![to("http://b:1"), to("http://c:1")],
            headers: Vec::new(),
            timeout: Duration::from_secs(1),
            compression: Compression::None,
            tls: Tls::default(),
        };
        Endpoints::new("traces", &options, None, queue).unwrap()
    }

    fn now(e: &mut Endpoints) -> String {
        e.client();
        e.label()
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_that_works_is_used_and_the_first_of_all_tried_again() {
        let queue = Arc::new(Queue::new(1, true, true));
        let mut e = endpoints(&queue);
        assert_eq!([e.failed(), e.failed()], [false, false]);
        e.worked();
        assert_eq!([e.failed(), e.failed(), e.failed()], [false, false, true], "in a row");
        assert_eq!(now(&mut e), "traces to http://b:1/");
        e.worked();
        tokio::time::advance(FIRST_AGAIN - Duration::from_millis(1)).await;
        assert_eq!(now(&mut e), "traces to http://b:1/");
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(now(&mut e), "traces to http://a:1/");
        assert!(e.failed(), "one failure is enough");
        assert_eq!(now(&mut e), "traces to http://b:1/");
        tokio::time::advance(FIRST_AGAIN).await;
        assert_eq!(now(&mut e), "traces to http://a:1/");
        e.worked();
        assert_eq!(now(&mut e), "traces to http://a:1/");
        assert_eq!(queue.abandon().switches, 4);
    }

    #[tokio::test(start_paused = true)]
    async fn after_the_last_comes_the_first() {
        let queue = Arc::new(Queue::new(1, true, true));
        let mut e = endpoints(&queue);
        for name in ["b", "c", "a", "b"] {
            assert_eq!([e.failed(), e.failed(), e.failed()], [false, false, true]);
            assert_eq!(e.label(), format!("traces to http://{name}:1/"));
        }
    }
}
