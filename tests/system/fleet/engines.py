"""The two ends of ClickHouse: the current one as a library inside node (chdb), and Debian's server, 18.16. Both answer alike."""

import json
import os
import subprocess

import kernel
from fixture import PACKAGES, ROOT, equal, missing

PACKAGES.update({"clickhouse-server": "clickhouse-server", "clickhouse-client": "clickhouse-client"})

SQL = os.path.join(ROOT, "contrib/clickhouse")
MODULES = os.path.join(ROOT, "build/chdb/node_modules")  # tests/chdb.sh
SERVER = """<yandex>
<logger><level>warning</level><log>{folder}/log</log><errorlog>{folder}/errors</errorlog></logger>
<http_port>8123</http_port><tcp_port>9000</tcp_port><listen_host>127.0.0.1</listen_host>
<path>{folder}/data/</path><tmp_path>{folder}/tmp/</tmp_path><mark_cache_size>100000000</mark_cache_size>
<users_config>{folder}/users.xml</users_config><default_profile>default</default_profile><default_database>default</default_database>
</yandex>"""
USERS = """<yandex><profiles><default/></profiles>
<users><default><password></password><networks><ip>::/0</ip></networks><profile>default</profile><quota>default</quota></default></users>
<quotas><default/></quotas></yandex>"""


def answered(text):
    return [json.loads(line) for line in text.splitlines()]


class Chdb:
    """The library: a process for each list of statements, so that each starts from what is on the disk."""

    def __init__(self, t):
        self.folder = os.path.join(t.folder, "chdb")
        if not os.path.isdir(os.path.join(MODULES, "chdb")):
            missing("chdb of npm, which tests/chdb.sh installs,")
        equal(self.start(os.path.join(SQL, "schema.sql"), os.path.join(SQL, "views.sql")).communicate()[1], "", "schema and views")

    def start(self, *arguments):
        return subprocess.Popen(["node", os.path.join(SQL, "chdb.js"), self.folder, *arguments], env={**os.environ, "NODE_PATH": MODULES}, text=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def __call__(self, *statements):
        out, errors = self.start(*(word for s in statements for word in ("-e", s))).communicate(timeout=120)
        equal(errors, "", f"chdb: {statements}")
        return answered(out)

    def loader(self, path):
        """As contrib/clickhouse/README.md says."""
        return self.start("-e", f"INSERT INTO connspread.events FROM INFILE '{path}' SETTINGS input_format_allow_errors_num = 1 FORMAT JSONEachRow")

    def load(self, path):
        equal(self.loader(path).communicate(timeout=120), ("", ""), f"loading {path}")

    def restart(self):
        """There is none."""
        return False


class Server:
    """18.16 in a process of its own, which may be killed."""

    def __init__(self, t):
        self.t, self.folder, self.process = t, os.path.join(t.folder, "server"), None
        for name in ("", "/data", "/tmp"):
            os.mkdir(self.folder + name)
        kernel.write(self.folder + "/config.xml", SERVER.format(folder=self.folder))
        kernel.write(self.folder + "/users.xml", USERS)
        self.restart()
        for name in ("schema-18.16.sql", "views.sql"):
            with open(os.path.join(SQL, name)) as f:
                equal(self.client("-n", stdin=f), (0, "", ""), name)

    def client(self, *arguments, stdin=subprocess.DEVNULL):
        done = subprocess.run(["clickhouse-client", "--output_format_json_quote_64bit_integers=0", *arguments], stdin=stdin, text=True, timeout=60,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        return done.returncode, done.stdout, done.stderr

    def restart(self):
        if self.process:
            self.process.kill()
            self.process.wait()
        self.process = self.t.start(["clickhouse-server", f"--config-file={self.folder}/config.xml"], bare=True)
        kernel.wait_until(lambda: self.client("-q", "SELECT 1")[0] == 0, 30, "clickhouse-server does not answer")
        return True

    def __call__(self, *statements):
        found = []
        for s in statements:
            status, out, errors = self.client("-q", s, "--format=JSONEachRow")
            equal((status, errors), (0, ""), s)
            found += answered(out)
        return found

    def loader(self, path):
        """As contrib/clickhouse/README.md says."""
        with open(path) as f:
            return subprocess.Popen(["clickhouse-client", "--input_format_skip_unknown_fields=1", "--input_format_allow_errors_num=1",
                                     "-q", "INSERT INTO connspread.events FORMAT JSONEachRow"], stdin=f, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def load(self, path):
        loader = self.loader(path)
        errors = loader.communicate(timeout=120)[1]
        equal((loader.returncode, errors), (0, ""), f"loading {path}")
