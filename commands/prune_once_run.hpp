// `pare prune` without training: scores, masks once, writes. Works without any data for scores of the weights alone.
#pragma once

#include <set>

#include "commands/engine_run.hpp"
#include "commands/prune.hpp"

namespace pare {

ExitCode prune_once(const PruneOptions& options, const LoadedModel& loaded, const std::set<std::string>& weights,
                    at::Device device, RunContext& context);

}  // namespace pare
