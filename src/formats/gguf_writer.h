// Writes GGUF v3 files: metadata of every kind, then tensors.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "formats/gguf.h"
#include "formats/weight_writer.h"

namespace millrace {

// Key-value pairs for a GGUF file, in the order of adding. create_gguf() checks the keys.
class GgufMetadataBuilder {
 public:
  void add(const std::string& key, std::uint8_t value);
  void add(const std::string& key, std::int8_t value);
  void add(const std::string& key, std::uint16_t value);
  void add(const std::string& key, std::int16_t value);
  void add(const std::string& key, std::uint32_t value);
  void add(const std::string& key, std::int32_t value);
  void add(const std::string& key, std::uint64_t value);
  void add(const std::string& key, std::int64_t value);
  void add(const std::string& key, float value);
  void add(const std::string& key, double value);
  void add_bool(const std::string& key, bool value);
  void add_string(const std::string& key, std::string_view value);
  void add_strings(const std::string& key, std::span<const std::string> values);
  void add_array(const std::string& key, std::span<const std::int32_t> values);
  void add_array(const std::string& key, std::span<const std::uint32_t> values);
  void add_array(const std::string& key, std::span<const float> values);
  // A value of another file, of any kind: any array, nested ones too.
  void add(const std::string& key, const GgufValue& value);

  std::span<const std::string> keys() const { return keys_; }
  // | key | type | value | of each.
  std::string_view encoded() const { return encoded_; }

 private:
  void begin(const std::string& key, GgufType type);
  void begin_array(const std::string& key, GgufType element_type, std::uint64_t count);

  std::vector<std::string> keys_;
  std::string encoded_;
};

// One file with the alignment of 32 that is the format's default. Tensors stay in the order of
// declaration; a scalar becomes a vector of one. kInvalidArgument naming the tensor or key that the
// format cannot hold, that other programs refuse (names of 64 bytes and more), or that occurs
// twice, and for the keys that are the writer's own affair: general.alignment and split.*.
Result<std::unique_ptr<WeightWriter>> create_gguf(const std::string& path,
                                                  const GgufMetadataBuilder& metadata,
                                                  std::vector<TensorDeclaration> tensors);

}  // namespace millrace
