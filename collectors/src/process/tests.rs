use std::process::{Command, Stdio};

use super::*;

#[test]
fn this_process_is_told_fully() {
    let _socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let p = Proc::default().process(std::process::id()).unwrap();
    assert_eq!(p.pid, std::process::id());
    assert!(p.threads >= 1);
    assert!(p.sockets.unwrap() >= 1);
    assert_eq!(p.netns_inum, crate::netns::current_inode().ok());
    assert_eq!(p.args[0].rsplit('/').next().map(str::to_owned), p.exe_name());
    assert!(p.start_ns > 0 && p.start_ticks > 0);
}

#[test]
fn a_thread_s_id_leads_to_its_process() {
    let (tid, found) = std::thread::spawn(|| {
        let tid = nix::unistd::gettid().as_raw().unsigned_abs();
        (tid, Proc::default().process(tid).unwrap().pid)
    })
    .join()
    .unwrap();
    assert_ne!(tid, std::process::id());
    assert_eq!(found, std::process::id());
}

#[test]
fn children_are_found_and_zombies_are_not() {
    let proc = Proc::default();
    let mut shell =
        Command::new("sh").args(["-c", "sleep 60 & echo; wait"]).stdout(Stdio::piped()).spawn().unwrap();
    // The line says that the grandchild was started.
    let mut byte = [0];
    io::Read::read_exact(shell.stdout.as_mut().unwrap(), &mut byte).unwrap();
    let found = proc.descendants(std::process::id());
    assert!(found.contains(&shell.id()));
    let grandchildren = proc.descendants(shell.id());
    assert_eq!(grandchildren.len(), 1);
    assert!(found.contains(&grandchildren[0]));

    let sleep = nix::unistd::Pid::from_raw(grandchildren[0].cast_signed());
    nix::sys::signal::kill(sleep, nix::sys::signal::SIGKILL).unwrap();
    // Waits for the end, but leaves the zombie.
    let id = nix::sys::wait::Id::Pid(nix::unistd::Pid::from_raw(shell.id().cast_signed()));
    let flags = nix::sys::wait::WaitPidFlag::WEXITED | nix::sys::wait::WaitPidFlag::WNOWAIT;
    nix::sys::wait::waitid(id, flags).unwrap();
    assert!(!proc.exists(shell.id()));
    assert!(matches!(proc.process(shell.id()), Err(ProcessError::NotFound(_))));
    assert!(!proc.descendants(std::process::id()).contains(&shell.id()));
    shell.wait().unwrap();
    assert!(matches!(proc.process(shell.id()), Err(ProcessError::NotFound(_))));
}

#[test]
fn a_program_is_called_by_what_it_was_started_as() {
    let called = |comm: &str, exe: &str, args: &[&str]| {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("7");
        fs::create_dir(&dir).unwrap();
        let stat = format!("7 ({comm}) S 1 7 7 0 -1 0 0 0 0 0 5 6 0 0 20 0 3 0 12345{}", " 0".repeat(30));
        fs::write(dir.join("stat"), stat).unwrap();
        fs::write(dir.join("status"), format!("Name:\t{comm}\nTgid:\t7\n")).unwrap();
        fs::write(dir.join("cmdline"), args.join("\0") + "\0").unwrap();
        std::os::unix::fs::symlink(exe, dir.join("exe")).unwrap();
        Proc::at(root.path()).process(7).unwrap().called().unwrap()
    };
    assert_eq!(called("redis-server", "/usr/bin/redis-check-rdb", &["redis-server *:6379"]), "redis-server");
    assert_eq!(called("httpd", "/bin/busybox", &["/usr/sbin/httpd", "-f"]), "httpd");
    assert_eq!(called("python3", "/usr/bin/python3.11", &["python3", "x.py"]), "python3.11");
    assert_eq!(called("nginx", "/usr/sbin/nginx", &["nginx: worker process"]), "nginx");
    // It renamed itself: that is no program.
    assert_eq!(called("main", "/opt/server", &["/opt/server"]), "server");
    assert_eq!(called("a-name-that-is-", "/bin/busybox", &["a-name-that-is-long"]), "a-name-that-is-long");
}

#[test]
fn odd_names_and_arguments_are_told() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("77");
    fs::create_dir(&dir).unwrap();
    let numbers = "1 77 77 0 -1 0 0 0 0 0 5 6 0 0 20 0 3 0 12345".to_owned() + &" 0".repeat(30);
    let mut stat = b"77 (a) S \xff(b) S ".to_vec();
    stat.extend_from_slice(numbers.as_bytes());
    fs::write(dir.join("stat"), stat).unwrap();
    fs::write(dir.join("status"), b"Name:\ta) S \xff(b\nTgid:\t77\n").unwrap();
    fs::write(dir.join("cmdline"), b"prog\0\0--x=\xfe\0").unwrap();
    fs::write(dir.join("cgroup"), format!("0::/k8s.io/{}\n", "ab".repeat(32))).unwrap();
    std::os::unix::fs::symlink("/opt/prog (deleted)", dir.join("exe")).unwrap();
    let p = Proc::at(root.path()).process(77).unwrap();
    assert_eq!(p.comm, "a) S \u{fffd}(b");
    assert_eq!((p.ppid, p.threads, p.start_ticks), (1, 3, 12345));
    assert_eq!(p.args, ["prog", "", "--x=\u{fffd}"]);
    assert_eq!(p.exe_name().as_deref(), Some("prog"));
    assert_eq!(p.cgroup.container.unwrap().id, "ab".repeat(32));
    // Nothing there to read: not an error.
    assert_eq!((p.sockets, p.netns_inum), (None, None));
}
