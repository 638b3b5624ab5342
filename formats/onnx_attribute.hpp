// AttributeProto and ValueInfoProto: the parts of a graph that nest nothing but subgraphs.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/graph/graph.hpp"

namespace pare {

// AttributeProto.AttributeType; files before IR 2 leave the type out, and the field that is present tells it.
enum class AttributeType : int32_t {
  undefined = 0,
  real = 1,
  integer = 2,
  text = 3,
  tensor = 4,
  graph = 5,
  reals = 6,
  integers = 7,
  texts = 8
};

struct AttributeFields {
  std::string name;
  AttributeType type = AttributeType::undefined;
  std::string reference;  // inside a function: the attribute of the calling node that is meant
  float real = 0;
  int64_t integer = 0;
  std::string text;
  std::optional<Tensor> tensor;
  std::optional<std::string_view> graph;  // a GraphProto
  std::vector<float> reals;
  std::vector<int64_t> integers;
  std::vector<std::string> texts;

  // The value of every type but `graph`; nullopt for that, and for types that a Graph keeps as they are in the file.
  std::optional<Attribute> value() const;
};

// Decodes an AttributeProto that is a part of `owner`; external data of tensors is mapped from `folder`.
AttributeFields read_attribute(const Bytes& owner, std::string_view message, const std::string& folder);

// What a ValueInfoProto says.
struct ValueInfo {
  std::string name;
  DType dtype = DType::undefined;
  std::vector<Dim> dims;
  bool ranked = false;
};

ValueInfo read_value_info(std::string_view message);

}  // namespace pare
