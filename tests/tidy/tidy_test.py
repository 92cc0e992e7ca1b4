#!/usr/bin/env python3
"""Plants one violation of each rule in a small clean project; tidy.py has to name its place."""
import tempfile
import unittest
from pathlib import Path

from tidy import Tidy

CLEAN = {
    "mill":
        "#!/bin/bash\n# Runs the small project.\nbuild nlohmann-json3-dev  -  reads JSON\n",
    ".ci/run": "#!/bin/bash\n# What a change must pass.\n",
    "CMakeLists.txt": "# A small project for this test.\n",
    "docs/dependencies.md":
        "| package | Debian 12 | headers | may be included by | why | absent |\n"
        "|---|---|---|---|---|---|\n"
        "| `nlohmann-json3-dev` | 3.11.2 | `nlohmann/*` | `base` | JSON | nothing can be built |\n",
    "tests/tidy/rooms.txt":
        "# A small table.\n"
        "base | 10 |\nmodel | 100 | base\nengine | 1000 | base model\ncli | 10 | *\n",
    "src/base/README.md": "# base\n",
    "src/base/CMakeLists.txt": "millrace_room(base)\n",
    "src/base/json.h":
        "// JSON within limits, for all.\n#pragma once\n\n"
        "#include <nlohmann/json.hpp>\n#include <vector>\n",
    "src/model/README.md": "# model\n",
    "src/model/CMakeLists.txt": "millrace_room(model LINKS millrace_base)\n",
    "src/model/spec.h": "// What a model is, as data.\n#pragma once\n\n#include \"base/json.h\"\n",
    "src/engine/README.md": "# engine\n",
    "src/engine/CMakeLists.txt": "millrace_room(engine LINKS millrace_model)\n",
    "src/engine/engine.cpp":
        "// The loop of the engine, stepwise.\n#include \"model/spec.h\"\n\n"
        "int one() {\n  return 1;\n}\n",
}
CPP = "src/engine/engine.cpp"


class TidyTest(unittest.TestCase):
    def problems(self, **changes):
        with tempfile.TemporaryDirectory() as folder:
            files = dict(CLEAN, **changes)
            for name, text in files.items():
                if text is not None:
                    path = Path(folder) / name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_text(text)
            return Tidy(Path(folder).resolve()).run()

    def expect(self, name, text, line, message):
        """Only this problem, in file `name` at `line`, if it holds `text`."""
        problems = self.problems(**{name: text})
        self.assertEqual([(path, at) for path, at, _ in problems], [(name, line)], problems)
        self.assertIn(message, problems[0][2])

    def plant(self, code, message, name=CPP):
        """Only this problem, in the last line, if `code` is added to the file `name`."""
        text = CLEAN[name] + code + "\n"
        self.expect(name, text, text.count("\n"), message)

    def test_a_clean_project_has_no_problem(self):
        self.assertEqual(self.problems(), [])

    def test_includes(self):
        self.plant('#include "engine/engine.h"', "model may not include engine", "src/model/spec.h")
        self.plant('#include "cli/main.h"', "engine may not include cli")
        self.plant('#include "engine.h"', "is in no room")
        self.plant("#include <nlohmann/json.hpp>", "<nlohmann/json.hpp> is for base only",
                   "src/model/spec.h")
        self.plant("#include <boost/asio.hpp>", "is not in docs/dependencies.md")
        self.assertEqual(self.problems(**{CPP: CLEAN[CPP] + "#include <sys/mman.h>\n"}), [])

    def test_links(self):
        self.expect("src/model/CMakeLists.txt",
                    "millrace_room(model LINKS millrace_base\n  millrace_engine)\n", 2,
                    "model may not link engine")
        problems = self.problems(**{"src/model/CMakeLists.txt": "millrace_room(model)\n"})
        self.assertEqual([problem[:2] for problem in problems], [("src/model/spec.h", 4)])
        self.assertIn("does not link", problems[0][2])

    def test_banned_calls(self):
        for code, instead in [
                ("auto t = std::chrono::steady_clock::now();", "base/clock.h"),
                ("std::mt19937 random;", "base/random.h"),
                ("void f() { throw 1; }", "Result<T>"),
                ("auto home = std::getenv(\"HOME\");", "an option parsed in cli/"),
                ("void f() { std::cout << 1; }", "observe/log.h"),
                ("void f() { printf(\"x\"); }", "observe/log.h"),
                ("void f() { fprintf(stderr, \"x\"); }", "observe/log.h"),
                ("void f() { assert(true); }", "CHECK"),
                ("void f() { std::exit(1); }", "CHECK"),
                ("using namespace std;", "std:: prefix")]:
            with self.subTest(code):
                self.plant(code, instead)
        self.plant("std::thread worker;", "thread_team.h", "src/model/spec.h")

    def test_comments_literals_and_tests_are_not_calls(self):
        for code in ["// May throw; getenv( too.", "/* std::cout\n  throw */",
                     "auto s = \"throw // std::cout\";", "auto r = R\"x(throw)\" getenv()x\";",
                     "constexpr int kMany = 1'000'000; // throw"]:
            with self.subTest(code):
                self.assertEqual(self.problems(**{CPP: CLEAN[CPP] + code + "\n"}), [])
        self.plant("char c = '\"'; void f() { throw c; }", "Result<T>")
        test = "// Tests of the engine's loop.\nvoid f() { std::getenv(\"X\"); }\n"
        self.assertEqual(self.problems(**{"src/engine/engine_test.cpp": test}), [])

    def test_rooms_that_must_not_see_things(self):
        self.plant("Json options;", "never sees JSON")
        self.plant("#ifdef MILLRACE_WITH_CUDA", "MILLRACE_WITH_CUDA is for")
        self.plant("#ifdef __AVX2__", "no #if", "src/model/spec.h")
        self.plant("std::shared_ptr<int> counter;", "who shares it")

    def test_sizes(self):
        self.plant("// " + "x" * 98, "has 101 columns")
        self.expect(CPP, "// Many lines, too many.\n" + "\n" * 600, 601, "has 601 lines")
        long_function = "\nnamespace a {\nint f(int x) {\n" + "  ++x;\n" * 69 + "}\n}\n"
        self.expect(CPP, CLEAN[CPP] + long_function, 9, "function of 71 lines")
        self.expect("src/engine/README.md", "# engine\n" * 151, 151, "more than 150 lines")
        big = "// Code over the budget of its room.\n#pragma once\n" + "int x;\n" * 100
        self.expect_room("src/model/big.h", big, "src/model", "budget")

    def expect_room(self, name, text, place, message):
        problems = self.problems(**{name: text})
        self.assertEqual([path for path, _, _ in problems], [place], problems)
        self.assertIn(message, problems[0][2])

    def test_a_long_initialiser_or_class_is_no_function(self):
        table = "\nconst int kTable[] = {\n" + "  1,\n" * 90 + "};\n"
        kind = "\nclass Big : public Base<int> {\n" + "  int x_;\n" * 90 + "};\n"
        self.assertEqual(self.problems(**{CPP: CLEAN[CPP] + table + kind}), [])

    def test_every_file_says_what_it_is(self):
        self.expect(CPP, "#include \"model/spec.h\"\n", 1, "begins with a comment")
        self.expect("src/model/spec.h", "// What a model is.\nint x;\n", 1, "#pragma once")
        self.expect("mill", "#!/bin/bash\nbuild nlohmann-json3-dev - reads JSON\n", 1,
                    "begins with a comment")

    def test_every_room_is_described(self):
        self.expect_room("src/engine/README.md", None, "src/engine/README.md", "README.md")
        self.expect_room("src/cellar/x.h", "// A room of its own.\n#pragma once\n", "src/cellar",
                         "not in tests/tidy/rooms.txt")

    def test_words_that_do_not_last(self):
        self.plant("// TODO: later", "TODO(#123)")
        self.assertEqual(self.problems(**{CPP: CLEAN[CPP] + "// TODO(#12): later\n"}), [])
        self.plant("// as in /home/" + "someone/x", "a path of one machine")
        self.plant("set(CMAKE_CXX_FLAGS -ffast-math)", "depend on the machine", "CMakeLists.txt")
        self.plant("[there](nowhere.md)", "which is not there", "docs/dependencies.md")

    def test_packages(self):
        self.plant("build g++  g++  compiles C++", "not in docs/dependencies.md", "mill")
        row = "| `cmake` | 3.25 | | | builds | nothing |\n"
        self.expect("docs/dependencies.md", CLEAN["docs/dependencies.md"] + row, 1,
                    "cmake is not installed by mill")


if __name__ == "__main__":
    unittest.main()
