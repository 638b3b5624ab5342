#include "src/exec/ops.hpp"

#include <set>

#include <ATen/ops/_to_copy.h>

#include "src/core/error.hpp"

namespace pare {
namespace {

struct Row {
  std::string_view domain;
  std::string_view op;
  Step (*make)(const Site&);
};

constexpr Row rows[] = {
#define PARE_OP(domain, op, function, gradient, rule) {domain, #op, ops::function},
#include "src/graph/op_list.def"
#undef PARE_OP
};

// Arithmetic that ATen lacks on unsigned integers of 16 to 64 bits. In the next wider signed type it is the same; sums
// of 64 bits wrap around alike, while comparisons and quotients beyond 2^63 would differ.
bool calculates(std::string_view op) {
  static const std::set<std::string_view> ops = {"Abs",       "Add",         "BitShift", "BitwiseAnd", "BitwiseNot",
                                                 "BitwiseOr", "BitwiseXor",  "Div",      "Greater",    "GreaterOrEqual",
                                                 "Less",      "LessOrEqual", "Max",      "Min",        "Mod",
                                                 "Mul",       "Pow",         "Sub",      "Sum"};
  return ops.contains(op);
}

Step widened(Step step) {
  return [step = std::move(step)](const Call& call) {
    const at::ScalarType type = call.in[0].scalar_type();
    if (type != at::kUInt16 && type != at::kUInt32 && type != at::kUInt64) return step(call);
    std::vector<at::Tensor> wide;
    for (const at::Tensor& tensor : call.in) wide.push_back(tensor.to(type == at::kUInt16 ? at::kInt : at::kLong));
    step({wide, call.out, call.training});
    for (at::Tensor& tensor : call.out)
      if (tensor.scalar_type() != at::kBool) tensor = tensor.to(type);
  };
}

}  // namespace

const Tensor* Site::constant(size_t input) const {
  const ValueId id = node.input(input);
  if (id == no_value) return nullptr;
  const auto& constant = graph.value(id).constant;
  return constant ? &*constant : nullptr;
}

std::shared_ptr<PackedWeight> Site::packed(size_t input) const {
  return fixed_weights && constant(input) != nullptr ? std::make_shared<PackedWeight>() : nullptr;
}

std::optional<std::vector<int64_t>> Site::integers(size_t input) const {
  const Tensor* tensor = constant(input);
  return tensor != nullptr ? std::optional(to_int64(*tensor)) : std::nullopt;
}

std::vector<int64_t> integers_of(const at::Tensor& tensor) {
  const at::Tensor host = tensor.to(at::kCPU, at::kLong).contiguous();
  const auto* first = host.const_data_ptr<int64_t>();
  return {first, first + host.numel()};
}

Step make_step(const Site& site) {
  for (const Row& row : rows)
    if (site.node.op == row.op && site.node.domain == row.domain)
      return calculates(row.op) ? widened(row.make(site)) : row.make(site);
  fail_input("{}: the operator is not supported", site.node.label());
}

}  // namespace pare
