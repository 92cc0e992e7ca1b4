// A training run as its SPEC.yaml says it, once that is a tree of JSON.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "train/corpus.h"
#include "train/train_options.h"

namespace millrace {

struct TrainSpec {
  // Either a config.json in the spec itself, with random weights, or a checkpoint to begin with.
  OrderedJson model_config = nullptr;
  std::string initial_model;
  std::string teacher;    // a checkpoint; with it, TrainOptions::distill
  std::string tokenizer;  // a folder with a tokenizer.json
  std::vector<CorpusFile> data;
  std::vector<CorpusFile> held_out;
  std::string output;  // the run's folder
  TrainOptions options;
};

// Paths are as written. kInvalidArgument naming the key, what was found and what was expected;
// a key that is not known is answered with those that are.
Result<TrainSpec> parse_train_spec(const OrderedJson& json, const std::string& name);

}  // namespace millrace
