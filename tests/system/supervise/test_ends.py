"""What is told of the ends of a supervised program's connections, and which programs are served."""

import ctypes
import json
import os
import signal
import socket
import subprocess

import kernel
from fixture import HERE, equal, full
from test_supervise import command, results, scene, start, supervisor_of

PIDFD_GETFD = 438


def descriptors_of(pid):
    """Duplicates of its sockets."""
    libc = ctypes.CDLL(None, use_errno=True)
    pidfd = os.pidfd_open(pid)
    for fd in os.listdir(f"/proc/{pid}/fd"):
        if os.readlink(f"/proc/{pid}/fd/{fd}").startswith("socket:"):
            yield socket.socket(fileno=libc.syscall(PIDFD_GETFD, pidfd, int(fd), 0))
    os.close(pidfd)


def shorten_queue(supervisor):
    """The queue of the kernel's messages of ends takes but a few from now on. Its inode."""
    queues = [s for s in descriptors_of(supervisor) if s.family == socket.AF_NETLINK]
    equal(len(queues), 1, "netlink sockets of the supervisor")
    queues[0].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
    return os.fstat(queues[0].fileno()).st_ino


def dropped(inode):
    """How many messages a netlink queue had no room for."""
    with open("/proc/net/netlink") as f:
        return next(int(words[8]) for words in map(str.split, f) if words[9] == str(inode))


def all_stopped(pid):
    """A thread in the middle of a call stops when it comes out of it."""
    states = []
    for tid in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{tid}/stat") as f:
            states.append(f.read().rsplit(")", 1)[1].split()[0])
    return set(states) == {"T"}


def test_lost_messages_are_made_up_for(t):
    """More ends at once than the queue takes, while the supervisor is stopped: counted, and each TIME-WAIT is told all the same."""
    _, port = scene(t, ports=8000)
    process = start(t, "10.1.0.1", port, 300, "hold", "wait")
    supervisor, _ = supervisor_of(process)
    kernel.wait_until(lambda: len(kernel.sockets("ESTABLISHED", to_port=port)) == 300, what="not all connected")
    queue = shorten_queue(supervisor)
    os.kill(supervisor, signal.SIGSTOP)
    kernel.wait_until(lambda: all_stopped(supervisor), what="a thread that goes on")
    process.stdin.close()
    # The kernel sends a message when a socket's last reference goes, from a worker of its own: 600 for both ends of 300 connections.
    kernel.wait_until(lambda: dropped(queue) > 500, what="the queue takes all messages")
    os.kill(supervisor, signal.SIGCONT)
    equal(process.wait(timeout=20), 0, "status")
    t.same_time_waits(port, 300)
    unseen = json.loads(t.tool("stat", "-o", "json", "-c", t.conf, check=0).stdout)["counters"]["enforce"]["closes_unseen"]
    assert 100 < unseen < 300, f"{unseen} ends were not seen"


@full
def test_32_bit_children(t):
    """connect and socketcall of a 32-bit program that a 64-bit one starts."""
    sources, port = scene(t, ports=2000)
    client = os.path.join(t.folder, "client32")
    subprocess.run(["gcc", "-m32", "-O1", "-D_GNU_SOURCE", "-static", "-o", client, os.path.join(HERE, "supervise/client.c"), "-lpthread"], check=True)
    for mode in "poll", "blocking", "threads":
        done = t.run(command(t, "sh", "-c", f"{client} 10.1.0.1 {port} 8 {mode}; exit 0"), bare=True)
        equal(sorted(results(done)), sources, f"sources, {mode}")
    code = f"""
        #include <arpa/inet.h>
        #include <stdio.h>
        #include <sys/socket.h>
        #include <sys/syscall.h>
        #include <unistd.h>
        int main(void) {{
            struct sockaddr_in to = {{.sin_family = AF_INET, .sin_port = htons({port})}}, from;
            socklen_t length = sizeof from;
            int fd = socket(AF_INET, SOCK_STREAM, 0);
            unsigned long words[3] = {{fd, (unsigned long)&to, sizeof to}};
            inet_aton("10.1.0.1", &to.sin_addr);
            if (syscall(SYS_socketcall, 3, words) != 0 || getsockname(fd, (struct sockaddr *)&from, &length) != 0)
                return 1;
            puts(inet_ntoa(from.sin_addr));
            return 0;
        }}"""
    subprocess.run(["gcc", "-m32", "-static", "-x", "c", "-", "-o", client], input=code, text=True, check=True)
    made = [t.run(command(t, "sh", "-c", f"{client}; exit $?"), bare=True).stdout.strip() for _ in range(8)]
    equal(sorted(made), sorted(sources * 2), "sources of socketcall's connects")
