#!/usr/bin/env python3
"""Checks what a machine can check of the house style: the include table, sizes, banned calls, …

    tests/tidy/tidy.py [ROOT]

Prints one line, file:line: message, for each place that breaks a rule, and fails if there is one.
The include table and the line budgets are in rooms.txt beside this; which room may include which
library is in docs/dependencies.md.
"""
import fnmatch
import re
import sys
from pathlib import Path

CODE = {".h", ".cpp", ".inl", ".cu", ".cuh"}
SCRIPTS = {".py", ".sh"}
COLUMNS_MAX = 100
FILE_LINES_MAX = 600
FUNCTION_LINES_MAX = 70
README_LINES_MAX = 150
CUDA_ROOMS = {"tensor", "kernels", "memory", "parallel"}
# Headers of tests/ that a room may use: the kernels' case table is checked there and timed here.
SHARED_WITH_TESTS = {"kernel_case.h": "measure"}

# Pattern, what to use instead, rooms where it is allowed. Tests may do these things.
BANNED = [
    (r"(steady|system|high_resolution)_clock::now|\b(clock_gettime|gettimeofday)\(",
     "a base/clock.h Clock&", {"base"}),
    (r"\bs?rand\(|\brandom_device\b|\bmt19937|\bdrand48\b", "base/random.h", {"base"}),
    (r"\bthrow\b", "Result<T>", set()),
    (r"\b(secure_)?getenv\(", "an option parsed in cli/", {"cli"}),
    (r"\bstd::cout\b|(?<!\w)printf\(|\bputs\(|\bputchar\(", "a Result or observe/log.h", {"cli"}),
    (r"\bstd::cerr\b|\bfprintf\(", "a Result or observe/log.h", {"base", "cli", "observe"}),
    (r"\bassert\(", "CHECK or DCHECK", set()),
    (r"(?<![\w.>])(std::)?(exit|_exit|quick_exit|abort)\(", "a Result, or CHECK", {"base", "cli"}),
    (r"\bstd::j?thread\b|\bpthread_create\(|\bstd::async\b", "base/thread_team.h",
     {"base", "engine", "serve", "observe", "cli"}),
    (r"\busing namespace std\b", "the std:: prefix", set()),
]

# Headers that come with compiler and kernel, beside the C++ library's (those have no suffix).
SYSTEM_HEADER = re.compile(
    r"(sys|linux|arpa|net|netinet|asm|bits)/[\w./]+\.h|\w*intrin\.h|cpuid\.h|arm_neon\.h|cxxabi\.h|"
    r"(std\w+|string|math|ucontext|"
    r"unistd|fcntl|malloc|pthread|sched|signal|poll|dlfcn|dirent|spawn|termios|fenv|errno|time)\.h|"
    r"sanitizer/\w+\.h|(cuda|cublas|nvml|mma|nccl|mpi)[\w/]*\.h")

INCLUDE = re.compile(r'^\s*#\s*include\s+(?:"([^"]+)"|<([^>]+)>)')
LONG_TEXT = re.compile(r'"[^"]{40,}"|\'[^\']{40,}\'')
TODO = re.compile(r"\b(TODO|FIXME|XXX)\b(?!\(#\d+\))")
MACHINE_PATH = re.compile(r"(?<![\w.}$/*-])/(home|Users|root|work)/[\w.-]")
TOKEN = re.compile(  # What is no code: comments and literals. Numbers are here for their 1'000s.
    r'//[^\n]*|/\*.*?\*/|R"([^\s()\\]{0,16})\(.*?\)\1"|"(?:\\.|[^"\\\n])*"'
    r"|\b\d[\w.]*(?:'[\w.]+)*|'(?:\\.|[^'\\\n])+'", re.S)


def strip(text):
    """The code alone: comments and literals give way to as many newlines as they had."""
    def blank(match):
        token = match.group(0)
        if token[0].isdigit():
            return token
        return ('""' if token[0] in "\"'R" else " ") + "\n" * token.count("\n")
    return TOKEN.sub(blank, text)


def is_test_file(path):
    return path.stem.endswith("_test") or path.stem.startswith("test_")


class Room:
    def __init__(self, name, lines_max, may_include):
        self.name, self.lines_max, self.may_include = name, lines_max, may_include


def read_rooms(path):
    rooms = {}
    for line in path.read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            name, lines_max, allowed = (field.strip() for field in line.split("|"))
            rooms[name] = Room(name, int(lines_max), set(allowed.split()))
    for room in rooms.values():
        if "*" in room.may_include:
            room.may_include = set(rooms)
    return rooms


def read_dependencies(path):
    """The table of docs/dependencies.md: {package: (header patterns, who may include them)}."""
    table = {}
    for line in path.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.startswith("| `") and len(cells) == 6:
            package, headers, places = (re.findall(r"`([^`]+)`", cells[i]) for i in (0, 2, 3))
            table[package[0]] = (headers, places)
    return table


class Tidy:
    def __init__(self, root):
        self.root = Path(root)
        self.rooms = read_rooms(self.root / "tests/tidy/rooms.txt")
        self.dependencies = read_dependencies(self.root / "docs/dependencies.md")
        self.problems = []
        self.num_files = 0

    def report(self, path, line, message):
        self.problems.append((str(Path(path).relative_to(self.root)), line, message))

    def run(self):
        for path in self.files():
            self.check_file(path)
        for folder in sorted(path for path in (self.root / "src").iterdir() if path.is_dir()):
            if any(folder.iterdir()):
                self.check_room(folder)
        self.check_packages()
        return sorted(self.problems)

    def files(self):
        for top in sorted(self.root.iterdir()):
            if top.name in {"build", ".git"} or top.name.startswith("cmake-build"):
                continue
            for path in [top] if top.is_file() else sorted(top.rglob("*")):
                if path.is_file() and not path.is_symlink() and "__pycache__" not in path.parts:
                    yield path

    # ---- One file -------------------------------------------------------------------------------

    def check_file(self, path):
        relative = path.relative_to(self.root)
        is_script = path.suffix in SCRIPTS or str(relative) in {"mill", ".ci/run"}
        is_cmake = path.suffix == ".cmake" or path.name == "CMakeLists.txt"
        if not (path.suffix in CODE or is_script or is_cmake or path.suffix == ".md"):
            return
        self.num_files += 1
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            self.report(path, 1, "is not UTF-8")
            return
        lines = text.splitlines()
        in_tidy = relative.parts[:2] == ("tests", "tidy")
        for number, line in enumerate(lines, 1):
            if MACHINE_PATH.search(line) and not in_tidy:
                self.report(path, number, "names a path of one machine")
            if TODO.search(line) and not in_tidy:
                self.report(path, number, "TODO, FIXME or XXX without an issue: TODO(#123)")
        if path.suffix == ".md":
            self.check_markdown(path, lines)
            return
        for number, line in enumerate(lines, 1):
            # A long text in a script of the tests reads better whole.
            if len(line) > COLUMNS_MAX and not (is_script and LONG_TEXT.search(line)):
                self.report(path, number, f"has {len(line)} columns, at most {COLUMNS_MAX}")
        if not is_cmake or relative.parts[0] != "src" or len(relative.parts) < 3:
            self.check_first_line(path, lines)
        if len(lines) > FILE_LINES_MAX and not re.search(r"_test\.|_tables?\.|_cases\.", path.name):
            self.report(path, len(lines), f"has {len(lines)} lines, at most {FILE_LINES_MAX}")
        if is_cmake:
            self.check_cmake(path, lines)
        if path.suffix in CODE:
            self.check_code(path, relative, text, lines)

    def check_first_line(self, path, lines):
        first = lines[1] if len(lines) > 1 and lines[0].startswith("#!") else (lines or [""])[0]
        if not re.match(r'\s*(//|#|/\*|""")\s*\S+\s+\S+\s+\S', first):
            self.report(path, 1, "begins with a comment that says in a sentence what it is for")

    def check_markdown(self, path, lines):
        for number, line in enumerate(lines, 1):
            for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", line):
                if not re.match(r"\w+:", target) and not (path.parent / target).exists():
                    self.report(path, number, f"links to {target}, which is not there")

    def check_cmake(self, path, lines):
        for number, line in enumerate(lines, 1):
            if re.search(r"-ffast-math|-march=native", line.split("#")[0]):
                self.report(path, number, "results may not depend on the machine or on inlining")

    def check_code(self, path, relative, text, lines):
        room = relative.parts[1] if relative.parts[0] == "src" and len(relative.parts) > 2 else None
        is_test = room is None or is_test_file(path)
        code = strip(text).splitlines()
        if path.suffix == ".h" and "#pragma once" not in text:
            self.report(path, 1, "a header has #pragma once")
        for number, line in enumerate(lines, 1):
            include = INCLUDE.match(line)
            if include:
                self.check_include(path, number, room, *include.groups())
        for number, line in enumerate(code, 1):
            if room is not None:
                self.check_room_line(path, number, line, room)
            if not is_test:
                self.check_banned(path, number, line, room)
        if not is_test:
            self.check_shared_pointers(path, code, lines)
            self.check_functions(path, "\n".join(code))

    def may_include(self, room, target):
        return room in self.rooms and target in self.rooms[room].may_include

    def check_shared_pointers(self, path, code, lines):
        """Whoever shares says in a comment with whom."""
        uses = [number for number, line in enumerate(code, 1) if "shared_ptr" in line]
        if path.suffix == ".cpp" and path.with_suffix(".h").exists():
            return  # The header says it.
        if uses and not any(re.search(r"//.*\b[Ss]har", line) for line in lines):
            self.report(path, uses[0], "shared_ptr: a comment says who shares it")

    def check_include(self, path, number, room, ours, theirs):
        if ours is not None and room is not None:
            target = ours.split("/")[0]
            if SHARED_WITH_TESTS.get(ours) == room:
                pass
            elif target not in self.rooms or "/" not in ours:
                self.report(path, number, f'"{ours}" is in no room')
            elif target != room and not self.may_include(room, target):
                self.report(path, number, f"{room} may not include {target}")
        if theirs is None or ("/" not in theirs and "." not in theirs):
            return
        if SYSTEM_HEADER.fullmatch(theirs):
            return
        place = room if room is not None else path.relative_to(self.root).parts[0]
        for headers, places in self.dependencies.values():
            if any(fnmatch.fnmatchcase(theirs, header) for header in headers):
                is_test = room is None or is_test_file(path)
                if place not in places and not ("tests" in places and is_test):
                    self.report(path, number, f"<{theirs}> is for {', '.join(places)} only")
                return
        self.report(path, number, f"<{theirs}> is not in docs/dependencies.md")

    def check_room_line(self, path, number, line, room):
        if "MILLRACE_WITH_CUDA" in line and room not in CUDA_ROOMS:
            rooms = ", ".join(sorted(CUDA_ROOMS))
            self.report(path, number, f"MILLRACE_WITH_CUDA is for {rooms} only")
        if room == "engine" and re.search(r"\bnlohmann\b|\b(Ordered)?Json\b|base/json\.h", line):
            self.report(path, number, "engine deals in ids and never sees JSON")
        if room == "model" and re.match(r"\s*#\s*(if|ifdef|ifndef|elif)\b", line):
            self.report(path, number, "a model file has no #if: no instruction set, no device")

    def check_banned(self, path, number, line, room):
        for pattern, instead, allowed in BANNED:
            match = re.search(pattern, line)
            if match and room not in allowed:
                self.report(path, number, f"{match.group(0).strip('(')}: use {instead}")

    def check_functions(self, path, code):
        """A brace opens a function if only scopes are open and a parameter list precedes it."""
        scopes, start, begin_line, line = [], 0, 1, 1
        code = re.sub(r"(?m)^\s*#(?:.*\\\n)*.*$", lambda m: "\n" * m.group(0).count("\n"), code)
        for position, character in enumerate(code):
            if character == "\n":
                line += 1
            if character not in "{};":
                continue
            head = code[start:position]
            if character == "{":
                in_scope = all(kind == "scope" for kind, _ in scopes)
                if re.search(r"\b(namespace|class|struct|union|enum)\b[^()]*$", head):
                    kind = "scope"
                elif in_scope and ")" in head and not re.search(r"[=,(]\s*$", head):
                    kind = "function"
                else:
                    kind = "other"
                num_blank = len(head) - len(head.lstrip())
                scopes.append((kind, begin_line + head[:num_blank].count("\n")))
            elif character == "}" and scopes:
                kind, first = scopes.pop()
                num_lines = line - first + 1
                if kind == "function" and num_lines > FUNCTION_LINES_MAX:
                    self.report(path, first,
                                f"function of {num_lines} lines, at most {FUNCTION_LINES_MAX}")
            start, begin_line = position + 1, line

    # ---- One room, the whole --------------------------------------------------------------------

    def check_room(self, folder):
        room = self.rooms.get(folder.name)
        if room is None:
            self.report(folder, 1, "is not in tests/tidy/rooms.txt")
            return
        readme = folder / "README.md"
        if not readme.exists():
            self.report(readme, 1, "every room has a README.md that is normative")
        elif len(readme.read_text().splitlines()) > README_LINES_MAX:
            self.report(readme, README_LINES_MAX + 1, f"has more than {README_LINES_MAX} lines")
        files = [path for path in sorted(folder.rglob("*")) if path.suffix in CODE]
        num_lines = sum(len(path.read_text().splitlines()) for path in files
                        if not is_test_file(path))
        if num_lines > room.lines_max:
            self.report(folder, 1, f"has {num_lines} lines of code, its budget in "
                                   f"tests/tidy/rooms.txt is {room.lines_max}")
        if (folder / "CMakeLists.txt").exists():
            self.check_links(folder, room, files)
        else:
            self.report(folder, 1, "has no CMakeLists.txt, so it is not built")

    def links_of(self, name):
        path = self.root / "src" / name / "CMakeLists.txt"
        if not path.exists():
            return []
        return [(number, other)
                for number, line in enumerate(path.read_text().splitlines(), 1)
                for other in re.findall(r"\bmillrace_(\w+)", line.split("#")[0])
                if other in self.rooms and other != name]

    def check_links(self, folder, room, files):
        """CMake links agree with the table, and cover what the room includes."""
        reached, queue = {room.name}, [room.name]
        for number, other in self.links_of(room.name):
            if other not in room.may_include:
                self.report(folder / "CMakeLists.txt", number, f"{room.name} may not link {other}")
        while queue:
            for _, other in self.links_of(queue.pop()):
                if other not in reached:
                    reached.add(other)
                    queue.append(other)
        for path in files:
            for number, line in enumerate(path.read_text().splitlines(), 1):
                include = INCLUDE.match(line)
                target = (include.group(1) or "").split("/")[0] if include else ""
                if target in room.may_include and target not in reached:
                    self.report(path, number, f"includes {target}, which {room.name}'s "
                                              "CMakeLists.txt does not link")

    def check_packages(self):
        """The packages that mill installs are those that docs/dependencies.md explains."""
        mill = self.root / "mill"
        installed = {}
        for number, line in enumerate(mill.read_text().splitlines(), 1):
            match = re.match(r"(build|train|test|bench|check)\s+(\S+)\s+\S+\s+\S+ ", line)
            if match:
                installed[match.group(2)] = number
        for package, number in installed.items():
            if package not in self.dependencies:
                self.report(mill, number, f"{package} is not in docs/dependencies.md")
        for package in self.dependencies:
            if package not in installed:
                self.report(self.root / "docs/dependencies.md", 1,
                            f"{package} is not installed by mill")


def main():
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[2]
    tidy = Tidy(root)
    problems = tidy.run()
    for path, line, message in problems:
        print(f"{path}:{line}: {message}")
    print(f"tidy: {tidy.num_files} files, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
