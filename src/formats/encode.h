// Floats rounded to the types that files hold: the plain ones and GGUF's 8-bit and 4-bit blocks.
#pragma once

#include <cstddef>
#include <span>

#include "base/result.h"
#include "tensor/dtype.h"

namespace millrace {

// f32, f16, bf16, q8_0, q4_0, q4_1.
bool can_encode(DType dtype);

// The bytes of values.size() elements, a whole number of groups; bytes.size() is what the type asks
// for; can_encode(dtype). f16 and bf16 round to nearest even. Blocks follow the conventions of
// GGUF's reference code, byte for byte:
//
//   q8_0   d = max|x| / 127; q = x / d, halves away from zero.
//   q4_0   d = v / -8, where v is the element of largest magnitude (the first of equals);
//          q = min(15, floor(x / d + 8.5)). So v itself is exact, and -v is clipped to 7/8 of
//          itself.
//   q4_1   m = min x, d = (max x - m) / 15; q = min(15, floor((x - m) / d + 0.5)).
//
// Quants are computed with the float d, which is then stored as f16. kInvalidArgument naming the
// index and value of what the type cannot hold: values beyond f16, and in blocks NaN and infinities
// (f16 and bf16 keep those).
Status encode(DType dtype, std::span<const float> values, std::span<std::byte> bytes);

}  // namespace millrace
