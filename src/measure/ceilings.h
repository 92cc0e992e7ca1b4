// What this machine can do at most, measured: streaming reads and copies, products of several
// kinds, the clock of each core.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "base/thread_team.h"

namespace millrace {

// Per second, all threads of the team together; the best of several tries, since a shared machine
// can only take away. 0: not measured on this machine.
struct Ceilings {
  double read_bytes = 0;       // a plain sum over memory far larger than the caches
  double copy_bytes = 0;       // read and written, both counted
  double fma_operations = 0;   // f32, two per multiply-add
  double int8_operations = 0;  // vpmaddubsw + vpmaddwd + add (VNNI: vpdpbusd), two per product
  // vpmaddubsw + 16-bit add: what products that cannot overflow 16 bits (4-bit weights) may reach.
  double int16_operations = 0;
  double bf16_operations = 0;  // vdpbf16ps, two per product
};

// With the widest instructions that `isa` uses. The portable row is measured against AVX2's
// ceilings where the machine has AVX2: that is what it leaves on the table.
Ceilings measure_ceilings(std::string_view isa, ThreadTeam& team);

// read_bytes alone, in a tenth of the time.
double measure_read_bandwidth(std::string_view isa, ThreadTeam& team);

// Cycles per second of each rank's core, all of them busy, from a chain of dependent
// multiplications of three cycles each. Empty where that latency is not known (anything but
// x86-64).
std::vector<double> measure_core_clocks(ThreadTeam& team);

}  // namespace millrace
