//! The pods that the watch knows, once or as they change.

use std::time::Duration;

use nix::sys::signalfd::{SfdFlags, SignalFd};
use serde::Serialize;
use tracenet_collectors::pods::{ApiServer, ChangeKind, Pod, PodWatch, State, Status};

use super::{PATIENCE, WhoisArgs, json_line, print, unsynced};
use crate::failure::Failure;
use crate::paint::push_safe;
use crate::signals;
use crate::sinks::warn;

/// How often Ctrl-C is looked for while nothing changes.
const LOOK: Duration = Duration::from_millis(200);

/// Lists the pods, or follows them.
pub fn main(args: &WhoisArgs, api: ApiServer) -> Result<u8, Failure> {
    if args.watch {
        return follow(args, api);
    }
    let watch = args.watch(api)?;
    if !watch.wait_synced(PATIENCE) {
        return Err(Failure::Runtime(unsynced(&watch)));
    }
    for pod in watch.pods() {
        if !print(&tell(args.json, None, &pod)?)? {
            break;
        }
    }
    Ok(0)
}

fn follow(args: &WhoisArgs, api: ApiServer) -> Result<u8, Failure> {
    // Before the watch's thread, which takes the mask over.
    let set = signals::block(false)?;
    let ended = SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
        .map_err(|e| Failure::Runtime(format!("cannot create a signalfd: {e}")))?;
    let watch = args.watch(api)?;
    let mut number = 0;
    let mut before = Status::default();
    loop {
        for change in watch.changes(number, LOOK) {
            number = change.number;
            if !print(&tell(args.json, Some(change.kind), &change.pod)?)? {
                return Ok(0);
            }
        }
        before = report(&watch, before);
        if matches!(ended.read_signal(), Ok(Some(_))) {
            warn(&format!("pods: {}", counts(&watch.status())));
            return Ok(0);
        }
    }
}

/// Says on standard error how the watch is doing, where that is news.
fn report(watch: &PodWatch, before: Status) -> Status {
    let now = watch.status();
    if now.errors > before.errors {
        let error = now.last_error.as_deref().unwrap_or("an error");
        match now.state {
            State::Waiting(_) => warn(&format!("pods: {error}; {}", now.state)),
            _ => warn(&format!("pods: {error}")),
        }
    }
    if now.state == State::Watching && (before.state != State::Watching || now.watches > before.watches) {
        warn(&format!("pods: watching: {}", counts(&now)));
    }
    now
}

fn counts(s: &Status) -> String {
    format!(
        "{} known, {} not kept; lists {}, watches {}, events {}, bookmarks {}; expired {}, unauthorized {}, errors {}",
        s.pods, s.not_kept, s.lists, s.watches, s.events, s.bookmarks, s.expired, s.unauthorized, s.errors
    )
}

fn tell(json: bool, change: Option<ChangeKind>, pod: &Pod) -> Result<String, Failure> {
    if !json {
        return Ok(line(change, pod));
    }
    json_line(&Line {
        schema: "tracenet.pod/1",
        change: change.map(|kind| match kind {
            ChangeKind::Added => "added",
            ChangeKind::Modified => "modified",
            ChangeKind::Deleted => "deleted",
        }),
        namespace: &pod.namespace,
        name: &pod.name,
        uid: &pod.uid,
        node: pod.node.as_deref(),
        workload: Owner::of(pod),
        containers: pod
            .containers
            .iter()
            .map(|c| Container { name: &c.name, id: c.id.as_deref(), image: &c.image })
            .collect(),
    })
}

fn line(change: Option<ChangeKind>, pod: &Pod) -> String {
    let mut line = match change {
        None => String::new(),
        Some(ChangeKind::Added) => "+ ".to_owned(),
        Some(ChangeKind::Modified) => "~ ".to_owned(),
        Some(ChangeKind::Deleted) => "- ".to_owned(),
    };
    push_safe(&mut line, &format!("{}/{}", pod.namespace, pod.name));
    if let Some(workload) = &pod.workload {
        push_safe(&mut line, &format!("  {} {}", workload.kind.name(), workload.name));
    }
    if let Some(node) = &pod.node {
        push_safe(&mut line, &format!("  node {node}"));
    }
    for container in &pod.containers {
        let id = container.id.as_deref().map_or("-", |id| id.get(..12).unwrap_or(id));
        push_safe(&mut line, &format!("  {}={id}", container.name));
    }
    line.push('\n');
    line
}

#[derive(Serialize)]
struct Line<'a> {
    schema: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    change: Option<&'static str>,
    namespace: &'a str,
    name: &'a str,
    uid: &'a str,
    node: Option<&'a str>,
    workload: Option<Owner<'a>>,
    containers: Vec<Container<'a>>,
}

#[derive(Serialize)]
struct Container<'a> {
    name: &'a str,
    id: Option<&'a str>,
    image: &'a str,
}

/// What a pod is a part of.
#[derive(Serialize)]
pub struct Owner<'a> {
    kind: &'a str,
    name: &'a str,
}

impl<'a> Owner<'a> {
    /// Of this pod.
    pub fn of(pod: &'a Pod) -> Option<Self> {
        pod.workload.as_ref().map(|w| Self { kind: w.kind.name(), name: &w.name })
    }
}
