// y = x W^T, row by row, is Y^T = W X^T column by column, which is how cuBLASLt sees it: A is W
// transposed, B is x, D is y.
#include "kernels/cuda/device/matmul_library.h"

namespace millrace::cuda {
namespace {

// What cuBLASLt's guide recommends for Hopper.
constexpr std::size_t kWorkspaceBytes = 32u << 20;
// Pointers and rows of everything we multiply are multiples of it; CudaOps looks.
constexpr std::uint32_t kAlignment = 16;

using Desc = Owned<cublasLtMatmulDesc_t, cublasLtMatmulDescDestroy>;
using Layout = Owned<cublasLtMatrixLayout_t, cublasLtMatrixLayoutDestroy>;
using Preference = Owned<cublasLtMatmulPreference_t, cublasLtMatmulPreferenceDestroy>;

Result<Layout> make_layout(cudaDataType_t type, std::uint64_t num_rows, std::uint64_t num_cols,
                           std::size_t stride) {
  cublasLtMatrixLayout_t layout = nullptr;
  TRY(cublas_status(cublasLtMatrixLayoutCreate(&layout, type, num_rows, num_cols,
                                               static_cast<std::int64_t>(stride)),
                    "cublasLtMatrixLayoutCreate"));
  return Layout(layout);
}

template <class Value>
Status set(cublasLtMatmulDesc_t desc, cublasLtMatmulDescAttributes_t name, const Value& value) {
  return cublas_status(cublasLtMatmulDescSetAttribute(desc, name, &value, sizeof value),
                       "cublasLtMatmulDescSetAttribute");
}
template <class Value>
Status set(cublasLtMatmulPreference_t preference, cublasLtMatmulPreferenceAttributes_t name,
           const Value& value) {
  return cublas_status(cublasLtMatmulPreferenceSetAttribute(preference, name, &value, sizeof value),
                       "cublasLtMatmulPreferenceSetAttribute");
}

Result<Preference> make_preference() {
  cublasLtMatmulPreference_t raw = nullptr;
  TRY(cublas_status(cublasLtMatmulPreferenceCreate(&raw), "cublasLtMatmulPreferenceCreate"));
  Preference preference(raw);
  TRY(set(raw, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, std::uint64_t{kWorkspaceBytes}));
  for (const cublasLtMatmulPreferenceAttributes_t name :
       {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES}) {
    TRY(set(raw, name, kAlignment));
  }
  return preference;
}

}  // namespace

struct CublasLibrary::Plan {
  Desc desc;
  Layout weight, x, y;
  cublasLtMatmulAlgo_t algorithm{};
};

CublasLibrary::CublasLibrary(cudaStream_t stream, LtHandle handle, Buffer workspace)
    : stream_(stream), handle_(std::move(handle)), workspace_(std::move(workspace)) {}

Result<std::unique_ptr<CublasLibrary>> CublasLibrary::create(cudaStream_t stream,
                                                             DeviceMemory& memory) {
  cublasLtHandle_t handle = nullptr;
  TRY(cublas_status(cublasLtCreate(&handle), "cublasLtCreate"));
  LtHandle owned(handle);
  Buffer workspace = TRY(Buffer::allocate(kWorkspaceBytes, memory));
  return std::unique_ptr<CublasLibrary>(
      new CublasLibrary(stream, std::move(owned), std::move(workspace)));
}

Status CublasLibrary::plan(const ProductArgs& args, std::size_t x_stride, Plan& plan) {
  const bool is_f32 = args.weight.format == WeightFormat::kF32;
  const cudaDataType_t type = is_f32 ? CUDA_R_32F : CUDA_R_16BF;
  const std::size_t element_bytes = is_f32 ? 4 : 2;
  cublasLtMatmulDesc_t desc = nullptr;
  TRY(cublas_status(cublasLtMatmulDescCreate(&desc, CUBLAS_COMPUTE_32F, CUDA_R_32F),
                    "cublasLtMatmulDescCreate"));
  plan.desc = Desc(desc);
  TRY(set(desc, CUBLASLT_MATMUL_DESC_TRANSA, CUBLAS_OP_T));
  if (args.bias != nullptr) {
    TRY(set(desc, CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS));
    TRY(set(desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER, args.bias));
  }
  plan.weight = TRY(make_layout(type, args.weight.num_cols, args.weight.num_rows,
                                args.weight.row_bytes / element_bytes));
  plan.x = TRY(make_layout(type, args.weight.num_cols, args.num_rows, x_stride));
  plan.y = TRY(make_layout(CUDA_R_32F, args.weight.num_rows, args.num_rows, args.y.stride));
  const Preference preference = TRY(make_preference());
  cublasLtMatmulHeuristicResult_t found{};
  int num_found = 0;
  TRY(cublas_status(cublasLtMatmulAlgoGetHeuristic(handle_.get(), desc, plan.weight.get(),
                                                   plan.x.get(), plan.y.get(), plan.y.get(),
                                                   preference.get(), 1, &found, &num_found),
                    "cublasLtMatmulAlgoGetHeuristic"));
  if (num_found == 0) {
    return Error{ErrorCode::kUnsupported, "cuBLASLt has no algorithm for this product"};
  }
  plan.algorithm = found.algo;
  return Ok{};
}

void CublasLibrary::multiply(const ProductArgs& args, const std::uint16_t* twin) {
  const bool is_f32 = args.weight.format == WeightFormat::kF32;
  const std::size_t x_stride = is_f32 ? args.x.stride : args.weight.num_cols;
  const Shape shape = {args.weight.format,
                       args.num_rows,
                       args.weight.num_rows,
                       args.weight.num_cols,
                       args.y.stride,
                       args.bias != nullptr,
                       args.accumulate == Accumulate::kAdd};
  std::unique_ptr<Plan>& known = plans_[shape];
  if (known == nullptr) {
    known = std::make_unique<Plan>();
    must_succeed(plan(args, x_stride, *known));
  }
  if (args.bias != nullptr) {
    must_succeed(set(known->desc.get(), CUBLASLT_MATMUL_DESC_BIAS_POINTER, args.bias));
  }
  const float one = 1.0f;
  const float kept = args.accumulate == Accumulate::kAdd ? 1.0f : 0.0f;
  const void* x = is_f32 ? static_cast<const void*>(args.x.data) : twin;
  must_succeed(
      cublas_status(cublasLtMatmul(handle_.get(), known->desc.get(), &one, args.weight.values,
                                   known->weight.get(), x, known->x.get(), &kept, args.y.data,
                                   known->y.get(), args.y.data, known->y.get(), &known->algorithm,
                                   workspace_.bytes().data(), kWorkspaceBytes, stream_),
                    "cublasLtMatmul"));
}

}  // namespace millrace::cuda
