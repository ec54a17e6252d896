//! HTTP/1.1 with kept connections and chunked watches, a thread for each connection.

use std::collections::BTreeMap;
use std::io::{self, BufReader, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::objects::{bookmark, discovery, event, failure, typed};
use super::store::Selection;
use super::{Gone, Seen, Shared};

struct Request {
    path: String,
    query: BTreeMap<String, String>,
    token: Option<String>,
}

impl Request {
    /// The next one of a connection; none at its end.
    fn read(from: &mut impl io::BufRead) -> Option<Self> {
        let mut line = String::new();
        from.read_line(&mut line).ok().filter(|n| *n > 0)?;
        let mut words = line.split_whitespace();
        let (method, target) = (words.next()?, words.next()?);
        assert_eq!(method, "GET", "nothing but reading is expected: {line}");
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let query = query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(key, value)| (decoded(key), decoded(value)))
            .collect();
        let mut request = Self { path: path.to_owned(), query, token: None };
        loop {
            let mut line = String::new();
            from.read_line(&mut line).ok().filter(|n| *n > 0)?;
            let line = line.trim_end();
            if line.is_empty() {
                return Some(request);
            }
            let Some((name, value)) = line.split_once(':') else { continue };
            if name.eq_ignore_ascii_case("authorization") {
                request.token = value.trim().strip_prefix("Bearer ").map(str::to_owned);
            }
        }
    }

    fn get(&self, key: &str) -> Option<&str> {
        self.query.get(key).map(String::as_str).filter(|value| !value.is_empty())
    }

    fn is_watch(&self) -> bool {
        self.get("watch").is_some_and(|value| value == "true" || value == "1")
    }

    /// Which pods are meant; none where the path is not one of pods. True for one pod by its name.
    fn selection(&self) -> Option<(Selection, bool)> {
        let parts: Vec<&str> = self.path.trim_matches('/').split('/').collect();
        let mut selection = Selection::default();
        let single = match parts.as_slice() {
            ["api", "v1", "pods"] => false,
            ["api", "v1", "namespaces", namespace, "pods"] => {
                selection.namespace = Some((*namespace).to_owned());
                false
            }
            ["api", "v1", "namespaces", namespace, "pods", name] => {
                selection.namespace = Some((*namespace).to_owned());
                selection.name = Some((*name).to_owned());
                true
            }
            _ => return None,
        };
        for term in self.get("fieldSelector").into_iter().flat_map(|fields| fields.split(',')) {
            match term.replace("==", "=").split_once('=') {
                Some(("spec.nodeName", node)) => selection.node = Some(node.to_owned()),
                Some(("metadata.name", name)) => selection.name = Some(name.to_owned()),
                _ => panic!("unknown field selector {term}"),
            }
        }
        Some((selection, single))
    }
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = (*first == b'%').then(|| std::str::from_utf8(&after[..2]).expect("ASCII"));
        bytes.push(match hex {
            Some(hex) => u8::from_str_radix(hex, 16).expect("hexadecimal"),
            None if *first == b'+' => b' ',
            None => *first,
        });
        rest = if hex.is_some() { &after[2..] } else { after };
    }
    String::from_utf8(bytes).expect("UTF-8")
}

/// Answers the requests of a connection until either side closes it.
pub fn serve(shared: &Arc<Shared>, stream: TcpStream) {
    let Ok(mut to) = stream.try_clone() else { return };
    let _ = to.set_nodelay(true);
    let mut from = BufReader::new(&stream);
    while let Some(request) = Request::read(&mut from) {
        // A client that went away is nobody's failure.
        if answer(shared, &request, &mut to).is_err() {
            break;
        }
    }
    let _ = stream.shutdown(Shutdown::Both);
}

/// Ok where the connection may be used again.
fn answer(shared: &Arc<Shared>, request: &Request, to: &mut TcpStream) -> io::Result<()> {
    if shared.state().away {
        return Err(io::ErrorKind::ConnectionAborted.into());
    }
    let body = |status: u16, body: String| {
        note(shared, request, status);
        (status, body)
    };
    let authorized = {
        let state = shared.state();
        state.token.is_none() || state.token == request.token
    };
    let (status, body) = if !authorized {
        body(401, failure(401, "Unauthorized", "Unauthorized"))
    } else if let Some((selection, single)) = request.selection() {
        if request.is_watch() {
            return watch(shared, request, &selection, to);
        }
        let (status, text) = if single { one(shared, &selection) } else { list(shared, request, &selection) };
        body(status, text)
    } else {
        let address = to.local_addr()?.to_string();
        match discovery(&request.path, &address) {
            Some(document) => body(200, document),
            None => body(404, failure(404, "NotFound", "the server could not find the requested resource")),
        }
    };
    send(to, status, &body)
}

fn refuse(shared: &Shared, request: &Request, to: &mut TcpStream, status: u16, body: &str) -> io::Result<()> {
    note(shared, request, status);
    send(to, status, body)
}

fn send(to: &mut TcpStream, status: u16, body: &str) -> io::Result<()> {
    let (phrase, length) = (phrase(status), body.len());
    write!(
        to,
        "HTTP/1.1 {status} {phrase}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    )?;
    to.write_all(body.as_bytes())
}

fn note(shared: &Shared, request: &Request, status: u16) {
    let seen = Seen { at: Instant::now(), path: request.path.clone(), query: request.query.clone(), status };
    shared.state().requests.push(seen);
    shared.changed.notify_all();
}

fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        401 => "Unauthorized",
        404 => "Not Found",
        410 => "Gone",
        504 => "Gateway Timeout",
        _ => "Error",
    }
}

fn one(shared: &Shared, selection: &Selection) -> (u16, String) {
    let state = shared.state();
    let found = state.store.pods().find(|pod| selection.has(pod));
    found.map_or_else(
        || {
            (
                404,
                failure(
                    404,
                    "NotFound",
                    &format!("pods \"{}\" not found", selection.name.as_deref().unwrap_or("")),
                ),
            )
        },
        |pod| (200, typed(pod)),
    )
}

/// A page: the pods of a snapshot after those that the token says were sent.
fn list(shared: &Shared, request: &Request, selection: &Selection) -> (u16, String) {
    const EXPIRED: &str = "The provided continue parameter is too old to display a consistent list result.";
    let mut state = shared.state();
    // The watch cache answers version 0, and knows no pages.
    let cached = request.get("resourceVersion") == Some("0");
    let limit = request.get("limit").filter(|_| !cached).map_or(usize::MAX, |n| n.parse().expect("a number"));
    let (version, sent, snapshot) = match request.get("continue") {
        None => {
            let (version, snapshot) = state.store.snapshot();
            (version, 0, snapshot)
        }
        Some(token) => {
            let (version, sent) = token.split_once('.').expect("our own token");
            let (version, sent): (u64, usize) =
                (version.parse().expect("a number"), sent.parse().expect("a number"));
            match state.pages_left.as_mut() {
                Some(0) => {
                    state.pages_left = None;
                    state.store.compact();
                }
                Some(left) => *left -= 1,
                None => {}
            }
            let Some(snapshot) = state.store.snapshot_at(version) else {
                return (410, failure(410, "Expired", EXPIRED));
            };
            (version, sent, snapshot)
        }
    };
    drop(state);
    let mut after = snapshot.iter().filter(|pod| selection.has(pod)).skip(sent);
    let page: Vec<&str> = after.by_ref().take(limit).map(|pod| pod.text.as_str()).collect();
    let remaining = after.count();
    let mut metadata = serde_json::json!({"resourceVersion": version.to_string()});
    if remaining > 0 {
        metadata["continue"] = format!("{version}.{}", sent + page.len()).into();
        metadata["remainingItemCount"] = remaining.into();
    }
    let items = page.join(",");
    (200, format!(r#"{{"kind":"PodList","apiVersion":"v1","metadata":{metadata},"items":[{items}]}}"#))
}

/// Sends changes until the time is over, the client leaves, or the connection is cut.
fn watch(shared: &Shared, request: &Request, selection: &Selection, to: &mut TcpStream) -> io::Result<()> {
    let from: u64 = request.get("resourceVersion").map_or(0, |n| n.parse().expect("a version"));
    let seconds = request.get("timeoutSeconds").map_or(1_800, |n| n.parse().expect("a number"));
    let deadline = Instant::now() + Duration::from_secs(seconds);
    let bookmarks_wanted = request.get("allowWatchBookmarks") == Some("true");
    let gone = failure(410, "Expired", &format!("too old resource version: {from}"));
    let (known, how, cuts, mut bookmarks) = {
        let state = shared.state();
        (from == 0 || state.store.knows(from), state.gone, state.cuts, state.bookmarks)
    };
    if !known && how == Gone::Status {
        return refuse(shared, request, to, 410, &gone);
    }
    let newest = shared.state().store.version();
    if from > newest {
        let message = format!("Timeout: Too large resource version: {from}, current: {newest}");
        return refuse(shared, request, to, 504, &failure(504, "Timeout", &message));
    }
    note(shared, request, 200);
    to.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")?;
    if !known {
        chunk(to, &event("ERROR", &gone))?;
        return to.write_all(b"0\r\n\r\n");
    }
    shared.state().watching += 1;
    let mut at = from;
    let result = loop {
        let mut lines = String::new();
        let cut = {
            let mut state = shared.state();
            // Also wakes up now and then to see whether the client is still there.
            if state.store.version() == at && state.cuts == cuts && state.bookmarks == bookmarks {
                state = shared.wait(state, Duration::from_millis(500));
            }
            if at == 0 {
                let all = state.store.pods().filter(|pod| selection.has(pod));
                lines.extend(all.map(|pod| event("ADDED", &typed(pod))));
            } else {
                let events = state.store.events(at, selection);
                lines.extend(events.map(|(kind, pod)| event(kind, &typed(pod))));
            }
            at = state.store.version();
            if state.bookmarks > bookmarks && bookmarks_wanted {
                lines += &event("BOOKMARK", &bookmark(at));
            }
            bookmarks = state.bookmarks;
            state.cuts > cuts
        };
        if !lines.is_empty()
            && let Err(e) = chunk(to, &lines)
        {
            break Err(e);
        }
        if cut {
            // The first half of an event, and the end.
            let half = event("MODIFIED", &bookmark(at));
            let _ = write!(to, "{:x}\r\n{}", half.len(), &half[..half.len() / 2]);
            break Err(io::ErrorKind::ConnectionAborted.into());
        }
        if left(to) {
            break Err(io::ErrorKind::ConnectionAborted.into());
        }
        if Instant::now() >= deadline {
            break to.write_all(b"0\r\n\r\n");
        }
    };
    let mut state = shared.state();
    state.watching -= 1;
    state.ended += 1;
    result
}

fn chunk(to: &mut TcpStream, text: &str) -> io::Result<()> {
    write!(to, "{:x}\r\n{text}\r\n", text.len())
}

/// True where the client has closed the connection.
fn left(stream: &TcpStream) -> bool {
    let _ = stream.set_nonblocking(true);
    let closed = matches!(stream.peek(&mut [0]), Ok(0));
    let _ = stream.set_nonblocking(false);
    closed
}
