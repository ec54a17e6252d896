//! `tracenet sockets`: the sockets of this or of all network namespaces with who holds them, in the words of ss(8).

mod choice;
mod details;
mod filter;
mod flags;
mod json;
mod names;
mod row;
mod summary;
mod table;
mod tcp_words;

use std::fs::File;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;

use tracenet_collectors::cgroups::Cgroups;
use tracenet_collectors::netns::{self, Place, Refused};
use tracenet_collectors::owners::{Look, Owners};
use tracenet_collectors::process::Proc;
use tracenet_collectors::services::Services;
use tracenet_collectors::sockets;

use crate::failure::Failure;
use crate::paint::Paint;
use crate::privilege::remedy;
use crate::sinks::warn;
use choice::Choice;
use filter::{Filter, Surroundings};
use names::Names;
use row::Rows;

pub use flags::SocketsArgs;

/// Lists them.
pub fn main(args: &SocketsArgs) -> Result<u8, Failure> {
    let home = args.net.as_deref().map(enter_named).transpose()?;
    if args.summary {
        print(&summary::text().map_err(|e| Failure::Runtime(format!("cannot read /proc/net: {e}")))?)?;
        if args.is_bare() {
            return Ok(0);
        }
    }
    for left_out in args.left_out() {
        warn(&format!("{left_out} sockets are left out: see ss(8)"));
    }
    let services = Services::read();
    let (states, expression) = choice::split(&args.filter)?;
    let mut choice = Choice::new(args, states)?;
    let (filter, family) = Filter::parse(&expression, &choice, &services, args.all_netns)?;
    if let Some(family) = family {
        choice.only(family);
    }
    let owners = owners(args)?;
    let places = places(args, &owners)?;
    let cgroups = if args.extended || args.json { Cgroups::read() } else { Cgroups::default() };
    let color = args.color.map_or(tracenet_config::Color::Auto, Into::into);
    let paint = Paint::choose(color, io::stdout().is_terminal());
    let mut rows = Rows::new(args, &choice, &owners, &cgroups, paint);
    for place in &places {
        let Some(entered) = place.enter().map_err(|e| refused(&e))? else { continue };
        let surroundings = Surroundings::of_this_thread();
        let names = Names::new(args, &services, &surroundings);
        rows.begin(place.inode, place.name.as_deref());
        let mut each = |socket: sockets::Socket| {
            if filter.matches(&socket, &surroundings) {
                rows.push(&socket, &names);
            }
        };
        let missing =
            sockets::read(&choice.query(args), &mut each).map_err(|e| Failure::Runtime(e.to_string()))?;
        drop(entered);
        for what in missing {
            let module = what.to_lowercase();
            warn(&format!("this kernel can't list {what} sockets: load its module {module}_diag"));
        }
    }
    drop(home);
    print(&rows.finish())?;
    Ok(0)
}

fn refused(e: &Refused) -> Failure {
    let way = e.way.display();
    match e.source.raw_os_error() {
        Some(libc::EPERM) => Failure::Privilege(format!(
            "cannot enter the network namespace {way}: CAP_SYS_ADMIN is missing: {}",
            remedy("CAP_SYS_ADMIN")
        )),
        _ => Failure::Runtime(format!("cannot enter the network namespace {way}: {}", e.source)),
    }
}

fn enter_named(name: &str) -> Result<netns::Entered, Failure> {
    let path = Path::new(netns::NAMES).join(name);
    let file = File::open(&path).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => {
            Failure::NotFound(format!("no network namespace {name}: `ip netns` lists them"))
        }
        _ => Failure::Runtime(format!("{}: {e}", path.display())),
    })?;
    netns::enter_file(&file).map_err(|source| refused(&Refused { way: path, source }))
}

fn owners(args: &SocketsArgs) -> Result<Owners, Failure> {
    let look = if args.all_netns { Look::Namespaces } else { Look::Sockets };
    if !args.processes && !args.json && !args.all_netns {
        return Ok(Owners::default());
    }
    let owners = Owners::find(&Proc::default(), look)
        .map_err(|e| Failure::Runtime(format!("cannot read /proc: {e}")))?;
    if owners.denied() > 0 {
        warn(&format!(
            "the descriptors of {} processes may not be looked at, their sockets show no owner: {}",
            owners.denied(),
            remedy("CAP_SYS_PTRACE")
        ));
    }
    Ok(owners)
}

/// The thread's own first.
fn places(args: &SocketsArgs, owners: &Owners) -> Result<Vec<Place>, Failure> {
    let places = if args.all_netns { Place::all(owners) } else { Place::here().map(|here| vec![here]) };
    places.map_err(|e| Failure::Runtime(e.to_string()))
}

/// A reader that went away is a quiet end.
fn print(text: &str) -> Result<(), Failure> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::Runtime(format!("cannot write standard output: {e}")))
        }
        _ => Ok(()),
    }
}
