"""The program from outside: what its commands print, refuse and exit with, on the model that comes along."""
import json
import os
import pathlib
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

PROGRAM, MODEL = sys.argv[1], sys.argv[2]
PROMPT = "Once upon a time"


def millrace(*arguments, text=None):
    done = subprocess.run([PROGRAM, *arguments], input=text, capture_output=True, text=True,
                          timeout=120)
    return done.returncode, done.stdout, done.stderr


def run_json(*arguments):
    code, out, err = millrace("run", PROMPT, "--temperature", "0", "--json", *arguments)
    assert code == 0, err
    return json.loads(out)


class Run(unittest.TestCase):
    def test_the_model_that_comes_along_answers_without_being_named(self):
        code, out, _ = millrace("run", PROMPT, "--temperature", "0", "--max-tokens", "12")
        self.assertEqual(code, 0)
        self.assertTrue(out.startswith(", there was a little girl named Lily."), out)

    def test_equal_seeds_give_equal_texts_and_others_do_not(self):
        texts = [millrace("run", PROMPT, "--seed", seed, "--max-tokens", "24")[1] for seed in "112"]
        self.assertEqual(texts[0], texts[1])
        self.assertNotEqual(texts[0], texts[2])

    def test_a_stop_string_ends_the_text_before_it(self):
        got = run_json("--stop", "Lily")
        self.assertEqual(got["finish_reason"], "stop")
        self.assertEqual(got["text"], ", there was a little girl named ")

    def test_usage_log_probabilities_and_length(self):
        got = run_json("--max-tokens", "5", "--logprobs", "3")
        usage = {"prompt_tokens": 5, "completion_tokens": 5, "total_tokens": 10}
        self.assertEqual(got["usage"], usage)
        self.assertEqual(got["finish_reason"], "length")
        self.assertEqual([entry["id"] for entry in got["logprobs"]], got["token_ids"])
        self.assertEqual(got["logprobs"][0]["top_logprobs"][0]["id"], got["token_ids"][0])
        self.assertLess(abs(got["logprobs"][0]["logprob"] + 0.03178), 0.01)

    def test_threads_kernels_and_cut_prompts_change_nothing(self):
        base = run_json("--max-tokens", "20", "--kv-dtype", "int8")["token_ids"]
        for threads in "13":
            got = run_json("--max-tokens", "20", "--kv-dtype", "int8", "-t", threads)
            self.assertEqual(got["token_ids"], base)

    def test_a_chat_without_a_template_continues_every_line(self):
        code, out, _ = millrace("run", "--temperature", "0", "--max-tokens", "4",
                                text=PROMPT + "\n" + PROMPT + "\n")
        self.assertEqual(code, 0)
        lines = out.splitlines()
        self.assertEqual(len(lines), 2)
        self.assertEqual(lines[0], lines[1])

    def test_a_chat_template_is_used_and_a_system_message_reaches_it(self):
        with tempfile.NamedTemporaryFile("w", suffix=".jinja") as template:
            template.write("{{ bos_token }}{% for m in messages %}{{ m.content }}{% endfor %}")
            template.flush()
            got = run_json("--chat-template", template.name, "--max-tokens", "2",
                           "--system", "Once")
            self.assertEqual(got["prompt_token_ids"][0], 1)
        code, _, err = millrace("run", PROMPT, "--system", "Be brief.")
        self.assertEqual(code, 2)
        self.assertIn("--chat-template", err)

    def test_an_adapter_makes_the_model_say_what_peft_says(self):
        golden = pathlib.Path(__file__).resolve().parents[1] / "golden"
        adapter = golden / "adapters" / "llama-all"
        facts = json.loads((adapter / "golden.json").read_text())
        image = (adapter / "expected.safetensors").read_bytes()
        header_bytes = struct.unpack("<Q", image[:8])[0]
        tensor = json.loads(image[8:8 + header_bytes])["logits"]
        width = tensor["shape"][1]
        end = 8 + header_bytes + tensor["data_offsets"][1]
        logits = struct.unpack(f"<{width}f", image[end - 4 * width:end])
        command = ["run", "--model", str(golden / "models" / facts["model"]), "--temperature", "0",
                   "--max-tokens", "1", "--json", "--kv-dtype", "f32", "--prompt-ids",
                   ",".join(str(token) for token in facts["prompt"])]
        code, out, err = millrace(*command, "--lora", str(adapter))
        self.assertEqual(code, 0, err)
        self.assertEqual(json.loads(out)["token_ids"], [logits.index(max(logits))])
        self.assertNotEqual(json.loads(millrace(*command)[1])["token_ids"],
                            json.loads(out)["token_ids"])
        code, _, err = millrace(*command, "--lora", str(golden / "adapters" / "phi3-fused"))
        self.assertNotEqual(code, 0)
        self.assertIn("lora_A.weight has shape [6, 48], expected [6, 96]", err)

    def test_answers_are_held_to_schemas_grammars_and_patterns(self):
        schema = {"type": "object",
                  "properties": {"name": {"enum": ["Lily", "Tom"]},
                                 "age": {"type": "integer", "minimum": 3, "maximum": 12},
                                 "toys": {"type": "array", "items": {"type": "boolean"},
                                          "minItems": 1, "maxItems": 3}},
                  "required": ["name", "age", "toys"], "additionalProperties": False}
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "schema.json")
            pathlib.Path(path).write_text(json.dumps(schema))
            for seed in "123":
                code, out, err = millrace("run", PROMPT, "--json", "--json-schema", path,
                                          "--temperature", "1", "--seed", seed,
                                          "--min-tokens", "250")
                self.assertEqual(code, 0, err)
                got = json.loads(out)
                self.assertEqual(got["finish_reason"], "stop", got)
                answer = json.loads(got["text"])
                self.assertEqual(list(answer), ["name", "age", "toys"])
                self.assertIn(answer["name"], ["Lily", "Tom"])
                self.assertTrue(3 <= answer["age"] <= 12)
                self.assertTrue(1 <= len(answer["toys"]) <= 3)
            path = os.path.join(folder, "grammar.gbnf")
            pathlib.Path(path).write_text('root ::= " " word{2,3} "."\nword ::= [a-z]{1,4} ","')
            self.assertRegex(run_json("--grammar", path)["text"], r"^ ?([a-z]{1,4},){2,3}\.$")
        self.assertRegex(run_json("--regex", "(yes|no)!{1,3}")["text"], "^(yes|no)!{1,3}$")
        code, _, err = millrace("run", PROMPT, "--regex", "(?=a)")
        self.assertEqual(code, 3, err)
        self.assertIn("look-around is not supported", err)


    def test_ctrl_c_ends_with_130(self):
        process = subprocess.Popen([PROGRAM, "run", PROMPT, "--ignore-eos", "--max-tokens", "400"],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        process.stdout.read(1)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        self.assertIn(process.returncode, (0, 130))  # 0: it was done before the signal came


class Refusals(unittest.TestCase):
    def assert_refused(self, code, words, *arguments):
        got, _, err = millrace(*arguments)
        self.assertEqual(got, code, err)
        self.assertEqual(len(err.strip().splitlines()), 1, err)
        for word in words:
            self.assertIn(word, err)

    def test_what_does_not_fit_is_refused_with_both_numbers(self):
        self.assert_refused(4, ["1048576"], "run", PROMPT, "--memory", "1M")
        self.assert_refused(2, ["600", "512"], "run", PROMPT, "--context", "600")

    def test_a_prompt_longer_than_the_context(self):
        self.assert_refused(4, ["exceeds"], "run", "a " * 3000)

    def test_wrong_options(self):
        self.assert_refused(2, ["f8"], "run", PROMPT, "--kv-dtype", "f8")
        self.assert_refused(2, ["avx9"], "run", PROMPT, "--cpu-isa", "avx9")
        self.assert_refused(2, ["temperature"], "run", PROMPT, "--temperature", "-1")
        self.assertEqual(millrace("run", "--no-such-option")[0], 2)
        self.assertEqual(millrace("nonsense")[0], 2)

    def test_missing_and_broken_files(self):
        self.assert_refused(3, ["/no/such"], "run", PROMPT, "--model", "/no/such")
        with tempfile.TemporaryDirectory() as folder:
            lying = os.path.join(folder, "lying.gguf")
            with open(lying, "wb") as file:
                file.write(b"GGUF" + struct.pack("<IQQ", 3, 1 << 60, 1 << 60))
            self.assert_refused(4, ["lying.gguf", "65536"], "run", PROMPT, "--model", lying)
            config = json.load(open(os.path.join(MODEL, "config.json")))
            config["architectures"] = ["MambaForCausalLM"]
            for name in os.listdir(MODEL):
                if name != "config.json":
                    os.symlink(os.path.join(MODEL, name), os.path.join(folder, name))
            json.dump(config, open(os.path.join(folder, "config.json"), "w"))
            self.assert_refused(3, ["MambaForCausalLM", "LlamaForCausalLM"],
                                "run", PROMPT, "--model", folder)


class Others(unittest.TestCase):
    def test_measured_steps_become_a_machine_to_simulate(self):
        with tempfile.TemporaryDirectory() as folder:
            cost = os.path.join(folder, "cost.json")
            code, out, err = millrace("bench", "cost-model", MODEL, "--shapes", "6",
                                      "--repeats", "1", "--out", cost)
            self.assertEqual(code, 0, err)
            self.assertIn("shapes that the fit has not seen", out)
            code, out, err = millrace("simulate", "--lengths", "fixed", "--arrivals", "poisson",
                                      "--rate", "1", "--requests", "20", "--cost-model", cost,
                                      "--cache-tokens", "8192", "--json")
            self.assertEqual(code, 0, err)
            self.assertEqual(json.loads(out)["all"]["finished"], 20)

    def test_version_and_help(self):
        code, out, _ = millrace("--version")
        self.assertEqual(code, 0)
        self.assertIn("commit", out)
        self.assertIn("kernels:", out)
        code, out, _ = millrace("--help")
        self.assertEqual(code, 0)
        self.assertIn("Exit codes", out)

    def test_inspect(self):
        code, out, _ = millrace("inspect", MODEL, "--json")
        self.assertEqual(code, 0)
        got = json.loads(out)
        self.assertEqual(got["model"]["architecture"], "LlamaForCausalLM")
        # Written out: embedding + 5 layers of (q, k, v, o, gate, up, down, two norms) + final norm.
        layer = 64 * 64 * 2 + 2 * 64 * 32 + 3 * 64 * 172 + 2 * 64
        self.assertEqual(got["model"]["parameters"], 512 * 64 + 5 * layer + 64)
        self.assertEqual(got["model"]["kv_bytes_per_token"]["f16"], 2 * 5 * 4 * 8 * 2)
        self.assertEqual(got["weight_bytes"], sum(got["bytes_by_part"].values()))
        self.assertEqual(millrace("inspect", MODEL)[0], 0)

    def test_tokenize_there_and_back(self):
        code, out, _ = millrace("tokenize", MODEL, PROMPT)
        self.assertEqual((code, out), (0, "1 403 407 261 378\n"))
        self.assertEqual(millrace("tokenize", MODEL, "--count", PROMPT)[1], "5\n")
        self.assertIn(PROMPT, millrace("tokenize", MODEL, "--ids", "403", "407", "261", "378")[1])

    def test_bench_reports_speed_and_ceiling(self):
        code, out, err = millrace("bench", "decode", "-n", "8", "--repeats", "2", "--json")
        self.assertEqual(code, 0, err)
        got = json.loads(out)
        self.assertGreater(got["results"][0]["tokens_per_second"], 0)
        self.assertGreater(got["ceilings"]["read_bytes_per_second"], 1e8)
        self.assertEqual(millrace("bench", "prefill", "-n", "64", "--repeats", "2")[0], 0)


class SharedWeights(unittest.TestCase):
    def test_processes_map_one_copy_and_it_goes_with_the_last(self):
        with tempfile.TemporaryDirectory() as folder:
            environment = dict(os.environ, XDG_RUNTIME_DIR=folder)
            first = subprocess.Popen([PROGRAM, "run"], env=environment, stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            first.stdin.write(PROMPT + "\n")
            first.stdin.flush()
            first.stdout.read(1)  # It has loaded.
            done = subprocess.run([PROGRAM, "run", PROMPT, "--json", "--max-tokens", "4"],
                                  env=environment,
                                  capture_output=True, text=True, timeout=60)
            stats = json.loads(done.stdout)["stats"]
            self.assertTrue(stats["weights_shared"])
            self.assertFalse(stats["weights_packed_here"])
            first.kill()
            first.communicate()
            time.sleep(0.1)
            done = subprocess.run([PROGRAM, "run", PROMPT, "--json", "--max-tokens", "4"],
                                  env=environment,
                                  capture_output=True, text=True, timeout=60)
            self.assertTrue(json.loads(done.stdout)["stats"]["weights_packed_here"])


class Template(unittest.TestCase):
    """A model with three templates, in every form that they come in."""

    SOURCES = {"default": "{{ bos_token }}D{% for m in messages %}[{{ m.content }}]{% endfor %}"
                          "{% if thinking %}T{% endif %}{{ '>' if add_generation_prompt }}",
               "tool_use": "T{{ tools|map(attribute='name')|join(',') }}",
               "rag": "R{{ documents|length }}"}
    MESSAGES = '[{"role": "user", "content": "Hi"}]'

    def setUp(self):
        self.scratch = tempfile.TemporaryDirectory()
        self.addCleanup(self.scratch.cleanup)
        self.folder = pathlib.Path(self.scratch.name) / "model"
        shutil.copytree(MODEL, self.folder)

    def configure(self, template):
        path = self.folder / "tokenizer_config.json"
        config = json.loads(path.read_text())
        config["chat_template"] = template
        path.write_text(json.dumps(config))

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return str(path)

    def show(self, *arguments, model=None, text=MESSAGES):
        code, out, err = millrace("template", str(model or self.folder), *arguments, text=text)
        return out if code == 0 else f"{code}: {err}"

    def check_all(self, model=None):
        tools = self.write("tools.json", '[{"name": "f"}, {"name": "g"}]')
        documents = self.write("documents.json", '[{"title": "x"}]')
        self.assertEqual(self.show(model=model), "<s>D[Hi]>")
        self.assertEqual(self.show("--no-generation-prompt", model=model), "<s>D[Hi]")
        self.assertEqual(self.show("--set", "thinking=true", model=model), "<s>D[Hi]T>")
        self.assertEqual(self.show("--tools", tools, model=model), "Tf,g")
        self.assertEqual(self.show("--tools", tools, "--name", "default", model=model), "<s>D[Hi]>")
        self.assertEqual(self.show("--name", "rag", "--documents", documents, model=model), "R1")
        request = {"messages": json.loads(self.MESSAGES), "tools": [{"name": "h"}],
                   "chat_template_kwargs": {"thinking": True}}
        self.assertEqual(self.show(model=model, text=json.dumps(request)), "Th")
        self.assertEqual(self.show("--name", "default", model=model, text=json.dumps(request)),
                         "<s>D[Hi]T>")
        self.assertEqual(self.show("--source", "--name", "rag", model=model),
                         self.SOURCES["rag"] + "\n")
        self.assertIn("only: ", self.show("--name", "other", model=model))

    def test_a_list_in_the_configuration(self):
        self.configure([{"name": n, "template": t} for n, t in self.SOURCES.items()])
        self.check_all()

    def test_files_beside_it(self):
        self.configure("not this one")
        self.write("chat_template.jinja", self.SOURCES["default"])
        for name in ("tool_use", "rag"):
            self.write(f"additional_chat_templates/{name}.jinja", self.SOURCES[name])
        self.check_all()

    def test_the_metadata_of_a_gguf_file(self):
        self.configure([{"name": n, "template": t} for n, t in self.SOURCES.items()])
        gguf = str(self.folder / "model.gguf")
        code, _, err = millrace("convert", str(self.folder), gguf)
        self.assertEqual(code, 0, err)
        self.check_all(model=gguf)

    def test_an_operator_may_override_it(self):
        self.configure(self.SOURCES["default"])
        other = self.write("other.jinja", "{{ eos_token }}{{ messages[0].content|upper }}")
        self.assertEqual(self.show("--chat-template", other), "</s>HI")
        self.assertEqual(self.show(model=other), "HI")
        self.assertEqual(self.show("--set", 'eos_token="!"', model=other), "!HI")

    def test_what_is_wrong_is_named(self):
        self.assertIn("no chat template", self.show())
        self.configure("{% for m in messages %}\n{{ m.content.nope.nope }}{% endfor %}")
        self.assertIn("line 2: 'str object' has no attribute 'nope'", self.show())
        self.configure("{% include 'x' %}")
        self.assertIn("{% include %} is not for chat templates", self.show())
        self.configure("{{ raise_exception('Roles must alternate') }}")
        self.assertTrue(self.show().endswith("Roles must alternate\n"), self.show())
        self.configure("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}"
                       "{% endfor %}")
        self.assertIn("rendering takes more than 400", self.show())
        self.assertIn("--set thinking", self.show("--set", "thinking=maybe"))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
