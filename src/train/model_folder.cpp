// Writing of models in training.
#include "train/model_folder.h"

#include "base/file.h"
#include "formats/safetensors_writer.h"
#include "model/tensor_names.h"

namespace millrace {

Status check_trainable_folder(const ModelSpec& spec) {
  for (const RequiredTensor& tensor : required_tensors(spec)) {
    const TensorKey& key = tensor.key;
    const TensorPlace place =
        hugging_face_place(key.role, spec.architecture, key.layer, key.expert);
    if (place.layout == TensorLayout::kWhole && !place.is_transposed) continue;
    return Error{ErrorCode::kUnsupported,
                 spec.architecture + " keeps " + place.name +
                     (place.is_transposed ? " transposed" : " in one tensor with others") +
                     ", which is read but not written"};
  }
  return Ok{};
}

Status write_model_folder(const ExportModel& model, const std::vector<NamedText>& files,
                          const std::string& destination) {
  CHECK(model.config != nullptr);
  TRY(check_trainable_folder(*model.spec));
  const ExportTensors plan =
      TRY(plan_export_tensors(*model.spec, *model.source, ExportLayout::kHuggingFace, DType::kF32));
  std::vector<TensorDeclaration> declared;
  for (const ExportTensor& tensor : plan.tensors) declared.push_back(tensor.declaration);
  OrderedJson config = *model.config;
  config.erase("dtype");
  config["torch_dtype"] = "float32";
  OutputFolder folder = TRY(OutputFolder::create(destination, Overwrite::kReplace));
  for (const NamedText& file : files) {
    TRY(write_file(folder.path() + "/" + file.file_name, file.text));
  }
  TRY(write_file(folder.path() + "/config.json", config.dump(2) + "\n"));
  const auto writer = TRY(create_safetensors(folder.path(), declared));
  TRY(write_export_tensors(plan, *model.source, *writer,
                           [](std::uint64_t, std::uint64_t) -> Status { return Ok{}; }));
  TRY(writer->finish());
  return folder.finish();
}

}  // namespace millrace
