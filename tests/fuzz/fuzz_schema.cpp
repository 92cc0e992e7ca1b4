// Fuzzes JSON schemas: compiles one of any bytes, then walks along its masks.
#include <cstdint>
#include <string>

#include "fuzz_constraint.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  millrace::fuzz_constraint(millrace::ConstraintSpec::json_schema(text), data, size);
  return 0;
}
