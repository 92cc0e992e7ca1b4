// Fuzzes llama2.c images.
#include "formats/llama2c.h"
#include "fuzz_support.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto parsed = millrace::parse_llama2c(std::as_bytes(std::span(data, size)), "x");
  if (parsed.ok()) millrace::use_tensors(parsed.value().tensors);
  return 0;
}
