// Files: mapping, a file cut short under its mapping, atomic writes, and JSON limits.
#include "base/file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "base/json.h"

namespace millrace {
namespace {

class FileTest : public ::testing::Test {
 protected:
  FileTest() {
    folder_ = std::filesystem::temp_directory_path() /
              ("millrace_file_test_" + std::to_string(::getpid()));
    std::filesystem::create_directories(folder_);
  }
  ~FileTest() override { std::filesystem::remove_all(folder_); }
  std::string path(const char* name) const { return (folder_ / name).string(); }

 private:
  std::filesystem::path folder_;
};

TEST_F(FileTest, WritesAppearWholeOrNotAtAll) {
  ASSERT_TRUE(write_file(path("a"), "old").ok());
  {
    FileWriter writer = MUST(FileWriter::create(path("a")));  // the folder is ours
    ASSERT_TRUE(writer.append("new, unfinished").ok());
  }
  EXPECT_EQ(MUST(read_file(path("a"), 100)), "old");  // the file was just written
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(path("")), {}), 1);
}

TEST_F(FileTest, MapsAndNamesWhatIsMissing) {
  ASSERT_TRUE(write_file(path("a"), "hello").ok());
  const MappedFile file = MUST(MappedFile::open(path("a")));  // it was just written
  EXPECT_EQ(file.bytes().size(), 5u);
  EXPECT_EQ(static_cast<char>(file.bytes()[1]), 'e');
  const auto missing = MappedFile::open(path("no"));
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
  EXPECT_FALSE(MappedFile::open(path("")).ok());
}

TEST_F(FileTest, AFileCutShortWhileMappedIsAnErrorNotADeadProcess) {
  ASSERT_TRUE(write_file(path("a"), std::string(1 << 20, 'x')).ok());
  const MappedFile file = MUST(MappedFile::open(path("a")));  // it was just written
  ASSERT_EQ(::truncate(path("a").c_str(), 10), 0);
  EXPECT_TRUE(file.check_intact().ok());
  EXPECT_EQ(file.bytes()[900'000], std::byte{0});
  const Status status = file.check_intact();
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.error().message.find("1048576 bytes"), std::string::npos);
}

TEST(Json, LimitsDepthAndSizeAndNamesTheFile) {
  EXPECT_TRUE(parse_json("{\"a\": [1, 2]}", "x").ok());
  EXPECT_FALSE(parse_json("{\"a\": NaN}", "x").ok());
  EXPECT_FALSE(parse_json("{} trailing", "x").ok());
  EXPECT_FALSE(parse_json(std::string_view("{}\0trailing", 11), "x").ok());
  const auto deep = parse_json(std::string(100'000, '['), "x.json");
  ASSERT_FALSE(deep.ok());
  EXPECT_EQ(deep.error().message, "x.json: JSON nested 100000 deep exceeds 64");
  EXPECT_EQ(parse_json("[1]", "x", {.bytes_max = 2}).error().code, ErrorCode::kTooLarge);
}

}  // namespace
}  // namespace millrace
