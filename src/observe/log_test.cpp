// Lines reach their file whole and in order; full disks, slow readers and rotation end nothing.
#include "observe/log.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <functional>
#include <sstream>
#include <thread>

#include "base/file.h"
#include "base/json.h"
#include "observe/line_writer.h"

namespace millrace {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;

class LogTest : public ::testing::Test {
 protected:
  LogTest() {
    std::string pattern = ::testing::TempDir() + "/observe-XXXXXX";
    CHECK(::mkdtemp(pattern.data()) != nullptr);
    folder_ = pattern;
    path_ = folder_ + "/log";
  }
  ~LogTest() override { std::filesystem::remove_all(folder_); }

  static std::string text_of(const std::string& path) {
    const Result<std::string> text = read_file(path, 1u << 24);
    return text.ok() ? text.value() : "no file";
  }
  static void wait_for(const std::function<bool()>& is_so) {
    for (int i = 0; i < 10'000 && !is_so(); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    EXPECT_TRUE(is_so());
  }

  std::string folder_;
  std::string path_;
};

TEST_F(LogTest, LinesOfManyThreadsArriveWholeAndInOrder) {
  constexpr int kThreads = 4;
  constexpr int kLines = 500;
  {
    auto writer = MUST(LineWriter::open({.path = path_}));  // the folder was made just now
    std::vector<std::thread> threads;
    for (int thread = 0; thread < kThreads; ++thread) {
      threads.emplace_back([&writer, thread] {
        for (int i = 0; i < kLines; ++i) {
          EXPECT_TRUE(writer->try_write(std::to_string(thread) + " " + std::to_string(i)));
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  std::istringstream lines(text_of(path_));
  std::vector<int> next(kThreads);
  int thread = 0;
  int number = 0;
  while (lines >> thread >> number) EXPECT_EQ(number, next.at(static_cast<std::size_t>(thread))++);
  EXPECT_THAT(next, ::testing::Each(kLines));
}

TEST_F(LogTest, RotationLosesNoLine) {
  auto writer = MUST(LineWriter::open({.path = path_}));  // the folder was made just now
  EXPECT_TRUE(writer->try_write("one"));
  wait_for([&] { return writer->num_written() == 1; });
  std::filesystem::rename(path_, path_ + ".1");
  EXPECT_TRUE(writer->try_write("two"));
  wait_for([&] { return writer->num_written() == 2; });
  writer->reopen();
  EXPECT_TRUE(writer->try_write("three"));
  wait_for([&] { return writer->num_written() == 3; });
  EXPECT_EQ(text_of(path_ + ".1"), "one\ntwo\n");
  EXPECT_EQ(text_of(path_), "three\n");
  // A path that cannot be had changes nothing.
  writer->reopen(folder_ + "/none/log");
  EXPECT_TRUE(writer->try_write("four"));
  wait_for([&] { return writer->num_written() == 4; });
  EXPECT_EQ(writer->num_reopens_failed(), 1u);
  EXPECT_EQ(text_of(path_), "three\nfour\n");
  writer->reopen(folder_ + "/other");
  EXPECT_TRUE(writer->try_write("five"));
  writer.reset();
  EXPECT_EQ(text_of(folder_ + "/other"), "five\n");
}

TEST_F(LogTest, AFullDiskIsCountedAndNobodyWaits) {
  auto writer = MUST(LineWriter::open({.path = "/dev/full", .queued_lines_max = 4}));  // Linux
  for (int i = 0; i < 100; ++i) writer->try_write("a line");
  wait_for([&] { return writer->num_failed() + writer->num_dropped() == 100; });
  EXPECT_EQ(writer->num_written(), 0u);
  EXPECT_GT(writer->num_failed(), 0u);
  // Room again: the log goes on.
  writer->reopen(path_);
  EXPECT_TRUE(writer->try_write("after"));
  wait_for([&] { return writer->num_written() == 1; });
  EXPECT_EQ(text_of(path_), "after\n");
}

TEST_F(LogTest, AReaderThatDoesNotReadHoldsNobodyUp) {
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  EXPECT_FALSE(LineWriter::open({.path = path_}).ok()) << "a pipe that nobody reads";
  const int reader = ::open(path_.c_str(), O_RDONLY | O_NONBLOCK);
  auto writer =
      MUST(LineWriter::open({.path = path_, .queued_lines_max = 10}));  // it has a reader now
  const std::string line(1000, 'x');
  for (int i = 0; i < 1000; ++i) writer->try_write(line);
  wait_for([&] { return writer->num_dropped() > 0; });
  writer.reset();  // ends although nobody reads
  ::close(reader);
}

TEST_F(LogTest, AReaderThatLeavesIsNoSignal) {
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  const int reader = ::open(path_.c_str(), O_RDONLY | O_NONBLOCK);
  auto writer = MUST(LineWriter::open({.path = path_}));  // it has a reader
  ::close(reader);
  EXPECT_TRUE(writer->try_write("nobody hears this"));
  wait_for([&] { return writer->num_failed() == 1; });
}

// A limit on the file's size breaks a write off in the middle, as a full disk does.
[[noreturn]] void write_past_limit(const std::string& path) {
  ::signal(SIGXFSZ, SIG_IGN);
  auto writer = MUST(LineWriter::open({.path = path}));  // the folder was made just now
  rlimit limit = {.rlim_cur = 10, .rlim_max = RLIM_INFINITY};
  ::setrlimit(RLIMIT_FSIZE, &limit);
  const auto write_and_wait = [&](const char* line) {
    const std::uint64_t before = writer->num_written() + writer->num_failed();
    writer->try_write(line);
    for (int i = 0; i < 10'000 && writer->num_written() + writer->num_failed() == before; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  };
  write_and_wait("first");
  write_and_wait("second");
  limit.rlim_cur = 1000;
  ::setrlimit(RLIMIT_FSIZE, &limit);
  write_and_wait("third");
  std::_Exit(writer->num_written() == 2 && writer->num_failed() == 1 ? 0 : 1);
}

TEST_F(LogTest, ALineThatBrokeOffDoesNotSwallowTheNext) {
  EXPECT_EXIT(write_past_limit(path_), ::testing::ExitedWithCode(0), "");
  EXPECT_EQ(text_of(path_), "first\nseco\nthird\n");
}

TEST_F(LogTest, NothingInAValueEndsALineOrBeginsAField) {
  {
    auto writer = MUST(LineWriter::open({.path = path_}));  // the folder was made just now
    Log log(*writer, LineFormat::kText);
    log.debug("not shown");
    log.warning("disk is\nfull", {{"path", "/a b"}, {"n", 3}, {"part", 0.5}, {"x", "a\nlevel=1"}});
    log.set_level(Severity::kDebug);
    log.debug("shown", {{"word", "plain"}, {"empty", ""}});
  }
  EXPECT_THAT(text_of(path_),
              MatchesRegex("20[0-9T:.-]+Z warning: disk is full path=\"/a b\" n=3 part=0.5 "
                           "x=\"a\\\\nlevel=1\"\n20[0-9T:.-]+Z debug: shown word=plain "
                           "empty=\"\"\n"));
}

TEST_F(LogTest, JsonLinesParse) {
  {
    auto writer = MUST(LineWriter::open({.path = path_}));  // the folder was made just now
    Log log(*writer, LineFormat::kJson);
    log.error("a \"b\"\n\xff",
              {{"n", std::uint64_t{1} << 60}, {"nan", std::nan("")}, {"t", "\x01"}});
  }
  const Json line = MUST(parse_json(text_of(path_), "line"));  // that is the test
  EXPECT_EQ(line.at("level"), "error");
  EXPECT_EQ(line.at("message"), "a \"b\"\n\xef\xbf\xbd");
  EXPECT_EQ(line.at("n"), std::uint64_t{1} << 60);
  EXPECT_EQ(line.at("nan"), "nan");
  EXPECT_EQ(line.at("t"), "\x01");
}

}  // namespace
}  // namespace millrace
