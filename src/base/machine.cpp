// /proc, /sys and cgroup files (v2 and v1) read for processors and memory.
#include "base/machine.h"

#include <sched.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>
#include <set>
#include <string_view>
#include <vector>

#include "base/checked.h"
#include "base/file.h"

namespace millrace {
namespace {

constexpr std::uint64_t kSmallFileBytesMax = 1 << 20;
constexpr std::uint64_t kNoLimit = std::numeric_limits<std::uint64_t>::max();

std::string read_or_empty(const std::string& path) {
  Result<std::string> text = read_file(path, kSmallFileBytesMax);
  return text.ok() ? std::move(text).value() : std::string();
}

// The number that `text` begins with, after spaces; nothing for "max" and the like.
std::optional<std::uint64_t> leading_number(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  std::uint64_t number = 0;
  const auto [rest, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failed != std::errc()) return std::nullopt;
  return number;
}

// The value after `key` in a "key: value" file.
std::optional<std::uint64_t> field(std::string_view text, std::string_view key) {
  const std::size_t at = text.find(key);
  if (at == std::string_view::npos) return std::nullopt;
  return leading_number(text.substr(at + key.size()));
}

// Whether "cpu,cpuacct" lists `name`.
bool lists(std::string_view names, std::string_view name) {
  const std::string separated = "," + std::string(names) + ",";
  return separated.find("," + std::string(name) + ",") != std::string::npos;
}

// The folders of this process's cgroup and all its parents: a limit of any of them binds.
std::vector<std::string> cgroup_folders(const std::string& root, std::string_view controller) {
  const std::string mount =
      root + "/sys/fs/cgroup" + (controller.empty() ? "" : "/" + std::string(controller));
  const std::string text = read_or_empty(root + "/proc/self/cgroup");
  std::string path;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = std::string_view(text).substr(begin, end - begin);
    begin = end + 1;
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string_view::npos ? first : line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    const std::string_view names = line.substr(first + 1, second - first - 1);
    const bool matches = controller.empty() ? names.empty() : lists(names, controller);
    if (matches) path = line.substr(second + 1);
  }
  std::vector<std::string> folders = {mount};
  for (std::size_t slash = path.find('/', 1); !path.empty(); slash = path.find('/', slash + 1)) {
    folders.push_back(mount + path.substr(0, slash));
    if (slash == std::string::npos) break;
  }
  return folders;
}

// What the limit file leaves beside the usage file, over all folders that have both.
std::uint64_t cgroup_memory_left(const std::string& root, std::string_view controller,
                                 const char* limit_file, const char* usage_file) {
  std::uint64_t left = kNoLimit;
  for (const std::string& folder : cgroup_folders(root, controller)) {
    const auto limit = leading_number(read_or_empty(folder + "/" + limit_file));
    const auto usage = leading_number(read_or_empty(folder + "/" + usage_file));
    if (limit && usage) left = std::min(left, *limit > *usage ? *limit - *usage : 0);
  }
  return left;
}

// Processors' worth of time that the cgroup's quota allows, rounded up.
std::uint64_t cgroup_cpus(const std::string& root) {
  std::uint64_t cpus = kNoLimit;
  for (const std::string& folder : cgroup_folders(root, "")) {
    const std::string text = read_or_empty(folder + "/cpu.max");  // "200000 100000" or "max 100000"
    const auto quota = leading_number(text);
    const std::size_t space = text.find(' ');
    const auto period =
        space == std::string::npos ? std::nullopt : leading_number(text.substr(space));
    if (quota && period && *period > 0) cpus = std::min(cpus, ceil_div(*quota, *period));
  }
  for (const std::string& folder : cgroup_folders(root, "cpu")) {
    const auto quota = leading_number(read_or_empty(folder + "/cpu.cfs_quota_us"));
    const auto period = leading_number(read_or_empty(folder + "/cpu.cfs_period_us"));
    if (quota && period && *period > 0) cpus = std::min(cpus, ceil_div(*quota, *period));
  }
  return std::max<std::uint64_t>(cpus, 1);
}

// Sibling threads of one core share its arithmetic units; a second one adds nothing to our kernels.
std::size_t physical_cores(const cpu_set_t& mask) {
  std::set<std::string> cores;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &mask)) continue;
    const std::string siblings = read_or_empty("/sys/devices/system/cpu/cpu" + std::to_string(cpu) +
                                               "/topology/thread_siblings_list");
    cores.insert(siblings.empty() ? std::to_string(cpu) : siblings);
  }
  return cores.size();
}

}  // namespace

std::size_t num_usable_cpus_under(const std::string& root, std::size_t num_in_mask) {
  return static_cast<std::size_t>(
      std::min<std::uint64_t>(std::max<std::size_t>(num_in_mask, 1), cgroup_cpus(root)));
}

std::size_t num_usable_cpus() {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  if (::sched_getaffinity(0, sizeof(mask), &mask) != 0) return 1;
  return num_usable_cpus_under("", physical_cores(mask));
}

std::uint64_t memory_available_bytes_under(const std::string& root) {
  constexpr std::uint64_t kKibibyte = 1024;
  const auto kibibytes = field(read_or_empty(root + "/proc/meminfo"), "MemAvailable:");
  const std::uint64_t system = kibibytes ? *kibibytes * kKibibyte : kNoLimit;
  const std::uint64_t v2 = cgroup_memory_left(root, "", "memory.max", "memory.current");
  const std::uint64_t v1 =
      cgroup_memory_left(root, "memory", "memory.limit_in_bytes", "memory.usage_in_bytes");
  return std::min({system, v2, v1});
}

std::uint64_t memory_available_bytes() {
  return memory_available_bytes_under("");
}

std::string cpu_name() {
  const std::string text = read_or_empty("/proc/cpuinfo");
  const std::string_view key = "model name";
  const std::size_t at = text.find(key);
  const std::size_t colon = at == std::string::npos ? at : text.find(": ", at);
  if (colon == std::string::npos) {
#if defined(__aarch64__)
    return "aarch64";
#else
    return "unknown processor";
#endif
  }
  return text.substr(colon + 2, text.find('\n', colon) - colon - 2);
}

}  // namespace millrace
