// What several readers of families with experts need.
#pragma once

#include "model/families/family.h"

namespace millrace {

// How many experts there are and how many a token takes.
Status read_expert_counts(const ConfigReader& config, FeedForwardSpec& feed_forward);

// norm_topk_prob, false where it is absent.
Status read_normalised(const ConfigReader& config, FeedForwardSpec& feed_forward);

// Every decoder_sparse_step-th layer has experts, except those that mlp_only_layers lists.
Status place_sparse_layers(const ConfigReader& config, const FeedForwardSpec& experts,
                           ModelSpec& spec);

}  // namespace millrace
