// What this process may use of the machine: processors and memory, container limits included.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace millrace {

// Processors that threads of ours can run on at once: the affinity mask, one per physical core, cut
// to the cgroup's quota. At least 1.
std::size_t num_usable_cpus();

// Bytes that can still be taken without swapping or being killed: what the system says is
// available, cut to what the cgroup's limits leave.
std::uint64_t memory_available_bytes();

// "AMD EPYC 7B13", or the architecture where the system does not say.
std::string cpu_name();

// Files under another root, for tests: `root` stands for "/".
std::size_t num_usable_cpus_under(const std::string& root, std::size_t num_in_mask);
std::uint64_t memory_available_bytes_under(const std::string& root);

}  // namespace millrace
