//! The programs of the scenarios: a client and a server that do as they are told, and say when they did it.

use std::io::{self, BufRead as _, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::socket::{self, AddressFamily, SockFlag, SockType, SockaddrStorage, sockopt};
use serde_json::json;
use tracenet_tests::scenario::load::{HEAD, Habit, Head, Load, Report, TurnReport};

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn main() -> Outcome {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["serve", address, buffer] => serve(address.parse()?, buffer.parse()?),
        ["client", address, load] => client(address.parse()?, &serde_json::from_str(load)?),
        _ => Err("usage: actor serve ADDRESS RECEIVE_BUFFER | actor client ADDRESS LOAD".into()),
    }
}

fn wait_for_line() -> io::Result<()> {
    io::stdin().lock().read_line(&mut String::new()).map(drop)
}

/// A socket with the wanted buffer: what it offers is fixed when it connects or listens.
fn new_socket(address: SocketAddr, buffer: usize) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let fd = socket::socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    socket::setsockopt(&fd, sockopt::ReuseAddr, &true)?;
    if buffer > 0 {
        socket::setsockopt(&fd, sockopt::RcvBuf, &buffer)?;
    }
    Ok(fd)
}

fn serve(address: SocketAddr, buffer: usize) -> Outcome {
    let fd = new_socket(address, buffer)?;
    socket::bind(fd.as_raw_fd(), &SockaddrStorage::from(address))?;
    socket::listen(&fd, socket::Backlog::new(128)?)?;
    let listener = TcpListener::from(fd);
    println!("{}", json!({"listening": address}));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // What ends a connection here is part of the scenario; the client tells of it.
            std::thread::spawn(move || answer(stream));
        }
    });
    wait_for_line()?;
    Ok(())
}

fn answer(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut head = [0; HEAD as usize];
    let mut buffer = Vec::new();
    loop {
        stream.read_exact(&mut head)?;
        let head = Head::read(head);
        sleep(head.read_late_us);
        buffer.resize(head.request.max(head.response) as usize, 0);
        stream.read_exact(&mut buffer[..(head.request - HEAD) as usize])?;
        sleep(head.think_us);
        if head.abort_after > 0 {
            stream.write_all(&buffer[..head.abort_after as usize])?;
            return abort(&stream);
        }
        stream.write_all(&buffer[..head.response as usize])?;
    }
}

/// Closing it will reset the connection (socket(7), SO_LINGER).
fn abort(stream: &TcpStream) -> io::Result<()> {
    Ok(socket::setsockopt(stream, sockopt::Linger, &libc::linger { l_onoff: 1, l_linger: 0 })?)
}

fn sleep(us: u32) {
    if us > 0 {
        std::thread::sleep(Duration::from_micros(us.into()));
    }
}

fn client(address: SocketAddr, load: &Load) -> Outcome {
    println!("{}", json!({"ready": std::process::id()}));
    wait_for_line()?;
    let (next, reports) = (AtomicU32::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..load.workers {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= load.connections {
                        break;
                    }
                    let report = ask(address, load, number);
                    reports.lock().unwrap_or_else(PoisonError::into_inner).push(report);
                }
            });
        }
    });
    println!("{}", serde_json::to_string(&reports.into_inner().unwrap_or_else(PoisonError::into_inner))?);
    wait_for_line()?;
    Ok(())
}

fn ask(mut address: SocketAddr, load: &Load, number: u32) -> Report {
    if load.habit == Habit::WrongPort && load.shows(number, 0) {
        address.set_port(address.port() + 1);
    }
    let mut report = Report { number, ports: (0, address.port()), error: None, turns: Vec::new() };
    let stream = connect(address, load.receive_buffer.unwrap_or(0) as usize);
    let mut stream = match stream {
        Ok(stream) => stream,
        Err(e) => {
            report.error = Some(e.to_string());
            return report;
        }
    };
    report.ports.0 = stream.local_addr().map_or(0, |a| a.port());
    let mut buffer = vec![b'q'; load.request.max(load.response) as usize];
    for turn in 0..load.turns {
        let habit = load.shows(number, turn);
        let start = Instant::now();
        let outcome = take_turn(&mut stream, load, habit, &mut buffer);
        let took_ns = start.elapsed().as_nanos() as u64;
        let error = outcome.err().map(|e| e.to_string());
        let over = error.is_some();
        report.turns.push(TurnReport { took_ns, habit, error });
        if over {
            break;
        }
    }
    report
}

fn connect(address: SocketAddr, buffer: usize) -> io::Result<TcpStream> {
    let fd = new_socket(address, buffer)?;
    socket::connect(fd.as_raw_fd(), &SockaddrStorage::from(address))?;
    let stream = TcpStream::from(fd);
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn take_turn(stream: &mut TcpStream, load: &Load, habit: bool, buffer: &mut [u8]) -> io::Result<()> {
    let pause = |on: Habit| if habit && load.habit == on { load.pause } else { Duration::ZERO };
    let us = |on: Habit| pause(on).as_micros() as u32;
    let head = Head {
        request: load.request,
        response: load.response,
        read_late_us: us(Habit::ServerReadsLate),
        think_us: us(Habit::ServerThinks),
        // So much that some of it has not left when the rest is dropped.
        abort_after: if habit && load.habit == Habit::ServerAborts { load.response / 2 } else { 0 },
    };
    let request = load.request as usize;
    buffer[..HEAD as usize].copy_from_slice(&head.bytes());
    if pause(Habit::ClientPauses).is_zero() {
        stream.write_all(&buffer[..request])?;
    } else {
        stream.write_all(&buffer[..request / 2])?;
        std::thread::sleep(pause(Habit::ClientPauses));
        stream.write_all(&buffer[request / 2..request])?;
    }
    sleep(us(Habit::ClientReadsLate));
    if habit && load.habit == Habit::ClientAborts {
        // So little that most of it is still to come.
        stream.read_exact(&mut buffer[..load.response as usize / 10])?;
        abort(stream)?;
        return Err(io::Error::other("aborted"));
    }
    stream.read_exact(&mut buffer[..load.response as usize])
}
