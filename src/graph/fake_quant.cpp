#include "src/graph/fake_quant.hpp"

namespace pare {

bool is_fake_quant(const Node& node) { return node.domain == "pare" && node.op == "FakeQuant"; }

FakeQuantForm fake_quant_of(const Node& node) {
  const FakeQuantForm none;
  return {static_cast<int>(node.integer("lowest", none.lowest)),
          static_cast<int>(node.integer("highest", none.highest)),
          static_cast<int>(node.integer("zero_point", none.zero_point)),
          static_cast<int>(node.integer("axis", none.axis)), node.text("quantizer", none.quantizer)};
}

Node fake_quant_node(std::string name, const FakeQuantForm& form, std::vector<ValueId> inputs, ValueId output) {
  Node node;
  node.name = std::move(name);
  node.domain = "pare";
  node.op = "FakeQuant";
  node.inputs = std::move(inputs);
  node.outputs = {output};
  node.attributes = {{"lowest", int64_t{form.lowest}},
                     {"highest", int64_t{form.highest}},
                     {"zero_point", int64_t{form.zero_point}},
                     {"axis", int64_t{form.axis}},
                     {"quantizer", form.quantizer}};
  return node;
}

}  // namespace pare
