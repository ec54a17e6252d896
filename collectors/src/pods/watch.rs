//! The list and the watch of pods (kubernetes.io/docs/reference/using-api/api-concepts): list once, then be told of
//! changes from there on. What was told is remembered by its resource version, so that a connection that breaks costs
//! no second list; only where the server no longer knows the version (410) it begins anew.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::TryStreamExt as _;
use kube::api::{ListParams, WatchParams};
use kube::core::{Request, WatchEvent};
use kube::{Client, Error};
use serde::Deserialize;
use tokio::time::timeout;

use super::pace::Pace;
use super::pod::{Pod, Revision};
use super::server::chain;
use super::status::State;
use super::{Options, Shared};

/// Pods a page.
const PAGE: u32 = 500;

/// How long a page may take.
const LIST_TIMEOUT: Duration = Duration::from_secs(60);

/// Seconds after which the server is asked to end a watch, at least; up to a quarter is added, so that the nodes'
/// watches don't end together.
const WATCH_SECONDS: u32 = 240;

/// How much longer than that nothing may come before the connection is taken for dead.
const GRACE: Duration = Duration::from_secs(15);

/// A watch that lived this long was a good one, though it told nothing.
const GOOD: Duration = Duration::from_secs(10);

/// Why an attempt ended.
enum End {
    /// As watches do, with the time.
    Over,
    /// Our version is too old (410 Gone), or from a past that the server doesn't have.
    Expired,
    /// The token is too old (401).
    Unauthorized,
    /// Something else; the server may have said for how long it wants to be left alone.
    Failed { error: String, after: Option<Duration> },
}

/// See the module.
pub(super) struct Watch {
    options: Options,
    shared: Arc<Shared>,
    client: Option<Client>,
    /// From where to go on; none before the first list, and after the server has forgotten ours.
    version: Option<String>,
    /// The first list may come from the server's cache. One that follows a 410 must not be as old as what we had.
    listed: bool,
    pace: Pace,
}

#[derive(Deserialize)]
struct PodList {
    metadata: ListMeta,
    #[serde(default)]
    items: Option<Vec<Pod>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListMeta {
    resource_version: String,
    #[serde(default)]
    r#continue: Option<String>,
}

impl Watch {
    pub fn new(options: Options, shared: Arc<Shared>) -> Self {
        Self { options, shared, client: None, version: None, listed: false, pace: Pace::default() }
    }

    /// Goes on until it is dropped.
    pub async fn run(mut self) {
        loop {
            let end = self.attempt().await.err().unwrap_or(End::Over);
            let mut delay = self.pace.next();
            let error = match end {
                End::Over => None,
                End::Expired => {
                    self.version = None;
                    self.shared.update(|s| s.expired += 1);
                    Some("the server does not know our resource version: listing anew".to_owned())
                }
                End::Unauthorized => {
                    self.client = None;
                    self.shared.update(|s| s.unauthorized += 1);
                    Some("the server does not accept our token (401): reading it again".to_owned())
                }
                End::Failed { error, after } => {
                    delay = delay.max(after.unwrap_or_default());
                    Some(error)
                }
            };
            self.shared.update(|s| {
                s.state = State::Waiting(delay);
                if error.is_some() {
                    s.errors += 1;
                    s.last_error = error;
                }
            });
            tokio::time::sleep(delay).await;
        }
    }

    async fn attempt(&mut self) -> Result<(), End> {
        let client = match &self.client {
            Some(client) => client.clone(),
            None => {
                self.shared.update(|s| s.state = State::Connecting);
                let made = self.options.api.client().await;
                let client = made.map_err(|error| End::Failed { error, after: None })?;
                self.client.insert(client).clone()
            }
        };
        if self.version.is_none() {
            self.version = Some(self.list(&client).await?);
            self.listed = true;
        }
        self.watch(&client).await
    }

    fn fields(&self) -> Option<String> {
        self.options.node.as_ref().map(|node| format!("spec.nodeName={node}"))
    }

    /// Lists all pods, and returns the version of the list.
    async fn list(&self, client: &Client) -> Result<String, End> {
        self.shared.update(|s| s.state = State::Listing);
        let mut params = ListParams { field_selector: self.fields(), ..ListParams::default() };
        // "0" means whatever the server has in its cache, which knows the pods of a node by its name; anything else
        // may go through all pods of the cluster. The cache knows no pages, but a node has only some hundred pods.
        if self.options.node.is_some() && !self.listed {
            params.resource_version = Some("0".into());
        } else {
            params.limit = Some(PAGE);
        }
        self.shared.table().begin_list();
        loop {
            self.shared.update(|s| s.lists += 1);
            let request = Request::new(PODS).list(&params).map_err(|e| failed(&e))?;
            let answer = timeout(LIST_TIMEOUT, client.request::<PodList>(request)).await;
            let page = answer.map_err(|_| silent("the list"))?.map_err(|e| end(&e))?;
            for pod in page.items.into_iter().flatten() {
                self.shared.table().set(pod, Instant::now());
            }
            self.shared.tell();
            match page.metadata.r#continue.filter(|token| !token.is_empty()) {
                Some(token) => params.continue_token = Some(token),
                None => {
                    self.shared.table().end_list(Instant::now());
                    self.shared.update(|s| s.synced = true);
                    return Ok(page.metadata.resource_version);
                }
            }
        }
    }

    /// Follows the changes until the server ends the watch.
    async fn watch(&mut self, client: &Client) -> Result<(), End> {
        let seconds = f64::from(WATCH_SECONDS) * (1.0 + self.pace.fraction() / 4.0);
        let patience = Duration::from_secs_f64(seconds) + GRACE;
        let params = WatchParams {
            field_selector: self.fields(),
            // Whole seconds are what the parameter has.
            timeout: Some(seconds as u32),
            ..WatchParams::default()
        };
        let version = self.version.clone().unwrap_or_default();
        let request = Request::new(PODS).watch(&params, &version).map_err(|e| failed(&e))?;
        self.shared.update(|s| s.watches += 1);
        let started = Instant::now();
        let answer = timeout(LIST_TIMEOUT, client.request_events::<Revision>(request)).await;
        let mut events = pin!(answer.map_err(|_| silent("the watch"))?.map_err(|e| end(&e))?);
        self.shared.update(|s| s.state = State::Watching);
        loop {
            let next = timeout(patience, events.try_next()).await;
            let event = next.map_err(|_| silent("the watch"))?.map_err(|e| end(&e))?;
            let Some(event) = event else { break };
            self.take(event)?;
            self.pace.reset();
        }
        if started.elapsed() >= GOOD {
            self.pace.reset();
        }
        Ok(())
    }

    fn take(&mut self, event: WatchEvent<Revision>) -> Result<(), End> {
        match event {
            WatchEvent::Added(Revision { version, pod })
            | WatchEvent::Modified(Revision { version, pod }) => {
                self.shared.table().set(pod, Instant::now());
                self.version = Some(version);
                self.shared.update(|s| s.events += 1);
            }
            WatchEvent::Deleted(Revision { version, pod }) => {
                self.shared.table().delete(&pod.uid, Instant::now());
                self.version = Some(version);
                self.shared.update(|s| s.events += 1);
            }
            WatchEvent::Bookmark(bookmark) => {
                self.version = Some(bookmark.metadata.resource_version);
                self.shared.update(|s| s.bookmarks += 1);
            }
            WatchEvent::Error(status) => return Err(end(&Error::Api(status))),
        }
        Ok(())
    }
}

/// Path of all pods; a service account that may list them only in some namespaces cannot select by node.
const PODS: &str = "/api/v1/pods";

fn failed(error: &dyn std::error::Error) -> End {
    End::Failed { error: chain(error), after: None }
}

fn silent(what: &str) -> End {
    End::Failed { error: format!("the server is silent: {what} was given up"), after: None }
}

fn end(error: &Error) -> End {
    let Error::Api(status) = error else { return failed(error) };
    match status.code {
        410 => End::Expired,
        // Its past was restored from a copy that is older than what it told us (watch_cache.go,
        // `waitUntilFreshAndBlock`).
        504 if status.message.contains("Too large resource version") => End::Expired,
        401 => End::Unauthorized,
        403 => End::Failed {
            error: "may not list pods (403): the account needs list and watch of pods in all namespaces"
                .into(),
            after: None,
        },
        code => {
            let seconds = status.details.as_ref().map_or(0, |d| d.retry_after_seconds);
            let error = format!("the server says {code} {}: {}", status.reason, status.message);
            End::Failed {
                error: error.trim_end_matches([' ', ':']).replace('\n', " "),
                after: Some(Duration::from_secs(seconds.into())),
            }
        }
    }
}
