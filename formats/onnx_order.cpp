#include "formats/onnx_order.hpp"

#include <functional>
#include <queue>
#include <unordered_map>

#include "formats/onnx_proto.hpp"
#include "formats/protobuf.hpp"

namespace pare {
namespace {

// Deeper subgraphs are refused when they are read.
constexpr int deepest_nesting = 60;

using Visit = std::function<void(std::string_view name)>;

// Calls `visit` for the names that the node reads: its inputs, and those of nodes in its subgraphs. Names that a
// subgraph defines are among them; they differ from all around.
void visit_inputs(std::string_view node, const Visit& visit, int depth = 0) {
  if (depth > deepest_nesting) return;
  auto reader = reader_of(node);
  while (reader.next()) {
    if (reader.tag() == onnx_proto::Node::input) {
      visit(payload_of(reader));
    } else if (reader.tag() == onnx_proto::Node::attribute) {
      auto attribute = reader_of(payload_of(reader));
      while (attribute.next(onnx_proto::Attribute::g)) {
        auto graph = reader_of(payload_of(attribute));
        while (graph.next()) {
          if (graph.tag() == onnx_proto::Graph::node) {
            visit_inputs(payload_of(graph), visit, depth + 1);
          } else if (graph.tag() == onnx_proto::Graph::output) {
            auto port = reader_of(payload_of(graph));
            while (port.next(onnx_proto::ValueInfo::name)) visit(payload_of(port));
          } else {
            graph.skip();
          }
        }
      }
    } else {
      reader.skip();
    }
  }
}

std::unordered_map<std::string_view, size_t> producers_of(const std::vector<std::string_view>& nodes) {
  std::unordered_map<std::string_view, size_t> producers;
  for (size_t i = 0; i < nodes.size(); ++i) {
    auto reader = reader_of(nodes[i]);
    while (reader.next(onnx_proto::Node::output))
      if (const std::string_view name = payload_of(reader); !name.empty()) producers.emplace(name, i);
  }
  return producers;
}

}  // namespace

std::vector<std::string_view> in_topological_order(std::vector<std::string_view> nodes) {
  const auto producers = producers_of(nodes);
  std::vector<std::vector<size_t>> readers(nodes.size());
  std::vector<size_t> missing(nodes.size(), 0);  // producers that are not placed yet
  bool sorted = true;
  for (size_t i = 0; i < nodes.size(); ++i)
    visit_inputs(nodes[i], [&](std::string_view name) {
      const auto found = producers.find(name);
      if (found == producers.end() || found->second == i) return;
      sorted = sorted && found->second < i;
      readers[found->second].push_back(i);
      ++missing[i];
    });
  if (sorted) return nodes;
  std::priority_queue<size_t, std::vector<size_t>, std::greater<>> ready;
  for (size_t i = 0; i < nodes.size(); ++i)
    if (missing[i] == 0) ready.push(i);
  std::vector<std::string_view> ordered;
  while (!ready.empty()) {
    const size_t next = ready.top();
    ready.pop();
    ordered.push_back(nodes[next]);
    for (const size_t reader : readers[next])
      if (--missing[reader] == 0) ready.push(reader);
  }
  return ordered.size() == nodes.size() ? ordered : nodes;
}

}  // namespace pare
