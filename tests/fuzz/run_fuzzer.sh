#!/bin/sh
# Runs one fuzz target: run_fuzzer.sh PROGRAM SEED_FOLDER WORK_FOLDER.
#
# A finding is kept in WORK_FOLDER and ends the run with its own exit status. MILLRACE_FUZZ_SECONDS
# says for how long (10 when unset).
set -eu
program=$1
seeds=$2
work=$3
mkdir -p "$work/corpus" "$seeds"
exec "$program" -max_total_time="${MILLRACE_FUZZ_SECONDS:-10}" -timeout=10 -rss_limit_mb=2048 \
  -print_final_stats=1 -artifact_prefix="$work/" "$work/corpus" "$seeds"
