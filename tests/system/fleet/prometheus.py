"""A real Prometheus with an Alertmanager and the rules of contrib, filled with what real hosts said."""

import json
import os
import re
import subprocess
import time
import urllib.parse
import urllib.request

import kernel
from fixture import PACKAGES, ROOT, equal

PACKAGES.update({"prometheus": "prometheus", "prometheus-alertmanager": "prometheus-alertmanager", "prometheus-node-exporter": "prometheus-node-exporter"})
CONTRIB = os.path.join(ROOT, "contrib/prometheus")


def samples_of(found):
    """{host: [what it printed, a minute apart]} as samples, the newest 5 s old."""
    end = time.time() - 5
    for name, texts in found.items():
        for i, text in enumerate(texts):
            at = f"{end - 60 * (len(texts) - 1 - i):.3f}"
            for line in text.splitlines():
                m = re.match(r"(\w+)(?:\{(.*)\})? (\S+)$", line)
                if m:
                    yield f'{m[1]}{{{m[2] + "," if m[2] else ""}instance="{name}",job="node"}} {m[3]} {at}'


def backfill(t, samples, data):
    path = os.path.join(t.folder, "samples")
    kernel.write(path, "\n".join(samples) + "\n# EOF\n")
    done = subprocess.run(["promtool", "tsdb", "create-blocks-from", "openmetrics", path, data], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    equal(done.returncode, 0, done.stdout + done.stderr)


def get(url, **query):
    with urllib.request.urlopen(f"http://127.0.0.1:{url}" + ("?" + urllib.parse.urlencode(query) if query else ""), timeout=20) as answer:
        return answer.read().decode()


def answers(url):
    try:
        return get(url)
    except OSError:
        return None


def ask(query):
    """{labels: value} of an instant query."""
    result = json.loads(get("9090/api/v1/query", query=query))["data"]["result"]
    return [({k: v for k, v in r["metric"].items() if k != "__name__"}, float(r["value"][1])) for r in result]


class Prometheus:
    """A server with the rules of contrib, whose alerts fire as soon as they are true, and an Alertmanager. It is ready when `has` yields something."""

    def __init__(self, t, samples, has="connspread:fleet_canary_verdict"):
        folder = os.path.join(t.folder, "prometheus")
        os.makedirs(folder + "/rules")
        backfill(t, samples, folder + "/data")
        for name in ("connspread.rules.yml", "connspread.fleet.rules.yml"):
            with open(os.path.join(CONTRIB, name)) as f:
                kernel.write(f"{folder}/rules/{name}", re.sub(r"(for|interval): \w+", r"\1: 1s", f.read()))
        kernel.write(folder + "/prometheus.yml", f'global: {{ evaluation_interval: 1s }}\nrule_files: [ "{folder}/rules/*.yml" ]\n'
                                                 'alerting: { alertmanagers: [ { static_configs: [ { targets: [ "127.0.0.1:9093" ] } ] } ] }\n')
        kernel.write(folder + "/alertmanager.yml", "route: { receiver: none, group_wait: 1s }\nreceivers: [ { name: none } ]\n")
        self.alertmanager = t.start(["prometheus-alertmanager", f"--config.file={folder}/alertmanager.yml", f"--storage.path={folder}/am", "--cluster.listen-address=",
                                     "--web.listen-address=127.0.0.1:9093"], bare=True)
        self.process = t.start(["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data", "--web.listen-address=127.0.0.1:9090",
                                "--rules.alert.resend-delay=1s",  # what fires before it knows of the Alertmanager, it tells again after a minute
                                f"--web.console.templates={CONTRIB}", f"--web.console.libraries={folder}"], bare=True)
        kernel.wait_until(lambda: answers("9090/-/ready") and answers("9093/-/ready"), 30, "Prometheus or Alertmanager does not answer")
        kernel.wait_until(lambda: ask(has), 30, f"{has} yields nothing")
