// libtorch's tensors, without its macros CHECK and DCHECK, whose names are ours too.
#pragma once

#pragma push_macro("CHECK")
#pragma push_macro("DCHECK")
#undef CHECK
#undef DCHECK
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/util/Exception.h>
#undef CHECK
#undef DCHECK
#pragma pop_macro("CHECK")
#pragma pop_macro("DCHECK")
