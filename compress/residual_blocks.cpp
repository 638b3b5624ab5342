#include "compress/residual_blocks.hpp"

#include <algorithm>

#include <fmt/ranges.h>
#include <fnmatch.h>

#include "compress/channel_groups.hpp"
#include "src/core/error.hpp"
#include "src/graph/edit.hpp"
#include "src/graph/passes/fold_sizes.hpp"
#include "src/graph/passes/run_pass.hpp"
#include "src/graph/roles.hpp"
#include "src/graph/shape_rules.hpp"

namespace pare {
namespace {

std::string shape_text(const std::optional<Shape>& shape) {
  return shape ? fmt::format("[{}]", fmt::join(*shape, ",")) : "unknown";
}

class Search {
 public:
  // `sized` and `otherwise`: the graph with two different choices of what the file leaves open.
  Search(const Graph& sized, const Graph& otherwise)
      : sized_(sized), otherwise_(otherwise), roles_(roles_of(sized)), producer_(sized.values.size(), no_node) {
    readers_.resize(sized.values.size());
    for (size_t i = 0; i < sized.nodes.size(); ++i) {
      for (const ValueId id : sized.nodes[i].outputs)
        if (id != no_value) producer_[index(id)] = i;
      for (const ValueId id : sized.nodes[i].inputs)
        if (id != no_value) readers_[index(id)].push_back(i);
    }
    returned_.resize(sized.values.size());
    for (const Port& port : sized.outputs) returned_[index(port.value)] = true;
  }

  ResidualBlocks run() {
    ResidualBlocks found;
    for (size_t i = 0; i < sized_.nodes.size(); ++i) {
      const Node& node = sized_.nodes[i];
      const bool sum = node.op == "Add" || (node.op == "Sum" && node.inputs.size() == 2);
      if (!sum || !node.domain.empty() || !computed(node.inputs[0]) || !computed(node.inputs[1])) continue;
      ResidualBlock block;
      const std::string reason = look(i, block);
      if (reason.empty()) found.blocks.push_back(std::move(block));
      else found.kept.push_back({node.name, reason});
    }
    return found;
  }

 private:
  static constexpr size_t no_node = SIZE_MAX;
  static size_t index(ValueId id) { return static_cast<size_t>(id); }

  // Inputs of the graph count: a network may begin with a block.
  bool computed(ValueId id) const { return id != no_value && !sized_.value(id).constant; }

  // The nodes on a way from x to f, in order; empty when there is none.
  std::vector<size_t> between(ValueId x, ValueId f) const {
    const size_t last = producer_[index(f)];
    if (last == no_node || x == f) return {};
    const size_t first = producer_[index(x)] == no_node ? 0 : producer_[index(x)] + 1;
    if (first > last) return {};
    std::vector<bool> wanted(last - first + 1, false), reached(last - first + 1, false);
    wanted.back() = true;
    for (size_t i = last + 1; i-- > first;) {
      if (!wanted[i - first]) continue;
      for (const ValueId id : sized_.nodes[i].inputs) {
        const size_t from = id == no_value ? no_node : producer_[index(id)];
        if (from != no_node && from >= first) wanted[from - first] = true;
      }
    }
    std::vector<size_t> nodes;
    for (size_t i = first; i <= last; ++i) {
      const auto& inputs = sized_.nodes[i].inputs;
      reached[i - first] = std::any_of(inputs.begin(), inputs.end(), [&](ValueId id) {
        const size_t from = id == no_value ? no_node : producer_[index(id)];
        return id == x || (from != no_node && from >= first && reached[from - first]);
      });
      if (wanted[i - first] && reached[i - first]) nodes.push_back(i);
    }
    return reached.back() ? nodes : std::vector<size_t>{};
  }

  bool same_shape(const Graph& graph, const ResidualBlock& block) const {
    const auto& x = graph.value(block.shortcut).shape;
    const auto& f = graph.value(block.branch).shape;
    return x && f && *x == *f && std::none_of(x->begin(), x->end(), [](int64_t size) { return size < 0; });
  }

  // What of the branch is seen outside; empty when nothing is.
  std::string leak(const ResidualBlock& block) const {
    for (const size_t node : block.nodes) {
      for (const ValueId id : sized_.nodes[node].outputs) {
        if (id == no_value) continue;
        if (returned_[index(id)])
          return fmt::format("'{}' of its branch is an output of the model", sized_.value(id).name);
        for (const size_t reader : readers_[index(id)]) {
          const bool inside = std::binary_search(block.nodes.begin(), block.nodes.end(), reader);
          if (!inside && (reader != block.add || id != block.branch))
            return fmt::format("'{}' of its branch is also read by node '{}'", sized_.value(id).name,
                               sized_.nodes[reader].name);
        }
      }
    }
    return "";
  }

  bool weighted(const ResidualBlock& block) const {
    return std::any_of(block.nodes.begin(), block.nodes.end(), [&](size_t i) {
      const auto& inputs = sized_.nodes[i].inputs;
      return std::any_of(inputs.begin(), inputs.end(),
                         [&](ValueId id) { return id != no_value && roles_[index(id)] == Role::weight; });
    });
  }

  // Fills the block of that Add; returns why it is none, or nothing.
  std::string look(size_t add, ResidualBlock& block) const {
    const Node& node = sized_.nodes[add];
    block = {add, node.name, node.inputs[0], node.inputs[1], between(node.inputs[0], node.inputs[1])};
    if (block.nodes.empty())
      block = {add, node.name, node.inputs[1], node.inputs[0], between(node.inputs[1], node.inputs[0])};
    if (block.nodes.empty()) return "neither of its inputs is computed from the other";
    if (!same_shape(sized_, block) || (otherwise_.nodes.size() == sized_.nodes.size() && differ(otherwise_, block)))
      return fmt::format("its inputs have the shapes {} and {}", shape_text(sized_.value(block.shortcut).shape),
                         shape_text(sized_.value(block.branch).shape));
    if (!weighted(block)) return "its branch holds no weights";
    return leak(block);
  }

  // Whether both shapes are known, and are not the same.
  static bool differ(const Graph& graph, const ResidualBlock& block) {
    const auto& x = graph.value(block.shortcut).shape;
    const auto& f = graph.value(block.branch).shape;
    return x && f && *x != *f;
  }

  const Graph& sized_;
  const Graph& otherwise_;
  std::vector<Role> roles_;
  std::vector<size_t> producer_;
  std::vector<std::vector<size_t>> readers_;
  std::vector<bool> returned_;
};

// Constants that nodes of `before` read and none of `after` does: they count for nothing.
void drop_unread_constants(const Graph& before, Graph& after) {
  const auto was_read = consumers_of(before);
  const auto is_read = consumers_of(after);
  std::vector<bool> returned(after.values.size(), false);
  for (const Port& port : after.outputs) returned[static_cast<size_t>(port.value)] = true;
  for (size_t i = 0; i < after.values.size(); ++i)
    if (!was_read[i].empty() && is_read[i].empty() && !returned[i]) after.values[i].constant.reset();
}

bool matches(const std::string& glob, const Graph& graph, const ResidualBlock& block) {
  const auto fits = [&](const std::string& name) { return ::fnmatch(glob.c_str(), name.c_str(), 0) == 0; };
  return fits(block.name) || std::any_of(block.nodes.begin(), block.nodes.end(), [&](size_t i) {
           const Node& node = graph.nodes[i];
           return fits(node.name) || std::any_of(node.inputs.begin(), node.inputs.end(), [&](ValueId id) {
                    return id != no_value && graph.value(id).constant && fits(graph.value(id).name);
                  });
         });
}

}  // namespace

ResidualBlocks residual_blocks(const Graph& graph, const std::map<std::string, Shape>& shapes) {
  const Graph sized = with_sizes(graph, shapes);
  Graph otherwise;
  try {
    // A batch of one would make equal what is only broadcast over the batch.
    otherwise = with_sizes(graph, {}, {2, 96});
  } catch (const Error&) {
    otherwise = sized;
  }
  return Search(sized, otherwise).run();
}

Graph without_blocks(const Graph& graph, const std::vector<ResidualBlock>& blocks, const std::vector<bool>& removed) {
  Graph result = graph;
  for (size_t i = 0; i < blocks.size(); ++i) {
    if (!removed[i]) continue;
    Node& add = result.nodes[blocks[i].add];
    add.op = "Identity";
    add.inputs = {blocks[i].shortcut};
    add.attributes.clear();
  }
  run_pass(result, "remove identities", remove_identities);
  run_pass(result, "remove dead nodes", remove_dead_nodes);
  drop_unread_constants(graph, result);
  infer_shapes(result);
  return result;
}

Graph with_zeroed_blocks(const Graph& graph, const std::vector<ResidualBlock>& blocks,
                         const std::vector<bool>& removed) {
  Graph result = graph;
  NodeInsertions insertions;
  for (size_t i = 0; i < blocks.size(); ++i) {
    if (!removed[i]) continue;
    Node& add = result.nodes[blocks[i].add];
    const Value branch = result.value(blocks[i].branch);
    const ValueId zero = add_constant_value(result, add.name + ".zero", scalar_tensor(0.0f));
    Node mask;
    mask.name = add.name + ".mask";
    mask.op = "Mul";
    mask.inputs = {blocks[i].branch, zero};
    mask.outputs = {add_computed_value(result, mask.name, branch.dtype, branch.shape)};
    for (ValueId& input : add.inputs)
      if (input == blocks[i].branch) input = mask.outputs[0];
    insertions.before[blocks[i].add].push_back(std::move(mask));
  }
  insertions.apply(result);
  verify(result);
  return result;
}

std::vector<bool> select_blocks(const Graph& graph, const std::vector<ResidualBlock>& blocks,
                                const std::vector<std::string>& include, const std::vector<std::string>& exclude) {
  std::vector<bool> selected(blocks.size(), include.empty());
  const auto apply = [&](const std::vector<std::string>& globs, bool value) {
    for (const std::string& glob : globs) {
      bool any = false;
      for (size_t i = 0; i < blocks.size(); ++i) {
        if (!matches(glob, graph, blocks[i])) continue;
        selected[i] = value;
        any = true;
      }
      if (!any) fail_usage("'{}' matches no residual block of the model; `pare inspect --groups` lists them", glob);
    }
  };
  apply(include, true);
  apply(exclude, false);
  return selected;
}

}  // namespace pare
