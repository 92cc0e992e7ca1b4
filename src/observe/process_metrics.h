// What the process takes of the machine, with the names that all Prometheus clients use.
#pragma once

#include <vector>

#include "observe/metric_registry.h"

namespace millrace {

// For MetricRegistry::add_collector: memory, processor time, open files, start. What the system
// does not tell is left out.
void collect_process_metrics(std::vector<MetricSnapshot>& snapshots);

}  // namespace millrace
