//! `tracenet analyze`: capture files through the analyser of the live product.

use std::io;
use std::path::{Path, PathBuf};

use tracenet_collectors::files::{Damage, Reader};

use crate::args::AnalyzeArgs;
use crate::failure::Failure;
use crate::sinks::warn;

mod analysing;
mod cell;
mod connections;
mod conversations;
mod datagrams;
mod expert;
mod export;
mod features;
mod fields;
mod flow_graph;
mod flows;
mod follow;
mod hierarchy;
mod packets;
mod pairs;
mod print;
mod progress;
mod reading;
mod summary;
mod tally;
mod turns;
mod view;
mod worst;
mod write;

use analysing::Analysing;
use export::Export;
use fields::Display;
use print::{Cell, Print, Seconds, ip_checksums};
use progress::Progress;
use view::{Closing, Ends, Seen, View, Word};
use write::Written;

/// The view that was asked for, as it is before a capture.
fn view(args: &AnalyzeArgs) -> Box<dyn View> {
    if args.packets {
        Box::new(packets::Packets)
    } else if args.flows {
        Box::<features::FlowFeatures>::default()
    } else if let Some(kinds) = &args.conversations {
        Box::new(conversations::Conversations::new(kinds))
    } else if args.hierarchy {
        Box::<hierarchy::Hierarchy>::default()
    } else if let Some(id) = args.flow_graph {
        Box::new(flow_graph::FlowGraph::new(id))
    } else if args.turns {
        Box::<turns::Turns>::default()
    } else if args.connections {
        Box::<connections::Connections>::default()
    } else if let Some(id) = args.follow {
        Box::new(follow::Follow::new(id))
    } else if args.expert {
        Box::<expert::Expert>::default()
    } else if args.write.is_some() && !args.summary {
        Box::new(write::Quiet)
    } else {
        Box::<summary::Summary>::default()
    }
}

/// The filter of `-Y`; where it is wrong is shown below it.
fn display(text: &str) -> Result<Display, Failure> {
    Display::parse(text).map_err(|e| {
        for line in e.pointer().lines() {
            warn(line);
        }
        Failure::Usage(format!("-Y, {e}"))
    })
}

/// A file that is written, but also one of those that are read.
fn is_read(path: &Path, files: &[PathBuf]) -> bool {
    let same = |file: &PathBuf| match (file.canonicalize(), path.canonicalize()) {
        (Ok(file), Ok(path)) => file == path,
        _ => false,
    };
    files.iter().any(same)
}

/// Transport headers of which a view is told before the first of them comes: few enough that the cache keeps what it then
/// looks up.
const EXPECTED: usize = 64;

/// The file of `-w`, which must not be one that is read.
fn create(path: &Path, args: &AnalyzeArgs) -> Result<Written, Failure> {
    if path != Path::new("-") && is_read(path, &args.files) {
        return Err(Failure::Usage(format!("-w {} would overwrite what is read", path.display())));
    }
    Written::create(path).map_err(|e| Failure::Runtime(format!("{e}; choose another path with -w")))
}

/// Analyses the files one after the other.
pub fn main(args: &AnalyzeArgs) -> Result<u8, Failure> {
    for file in args.files.iter().filter(|f| *f != Path::new("-")) {
        if let Err(e) = std::fs::metadata(file)
            && e.kind() == io::ErrorKind::NotFound
        {
            return Err(Failure::NotFound(format!("no such file: {}", file.display())));
        }
    }
    let mut display = args.display_filter.as_deref().map(display).transpose()?;
    let mut written = args.write.as_deref().map(|path| create(path, args)).transpose()?;
    let mut print = Print::new(args.format, args.color);
    let mut export = args.otlp.as_deref().map(|url| Export::open(url, &args.files)).transpose()?;
    let mut code = 0;
    for (n, file) in args.files.iter().enumerate() {
        let reader = match Reader::open(file) {
            Ok(reader) => reader,
            Err(e) => {
                warn(&e.to_string());
                code = 1;
                continue;
            }
        };
        let mut view = view(args);
        let mut keep = view.keep();
        if let Some(display) = &mut display {
            display.restart();
            keep.headers = true;
            keep.bytes = true;
        }
        if let Some(written) = &mut written {
            written.begin(n, file);
            keep.bytes = true;
        }
        if let Some(export) = &mut export {
            export.begin(file, display.is_some());
        }
        let analysing = Analysing::start(reader, keep)
            .map_err(|e| Failure::Runtime(format!("cannot start a thread: {e}")))?;
        let name = (args.files.len() > 1).then(|| file.display().to_string());
        let last = n + 1 == args.files.len();
        let progress = Progress::start(file, name.as_deref());
        let done = print.head(name, n == 0, &view.columns()).and_then(|()| {
            print.progress = progress;
            let (display, written, export) = (display.as_mut(), written.as_mut(), export.as_mut());
            capture(analysing, view.as_mut(), display, written, export, &mut print, last)
        });
        print.progress = None;
        if let Some(export) = &mut export {
            export.end();
        }
        if let Some(failure) = view.failure() {
            warn(&format!("{}: {failure}", file.display()));
            code = 1;
        }
        if last {
            // The process ends: giving back a million flows one by one would take a seventh of the whole time.
            std::mem::forget(view);
        }
        let damage = match done {
            Ok(damage) => damage,
            // Whoever read has seen enough.
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => return Ok(exported(export)),
            Err(e) => return Err(Failure::Runtime(e.to_string())),
        };
        if let Some(damage) = damage {
            warn(&format!("{}: {damage}", file.display()));
            code = 1;
        }
    }
    Ok(code.max(exported(export)))
}

/// Sends the last spans. 1 where any were lost.
fn exported(export: Option<Export>) -> u8 {
    u8::from(export.is_some_and(|export| !export.finish()))
}

/// Reads a capture to its end, or to its damage.
fn capture(
    analysing: Analysing,
    view: &mut dyn View,
    mut display: Option<&mut Display>,
    mut written: Option<&mut Written>,
    mut export: Option<&mut Export>,
    print: &mut Print,
    last: bool,
) -> io::Result<Option<Damage>> {
    let (mut number, mut begin) = (0, None);
    while let Some(batch) = analysing.next() {
        let mut ended = batch.ended.iter().peekable();
        let mut parts = batch.words.chunks(EXPECTED);
        let mut expected = 0;
        for (at, dissected) in batch.packets().enumerate() {
            if expected < dissected.layers.len()
                && let Some(words) = parts.next()
            {
                view.expect(words);
                expected += words.len();
            }
            expected = expected.saturating_sub(dissected.layers.len());
            while let Some((_, stream)) = ended.next_if(|(packet, _)| *packet == at) {
                view.ended(*stream, print);
                if let Some(export) = &mut export {
                    export.ended(*stream);
                }
            }
            number += 1;
            let first = *begin.get_or_insert(dissected.packet.wall);
            let seen = Seen { number, first, dissected };
            let shown = display.as_mut().is_none_or(|display| display.shows(&seen));
            if let Some(export) = &mut export {
                export.packet(&seen, shown);
            }
            if shown {
                view.packet(&seen, print);
                print.flush_if_full()?;
                if let Some(written) = &mut written {
                    written.packet(&seen)?;
                }
            }
        }
        if let Some(progress) = &mut print.progress {
            progress.step(batch.len(), batch.position);
        }
        if batch.is_last_for_now {
            if !print.is_empty() {
                print.flush()?;
            }
            if let Some(written) = &mut written {
                written.flush()?;
            }
        }
        analysing.done(batch);
    }
    let end = analysing.end().ok_or_else(|| io::Error::other("the reading thread died"))?;
    let closing = Closing {
        first: begin.unwrap_or_default(),
        fragments_given_up: end.fragments_given_up,
        streams: &end.known.streams,
        datagrams: &end.known.datagrams,
    };
    view.end(&closing, print);
    print.flush()?;
    if let Some(written) = written {
        written.flush()?;
    }
    if last {
        std::mem::forget(end.known);
    }
    Ok(end.damage)
}
