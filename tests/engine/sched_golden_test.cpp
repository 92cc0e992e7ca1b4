// Golden schedules: each .sched file is a story of arrivals with the plans that they must lead to.
//
// A line is a command or an output; the runner replays the commands, writes the outputs anew, and
// the whole file must come out as it was. UPDATE_GOLDEN=1 rewrites the files instead.
//
//   pool   blocks=N block_tokens=N          first line
//   class  NAME share=N [blocks_max=N] [target_ms=N]   before step; without any there is one
//   step   tokens_max=N [sequences_max=N] [chunk_tokens_max=N] [requests_max=N] [reclaim=N]
//   arrive NAME prompt=N [max=N] [deadline_ms=N] [class=N] [like=N] [choice_of=NAME]
//                                            -> "refuse NAME message" when it never fits; prompts
//                                            differ from the first token on unless `like` is equal
//   wait   ms=N                              time passes
//   finish NAME | cancel NAME                ends before the next plan
//   plan                                     -> chunks NAME:computed+tokens, "preempt NAME",
//                                            "copies N" of last blocks of prompts
//                                            -> "end NAME reason" for those that ended by
//                                            themselves
//   free                                     -> number of blocks that are free or idle
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "base/file.h"
#include "engine/scheduler.h"

namespace millrace {
namespace {

std::string padded(std::string word) {
  constexpr std::size_t kColumn = 7;
  word.resize(std::max(word.size() + 1, kColumn), ' ');
  return word;
}

class Story {
 public:
  // The file's text with its outputs written anew.
  std::string replay(const std::string& text) {
    std::istringstream lines(text);
    std::string line;
    while (std::getline(lines, line)) replay_line(line);
    return out_;
  }

 private:
  using Words = std::vector<std::string>;

  void replay_line(const std::string& line) {
    Words words;
    std::istringstream stream(line);
    for (std::string word; stream >> word;) words.push_back(word);
    if (words.empty() || words[0][0] == '#') {
      out_ += line + "\n";
      return;
    }
    const std::string& command = words[0];
    if (command == "end" || command == "refuse") return;  // outputs, written when they come about
    if (command == "plan") return plan();
    if (command == "free") return emit("free", num_available());
    out_ += line + "\n";
    if (command == "pool") return make_pool(words);
    if (command == "class") return add_class(words);
    if (command == "step") return make_scheduler(words);
    if (command == "arrive") return arrive(words);
    if (command == "wait") return clock_.advance(std::chrono::milliseconds(number(words, "ms")));
    if (command == "finish") return end(words.at(1), FinishReason::kStop);
    if (command == "cancel") return end(words.at(1), FinishReason::kCancelled);
    ADD_FAILURE() << "unknown command: " << line;
  }

  void emit(const std::string& word, const std::string& rest) {
    out_ += rest.empty() ? word + "\n" : padded(word) + rest + "\n";
  }

  static std::optional<std::size_t> find_number(const Words& words, const std::string& name) {
    for (const std::string& word : words) {
      if (word.rfind(name + "=", 0) == 0) return std::stoull(word.substr(name.size() + 1));
    }
    return std::nullopt;
  }
  static std::size_t number(const Words& words, const std::string& name) {
    const auto found = find_number(words, name);
    EXPECT_TRUE(found.has_value()) << "missing " << name;
    return found.value_or(1);
  }

  void make_pool(const Words& words) {
    pool_ = std::make_unique<BlockPool>(static_cast<std::uint32_t>(number(words, "blocks")));
    options_.block_tokens = number(words, "block_tokens");
  }

  void add_class(const Words& words) {
    ServiceClass& service_class = options_.classes.emplace_back();
    service_class.name = words.at(1);
    service_class.share = static_cast<double>(number(words, "share"));
    if (const auto blocks_max = find_number(words, "blocks_max")) {
      service_class.blocks_max = static_cast<std::uint32_t>(*blocks_max);
    }
    if (const auto ms = find_number(words, "target_ms")) {
      service_class.first_token_target = std::chrono::milliseconds(*ms);
    }
  }

  std::string num_available() const {
    return std::to_string(scheduler_->prefix_index().num_available());
  }

  void make_scheduler(const Words& words) {
    if (options_.classes.empty()) options_.classes.emplace_back().name = "all";
    options_.reclaim_steps = find_number(words, "reclaim").value_or(options_.reclaim_steps);
    options_.step_tokens_max = number(words, "tokens_max");
    options_.num_sequences_max = find_number(words, "sequences_max")
                                     .value_or(std::min<std::size_t>(4, options_.step_tokens_max));
    options_.chunk_tokens_max =
        find_number(words, "chunk_tokens_max").value_or(options_.step_tokens_max);
    options_.num_requests_max = find_number(words, "requests_max").value_or(16);
    ASSERT_TRUE(check_options(options_).ok());
    scheduler_ = std::make_unique<Scheduler>(options_, *pool_);
  }

  void arrive(const Words& words) {
    Request request;
    constexpr TokenId kLikeBase = 500;
    const auto like = find_number(words, "like");
    const auto token =
        like ? kLikeBase + static_cast<TokenId>(*like) : static_cast<TokenId>(1 + num_arrived_++);
    request.prompt.assign(number(words, "prompt"), token);
    request.service_class.index =
        static_cast<std::uint32_t>(find_number(words, "class").value_or(0));
    request.max_tokens = find_number(words, "max");
    if (const auto ms = find_number(words, "deadline_ms")) {
      request.deadline = clock_.now() + std::chrono::milliseconds(*ms);
    }
    constexpr std::size_t kContext = 1000;
    const std::size_t num_blocks = std::min(
        pool_->num_blocks(),
        options_.classes[request.service_class.index].blocks_max.value_or(pool_->num_blocks()));
    auto checked =
        checked_request(std::move(request), {.vocabulary = 1000,
                                             .context_tokens = kContext,
                                             .cache_tokens = num_blocks * options_.block_tokens,
                                             .num_classes = options_.classes.size()});
    const std::string& name = words.at(1);
    if (!checked.ok()) return emit("refuse", name + " " + checked.error().message);
    std::optional<SequenceId> leader;
    for (const std::string& word : words) {
      if (word.rfind("choice_of=", 0) == 0) leader = ids_.at(word.substr(10));
    }
    const SequenceId id = scheduler_->submit(
        std::make_unique<Sequence>(std::move(checked).value(), options_.block_tokens, clock_.now()),
        leader);
    ids_[name] = id;
    names_[id.index] = name;
  }

  void end(const std::string& name, FinishReason reason) {
    scheduler_->cancel(ids_.at(name), {.reason = reason});
    told_.push_back(name);
  }

  std::string name_of(const Sequence* sequence) const { return names_.at(sequence->id.index); }

  void plan() {
    const StepPlan& plan = scheduler_->plan(clock_.now());
    std::string text;
    const auto append = [&](const std::string& part) { text += (text.empty() ? "" : " ") + part; };
    for (const PlannedChunk& chunk : plan.chunks) {
      append(name_of(chunk.sequence) + ":" + std::to_string(chunk.num_computed) + "+" +
             std::to_string(chunk.num_tokens));
    }
    for (const Sequence* sequence : plan.preempted) append("preempt " + name_of(sequence));
    if (!plan.copies.empty()) append("copies " + std::to_string(plan.copies.size()));
    emit("plan", text);
    if (!plan.chunks.empty()) {
      StepResult result(plan.chunks.size());
      result.reset(plan.chunks.size());
      for (SampledToken& sample : result.samples) sample.outcome = SampleOutcome::kToken;
      scheduler_->apply(result);
    }
    for (const Sequence* sequence : scheduler_->events().finished) {
      const std::string name = name_of(sequence);
      if (std::erase(told_, name) > 0) continue;
      emit("end", name + " " + std::string(finish_reason_name(sequence->finish->reason)));
    }
    scheduler_->clear_events();
    scheduler_->check_invariants();
  }

  ManualClock clock_;
  SchedulerOptions options_{.classes = {}};
  std::unique_ptr<BlockPool> pool_;
  std::unique_ptr<Scheduler> scheduler_;
  std::map<std::string, SequenceId> ids_;
  std::map<std::uint32_t, std::string> names_;
  std::size_t num_arrived_ = 0;
  std::vector<std::string> told_;  // ended by a command, so their end is no news
  std::string out_;
};

std::vector<std::string> golden_files() {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(MILLRACE_SCHED_GOLDEN)) {
    if (entry.path().extension() == ".sched") files.push_back(entry.path().stem());
  }
  std::sort(files.begin(), files.end());
  return files;
}

class SchedGolden : public ::testing::TestWithParam<std::string> {};

TEST_P(SchedGolden, PlansAreAsWritten) {
  constexpr std::uint64_t kFileBytesMax = 1 << 20;
  const std::string path = std::string(MILLRACE_SCHED_GOLDEN) + "/" + GetParam() + ".sched";
  const std::string expected = MUST(read_file(path, kFileBytesMax));  // a file of ours
  const std::string found = Story().replay(expected);
  if (std::getenv("UPDATE_GOLDEN") != nullptr) {
    ASSERT_TRUE(write_file(path, found).ok());
    return;
  }
  EXPECT_EQ(found, expected);
}

INSTANTIATE_TEST_SUITE_P(Files, SchedGolden, ::testing::ValuesIn(golden_files()),
                         [](const auto& file) { return file.param; });

}  // namespace
}  // namespace millrace
