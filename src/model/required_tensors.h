// Every tensor that a spec needs, in the order of the forward pass.
#pragma once

#include <vector>

#include "model/checkpoint_tensors.h"
#include "model/model_spec.h"
#include "tensor/shape.h"

namespace millrace {

struct RequiredTensor {
  TensorKey key;
  Shape shape;          // [rows, columns] of a matrix, [elements] of a vector
  float addend = 0.0f;  // of a vector: added to every element that is stored

  bool is_matrix() const { return shape.rank() == 2; }
};

// One entry per expert and part. The spec must have passed check_spec(): sizes do not overflow.
std::vector<RequiredTensor> required_tensors(const ModelSpec& spec);

}  // namespace millrace
