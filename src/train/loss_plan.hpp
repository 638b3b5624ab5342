// Which losses a training adds up, on which outputs: what --task, --loss and --output say, or what the model's outputs
// suggest. From the graph alone.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "src/graph/graph.hpp"

namespace pare {

enum class LossKind { ce, mse, l1, bce, kl, dkd, relative };

struct LossName {
  std::string_view name;
  std::string_view meaning;
  LossKind kind;
};

// What --loss knows. mse, l1 and bce compare with the data's targets where it has some, else with the teacher.
inline constexpr std::array<LossName, 7> loss_names{{
    {"ce", "cross-entropy to the labels", LossKind::ce},
    {"mse", "mean squared difference", LossKind::mse},
    {"l1", "mean absolute difference", LossKind::l1},
    {"bce", "binary cross-entropy of logits", LossKind::bce},
    {"kl", "divergence from the teacher's softmax", LossKind::kl},
    {"dkd", "decoupled distillation from the teacher", LossKind::dkd},
    {"relative", "squared difference from the teacher as a share of its variance", LossKind::relative},
}};

std::string_view name_of(LossKind kind);

struct LossTerm {
  LossKind kind = LossKind::ce;
  size_t output = 0;
  double weight = 1;
};

// What the data and the command line offer.
struct LossRequest {
  std::string task = "auto";         // auto | classify | regress | none
  std::string losses;                // --loss; empty: by task and outputs
  std::vector<std::string> outputs;  // --output; empty: all, or with labels the first
  bool labelled = false;             // class labels
  std::vector<std::string> targets;  // names of the data's target arrays
  bool teacher = false;              // there is one
  double kd_weight = 0.7;
};

struct LossPlan {
  std::string task;  // classify | regress | none
  std::vector<LossTerm> terms;
  // Target of the data for each output of the model, -1 where there is none: by name, else in order.
  std::vector<int> targets;
};

// Whether the output is scores of classes before a softmax: [N, K] with K > 1 from a layer with weights.
bool looks_like_logits(const Graph& graph, ValueId output);

// Throws: exit 2 for a list that cannot be read, an unknown output, and a loss without labels, targets or teacher; exit
// 3 when nothing is left to learn from.
LossPlan plan_losses(const Graph& graph, const LossRequest& request);

// "kl logits 0.7, ce logits 0.3": for people.
std::string plan_text(const Graph& graph, const LossPlan& plan);

}  // namespace pare
