// What this machine can do at most, measured: a streaming read, multiply-adds, 8-bit products.
#pragma once

#include <cstddef>
#include <string_view>

#include "base/thread_team.h"

namespace millrace::bench {

// Per second, all threads of the team together; the best of several tries, since a shared machine
// can only take away.
struct Roofs {
  double read_bytes = 0;
  double fma_operations = 0;   // f32, two per multiply-add
  double int8_operations = 0;  // vpmaddubsw + vpmaddwd + add (VNNI: vpdpbusd), two per product
};

// With the widest instructions that `isa` uses. The portable row is measured against AVX2's roofs
// where the machine has AVX2: that is what it leaves on the table.
Roofs measure_roofs(std::string_view isa, ThreadTeam& team);

}  // namespace millrace::bench
