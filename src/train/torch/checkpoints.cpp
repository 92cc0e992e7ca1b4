// Checkpoints of a run: folders that appear by one rename.
#include "train/torch/checkpoints.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <vector>

#include "base/file.h"
#include "formats/safetensors.h"
#include "formats/safetensors_writer.h"
#include "model/output_folder.h"
#include "train/model_folder.h"
#include "train/torch/twin_source.h"

namespace millrace {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "step-";
constexpr std::size_t kStepDigits = 8;

std::string folder_of(const std::string& run_folder) {
  return run_folder + "/checkpoints";
}

bool is_checkpoint_name(const std::string& name) {
  return name.size() == kPrefix.size() + kStepDigits && name.starts_with(kPrefix) &&
         std::all_of(name.begin() + kPrefix.size(), name.end(),
                     [](char c) { return c >= '0' && c <= '9'; });
}

std::string name_of(std::size_t num_steps) {
  const std::string digits = std::to_string(num_steps);
  return std::string(kPrefix) +
         std::string(kStepDigits - std::min(kStepDigits, digits.size()), '0') + digits;
}

std::vector<std::string> names_in(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    names.push_back(entry->path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::span<const std::byte> bytes_of(const at::Tensor& tensor) {
  return {static_cast<const std::byte*>(tensor.data_ptr()), tensor.nbytes()};
}

Shape shape_of(const at::Tensor& tensor) {
  Shape shape;
  for (const std::int64_t size : tensor.sizes()) shape.push_back(static_cast<std::size_t>(size));
  return shape;
}

Status write_moments(const std::string& folder, const AdamW& optimizer) {
  std::error_code error;
  fs::create_directory(folder, error);
  std::vector<TensorDeclaration> declared;
  for (std::size_t i = 0; i < optimizer.moments().size(); ++i) {
    const Shape shape = shape_of(optimizer.moments()[i].first);
    declared.push_back({"first." + std::to_string(i), DType::kF32, shape});
    declared.push_back({"second." + std::to_string(i), DType::kF32, shape});
  }
  const auto writer =
      TRY(create_safetensors(folder, declared, {.shard_bytes_max = std::uint64_t{1} << 62}));
  for (const TensorDeclaration& tensor : writer->tensors()) {
    const std::size_t dot = tensor.name.find('.');
    const auto& moments = optimizer.moments()[std::stoul(tensor.name.substr(dot + 1))];
    const at::Tensor value = dot == 5 ? moments.first : moments.second;
    TRY(writer->append(bytes_of(value.cpu().contiguous())));
  }
  return writer->finish();
}

// What a killed run had begun to write, and what a newer checkpoint has replaced.
void remove_others(const std::string& folder, const std::string& kept) {
  for (const std::string& name : names_in(folder)) {
    std::error_code ignored;
    if (name != kept && name.starts_with(kPrefix)) fs::remove_all(folder + "/" + name, ignored);
  }
}

}  // namespace

TwinSource::TwinSource(const Twin& twin) : twin_(&twin) {}

Status TwinSource::read(const RequiredTensor& tensor, std::size_t begin, std::size_t count,
                        std::span<std::byte> bytes) const {
  const at::Tensor* value = twin_->find(tensor.key.role, tensor.key.layer, tensor.key.expert);
  CHECK(value != nullptr);
  const at::Tensor rows =
      value->detach()
          .narrow(0, static_cast<std::int64_t>(begin), static_cast<std::int64_t>(count))
          .cpu()
          .contiguous();
  CHECK(rows.nbytes() == bytes.size());
  std::memcpy(bytes.data(), rows.data_ptr(), bytes.size());
  return Ok{};
}

std::optional<std::string> newest_checkpoint(const std::string& run_folder) {
  const std::string folder = folder_of(run_folder);
  std::optional<std::string> newest;
  for (const std::string& name : names_in(folder)) {
    if (is_checkpoint_name(name)) newest = folder + "/" + name;
  }
  return newest;
}

Result<CheckpointState> read_checkpoint_state(const std::string& checkpoint,
                                              const std::string& identity) {
  const std::string path = checkpoint + "/state.json";
  const Json json = TRY(read_json_file(path));
  if (!json.is_object() || !json.contains("steps") || !json["steps"].is_number_unsigned() ||
      !json.contains("tokens") || !json["tokens"].is_number_unsigned()) {
    return Error{ErrorCode::kCorruptData, path + ": expected steps and tokens"};
  }
  if (json.value("identity", "") != identity) {
    return Error{ErrorCode::kInvalidArgument,
                 checkpoint +
                     " is of a run with other settings or data: name another folder, or "
                     "remove it to begin anew"};
  }
  return CheckpointState{json["steps"].get<std::size_t>(), json["tokens"].get<std::uint64_t>()};
}

Status write_run_checkpoint(const TrainJob& job, const Twin& twin, const AdamW& optimizer,
                            const CheckpointState& state) {
  const std::string folder = folder_of(job.folder);
  const std::string name = name_of(state.num_steps);
  std::error_code ignored;
  if (fs::exists(folder + "/" + name, ignored)) return Ok{};
  OutputFolder output = TRY(OutputFolder::create(folder + "/" + name, Overwrite::kRefuse));
  const TwinSource source(twin);
  const ExportFacts facts;
  TRY(write_model_folder(
      {.spec = job.spec, .facts = &facts, .source = &source, .config = job.config}, job.files,
      output.path() + "/model"));
  TRY(write_moments(output.path() + "/moments", optimizer));
  const OrderedJson json = {
      {"steps", state.num_steps}, {"tokens", state.num_tokens}, {"identity", job.identity}};
  TRY(write_file(output.path() + "/state.json", json.dump(2) + "\n"));
  TRY(output.finish());
  remove_others(folder, name);
  return Ok{};
}

Status read_moments(const std::string& checkpoint, const Twin& twin, AdamW& optimizer) {
  const auto source = TRY(SafetensorsFolder::open_file(checkpoint + "/moments/model.safetensors"));
  for (std::size_t i = 0; i < optimizer.moments().size(); ++i) {
    const std::string number = std::to_string(i);
    for (const bool is_first : {true, false}) {
      const SourceTensor stored = TRY(source->tensor((is_first ? "first." : "second.") + number));
      at::Tensor value = at::empty_like(twin.parameters()[i].value, at::kFloat).cpu();
      if (stored.dtype != DType::kF32 || stored.shape != shape_of(value)) {
        return Error{ErrorCode::kCorruptData, checkpoint + ": moments " + number + " have shape " +
                                                  to_string(stored.shape) + ", expected f32 " +
                                                  to_string(shape_of(value))};
      }
      std::memcpy(value.data_ptr(), stored.bytes.data(), stored.bytes.size());
      AdamW::Moments& moments = optimizer.moments()[i];
      const at::NoGradGuard no_gradients;
      (is_first ? moments.first : moments.second).copy_(value);
    }
  }
  return source->check_intact();
}

}  // namespace millrace
