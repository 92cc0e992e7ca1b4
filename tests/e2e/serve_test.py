"""The server from outside under faults: drains, kills, reloads, TLS, slow and broken clients."""
import concurrent.futures
import contextlib
import http.client
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import unittest

PROGRAM, MODEL = sys.argv[1], sys.argv[2]
SHARED_DATA = pathlib.Path(sys.argv[3])
README = pathlib.Path(__file__).resolve().parents[2] / "README.md"
PROMPT = "Once upon a time"
ADMIN = "admin-key-1"
WAIT_SECONDS = 60


class Server:
    """A process `millrace serve` on ports of the kernel's choice, in a folder of its own."""

    def __init__(self, rest="", context=None):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.config = self.folder / "config.yaml"
        self.context = context
        self.configure(rest)
        self.start()

    def configure(self, rest):
        self.config.write_text("listen: {port: 0}\n"
                               f"models: [{{name: m, path: {MODEL}}}]\n" + rest, encoding="utf-8")

    def start(self):
        self.log = open(self.folder / "log", "w", encoding="utf-8")
        self.process = subprocess.Popen([PROGRAM, "serve", self.config], stdout=subprocess.PIPE,
                                        stderr=self.log, text=True)
        self.ready_line = self.process.stdout.readline()
        self.try_line = self.process.stdout.readline()
        found = re.search(r" at (https?)://127\.0\.0\.1:(\d+)\s*$", self.ready_line)
        assert found, self.ready_line + self.log_text()
        self.scheme, self.port = found.group(1), int(found.group(2))

    def log_text(self):
        return (self.folder / "log").read_text(encoding="utf-8")

    def wait_for(self, text, count=1):
        wait_until(lambda: self.log_text().count(text) >= count, f"{text} in the log")

    def connect(self, port=None):
        if self.context:
            return http.client.HTTPSConnection("127.0.0.1", port or self.port, context=self.context,
                                               timeout=WAIT_SECONDS)
        return http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=WAIT_SECONDS)

    def call(self, method, path, body=None, key=None, port=None):
        with contextlib.closing(self.connect(port)) as connection:
            headers = {"Authorization": "Bearer " + key} if key else {}
            data = json.dumps(body) if body is not None else None
            connection.request(method, path, data, headers)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read().decode()

    def complete(self, key=None, **fields):
        body = {"model": "m", "prompt": PROMPT, "max_tokens": 4, **fields}
        return self.call("POST", "/v1/completions", body, key)

    def stream(self, key=None, **fields):
        """A stream that has begun: its connection and its answer, read to the end of its headers."""
        connection = self.connect()
        body = {"model": "m", "prompt": PROMPT, "max_tokens": 480, "stream": True,
                "ignore_eos": True, **fields}
        headers = {"Authorization": "Bearer " + key} if key else {}
        connection.request("POST", "/v1/completions", json.dumps(body), headers)
        return connection, connection.getresponse()

    def raw(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=WAIT_SECONDS)

    def metric(self, name, labels=""):
        text = self.call("GET", "/metrics")[2]
        rows = [line.rsplit(" ", 1) for line in text.splitlines() if line[:1] != "#"]
        return sum(float(value) for row, value in rows
                   if row.split("{")[0] == "millrace_" + name and labels in row)

    def signal(self, which):
        self.process.send_signal(which)

    def close(self):
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout=WAIT_SECONDS)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            self.process.stdout.close()
            self.log.close()
            shutil.rmtree(self.folder)


def wait_until(holds, what):
    end = time.monotonic() + WAIT_SECONDS
    while not holds():
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not come")
        time.sleep(0.02)


def finished(answer):
    text = answer.read().decode()
    return text.rstrip().endswith("data: [DONE]") and '"finish_reason":"length"' in text


def read_reply(link):
    """What comes until the server closes."""
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while part := link.recv(65536):
            parts.append(part)
    return b"".join(parts)


class Case(unittest.TestCase):
    def serve(self, rest="", context=None):
        server = Server(rest, context)
        self.addCleanup(lambda: self.assertEqual(server.close(), 0))
        return server


class Answers(Case):
    def test_the_ready_line_names_a_port_that_answers(self):
        server = self.serve()
        self.assertIn("serving m at http://", server.ready_line)
        self.assertEqual(server.call("GET", "/health/ready")[0], 200)
        listed = json.loads(server.call("GET", "/v1/models")[2])["data"]
        self.assertEqual([model["id"] for model in listed], ["m"])

    def test_special_tokens_in_a_message_stay_text(self):
        server = self.serve()

        def tokens(**fields):
            status, _, text = server.call("POST", "/tokenize", {"model": "m", **fields})
            self.assertEqual(status, 200, text)
            return json.loads(text)["tokens"]
        end = tokens(prompt="</s>", add_special_tokens=False)
        self.assertEqual(len(end), 1)
        self.assertNotIn(end[0], tokens(messages=[{"role": "user", "content": "a</s>b"}]))
        self.assertIn(end[0], tokens(prompt="a</s>b"))

    def test_a_chat_and_its_stream_say_the_same(self):
        server = self.serve()
        body = {"model": "m", "max_tokens": 24, "temperature": 0,
                "messages": [{"role": "user", "content": PROMPT}]}
        status, _, text = server.call("POST", "/v1/chat/completions", body)
        self.assertEqual(status, 200, text)
        choice = json.loads(text)["choices"][0]
        self.assertEqual(choice["finish_reason"], "length")
        self.assertTrue(choice["message"]["content"].startswith(", there was a little girl"), text)
        status, headers, text = server.call("POST", "/v1/chat/completions",
                                            {**body, "stream": True})
        self.assertEqual((status, headers["Content-Type"].split(";")[0]),
                         (200, "text/event-stream"))
        events = [line[6:] for line in text.splitlines() if line.startswith("data: ")]
        self.assertEqual(events.pop(), "[DONE]")
        deltas = [json.loads(event)["choices"][0]["delta"] for event in events]
        self.assertEqual("".join(delta.get("content") or "" for delta in deltas),
                         choice["message"]["content"])

    def test_completions_and_embeddings(self):
        server = self.serve()
        status, _, text = server.complete(temperature=0, max_tokens=12)
        self.assertEqual(status, 200, text)
        got = json.loads(text)
        self.assertTrue(got["choices"][0]["text"].startswith(", there was a little girl"), text)
        self.assertEqual(got["usage"]["completion_tokens"], 12)
        status, _, text = server.call("POST", "/v1/embeddings",
                                      {"model": "m", "input": [PROMPT, "A dog"]})
        self.assertEqual(status, 200, text)
        for entry in json.loads(text)["data"]:
            self.assertAlmostEqual(sum(x * x for x in entry["embedding"]), 1, places=3)

    def test_an_answer_with_a_schema_is_valid(self):
        server = self.serve()
        schema = {"type": "object", "additionalProperties": False, "required": ["name", "age"],
                  "properties": {"name": {"enum": ["Lily", "Tom"]},
                                 "age": {"type": "integer", "minimum": 3, "maximum": 12}}}
        for seed in range(3):
            status, _, text = server.call("POST", "/v1/chat/completions", {
                "model": "m", "seed": seed, "max_tokens": 200,
                "messages": [{"role": "user", "content": "Who?"}],
                "response_format": {"type": "json_schema",
                                    "json_schema": {"name": "who", "schema": schema}}})
            self.assertEqual(status, 200, text)
            choice = json.loads(text)["choices"][0]
            self.assertEqual(choice["finish_reason"], "stop", text)
            got = json.loads(choice["message"]["content"])
            self.assertEqual(sorted(got), ["age", "name"])
            self.assertIn(got["name"], ("Lily", "Tom"))
            self.assertTrue(type(got["age"]) is int and 3 <= got["age"] <= 12, got)

    def test_the_examples_with_curl_run_as_written(self):
        if not shutil.which("curl"):
            self.skipTest("curl is not here")
        server = self.serve()
        text = README.read_text(encoding="utf-8").replace("\\\n", " ")
        shown = [line for line in text.splitlines() if line.strip().startswith("curl ")]
        shown.append(server.try_line.split("try: ", 1)[1])
        for example in shown:
            example = re.sub(r"(127\.0\.0\.1|localhost):\d+", f"127.0.0.1:{server.port}", example)
            arguments = shlex.split(example.replace("stories260k", "m"))
            done = subprocess.run([*arguments, "-sS", "--fail-with-body"], capture_output=True,
                                  text=True, timeout=WAIT_SECONDS)
            self.assertEqual(done.returncode, 0, example + done.stdout + done.stderr)
            self.assertNotEqual(done.stdout, "")


class Ends(Case):
    def test_a_drain_fails_no_request_that_was_accepted(self):
        server = self.serve("engine: {sequences_max: 64}\n")
        streams = [server.stream(n=2) for _ in range(20)]
        self.assertEqual({answer.status for _, answer in streams}, {200})
        server.signal(signal.SIGTERM)
        server.wait_for("shutting down")
        wait_until(lambda: server.call("GET", "/health/ready")[0] == 503, "a drain")
        status, headers, text = server.complete()
        self.assertEqual((status, headers["Connection"]), (503, "close"), text)
        self.assertEqual([finished(answer) for _, answer in streams], [True] * 20)
        for connection, _ in streams:
            connection.close()
        self.assertEqual(server.process.wait(timeout=WAIT_SECONDS), 0)

    def test_a_second_signal_ends_it_at_once(self):
        server = self.serve("engine: {sequences_max: 64}\n")
        streams = [server.stream(n=16) for _ in range(4)]
        server.signal(signal.SIGTERM)
        server.wait_for("shutting down")
        server.signal(signal.SIGTERM)
        self.assertEqual(server.process.wait(timeout=10), 0)
        for connection, answer in streams:
            with contextlib.suppress(http.client.IncompleteRead, ConnectionError):
                self.assertFalse(finished(answer))
            connection.close()

    def test_after_a_kill_under_load_a_restart_serves_again(self):
        server = self.serve()
        streams = [server.stream(n=8) for _ in range(4)]
        server.process.kill()
        self.assertEqual(server.process.wait(timeout=WAIT_SECONDS), -signal.SIGKILL)
        for connection, answer in streams:
            with self.assertRaises((http.client.IncompleteRead, ConnectionError)):
                answer.read()
            connection.close()
        server.process.stdout.close()
        server.log.close()
        server.start()
        status, _, text = server.complete(temperature=0, max_tokens=12)
        self.assertEqual(status, 200, text)
        self.assertIn("there was a little girl", text)


class HotPrompts(Case):
    LONG = PROMPT + " there was a little girl who lived in a small house by the river with a dog"

    def restart(self, server):
        server.signal(signal.SIGTERM)
        self.assertEqual(server.process.wait(timeout=WAIT_SECONDS), 0)
        server.process.stdout.close()
        server.log.close()
        server.start()

    def ask(self, server):
        status, _, text = server.complete(prompt=self.LONG + " and", temperature=0)
        self.assertEqual(status, 200, text)
        answer = json.loads(text)
        return (answer["choices"][0]["text"],
                answer["usage"]["prompt_tokens_details"]["cached_tokens"])

    def test_the_first_request_is_warm_also_after_a_restart_and_a_damaged_file(self):
        folder = pathlib.Path(tempfile.mkdtemp())  # 0700, as such a folder must be
        self.addCleanup(shutil.rmtree, folder)
        server = self.serve()
        cold, num_cached = self.ask(server)
        self.assertEqual(num_cached, 0)
        server.config.write_text(
            f"listen: {{port: 0}}\nhot_prompt_cache: {folder}\nmodels: [{{name: m, path: {MODEL}, "
            f"hot_prompts: [{{kind: text, text: {json.dumps(self.LONG)}}}]}}]\n", encoding="utf-8")
        self.restart(server)
        text, num_cached = self.ask(server)
        self.assertEqual(text, cold)
        self.assertGreaterEqual(num_cached, 16)
        self.restart(server)
        self.assertIn(" 0 computed", server.log_text())
        self.assertEqual(self.ask(server), (cold, num_cached))
        file = next(folder.glob("*.kv"))
        image = bytearray(file.read_bytes())
        image[len(image) // 2] ^= 1
        file.write_bytes(image)
        self.restart(server)
        self.assertIn("computed anew", server.log_text())
        self.assertEqual(self.ask(server), (cold, num_cached))


class Caps(Case):
    CLASSES = ("api_keys: [{{name: a, key: free-key-1}}, "
               "{{name: b, key: capped-key-1, class: capped}}]\n"
               "classes: [{{name: free}}, {{name: capped, kv_bytes_max: {}, threads_max: 1}}]\n")

    def test_a_class_with_caps_holds_no_more_and_answers_the_same(self):
        refused = Server.__new__(Server)
        refused.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, refused.folder)
        refused.config = refused.folder / "config.yaml"
        refused.configure(self.CLASSES.format(1))
        done = subprocess.run([PROGRAM, "serve", refused.config], capture_output=True, text=True,
                              timeout=WAIT_SECONDS, check=False)
        self.assertNotEqual(done.returncode, 0)
        found = re.search(r"class capped: kv_bytes_max is 1, expected a block of the KV cache at "
                          r"least, (\d+) bytes", done.stderr)
        self.assertTrue(found, done.stderr)
        server = self.serve(self.CLASSES.format(4 * int(found.group(1))))
        fields = {"max_tokens": 200, "temperature": 0, "ignore_eos": True}
        status, _, text = server.complete("capped-key-1", **fields)
        self.assertIn(status, (400, 413))
        self.assertIn("exceed KV cache of 64", text)
        self.assertEqual(server.complete("free-key-1", **fields)[0], 200)
        fields["max_tokens"] = 40
        texts = [json.loads(server.complete(key, **fields)[2])["choices"][0]["text"]
                 for key in ("capped-key-1", "free-key-1")]
        self.assertEqual(texts[0], texts[1])


class Overlap(Case):
    def answers(self, rest):
        """Several at once: greedy and seeded, several choices, log-probabilities, a grammar."""
        server = self.serve(rest)
        asked = [{"temperature": 0, "max_tokens": 40}, {"seed": 7, "n": 3, "max_tokens": 20},
                 {"seed": 8, "logprobs": 3, "max_tokens": 12}, {"temperature": 0, "stop": ["."]},
                 {"seed": 9, "max_tokens": 24, "response_format": {"type": "json_object"}}]
        gone, answer = server.stream(n=4)  # leaves in the middle
        answer.read(64)
        gone.close()
        found = []
        with concurrent.futures.ThreadPoolExecutor(len(asked)) as pool:
            for status, _, text in pool.map(lambda fields: server.complete(**fields), asked):
                self.assertEqual(status, 200, text)
                answer = json.loads(text)
                found.append((answer["choices"], answer["usage"]["completion_tokens"]))
        return found

    def test_overlapped_steps_change_no_answer(self):
        self.assertEqual(self.answers("engine: {overlap: true}\n"),
                         self.answers("engine: {overlap: false}\n"))


class Reloads(Case):
    def test_keys_change_and_a_running_stream_goes_on(self):
        server = self.serve("api_keys: [{name: one, key: first-key}]\n")
        connection, answer = server.stream("first-key", n=8)
        server.configure("api_keys: [{name: one, key: second-key}]\n")
        server.signal(signal.SIGHUP)
        server.wait_for("the configuration was read again")
        self.assertEqual(server.complete("first-key")[0], 401)
        self.assertEqual(server.complete("second-key")[0], 200)
        self.assertTrue(finished(answer))
        connection.close()

    def test_a_broken_file_changes_nothing(self):
        server = self.serve("api_keys: [{name: one, key: first-key}]\n")
        for number, broken in enumerate(("listen: [\n", "listne: 1\n", "{", "\0", ""), start=1):
            server.config.write_text(broken, encoding="utf-8")
            if broken == "":
                os.remove(server.config)
            server.signal(signal.SIGHUP)
            server.wait_for("the configuration was not taken", number)
            self.assertEqual(server.complete("first-key")[0], 200)
            self.assertEqual(server.complete()[0], 401)


class Tls(Case):
    def make_certificate(self, folder, name):
        made = folder / "new"
        made.mkdir(exist_ok=True)
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
                        "/CN=" + name, "-keyout", made / "key.pem", "-out", made / "cert.pem"],
                       check=True, capture_output=True, timeout=WAIT_SECONDS)
        for file in ("key.pem", "cert.pem"):
            os.replace(made / file, folder / file)

    def certificate(self, server):
        return ssl.get_server_certificate(("127.0.0.1", server.port))

    def test_a_certificate_is_served_and_replaced(self):
        if not shutil.which("openssl"):
            self.skipTest("the command openssl is not here")
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            self.make_certificate(folder, "one")
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            server = Server(f"tls: {{certificate: {folder}/cert.pem, key: {folder}/key.pem}}\n",
                            context)
            try:
                self.assertEqual(server.scheme, "https")
                self.assertEqual(server.complete()[0], 200)
                first = self.certificate(server)
                connection, answer = server.stream(n=8)
                self.make_certificate(folder, "two")
                server.signal(signal.SIGHUP)
                server.wait_for("the configuration was read again")
                second = self.certificate(server)
                self.assertNotEqual(first, second)
                self.assertTrue(finished(answer))
                connection.close()
                (folder / "cert.pem").write_text("no certificate", encoding="utf-8")
                server.signal(signal.SIGHUP)
                time.sleep(0.3)
                self.assertEqual(self.certificate(server), second)
                self.assertEqual(server.complete()[0], 200)
                with server.raw() as link:
                    link.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                    read_reply(link)
                self.assertEqual(server.complete()[0], 200)
            finally:
                self.assertEqual(server.close(), 0)


class Access(Case):
    def test_keys_and_quotas(self):
        server = self.serve("api_keys: [{name: one, key: small-key, requests_per_minute: 2}]\n")
        for key in (None, "wrong-key", "small-kez", "small-key2"):
            self.assertEqual(server.complete(key)[0], 401)
        for _ in range(2):
            self.assertEqual(server.complete("small-key")[0], 200)
        status, headers, text = server.complete("small-key")
        self.assertEqual(status, 429, text)
        self.assertGreaterEqual(int(headers["Retry-After"]), 1)

    def test_the_admin_listener_is_apart(self):
        server = self.serve(f"admin: {{port: 0, key: {ADMIN}}}\n")
        server.wait_for("the admin listener is ready")
        port = int(re.search(r"admin listener.*:(\d+)", server.log_text()).group(1))
        for path in ("/admin/models", "/admin/requests"):
            self.assertEqual(server.call("GET", path, port=port)[0], 401)
            self.assertEqual(server.call("GET", path, key="wrong-key", port=port)[0], 401)
            self.assertEqual(server.call("GET", path, key=ADMIN, port=port)[0], 200)
            self.assertEqual(server.call("GET", path, key=ADMIN)[0], 404)
        self.assertEqual(server.call("POST", "/admin/drain", key=ADMIN)[0], 404)
        self.assertEqual(server.complete()[0], 200)


class Clients(Case):
    def running(self, server):
        return server.metric("http_requests_running")

    def assert_idle(self, server):
        wait_until(lambda: self.running(server) == 0, "a server without requests")
        self.assertEqual(server.complete()[0], 200)

    def test_a_client_that_goes_leaves_nothing_running(self):
        server = self.serve("engine: {sequences_max: 64}\n")
        streams = [server.stream(n=16) for _ in range(4)]
        self.assertGreater(self.running(server), 0)
        for connection, answer in streams:
            answer.read(10)
            answer.close()
            connection.close()
        self.assert_idle(server)
        self.assertEqual(server.metric("http_clients_gone_total", 'listener="public"'), 4)

    def test_a_half_closed_socket_counts_as_gone(self):
        server = self.serve("engine: {sequences_max: 4}\n")
        body = json.dumps({"model": "m", "prompt": PROMPT, "max_tokens": 480, "n": 16,
                           "stream": True, "ignore_eos": True}).encode()
        with server.raw() as link:
            link.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
                         % len(body) + body)
            self.assertTrue(link.recv(100).startswith(b"HTTP/1.1 200"))
            link.shutdown(socket.SHUT_WR)
            self.assertNotIn(b"[DONE]", read_reply(link))
        self.assert_idle(server)

    def test_dripped_headers_are_cut_after_their_time(self):
        server = self.serve("limits: {header_timeout: 1s}\n")
        began = time.monotonic()
        with server.raw() as link:
            link.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\n")
            link.settimeout(0.05)
            reply = None
            while reply is None and time.monotonic() - began < WAIT_SECONDS:
                try:
                    link.sendall(b"x")
                    reply = link.recv(65536)
                except TimeoutError:
                    continue
                except ConnectionError:
                    reply = b""
        self.assertIsNotNone(reply, "the server waits for ever")
        self.assertGreater(time.monotonic() - began, 0.9)
        self.assertIn(reply[:12], (b"", b"HTTP/1.1 408"))
        self.assertEqual(server.metric("http_timeouts_total", 'listener="public"'), 1)
        self.assertEqual(server.complete()[0], 200)

    def test_a_body_over_the_limit_is_told_413(self):
        server = self.serve("limits: {body_bytes_max: 64K}\n")
        status, _, text = server.complete(prompt="a" * 70000)
        self.assertEqual(status, 413, text)
        with server.raw() as link:
            link.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\n"
                         b"Content-Length: 99999999999999999999\r\n\r\n")
            self.assertRegex(read_reply(link), rb"^HTTP/1\.1 4(00|13) ")
        self.assertEqual(server.complete()[0], 200)

    def test_a_chunk_whose_head_never_ends_is_refused(self):
        server = self.serve("limits: {header_bytes_max: 16K}\n")
        for head in (b"5;", b"0\r\nx: "):
            with server.raw() as link:
                link.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\n"
                             b"Transfer-Encoding: chunked\r\n\r\n" + head)
                link.settimeout(10)
                with contextlib.suppress(ConnectionError):
                    link.sendall(b"x" * 32768)
                self.assertEqual(link.recv(12), b"HTTP/1.1 431")
        self.assertEqual(server.complete()[0], 200)

    def test_bytes_that_are_no_request_are_refused(self):
        server = self.serve()
        for garbage in (b"\0" * 100 + b"\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
                        b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", b"GET / HTTP/1.1\r\n: x\r\n\r\n",
                        b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n"
                        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"):
            with server.raw() as link:
                link.sendall(garbage)
                link.shutdown(socket.SHUT_WR)
                self.assertRegex(read_reply(link), rb"^(HTTP/1\.1 [45]\d\d |$)")
        self.assertEqual(server.complete()[0], 200)

    def test_json_garbage_is_refused_and_survived(self):
        suite = SHARED_DATA / "eval" / "json-parse-suite"
        if not suite.is_dir():
            self.assertNotIn("MILLRACE_REQUIRE_DATA", os.environ, f"{suite} is absent")
            self.skipTest(f"{suite} is absent")
        server = self.serve()
        files = sorted(suite.glob("*.json"))
        self.assertGreater(len(files), 100)
        with contextlib.closing(server.connect()) as connection:
            for file in files:
                connection.request("POST", "/v1/chat/completions", file.read_bytes())
                answer = connection.getresponse()
                text = answer.read()
                self.assertIn(answer.status, (400, 413), (file.name, text))
                self.assertIn("error", json.loads(text))
        self.assertEqual(server.complete()[0], 200)


class Disks(Case):
    def test_a_full_disk_under_the_access_log_stops_nothing(self):
        if not os.path.exists("/dev/full"):
            self.skipTest("/dev/full is not here")
        server = self.serve("access_log: {path: /dev/full}\n")
        for _ in range(5):
            self.assertEqual(server.complete()[0], 200)
        wait_until(lambda: server.metric("log_lines_failed_total", 'log="access"') >= 5,
                   "lost lines in the metrics")
        self.assertEqual(server.complete()[0], 200)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
