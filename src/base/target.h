// Target regions: functions between BEGIN_TARGET and END_TARGET are compiled for an instruction
// set.
//
// Every header is included before the region, so that no inline helper shared with baseline code is
// emitted with instructions that a plain machine lacks.
#pragma once

#define MILLRACE_PRAGMA(text) _Pragma(#text)

#if defined(__clang__)
#define BEGIN_TARGET(isa) \
  MILLRACE_PRAGMA(clang attribute push(__attribute__((target(isa))), apply_to = function))
#define END_TARGET MILLRACE_PRAGMA(clang attribute pop)
#else
#define BEGIN_TARGET(isa) MILLRACE_PRAGMA(GCC push_options) MILLRACE_PRAGMA(GCC target(isa))
#define END_TARGET MILLRACE_PRAGMA(GCC pop_options)
#endif
