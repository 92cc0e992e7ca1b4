"""The server under load from outside: thousands of streams, and every way to end, reload or starve
it meanwhile. What was counted is printed; a speed is never a pass or a failure."""
import asyncio
import collections
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

PROGRAM, MODEL = sys.argv[1], sys.argv[2]
NUM_STREAMS = int(os.environ.get("MILLRACE_STREAMS", "2000"))
NUM_CLIENTS = 24
WAIT_SECONDS = 300
# How an answer may come out: the first two are right at any time.
WHOLE, REFUSED, UNREACHED, BROKEN = "whole", "refused", "unreached", "broken"


class Server:
    """`millrace serve` in a folder of its own; a restart keeps the port."""

    def __init__(self, rest=""):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.rest = rest
        self.port = 0
        self.start()

    def start(self):
        (self.folder / "c.yaml").write_text(
            f"listen: {{port: {self.port}}}\nmodels: [{{name: m, path: {MODEL}}}]\n{self.rest}",
            encoding="utf-8")
        self.log = open(self.folder / "log", "a", encoding="utf-8")
        self.process = subprocess.Popen([PROGRAM, "serve", self.folder / "c.yaml"],
                                        stdout=subprocess.PIPE, stderr=self.log, text=True)
        line = self.process.stdout.readline()
        found = re.search(r":(\d+)\s*$", line)
        assert found, line + (self.folder / "log").read_text(encoding="utf-8")
        self.port = int(found.group(1))

    def resident_bytes(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        return int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1)) * 1024

    def wait(self):
        try:
            return self.process.wait(timeout=WAIT_SECONDS)
        finally:
            self.process.stdout.close()
            self.log.close()

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.wait()
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            shutil.rmtree(self.folder)


async def open_stream(port, **fields):
    """Sends a request for a stream; its reader and writer, or None when nobody listens."""
    body = json.dumps({"model": "m", "prompt": "Once upon a time", "max_tokens": 16,
                       "stream": True, "ignore_eos": True, **fields}).encode()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n"
                     b"Connection: close\r\n\r\n" % len(body) + body)
        await writer.drain()
        return reader, writer
    except ConnectionError:
        return None


async def outcome_of(link):
    """Reads to the end. An answer that has begun and does not end as it should is broken."""
    if link is None:
        return UNREACHED
    reader, writer = link
    try:
        reply = await reader.read(-1)
    except ConnectionError:
        reply = b""
    writer.close()
    if not reply:
        return UNREACHED  # It ended before the request was read.
    head, _, body = reply.partition(b"\r\n\r\n")
    status = int(head[9:12])
    if status in (429, 503):
        return REFUSED if b"Retry-After" in head or b"error" in body else BROKEN
    is_whole = status == 200 and b"data: [DONE]" in body and b'"finish_reason":"length"' in body
    return WHOLE if is_whole else BROKEN


async def one_answer(port, **fields):
    return await asyncio.wait_for(outcome_of(await open_stream(port, **fields)), WAIT_SECONDS)


class Load:
    """Clients that ask again and again until they are told to stop."""

    def __init__(self, server, **fields):
        self.server, self.fields = server, fields
        self.counts = collections.Counter()
        self.is_over = False

    async def client(self):
        while not self.is_over:
            outcome = await one_answer(self.server.port, **self.fields)
            self.counts[outcome] += 1
            if outcome != WHOLE:
                await asyncio.sleep(0.01)

    async def run(self, script):
        clients = [asyncio.create_task(self.client()) for _ in range(NUM_CLIENTS)]
        try:
            await script(self)
        finally:
            self.is_over = True
            await asyncio.gather(*clients)

    async def until(self, outcome, count):
        goal = self.counts[outcome] + count
        end = time.monotonic() + WAIT_SECONDS
        while self.counts[outcome] < goal:
            assert time.monotonic() < end, f"not {count} more {outcome}: {self.counts}"
            await asyncio.sleep(0.01)


class Case(unittest.TestCase):
    def serve(self, rest=""):
        server = Server(rest)
        self.addCleanup(lambda: self.assertEqual(server.close(), 0))
        return server

    def load(self, server, script, **fields):
        load = Load(server, **fields)
        asyncio.run(load.run(script))
        print(f"{self.id().rsplit('.', 1)[1]}: {dict(load.counts)}", flush=True)
        self.assertEqual(load.counts[BROKEN], 0)
        return load


class Streams(Case):
    def test_thousands_of_streams_all_end(self):
        server = self.serve("engine: {sequences_max: 64, requests_max: 8192}\n"
                            "classes: [{name: all, queued_requests_max: 8192}]\n")

        async def run():
            before = server.resident_bytes()
            links = []
            for _ in range(0, NUM_STREAMS, 100):
                links += await asyncio.gather(*(open_stream(server.port) for _ in range(100)))
            opened = server.resident_bytes()
            outcomes = collections.Counter(
                await asyncio.wait_for(asyncio.gather(*map(outcome_of, links)), WAIT_SECONDS))
            return before, opened, outcomes

        began = time.monotonic()
        before, opened, outcomes = asyncio.run(run())
        print(f"{NUM_STREAMS} streams: {dict(outcomes)}, {time.monotonic() - began:.1f} s, "
              f"{(opened - before) / NUM_STREAMS / 1024:.1f} KiB resident for each while most wait",
              flush=True)
        self.assertEqual(outcomes[BROKEN] + outcomes[UNREACHED], 0)
        self.assertEqual(outcomes[WHOLE] + outcomes[REFUSED], NUM_STREAMS)
        self.assertGreater(outcomes[WHOLE], 0)

    def test_what_is_over_a_limit_is_refused_by_the_rules(self):
        server = self.serve("engine: {sequences_max: 4}\n"
                            "classes: [{name: all, queued_requests_max: 8}]\n"
                            "limits: {connections_max: 100}\n")

        async def run():
            # Four run before the crowd comes, so that it finds the whole queue empty.
            first = [await open_stream(server.port, max_tokens=400) for _ in range(4)]
            for reader, _ in first:
                await asyncio.wait_for(reader.readuntil(b"data: "), WAIT_SECONDS)
            outcomes = collections.Counter(await asyncio.gather(
                *(one_answer(server.port, max_tokens=64) for _ in range(146))))
            for reader, writer in first:
                rest = await asyncio.wait_for(reader.read(-1), WAIT_SECONDS)
                outcomes[WHOLE if b"data: [DONE]" in rest else BROKEN] += 1
                writer.close()
            return outcomes

        outcomes = asyncio.run(run())
        print(f"limits: {dict(outcomes)}", flush=True)
        # A connection over the limit gets a bare 503, or a reset where its request was on its way.
        self.assertEqual(sum(outcomes.values()), 150)
        self.assertEqual(outcomes[BROKEN], 0)
        self.assertGreaterEqual(outcomes[WHOLE], 12)
        self.assertGreater(outcomes[REFUSED] + outcomes[UNREACHED], 0)
        self.assertEqual(asyncio.run(one_answer(server.port)), WHOLE)


class Ends(Case):
    def test_sigterm_fails_nothing_that_was_accepted(self):
        server = Server("engine: {sequences_max: 16}\n")

        async def script(load):
            await load.until(WHOLE, 50)
            server.process.send_signal(signal.SIGTERM)
            await load.until(UNREACHED, NUM_CLIENTS)

        self.load(server, script, max_tokens=48)
        self.assertEqual(server.close(), 0)

    def test_a_kill_is_survived_by_a_restart(self):
        server = self.serve()
        load = Load(server, max_tokens=32)

        async def script(_):
            await load.until(WHOLE, 30)
            server.process.kill()
            server.wait()
            server.start()
            await load.until(WHOLE, 50)

        asyncio.run(load.run(script))
        print(f"kill -9: {dict(load.counts)}", flush=True)
        # What was on its way broke, once for each client; nothing after that.
        self.assertLessEqual(load.counts[BROKEN], NUM_CLIENTS)

    def test_reloads_break_nothing(self):
        server = self.serve("limits: {choices_max: 4}\n")

        async def script(load):
            for i in range(20):
                server.rest = f"limits: {{choices_max: {2 + i % 5}, body_bytes_max: {64 + i}K}}\n"
                config = f"listen: {{port: {server.port}}}\nmodels: [{{name: m, path: {MODEL}}}]\n"
                (server.folder / "c.yaml").write_text(config + server.rest, encoding="utf-8")
                server.process.send_signal(signal.SIGHUP)
                await load.until(WHOLE, 5)

        load = self.load(server, script)
        self.assertEqual(load.counts[REFUSED] + load.counts[UNREACHED], 0)
        log = (server.folder / "log").read_text(encoding="utf-8")
        self.assertGreater(log.count("was read again"), 5)

    def test_a_full_disk_loses_lines_and_nothing_else(self):
        if not os.path.exists("/dev/full"):
            self.skipTest("/dev/full is not here")
        server = self.serve("access_log: {path: /dev/full}\n")

        async def script(load):
            await load.until(WHOLE, 100)

        load = self.load(server, script)
        self.assertEqual(load.counts[REFUSED] + load.counts[UNREACHED], 0)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
