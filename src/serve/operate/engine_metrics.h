// What the engines of all models say, as metrics.
#pragma once

#include <span>
#include <vector>

#include "engine/model_registry.h"
#include "engine/service_class.h"
#include "observe/metric_registry.h"

namespace millrace {

// Adds the families of docs/operating.md, "Engine". Labels are names of models and classes, which
// the operator gave. A pure function of what the registry says; a model that loads has no numbers
// yet.
void add_engine_metrics(std::span<const ModelStatus> models, std::span<const ServiceClass> classes,
                        std::vector<MetricSnapshot>& snapshots);

}  // namespace millrace
