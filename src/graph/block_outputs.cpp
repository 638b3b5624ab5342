#include "src/graph/block_outputs.hpp"

#include <algorithm>
#include <cmath>
#include <set>

#include "src/core/error.hpp"
#include "src/core/suggest.hpp"
#include "src/graph/cost.hpp"
#include "src/graph/op_table.hpp"
#include "src/graph/roles.hpp"

namespace pare {
namespace {

// A value where the network is one value wide, and the multiply-accumulates up to there.
struct Cut {
  ValueId value;
  int64_t macs;
};

class Scan {
 public:
  explicit Scan(const Graph& graph) : graph_(graph), roles_(roles_of(graph)), last_reader_(graph.values.size(), -1) {
    readers_.resize(graph.values.size());
    touched_.resize(graph.values.size());
    for (size_t i = 0; i < graph.nodes.size(); ++i)
      for (const ValueId input : graph.nodes[i].inputs) {
        if (input == no_value) continue;
        last_reader_[index(input)] = static_cast<int64_t>(i);
        readers_[index(input)].push_back(static_cast<int64_t>(i));
      }
  }

  std::vector<Cut> cuts() {
    const GraphCost cost = graph_cost(graph_);
    std::vector<int64_t> own;  // of the graph's nodes, without those of subgraphs
    for (const NodeCost& row : cost.nodes)
      if (row.graph == &graph_) own.push_back(std::max<int64_t>(0, row.macs));
    std::vector<Cut> found;
    int64_t macs = 0;
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      touch(graph_.nodes[i]);
      macs += own[i];
      std::erase_if(live_, [&](ValueId id) { return last_reader_[index(id)] <= static_cast<int64_t>(i); });
      if (live_.size() == 1 && eligible(*live_.begin(), graph_.nodes[i])) found.push_back({*live_.begin(), macs});
    }
    return found;
  }

 private:
  static size_t index(ValueId id) { return static_cast<size_t>(id); }

  bool weighted(const Node& node) const {
    return std::any_of(node.inputs.begin(), node.inputs.end(),
                       [&](ValueId id) { return id != no_value && roles_[index(id)] == Role::weight; });
  }

  void touch(const Node& node) {
    const bool touched = weighted(node) || std::any_of(node.inputs.begin(), node.inputs.end(), [&](ValueId id) {
                           return id != no_value && touched_[index(id)];
                         });
    if (!touched) return;
    for (const ValueId id : node.outputs) {
      if (id == no_value) continue;
      touched_[index(id)] = true;
      live_.insert(id);
    }
  }

  bool eligible(ValueId id, const Node& producer) const {
    if (std::find(producer.outputs.begin(), producer.outputs.end(), id) == producer.outputs.end()) return false;
    for (const Port& output : graph_.outputs)
      if (output.value == id) return false;
    const Value& value = graph_.value(id);
    if (value.name.empty() || (value.dtype != DType::undefined && !is_float(value.dtype))) return false;
    const auto& readers = readers_[index(id)];
    return readers.size() > 1 || std::any_of(readers.begin(), readers.end(), [&](int64_t reader) {
             return weighted(graph_.nodes[static_cast<size_t>(reader)]);
           });
  }

  const Graph& graph_;
  std::vector<Role> roles_;
  std::vector<int64_t> last_reader_;
  std::vector<std::vector<int64_t>> readers_;
  std::vector<bool> touched_;  // by weights
  std::set<ValueId> live_;     // touched values that later nodes read
};

}  // namespace

std::vector<ValueId> block_outputs(const Graph& graph, size_t most) {
  Graph shaped = graph;
  infer_shapes(shaped);
  const std::vector<Cut> cuts = Scan(shaped).cuts();
  std::set<size_t> chosen;
  const double total = cuts.empty() ? 0 : static_cast<double>(cuts.back().macs);
  for (size_t k = 1; k <= most && !cuts.empty(); ++k) {
    const double goal = total * static_cast<double>(k) / static_cast<double>(most);
    const auto distance = [&](const Cut& cut) { return std::abs(static_cast<double>(cut.macs) - goal); };
    const auto nearest = std::min_element(cuts.begin(), cuts.end(),
                                          [&](const Cut& a, const Cut& b) { return distance(a) < distance(b); });
    chosen.insert(static_cast<size_t>(nearest - cuts.begin()));
  }
  std::vector<ValueId> values;
  for (const size_t i : chosen) values.push_back(cuts[i].value);
  return values;
}

Graph with_outputs(const Graph& graph, const std::vector<std::string>& names) {
  Graph extended = graph;
  std::set<ValueId> computed;
  for (const Node& node : graph.nodes) computed.insert(node.outputs.begin(), node.outputs.end());
  for (const std::string& name : names) {
    const ValueId id = graph.find(name);
    if (id == no_value || !computed.contains(id)) {
      std::vector<std::string> known;
      for (const ValueId value : computed)
        if (value != no_value) known.push_back(graph.value(value).name);
      fail_usage("'{}' is not a value that the model computes{}", name, did_you_mean(name, known));
    }
    extended.outputs.push_back({id, {}, false});
  }
  return extended;
}

}  // namespace pare
