"""Unmodified programs, the larger ones: proxies, interpreters, database and login clients, load generators. For each, the
TIME-WAIT sockets that `ss` shows in the namespace are the time-wait events, one to one by quadruplet; for what accepts
connections, those of accepted ones too.

Peers that close at the same moment as the program are asked for with `verify = "always"`: a FIN that comes between the look
and the close is one of the things that cannot be known before it.
"""

import os
import signal
import socket

import kernel
from fixture import PYTHON, equal, limit, missing, needs
from matrix import HOST, as_user, end, is_full_root, postgres_home, put, same, serve

N = 8
ALWAYS = 'log {\n verify = "always"\n closes = "all"\n}'


def scene(t, kind=None, top=""):
    sources = t.sources()
    port = t.server(kind=kind) if kind else None
    t.spread(sources, top=top)
    return sources, port


# --- proxies: HTTP/1.0 clients leave the close to the proxy, those that keep connections close themselves ---

NGINX = """
daemon off;
pid %(folder)s/nginx.pid;
error_log %(folder)s/nginx.log info;
%(user)s
worker_processes 2;
events { worker_connections 512; }
http {
    access_log off;
    client_body_temp_path %(folder)s/t1; proxy_temp_path %(folder)s/t2; fastcgi_temp_path %(folder)s/t3;
    uwsgi_temp_path %(folder)s/t4; scgi_temp_path %(folder)s/t5;
    upstream pool { server 10.1.0.1:%(open)d; keepalive 4; }
    server {
        listen 10.1.0.1:8080;
        location /default { proxy_pass http://10.1.0.1:%(open)d; }
        location /open    { proxy_pass http://10.1.0.1:%(open)d; proxy_http_version 1.1; proxy_set_header Connection ""; }
        location /pool    { proxy_pass http://pool; proxy_http_version 1.1; proxy_set_header Connection ""; }
        location /close   { proxy_pass http://10.1.0.1:%(close)d; }
        location /hello   { return 200 "hello"; }
        location /once    { return 200 "hello"; keepalive_timeout 0; }
    }
}
"""


def load(t, port, path, bare=True):
    for keep in ([], ["-k"]):
        done = t.run(["ab", "-q", "-n", "60", "-c", "6", *keep, f"http://{HOST}:{port}/{path}"], bare=bare)
        assert "Complete requests:      60\nFailed requests:        0\n" in done.stdout, done.stdout


def nginx(t, stop, paths, top="", least=0):
    sources, up = scene(t, "http", top)
    down = t.server(kind="close")
    conf = put(t, "nginx.conf", NGINX % {"folder": t.folder, "open": up, "close": down,
                                         "user": "" if is_full_root() else "user root;"})
    server = serve(t, ["nginx", "-e", t.folder + "/nginx.log", "-c", conf], 8080, bare=False)
    for path in paths:
        load(t, 8080, path)
    equal(t.run(["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", f"http://{HOST}:8080/close"], bare=True).stdout, "502",
          "answer for an upstream that closes at once")
    end(server, stop, "nginx")
    same(t, f"nginx {' '.join(paths)} {stop.name}", out=(up, down), into=(8080,), least=least,
         sources=() if top else (*sources, HOST))


@needs("nginx", "ab", "curl")
def test_nginx_proxy(t):
    """nginx closes what upstreams keep open, at once or when it leaves, gracefully."""
    nginx(t, signal.SIGQUIT, ("open", "pool"), least=240)


@needs("nginx", "ab", "curl")
def test_nginx_proxy_fast_shutdown(t):
    """The workers just exit, with connections to upstreams open."""
    nginx(t, signal.SIGTERM, ("open", "pool"), least=240)


@needs("nginx", "ab", "curl")
def test_nginx_proxy_http10(t):
    """Its default: both ends close after the answer, and either may be first."""
    nginx(t, signal.SIGQUIT, ("default",), top=ALWAYS, least=60)


HAPROXY = """
global
    maxconn 200
    nbthread 2
defaults
    timeout connect 5s
    timeout client 5s
    timeout server 5s
    mode http
frontend web
    bind :::8080 v4v6
    %(option)s
    use_backend tcp_like if { path_beg /close }
    default_backend open
backend open
    %(option)s
    server a 10.1.0.1:%(open)d
backend tcp_like
    server b 10.1.0.1:%(close)d
listen raw
    mode tcp
    bind 10.1.0.1:8081
    server c 10.1.0.1:%(echo)d
"""


def haproxy(t, option, stop, top=""):
    sources, up = scene(t, "http", top)
    down, echo = t.server(kind="close"), t.server(kind="echo")
    conf = put(t, "haproxy.cfg", HAPROXY % {"option": option, "open": up, "close": down, "echo": echo})
    server = serve(t, ["haproxy", "-W", "-db", "-q", "-f", conf], 8080, bare=False)
    load(t, 8080, "")
    done = t.run(["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", f"http://{HOST}:8080/close"], bare=True)
    equal(done.stdout, "502", "answer for an upstream that closes at once")
    for half_closes in (False, True) * 8:
        with socket.create_connection((HOST, 8081)) as s:
            s.sendall(b"hi\n")
            equal(s.recv(3), b"hi\n", "echo through the proxy")
            if half_closes:
                s.shutdown(socket.SHUT_WR)
                equal(s.recv(1), b"", "end of the echo")
    end(server, stop, "haproxy")
    same(t, f"haproxy, {option}, {stop.name}", out=(up, down, echo), into=(8080, 8081), least=1)


@needs("haproxy", "ab", "curl")
def test_haproxy(t):
    """Keeps connections on both sides; leaves at once."""
    haproxy(t, "option http-keep-alive", signal.SIGTERM)


@needs("haproxy", "ab", "curl")
def test_haproxy_server_close(t):
    haproxy(t, "option http-server-close", signal.SIGUSR1, top=ALWAYS)


@needs("haproxy", "ab", "curl")
def test_haproxy_close(t):
    """Adds `Connection: close` on both sides."""
    haproxy(t, "option httpclose", signal.SIGTERM, top=ALWAYS)


# --- interpreters ---

PHP = """
$how = $argv[2];
for ($i = 0; $i < 8; $i++) {
    if ($how == 'stream') $s = stream_socket_client("tcp://10.1.0.1:$argv[1]", $e, $m, 5);
    elseif ($how == 'async') $s = stream_socket_client("tcp://10.1.0.1:$argv[1]", $e, $m, 5,
        STREAM_CLIENT_CONNECT | STREAM_CLIENT_ASYNC_CONNECT);
    elseif ($how == 'persistent') $s = pfsockopen('10.1.0.1', $argv[1] + 0, $e, $m, 5);
    else $s = fsockopen('10.1.0.1', $argv[1], $e, $m, 5);
    if (!$s) exit(1);
    fwrite($s, "hi\\n");
    fgets($s);
    if ($how == 'shutdown') { stream_socket_shutdown($s, STREAM_SHUT_WR); fgets($s); }
    if ($how == 'exit') $kept[] = $s;
    elseif ($how != 'persistent') fclose($s);
}
"""


@needs("php")
def test_php(t):
    """stream_socket_client, fsockopen (closed, shut down, left open at exit), asynchronous connects, and persistent
    connections: one for each run, which the interpreter closes when it ends."""
    sources, port = scene(t, "echo")
    for how in ("stream", "async", "fsockopen", "shutdown", "exit"):
        t.run(["php", "-r", PHP, "--", str(port), how])
    for _ in range(4):
        t.run(["php", "-r", PHP, "--", str(port), "persistent"])
    same(t, "php", out=(port,), least=5 * N + 4, sources=sources)


@needs("php")
def test_php_http(t):
    """The http:// wrapper."""
    sources, port = scene(t, "http", ALWAYS)
    code = f"for ($i = 0; $i < 8; $i++) echo file_get_contents('http://{HOST}:{port}/');"
    equal(t.run(["php", "-r", code]).stdout, "hello\n" * N, "what php printed")
    same(t, "php http", out=(port,), least=0)


@needs("php")
def test_php_extension(t):
    """PHP before 8.5 opens its extensions with RTLD_DEEPBIND: what they call is libc, whatever is preloaded. They are out of
    reach, and left in peace; a stream that the core closes for them is logged all the same."""
    port = scene(t, "echo")[1]
    code = """
for ($i = 0; $i < 8; $i++) {
    $s = socket_create(AF_INET, SOCK_STREAM, SOL_TCP);
    if (!socket_connect($s, '10.1.0.1', $argv[1])) exit(1);
    socket_write($s, "hi\\n");
    if (socket_read($s, 3) != "hi\\n") exit(2);
    if ($i % 2) socket_close($s); else fclose(socket_export_stream($s));
}
"""
    t.run(["php", "-r", code, "--", str(port)])
    kernel.settle(port)
    waits, events = kernel.time_waits(port), t.time_wait_events(port)
    equal(len(waits), N, "TIME-WAITs of ext/sockets")
    assert set(events) <= set(waits) and len(events) in (N // 2, N), f"{events} of {waits}"


@needs("perl")
def test_perl(t):
    """IO::Socket::INET: blocking, with a timeout (non-blocking), shut down, left to the end of the scope and of the program."""
    sources, port = scene(t, "echo")
    code = """
use IO::Socket::INET;
my @kept;
for my $i (0 .. 31) {
    my $s = IO::Socket::INET->new(PeerAddr => '10.1.0.1', PeerPort => $ARGV[0], $i % 2 ? (Timeout => 5) : ()) or die $@;
    print $s "hi\\n"; my $line = <$s>;
    if ($i % 4 == 0) { close $s } elsif ($i % 4 == 1) { shutdown $s, 1; $line = <$s>; } elsif ($i % 4 == 2) { push @kept, $s }
    elsif (my $pid = fork) { waitpid $pid, 0 } else { exit 0 }
}
"""
    t.run(["perl", "-e", code, str(port)])
    same(t, "perl", out=(port,), least=32, sources=sources)


# --- databases and caches ---

@needs("psql", "unshare")
@limit(90)
def test_psql(t):
    home = postgres_home() or missing("postgresql")
    sources, port, nobody = scene(t)[0], 5432, as_user("nobody")
    data = os.path.join(t.folder, "data")
    t.run(nobody + [f"{home}/initdb", "-D", data, "-U", "tester", "-A", "trust", "-N", "--no-instructions"], bare=True)
    with open(f"{data}/pg_hba.conf", "a") as f:
        f.write("host all all 0.0.0.0/0 trust\n")
    server = serve(t, nobody + [f"{home}/postgres", "-D", data, "-h", HOST, "-p", str(port), "-k", t.folder, "-F"], port)
    for i in range(N):
        mode = "require" if i == 0 else "prefer" if i % 2 else "disable"
        done = t.run(["psql", "-h", HOST, "-U", "tester", "-Atc", "select 1", "postgres"], PGSSLMODE=mode, check=i > 0)
        equal((done.returncode, done.stdout), (0, "1\n") if i else (2, ""), "exit status and output of psql")
    done = t.run(["psql", "-h", HOST, "-U", "tester", "-At", "postgres"], input="\\c\nselect 2;\n\\c\nselect 3;\n")
    assert done.stdout.splitlines()[-1] == "3", done.stdout
    ours, peers = same(t, "psql", out=(port,), least=0)
    # psql says that it leaves, and closes; so does the server then: either may be first, or both.
    ends = set(ours) | {kernel.Quadruplet(q.peer, q.peer_port, q.local, q.local_port) for q in peers}
    equal((len(ends), {q.local for q in ends}), (N + 3, set(sources)), "connections that left a TIME-WAIT at one end, their sources")
    end(server, signal.SIGINT, "postgres")


@needs("memcached", "memcstat", "memcping")
def test_memcached(t):
    """The clients of libmemcached; then a preloaded memcached and clients that leave the close to it."""
    scene(t, top=ALWAYS)
    server = ["memcached", "-u", "root", "-l", HOST, "-U", "0", "-t", "2"]
    serve(t, server + ["-p", "11211"], 11211)
    for _ in range(N):
        assert "pid" in t.run(["memcstat", f"--servers={HOST}:11211"]).stdout
        t.run(["memcping", f"--servers={HOST}:11211"])
    cached = serve(t, server + ["-p", "11212"], 11212, bare=False)
    for _ in range(N):
        with socket.create_connection((HOST, 11212)) as s:
            s.sendall(b"version\r\nquit\r\n")
            while s.recv(4096):
                pass
    left = socket.create_connection((HOST, 11212))
    left.sendall(b"version\r\n")
    assert left.recv(100)
    end(cached, signal.SIGTERM, "memcached")
    left.close()
    same(t, "memcached", out=(11211,), into=(11212,), least=N, sources=[HOST])


@needs("redis-server", "redis-benchmark")
def test_redis_benchmark(t):
    """With connections that are kept, and with one for each request."""
    sources = scene(t)[0]
    serve(t, ["redis-server", "--port", "6379", "--bind", HOST, "--protected-mode", "no", "--save", "", "--appendonly", "no",
              "--dir", t.folder], 6379)
    for keep in "1", "0":
        t.run(["redis-benchmark", "-h", HOST, "-q", "-c", "20", "-n", "400", "-k", keep, "-t", "ping_inline,set"],
              check=keep == "1")  # otherwise it warns
    same(t, "redis-benchmark", out=(6379,), least=800, sources=sources)


# --- logins and transfers ---

@needs("git")
def test_git(t):
    """git:// from a git daemon and http:// from a folder: the client's processes, git-remote-https among them."""
    scene(t, top=ALWAYS)
    quiet = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a",
             "GIT_COMMITTER_EMAIL": "a@b"}
    repo = os.path.join(t.folder, "repo")
    for words in (["init", "-q", "-b", "main", repo], ["-C", repo, "commit", "-q", "--allow-empty", "-m", "one"],
                  ["-C", repo, "update-server-info"]):
        t.run(["git"] + words, bare=True, **quiet)
    serve(t, ["git", "daemon", f"--listen={HOST}", "--port=9418", "--reuseaddr", "--export-all", f"--base-path={t.folder}"], 9418)
    serve(t, [PYTHON, "-m", "http.server", "-b", HOST, "-d", t.folder, "8000"], 8000)
    for i in range(N):
        equal(t.run(["git", "ls-remote", f"git://{HOST}/repo", "HEAD"], **quiet).stdout[40:], "\tHEAD\n", "git ls-remote")
        t.run(["git", "clone", "-q", f"git://{HOST}/repo", f"{t.folder}/clone{i}"], **quiet)
        t.run(["git", "clone", "-q", f"http://{HOST}:8000/repo/.git", f"{t.folder}/http{i}"], **quiet)
    same(t, "git", out=(9418, 8000), least=1)


@needs("ssh", "sshd", "ssh-keygen", "unshare")
def test_ssh(t):
    """A subsystem, and a connection through -W. sshd runs as a user other than root, for whom it needs nothing of the host;
    the subsystem is one that needs no login shell."""
    scene(t, top=ALWAYS)
    for key in "host", "user":
        t.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{t.folder}/{key}"], bare=True)
    echo = t.server(kind="echo")
    conf = put(t, "sshd_config", f"""
ListenAddress {HOST}:2222
HostKey {t.folder}/host
AuthorizedKeysFile {t.folder}/user.pub
StrictModes no
UsePAM yes
Subsystem sftp internal-sftp
PidFile none
""")
    serve(t, as_user("nobody") + ["/usr/sbin/sshd", "-D", "-e", "-f", conf], 2222)
    options = ["-F", "none", "-i", f"{t.folder}/user", "-o", "StrictHostKeyChecking=no", "-o", "LogLevel=ERROR", "-o",
               f"UserKnownHostsFile={t.folder}/known", "-p", "2222", f"nobody@{HOST}"]
    for _ in range(N):
        t.run(["ssh", "-s"] + options + ["sftp"])
    equal(t.run(["ssh", "-W", f"{HOST}:{echo}"] + options, input="hi\n").stdout, "hi\n", "what ssh -W printed")
    same(t, "ssh", out=(2222,), other=(echo,))


@needs("openssl")
def test_openssl_s_client(t):
    """s_client says goodbye, shuts down, and waits; so does the server."""
    scene(t, top=ALWAYS)
    t.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=x",
           "-keyout", f"{t.folder}/key", "-out", f"{t.folder}/cert"], bare=True, check=False)
    serve(t, ["openssl", "s_server", "-accept", f"{HOST}:4433", "-key", f"{t.folder}/key", "-cert", f"{t.folder}/cert", "-www",
              "-quiet"], 4433)
    for i in range(N):
        version = "-tls1_2" if i % 2 else "-tls1_3"
        done = t.run(["openssl", "s_client", "-connect", f"{HOST}:4433", version], input="Q\n", check=False)
        assert "BEGIN CERTIFICATE" in done.stdout, done
    same(t, "openssl s_client", out=(4433,), least=1)


# --- load generators ---

def bare_nginx(t):
    conf = put(t, "nginx.conf", NGINX % {"folder": t.folder, "open": 1, "close": 1, "user": "user root;"})
    serve(t, ["nginx", "-e", t.folder + "/nginx.log", "-c", conf], 8080)


@needs("ab", "nginx")
def test_ab(t):
    """One connection a request, which the server closes, and kept connections, which ab closes at the end."""
    sources = scene(t, top=ALWAYS)[0]
    bare_nginx(t)
    load(t, 8080, "hello", bare=False)
    same(t, "ab", out=(8080,), least=6, sources=sources)


@needs("wrk", "nginx")
def test_wrk(t):
    """Kept connections, and a server that closes after each answer. Each thread leaves its one connection at its fiftieth
    answer: none comes after the close."""
    sources = scene(t, top=ALWAYS)[0]
    bare_nginx(t)
    script = put(t, "stop.lua", "local n = 0\nfunction response() n = n + 1; if n == 50 then wrk.thread:stop() end end\n")
    for path in "hello", "once":
        done = t.run(["wrk", "-t", "8", "-c", "8", "-d", "2s", "-s", script, f"http://{HOST}:8080/{path}"])
        assert "400 requests" in done.stdout, done.stdout
    same(t, "wrk", out=(8080,), least=16, sources=sources)
