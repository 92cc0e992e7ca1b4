// Names of the layouts of packed weights, for files that keep them.
#pragma once

#include <string_view>

#include "kernels/cpu/kernels.h"

namespace millrace {

// How the packed bytes that a row of kernels streams are laid out; at most 23 characters. Rows of
// one name share packed weights. All rows have one layout so far, the one drawn in pack.h.
constexpr std::string_view weight_layout(const CpuKernels& /*kernels*/) {
  return "panels-16";
}

}  // namespace millrace
