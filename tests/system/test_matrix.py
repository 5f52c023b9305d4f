"""Unmodified programs, the larger ones: proxies, interpreters, database and login clients, load generators. For each, the
TIME-WAIT sockets that `ss` shows in the namespace are the time-wait events, one to one by quadruplet; for what accepts
connections, those of accepted ones too."""

import signal

from bench import equal, limit, missing, needs
from matrix import (HOST, as_user, end, is_full_root, listens, postgres_home, put, same, serve, text)

N = 8


def scene(t, kind=None):
    sources = t.sources()
    port = t.server(kind=kind) if kind else None
    t.spread(sources)
    return sources, port


# --- proxies ---

NGINX = """
daemon off;
pid %(folder)s/nginx.pid;
error_log %(folder)s/nginx.log info;
%(user)s
worker_processes 2;
worker_shutdown_timeout 2s;
events { worker_connections 512; }
http {
    access_log off;
    client_body_temp_path %(folder)s/t1; proxy_temp_path %(folder)s/t2; fastcgi_temp_path %(folder)s/t3;
    uwsgi_temp_path %(folder)s/t4; scgi_temp_path %(folder)s/t5;
    upstream pool { server 10.1.0.1:%(open)d; keepalive 4; }
    server {
        listen 10.1.0.1:8080;
        keepalive_timeout 5s;
        location /default { proxy_pass http://10.1.0.1:%(open)d; }
        location /open    { proxy_pass http://10.1.0.1:%(open)d; proxy_http_version 1.1; proxy_set_header Connection ""; }
        location /pool    { proxy_pass http://pool; proxy_http_version 1.1; proxy_set_header Connection ""; }
        location /close   { proxy_pass http://10.1.0.1:%(close)d; }
    }
}
"""


def nginx(t, stop):
    sources, up = scene(t, "http")
    down = t.server(kind="close")
    conf = put(t, "nginx.conf", NGINX % {"folder": t.folder, "open": up, "close": down,
                                         "user": "" if is_full_root() else "user root;"})
    server = serve(t, ["nginx", "-e", t.folder + "/nginx.log", "-c", conf], 8080, bare=False)
    for path in ("default", "open", "pool"):
        t.run(["ab", "-q", "-n", "60", "-c", "6", f"http://{HOST}:8080/{path}"], bare=True)
        t.run(["ab", "-q", "-k", "-n", "60", "-c", "6", f"http://{HOST}:8080/{path}"], bare=True)
    equal(t.run(["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", f"http://{HOST}:8080/close"], bare=True).stdout, "502",
          "answer for an upstream that closes at once")
    end(server, stop, "nginx")
    events = same(t, f"nginx, {stop.name}", out=(up, down), into=(8080,), least=200, sources=sources)
    equal({e["direction"] for e in events}, {"inbound", "outbound"}, "directions")


@needs("nginx", "ab", "curl")
def test_nginx_proxy(t):
    """Upstreams of HTTP/1.0, kept open by the upstream, kept by nginx, closed at once; nginx leaves gracefully."""
    nginx(t, signal.SIGQUIT)


@needs("nginx", "ab", "curl")
def test_nginx_proxy_fast_shutdown(t):
    """The workers just exit, with connections to upstreams open."""
    nginx(t, signal.SIGTERM)
