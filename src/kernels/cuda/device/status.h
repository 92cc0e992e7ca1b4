// Errors of CUDA's calls as ours: the call's name, CUDA's name for what happened and its sentence.
#pragma once

#include <cublasLt.h>
#include <cuda_runtime.h>

#include <string>

#include "base/result.h"

namespace millrace::cuda {

inline Status cuda_status(cudaError_t code, const char* call) {
  if (code == cudaSuccess) return Ok{};
  const bool is_full = code == cudaErrorMemoryAllocation;
  return Error{is_full ? ErrorCode::kResourceExhausted : ErrorCode::kUnavailable,
               std::string(call) + ": " + cudaGetErrorName(code) + ", " + cudaGetErrorString(code)};
}

inline Status cublas_status(cublasStatus_t code, const char* call) {
  if (code == CUBLAS_STATUS_SUCCESS) return Ok{};
  return Error{ErrorCode::kUnavailable, std::string(call) + ": " + cublasLtGetStatusName(code) +
                                            ", " + cublasLtGetStatusString(code)};
}

// In the step loop there is nobody who could go on without the device: the process ends, saying
// which call failed and why.
inline void must_succeed(const Status& status) {
  if (status.ok()) return;
  check_failed(status.error().message.c_str(), status.error().file, status.error().line);
}

}  // namespace millrace::cuda
