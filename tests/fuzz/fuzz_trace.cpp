// Fuzzes traces and cost models: CSV, JSON lines, and the workload made of what was read.
#include "simulate/step_cost.h"
#include "simulate/trace_reader.h"
#include "simulate/workload.h"

namespace millrace {
namespace {

constexpr TraceLimits kLimits = {.bytes_max = 1 << 20,
                                 .line_bytes_max = 1 << 16,
                                 .requests_max = 1000,
                                 .request_tokens_max = 1 << 16,
                                 .num_prefixes_max = 4000};

void use_trace(const Result<Trace>& parsed) {
  if (!parsed.ok()) return;
  const Trace& trace = parsed.value();
  CHECK(trace.requests.size() <= kLimits.requests_max);
  Duration last{0};
  for (const TraceRequest& request : trace.requests) {
    CHECK(request.num_prompt > 0);
    CHECK(request.num_prompt <= kLimits.request_tokens_max);
    CHECK(request.num_output > 0);
    CHECK(request.arrival >= last);
    last = request.arrival;
    CHECK(trace.prefix_of(request).size() == request.num_prefix);
  }
  CHECK(parse_csv_trace(trace_csv(trace), "again").ok());
  static_cast<void>(reusable_tokens(trace, 16));
  WorkloadSpec spec;
  spec.arrivals.rate = 10;
  spec.class_weights = {1, 1};
  if (trace.has_arrivals && !trace.requests.empty()) CHECK(make_workload(spec, trace).ok());
}

}  // namespace
}  // namespace millrace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  millrace::use_trace(millrace::parse_csv_trace(text, "x", millrace::kLimits));
  millrace::use_trace(millrace::parse_mooncake_trace(text, "x", millrace::kLimits));
  static_cast<void>(millrace::parse_step_cost(text, "x").ok());
  return 0;
}
