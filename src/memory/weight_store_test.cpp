// WeightStore with real processes: one copy, whoever starts first; nothing survives kill -9.
#include "memory/weight_store.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include "memory/weight_registry.h"

namespace millrace {
namespace {

constexpr std::uint64_t kBytes = 8 << 20;

// Counters that forked processes share.
struct Board {
  std::atomic<int> num_built;
  std::atomic<int> num_ready;
  std::atomic<int> num_shared;
  std::atomic<int> num_wrong;
  std::atomic<std::uint64_t> pss_bytes;
  std::atomic<bool> go;
  std::atomic<bool> leave;
};

std::byte content(std::size_t index) {
  return static_cast<std::byte>((index * 2654435761u) >> 13);
}

constexpr auto build_content = [](std::span<std::byte> bytes) -> Status {
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = content(i);
  return Ok{};
};

bool has_content(std::span<const std::byte> bytes) {
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (bytes[i] != content(i)) return false;
  }
  return true;
}

// Proportional set size of this process's mappings of our memory files.
std::uint64_t shared_pss_bytes() {
  std::ifstream file("/proc/self/smaps");
  std::string line;
  bool is_ours = false;
  std::uint64_t sum = 0;
  while (std::getline(file, line)) {
    const bool begins_mapping = line.find('-') < line.find(' ');
    if (begins_mapping) is_ours = line.find("memfd:millrace-weights") != std::string::npos;
    if (is_ours && line.rfind("Pss:", 0) == 0) sum += std::stoull(line.substr(4)) * 1024;
  }
  return sum;
}

class WeightStoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "millrace-store-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
    options_ = {.key = "model a, packing 1, bf16",
                .num_bytes = kBytes,
                .sharing = WeightSharing::kShared,
                .folder = root_ + "/registry"};
    void* page =
        ::mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(page, MAP_FAILED);
    board_ = new (page) Board{};
  }
  void TearDown() override {
    for (const pid_t child : children_) {
      ::kill(child, SIGKILL);
      ::waitpid(child, nullptr, 0);
    }
    ::munmap(board_, sizeof(Board));
    std::filesystem::remove_all(root_);
  }

  pid_t spawn(const std::function<void()>& work) {
    const pid_t child = ::fork();
    if (child == 0) {
      work();
      ::_exit(0);
    }
    children_.push_back(child);
    return child;
  }
  void reap(pid_t child) {
    ::waitpid(child, nullptr, 0);
    std::erase(children_, child);
  }
  void kill_hard(pid_t child) {
    ::kill(child, SIGKILL);
    reap(child);
  }
  static void wait_for(const std::function<bool()>& condition) {
    for (int i = 0; i < 4000 && !condition(); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    ASSERT_TRUE(condition());
  }

  // Opens, notes on the board what came out, stays until told to leave.
  void hold() {
    Result<WeightStore> store = WeightStore::open(options_, [&](std::span<std::byte> bytes) {
      ++board_->num_built;
      return build_content(bytes);
    });
    if (!store.ok() || !has_content(store.value().bytes())) ++board_->num_wrong;
    if (store.ok() && store.value().is_shared()) ++board_->num_shared;
    ++board_->num_ready;
    while (!board_->leave) std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  WeightStore open_here() {
    return MUST(WeightStore::open(options_, [&](std::span<std::byte> bytes) {
      ++board_->num_built;
      return build_content(bytes);
    }));
  }
  std::string registry_file() const {
    for (const auto& entry : std::filesystem::directory_iterator(options_.folder)) {
      return entry.path();
    }
    return "";
  }

  std::string root_;
  WeightStoreOptions options_;
  Board* board_ = nullptr;
  std::vector<pid_t> children_;
};

TEST_F(WeightStoreTest, PrivateBytesAreBuiltHereAndProtected) {
  options_.sharing = WeightSharing::kPrivate;
  const WeightStore store = open_here();
  EXPECT_FALSE(store.is_shared());
  EXPECT_TRUE(store.was_built_here());
  EXPECT_EQ(store.fallback_reason(), "");
  EXPECT_TRUE(has_content(store.bytes()));
  EXPECT_DEATH(const_cast<std::byte&>(store.bytes()[0]) = std::byte{1}, "");
}

TEST_F(WeightStoreTest, SharedBytesCannotBeWrittenOrCut) {
  const WeightStore store = open_here();
  ASSERT_TRUE(store.is_shared()) << store.fallback_reason();
  EXPECT_TRUE(has_content(store.bytes()));
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(store.bytes().data()) % 4096, 0u);
  EXPECT_DEATH(const_cast<std::byte&>(store.bytes()[0]) = std::byte{1}, "");
  std::byte* page = const_cast<std::byte*>(store.bytes().data());
  EXPECT_NE(::mprotect(page, 4096, PROT_READ | PROT_WRITE), 0);
}

TEST_F(WeightStoreTest, SecondProcessMapsWhatTheFirstBuilt) {
  spawn([&] { hold(); });
  wait_for([&] { return board_->num_ready == 1; });
  const WeightStore store = open_here();
  EXPECT_TRUE(store.is_shared());
  EXPECT_FALSE(store.was_built_here());
  EXPECT_EQ(board_->num_built, 1);
  EXPECT_TRUE(has_content(store.bytes()));
}

TEST_F(WeightStoreTest, ConcurrentStartsBuildOnceAndHoldOneCopy) {
  constexpr int kProcesses = 6;
  for (int i = 0; i < kProcesses; ++i) {
    spawn([&] {
      while (!board_->go) std::this_thread::yield();
      const WeightStore store = open_here();
      if (!store.is_shared() || !has_content(store.bytes())) ++board_->num_wrong;
      ++board_->num_ready;
      while (board_->num_ready < kProcesses) std::this_thread::yield();
      board_->pss_bytes += shared_pss_bytes();
      ++board_->num_shared;
      while (board_->num_shared < kProcesses) std::this_thread::yield();
    });
  }
  board_->go = true;
  for (const pid_t child : std::vector<pid_t>(children_)) reap(child);
  EXPECT_EQ(board_->num_built, 1);
  EXPECT_EQ(board_->num_wrong, 0);
  const double copies = static_cast<double>(board_->pss_bytes) / static_cast<double>(kBytes);
  RecordProperty("copies", std::to_string(copies));
  EXPECT_GT(copies, 0.95);
  EXPECT_LT(copies, 1.05);
}

TEST_F(WeightStoreTest, OutlivesItsBuilderAndGoesWithTheLastHolder) {
  const pid_t builder = spawn([&] { hold(); });
  wait_for([&] { return board_->num_ready == 1; });
  const pid_t second = spawn([&] { hold(); });
  wait_for([&] { return board_->num_ready == 2; });
  kill_hard(builder);
  {
    const WeightStore store = open_here();  // found through the second
    EXPECT_FALSE(store.was_built_here());
    EXPECT_TRUE(has_content(store.bytes()));
  }
  kill_hard(second);
  const WeightStore store = open_here();
  EXPECT_TRUE(store.was_built_here());
  EXPECT_TRUE(store.is_shared());
  EXPECT_EQ(board_->num_built, 2);
}

TEST_F(WeightStoreTest, BuilderKilledAnywhereLeavesNothingUsable) {
  for (const std::size_t progress :
       {std::size_t{0}, std::size_t{4096}, std::size_t{kBytes / 2}, std::size_t{kBytes - 1}}) {
    board_->num_ready = 0;
    board_->num_built = 0;
    const pid_t builder = spawn([&] {
      static_cast<void>(WeightStore::open(options_, [&](std::span<std::byte> bytes) -> Status {
        for (std::size_t i = 0; i < progress; ++i) bytes[i] = content(i);
        ++board_->num_ready;
        for (;;) ::pause();
      }));
    });
    wait_for([&] { return board_->num_ready == 1; });
    kill_hard(builder);
    const WeightStore store = open_here();
    EXPECT_TRUE(store.was_built_here());
    EXPECT_TRUE(store.is_shared()) << store.fallback_reason();
    EXPECT_TRUE(has_content(store.bytes()));
  }
}

TEST_F(WeightStoreTest, NewcomerWaitsForABuilderAndTakesOverWhenItIsKilled) {
  const pid_t builder = spawn([&] {
    static_cast<void>(WeightStore::open(options_, [&](std::span<std::byte>) -> Status {
      ++board_->num_ready;
      for (;;) ::pause();
    }));
  });
  wait_for([&] { return board_->num_ready == 1; });
  spawn([&] { hold(); });
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_EQ(board_->num_ready, 1);  // still waiting
  kill_hard(builder);
  wait_for([&] { return board_->num_ready == 2; });
  EXPECT_EQ(board_->num_built, 1);
  EXPECT_EQ(board_->num_shared, 1);
  EXPECT_EQ(board_->num_wrong, 0);
}

TEST_F(WeightStoreTest, ImpatientNewcomerGoesPrivate) {
  spawn([&] {
    static_cast<void>(WeightStore::open(options_, [&](std::span<std::byte>) -> Status {
      ++board_->num_ready;
      for (;;) ::pause();
    }));
  });
  wait_for([&] { return board_->num_ready == 1; });
  options_.wait_max = std::chrono::milliseconds(30);
  const WeightStore store = open_here();
  EXPECT_FALSE(store.is_shared());
  EXPECT_NE(store.fallback_reason().find("has been building"), std::string::npos);
  EXPECT_TRUE(has_content(store.bytes()));
}

// Starts and kills at random, many processes at once; whoever comes out has the right bytes, and
// the last word is one clean copy.
TEST_F(WeightStoreTest, SurvivesAStormOfKills) {
  options_.num_bytes = 1 << 20;
  for (int round = 0; round < 12; ++round) {
    std::vector<pid_t> round_children;
    for (int i = 0; i < 5; ++i) round_children.push_back(spawn([&] { hold(); }));
    std::this_thread::sleep_for(std::chrono::milliseconds(round * 3));
    for (const pid_t child : round_children) kill_hard(child);
  }
  EXPECT_EQ(board_->num_wrong, 0);
  const WeightStore store = open_here();
  EXPECT_TRUE(store.is_shared()) << store.fallback_reason();
  EXPECT_TRUE(has_content(store.bytes()));
}

TEST_F(WeightStoreTest, CleanExitLeavesNoFile) {
  {
    const WeightStore store = open_here();
    EXPECT_NE(registry_file(), "");
  }
  EXPECT_EQ(registry_file(), "");
}

TEST_F(WeightStoreTest, StaleAndLyingLinesAreIgnored) {
  std::string path;
  {
    const WeightStore store = open_here();
    path = registry_file();
  }
  const int other_file = ::open("/dev/null", O_RDONLY);
  const std::uint64_t start = MUST(process_start_time(::getpid()));
  std::ofstream(path) << "garbage\n-5 1 1\n999999999 1 3\n"
                      << ::getpid() << " 1 0\n"  // another start time
                      << ::getpid() << " " << start << " " << other_file << "\n"  // no memory
                      << ::getpid() << " " << start << " 999\n"                   // no descriptor
                      << "18446744073709551616 2 3\n\n1 2";
  ::chmod(path.c_str(), 0600);
  const WeightStore store = open_here();
  EXPECT_TRUE(store.was_built_here());
  EXPECT_TRUE(store.is_shared()) << store.fallback_reason();
  EXPECT_TRUE(has_content(store.bytes()));
  ::close(other_file);
}

TEST_F(WeightStoreTest, OtherKeyOrSizeIsAnotherMemory) {
  const WeightStore first = open_here();
  WeightStoreOptions other = options_;
  other.key = "model b";
  const WeightStore second = MUST(WeightStore::open(other, build_content));
  EXPECT_TRUE(second.was_built_here());
  // The same key with another size: the header and the size tell them apart.
  other = options_;
  other.num_bytes = kBytes / 2;
  const WeightStore third = MUST(WeightStore::open(other, build_content));
  EXPECT_TRUE(third.was_built_here());
  EXPECT_EQ(third.bytes().size(), kBytes / 2);
}

TEST_F(WeightStoreTest, LargeModelsStayPrivate) {
  options_.shared_bytes_max = kBytes - 1;
  const WeightStore store = open_here();
  EXPECT_FALSE(store.is_shared());
  EXPECT_EQ(store.fallback_reason(),
            "8388608 bytes of weights exceed the limit for sharing of 8388607");
}

TEST_F(WeightStoreTest, FoldersThatOthersMayEnterAreRefused) {
  ASSERT_EQ(::mkdir(options_.folder.c_str(), 0755), 0);
  ::chmod(options_.folder.c_str(), 0755);
  const WeightStore open_folder = open_here();
  EXPECT_FALSE(open_folder.is_shared());
  EXPECT_NE(open_folder.fallback_reason().find("others may enter"), std::string::npos);

  options_.folder = root_ + "/link";
  ASSERT_EQ(::symlink(root_.c_str(), options_.folder.c_str()), 0);
  EXPECT_FALSE(open_here().is_shared());

  options_.folder = root_ + "/absent/deeper";
  const WeightStore nowhere = open_here();
  EXPECT_FALSE(nowhere.is_shared());
  EXPECT_TRUE(has_content(nowhere.bytes()));
}

TEST_F(WeightStoreTest, FoldersOfAnotherUserAreRefused) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give a folder to another user";
  ASSERT_EQ(::mkdir(options_.folder.c_str(), 0700), 0);
  ASSERT_EQ(::chown(options_.folder.c_str(), 12345, 12345), 0);
  const WeightStore store = open_here();
  EXPECT_FALSE(store.is_shared());
  EXPECT_NE(store.fallback_reason().find("belongs to user 12345"), std::string::npos);
}

TEST_F(WeightStoreTest, LinkInPlaceOfTheRegistryIsRefused) {
  std::string path;
  {
    const WeightStore store = open_here();
    path = registry_file();
  }
  ASSERT_EQ(::symlink((root_ + "/target").c_str(), path.c_str()), 0);
  const WeightStore store = open_here();
  EXPECT_FALSE(store.is_shared());
  EXPECT_FALSE(std::filesystem::exists(root_ + "/target"));
}

TEST_F(WeightStoreTest, FailureOfTheBuildIsTheError) {
  const auto failing = [](std::span<std::byte>) -> Status {
    return Error{ErrorCode::kCorruptData, "tensor x is cut short"};
  };
  for (const WeightSharing sharing : {WeightSharing::kShared, WeightSharing::kPrivate}) {
    options_.sharing = sharing;
    const Result<WeightStore> store = WeightStore::open(options_, failing);
    ASSERT_FALSE(store.ok());
    EXPECT_EQ(store.error().message, "tensor x is cut short");
  }
  options_.sharing = WeightSharing::kShared;
  EXPECT_TRUE(open_here().is_shared());  // the failure left nothing behind
}

}  // namespace
}  // namespace millrace
