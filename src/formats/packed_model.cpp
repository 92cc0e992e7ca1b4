// Writing, checking and mapping packed models.
#include "formats/packed_model.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/checked.h"
#include "base/checksum.h"

namespace millrace {
namespace {

constexpr std::array<char, 8> kMagic = {'m', 'i', 'l', 'l', 'p', 'a', 'c', 'k'};
constexpr std::uint64_t kSectionAlignment = 64;
constexpr std::uint64_t kPageBytes = 4096;
constexpr std::uint64_t kHugePageBytes = 2ull << 20;

struct SectionEntry {
  std::uint64_t offset = 0;
  std::uint64_t num_bytes = 0;
  std::uint64_t checksum = 0;
};

// As it lies in the file, the checksum of all that is before it at the end.
struct Header {
  std::array<char, 8> magic = kMagic;
  std::uint32_t version = kPackedModelVersion;
  std::uint32_t layout_version = 0;
  std::uint64_t file_bytes = 0;
  std::array<char, 24> layout{};
  std::array<SectionEntry, kNumPackedSections> sections;
  std::uint64_t checksum = 0;
};
static_assert(std::endian::native == std::endian::little);
static_assert(sizeof(Header) == 200);
static_assert(offsetof(Header, sections) == 48);
static_assert(offsetof(Header, checksum) == 192);

std::uint64_t checksum_of(std::span<const std::byte> bytes) {
  Checksum sum;
  sum.add(bytes);
  return sum.value();
}

std::uint64_t header_checksum(const Header& header) {
  return checksum_of(std::as_bytes(std::span(&header, 1)).first(offsetof(Header, checksum)));
}

std::uint64_t alignment_of(PackedSection section, std::uint64_t num_bytes) {
  if (section != PackedSection::kWeights) return kSectionAlignment;
  return num_bytes > kHugePageBytes ? kHugePageBytes : kPageBytes;
}

const char* section_name(std::size_t section) {
  constexpr std::array<const char*, kNumPackedSections> kNames = {
      "spec", "tokenizer", "config", "generation config", "formats", "weights"};
  return kNames[section];
}

Error corrupt(const std::string& name, const std::string& what) {
  return {ErrorCode::kCorruptData, name + ": " + what};
}

// One entry: inside the file, where the writer would have put it.
Result<std::span<const std::byte>> find_section(std::span<const std::byte> image,
                                                const Header& header, std::size_t index,
                                                std::uint64_t& end, const std::string& name) {
  const SectionEntry& entry = header.sections[index];
  const std::uint64_t alignment = alignment_of(static_cast<PackedSection>(index), entry.num_bytes);
  const std::uint64_t expected = round_up(end, alignment);
  if (entry.offset != expected) {
    return corrupt(name, std::string("section ") + section_name(index) + " is at byte " +
                             std::to_string(entry.offset) + ", expected " +
                             std::to_string(expected));
  }
  if (entry.offset > image.size() || entry.num_bytes > image.size() - entry.offset) {
    return corrupt(name, std::string("section ") + section_name(index) + " of " +
                             std::to_string(entry.num_bytes) + " bytes at byte " +
                             std::to_string(entry.offset) + " exceeds the file of " +
                             std::to_string(image.size()) + " bytes");
  }
  end = entry.offset + entry.num_bytes;
  const auto bytes = image.subspan(entry.offset, entry.num_bytes);
  const bool is_weights = static_cast<PackedSection>(index) == PackedSection::kWeights;
  if (!is_weights && checksum_of(bytes) != entry.checksum) {
    return corrupt(name, std::string("section ") + section_name(index) +
                             " does not match its checksum: the file is damaged");
  }
  return bytes;
}

Status check_header(const Header& header, std::uint64_t num_bytes, const std::string& name) {
  if (header.magic != kMagic) return corrupt(name, "is no packed model");
  if (header.version != kPackedModelVersion) {
    return Error{ErrorCode::kUnsupported,
                 name + " is a packed model of version " + std::to_string(header.version) +
                     ", this program reads version " + std::to_string(kPackedModelVersion) +
                     ": pack it again with `millrace pack`"};
  }
  if (header_checksum(header) != header.checksum) {
    return corrupt(name, "the header does not match its checksum: the file is damaged");
  }
  if (header.file_bytes != num_bytes) {
    return corrupt(name, "the file has " + std::to_string(num_bytes) + " bytes, its header says " +
                             std::to_string(header.file_bytes));
  }
  if (header.layout.back() != '\0') return corrupt(name, "the name of the layout has no end");
  return Ok{};
}

}  // namespace

Status write_packed_model(const std::string& path, const PackedModelParts& parts) {
  Header header;
  header.layout_version = parts.layout_version;
  CHECK(parts.layout.size() < header.layout.size());
  std::copy(parts.layout.begin(), parts.layout.end(), header.layout.begin());
  std::uint64_t end = sizeof(Header);
  for (std::size_t i = 0; i < kNumPackedSections; ++i) {
    SectionEntry& entry = header.sections[i];
    entry.num_bytes = parts.sections[i].size();
    entry.offset = round_up(end, alignment_of(static_cast<PackedSection>(i), entry.num_bytes));
    entry.checksum = checksum_of(parts.sections[i]);
    end = entry.offset + entry.num_bytes;
  }
  header.file_bytes = end;
  header.checksum = header_checksum(header);
  FileWriter writer = TRY(FileWriter::create(path));
  TRY(writer.append(std::as_bytes(std::span(&header, 1))));
  for (std::size_t i = 0; i < kNumPackedSections; ++i) {
    TRY(writer.append_zeros(header.sections[i].offset - writer.num_bytes()));
    TRY(writer.append(parts.sections[i]));
  }
  return writer.finish();
}

bool looks_like_packed_model(std::span<const std::byte> head) {
  return head.size() >= kMagic.size() &&
         std::memcmp(head.data(), kMagic.data(), kMagic.size()) == 0;
}

Result<PackedModelImage> parse_packed_model(std::span<const std::byte> image,
                                            const std::string& name) {
  if (image.size() < sizeof(Header)) {
    return corrupt(name,
                   "a packed model of " + std::to_string(image.size()) + " bytes has no header");
  }
  Header header;
  std::memcpy(&header, image.data(), sizeof header);
  TRY(check_header(header, image.size(), name));
  PackedModelImage parsed;
  parsed.layout_version = header.layout_version;
  parsed.layout = header.layout.data();
  std::uint64_t end = sizeof(Header);
  for (std::size_t i = 0; i < kNumPackedSections; ++i) {
    parsed.sections[i] = TRY(find_section(image, header, i, end, name));
  }
  if (end != image.size()) {
    return corrupt(name, std::to_string(image.size() - end) + " bytes follow the weights");
  }
  parsed.weights_checksum = header.sections.back().checksum;
  return parsed;
}

Result<std::unique_ptr<PackedModelFile>> PackedModelFile::open(const std::string& path) {
  std::unique_ptr<PackedModelFile> file(new PackedModelFile(path));
  TRY(file->map(path));  // For files() and check_intact().
  file->mapping_ = std::make_shared<const MappedFile>(TRY(MappedFile::open(path)));
  file->image_ = TRY(parse_packed_model(file->mapping_->bytes(), path));
  TRY(file->mapping_->check_intact());
  TRY(file->index_names());
  return file;
}

Status PackedModelFile::check_weights() const {
  const std::uint64_t sum = checksum_of(section(PackedSection::kWeights));
  TRY(mapping_->check_intact());
  if (sum == image_.weights_checksum) return Ok{};
  return corrupt(path(), "the weights do not match their checksum: the file is damaged");
}

}  // namespace millrace
