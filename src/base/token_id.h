// The number of a token in its vocabulary: what text produces, engine moves and kernels look up.
#pragma once

#include <cstdint>

namespace millrace {

using TokenId = std::uint32_t;

}  // namespace millrace
