// What the block types of GGUF hold: small integers, and scales (and minima) that groups share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "tensor/dtype.h"
#include "tensor/quant_groups.h"

namespace millrace {

// How a block type's weights come about; groups are parts of blocks or whole ones. Nothing for
// plain types.
std::optional<QuantKind> quant_kind(DType dtype);

// Takes blocks apart. `bytes` may lie at any address and holds out.quants.size() weights, a whole
// number of blocks. Any bytes are blocks: scales may come out as NaN or infinite.
void split_blocks(DType dtype, std::span<const std::byte> bytes, const QuantSpans& out);

}  // namespace millrace
