// Keys and quotas, lines of the access log, and the page of metrics.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <thread>

#include "base/file.h"
#include "base/json.h"
#include "observe/test_prometheus_parser.h"
#include "serve/config/schema.h"
#include "serve/operate/access_log.h"
#include "serve/operate/api_key_gate.h"
#include "serve/operate/server_metrics.h"

namespace millrace {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;

HttpRequest request_with(const std::string& name, const std::string& value) {
  HttpRequest request;
  request.method = "POST";
  request.path = "/v1/chat/completions";
  if (!name.empty()) request.headers.push_back({name, value});
  return request;
}

HttpRequest bearer(const std::string& key) {
  return request_with("Authorization", "Bearer " + key);
}

// ---- Buckets --------------------------------------------------------------------------------

TEST(TokenBucketTest, FillsAtItsPaceAndNeverAboveItsAmount) {
  ManualClock clock;
  TokenBucket bucket(60, seconds(60), clock.now());
  bucket.take(60, clock.now());
  EXPECT_FALSE(bucket.has_some(clock.now()));
  EXPECT_EQ(bucket.wait(clock.now()), seconds(1));
  clock.advance(milliseconds(500));
  EXPECT_EQ(bucket.wait(clock.now()), milliseconds(500));
  clock.advance(milliseconds(500));
  EXPECT_TRUE(bucket.has_some(clock.now()));
  clock.advance(seconds(3600));
  bucket.take(60, clock.now());
  EXPECT_FALSE(bucket.has_some(clock.now()));
}

TEST(TokenBucketTest, ADebtIsWaitedFor) {
  ManualClock clock;
  TokenBucket bucket(10, seconds(10), clock.now());
  bucket.take(109, clock.now());
  EXPECT_EQ(bucket.wait(clock.now()), seconds(100));
  bucket.take(~std::uint64_t{0}, clock.now());
  EXPECT_LE(bucket.wait(clock.now()), seconds(366 * 86400));
  EXPECT_GT(bucket.wait(clock.now()), seconds(0));
}

// ---- Keys -----------------------------------------------------------------------------------

// SHA-256 of "abc", FIPS 180-2, appendix B.1.
constexpr const char* kSha256OfAbc =
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

TEST(DigestTest, IsSha256) {
  EXPECT_EQ(sha256_from_hex(kSha256OfAbc), sha256("abc"));
  EXPECT_TRUE(equal_in_constant_time(sha256("abc"), sha256("abc")));
  EXPECT_FALSE(equal_in_constant_time(sha256("abc"), sha256("abd")));
  EXPECT_FALSE(sha256_from_hex("ba78"));
  EXPECT_FALSE(sha256_from_hex(std::string(64, 'g')));
}

ApiKeyConfig key_of(const std::string& key, std::optional<std::uint64_t> per_minute = {}) {
  ApiKeyConfig config;
  config.name = "k";
  config.key = key;
  config.tokens_per_minute = per_minute;
  return config;
}

class ApiKeyGateTest : public ::testing::Test {
 protected:
  ApiKeyGateTest() : gate_(clock_) {}

  ErrorCode code_of(const HttpRequest& request) {
    record_ = {};
    const Status status = gate_.admit(request, record_);
    return status.ok() ? ErrorCode::kCancelled : status.error().code;
  }
  static constexpr ErrorCode kAdmitted = ErrorCode::kCancelled;  // which admit never says

  void end_with(std::size_t num_prompt, std::size_t num_output) {
    record_.num_prompt_tokens = num_prompt;
    record_.num_completion_tokens = num_output;
    gate_.request_ended(record_);
  }

  ManualClock clock_;
  ApiKeyGate gate_;
  RequestRecord record_;
};

TEST_F(ApiKeyGateTest, WithoutKeysEverybodyMay) {
  EXPECT_EQ(code_of(request_with("", "")), kAdmitted);
  EXPECT_EQ(code_of(bearer("anything")), kAdmitted);
  EXPECT_EQ(record_.key_name, "");
}

TEST_F(ApiKeyGateTest, OnlyKnownKeysAreAdmitted) {
  ApiKeyConfig plain = key_of("plain-key");
  plain.name = "plain";
  plain.service_class = "background";
  ApiKeyConfig hashed = key_of("");
  hashed.name = "hashed";
  hashed.key_sha256 = kSha256OfAbc;
  gate_.set_keys({plain, hashed});
  EXPECT_EQ(code_of(request_with("", "")), ErrorCode::kUnauthenticated);
  EXPECT_EQ(code_of(bearer("plain-kez")), ErrorCode::kUnauthenticated);
  EXPECT_EQ(code_of(bearer("")), ErrorCode::kUnauthenticated);
  EXPECT_EQ(code_of(bearer(kSha256OfAbc)), ErrorCode::kUnauthenticated) << "the digest is no key";
  EXPECT_EQ(code_of(request_with("Authorization", "Basic plain-key")), ErrorCode::kUnauthenticated);
  EXPECT_EQ(code_of(bearer("plain-key")), kAdmitted);
  EXPECT_EQ(record_.key_name, "plain");
  EXPECT_EQ(record_.class_name, "background");
  EXPECT_EQ(code_of(request_with("authorization", "bEARER  abc ")), kAdmitted);
  EXPECT_EQ(record_.key_name, "hashed");
  EXPECT_EQ(code_of(request_with("X-Api-Key", "abc")), kAdmitted);
}

TEST_F(ApiKeyGateTest, TokensAreChargedAtTheEnd) {
  gate_.set_keys({key_of("the-key-1", 600)});
  EXPECT_EQ(code_of(bearer("the-key-1")), kAdmitted);
  end_with(100, 499);
  EXPECT_EQ(code_of(bearer("the-key-1")), kAdmitted) << "one is left";
  end_with(100, 0);
  EXPECT_EQ(code_of(bearer("the-key-1")), ErrorCode::kResourceExhausted);
  EXPECT_EQ(record_.retry_after, seconds(10)) << "99 owed and one to have, at 10 per second";
  clock_.advance(seconds(10));
  EXPECT_EQ(code_of(bearer("the-key-1")), kAdmitted);
}

TEST_F(ApiKeyGateTest, TheLongestWaitIsTold) {
  ApiKeyConfig key = key_of("the-key-1", 60);
  key.tokens_per_day = 86400;
  key.requests_per_minute = 2;
  gate_.set_keys({key});
  EXPECT_EQ(code_of(bearer("the-key-1")), kAdmitted);
  EXPECT_EQ(code_of(bearer("the-key-1")), kAdmitted);
  EXPECT_EQ(code_of(bearer("the-key-1")), ErrorCode::kResourceExhausted);
  EXPECT_EQ(record_.retry_after, seconds(30));
  record_.key_name = "k";
  end_with(86400, 100);
  EXPECT_EQ(code_of(bearer("the-key-1")), ErrorCode::kResourceExhausted);
  EXPECT_GT(record_.retry_after, seconds(86000)) << "60 a minute need longest for 86,500";
}

TEST_F(ApiKeyGateTest, ReloadKeepsWhatWasUsed) {
  const ApiKeyConfig key = key_of("the-key-1", 60);
  gate_.set_keys({key});
  EXPECT_EQ(code_of(bearer("the-key-1")), kAdmitted);
  end_with(60, 0);
  ApiKeyConfig changed = key;
  changed.key = "the-key-2";
  gate_.set_keys({changed});
  EXPECT_EQ(code_of(bearer("the-key-1")), ErrorCode::kUnauthenticated);
  EXPECT_EQ(code_of(bearer("the-key-2")), ErrorCode::kResourceExhausted);
  changed.tokens_per_minute = 100;
  gate_.set_keys({changed});
  EXPECT_EQ(code_of(bearer("the-key-2")), kAdmitted) << "a new limit begins full";
  // A request of a key that is gone ends without a trace.
  gate_.set_keys({});
  end_with(10, 10);
}

TEST_F(ApiKeyGateTest, ModelsAreHeldAgainstTheList) {
  ApiKeyConfig key = key_of("the-key-1");
  key.models = {"small"};
  gate_.set_keys({key});
  EXPECT_EQ(code_of(bearer("the-key-1")), kAdmitted);
  EXPECT_TRUE(gate_.admit_model(record_, "small").ok());
  EXPECT_EQ(gate_.admit_model(record_, "large").error().code, ErrorCode::kPermissionDenied);
}

TEST(AdminKeyTest, IsComparedWhole) {
  const Sha256 digest = sha256("admin-key");
  EXPECT_TRUE(check_admin_key(bearer("admin-key"), digest).ok());
  EXPECT_FALSE(check_admin_key(bearer("admin-ke"), digest).ok());
  EXPECT_FALSE(check_admin_key(bearer(""), digest).ok());
  EXPECT_FALSE(check_admin_key(request_with("", ""), digest).ok());
}

// ---- Access log -----------------------------------------------------------------------------

RequestRecord full_record() {
  RequestRecord record;
  record.request_id = "req_1";
  record.peer = "127.0.0.1:1";
  record.method = "POST";
  record.path = "/v1/chat/completions";
  record.status = 200;
  record.key_name = "shop";
  record.model = "m";
  record.class_name = "interactive";
  record.user = "a\n\"b\"";
  record.is_stream = true;
  record.finish = "stop";
  record.num_choices = 1;
  record.num_prompt_tokens = 10;
  record.num_cached_tokens = 4;
  record.num_completion_tokens = 21;
  record.queued = milliseconds(100);
  record.first_token = milliseconds(250);
  record.total = milliseconds(1250);
  return record;
}

TEST(AccessLogTest, ALineIsOneJsonObject) {
  const std::string line = access_line(full_record(), {}, WallTime{seconds(1709208000)});
  EXPECT_EQ(line.find('\n'), std::string::npos);
  const Json json = MUST(parse_json(line, "line"));  // that is the test
  EXPECT_EQ(json.at("time"), "2024-02-29T12:00:00.000Z");
  EXPECT_EQ(json.at("user"), "a\n\"b\"");
  EXPECT_EQ(json.at("queue_seconds"), 0.1);
  EXPECT_EQ(json.at("first_token_seconds"), 0.25);
  EXPECT_EQ(json.at("total_seconds"), 1.25);
  EXPECT_EQ(json.at("output_tokens"), 21);
  EXPECT_FALSE(json.contains("error"));
  EXPECT_EQ(access_line(full_record(), {"status", "key"}, WallTime{}),
            "{\"status\":200,\"key\":\"shop\"}");
  RequestRecord hostile = full_record();
  hostile.path = "/\xff\x01";
  EXPECT_TRUE(parse_json(access_line(hostile, {}, WallTime{}), "line").ok());
}

TEST(AccessLogTest, TheConfigurationKnowsItsFields) {
  for (const Section& section : config_schema().sections) {
    if (std::string_view(section.key) != "access_log") continue;
    for (const Setting& setting : section.settings) {
      if (setting.choices == nullptr) continue;
      const auto choices = split_choices(setting.choices);
      EXPECT_EQ(std::vector<std::string>(choices.begin(), choices.end()), access_fields());
      return;
    }
  }
  FAIL() << "access_log.fields has no choices";
}

TEST(AccessLogTest, ReopensUnderAnotherPath) {
  const std::string folder = ::testing::TempDir() + "/millrace_access_log_test";
  std::filesystem::create_directories(folder);
  AccessLogConfig config;
  config.path = folder + "/one";
  config.fields = {"status"};
  {
    auto log = MUST(AccessLog::open(config));  // the folder was made just now
    log->request_ended(full_record());
    while (log->writer().num_written() < 1) std::this_thread::sleep_for(milliseconds(1));
    config.path = folder + "/two";
    config.fields = {"model"};
    log->reopen(config);
    log->request_ended(full_record());
  }
  EXPECT_EQ(MUST(read_file(folder + "/one", 1000)), "{\"status\":200}\n");   // written just now
  EXPECT_EQ(MUST(read_file(folder + "/two", 1000)), "{\"model\":\"m\"}\n");  // written just now
  std::filesystem::remove_all(folder);
}

// ---- Metrics --------------------------------------------------------------------------------

TEST(ServerMetricsTest, ThePageParsesAndCountsWhatCame) {
  ServerMetrics metrics("1.2", "avx2");
  const RequestRecord record = full_record();
  metrics.request_began(record, nullptr);
  metrics.request_began(record, nullptr);
  metrics.request_ended(record);
  RequestRecord odd;
  odd.path = "/made/up/\"path";
  odd.status = 404;
  metrics.request_ended(odd);
  metrics.request_began(record, nullptr);
  const PrometheusPage page = parse_prometheus(metrics.text());
  ASSERT_EQ(page.problem, "");
  const auto value = [&](const std::string& name) {
    const auto found = page.values.find(name);
    return found == page.values.end() ? -1 : found->second;
  };
  EXPECT_EQ(value("millrace_http_requests_total{endpoint=\"/v1/chat/completions\",code=\"200\"}"),
            1);
  EXPECT_EQ(value("millrace_http_requests_total{endpoint=\"other\",code=\"404\"}"), 1);
  EXPECT_EQ(value("millrace_http_requests_running"), 1);
  const std::string labels = "{model=\"m\",class=\"interactive\",variant=\"base\"}";
  EXPECT_EQ(value("millrace_prompt_tokens_total" + labels), 10);
  EXPECT_EQ(value("millrace_cached_prompt_tokens_total" + labels), 4);
  EXPECT_EQ(value("millrace_output_tokens_total" + labels), 21);
  EXPECT_EQ(value("millrace_key_tokens_total{key=\"shop\"}"), 31);
  EXPECT_EQ(value("millrace_request_seconds_sum" + labels), 1.25);
  EXPECT_EQ(value("millrace_request_first_token_seconds_sum" + labels), 0.25);
  EXPECT_EQ(value("millrace_request_token_seconds_sum" + labels), 0.05) << "1 s for 20 tokens";
  EXPECT_EQ(value("millrace_answers_total{model=\"m\",class=\"interactive\",variant=\"base\","
                  "finish=\"stop\"}"),
            1);
  EXPECT_GT(value("process_resident_memory_bytes"), 0);
  EXPECT_EQ(value("millrace_build_info{version=\"1.2\",cpu_isa=\"avx2\"}"), 1);
}

TEST(ServerMetricsTest, AScrapeDoesNotCountItselfAndWhatWasCutOffHasNoTimes) {
  ServerMetrics metrics("1.2", "avx2");
  RequestRecord scrape;
  scrape.path = "/metrics";
  metrics.request_began(scrape, nullptr);
  RequestRecord gone = full_record();
  gone.was_cut_off = true;
  gone.finish = "cancelled";
  metrics.request_began(gone, nullptr);
  metrics.request_ended(gone);
  const PrometheusPage page = parse_prometheus(metrics.text());
  EXPECT_EQ(page.values.at("millrace_http_requests_running"), 0);
  const std::string labels = "{model=\"m\",class=\"interactive\",variant=\"base\"}";
  EXPECT_EQ(page.values.at("millrace_output_tokens_total" + labels), 21);
  EXPECT_EQ(page.values.count("millrace_request_seconds_count" + labels), 0u);
}

TEST(ServerMetricsTest, LogsTellWhatTheyDropped) {
  ServerMetrics metrics("1.2", "avx2");
  auto writer = MUST(LineWriter::open({.path = "/dev/full"}));  // Linux has it
  metrics.watch_log(*writer, "access");
  writer->try_write("line");
  while (writer->num_failed() < 1) std::this_thread::sleep_for(milliseconds(1));
  const PrometheusPage page = parse_prometheus(metrics.text());
  ASSERT_EQ(page.problem, "");
  EXPECT_EQ(page.values.at("millrace_log_lines_failed_total{log=\"access\"}"), 1);
  EXPECT_EQ(page.values.at("millrace_log_lines_dropped_total{log=\"access\"}"), 0);
}

}  // namespace
}  // namespace millrace
