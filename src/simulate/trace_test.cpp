// Traces as services write them, traces that are broken, and the workloads made of them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <set>

#include "base/file.h"
#include "simulate/trace_reader.h"
#include "simulate/workload.h"

namespace millrace {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string csv_error(const std::string& text, const TraceLimits& limits = {}) {
  const Result<Trace> trace = parse_csv_trace(text, "t.csv", limits);
  return trace.ok() ? "no error" : trace.error().message;
}
std::string mooncake_error(const std::string& text, const TraceLimits& limits = {}) {
  const Result<Trace> trace = parse_mooncake_trace(text, "t.jsonl", limits);
  return trace.ok() ? "no error" : trace.error().message;
}

TEST(CsvTrace, ReadsAzuresColumns) {
  const Trace trace =
      MUST(parse_trace("TIMESTAMP,ContextTokens,GeneratedTokens\r\n"
                       "2023-11-16 23:59:59.5000000,374,44\r\n"
                       "2023-11-17 00:00:01.2500000,396,109\n"
                       "2023-11-17 00:00:01,91,0\n",
                       "t"));
  ASSERT_EQ(trace.requests.size(), 2u);
  EXPECT_EQ(trace.num_left_out, 1u);
  EXPECT_EQ(trace.requests[0].arrival.count(), 0);
  EXPECT_EQ(trace.requests[1].arrival, std::chrono::milliseconds(1750));
  EXPECT_EQ(trace.requests[1].num_prompt, 396u);
  EXPECT_EQ(trace.requests[1].num_output, 109u);
  EXPECT_TRUE(trace.has_arrivals);
}

TEST(CsvTrace, ReadsVidursColumnsInAnyOrderAndSorts) {
  const Trace trace =
      MUST(parse_trace("class,num_decode_tokens,extra,arrived_at,num_prefill_tokens\n"
                       "1,5,x,2.5,10\n0,6,y,0.5,20.0\n",
                       "t"));
  ASSERT_EQ(trace.requests.size(), 2u);
  EXPECT_EQ(trace.requests[0].num_prompt, 20u);
  EXPECT_EQ(trace.requests[1].arrival, std::chrono::seconds(2));
  EXPECT_EQ(trace.requests[1].class_index, 1u);
  EXPECT_TRUE(trace.has_classes);
}

TEST(CsvTrace, LengthsAloneHaveNoArrivals) {
  const Trace trace = MUST(parse_trace("num_prefill_tokens,num_decode_tokens\n3,4\n", "t"));
  EXPECT_FALSE(trace.has_arrivals);
}

// As spreadsheets, other tools and other systems write them.
TEST(CsvTrace, ReadsWhatOthersWrite) {
  const Trace plain =
      MUST(parse_trace("arrived_at,num_prefill_tokens,num_decode_tokens\n0,10,5\n0.5,20,6\n", "t"));
  for (const char* text :
       {"\xEF\xBB\xBF"
        "arrived_at,num_prefill_tokens,num_decode_tokens\r\n0,10,5\r\n0.5,20,6",
        "\n \t\n\"arrived_at\" , \"num_prefill_tokens\",num_decode_tokens\n\"0\",10,\"5\"\n\n"
        "0.5, 20 ,6\n   \n",
        "GeneratedTokens,note,TIMESTAMP,ContextTokens\n"
        "6,\"a, \"\"b\"\"\",2023-11-16T18:15:46.5Z,20\n5,,2023-11-16 18:15:46+00:00,10\n",
        "Timestamp,Model,Request tokens,Response tokens\n3,x,10,5\n3.5,x,20,6\n4,x,0,9\n",
        "input_length,output_length,arrival\n1e1,5,7\n20,6,7.5\n"}) {
    const Trace trace = MUST(parse_trace(text, text));
    ASSERT_EQ(trace.requests.size(), 2u) << text;
    for (std::size_t i = 0; i < 2; ++i) {
      EXPECT_EQ(trace.requests[i].arrival, plain.requests[i].arrival) << text;
      EXPECT_EQ(trace.requests[i].num_prompt, plain.requests[i].num_prompt) << text;
      EXPECT_EQ(trace.requests[i].num_output, plain.requests[i].num_output) << text;
    }
  }
}

TEST(CsvTrace, SaysWhichQuoteDoesNotClose) {
  const std::string head = "arrived_at,num_prefill_tokens,num_decode_tokens\n";
  for (const char* row : {"\"1,2,3\n", "\"1\"x,2,3\n", "1,2,\"\n", "1,2,\"\"\"\n"}) {
    EXPECT_EQ(csv_error(head + row), "t.csv, line 2: found a quote that does not end a field")
        << row;
  }
  EXPECT_THAT(csv_error(head + "\"\",2,3\n"), HasSubstr("line 2: found '', expected seconds"));
  EXPECT_THAT(csv_error(head + "1,1e400,3\n"), HasSubstr("line 2: found '1e400'"));
  EXPECT_THAT(csv_error(head + "1,inf,3\n"), HasSubstr("line 2: inf tokens exceed"));
}

TEST(CsvTrace, SaysWhatIsWrongAndWhere) {
  EXPECT_EQ(csv_error(""), "t.csv: a trace without a line");
  EXPECT_THAT(csv_error("a,b\n"), HasSubstr("t.csv, line 1: found the columns 'a,b', expected"));
  const std::string head = "arrived_at,num_prefill_tokens,num_decode_tokens\n";
  EXPECT_EQ(csv_error(head + "1,2\n"), "t.csv, line 2: found 2 fields, expected 3");
  EXPECT_EQ(csv_error(head + "\n\n1,x,3\n"),
            "t.csv, line 4: found 'x', expected a number of tokens");
  EXPECT_THAT(csv_error(head + "1,-2,3\n"), HasSubstr("expected a number of tokens"));
  EXPECT_THAT(csv_error(head + "1,2.5,3\n"), HasSubstr("expected a number of tokens"));
  EXPECT_THAT(csv_error(head + "1,nan,3\n"), HasSubstr("expected a number of tokens"));
  EXPECT_EQ(csv_error(head + "1,99999999,3\n"), "t.csv, line 2: 99999999 tokens exceed 4194304");
  EXPECT_THAT(csv_error(head + "1e300,2,3\n"), HasSubstr("expected seconds from 0 to 9e9"));
  EXPECT_THAT(csv_error(head + "-1,2,3\n"), HasSubstr("expected seconds"));
  EXPECT_EQ(csv_error("class,class,num_prefill_tokens,num_decode_tokens\n"),
            "t.csv, line 1: column 'class' comes twice");
  EXPECT_THAT(csv_error("class,num_prefill_tokens,num_decode_tokens\n16,1,1\n"),
              HasSubstr("found class '16', expected a number from 0 to 15"));
  const std::string azure = "TIMESTAMP,ContextTokens,GeneratedTokens\n";
  for (const char* time :
       {"2023-13-16 18:15:46", "2023-02-29 18:15:46", "2023-11-16 24:15:46", "yesterday",
        "2023-11-16 18:15:46.", "2023-11-16 18:15:46x", "9999-11-16 18:15:46", ""}) {
    EXPECT_THAT(csv_error(azure + time + ",1,1\n"), HasSubstr("line 2: found '")) << time;
  }
  EXPECT_THAT(csv_error(std::string(200, ',') + "\n"), HasSubstr("more than 64 columns"));
}

TEST(CsvTrace, KeepsItsLimits) {
  const std::string head = "num_prefill_tokens,num_decode_tokens\n";
  EXPECT_EQ(csv_error(head + "1,1\n1,1\n", {.requests_max = 1}),
            "t.csv, line 3: more than 1 requests");
  EXPECT_EQ(csv_error(head + std::string(64, '1') + ",1\n", {.line_bytes_max = 60}),
            "t.csv, line 2: longer than 60 bytes");
}

TEST(CsvTrace, ComesBackFromItsOwnText) {
  WorkloadSpec spec;
  spec.num_requests = 200;
  spec.lengths.kind = LengthKind::kLognormal;
  spec.arrivals = {.kind = ArrivalKind::kConstant, .rate = 8};
  spec.class_weights = {1, 1};
  const Trace trace = MUST(make_workload(spec, {}));
  const Trace again = MUST(parse_trace(trace_csv(trace), "again"));
  ASSERT_EQ(again.requests.size(), trace.requests.size());
  for (std::size_t i = 0; i < trace.requests.size(); ++i) {
    EXPECT_EQ(again.requests[i].arrival, trace.requests[i].arrival);  // 125 ms apart
    EXPECT_EQ(again.requests[i].num_prompt, trace.requests[i].num_prompt);
    EXPECT_EQ(again.requests[i].num_output, trace.requests[i].num_output);
    EXPECT_EQ(again.requests[i].class_index, trace.requests[i].class_index);
  }
}

constexpr const char* kMooncake =
    "{\"timestamp\": 0, \"input_length\": 1000, \"output_length\": 5, \"hash_ids\": [7, 8]}\n"
    "{\"timestamp\": 3000, \"input_length\": 1030, \"output_length\": 6, \"hash_ids\": [7, 9, "
    "10]}\n"
    "{\"timestamp\": 3000, \"input_length\": 600, \"output_length\": 6}\n";

TEST(MooncakeTrace, TakesMoreFieldsBlankLinesAndAByteOrderMark) {
  const Trace trace = MUST(parse_trace(
      "\xEF\xBB\xBF\r\n  {\"extra\": {\"a\": [1]}, \"output_length\": 5, \"input_length\": 10, "
      "\"timestamp\": 900}\r\n\n{\"timestamp\": 400, \"input_length\": 20, \"output_length\": 6, "
      "\"hash_ids\": [3], \"user\": null}\n{\"timestamp\": 1, \"input_length\": 0, "
      "\"output_length\": 6}",
      "t"));
  ASSERT_EQ(trace.requests.size(), 2u);
  EXPECT_EQ(trace.num_left_out, 1u);
  EXPECT_EQ(trace.requests[0].num_prompt, 20u);  // by arrival
  EXPECT_EQ(trace.requests[1].arrival, std::chrono::milliseconds(500));
}

TEST(MooncakeTrace, EqualNamesBecomeEqualTokens) {
  const Trace trace = MUST(parse_trace(kMooncake, "t"));
  ASSERT_EQ(trace.requests.size(), 3u);
  EXPECT_EQ(trace.requests[1].arrival, std::chrono::seconds(3));
  std::vector<TokenId> first;
  std::vector<TokenId> second;
  std::vector<TokenId> third;
  fill_prompt(trace, trace.requests[0], 0, first);
  fill_prompt(trace, trace.requests[1], 1, second);
  fill_prompt(trace, trace.requests[2], 2, third);
  ASSERT_EQ(first.size(), 1000u);
  ASSERT_EQ(second.size(), 1030u);
  EXPECT_TRUE(std::equal(first.begin(), first.begin() + 512, second.begin()));
  EXPECT_NE(first[512], second[512]);
  EXPECT_EQ(std::set<TokenId>(second.begin(), second.end()).size(), 3u);
  // Without names a prompt is like no other.
  EXPECT_EQ(std::set<TokenId>(third.begin(), third.end()).size(), 1u);
  EXPECT_NE(third[0], first[0]);
  // 512 tokens of the second request; nothing of the others.
  EXPECT_EQ(reusable_tokens(trace, 16), 512u);
}

TEST(MooncakeTrace, TheLastTokenIsNeverReused) {
  const std::string line =
      "{\"timestamp\": 0, \"input_length\": 1024, \"output_length\": 1, \"hash_ids\": [1, 2]}\n";
  const Trace trace = MUST(parse_trace(line + line, "t"));
  // All but the last block, which holds the token that must be computed.
  EXPECT_EQ(reusable_tokens(trace, 16), 1008u);
}

TEST(MooncakeTrace, SaysWhatIsWrongAndWhere) {
  EXPECT_EQ(mooncake_error(""), "t.jsonl: a trace without a request");
  EXPECT_THAT(mooncake_error("{}\n"), HasSubstr("line 1: expected a number 'timestamp'"));
  EXPECT_THAT(mooncake_error("\n[]\n"), HasSubstr("line 2: expected an object"));
  EXPECT_THAT(mooncake_error("{\"a\":\n"), HasSubstr("t.jsonl, line 1: not valid JSON"));
  const auto line = [](const char* ids, const char* length = "600") {
    return std::string("{\"timestamp\": 1, \"input_length\": ") + length +
           ", \"output_length\": 2, \"hash_ids\": " + ids + "}";
  };
  EXPECT_EQ(mooncake_error(line("[1, 2]")), "no error");
  EXPECT_THAT(mooncake_error(line("[1, 2, 3]")), HasSubstr("found 3 hash_ids for 600 tokens"));
  EXPECT_THAT(mooncake_error(line("[-1]")), HasSubstr("hash_ids holds something else"));
  EXPECT_THAT(mooncake_error(line("[2147483648]")), HasSubstr("0 to 2147483647"));
  EXPECT_THAT(mooncake_error(line("3")), HasSubstr("hash_ids is not a list"));
  EXPECT_THAT(mooncake_error(line("[]", "1e9")), HasSubstr("input_length is outside 0 to"));
  EXPECT_THAT(mooncake_error(line("[]", "1.5")), HasSubstr("not a whole number"));
  EXPECT_THAT(mooncake_error(line("[1, 2]"), {.num_prefixes_max = 1}),
              HasSubstr("more than 1 hash_ids"));
  EXPECT_THAT(mooncake_error(line("[]") + "\n" + line("[]"), {.requests_max = 1}),
              HasSubstr("line 2: more than 1 requests"));
}

TEST(SharedTraces, AreReadWhole) {
  const std::string folder = std::string(MILLRACE_SHARED_DATA) + "/traces/";
  if (!is_directory(folder)) {
    if (std::getenv("MILLRACE_REQUIRE_DATA") != nullptr) FAIL() << "no " << folder;
    GTEST_SKIP() << "no " << folder;
  }
  const Trace azure = MUST(read_trace(folder + "azure-2023/AzureLLMInferenceTrace_conv.csv"));
  EXPECT_EQ(azure.requests.size(), 19'366u);
  EXPECT_NEAR(seconds(azure.requests.back().arrival), 3501.7219,
              1e-3);  // 18:15:46.68 to 19:14:08.40
  const Trace mooncake = MUST(read_trace(folder + "mooncake/conversation_trace.jsonl"));
  EXPECT_EQ(mooncake.requests.size(), 12'031u);
  EXPECT_EQ(mooncake.prefix_ids.size(), 288'500u);
  double num_prompt = 0;
  for (const TraceRequest& request : mooncake.requests) num_prompt += request.num_prompt;
  // 0.37362 by an independent count in Python of whole 512-token pieces, without the last token's
  // block: at most 16 tokens of each request less here.
  const double rate = static_cast<double>(reusable_tokens(mooncake, 16)) / num_prompt;
  EXPECT_LE(rate, 0.37363);
  EXPECT_GE(rate, 0.37362 - 16.0 * 12'031 / num_prompt);
  EXPECT_EQ(MUST(read_trace(folder + "vidur/splitwise_conv.csv")).requests.size(), 19'366u);
}

TEST(Workload, IsTheSameForTheSameSeed) {
  WorkloadSpec spec;
  spec.num_requests = 500;
  spec.lengths.kind = LengthKind::kUniform;
  spec.arrivals = {.kind = ArrivalKind::kOnOff, .rate = 50};
  spec.class_weights = {1, 3};
  const std::string once = trace_csv(MUST(make_workload(spec, {})));
  EXPECT_EQ(once, trace_csv(MUST(make_workload(spec, {}))));
  spec.seed = 2;
  EXPECT_NE(once, trace_csv(MUST(make_workload(spec, {}))));
}

TEST(Workload, KeepsTheRateInEveryKindOfArrivals) {
  for (const ArrivalKind kind :
       {ArrivalKind::kConstant, ArrivalKind::kPoisson, ArrivalKind::kOnOff}) {
    ArrivalSpec spec{.kind = kind, .rate = 40};
    spec.on_mean = std::chrono::milliseconds(500);
    spec.off_mean = std::chrono::milliseconds(1500);
    Random random(3);
    constexpr std::size_t kCount = 40'000;
    const std::vector<Duration> arrivals = draw_arrivals(spec, 0.5, kCount, random);
    ASSERT_TRUE(std::is_sorted(arrivals.begin(), arrivals.end()));
    // 40,000 arrivals at 20 per second take 2,000 s, which are about 1,000 bursts of exponential
    // length: four standard deviations are under 4 * sqrt(2 / 1000) = 18 %.
    EXPECT_NEAR(seconds(arrivals.back()), 2000, 2000 * 0.18);
  }
}

TEST(Workload, DealsClassesByWeight) {
  WorkloadSpec spec;
  spec.num_requests = 10'000;
  spec.lengths.kind = LengthKind::kFixed;
  spec.arrivals.kind = ArrivalKind::kAtOnce;
  spec.class_weights = {1, 0, 3};
  std::array<std::size_t, 3> counts{};
  for (const TraceRequest& request : MUST(make_workload(spec, {})).requests) {
    ++counts[request.class_index];
  }
  EXPECT_EQ(counts[1], 0u);
  // Binomial: four standard deviations are 4 * sqrt(10000 * 0.25 * 0.75) = 173.
  EXPECT_NEAR(static_cast<double>(counts[0]), 2500, 173);
}

TEST(Workload, GoesRoundTheTraceScalesItAndCutsIt) {
  Trace source = MUST(
      parse_trace("arrived_at,num_prefill_tokens,num_decode_tokens\n0,1,1\n1,2,1\n2,3,1\n", "t"));
  WorkloadSpec spec;
  spec.num_requests = 7;
  const Trace twice = MUST(make_workload(spec, source));
  ASSERT_EQ(twice.requests.size(), 7u);
  EXPECT_EQ(twice.requests[3].num_prompt, 1u);
  EXPECT_GT(twice.requests[3].arrival, twice.requests[2].arrival);
  spec.num_requests.reset();
  spec.arrivals.rate = 15;  // 3 requests in 0.2 s
  const Trace fast = MUST(make_workload(spec, source));
  EXPECT_NEAR(seconds(fast.requests.back().arrival), 0.2, 1e-6);
  spec.first = std::chrono::milliseconds(150);
  EXPECT_EQ(MUST(make_workload(spec, source)).requests.size(), 2u);
}

TEST(Workload, RefusesWhatMakesNoSense) {
  const Trace none;
  const auto message = [&](const WorkloadSpec& spec) {
    const auto made = make_workload(spec, none);
    return made.ok() ? "no error" : made.error().message;
  };
  WorkloadSpec spec;
  EXPECT_THAT(message(spec), HasSubstr("no request to take lengths from"));
  spec.lengths.kind = LengthKind::kFixed;
  spec.arrivals.kind = ArrivalKind::kPoisson;
  EXPECT_THAT(message(spec), HasSubstr("need a rate"));
  spec.arrivals.rate = -1;
  EXPECT_THAT(message(spec), HasSubstr("rate is -1"));
  spec.arrivals.rate = 1;
  EXPECT_THAT(message(spec), HasSubstr("say how many requests"));
  spec.num_requests = 3;
  EXPECT_EQ(message(spec), "no error");
  spec.class_weights = {0, 0};
  EXPECT_THAT(message(spec), HasSubstr("all class weights are 0"));
  spec.class_weights = {};
  spec.arrivals.kind = ArrivalKind::kOnOff;
  spec.arrivals.on_mean = std::chrono::nanoseconds(1);
  spec.arrivals.off_mean = std::chrono::nanoseconds(1);
  EXPECT_THAT(message(spec), HasSubstr("more than a thousand times"));
}

}  // namespace
}  // namespace millrace
