// The parser of GGUF images: header, key-value pairs, tensor infos, and the ranges of the data.
#include <algorithm>
#include <array>
#include <bit>

#include "base/checked.h"
#include "formats/extents.h"
#include "formats/gguf.h"
#include "formats/gguf_tensor_types.h"
#include "formats/gguf_value.h"
#include "formats/text_quote.h"

namespace millrace {
namespace {

constexpr std::uint64_t kDefaultAlignment = 32;
constexpr std::uint64_t kKeyBytesMin = 8 + 1 + 4 + 1;         // name, type, smallest value
constexpr std::uint64_t kTensorBytesMin = 8 + 1 + 4 + 4 + 8;  // name, rank, type, offset

// A tensor info as it lies in the header.
struct RawTensor {
  std::string_view name;
  std::vector<std::uint64_t> extents;  // Outermost first.
  std::uint32_t type_number = 0;
  std::uint64_t offset = 0;
};

class GgufParser {
 public:
  GgufParser(std::span<const std::byte> image, const std::string& name)
      : image_(image),
        name_(name),
        reader_(image.first(std::min<std::size_t>(image.size(), kGgufHeaderBytesMax))) {}

  Result<GgufImage> parse() {
    GgufImage out;
    TRY(read_header(out));
    std::vector<GgufEntry> entries;
    entries.reserve(static_cast<std::size_t>(num_keys_));
    for (std::uint64_t i = 0; i < num_keys_; ++i) entries.push_back(TRY(read_entry(i)));
    out.metadata = TRY(GgufMetadata::create(name_, std::move(entries)));
    out.alignment = TRY(read_alignment(out.metadata));

    std::vector<RawTensor> raw;
    raw.reserve(static_cast<std::size_t>(num_tensors_));
    for (std::uint64_t i = 0; i < num_tensors_; ++i) raw.push_back(TRY(read_tensor(i)));
    out.data_offset = round_up(reader_.offset(), out.alignment);
    out.tensors.reserve(raw.size());
    for (const RawTensor& tensor : raw) out.tensors.push_back(TRY(place(tensor, out)));
    TRY(check_overlap(out.tensors));
    return out;
  }

 private:
  Error corrupt(const std::string& what) const {
    return Error{ErrorCode::kCorruptData, name_ + ": GGUF " + what};
  }

  // The next plain value of the header, or an error that names it.
  template <class T>
  Result<T> field(const std::string& what) {
    if (const auto value = reader_.read<T>()) return *value;
    return corrupt(what + " needs " + std::to_string(sizeof(T)) + " bytes at byte " +
                   std::to_string(reader_.offset()) + ", " + left_text());
  }

  Result<std::string_view> text_field(const std::string& what, std::uint64_t bytes_max) {
    const auto length = TRY(field<std::uint64_t>(what));
    if (length == 0 || length > bytes_max) {
      return corrupt(what + " is " + std::to_string(length) + " bytes long, expected 1 to " +
                     std::to_string(bytes_max));
    }
    if (const auto text = reader_.take(length))
      return std::string_view(reinterpret_cast<const char*>(text->data()), text->size());
    return corrupt(what + " is " + std::to_string(length) + " bytes long at byte " +
                   std::to_string(reader_.offset()) + ", " + left_text());
  }

  std::string left_text() const {
    const bool is_limit = image_.size() > kGgufHeaderBytesMax;
    return std::to_string(reader_.num_left()) + " are left" +
           (is_limit ? " of the " + std::to_string(kGgufHeaderBytesMax) + " that a header may have"
                     : "");
  }

  Status read_header(GgufImage& out) {
    const auto magic = TRY(field<std::uint32_t>("magic"));
    if (magic != 0x46554747u) return corrupt("magic is wrong: the file does not begin with GGUF");
    out.version = TRY(field<std::uint32_t>("version"));
    if (out.version == 0x02000000u || out.version == 0x03000000u) {
      return Error{ErrorCode::kUnsupported, name_ + ": GGUF file is big-endian, expected little"};
    }
    if (out.version != 2 && out.version != 3) {
      return Error{ErrorCode::kUnsupported, name_ + ": GGUF version is " +
                                                std::to_string(out.version) + ", expected 2 or 3"};
    }
    num_tensors_ = TRY(field<std::uint64_t>("tensor count"));
    num_keys_ = TRY(field<std::uint64_t>("key count"));
    TRY(check_count("tensor count", num_tensors_, kGgufTensorsMax, kTensorBytesMin));
    TRY(check_count("key count", num_keys_, kGgufKeysMax, kKeyBytesMin));
    return Ok{};
  }

  // A count must be within its limit and have room for its smallest items.
  Status check_count(const std::string& what, std::uint64_t count, std::uint64_t limit,
                     std::uint64_t item_bytes_min) const {
    if (count > limit) {
      return Error{ErrorCode::kTooLarge, name_ + ": GGUF " + what + " is " + std::to_string(count) +
                                             ", expected at most " + std::to_string(limit)};
    }
    if (count * item_bytes_min <= reader_.num_left()) return Ok{};
    return corrupt(what + " is " + std::to_string(count) + ", more than " +
                   std::to_string(reader_.num_left()) + " bytes can hold");
  }

  Result<GgufEntry> read_entry(std::uint64_t index) {
    GgufEntry entry;
    entry.key = TRY(text_field("key " + std::to_string(index), kGgufKeyBytesMax));
    const std::string what = "key " + in_quotes(entry.key);
    const auto number = TRY(field<std::uint32_t>("type of " + what));
    const auto type = gguf_type_from_number(number);
    if (!type) {
      return corrupt(what + " has type number " + std::to_string(number) + ", expected 0 to " +
                     std::to_string(kNumGgufTypes - 1));
    }
    entry.value.type = *type;
    std::string fault;
    const std::size_t begin = reader_.offset();
    const auto payload = take_gguf_value(reader_, *type, fault);
    if (!payload) return corrupt(what + " at byte " + std::to_string(begin) + " " + fault);
    entry.value.payload = *payload;
    return entry;
  }

  Result<std::uint64_t> read_alignment(const GgufMetadata& metadata) const {
    const auto alignment = TRY(metadata.get_optional<std::uint64_t>("general.alignment"));
    if (!alignment) return kDefaultAlignment;
    if (std::has_single_bit(*alignment) && *alignment <= kGgufAlignmentMax) return *alignment;
    return corrupt("key 'general.alignment' is " + std::to_string(*alignment) +
                   ", expected a power of two up to " + std::to_string(kGgufAlignmentMax));
  }

  Result<RawTensor> read_tensor(std::uint64_t index) {
    RawTensor tensor;
    tensor.name =
        TRY(text_field("name of tensor " + std::to_string(index), kGgufTensorNameBytesMax));
    const std::string what = "tensor " + in_quotes(tensor.name);
    const auto rank = TRY(field<std::uint32_t>("rank of " + what));
    if (rank > Shape::kRankMax) {
      return corrupt(what + " has " + std::to_string(rank) + " dimensions, expected at most " +
                     std::to_string(Shape::kRankMax));
    }
    tensor.extents.resize(rank);
    for (std::uint32_t i = 0; i < rank; ++i)
      tensor.extents[rank - 1 - i] = TRY(field<std::uint64_t>("shape of " + what));
    tensor.type_number = TRY(field<std::uint32_t>("type of " + what));
    tensor.offset = TRY(field<std::uint64_t>("offset of " + what));
    return tensor;
  }

  // Checks type, shape and range of a tensor against each other and the file.
  Result<TensorInfo> place(const RawTensor& raw, const GgufImage& out) const {
    const std::string what = "tensor " + in_quotes(raw.name);
    const auto checked = check_extents(raw.extents);
    if (!checked) return corrupt(what + " has shape " + extents_text(raw.extents) + ": too large");
    if (raw.offset % out.alignment != 0) {
      return corrupt(what + " has offset " + std::to_string(raw.offset) +
                     ", expected a multiple of " + std::to_string(out.alignment));
    }
    TensorInfo info;
    info.name = raw.name;
    info.shape = checked->shape;
    const GgufTensorType* type = gguf_tensor_type(raw.type_number);
    if (type == nullptr) {
      info.type_name = "type number " + std::to_string(raw.type_number);
      info.refusal = info.type_name + " is not known";
      return info;
    }
    info.type_name = type->name;
    info.dtype = type->dtype;
    if (!type->dtype) {
      info.refusal = "type " + info.type_name + " is not supported: " + std::string(type->advice);
    }
    if (type->block_bytes == 0) return info;
    const std::uint64_t row = raw.extents.empty() ? 1 : raw.extents.back();
    if (row % type->block_elements != 0) {
      return corrupt(what + " of type " + info.type_name + " has rows of " + std::to_string(row) +
                     " elements, expected a multiple of " + std::to_string(type->block_elements));
    }
    const auto num_bytes =
        checked_mul(checked->num_elements / type->block_elements, type->block_bytes);
    if (!num_bytes)
      return corrupt(what + " has shape " + extents_text(raw.extents) + ": too large");
    if (*num_bytes == 0) return info;
    const auto begin = checked_add(out.data_offset, raw.offset);
    const auto end = begin ? checked_add(*begin, *num_bytes) : std::nullopt;
    if (!end || *end > image_.size()) {
      return corrupt(what + " has " + std::to_string(*num_bytes) + " bytes at offset " +
                     std::to_string(raw.offset) + " of the data, which begins at byte " +
                     std::to_string(out.data_offset) + " of a file of " +
                     std::to_string(image_.size()));
    }
    info.bytes =
        image_.subspan(static_cast<std::size_t>(*begin), static_cast<std::size_t>(*num_bytes));
    return info;
  }

  Status check_overlap(const std::vector<TensorInfo>& tensors) const {
    std::vector<const TensorInfo*> order;
    for (const TensorInfo& info : tensors) {
      if (!info.bytes.empty()) order.push_back(&info);
    }
    const auto begin_of = [](const TensorInfo* info) { return info->bytes.data(); };
    std::sort(order.begin(), order.end(),
              [&](const auto* a, const auto* b) { return begin_of(a) < begin_of(b); });
    for (std::size_t i = 1; i < order.size(); ++i) {
      const TensorInfo& before = *order[i - 1];
      if (begin_of(&before) + before.bytes.size() <= begin_of(order[i])) continue;
      return corrupt("tensors " + in_quotes(before.name) + " and " + in_quotes(order[i]->name) +
                     " overlap at byte " + std::to_string(begin_of(order[i]) - image_.data()));
    }
    return Ok{};
  }

  std::span<const std::byte> image_;
  const std::string& name_;
  ByteReader reader_;
  std::uint64_t num_tensors_ = 0;
  std::uint64_t num_keys_ = 0;
};

}  // namespace

Result<GgufImage> parse_gguf(std::span<const std::byte> image, const std::string& name) {
  return GgufParser(image, name).parse();
}

}  // namespace millrace
