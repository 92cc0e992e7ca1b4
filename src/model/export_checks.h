// Questions about a spec that every file format asks before it can hold it.
#pragma once

#include "base/result.h"
#include "model/model_spec.h"

namespace millrace {

// kUnsupported naming the first thing in which layers differ that one set of numbers for all cannot
// say: heads, head sizes, widths of one kind, norms, ropes, biases. Windows and which layers have
// experts may differ; `format` begins the message.
Status check_layers_alike(const ModelSpec& spec, const std::string& format);

// How many layers have a window, and the first of them.
struct WindowUse {
  std::size_t num_sliding = 0;
  std::size_t first = 0;
  std::size_t window = 0;
  bool is_suffix = false;  // all layers from `first` on
};
// kUnsupported when there are windows of different sizes.
Result<WindowUse> find_windows(const ModelSpec& spec, const std::string& format);

Error cannot_hold(const std::string& format, const std::string& what);

}  // namespace millrace
