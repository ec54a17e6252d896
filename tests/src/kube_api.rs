//! A stand-in for a Kubernetes API server: pods, lists with pages, watches, and the ways in which the real one fails.
//!
//! It speaks what kubernetes.io/docs/reference/using-api/api-concepts describes, and real `kubectl` takes it for a server
//! (`tests/pods.rs`). It counts what it is asked, so that politeness can be tested.

mod http;
mod objects;
mod store;

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

pub use objects::{container_id, pod};
use store::Store;

/// How the server says that it no longer knows a resource version: by the status of the answer, or as the first event
/// of a watch that began well. Real ones do both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gone {
    /// HTTP 410.
    Status,
    /// An event of type ERROR with code 410.
    Event,
}

/// A request as it came, and what was answered.
#[derive(Debug, Clone)]
pub struct Seen {
    /// When.
    pub at: Instant,
    /// Path without the query.
    pub path: String,
    /// Query, decoded.
    pub query: BTreeMap<String, String>,
    /// HTTP status of the answer.
    pub status: u16,
}

impl Seen {
    /// A request to watch.
    pub fn is_watch(&self) -> bool {
        self.path.ends_with("/pods") && self.query.get("watch").is_some_and(|v| v == "true" || v == "1")
    }

    /// A request for a list, or a page of one.
    pub fn is_list(&self) -> bool {
        self.path.ends_with("/pods") && !self.is_watch()
    }
}

/// The server. Dropped, it is gone.
pub struct KubeApi {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    store: Store,
    gone: Gone,
    /// The token that is accepted; any, or none, where there is none.
    token: Option<String>,
    /// Pages of lists that may still be answered before the snapshot they belong to is forgotten.
    pages_left: Option<u32>,
    /// Raised to cut all watches in the middle of a line.
    cuts: u64,
    /// Raised to send a bookmark to all watches.
    bookmarks: u64,
    /// Watches that are open, and those that were.
    watching: usize,
    ended: usize,
    /// Raised to end the thread that accepts.
    listener: u64,
    away: bool,
    requests: Vec<Seen>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, patience: Duration) -> MutexGuard<'a, State> {
        self.changed.wait_timeout(state, patience).unwrap_or_else(PoisonError::into_inner).0
    }
}

impl KubeApi {
    /// Starts one on a free port of 127.0.0.1, without pods.
    pub fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let state = State {
            store: Store::default(),
            gone: Gone::Event,
            token: None,
            pages_left: None,
            cuts: 0,
            bookmarks: 0,
            watching: 0,
            ended: 0,
            listener: 0,
            away: false,
            requests: Vec::new(),
        };
        let server =
            Self { address, shared: Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() }) };
        server.listen(listener);
        server
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Writes a kubeconfig for it; with the token of a file, if there is one.
    pub fn kubeconfig(&self, folder: &Path, token_file: Option<&Path>) -> PathBuf {
        let user =
            token_file.map(|file| serde_json::json!({"tokenFile": file})).unwrap_or(serde_json::json!({}));
        let config = serde_json::json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": self.url()}}],
            "users": [{"name": "test", "user": user}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        });
        let file = folder.join("kubeconfig");
        // JSON is YAML.
        std::fs::write(&file, config.to_string()).expect("a writable folder");
        file
    }

    /// Creates a pod, or replaces the one of this name.
    pub fn set(&self, pod: Value) {
        self.shared.state().store.set(pod);
        self.shared.changed.notify_all();
    }

    /// Deletes a pod.
    pub fn remove(&self, namespace: &str, name: &str) {
        self.shared.state().store.remove(namespace, name);
        self.shared.changed.notify_all();
    }

    /// Deletes the pod whose name comes first.
    pub fn remove_first(&self) {
        let mut state = self.shared.state();
        let first = state.store.pods().next().map(|pod| (pod.namespace.clone(), pod.name.clone()));
        let (namespace, name) = first.expect("a pod");
        state.store.remove(&namespace, &name);
        drop(state);
        self.shared.changed.notify_all();
    }

    /// The pods as they are.
    pub fn pods(&self) -> Vec<Value> {
        let state = self.shared.state();
        state.store.pods().map(|pod| serde_json::from_str(&pod.text).expect("our own JSON")).collect()
    }

    /// Forgets the past: whoever goes on from an earlier version is told that it is gone, in this way.
    pub fn compact(&self, how: Gone) {
        let mut state = self.shared.state();
        state.gone = how;
        state.store.compact();
    }

    /// Begins anew without pods, at a version before those that it told of: restored from an old copy.
    pub fn restore(&self) {
        self.shared.state().store = Store::default();
    }

    /// Forgets the snapshot of a list once this many more pages were sent.
    pub fn compact_after_pages(&self, pages: u32) {
        self.shared.state().pages_left = Some(pages);
    }

    /// Breaks the connections of all watches in the middle of a line, after what was to be sent, and returns when they
    /// are broken.
    pub fn cut(&self) {
        let until = {
            let mut state = self.shared.state();
            state.cuts += 1;
            state.ended + state.watching
        };
        self.shared.changed.notify_all();
        crate::wait_for("the watches to end", || (self.shared.state().ended >= until).then_some(()));
    }

    /// Tells all watches that want it at which version they are.
    pub fn bookmark(&self) {
        self.shared.state().bookmarks += 1;
        self.shared.changed.notify_all();
    }

    /// Accepts this token only, from now on. Open watches go on, as real ones do.
    pub fn require_token(&self, token: &str) {
        self.shared.state().token = Some(token.to_owned());
    }

    /// Closes everything; connections are refused.
    pub fn leave(&self) {
        {
            let mut state = self.shared.state();
            state.away = true;
            state.listener += 1;
        }
        self.cut();
        // Wakes the thread that accepts; refused where it has ended already.
        let _ = TcpStream::connect(self.address);
        crate::wait_for("the port to be closed", || TcpStream::connect(self.address).is_err().then_some(()));
    }

    /// Is there again, at the same port.
    pub fn come_back(&self) {
        let listener = crate::wait_for("the port to be free", || TcpListener::bind(self.address).ok());
        self.shared.state().away = false;
        self.listen(listener);
    }

    /// All requests so far.
    pub fn requests(&self) -> Vec<Seen> {
        self.shared.state().requests.clone()
    }

    /// Requests for lists or pages of them so far.
    pub fn lists(&self) -> usize {
        self.shared.state().requests.iter().filter(|seen| seen.is_list()).count()
    }

    /// Requests to watch so far.
    pub fn watches(&self) -> usize {
        self.shared.state().requests.iter().filter(|seen| seen.is_watch()).count()
    }

    /// Waits until so many watches are open.
    pub fn wait_for_watches(&self, count: usize) {
        crate::wait_for("watches", || (self.shared.state().watching == count).then_some(()));
    }

    fn listen(&self, listener: TcpListener) {
        let shared = Arc::clone(&self.shared);
        let generation = shared.state().listener;
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if shared.state().listener != generation {
                    return;
                }
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || http::serve(&shared, stream));
            }
        });
    }
}

impl Drop for KubeApi {
    fn drop(&mut self) {
        self.leave();
    }
}
