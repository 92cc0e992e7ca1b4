// Names of models at a hub: hf://owner/name[@revision][/file].
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace millrace {

struct HubReference {
  std::string owner;
  std::string name;
  std::string revision = "main";  // branch, tag or commit
  std::string file;               // one file of it; empty: what the model needs

  std::string repository() const { return owner + "/" + name; }
  std::string text() const;  // as it is written
};

bool is_hub_reference(std::string_view text);
// kInvalidArgument saying what is expected. Nothing in it leads out of a folder.
Result<HubReference> parse_hub_reference(std::string_view text);

// Whether a path from outside stays inside the folder that it is put into: relative, without "..",
// empty parts, backslashes, control characters or parts that begin with a dot.
bool is_safe_path(std::string_view path);
// 40 lower-case hexadecimal digits.
bool is_commit(std::string_view revision);

}  // namespace millrace
