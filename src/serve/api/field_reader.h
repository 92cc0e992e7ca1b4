// Fields of one JSON object, read by name and type within limits, with messages that name the path.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "base/token_id.h"

namespace millrace {

// A field that is null counts as absent everywhere. The object outlives the reader.
class FieldReader {
 public:
  // kInvalidArgument when the value is no object. `path` is its place in the body, "" at the top.
  static Result<FieldReader> of(const OrderedJson& value, std::string path);

  // The path of a field, or of an element of it.
  std::string path_of(std::string_view name) const;
  std::string path_of(std::string_view name, std::size_t index) const;

  const OrderedJson* find(std::string_view name) const;
  bool has(std::string_view name) const { return find(name) != nullptr; }

  // Absent, or the value; kInvalidArgument when it is of another type or out of its range.
  Result<std::optional<bool>> flag(std::string_view name) const;
  Result<std::optional<double>> number(std::string_view name) const;
  Result<std::optional<std::uint64_t>> count(std::string_view name, std::uint64_t min,
                                             std::uint64_t max) const;
  Result<std::optional<std::string>> text(std::string_view name, std::size_t bytes_max) const;
  // One text counts as a list of it.
  Result<std::vector<std::string>> texts(std::string_view name, std::size_t num_max,
                                         std::size_t bytes_max) const;
  Result<std::vector<TokenId>> tokens(std::string_view name, std::size_t num_max) const;
  // An array, or null.
  Result<const OrderedJson*> array(std::string_view name, std::size_t num_max) const;

  // The same, but absent is an error too.
  Result<std::string> required_text(std::string_view name, std::size_t bytes_max) const;

  // kUnsupported naming the first member that `names` does not have and that is not null.
  Status check_only(std::initializer_list<std::string_view> names) const;

 private:
  FieldReader(const OrderedJson& object, std::string path)
      : object_(&object), path_(std::move(path)) {}

  const OrderedJson* object_;
  std::string path_;
};

// "temperature is "hot", expected a number", with the value cut to a readable length.
Error unexpected(const std::string& path, const OrderedJson& value, std::string_view expected);
Error missing(const std::string& path, std::string_view expected);
Error too_many(const std::string& path, std::size_t found, std::size_t allowed,
               std::string_view what);
Error unsupported(const std::string& path, std::string_view what);

// A token's id, from an element of an array at `path`.
Result<TokenId> token_id(const OrderedJson& value, const std::string& path);

}  // namespace millrace
