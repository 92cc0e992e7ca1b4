// The server's configuration from any bytes: read or refused, and what was read prints and reads
// back.
#include <cstdint>
#include <string>

#include "serve/config/config_printer.h"
#include "serve/config/config_reader.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  millrace::ConfigSource source;
  source.text.assign(reinterpret_cast<const char*>(data), size);
  source.name = "fuzz.yaml";
  if (source.text.find("key_file") != std::string::npos) return 0;  // It would be opened.
  const auto loaded = millrace::read_config(source);
  if (!loaded.ok()) {
    CHECK(!loaded.error().message.empty());
    return 0;
  }
  const bool has_secrets =
      !loaded.value().config.api_keys.empty() || !loaded.value().config.admin.key.empty();
  source.text = millrace::print_config(loaded.value());
  const auto again = millrace::read_config(source);
  CHECK(again.ok() || has_secrets);
  return 0;
}
