"""The operator's side from outside: configuration, keys, quotas, admin, logs, reload, downloads."""
import hashlib
import http.client
import http.server
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

PROGRAM, MODEL = sys.argv[1], sys.argv[2]
ADMIN = "admin-key-1"


def millrace(*arguments, **variables):
    done = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=120,
                          env={**os.environ, **variables})
    return done.returncode, done.stdout, done.stderr


def write_adapter(folder, scale, rank=4, width=64):
    """A PEFT folder for the bundled model, which adds to what its first layer asks for."""
    os.makedirs(folder)
    pathlib.Path(folder, "adapter_config.json").write_text(json.dumps({
        "peft_type": "LORA", "r": rank, "lora_alpha": rank, "target_modules": ["q_proj"],
        "bias": "none", "task_type": "CAUSAL_LM"}), encoding="utf-8")
    header, data = {}, b""
    for name, shape in (("lora_A", [rank, width]), ("lora_B", [width, rank])):
        numbers = [scale * ((i * 37) % 11 - 5) for i in range(shape[0] * shape[1])]
        header[f"base_model.model.model.layers.0.self_attn.q_proj.{name}.weight"] = {
            "dtype": "F32", "shape": shape,
            "data_offsets": [len(data), len(data) + 4 * len(numbers)]}
        data += struct.pack(f"<{len(numbers)}f", *numbers)
    text = json.dumps(header).encode()
    pathlib.Path(folder, "adapter_model.safetensors").write_bytes(
        struct.pack("<Q", len(text)) + text + data)
    return folder


SAMPLE = re.compile(r'([a-z_][a-z0-9_]*)((?:\{(?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)+\})?)'
                    r' ([-+0-9.e]+|NaN|\+Inf)')


def check_exposition(text):
    """The page of Prometheus's text format 0.0.4 as samples; what is wrong is an AssertionError."""
    samples, kinds, helped, current = {}, {}, set(), None
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# HELP "):
            name = line.split(" ")[2]
            assert name not in helped and name not in kinds, line
            helped.add(name)
        elif line.startswith("# TYPE "):
            _, _, current, kind = line.split(" ")
            assert current not in kinds and current in helped, line
            assert kind in ("counter", "gauge", "histogram"), line
            assert (kind == "counter") == current.endswith("_total"), line
            kinds[current] = kind
        else:
            found = SAMPLE.fullmatch(line)
            assert found, line
            suffix = "(_bucket|_sum|_count)" if kinds[current] == "histogram" else ""
            assert re.fullmatch(re.escape(current) + suffix, found.group(1)), line
            assert found.group(1) + found.group(2) not in samples, line
            samples[found.group(1) + found.group(2)] = float(found.group(3))
    for name in (name for name, kind in kinds.items() if kind == "histogram"):
        series = {}
        for key, value in samples.items():
            if key.startswith(name + "_bucket{"):
                others, bound = re.fullmatch(r'[^{]*\{(.*?),?le="([^"]+)"\}', key).groups()
                series.setdefault(others, []).append((float(bound), value))
        for others, buckets in series.items():
            assert buckets == sorted(buckets), (name, "not rising")
            assert [count for _, count in buckets] == sorted(count for _, count in buckets), name
            assert buckets[-1][0] == float("inf"), name
            labels = "{" + others + "}" if others else ""
            assert samples[f"{name}_count{labels}"] == buckets[-1][1], name
            assert f"{name}_sum{labels}" in samples, name
    return samples


class Server:
    """A server on ports of the kernel's choice, with a configuration that tests may change."""

    def __init__(self, keys="", rest="", model=""):
        self.folder = tempfile.mkdtemp()
        self.config = os.path.join(self.folder, "config.yaml")
        self.access = os.path.join(self.folder, "access.log")
        self.log = open(os.path.join(self.folder, "log"), "w+", encoding="utf-8")
        self.configure(keys, rest, model)
        self.process = subprocess.Popen([PROGRAM, "serve", self.config], stdout=subprocess.PIPE,
                                        stderr=self.log, text=True)
        line = self.process.stdout.readline()
        self.port = int(re.search(r":(\d+)\s*$", line).group(1))
        self.admin_port = int(re.search(r"admin.*:(\d+)", self.wait_for("admin listener")).group(1))

    def configure(self, keys="", rest="", model=""):
        pathlib.Path(self.config).write_text(
            "listen: {port: 0}\n"
            f"admin: {{port: 0, key: {ADMIN}}}\n"
            f"models: [{{name: m, path: {MODEL}{model}}}]\n"
            f"access_log: {{path: {self.access}}}\n"
            f"api_keys: [{keys}]\n" + rest, encoding="utf-8")

    def log_text(self):
        return pathlib.Path(self.folder, "log").read_text(encoding="utf-8")

    def wait_for(self, text, count=1):
        for _ in range(1000):
            found = self.log_text()
            if found.count(text) >= count:
                return next(line for line in found.splitlines() if text in line)
            time.sleep(0.01)
        raise AssertionError(f"{text} is not in the log: {found}")

    def call(self, method, path, body=None, key=None, port=None):
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=60)
        headers = {"Authorization": "Bearer " + key} if key else {}
        connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, dict(answer.getheaders()), text

    def admin(self, method, path, body=None, key=ADMIN):
        status, _, text = self.call(method, path, body, key, self.admin_port)
        return status, text

    def reload(self):
        """Tells of it and gives the paths that wait for a restart."""
        status, text = self.admin("POST", "/admin/reload")
        assert status == 200, text
        return json.loads(text)["needs_restart"]

    def metrics(self):
        return check_exposition(self.call("GET", "/metrics")[2])

    def complete(self, key=None, **fields):
        body = {"model": "m", "prompt": "Once upon a time", "max_tokens": 4, **fields}
        return self.call("POST", "/v1/completions", body, key)

    def lines(self):
        text = pathlib.Path(self.access).read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]

    def wait_for_lines(self, count):
        for _ in range(1000):
            if os.path.exists(self.access) and len(self.lines()) >= count:
                return self.lines()
            time.sleep(0.01)
        raise AssertionError(f"not {count} lines in the access log")

    def close(self):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=60)
        self.process.stdout.close()
        self.log.close()
        shutil.rmtree(self.folder)
        return code


class Case(unittest.TestCase):
    def serve(self, keys=""):
        server = Server(keys)
        self.addCleanup(lambda: self.assertEqual(server.close(), 0))
        return server


class Operate(Case):
    def test_keys_say_who_may_what_and_how_much(self):
        digest = hashlib.sha256(b"hashed-key").hexdigest()
        server = self.serve("{name: one, key: plain-key, class: background},"
                            f"{{name: two, key_sha256: {digest}, models: [other]}},"
                            "{name: three, key: small-key, tokens_per_day: 5}")
        self.assertEqual(server.complete()[0], 401)
        self.assertEqual(server.complete("plain-kez")[0], 401)
        self.assertEqual(server.call("GET", "/health/ready")[0], 200)
        self.assertEqual(server.complete("plain-key")[0], 200)
        self.assertEqual(server.complete("hashed-key")[0], 403)
        self.assertEqual(server.complete("small-key")[0], 200)
        server.wait_for_lines(6)
        # What a request came to is charged once its answer has gone out, so one more may slip in.
        status, headers, text = server.complete("small-key")
        if status == 200:
            server.wait_for_lines(7)
            status, headers, text = server.complete("small-key")
        self.assertEqual(status, 429, text)
        self.assertGreater(int(headers["Retry-After"]), 3600)
        lines = server.wait_for_lines(7)
        one = next(line for line in lines if line.get("key") == "one")
        self.assertEqual((one["class"], one["status"], one["model"]), ("background", 200, "m"))
        self.assertEqual((one["output_tokens"], one["finish"]), (4, "length"))
        self.assertNotIn("plain-key", json.dumps(lines))

    def test_the_metrics_count_what_came(self):
        server = self.serve()
        for _ in range(3):
            self.assertEqual(server.complete()[0], 200)
        self.assertEqual(server.call("GET", "/made/up")[0], 404)
        text = server.call("GET", "/metrics")[2]
        values = dict(line.rsplit(" ", 1) for line in text.splitlines() if line[:1] != "#")
        completions = 'millrace_http_requests_total{endpoint="/v1/completions",code="200"}'
        self.assertEqual(values[completions], "3")
        self.assertEqual(values['millrace_http_requests_total{endpoint="other",code="404"}'], "1")
        labels = '{model="m",class="interactive",variant="base"}'
        self.assertEqual(values["millrace_output_tokens_total" + labels], "12")
        self.assertEqual(values["millrace_request_seconds_count" + labels], "3")
        self.assertGreater(float(values["process_resident_memory_bytes"]), 1e6)

    def test_what_changes_state_is_behind_the_admin_key(self):
        server = self.serve()
        for path in ("/admin/models", "/admin/requests", "/admin/log-level", "/metrics"):
            self.assertEqual(server.admin("GET", path, key=None)[0], 401)
            self.assertEqual(server.admin("GET", path, key="wrong-key")[0], 401)
            self.assertEqual(server.admin("GET", path)[0], 200)
        self.assertEqual(server.call("GET", "/admin/models", key=ADMIN)[0], 404)
        self.assertEqual(server.admin("GET", "/health/live", key=None)[0], 200)
        self.assertEqual(server.admin("POST", "/admin/models")[0], 405)
        self.assertEqual(server.admin("POST", "/admin/log-level", {"level": "loud"})[0], 400)
        self.assertEqual(server.admin("POST", "/admin/log-level", {"level": "debug"})[0], 200)
        self.assertEqual(json.loads(server.admin("GET", "/admin/log-level")[1])["level"], "debug")

    def test_models_come_and_go(self):
        server = self.serve()
        status, text = server.admin("POST", "/admin/models/load", {"name": "n", "path": MODEL})
        self.assertEqual(status, 200, text)
        self.assertEqual(server.complete(model="n")[0], 200)
        names = [model["name"] for model in json.loads(server.admin("GET", "/admin/models")[1])
                 ["models"]]
        self.assertEqual(sorted(names), ["m", "n"])
        self.assertEqual(server.admin("POST", "/admin/models/unload", {"name": "n"})[0], 200)
        self.assertEqual(server.complete(model="n")[0], 404)
        self.assertEqual(server.admin("POST", "/admin/models/unload", {"name": "none"})[0], 404)

    def test_a_request_is_seen_and_cancelled(self):
        server = self.serve()
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        body = {"model": "m", "prompt": "Once", "max_tokens": 400, "stream": True, "n": 8,
                "ignore_eos": True}
        connection.request("POST", "/v1/completions", json.dumps(body), {"x-request-id": "mine"})
        answer = connection.getresponse()
        answer.read(10)
        running = json.loads(server.admin("GET", "/admin/requests")[1])["requests"]
        self.assertEqual([entry["request_id"] for entry in running], ["mine"])
        cancelled = server.admin("POST", "/admin/requests/cancel", {"request_id": "mine"})
        self.assertEqual(cancelled[0], 200, cancelled[1])
        with self.assertRaises((http.client.IncompleteRead, ConnectionError)):
            answer.read()
        connection.close()
        self.assertEqual(server.wait_for_lines(1)[0]["cut_off"], True)
        self.assertEqual(server.admin("POST", "/admin/requests/cancel", {"request_id": "x"})[0],
                         404)

    def test_a_reload_takes_keys_and_leaves_the_rest(self):
        server = self.serve("{name: one, key: first-key}")
        self.assertEqual(server.complete("first-key")[0], 200)
        server.configure("{name: one, key: second-key}", "engine: {sequences_max: 8}\n")
        server.process.send_signal(signal.SIGHUP)
        told = server.wait_for("takes effect at the next start")
        self.assertIn("setting=engine.sequences_max before=32 after=8", told)
        self.assertNotIn("second-key", server.log_text())
        self.assertEqual(server.complete("first-key")[0], 401)
        self.assertEqual(server.complete("second-key")[0], 200)
        self.assertEqual(server.reload(), ["engine.sequences_max"])
        pathlib.Path(server.config).write_text("listne: 1\n", encoding="utf-8")
        status, text = server.admin("POST", "/admin/reload")
        self.assertEqual(status, 400, text)
        self.assertIn("did you mean listen?", text)
        self.assertEqual(server.complete("second-key")[0], 200)

    def test_logs_rotate_without_losing_a_line(self):
        server = self.serve()
        server.complete()
        server.wait_for_lines(1)
        os.rename(server.access, server.access + ".1")
        server.process.send_signal(signal.SIGHUP)
        server.wait_for("was read again")
        server.complete()
        self.assertEqual(len(server.wait_for_lines(1)), 1)

    def test_an_operator_drains(self):
        server = Server()
        self.assertEqual(server.admin("POST", "/admin/drain")[0], 200)
        self.assertEqual(server.process.wait(timeout=60), 0)
        server.process.stdout.close()
        server.log.close()
        shutil.rmtree(server.folder)


class Live(Case):
    """What changes while the server runs, and shows at once."""

    def test_limits_and_cors(self):
        server = self.serve()
        self.assertEqual(server.complete(n=3)[0], 200)
        server.configure("", "limits: {choices_max: 2, max_tokens: 8, stop_strings_max: 1,"
                             " body_bytes_max: 2K, json_depth_max: 8}\n"
                             "cors: {origins: ['https://a.example']}\n")
        self.assertEqual(server.reload(), [])
        for fields in ({"n": 3}, {"max_tokens": 9}, {"stop": ["a", "b"]}):
            status, _, text = server.complete(**fields)
            self.assertEqual(status, 400, text)
        self.assertEqual(server.complete(prompt="a" * 3000)[0], 413)
        self.assertEqual(server.complete(n=2, stop=["zzz"])[0], 200)
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        connection.request("GET", "/v1/models", headers={"Origin": "https://a.example"})
        answer = connection.getresponse()
        self.assertEqual(answer.getheader("Access-Control-Allow-Origin"), "https://a.example")
        connection.close()
        server.configure()
        self.assertEqual(server.reload(), [])
        self.assertEqual(server.complete(n=3)[0], 200)
        self.assertIn("setting=limits.choices_max before=2 after=16", server.log_text())

    def test_templates_hooks_and_sampling(self):
        server = self.serve()
        template = os.path.join(server.folder, "template.jinja")
        pathlib.Path(template).write_text("One {{ messages[0].content }}", encoding="utf-8")
        body = {"model": "m", "messages": [{"role": "user", "content": "day"}]}

        def prompt():
            status, _, text = server.call("POST", "/apply-template", body)
            self.assertEqual(status, 200, text)
            return json.loads(text)["prompt"]

        self.assertNotEqual(prompt(), "One day")
        server.configure(model=f", chat_template: {template}, sampling: {{max_tokens: 3}}",
                         rest="hooks: [{kind: redact, pattern: there, replacement: HERE}]\n")
        self.assertEqual(server.reload(), [])
        self.assertEqual(prompt(), "One day")
        answer = json.loads(server.call("POST", "/v1/chat/completions", body)[2])
        self.assertEqual(answer["usage"]["completion_tokens"], 3)
        answer = json.loads(server.complete(max_tokens=12, temperature=0)[2])
        self.assertTrue(answer["choices"][0]["text"].startswith(", HERE was"), answer)
        # The same path with other words in it, then one that cannot be used.
        pathlib.Path(template).write_text("Two {{ messages[0].content }}", encoding="utf-8")
        server.reload()
        self.assertEqual(prompt(), "Two day")
        pathlib.Path(template).write_text("{% if", encoding="utf-8")
        status, text = server.admin("POST", "/admin/reload")
        self.assertNotEqual(status, 200, text)
        self.assertEqual(prompt(), "Two day")
        server.configure()
        server.reload()
        self.assertNotEqual(prompt(), "Two day")

    def test_classes(self):
        server = self.serve()
        server.complete()
        share = 'millrace_class_share_ratio{model="m",class="interactive"}'
        self.assertEqual(server.metrics()[share], 0.7)
        server.configure(rest="classes: [{name: interactive, share: 1, queued_requests_max: 1},"
                              " {name: background, share: 3}]\n")
        self.assertEqual(server.reload(), [])
        self.wait_for_metric(server, share, 0.25)
        self.assertIn(server.complete(n=2)[0], (400, 413))
        status, text = server.admin("POST", "/admin/classes",
                                    {"name": "interactive", "share": 9, "queued_requests_max": 64,
                                     "first_token_target": "200ms"})
        self.assertEqual(status, 200, text)
        self.wait_for_metric(server, share, 0.75)
        self.assertEqual(server.complete(n=2)[0], 200)
        listed = json.loads(server.admin("GET", "/admin/classes")[1])["classes"]
        self.assertEqual((listed[0]["name"], listed[0]["share"],
                          listed[0]["first_token_target_seconds"]), ("interactive", 0.75, 0.2))
        self.assertEqual(listed[0]["models"][0]["share_now"], 0.75)
        for body, status in (({"name": "interactive", "share": 0}, 400),
                             ({"name": "interactive", "share": 1, "share_min": 2}, 400),
                             ({"name": "interactive", "nmae": "x"}, 400),
                             ({"name": "interactive", "cache_part_max": 0.5}, 400),
                             ({"name": "interactive"}, 400), ({"name": "none", "share": 1}, 404)):
            self.assertEqual(server.admin("POST", "/admin/classes", body)[0], status, body)
        self.assertEqual(server.admin("POST", "/admin/classes", {"name": "x"}, key=None)[0], 401)
        server.configure(rest="classes: [{name: only}]\n")
        self.assertEqual(server.reload(), ["classes"])
        self.assertEqual(server.complete(priority="background")[0], 200)

    def wait_for_metric(self, server, name, value):
        for _ in range(500):
            found = server.metrics().get(name)
            if found is not None and abs(found - value) < 1e-9:
                return
            time.sleep(0.01)
        raise AssertionError(f"{name} is {found}, not {value}")

    def test_logs_begin_change_and_end(self):
        server = self.serve()
        server.complete()
        server.wait_for_lines(1)
        text = pathlib.Path(server.config).read_text(encoding="utf-8")
        rows = [row for row in text.splitlines() if not row.startswith("access_log")]
        pathlib.Path(server.config).write_text("\n".join(rows + ["log: {format: json}"]) + "\n",
                                               encoding="utf-8")
        self.assertEqual(server.reload(), [])
        self.assertEqual(server.reload(), [])
        server.wait_for('"message":"the configuration was read again"')
        server.complete()
        time.sleep(0.2)
        self.assertEqual(len(server.lines()), 1)
        pathlib.Path(server.config).write_text(
            "\n".join(rows + [f"access_log: {{path: {server.access}.2, fields: [status]}}"]) + "\n",
            encoding="utf-8")
        self.assertEqual(server.reload(), [])
        server.complete()
        server.access += ".2"
        self.assertEqual(server.wait_for_lines(1)[-1], {"status": 200})

    def test_adapters_come_and_go(self):
        server = self.serve()
        plain = json.loads(server.complete(temperature=0, max_tokens=24)[2])["choices"][0]["text"]
        folder = write_adapter(os.path.join(server.folder, "one"), 0.5)
        load = {"name": "one", "path": folder}
        self.assertEqual(server.admin("POST", "/admin/adapters/load", load, key=None)[0], 401)
        self.assertEqual(server.complete(model="one")[0], 404)
        status, text = server.admin("POST", "/admin/adapters/load", load)
        self.assertEqual(status, 200, text)
        answer = json.loads(server.complete(model="one", temperature=0, max_tokens=24)[2])
        self.assertNotEqual(answer["choices"][0]["text"], plain)
        self.assertEqual(answer["model"], "one")
        listed = json.loads(server.admin("GET", "/admin/adapters")[1])["adapters"]
        self.assertEqual([(entry["name"], entry["model"], entry["rank"]) for entry in listed],
                         [("one", "m", 4)])
        for body, status, words in (
                (load, 400, "taken"), ({"name": "m", "path": folder}, 400, "taken"),
                ({"name": "two", "path": "/none"}, 404, "no folder"),
                ({"name": "two", "path": server.folder}, 404, "adapter_config.json"),
                ({"name": "a b", "path": folder}, 400, "printable"),
                ({"name": "two", "path": folder, "model": "other"}, 404, "other"),
                ({"name": "two"}, 400, "path is missing")):
            got, text = server.admin("POST", "/admin/adapters/load", body)
            self.assertEqual(got, status, text)
            self.assertIn(words, text)
        big = write_adapter(os.path.join(server.folder, "big"), 0.1, rank=300)
        got, text = server.admin("POST", "/admin/adapters/load", {"name": "big", "path": big})
        self.assertEqual(got, 400, text)
        self.assertIn("has rank 300, at most 256", text)
        # Unloaded under a request that has it, which goes on.
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        body = {"model": "one", "prompt": "Once", "max_tokens": 400, "stream": True,
                "ignore_eos": True, "n": 8}
        connection.request("POST", "/v1/completions", json.dumps(body))
        stream = connection.getresponse()
        stream.read(10)
        self.assertEqual(server.admin("POST", "/admin/adapters/unload", {"name": "one"})[0], 200)
        self.assertEqual(server.complete(model="one")[0], 404)
        self.assertIn(b"[DONE]", stream.read())
        connection.close()
        self.assertEqual(server.admin("POST", "/admin/adapters/unload", {"name": "one"})[0], 404)
        self.assertEqual(server.admin("POST", "/admin/adapters/unload", {"name": "m"})[0], 404)
        # A reload takes those of the file.
        server.configure(model=f", adapters: [{{name: filed, path: {folder}}}]")
        self.assertEqual(server.reload(), [])
        self.assertEqual(server.complete(model="filed")[0], 200)
        server.configure()
        self.assertEqual(server.reload(), [])
        self.assertEqual(server.complete(model="filed")[0], 404)

    def test_a_load_that_failed_can_be_tried_again(self):
        server = self.serve()
        for path, status in (("/none", 404), (server.folder, 400), (MODEL, 200), (MODEL, 400)):
            got, text = server.admin("POST", "/admin/models/load", {"name": "n", "path": path})
            self.assertEqual(got, status, text)
        self.assertEqual(server.complete(model="n")[0], 200)
        self.assertEqual(server.admin("POST", "/admin/models/unload", {"name": "n"})[0], 200)
        for _ in range(500):
            status, text = server.admin("POST", "/admin/models/load", {"name": "n", "path": MODEL})
            if status == 200:
                break
            time.sleep(0.01)
        self.assertEqual(status, 200, text)
        self.assertEqual(server.complete(model="n")[0], 200)


class Metrics(Case):
    def test_the_page_is_valid_and_whole_under_load(self):
        server = self.serve()
        connections = []
        for i in range(8):
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
            body = {"model": "m", "prompt": "Once upon a time", "max_tokens": 300, "stream": True,
                    "ignore_eos": True, "n": 4, "priority": ("interactive", "background")[i % 2]}
            connection.request("POST", "/v1/completions", json.dumps(body))
            connections.append((connection, connection.getresponse()))
        for connection, answer in connections:
            server.metrics()
            answer.read()
            connection.close()
        server.wait_for_lines(8)
        # An engine shows its numbers at the end of a turn, when clients may have their last tokens.
        running = [f'millrace_requests_running{{model="m",class="{name}"}}'
                   for name in ("interactive", "background")]
        samples = server.metrics()
        end = time.monotonic() + 60
        while any(samples[name] for name in running):
            self.assertLess(time.monotonic(), end)
            samples = server.metrics()
        self.assertEqual(samples["millrace_http_requests_running"], 0)
        for name in ("interactive", "background"):
            of = f'{{model="m",class="{name}"}}'
            self.assertEqual(samples["millrace_generated_tokens_total" + of], 4 * 4 * 300)
            self.assertEqual(samples["millrace_requests_running" + of], 0)
            self.assertEqual(samples["millrace_requests_waiting" + of], 0)
            self.assertEqual(samples["millrace_request_queue_seconds_count" + of], 16)
            self.assertEqual(samples["millrace_token_gap_seconds_count" + of], 16 * 299)
            self.assertGreater(samples["millrace_prefix_cache_asked_tokens_total" + of], 0)
            full = f'{{model="m",class="{name}",variant="base"}}'
            self.assertEqual(samples["millrace_request_first_token_seconds_count" + full], 4)
        steps = samples['millrace_engine_steps_total{model="m"}']
        self.assertGreater(steps, 299)
        self.assertEqual(samples['millrace_engine_step_seconds_count{model="m"}'], steps)
        self.assertEqual(samples['millrace_engine_step_tokens_sum{model="m"}'],
                         samples['millrace_engine_tokens_total{model="m"}'])
        self.assertEqual(samples['millrace_kv_blocks_used{model="m"}'], 0)
        self.assertEqual(samples['millrace_model_state{model="m",state="serving"}'], 1)
        busy = samples['millrace_engine_busy_seconds_total{model="m"}']
        self.assertGreater(samples['millrace_engine_work_seconds_total{model="m"}'], busy)
        self.assertTrue(any(name.startswith("millrace_build_info{version=") for name in samples))

    def test_a_client_that_goes_is_charged_for_what_was_computed(self):
        server = self.serve("{name: one, key: plain-key}")
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        body = {"model": "m", "prompt": "Once upon a time", "max_tokens": 400, "stream": True,
                "ignore_eos": True, "n": 8}
        connection.request("POST", "/v1/completions", json.dumps(body),
                           {"Authorization": "Bearer plain-key"})
        answer = connection.getresponse()
        answer.read(2000)
        answer.close()
        connection.close()
        line = server.wait_for_lines(1)[0]
        self.assertEqual((line["cut_off"], line["finish"]), (True, "cancelled"))
        self.assertGreater(line["output_tokens"], 0)
        charged = check_exposition(server.call("GET", "/metrics", key="plain-key")[2])
        self.assertEqual(charged['millrace_key_tokens_total{key="one"}'],
                         line["output_tokens"] + line["prompt_tokens"])


class Settings(Case):
    """Settings of engine and models do something: each is set, and seen from outside."""

    def configured(self, rest="", model=""):
        server = Server("", rest, model)
        self.addCleanup(lambda: self.assertEqual(server.close(), 0))
        return server

    def flood(self, server, num_requests=12, **fields):
        """So many completions at once; their statuses."""
        statuses = []

        def ask(number):
            prompt = f"{number} " + "Once upon a time there was a cat. " * 12
            statuses.append(server.complete(prompt=prompt, max_tokens=64, ignore_eos=True,
                                            **fields)[0])
        threads = [threading.Thread(target=ask, args=(i,)) for i in range(num_requests)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return statuses

    def most_tokens_in_a_step(self, samples):
        steps = samples['millrace_engine_steps_total{model="m"}']
        return min(float(re.search(r'le="([^"]+)"', key).group(1))
                   for key, value in samples.items()
                   if key.startswith("millrace_engine_step_tokens_bucket") and value == steps)

    def test_steps(self):
        server = self.configured("engine: {step_tokens_max: 32, chunk_tokens_max: 16,"
                                 " sequences_max: 4, prefix_reuse: false}\n")
        self.assertEqual(set(self.flood(server)), {200})
        samples = server.metrics()
        self.assertLessEqual(self.most_tokens_in_a_step(samples), 32)
        self.assertEqual(
            samples['millrace_prefix_cache_asked_tokens_total{model="m",class="interactive"}'], 0)
        wide = self.configured()
        self.assertEqual(set(self.flood(wide)), {200})
        self.assertGreater(self.most_tokens_in_a_step(wide.metrics()), 32)

    def test_queues_and_the_cache(self):
        server = self.configured("engine: {requests_max: 3, sequences_max: 2}\n")
        self.assertEqual(set(self.flood(server)), {200, 429})
        refused = ('millrace_requests_refused_total{model="m",class="interactive",reason="%s"}')
        self.assertGreater(server.metrics()[refused % "engine_full"], 0)
        for limits, reason in (("queued_requests_max: 1", "queued_requests"),
                               ("queued_tokens_max: 100", "queued_tokens")):
            server = self.configured("engine: {sequences_max: 1}\n"
                                     f"classes: [{{name: interactive, {limits}}}]\n")
            self.assertIn(429, self.flood(server))
            self.assertGreater(server.metrics()[refused % reason], 0)
        server = self.configured("classes: [{name: interactive, cache_part_max: 0.02}]\n")
        status, _, text = server.complete(prompt="Once upon a time " * 80)
        self.assertIn(status, (400, 413), text)
        self.assertIn("token", text)

    def test_models(self):
        def facts(model):
            server = self.configured(model=model)
            listed = json.loads(server.call("GET", "/v1/models")[2])["data"][0]
            return listed["max_model_len"], server.metrics()['millrace_model_bytes{model="m"}']

        plain = facts("")
        self.assertEqual(facts(", context: 128")[0], 128)
        self.assertLess(facts(", kv_dtype: int8")[1], plain[1])
        self.assertLess(facts(", weight_format: int8")[1], plain[1])
        self.assertLess(facts(", memory_bytes: 75M")[1], min(plain[1], 75 << 20))

    def test_threads_and_sharing(self):
        def of(rest, model=""):
            server = self.configured(rest, model)
            server.complete()
            maps = pathlib.Path(f"/proc/{server.process.pid}/maps").read_text(encoding="utf-8")
            return len(os.listdir(f"/proc/{server.process.pid}/task")), "memfd" in maps

        plain, is_shared = of("", ", threads: 1")
        self.assertTrue(is_shared)
        more, is_shared = of("threads: {io: 3, host: 4}\nengine: {shared_weights_bytes_max: 0}\n",
                             ", threads: 1")
        self.assertEqual((more - plain, is_shared), (5, False))
        self.assertEqual(of("", ", threads: 3")[0], plain + 2)

    def test_the_controller_moves_shares(self):
        server = self.configured(
            "engine: {sequences_max: 1, share_controller: {enabled: true, interval: 20ms,"
            " step: 0.1}}\nclasses: [{name: a, share: 1, share_max: 0.9, first_token_target: 1ms},"
            " {name: b, share: 1, share_min: 0.1, first_token_target: 1h}]\n")
        threads = [threading.Thread(target=self.flood, args=(server, 6),
                                    kwargs={"priority": name}) for name in "ab"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        samples = server.metrics()
        moves = sum(value for key, value in samples.items()
                    if key.startswith("millrace_share_moves_total"))
        self.assertGreater(moves, 0)
        self.assertTrue([key for key in samples
                         if key.startswith("millrace_share_last_move_ratio{")])
        told = json.loads(server.admin("GET", "/admin/classes")[1])["last_share_moves"]
        self.assertIn("moved", told[0]["decision"])

    def most_shared(self, bounds):
        """The largest part of all that a class gets which is late all the time."""
        server = self.configured(
            "engine: {sequences_max: 1, share_controller: {enabled: true, interval: 20ms,"
            f" step: 0.05}}}}\nclasses: [{{name: a, first_token_target: 1ms, {bounds[0]}}},"
            f" {{name: b, first_token_target: 1h, {bounds[1]}}}]\n")
        threads = [threading.Thread(target=self.flood, args=(server, 10),
                                    kwargs={"priority": name}) for name in "ab"]
        for thread in threads:
            thread.start()
        most = 0
        while any(thread.is_alive() for thread in threads):
            most = max(most, server.metrics()['millrace_class_share_ratio{model="m",class="a"}'])
        for thread in threads:
            thread.join()
        return most

    def test_shares_stay_within_their_bounds(self):
        free = self.most_shared(("share_max: 1", "share_min: 0"))
        self.assertGreater(free, 0.61)
        for bounds in (("share_max: 0.6", "share_min: 0"), ("share_max: 1", "share_min: 0.4")):
            most = self.most_shared(bounds)
            self.assertGreater(most, 0.5)
            self.assertLess(most, 0.601)

    def test_kernels_and_the_device_thread(self):
        known = re.search(r"kernels: (.*)", millrace("--version")[1]).group(1)
        best = re.match(r"\w+", known).group(0)

        def of(rest):
            server = self.configured(rest)
            status, _, text = server.complete(temperature=0, max_tokens=16)
            self.assertEqual(status, 200, text)
            info = next(key for key in server.metrics() if key.startswith("millrace_build_info"))
            return (json.loads(text)["choices"][0]["text"],
                    re.search(r'cpu_isa="(\w+)"', info).group(1),
                    len(os.listdir(f"/proc/{server.process.pid}/task")))
        plain = of("")
        self.assertEqual(plain[1], best)
        scalar = of("engine: {cpu_isa: scalar}\n")
        self.assertEqual(scalar, (plain[0], "scalar", plain[2]))
        # Steps have a thread of their own, besides the one that plans.
        self.assertEqual(of("engine: {overlap: true}\n"), (plain[0], best, plain[2] + 1))
        path = os.path.join(tempfile.mkdtemp(), "c.yaml")
        self.addCleanup(shutil.rmtree, os.path.dirname(path))
        pathlib.Path(path).write_text("listen: {port: 0}\nengine: {cpu_isa: mips}\n"
                                      f"models: [{{name: m, path: {MODEL}}}]\n", encoding="utf-8")
        code, _, error = millrace("serve", path)
        self.assertNotEqual(code, 0)
        self.assertIn("mips cannot run here; this machine runs", error)

    def test_prompts_are_cut_for_those_that_decode(self):
        def large_steps(target):
            server = self.configured(f"classes: [{{name: interactive{target}}}]\n")
            body = {"model": "m", "prompt": "Once", "max_tokens": 450, "ignore_eos": True,
                    "stream": True}
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
            connection.request("POST", "/v1/completions", json.dumps(body))
            answer = connection.getresponse()
            for _ in range(60):  # Frames, until the pace of steps is known.
                answer.readline()
            prompt = "Once upon a time there was a cat. " * 24
            for i in range(4):
                self.assertEqual(server.complete(prompt=f"{i} {prompt}", max_tokens=1)[0], 200)
            connection.close()
            samples = server.metrics()
            bound = 'millrace_engine_step_tokens_bucket{model="m",le="128"}'
            return samples['millrace_engine_steps_total{model="m"}'] - samples[bound]

        # The stream may be over before the last prompt comes.
        self.assertLess(2 * large_steps(", token_target: 1ms"), large_steps(""))

    def test_who_would_wait_too_long_is_told_at_once(self):
        server = self.configured("engine: {sequences_max: 1}\n"
                                 "classes: [{name: interactive, queue_wait_max: 1ms}]\n")
        refused = 'millrace_requests_refused_total{model="m",class="interactive",reason="wait"}'
        for _ in range(5):  # Until the pace is known.
            self.assertIn(200, self.flood(server))
            if server.metrics()[refused] > 0:
                break
        self.assertGreater(server.metrics()[refused], 0)

    def test_what_a_class_cached_stays_longer(self):
        def cached(priority):
            server = self.configured(
                "engine: {sequences_max: 1}\n"
                f"classes: [{{name: a, cache_priority: {priority}}}, {{name: b}}]\n")
            prompt = "The old king had a secret garden. " * 12

            def ask():
                status, _, text = server.complete(prompt=prompt, priority="a", max_tokens=1)
                self.assertEqual(status, 200, text)
                return json.loads(text)["usage"]["prompt_tokens_details"]["cached_tokens"]
            self.assertEqual(ask(), 0)
            self.assertGreater(ask(), 0)
            num_blocks = server.metrics()['millrace_kv_blocks{model="m"}']
            for i in range(int(num_blocks) // 6 + 4):  # Ten blocks and more each.
                self.assertEqual(server.complete(prompt=f"{i} " + "A dog ran to the sea. " * 24,
                                                 priority="b", max_tokens=1)[0], 200)
            return ask()
        self.assertEqual(cached(0), 0)
        self.assertGreater(cached(1), 0)

    def test_where_the_metrics_are(self):
        self.assertEqual(self.configured("metrics: {listener: off}\n").call("GET", "/metrics")[0],
                         404)
        server = self.configured("metrics: {listener: admin}\n")
        self.assertEqual(server.call("GET", "/metrics")[0], 404)
        check_exposition(server.admin("GET", "/metrics")[1])

    def test_a_key_may_name_an_adapter(self):
        folder = write_adapter(os.path.join(tempfile.mkdtemp(), "a"), 0.1)
        self.addCleanup(shutil.rmtree, os.path.dirname(folder))
        server = self.configured(model=f", adapters: [{{name: pirate, path: {folder}}}]")
        server.configure("{name: one, key: first-key, models: [pirate]}", "",
                         f", adapters: [{{name: pirate, path: {folder}}}]")
        server.reload()
        self.assertEqual(server.complete("first-key", model="pirate")[0], 200)
        self.assertEqual(server.complete("first-key", model="m")[0], 403)


class Configuration(unittest.TestCase):
    def test_a_file_is_checked_and_printed(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "c.yaml")
            pathlib.Path(path).write_text(f"models: [{{path: {MODEL}}}]\nlimits:\n  bodi: 1\n",
                                          encoding="utf-8")
            code, _, err = millrace("serve", path, "--check")
            self.assertEqual(code, 2, err)
            self.assertIn(f"{path}:3: limits.bodi is unknown", err)
            pathlib.Path(path).write_text(f"models: [{{path: {MODEL}}}]\n", encoding="utf-8")
            code, out, err = millrace("serve", path, "--print-config", "--port", "81")
            self.assertEqual(code, 0, err)
            self.assertRegex(out, r"port: 81 +# --port")
            printed = os.path.join(folder, "printed.yaml")
            pathlib.Path(printed).write_text(out, encoding="utf-8")
            self.assertEqual(millrace("serve", printed, "--check")[0], 0)
            pathlib.Path(path).write_text("models: [{path: none}]\n", encoding="utf-8")
            self.assertEqual(millrace("serve", path, "--check")[0], 3)

    def test_profiles_are_printed(self):
        for profile, sequences in (("realtime", 16), ("batch", 128)):
            out = millrace("serve", "--print-config", "--profile", profile)[1]
            self.assertRegex(out, rf"sequences_max: {sequences} +# profile")


class Hub(http.server.ThreadingHTTPServer):
    """A mirror with one model on loopback, which a test may make fail, lie, cut off or redirect."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), HubHandler)
        self.files = {path.name: path.read_bytes() for path in pathlib.Path(MODEL).iterdir()}
        self.status = 200          # of the listing
        self.elsewhere = None      # the URL that files are redirected to
        self.cut_after = None      # bytes of the weights, once
        self.is_lying = False      # about what is in the weights
        self.requests = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def listing(self):
        siblings = [{"rfilename": name, "size": len(data),
                     "lfs": {"sha256": hashlib.sha256(data).hexdigest()}}
                    for name, data in self.files.items()]
        return json.dumps({"sha": "a" * 40, "siblings": siblings}).encode()


class HubHandler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        hub, path = self.server, self.path.split("?")[0]
        hub.requests.append((path, dict(self.headers)))
        if path.startswith("/api/models/t/stories/revision/"):
            if hub.status != 200:
                return self.answer(hub.status, b"", {"Retry-After": "0"})
            return self.answer(200, hub.listing())
        name = path.rsplit("/", 1)[1]
        if not path.startswith("/t/stories/resolve/") or name not in hub.files:
            return self.answer(404, b"")
        if hub.elsewhere:
            return self.answer(302, b"", {"Location": hub.elsewhere + path})
        return self.answer_file(name, hub.files[name])

    def answer_file(self, name, data):
        if name == "model.safetensors" and self.server.is_lying:
            data = data[:-1] + bytes([data[-1] ^ 1])
        begin = int((re.match(r"bytes=(\d+)-", self.headers.get("Range", "")) or [0, 0])[1])
        headers = {"Content-Range": f"bytes {begin}-{len(data) - 1}/{len(data)}"} if begin else {}
        cut_after, self.server.cut_after = self.server.cut_after, None
        if name != "model.safetensors" or cut_after is None:
            self.server.cut_after = cut_after
            return self.answer(206 if begin else 200, data[begin:], headers)
        self.answer(200, data, headers, cut_after)
        self.close_connection = True
        return None

    def answer(self, status, body, headers=None, cut_after=None):
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:cut_after])

    def log_message(self, *_):
        pass


class Models(unittest.TestCase):
    TOKEN = "hf_never-to-be-seen"

    def setUp(self):
        self.hub = self.make_hub()
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)
        self.variables = {"HF_ENDPOINT": self.hub.url, "MILLRACE_CACHE": self.folder,
                          "HF_TOKEN": self.TOKEN}

    def make_hub(self):
        hub = Hub()
        self.addCleanup(hub.server_close)
        self.addCleanup(hub.shutdown)
        return hub

    def run_millrace(self, *arguments, **variables):
        code, out, err = millrace(*arguments, **{**self.variables, **variables})
        self.assertNotIn(self.TOKEN, out + err)
        return code, out, err

    def test_a_model_is_pulled_used_listed_and_removed(self):
        code, out, err = self.run_millrace("models", "pull", "hf://t/stories")
        self.assertEqual(code, 0, err)
        self.assertTrue(os.path.exists(out.strip() + "/model.safetensors"))
        got = self.run_millrace("run", "--model", "hf://t/stories", "Once upon a time",
                                "--temperature", "0", "--max-tokens", "12")[1]
        self.assertTrue(got.startswith(", there was a little girl named Lily."), got)
        listed = json.loads(self.run_millrace("models", "list", "--json")[1])["models"]
        self.assertEqual([entry["model"] for entry in listed], ["hf://t/stories"])
        self.assertEqual(self.run_millrace("inspect", "hf://t/stories", HF_HUB_OFFLINE="1")[0], 0)
        self.assertEqual(self.run_millrace("models", "remove", "hf://t/stories")[0], 0)
        self.assertEqual(self.run_millrace("models", "remove", "hf://t/stories")[0], 3)
        self.assertEqual(self.run_millrace("inspect", "hf://t/none")[0], 3)

    def serve(self):
        process = subprocess.Popen([PROGRAM, "serve", "hf://t/stories", "--port", "0"],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                   env={**os.environ, **self.variables})
        line = process.stdout.readline()
        found = re.search(r"serving stories at http://127\.0\.0\.1:(\d+)", line)
        if found:
            connection = http.client.HTTPConnection("127.0.0.1", int(found.group(1)), timeout=60)
            connection.request("POST", "/v1/completions", json.dumps(
                {"prompt": "Once upon a time", "max_tokens": 8, "temperature": 0}))
            text = json.loads(connection.getresponse().read())["choices"][0]["text"]
            connection.close()
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
        self.assertIsNotNone(found, line + err)
        self.assertEqual(process.returncode, 0, err)
        self.assertNotIn(self.TOKEN, line + err)
        return text, err

    def test_serve_starts_cold_and_again_without_a_hub(self):
        text, _ = self.serve()
        self.assertTrue(text.startswith(", there was a little girl"), text)
        num_requests = len(self.hub.requests)
        again, _ = self.serve()
        self.assertEqual(again, text)
        # The second start asks what the revision is now, and downloads nothing.
        self.assertEqual(len(self.hub.requests), num_requests + 1)
        self.hub.status = 500
        offline, err = self.serve()
        self.assertEqual(offline, text)
        self.assertIn("the hub cannot be reached", err)

    def test_what_a_hub_refuses_is_said_plainly(self):
        for status, words in ((401, "the token in HF_TOKEN is not accepted"),
                              (403, "its terms must be accepted"), (404, "answers 404"),
                              (429, "too many requests")):
            self.hub.status = status
            code, _, err = self.run_millrace("serve", "hf://t/stories", "--port", "0")
            self.assertNotEqual(code, 0)
            self.assertIn(words, err)
        self.hub.status = 401
        self.assertIn("expected a token in HF_TOKEN",
                      self.run_millrace("models", "pull", "hf://t/stories", HF_TOKEN="")[2])

    def test_what_breaks_off_goes_on_and_what_lies_is_not_taken(self):
        self.hub.cut_after = 100000
        code, _, err = self.run_millrace("models", "pull", "hf://t/stories")
        self.assertEqual(code, 0, err)
        ranges = [headers["Range"] for _, headers in self.hub.requests if "Range" in headers]
        self.assertEqual(ranges, ["bytes=100000-"])
        self.assertEqual(self.run_millrace("models", "remove", "hf://t/stories")[0], 0)
        self.hub.is_lying = True
        code, _, err = self.run_millrace("models", "pull", "hf://t/stories")
        self.assertNotEqual(code, 0)
        self.assertIn("model.safetensors has another content than sha256:", err)
        code, _, err = self.run_millrace("inspect", "hf://t/stories", HF_HUB_OFFLINE="1")
        self.assertEqual(code, 3, err)

    def test_the_token_goes_to_the_hub_alone(self):
        store = self.make_hub()
        self.hub.elsewhere = store.url
        code, _, err = self.run_millrace("models", "pull", "hf://t/stories")
        self.assertEqual(code, 0, err)
        for _, headers in self.hub.requests:
            self.assertEqual(headers.get("Authorization"), "Bearer " + self.TOKEN)
        self.assertTrue(store.requests)
        for _, headers in store.requests:
            self.assertNotIn(self.TOKEN, json.dumps(headers))
        for path in pathlib.Path(self.folder).rglob("*"):
            if path.is_file():
                self.assertNotIn(self.TOKEN.encode(), path.read_bytes())

    def test_a_download_is_stopped_by_a_signal_and_goes_on(self):
        stuck = socket.create_server(("127.0.0.1", 0))  # Takes connections and says nothing.
        self.addCleanup(stuck.close)
        self.hub.elsewhere = f"http://127.0.0.1:{stuck.getsockname()[1]}"
        process = subprocess.Popen([PROGRAM, "serve", "hf://t/stories", "--port", "0"],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                   env={**os.environ, **self.variables})
        while not any("/resolve/" in path for path, _ in self.hub.requests):
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(timeout=20), -signal.SIGINT)
        self.hub.elsewhere = None
        self.assertEqual(self.run_millrace("models", "pull", "hf://t/stories")[0], 0)


class FirstRun(unittest.TestCase):
    """What somebody sees who has only the program."""

    def start(self, *arguments, home=None):
        variables = {"PATH": os.environ.get("PATH", ""), **({"HOME": home} if home else {})}
        process = subprocess.Popen([PROGRAM, "serve", *arguments], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, env=variables)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process, process.stdout.readline()

    def test_an_empty_home_and_no_arguments_but_a_port(self):
        with tempfile.TemporaryDirectory() as home:
            process, line = self.start(MODEL, "--port", "0", home=home)
            self.assertIn("serving stories260k at http://127.0.0.1:", line)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=60)
            self.assertEqual(process.returncode, 0, err)
            self.assertEqual(os.listdir(home), [])

    def test_two_servers_on_one_port(self):
        _, line = self.start(MODEL, "--port", "0")
        port = re.search(r":(\d+)\s*$", line).group(1)
        code, _, err = millrace("serve", MODEL, "--port", port)
        self.assertNotEqual(code, 0)
        self.assertIn(f"cannot listen on 127.0.0.1 port {port}: Address already in use", err)

    def test_ipv6(self):
        if not socket.has_ipv6 or not os.path.exists("/proc/net/if_inet6"):
            self.skipTest("there is no IPv6 here")
        process, line = self.start(MODEL, "--port", "0", "--host", "::1")
        found = re.search(r"http://\[::1\]:(\d+)", line)
        self.assertIsNotNone(found, line)
        connection = http.client.HTTPConnection("::1", int(found.group(1)), timeout=60)
        connection.request("GET", "/health/ready")
        self.assertEqual(connection.getresponse().status, 200)
        connection.close()
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(timeout=60), 0)

    def test_what_is_wrong_is_said_in_a_sentence(self):
        with tempfile.TemporaryDirectory() as folder:
            config = pathlib.Path(folder, "c.yaml")
            rows = [(f"models: [{{path: {folder}/none}}]\n", 3, "none"),
                    ("models: [\n", 2, "c.yaml:2:"),
                    ("limits: {choices_max: {}}\n", 2, "c.yaml:1: limits.choices_max has keys"),
                    ("modles: []\n", 2, "c.yaml:1: modles is unknown, did you mean models?"),
                    (f"models: [{{path: {MODEL}, context: x}}]\n", 2, "models.0.context"),
                    (f"models: [{{path: {MODEL}}}]\nadmin: {{port: 1}}\n", 2, "admin.key"),
                    (f"models: [{{path: {MODEL}, chat_template: none}}]\n", 3, "none"),
                    ("listen: {address: not.an.address.invalid}\n"
                     f"models: [{{path: {MODEL}}}]\n", 1, "cannot listen on")]
            for text, code, words in rows:
                config.write_text(text, encoding="utf-8")
                got, out, err = millrace("serve", config)
                self.assertEqual(got, code, err)
                self.assertIn(words, err)
                self.assertEqual(len(err.strip().splitlines()), 1, err)
                self.assertEqual(out, "")
            if os.geteuid() != 0:
                config.chmod(0)
                self.assertIn("c.yaml", millrace("serve", config)[2])
            self.assertIn("none.yaml", millrace("serve", folder + "/none.yaml")[2])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
