#!/bin/bash
# Runs ./mill on a project of one file, in a folder with a space, with cardboard for apt-get.
set -euo pipefail

mill=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
project="$work/a mill"
mkdir -p "$project/src" "$work/bin"
cp "$mill" "$project/mill"
export PATH="$work/bin:$PATH" MILL_JOBS=1
unset MILL_INSTALL CMAKE_CXX_COMPILER_LAUNCHER

cat >"$project/CMakeLists.txt" <<'END'
cmake_minimum_required(VERSION 3.25)
project(small LANGUAGES CXX)
add_executable(millrace src/main.cpp)
set_target_properties(millrace PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
END
cat >"$project/CMakePresets.json" <<'END'
{"version": 6, "configurePresets": [
  {"name": "release", "generator": "Ninja", "binaryDir": "${sourceDir}/build/release"}]}
END

# A program that prints its folder and arguments, and ends with the code of its first argument.
program() {
  cat >"$project/src/main.cpp" <<END
#include <cstdio>
#include <cstdlib>
#include <unistd.h>
int main(int count, char** words) {
  char folder[4096];
  std::printf("$1 %s", getcwd(folder, sizeof folder));
  for (int i = 2; i < count; ++i) std::printf(" [%s]", words[i]);
  return std::atoi(words[1]);
}
END
}

# Packages: installed are those in the file, apt-get adds to it; it fails when told to.
cat >"$work/bin/dpkg-query" <<'END'
#!/bin/bash
if grep -qxF "${@: -1}" "$(dirname "$0")/installed"; then echo "installed "; fi
END
cat >"$work/bin/apt-get" <<'END'
#!/bin/bash
echo "$*" >>"$(dirname "$0")/calls"
if [[ -e $(dirname "$0")/broken ]]; then exit 100; fi
for word in "$@"; do if [[ $word != -* ]]; then echo "$word" >>"$(dirname "$0")/installed"; fi; done
END
cat >"$work/bin/sudo" <<'END'
#!/bin/bash
exec "${@/#-n/env}"
END
chmod +x "$work/bin/"*
touch "$work/bin/installed"

fail() {
  printf '%s\n--- stdout:\n%s\n--- stderr:\n%s\n' "$1" "$(<"$work/out")" "$(<"$work/err")" >&2
  exit 1
}

# expect CODE OUTPUT ERROR ARGUMENT…: ./mill ends with this code, prints exactly this, and has these
# words among what it says.
expect() {
  local code=$1 output=$2 words=$3 got=0
  shift 3
  "$project/mill" "$@" >"$work/out" 2>"$work/err" </dev/null || got=$?
  [[ $got == "$code" ]] || fail "mill $*: code $got, not $code"
  [[ $(<"$work/out") == "$output" ]] || fail "mill $*: prints something else than: $output"
  [[ $(<"$work/err") == *"$words"* ]] || fail "mill $*: does not say: $words"
}

program one
cd "$work"
touch "$work/bin/broken"
expect 125 "" "apt-get install --no-install-recommends" 0
[[ $(<"$work/err") == *libpcre2-dev*"tokenisers"* ]] || fail "does not say what a package is for"
rm "$work/bin/broken"

expect 0 "one $work [a  b] [--x]" "running" 0 "a  b" --x
grep -q "install.* nlohmann-json3-dev" "$work/bin/calls" || fail "installs nothing"
calls=$(wc -l <"$work/bin/calls")

expect 7 "one $work" "" 7
[[ ! -s $work/err ]] || fail "says something although nothing was to do"
[[ $(wc -l <"$work/bin/calls") == "$calls" ]] || fail "asks for packages again"

program two
cache_before=$(stat -c %Y.%Z "$project/build/release/CMakeCache.txt")
expect 3 "two $work" "building" 3
cache_after=$(stat -c %Y.%Z "$project/build/release/CMakeCache.txt")
[[ $cache_before == "$cache_after" ]] || fail "configures for a changed source"

ln -s "$project/mill" "$work/link"
cd "$project/src"
"$work/link" 0 >"$work/out" 2>"$work/err"
[[ $(<"$work/out") == "two $project/src" ]] || fail "a link to mill does not work"
cd "$work"

echo "int broken = ;" >>"$project/src/main.cpp"
expect 125 "" "main.cpp:10:14: error" 0
[[ $(<"$work/err") != *" -o "* ]] || fail "shows the compiler's command"

program three
for i in 1 2 3; do "$project/mill" 0 "$i" >"$work/out.$i" 2>/dev/null </dev/null & done
wait
for i in 1 2 3; do
  [[ $(<"$work/out.$i") == "three $work [$i]" ]] || fail "three at once: $(<"$work/out.$i")"
done

# A package that went away is noticed when the build fails, and comes back.
: >"$work/bin/installed"
echo "#error no header" >>"$project/src/main.cpp"
expect 125 "" "these Debian packages are missing" 0
program four

mv "$project" "$work/moved"
project="$work/moved"
expect 0 "four $work" "configuring" 0

expect 0 "$("$project/mill" help)" "" help
[[ $(<"$work/out") == usage:* ]] || fail "help is no help"
echo "mill: all as expected"
