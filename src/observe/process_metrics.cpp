// Read from /proc and getrusage at each scrape.
#include "observe/process_metrics.h"

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <sstream>

#include "base/file.h"

namespace millrace {
namespace {

void add(std::vector<MetricSnapshot>& snapshots, const char* name, const char* help,
         MetricKind kind, double value) {
  snapshots.push_back({.name = name, .help = help, .kind = kind, .samples = {{{}, value}}});
}

void add_memory(std::vector<MetricSnapshot>& snapshots) {
  const Result<std::string> text = read_file("/proc/self/statm", 4096);
  if (!text.ok()) return;
  std::istringstream fields(text.value());
  double num_virtual = 0;
  double num_resident = 0;
  if (!(fields >> num_virtual >> num_resident)) return;
  const double page_bytes = static_cast<double>(::sysconf(_SC_PAGESIZE));
  add(snapshots, "process_virtual_memory_bytes", "Virtual memory size.", MetricKind::kGauge,
      num_virtual * page_bytes);
  add(snapshots, "process_resident_memory_bytes", "Resident memory size.", MetricKind::kGauge,
      num_resident * page_bytes);
}

void add_cpu(std::vector<MetricSnapshot>& snapshots) {
  rusage usage = {};
  if (::getrusage(RUSAGE_SELF, &usage) != 0) return;
  const auto in_seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  add(snapshots, "process_cpu_seconds_total", "Processor time, user and system.",
      MetricKind::kCounter, in_seconds(usage.ru_utime) + in_seconds(usage.ru_stime));
}

void add_files(std::vector<MetricSnapshot>& snapshots) {
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir("/proc/self/fd"), &::closedir);
  if (folder != nullptr) {
    double num_open = -1;  // Without the one that we look with.
    while (const dirent* entry = ::readdir(folder.get())) {
      if (entry->d_name[0] != '.') num_open += 1;
    }
    add(snapshots, "process_open_fds", "Open file descriptors.", MetricKind::kGauge, num_open);
  }
  rlimit limit = {};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    add(snapshots, "process_max_fds", "Most open file descriptors.", MetricKind::kGauge,
        static_cast<double>(limit.rlim_cur));
  }
}

// Field 22 of /proc/self/stat counts ticks since the machine's boot, whose time /proc/stat says.
void add_start(std::vector<MetricSnapshot>& snapshots) {
  const Result<std::string> own = read_file("/proc/self/stat", 4096);
  const Result<std::string> machine = read_file("/proc/stat", 4u << 20);
  if (!own.ok() || !machine.ok()) return;
  const std::size_t boot = machine.value().find("\nbtime ");
  const std::size_t name_end = own.value().rfind(')');
  if (boot == std::string::npos || name_end == std::string::npos) return;
  std::istringstream boot_text(machine.value().substr(boot + 7, 20));
  std::istringstream fields(own.value().substr(name_end + 1));
  double boot_seconds = 0;
  double ticks = 0;
  std::string skipped;
  constexpr int kFieldsBefore = 19;  // of fields 3 to 21
  for (int i = 0; i < kFieldsBefore; ++i) fields >> skipped;
  if (!(boot_text >> boot_seconds) || !(fields >> ticks)) return;
  add(snapshots, "process_start_time_seconds", "Start of the process since 1970.",
      MetricKind::kGauge, boot_seconds + ticks / static_cast<double>(::sysconf(_SC_CLK_TCK)));
}

}  // namespace

void collect_process_metrics(std::vector<MetricSnapshot>& snapshots) {
  add_memory(snapshots);
  add_cpu(snapshots);
  add_files(snapshots);
  add_start(snapshots);
}

}  // namespace millrace
