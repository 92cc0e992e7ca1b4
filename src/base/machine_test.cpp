// Processors and memory under container limits, from made-up /proc and /sys trees.
#include "base/machine.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "base/file.h"

namespace millrace {
namespace {

class MachineTest : public ::testing::Test {
 protected:
  MachineTest()
      : root_(std::filesystem::temp_directory_path() /
              ("millrace_machine_" + std::to_string(::getpid()))) {}
  ~MachineTest() override { std::filesystem::remove_all(root_); }

  void put(const std::string& path, const std::string& text) {
    std::filesystem::create_directories((root_ / path).parent_path());
    ASSERT_TRUE(write_file((root_ / path).string(), text).ok());
  }
  std::string root() const { return root_.string(); }

 private:
  std::filesystem::path root_;
};

TEST_F(MachineTest, WithoutLimitsTheSystemDecides) {
  put("proc/meminfo", "MemTotal:       2000 kB\nMemAvailable:    1000 kB\n");
  EXPECT_EQ(memory_available_bytes_under(root()), 1000u * 1024);
  EXPECT_EQ(num_usable_cpus_under(root(), 6), 6u);
  EXPECT_EQ(num_usable_cpus_under(root(), 0), 1u);
}

TEST_F(MachineTest, TheTightestGroupOfVersion2Binds) {
  put("proc/meminfo", "MemAvailable:    100000000 kB\n");
  put("proc/self/cgroup", "0::/slice/pod\n");
  put("sys/fs/cgroup/slice/memory.max", "5000\n");
  put("sys/fs/cgroup/slice/memory.current", "1000\n");
  put("sys/fs/cgroup/slice/pod/memory.max", "max\n");
  put("sys/fs/cgroup/slice/pod/memory.current", "900\n");
  put("sys/fs/cgroup/slice/pod/cpu.max", "150000 100000\n");
  EXPECT_EQ(memory_available_bytes_under(root()), 4000u);
  EXPECT_EQ(num_usable_cpus_under(root(), 8), 2u);
}

TEST_F(MachineTest, Version1AndAnExhaustedLimit) {
  put("proc/meminfo", "MemAvailable:    100000000 kB\n");
  put("proc/self/cgroup", "5:memory:/docker/a\n4:cpu,cpuacct:/docker/a\n");
  put("sys/fs/cgroup/memory/docker/a/memory.limit_in_bytes", "3000\n");
  put("sys/fs/cgroup/memory/docker/a/memory.usage_in_bytes", "4000\n");
  put("sys/fs/cgroup/cpu/docker/a/cpu.cfs_quota_us", "-1\n");
  put("sys/fs/cgroup/cpu/docker/a/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(memory_available_bytes_under(root()), 0u);
  EXPECT_EQ(num_usable_cpus_under(root(), 3), 3u);
}

TEST(Machine, ThisOneHasProcessorsAndMemory) {
  EXPECT_GE(num_usable_cpus(), 1u);
  EXPECT_GT(memory_available_bytes(), 1u << 20);
  EXPECT_FALSE(cpu_name().empty());
}

}  // namespace
}  // namespace millrace
