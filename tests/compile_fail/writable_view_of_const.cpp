// What may only be read cannot be handed to something that writes.
// expect: conver(t|sion)
#include "tensor/view.h"

void fill(millrace::TensorView out);
void read(millrace::ConstTensorView in);

void pass_on(millrace::ConstTensorView in) {
#ifdef MUST_NOT_COMPILE
  fill(in);
#else
  read(in);
#endif
}
