// ONNX models made in memory: initializers and nothing that runs. Fields are written in the order of their numbers, as
// every serializer does.
#pragma once

#include <map>
#include <string>
#include <vector>

#include <protozero/pbf_writer.hpp>

#include "formats/model_io.hpp"
#include "formats/onnx_model.hpp"
#include "formats/provenance.hpp"

namespace pare::test {

inline std::string tensor_message(const NamedTensor& named, const std::string& doc = "") {
  std::string bytes;
  protozero::pbf_writer writer(bytes);
  writer.add_packed_int64(1, named.tensor.shape.begin(), named.tensor.shape.end());
  writer.add_int32(2, static_cast<int32_t>(named.tensor.dtype));
  writer.add_string(8, named.name);
  if (named.tensor.data.size() > 0) writer.add_bytes(9, named.tensor.data.text().data(), named.tensor.data.size());
  if (!doc.empty()) writer.add_string(12, doc);
  return bytes;
}

// A model with `tensors` as initializers, the first half of them, and Constant nodes, the others.
inline std::string model_message(const std::vector<NamedTensor>& tensors,
                                 const std::map<std::string, std::string>& metadata = {}, const std::string& doc = "") {
  std::string graph;
  protozero::pbf_writer graph_writer(graph);
  for (size_t i = tensors.size() / 2; i < tensors.size(); ++i) {
    std::string attribute;
    protozero::pbf_writer attribute_writer(attribute);
    attribute_writer.add_string(1, "value");
    attribute_writer.add_message(5, tensor_message(tensors[i], doc));
    attribute_writer.add_int32(20, 4);
    std::string node;
    protozero::pbf_writer node_writer(node);
    node_writer.add_string(2, tensors[i].name);
    node_writer.add_string(4, "Constant");
    node_writer.add_message(5, attribute);
    graph_writer.add_message(1, node);
  }
  graph_writer.add_string(2, "tiny");
  for (size_t i = 0; i < tensors.size() / 2; ++i) graph_writer.add_message(5, tensor_message(tensors[i], doc));
  std::string opset;
  protozero::pbf_writer(opset).add_int64(2, 21);
  std::string model;
  protozero::pbf_writer writer(model);
  writer.add_int64(1, 10);
  writer.add_message(7, graph);
  writer.add_message(8, opset);
  for (const auto& [key, value] : metadata) {
    std::string entry;
    protozero::pbf_writer entry_writer(entry);
    entry_writer.add_string(1, key);
    entry_writer.add_string(2, value);
    writer.add_message(14, entry);
  }
  return model;
}

inline Model model_of(const std::string& bytes) {
  Model model;
  model.onnx = open_onnx(Bytes::own(bytes), "");
  read_provenance(model);
  return model;
}

// Element i is i + 1, except that all whose index is not a multiple of `step` are zero.
template <class T>
NamedTensor sparse_tensor(const std::string& name, DType dtype, Shape shape, size_t step) {
  std::vector<T> values(static_cast<size_t>(element_count(shape)));
  for (size_t i = 0; i < values.size(); i += step) values[i] = static_cast<T>(i + 1);
  return {name, Tensor::of(dtype, std::move(shape), values)};
}

}  // namespace pare::test
