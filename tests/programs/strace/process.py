"""Threads, children, signals, memory, files and what a process asks about itself."""
import fcntl
import mmap
import os
import queue
import resource
import signal
import subprocess
import tempfile
import threading
import time

jobs = queue.Queue()


def work():
    while jobs.get() is not None:
        time.sleep(0.001)


threads = [threading.Thread(target=work) for _ in range(8)]
for t in threads:
    t.start()
for i in range(100):
    jobs.put(i)
for t in threads:
    jobs.put(None)
for t in threads:
    t.join()

subprocess.run("echo hi; exit 3", shell=True, capture_output=True)
signal.signal(signal.SIGALRM, lambda *_: None)
signal.setitimer(signal.ITIMER_REAL, 0.05)
signal.pause()
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
os.kill(os.getpid(), signal.SIGUSR1)
signal.sigtimedwait({signal.SIGUSR1}, 1)
sleeper = subprocess.Popen(["sleep", "10"])
sleeper.terminate()
sleeper.wait()

mmap.mmap(-1, 8192).close()
with tempfile.TemporaryFile() as t:
    t.write(b"x" * 10000)
    t.flush()
    fcntl.lockf(t, fcntl.LOCK_EX)
    fcntl.flock(t, fcntl.LOCK_UN)
    t.truncate(5)
    os.posix_fallocate(t.fileno(), 0, 100)
resource.getrusage(0)
soft, hard = resource.getrlimit(7)
resource.setrlimit(7, (min(soft, 512), hard))
os.sched_getaffinity(0)
os.getgroups()
os.uname()
os.times()
os.umask(0o22)
time.clock_getres(time.CLOCK_MONOTONIC)
fd = os.memfd_create("m", 1)
os.write(fd, b"1")
os.close(fd)
os.eventfd(1)
os.pidfd_open(os.getpid())
os.readlink("/proc/self/exe")
os.statvfs("/")
open("stamp", "w").close()
os.utime("stamp")
os.utime("stamp", (1, 2))
os.listxattr("/tmp")
try:
    os.getxattr("/tmp", "user.x")
except OSError:
    pass
passwd = os.open("/etc/passwd", 0)
copy = os.open("copy", os.O_RDWR | os.O_CREAT, 0o600)
os.sendfile(copy, passwd, 10, 50)
os.copy_file_range(passwd, copy, 100)
os.preadv(passwd, [bytearray(10), bytearray(20)], 5)
os.writev(copy, [b"a", b"b"])

for status in (5, None):
    child = os.fork()
    if child == 0:
        if status is not None:
            os._exit(status)
        os.abort()
    if status is not None:
        os.waitid(os.P_PID, child, os.WEXITED)
    else:
        os.wait4(child, 0)
os.setpriority(0, 0, 1)
os.getpriority(0, 0)
os.sched_getscheduler(0)
os.sched_yield()
os.getrandom(10)
