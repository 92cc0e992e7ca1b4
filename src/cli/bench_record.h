// What every line of a benchmark's results says about where it was measured.
#pragma once

#include <string>

#include "base/json.h"
#include "measure/ceilings.h"

namespace millrace {

// {"date", "bench", "machine", "threads", "isa", "commit"}.
OrderedJson bench_record(const std::string& bench, std::string_view isa, std::size_t num_threads);

// {"read_bytes_per_second", …}; what was not measured is left out.
OrderedJson ceilings_json(const Ceilings& ceilings);

// "26.1": so many units of 10^9.
std::string show_giga(double number);
// "87 %".
std::string show_percent(double fraction);
std::string show_rate(double rate);

}  // namespace millrace
