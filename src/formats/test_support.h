// What the tests of this room share: folders that vanish, file images with fields that can lie.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "formats/gguf.h"

namespace millrace {

// A folder of its own for one test.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = ::testing::TempDir() + "/formats-XXXXXX";
    const char* made = ::mkdtemp(pattern.data());
    CHECK(made != nullptr);
    path_ = std::filesystem::canonical(made);  // As /proc names it.
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::string operator/(std::string_view name) const { return path_ + "/" + std::string(name); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

inline std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span<const char>(text.data(), text.size()));
}

template <class T>
std::string encoded(T value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof(value));
}
inline std::string encoded_string(std::string_view text) {
  return encoded<std::uint64_t>(text.size()) + std::string(text);
}

// A whole safetensors image.
inline std::string safetensors_image(const std::string& header, const std::string& data) {
  return encoded<std::uint64_t>(header.size()) + header + data;
}

// A GGUF image, field by field, so that each can lie.
struct GgufKey {
  std::string key;
  std::uint32_t type = 0;
  std::string value;
};
struct GgufTensor {
  std::string name;
  std::vector<std::uint64_t> extents;  // Innermost first, as in the file.
  std::uint32_t type = 0;
  std::uint64_t offset = 0;
};
struct GgufParts {
  std::string magic = "GGUF";
  std::uint32_t version = 3;
  std::vector<GgufKey> keys;
  std::vector<GgufTensor> tensors;
  std::string data;
  std::uint64_t alignment = 32;
  std::uint64_t num_extra_keys = 0;     // Added to the count in the header.
  std::uint64_t num_extra_tensors = 0;  // Likewise.
};

inline std::string gguf_image(const GgufParts& parts) {
  std::string image = parts.magic + encoded(parts.version) +
                      encoded<std::uint64_t>(parts.tensors.size() + parts.num_extra_tensors) +
                      encoded<std::uint64_t>(parts.keys.size() + parts.num_extra_keys);
  for (const GgufKey& key : parts.keys)
    image += encoded_string(key.key) + encoded(key.type) + key.value;
  for (const GgufTensor& tensor : parts.tensors) {
    image += encoded_string(tensor.name);
    image += encoded(static_cast<std::uint32_t>(tensor.extents.size()));
    for (const std::uint64_t extent : tensor.extents) image += encoded(extent);
    image += encoded(tensor.type) + encoded(tensor.offset);
  }
  while (image.size() % parts.alignment != 0) image += '\0';
  return image + parts.data;
}

inline GgufKey gguf_key(const std::string& key, GgufType type, const std::string& value) {
  return {key, static_cast<std::uint32_t>(type), value};
}

// The message of a result that must have failed.
template <class T>
std::string message_of(const Result<T>& result) {
  return result.ok() ? "no error" : result.error().message;
}

}  // namespace millrace
