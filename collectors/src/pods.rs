//! The pods of this node, kept by a watch of the API server on a thread of its own. Whoever looks a pod up reads memory
//! and never waits for the network; without a server, or while it is away, the answer is what was known last.

mod pace;
mod pod;
mod server;
mod status;
mod table;
mod watch;
mod workload;

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

pub use pod::{ANNOTATION_PREFIX, Pod, PodContainer};
pub use server::{ApiServer, this_node};
pub use status::{State, Status};
pub use table::{Change, ChangeKind, DELETED_KEPT};
pub use workload::{Kind, Workload};

use table::Table;

/// Pods kept where nobody says otherwise; about 1 kB each. A node has 110 by default, and some hundred at most.
pub const CAPACITY: usize = 16_384;

/// Failures after which somebody who waits for the first list is told so.
const ATTEMPTS: u64 = 3;

/// How often deleted pods whose time has come are looked for.
const EXPIRY: Duration = Duration::from_secs(5);

/// What is watched.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whom to ask.
    pub api: ApiServer,
    /// Only the pods of this node; all nodes' without.
    pub node: Option<String>,
    /// Pods kept at most.
    pub capacity: usize,
}

/// The watch. Dropped, it ends.
#[derive(Debug)]
pub struct PodWatch {
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl PodWatch {
    /// Starts the thread. Whether the server can be reached is told by [`Self::status`].
    ///
    /// # Errors
    /// Where no thread can be started.
    pub fn start(options: Options) -> io::Result<Self> {
        let shared = Arc::new(Shared::new(options.capacity));
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("tracenet-pods".into()).spawn(move || {
            let watch = watch::Watch::new(options, Arc::clone(&theirs));
            runtime.block_on(async {
                tokio::select! {
                    () = watch.run() => {}
                    () = theirs.expire() => {}
                    _ = stopped => {}
                }
            });
            // A name that is being resolved is not waited for.
            runtime.shutdown_background();
        })?;
        Ok(Self { shared, stop: Some(stop), thread: Some(thread) })
    }

    /// The pod that has, or just had, a container of this id.
    pub fn by_container(&self, id: &str) -> Option<Arc<Pod>> {
        self.shared.read().by_container(id)
    }

    /// The pod of this UID, also as the kubelet writes a static pod's into the name of its cgroup.
    pub fn by_uid(&self, uid: &str) -> Option<Arc<Pod>> {
        self.shared.read().by_uid(uid)
    }

    /// All pods that live, by namespace and name.
    pub fn pods(&self) -> Vec<Arc<Pod>> {
        let mut pods: Vec<_> = self.shared.read().pods().cloned().collect();
        pods.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        pods
    }

    /// How the watch is doing.
    pub fn status(&self) -> Status {
        let (pods, not_kept) = {
            let table = self.shared.read();
            (table.len(), table.not_kept())
        };
        Status { pods, not_kept, ..self.shared.status().clone() }
    }

    /// Waits until the first list is complete, or three attempts have failed. Returns whether it is complete.
    pub fn wait_synced(&self, patience: Duration) -> bool {
        self.shared.wait(patience, |status| status.synced || status.errors >= ATTEMPTS);
        self.shared.status().synced
    }

    /// What has changed since the change of this number (0: everything), each pod once; waits until something has, or
    /// the watch's state has.
    pub fn changes(&self, since: u64, patience: Duration) -> Vec<Change> {
        let state = self.shared.status().state;
        self.shared.wait(patience, |status| status.state != state || self.shared.read().number() > since);
        self.shared.read().changes_since(since)
    }
}

impl Drop for PodWatch {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // Its panic was printed where it happened.
            let _ = thread.join();
        }
    }
}

/// What the thread writes and others read.
#[derive(Debug)]
struct Shared {
    table: RwLock<Table>,
    status: Mutex<Status>,
    changed: Condvar,
}

impl Shared {
    fn new(capacity: usize) -> Self {
        Self {
            table: RwLock::new(Table::new(capacity)),
            status: Mutex::new(Status::default()),
            changed: Condvar::new(),
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Table> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn table(&self) -> RwLockWriteGuard<'_, Table> {
        self.table.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn status(&self) -> MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn update(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.status());
        self.changed.notify_all();
    }

    /// The table has changed.
    fn tell(&self) {
        self.update(|_| {});
    }

    fn wait(&self, patience: Duration, mut done: impl FnMut(&Status) -> bool) {
        let waited = self.changed.wait_timeout_while(self.status(), patience, |status| !done(status));
        drop(waited);
    }

    async fn expire(&self) {
        loop {
            tokio::time::sleep(EXPIRY).await;
            self.table().expire(Instant::now());
        }
    }
}
