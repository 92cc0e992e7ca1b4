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


class Server:
    """A server on ports of the kernel's choice, with a configuration that tests may change."""

    def __init__(self, keys=""):
        self.folder = tempfile.mkdtemp()
        self.config = os.path.join(self.folder, "config.yaml")
        self.access = os.path.join(self.folder, "access.log")
        self.log = open(os.path.join(self.folder, "log"), "w+", encoding="utf-8")
        self.configure(keys)
        self.process = subprocess.Popen([PROGRAM, "serve", self.config], stdout=subprocess.PIPE,
                                        stderr=self.log, text=True)
        line = self.process.stdout.readline()
        self.port = int(re.search(r":(\d+)\s*$", line).group(1))
        self.admin_port = int(re.search(r"admin.*:(\d+)", self.wait_for("admin listener")).group(1))

    def configure(self, keys, rest=""):
        pathlib.Path(self.config).write_text(
            "listen: {port: 0}\n"
            f"admin: {{port: 0, key: {ADMIN}}}\n"
            f"models: [{{name: m, path: {MODEL}}}]\n"
            f"access_log: {{path: {self.access}}}\n"
            f"api_keys: [{keys}]\n" + rest, encoding="utf-8")

    def wait_for(self, text):
        path = os.path.join(self.folder, "log")
        for _ in range(1000):
            found = pathlib.Path(path).read_text(encoding="utf-8")
            if text in found:
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


class Operate(unittest.TestCase):
    def serve(self, keys=""):
        server = Server(keys)
        self.addCleanup(lambda: self.assertEqual(server.close(), 0))
        return server

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
        server.configure("{name: one, key: second-key}", "limits: {choices_max: 3}\n")
        server.process.send_signal(signal.SIGHUP)
        self.assertIn("limits.choices_max", server.wait_for("takes effect at the next start"))
        self.assertEqual(server.complete("first-key")[0], 401)
        self.assertEqual(server.complete("second-key")[0], 200)
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


class Hub(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        files = {path.name: path for path in pathlib.Path(MODEL).iterdir()}
        path = self.path.split("?")[0]
        if path == "/api/models/t/stories/revision/main":
            siblings = [{"rfilename": name, "size": file.stat().st_size,
                         "lfs": {"sha256": hashlib.sha256(file.read_bytes()).hexdigest()}}
                        for name, file in files.items()]
            body = json.dumps({"sha": "a" * 40, "siblings": siblings}).encode()
        elif path.startswith("/t/stories/resolve/") and path.rsplit("/", 1)[1] in files:
            body = files[path.rsplit("/", 1)[1]].read_bytes()
        else:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Models(unittest.TestCase):
    def test_a_model_is_pulled_used_listed_and_removed(self):
        hub = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
        threading.Thread(target=hub.serve_forever, daemon=True).start()
        self.addCleanup(hub.server_close)
        self.addCleanup(hub.shutdown)
        with tempfile.TemporaryDirectory() as folder:
            variables = {"HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}",
                         "MILLRACE_CACHE": folder}
            code, out, err = millrace("models", "pull", "hf://t/stories", **variables)
            self.assertEqual(code, 0, err)
            self.assertTrue(os.path.exists(out.strip() + "/model.safetensors"))
            got = millrace("run", "--model", "hf://t/stories", "Once upon a time", "--temperature",
                           "0", "--max-tokens", "12", **variables)[1]
            self.assertTrue(got.startswith(", there was a little girl named Lily."), got)
            listed = json.loads(millrace("models", "list", "--json", **variables)[1])["models"]
            self.assertEqual([entry["model"] for entry in listed], ["hf://t/stories"])
            self.assertEqual(millrace("inspect", "hf://t/stories", HF_HUB_OFFLINE="1",
                                      **variables)[0], 0)
            self.assertEqual(millrace("models", "remove", "hf://t/stories", **variables)[0], 0)
            self.assertEqual(millrace("models", "remove", "hf://t/stories", **variables)[0], 3)
            self.assertEqual(millrace("inspect", "hf://t/none", **variables)[0], 3)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
