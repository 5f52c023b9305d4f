"""contrib/canary: what each query yields in a real Prometheus, and what is made of it. No data is never success."""

import json
import os
import re
import subprocess
import time

import prometheus
from fixture import ROOT, equal, full, limit, needs

CANARY = os.path.join(ROOT, "contrib/canary")

# name: connects and failures a minute of the canary and of the control arm; None: there is no such arm. Then the verdict.
CASES = {
    "worse": ((100, 5), (100, 0), 1),
    "better": ((100, 0), (100, 5), -1),
    "same": ((100, 1), (100, 1), 0),
    "few": ((3, 3), (100, 0), None),
    "alone": ((100, 50), None, None),
    "idle": ((0, 0), (0, 0), None),
}


def samples():
    end = time.time() - 5
    for name, case in CASES.items():
        for arm, rates in (("enforce", case[0]), ("control", case[1])):
            for metric, rate in zip(("connects", "connects_unsuccessful"), rates or ()):
                for i in range(15):
                    yield f'connspread_{metric}_total{{connspread_instance="{name}",arm="{arm}",rule="r",source="s",instance="h"}} {rate * i} {end - 60 * (14 - i):.3f}'


def yaml_value(text, key):
    """A scalar of a file as simple as ours."""
    return re.search(rf"^\s*{key}: (.*)$", text, re.M)[1]


def read(name):
    with open(os.path.join(CANARY, name)) as f:
        return f.read()


def values(query, wanted):
    equal("{{" in query or "${" in query, False, f"nothing is left to fill in: {query}")
    answer = prometheus.ask(query)
    equal(len(answer) <= 1, True, f"{wanted}: one series at most")
    return [value for _, value in answer]


def argo(text, name):
    """The two conditions, in python, which has these operators too but for their names."""
    result = values(yaml_value(text, "query").replace("{{args.connspread-instance}}", name), name)
    success, failure = (eval(yaml_value(text, key).replace("&&", "and"), {"len": len, "result": result}) for key in ("successCondition", "failureCondition"))
    return "success" if success and not failure else "failure" if failure else "inconclusive"


def flagger(text, name):
    result = values(yaml_value(text, "query").replace("{{ variables.instance }}", name), name)
    most = int(re.search(r"thresholdRange: \{ max: (\S+) \}", text)[1])
    return "halts" if not result else "passes" if result[0] <= most else "fails"


def kayenta(config, name):
    metric, = config["metrics"]
    query = metric["query"]["customInlineTemplate"].removeprefix("PromQL:").replace("${location}", name)
    canary, control = (values(query.replace("${scope}", arm), name) for arm in ("enforce", "control"))
    if not canary or not control or canary[0] != canary[0]:
        return "no data"
    return "above" if canary[0] > control[0] else "not above"


@full
@limit(90)
@needs("prometheus", "promtool", "prometheus-alertmanager")
def test_each_query(t):
    prometheus.Prometheus(t, samples())
    argo_file, flagger_file, config = read("argo-analysistemplate.yaml"), read("flagger-metrictemplate.yaml"), json.loads(read("kayenta-canaryconfig.json"))
    assert config["metrics"][0]["analysisConfigurations"]["canary"]["mustHaveData"] is True
    for name, (_, _, verdict) in list(CASES.items()) + [("absent", (None, None, None))]:
        equal(argo(argo_file, name), {1: "failure", 0: "success", -1: "success", None: "inconclusive"}[verdict], f"Argo: {name}")
        equal(flagger(flagger_file, name), {1: "fails", 0: "passes", -1: "passes", None: "halts"}[verdict], f"Flagger: {name}")
    equal({name: kayenta(config, name) for name in (*CASES, "absent")},
          {"worse": "above", "better": "not above", "same": "not above", "few": "above", "alone": "no data", "idle": "no data", "absent": "no data"}, "Kayenta")


@full
def test_the_files_are_yaml(t):
    """As a reader of YAML has them."""
    for name, kind in (("argo-analysistemplate.yaml", "AnalysisTemplate"), ("flagger-metrictemplate.yaml", "MetricTemplate")):
        done = subprocess.run(["/usr/bin/python3", "-c", "import json, sys, yaml; print(json.dumps(yaml.safe_load(sys.stdin)))"], input=read(name), text=True, stdout=subprocess.PIPE, check=True)
        equal(json.loads(done.stdout)["kind"], kind, name)
