// A ModelSpec as bytes, for packed models.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "base/result.h"
#include "model/model_spec.h"

namespace millrace {

std::string write_spec_archive(const ModelSpec& spec);

// kCorruptData when the bytes are not what the function above writes; the spec has passed
// check_spec(). `name` is for messages.
Result<ModelSpec> read_spec_archive(std::span<const std::byte> bytes, const std::string& name);

}  // namespace millrace
