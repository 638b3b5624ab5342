#include "src/exec/ops.hpp"

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

}  // namespace

const Tensor* Site::constant(size_t input) const {
  const ValueId id = node.input(input);
  if (id == no_value) return nullptr;
  const auto& constant = graph.value(id).constant;
  return constant ? &*constant : nullptr;
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
    if (site.node.op == row.op && site.node.domain == row.domain) return row.make(site);
  fail_input("{}: the operator is not supported", site.node.label());
}

}  // namespace pare
