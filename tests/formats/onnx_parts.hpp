// Parts of ONNX models as bytes, put together by hand: what the writer of pare would not write.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include <protozero/pbf_writer.hpp>

#include "src/graph/tensor.hpp"

namespace pare::test {

// A protobuf message under construction.
class Part {
 public:
  Part& text(uint32_t field, const std::string& value) {
    protozero::pbf_writer(bytes_).add_bytes(field, value);
    return *this;
  }
  Part& number(uint32_t field, int64_t value) {
    protozero::pbf_writer(bytes_).add_int64(field, value);
    return *this;
  }
  Part& texts(uint32_t field, const std::vector<std::string>& values) {
    for (const std::string& value : values) text(field, value);
    return *this;
  }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

inline std::string tensor_part(const std::string& name, const Tensor& tensor) {
  Part part;
  for (const int64_t size : tensor.shape) part.number(1, size);
  return part.number(2, static_cast<int>(tensor.dtype)).text(8, name).text(9, std::string(tensor.data.text())).bytes();
}

// Its data in another file.
inline std::string external_part(const std::string& name, DType dtype, const Shape& shape,
                                 const std::vector<std::pair<std::string, std::string>>& entries) {
  Part part;
  for (const int64_t size : shape) part.number(1, size);
  part.number(2, static_cast<int>(dtype)).text(8, name);
  for (const auto& [key, value] : entries) part.text(13, Part().text(1, key).text(2, value).bytes());
  return part.number(14, 1).bytes();
}

inline std::string port_part(const std::string& name, DType dtype, const Shape& shape) {
  Part sizes;
  for (const int64_t size : shape) sizes.text(1, size < 0 ? "" : Part().number(1, size).bytes());
  const std::string tensor = Part().number(1, static_cast<int>(dtype)).text(2, sizes.bytes()).bytes();
  return Part().text(1, name).text(2, Part().text(1, tensor).bytes()).bytes();
}

inline std::string graph_attribute(const std::string& name, const std::string& graph) {
  return Part().text(1, name).text(6, graph).number(20, 5).bytes();
}

inline std::string integer_attribute(const std::string& name, int64_t value) {
  return Part().text(1, name).number(3, value).number(20, 2).bytes();
}

// An attribute that is the enclosing function's.
inline std::string referring_attribute(const std::string& name, const std::string& reference) {
  return Part().text(1, name).text(21, reference).number(20, 2).bytes();
}

inline std::string node_part(const std::string& op, const std::vector<std::string>& inputs,
                             const std::vector<std::string>& outputs, const std::vector<std::string>& attributes = {},
                             const std::string& domain = "") {
  return Part().texts(1, inputs).texts(2, outputs).text(4, op).texts(5, attributes).text(7, domain).bytes();
}

struct GraphParts {
  std::vector<std::string> nodes;
  std::vector<std::string> initializers;
  std::vector<std::string> sparse;
  std::vector<std::string> inputs;
  std::vector<std::string> outputs;
};

inline std::string graph_part(const GraphParts& parts) {
  return Part()
      .texts(1, parts.nodes)
      .text(2, "graph")
      .texts(5, parts.initializers)
      .texts(15, parts.sparse)
      .texts(11, parts.inputs)
      .texts(12, parts.outputs)
      .bytes();
}

inline std::string opset_part(int64_t version, const std::string& domain = "") {
  return Part().text(1, domain).number(2, version).bytes();
}

inline std::string function_part(const std::string& domain, const std::string& name,
                                 const std::vector<std::string>& inputs, const std::vector<std::string>& outputs,
                                 const std::vector<std::string>& nodes, int64_t opset,
                                 const std::vector<std::string>& defaults = {}) {
  return Part()
      .text(1, name)
      .texts(4, inputs)
      .texts(5, outputs)
      .texts(7, nodes)
      .text(9, opset_part(opset))
      .text(10, domain)
      .texts(11, defaults)
      .bytes();
}

inline std::string model_part(const std::string& graph, const std::vector<std::string>& functions = {},
                              int64_t opset = 21) {
  return Part().number(1, 10).text(7, graph).text(8, opset_part(opset)).texts(25, functions).bytes();
}

}  // namespace pare::test
