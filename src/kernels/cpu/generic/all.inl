// The algorithms of one row, in order of use, and the table that lists them. Included by each
// row's table.cpp inside its namespace and target region, after its simd.h.
#include "kernels/cpu/generic/math.inl"
//
#include "kernels/cpu/generic/elementwise.inl"
#include "kernels/cpu/generic/rows.inl"
//
#include "kernels/cpu/generic/kv_store.inl"
//
#include "kernels/cpu/generic/attention_scratch.inl"
//
#include "kernels/cpu/generic/attention.inl"
//
#include "kernels/cpu/generic/matmul.inl"
//
#include "kernels/cpu/generic/matmul_float.inl"
#include "kernels/cpu/generic/matmul_int.inl"

static constexpr CpuKernels make_table(std::string_view isa, bool (*is_runnable)()) {
  return {
      .isa = isa,
      .is_runnable = is_runnable,
      .matmul = {matmul_float<float>, matmul_float<Float16>, matmul_float<BFloat16>,
                 matmul_float<Float8>, matmul_int<Int8Format>, matmul_int<Int4Format>,
                 matmul_int<Int4MinFormat>, matmul_int<Int8G32Format>, matmul_int<Int8G32MinFormat>,
                 matmul_int<Int8G16Format>, matmul_int<Int4G32Format>, matmul_int<Int4G32MinFormat>,
                 matmul_int<Int4G16Format>, matmul_int<Int4G16MinFormat>, matmul_int<E2m1G32Format>,
                 matmul_int<Iq4G32Format>},
      .quantize_row = quantize_row,
      .rms_norm = rms_norm,
      .layer_norm = layer_norm,
      .rope = rope,
      .kv_store = kv_store,
      .attention = attention,
      .gated_activation = gated_activation,
      .clamped_gate = clamped_gate,
      .activate = activate,
      .add = add,
      .scale = scale,
      .softcap = softcap,
      .add_scaled = add_scaled};
}
