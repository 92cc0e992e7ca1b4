// Downloads against a mirror on loopback that cuts, lies, refuses and redirects.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>

#include <filesystem>
#include <map>

#include "base/file.h"
#include "base/json.h"
#include "hub/file_choice.h"
#include "hub/hub_client.h"
#include "hub/part_file.h"
#include "hub/test_mirror.h"

namespace millrace {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

constexpr const char* kCommit = "0123456789abcdef0123456789abcdef01234567";

// ---- References and choice ------------------------------------------------------------------

TEST(HubReferenceTest, PartsAreTakenApart) {
  const HubReference plain = MUST(parse_hub_reference("hf://Qwen/Qwen3-0.6B"));  // well formed
  EXPECT_EQ(plain.repository(), "Qwen/Qwen3-0.6B");
  EXPECT_EQ(plain.revision, "main");
  EXPECT_EQ(plain.file, "");
  const std::string text = "hf://a/b_c@v1.0/sub/model-q4.gguf";
  const HubReference full = MUST(parse_hub_reference(text));  // well formed
  EXPECT_EQ(full.revision, "v1.0");
  EXPECT_EQ(full.file, "sub/model-q4.gguf");
  EXPECT_EQ(full.text(), text);
}

TEST(HubReferenceTest, WhatLeadsElsewhereIsRefused) {
  for (const char* text :
       {"", "hf://", "hf://a", "hf://a/", "hf:///b", "hf://../b", "hf://a/..", "hf://a/b@",
        "hf://a/b@..", "hf://a/b@x/../y", "hf://a/b/../../c", "hf://a/b//c", "hf://a/b/.git",
        "hf://a b/c", "hf://a/b\\c", "hf://a/b/c\n", "https://a/b", "hf://a/b@r s"}) {
    EXPECT_FALSE(parse_hub_reference(text).ok()) << text;
  }
  EXPECT_FALSE(is_safe_path("/etc/passwd"));
  EXPECT_FALSE(is_safe_path("a/../b"));
  EXPECT_FALSE(is_safe_path("a/"));
  EXPECT_TRUE(is_safe_path("a/b c.txt"));
}

std::vector<std::string> chosen(const std::string& reference,
                                const std::vector<std::string>& names) {
  std::vector<HubFile> files;
  for (const std::string& name : names) files.push_back({.path = name});
  const auto choice = choose_files(MUST(parse_hub_reference(reference)), files);  // well formed
  if (!choice.ok()) return {choice.error().message};
  std::vector<std::string> paths;
  for (const HubFile& file : choice.value()) paths.push_back(file.path);
  return paths;
}

TEST(FileChoiceTest, TakesWhatTheModelNeeds) {
  using ::testing::ElementsAre;
  EXPECT_THAT(chosen("hf://a/b", {"README.md", "config.json", "model-1-of-2.safetensors",
                                  "consolidated.safetensors", "onnx/model.safetensors",
                                  "model.safetensors.index.json", "tokenizer.json", "x.bin"}),
              ElementsAre("model-1-of-2.safetensors", "config.json", "model.safetensors.index.json",
                          "tokenizer.json"));
  EXPECT_THAT(chosen("hf://a/b", {"weights.safetensors"}), ElementsAre("weights.safetensors"));
  EXPECT_THAT(chosen("hf://a/b", {"README.md", "q4.gguf"}), ElementsAre("q4.gguf"));
  EXPECT_THAT(chosen("hf://a/b/q8.gguf", {"q4.gguf", "q8.gguf"}), ElementsAre("q8.gguf"));
  EXPECT_THAT(chosen("hf://a/b", {"q4.gguf", "q8.gguf"}).front(), HasSubstr("q4.gguf, q8.gguf"));
  EXPECT_THAT(chosen("hf://a/b", {"README.md"}).front(), HasSubstr("neither"));
  EXPECT_THAT(chosen("hf://a/b/none", {"README.md"}).front(), HasSubstr("no file none"));
}

// ---- A hub ----------------------------------------------------------------------------------

class HubTest : public ::testing::Test {
 protected:
  HubTest() {
    std::string pattern = ::testing::TempDir() + "/hub-XXXXXX";
    CHECK(::mkdtemp(pattern.data()) != nullptr);
    folder_ = pattern;
    files_["config.json"] = "{}";
    files_["tokenizer.json"] = std::string(3000, 't');
    files_["model.safetensors"] = std::string(200'000, 'm');
    for (std::size_t i = 0; i < files_["model.safetensors"].size(); ++i) {
      files_["model.safetensors"][i] = static_cast<char>('a' + i * i % 23);
    }
    files_["README.md"] = "not needed";
  }
  ~HubTest() override { std::filesystem::remove_all(folder_); }

  std::string listing() const {
    OrderedJson siblings = OrderedJson::array();
    for (const auto& [name, text] : files_) {
      OrderedJson entry = {{"rfilename", name}, {"size", text.size()}};
      const auto digest = digests_.find(name);
      if (digest != digests_.end()) entry["lfs"] = {{"sha256", digest->second}};
      siblings.push_back(entry);
    }
    for (const char* evil : {"../evil", "/etc/evil", "a/../../evil", ".git/config"}) {
      siblings.push_back({{"rfilename", evil}, {"size", 1}});
    }
    return OrderedJson{{"sha", kCommit}, {"siblings", siblings}}.dump();
  }

  // What a well-behaved hub says.
  MirrorReply answer(const MirrorRequest& request) const {
    if (request.target.starts_with("/api/models/a/b/revision/")) return {.body = listing()};
    const std::string prefix = std::string("/a/b/resolve/") + kCommit + "/";
    const auto file = request.target.starts_with(prefix)
                          ? files_.find(request.target.substr(prefix.size()))
                          : files_.end();
    if (file == files_.end()) return {.status = 404};
    const std::string range = request.header("Range");
    if (range.empty()) return {.body = file->second};
    const std::size_t begin = std::stoul(range.substr(range.find('=') + 1));
    if (begin >= file->second.size()) return {.status = 416};
    return {.status = 206,
            .headers = "Content-Range: bytes " + std::to_string(begin) + "-" +
                       std::to_string(file->second.size() - 1) + "/" +
                       std::to_string(file->second.size()) + "\r\n",
            .body = file->second.substr(begin)};
  }

  HubOptions options(const TestMirror& mirror) const {
    HubOptions options;
    options.cache = folder_ + "/cache";
    options.endpoint = mirror.url();
    options.retry_pause = milliseconds(1);
    options.retry_pause_max = milliseconds(20);
    return options;
  }

  static HubReference reference(const std::string& text = "hf://a/b") {
    return MUST(parse_hub_reference(text));  // well formed
  }

  void expect_whole(const HubModel& model) const {
    for (const char* name : {"config.json", "tokenizer.json", "model.safetensors"}) {
      const auto text = read_file(model.path + "/" + name, 1u << 20);
      ASSERT_TRUE(text.ok()) << text.error().message;
      EXPECT_TRUE(text.value() == files_.at(name)) << name;
      EXPECT_FALSE(file_exists(model.path + "/" + name + ".part"));
    }
    EXPECT_FALSE(file_exists(model.path + "/README.md"));
    EXPECT_FALSE(file_exists(folder_ + "/evil"));
  }

  std::string folder_;
  std::map<std::string, std::string> files_;
  std::map<std::string, std::string> digests_;
};

TEST_F(HubTest, AModelComesOnceAndStays) {
  TestMirror mirror([this](const MirrorRequest& request) { return answer(request); });
  HubClient hub(options(mirror));
  const auto first = hub.fetch(reference());
  ASSERT_TRUE(first.ok()) << first.error().message;
  expect_whole(first.value());
  EXPECT_EQ(first.value().num_downloaded_bytes, 203'002u);
  EXPECT_EQ(first.value().commit, kCommit);
  const auto second = hub.fetch(reference());
  ASSERT_TRUE(second.ok()) << second.error().message;
  EXPECT_EQ(second.value().num_downloaded_bytes, 0u);
  EXPECT_EQ(second.value().path, first.value().path);
  // A commit needs nobody.
  const std::size_t num_requests = mirror.requests().size();
  EXPECT_TRUE(hub.fetch(reference(std::string("hf://a/b@") + kCommit)).ok());
  EXPECT_EQ(mirror.requests().size(), num_requests);

  const std::vector<CachedModel> models = hub.cache().list();
  ASSERT_EQ(models.size(), 1u);
  EXPECT_EQ(models[0].repository, "a/b");
  EXPECT_EQ(models[0].num_bytes, 203'002u);
  EXPECT_EQ(models[0].revisions, std::vector<std::string>{"main"});
  EXPECT_TRUE(hub.cache().remove(reference()).ok());
  EXPECT_TRUE(hub.cache().list().empty());
  EXPECT_EQ(hub.cache().remove(reference()).error().code, ErrorCode::kNotFound);
}

TEST_F(HubTest, WhatBreaksOffGoesOnWhereItBroke) {
  std::atomic<int> num_cuts{0};
  TestMirror mirror([&](const MirrorRequest& request) {
    MirrorReply reply = answer(request);
    if (request.target.ends_with("model.safetensors") && num_cuts < 4) {
      ++num_cuts;
      reply.cut_after = 30'000;
    }
    return reply;
  });
  HubClient hub(options(mirror));
  const auto model = hub.fetch(reference());
  ASSERT_TRUE(model.ok()) << model.error().message;
  expect_whole(model.value());
  const std::uint64_t num_all = 203'002 + listing().size();
  EXPECT_EQ(mirror.num_body_bytes(), num_all) << "nothing came twice";
}

TEST_F(HubTest, AHubWithoutRangesStartsAnew) {
  std::atomic<int> num_cuts{0};
  TestMirror mirror([&](const MirrorRequest& request) {
    MirrorRequest plain = request;
    plain.head.clear();  // no Range
    MirrorReply reply = answer(plain);
    if (request.target.ends_with("model.safetensors") && num_cuts++ == 0) reply.cut_after = 1000;
    return reply;
  });
  HubClient hub(options(mirror));
  const auto model = hub.fetch(reference());
  ASSERT_TRUE(model.ok()) << model.error().message;
  expect_whole(model.value());
}

TEST_F(HubTest, AKilledProcessGoesOnNextTime) {
  TestMirror mirror([this](const MirrorRequest& request) { return answer(request); });
  const auto killed = [&] {
    HubClient hub(options(mirror));
    const auto model = hub.fetch(reference(), [](const HubProgress& progress) {
      if (progress.file == "model.safetensors" && progress.num_bytes > 50'000) ::raise(SIGKILL);
      return true;
    });
  };
  EXPECT_EXIT(killed(), ::testing::KilledBySignal(SIGKILL), "");
  const std::string part = folder_ + "/cache/a/b/" + kCommit + "/model.safetensors.part";
  const auto identity = file_identity(part);
  ASSERT_TRUE(identity.ok()) << identity.error().message;
  EXPECT_GT(identity.value().num_bytes, 50'000u);
  HubClient hub(options(mirror));
  const auto model = hub.fetch(reference());
  ASSERT_TRUE(model.ok()) << model.error().message;
  expect_whole(model.value());
  const auto ranges = [&] {
    std::vector<std::string> found;
    for (const MirrorRequest& request : mirror.requests()) {
      if (!request.header("Range").empty()) found.push_back(request.header("Range"));
    }
    return found;
  };
  EXPECT_THAT(ranges(),
              ::testing::ElementsAre("bytes=" + std::to_string(identity.value().num_bytes) + "-"));
}

TEST_F(HubTest, WhoStopsKeepsWhatCame) {
  TestMirror mirror([this](const MirrorRequest& request) { return answer(request); });
  HubClient hub(options(mirror));
  const auto stopped = hub.fetch(reference(), [](const HubProgress& progress) {
    EXPECT_EQ(progress.num_bytes_all, 203'002u);
    return progress.num_bytes < 100'000;
  });
  ASSERT_FALSE(stopped.ok());
  EXPECT_EQ(stopped.error().code, ErrorCode::kCancelled);
  const auto model = hub.fetch(reference());
  ASSERT_TRUE(model.ok()) << model.error().message;
  expect_whole(model.value());
}

TEST_F(HubTest, AWrongContentIsNotTaken) {
  // By coreutils' sha256sum, of "{}".
  digests_["config.json"] = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
  std::atomic<bool> lies{true};
  TestMirror mirror([&](const MirrorRequest& request) {
    MirrorReply reply = answer(request);
    if (request.target.ends_with("config.json") && lies) reply.body = "[]";
    return reply;
  });
  HubClient hub(options(mirror));
  const auto wrong = hub.fetch(reference());
  ASSERT_FALSE(wrong.ok());
  EXPECT_EQ(wrong.error().code, ErrorCode::kCorruptData);
  EXPECT_THAT(wrong.error().message, HasSubstr("config.json"));
  EXPECT_FALSE(file_exists(folder_ + "/cache/a/b/" + kCommit + "/config.json"));
  lies = false;
  const auto right = hub.fetch(reference());
  ASSERT_TRUE(right.ok()) << right.error().message;
  expect_whole(right.value());
}

TEST_F(HubTest, MoreBytesThanListedAreRefused) {
  TestMirror mirror([this](const MirrorRequest& request) {
    MirrorReply reply = answer(request);
    if (request.target.ends_with("config.json")) reply.body += std::string(100, ' ');
    return reply;
  });
  EXPECT_EQ(HubClient(options(mirror)).fetch(reference()).error().code, ErrorCode::kTooLarge);
}

TEST_F(HubTest, LimitsHoldBeforeAnythingIsDownloaded) {
  TestMirror mirror([this](const MirrorRequest& request) { return answer(request); });
  HubOptions small = options(mirror);
  small.bytes_max = 1000;
  EXPECT_EQ(HubClient(small).fetch(reference()).error().code, ErrorCode::kTooLarge);
  HubOptions few = options(mirror);
  few.files_max = 3;
  EXPECT_EQ(HubClient(few).fetch(reference()).error().code, ErrorCode::kTooLarge);
  EXPECT_EQ(mirror.requests().size(), 2u) << "listings only";
}

TEST_F(HubTest, AnswersBecomeErrors) {
  struct Row {
    int status;
    ErrorCode code;
    std::size_t num_requests;
  };
  for (const Row& row :
       {Row{401, ErrorCode::kUnauthenticated, 1}, Row{403, ErrorCode::kPermissionDenied, 1},
        Row{404, ErrorCode::kNotFound, 1}, Row{429, ErrorCode::kResourceExhausted, 3},
        Row{500, ErrorCode::kUnavailable, 3}}) {
    TestMirror mirror([&](const MirrorRequest&) { return MirrorReply{.status = row.status}; });
    HubOptions three = options(mirror);
    three.num_tries = 3;
    const auto model = HubClient(three).fetch(reference());
    ASSERT_FALSE(model.ok()) << row.status;
    EXPECT_EQ(model.error().code, row.code) << row.status;
    EXPECT_EQ(mirror.requests().size(), row.num_requests) << row.status;
  }
}

TEST_F(HubTest, TooManyRequestsAreWaitedFor) {
  std::atomic<int> num_refused{0};
  TestMirror mirror([&](const MirrorRequest& request) -> MirrorReply {
    if (num_refused++ < 2) return {.status = 429, .headers = "Retry-After: 0\r\n"};
    return answer(request);
  });
  EXPECT_TRUE(HubClient(options(mirror)).fetch(reference()).ok());
}

TEST_F(HubTest, NonsenseIsNoListing) {
  for (const char* body : {"", "[]", "{}", "{\"sha\":\"x\",\"siblings\":[]}", "not json",
                           "{\"sha\":\"0123456789abcdef0123456789abcdef01234567\"}"}) {
    TestMirror mirror([&](const MirrorRequest&) { return MirrorReply{.body = body}; });
    EXPECT_EQ(HubClient(options(mirror)).fetch(reference()).error().code, ErrorCode::kCorruptData)
        << body;
  }
}

TEST_F(HubTest, TheTokenStaysWithTheHub) {
  TestMirror store([this](const MirrorRequest& request) { return answer(request); });
  TestMirror mirror([&](const MirrorRequest& request) -> MirrorReply {
    if (request.target.starts_with("/api/")) return answer(request);
    return {.status = 302, .headers = "Location: " + store.url() + request.target + "\r\n"};
  });
  HubOptions with_token = options(mirror);
  with_token.token = "hf_secret";
  const auto model = HubClient(with_token).fetch(reference());
  ASSERT_TRUE(model.ok()) << model.error().message;
  expect_whole(model.value());
  for (const MirrorRequest& request : mirror.requests()) {
    EXPECT_EQ(request.header("Authorization"), "Bearer hf_secret");
  }
  EXPECT_EQ(store.requests().size(), 3u);
  for (const MirrorRequest& request : store.requests()) {
    EXPECT_THAT(request.head, ::testing::Not(HasSubstr("hf_secret")));
  }
}

TEST_F(HubTest, RedirectsLeadNowhereElse) {
  for (const char* location : {"file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1/",
                               "http://user@127.0.0.1/"}) {
    TestMirror mirror([&](const MirrorRequest&) -> MirrorReply {
      return {.status = 302, .headers = std::string("Location: ") + location + "\r\n"};
    });
    EXPECT_EQ(HubClient(options(mirror)).fetch(reference()).error().code,
              ErrorCode::kInvalidArgument)
        << location;
  }
  TestMirror loop([](const MirrorRequest& request) -> MirrorReply {
    return {.status = 302, .headers = "Location: " + request.target + "\r\n"};
  });
  HubOptions once = options(loop);
  once.num_tries = 1;
  EXPECT_THAT(HubClient(once).fetch(reference()).error().message, HasSubstr("redirects"));
  EXPECT_EQ(loop.requests().size(), 6u);
}

TEST_F(HubTest, TwoAtOnceDownloadOnce) {
  TestMirror mirror([this](const MirrorRequest& request) {
    std::this_thread::sleep_for(milliseconds(20));
    return answer(request);
  });
  std::vector<std::thread> threads;
  std::atomic<int> num_done{0};
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] { num_done += HubClient(options(mirror)).fetch(reference()).ok(); });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(num_done, 3);
  std::map<std::string, int> counts;
  for (const MirrorRequest& request : mirror.requests()) ++counts[request.target];
  for (const auto& [target, count] : counts) {
    EXPECT_EQ(count, target.starts_with("/api/") ? 3 : 1) << target;
  }
}

TEST_F(HubTest, WithoutAHubTheCacheServes) {
  HubOptions later;
  {
    TestMirror mirror([this](const MirrorRequest& request) { return answer(request); });
    later = options(mirror);
    later.num_tries = 1;
    HubOptions offline = later;
    offline.is_offline = true;
    EXPECT_EQ(HubClient(offline).fetch(reference()).error().code, ErrorCode::kNotFound);
    EXPECT_TRUE(mirror.requests().empty());
    ASSERT_TRUE(HubClient(later).fetch(reference()).ok());
  }
  const auto model = HubClient(later).fetch(reference());
  ASSERT_TRUE(model.ok()) << model.error().message;
  EXPECT_TRUE(model.value().is_unchecked);
  expect_whole(model.value());
  later.is_offline = true;
  ASSERT_TRUE(HubClient(later).fetch(reference()).ok());
  EXPECT_EQ(HubClient(later).fetch(reference("hf://a/other")).error().code, ErrorCode::kNotFound);
  // A file that lost its bytes is not complete any more.
  std::filesystem::resize_file(model.value().path + "/tokenizer.json", 5);
  EXPECT_EQ(HubClient(later).fetch(reference()).error().code, ErrorCode::kNotFound);
}

TEST_F(HubTest, OneFileIsAPath) {
  files_.clear();
  files_["q4.gguf"] = "GGUF";
  files_["q8.gguf"] = "GGUF8";
  TestMirror mirror([this](const MirrorRequest& request) { return answer(request); });
  HubClient hub(options(mirror));
  const auto model = hub.fetch(reference("hf://a/b/q8.gguf"));
  ASSERT_TRUE(model.ok()) << model.error().message;
  EXPECT_TRUE(model.value().path.ends_with("/q8.gguf"));
  EXPECT_EQ(MUST(read_file(model.value().path, 100)), "GGUF8");  // fetched just now
}

TEST_F(HubTest, DigestsAreThoseOfGitAndSha256sum) {
  const std::string path = folder_ + "/hello";
  MUST(write_file(path, "hello\n"));  // the folder was made just now
  // git hash-object and sha256sum of a file that holds "hello" and a line end.
  EXPECT_TRUE(
      MUST(has_digest(path, "git:ce013625030ba8dba906f756967f9e9ca394464a")));  // it is there
  EXPECT_TRUE(MUST(has_digest(                                                  // it is there
      path, "sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03")));
  EXPECT_FALSE(MUST(has_digest(path, "git:" + std::string(40, '0'))));  // it is there
  EXPECT_FALSE(has_digest(path, "md5:0").ok());
}

}  // namespace
}  // namespace millrace
