// Arithmetic, comparisons, Cast and Where on known values, with numpy broadcasting.
#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>

#include "src/graph/evaluate.hpp"

namespace pare {
namespace {

// The broadcast shape; nullopt when the shapes do not fit, or the result is too large.
std::optional<Shape> common_shape(const Shape& a, const Shape& b) {
  Shape result(std::max(a.size(), b.size()), 1);
  for (size_t i = 0; i < result.size(); ++i) {
    const int64_t x = i < a.size() ? a[a.size() - 1 - i] : 1;
    const int64_t y = i < b.size() ? b[b.size() - 1 - i] : 1;
    if (x != y && x != 1 && y != 1) return std::nullopt;
    result[result.size() - 1 - i] = x == 1 ? y : x;
  }
  if (element_count(result) > known_value_limit) return std::nullopt;
  return result;
}

// What an operator does to two numbers of one type; no value where the result is not defined (division by zero).
struct Binary {
  std::optional<int64_t> (*integers)(int64_t, int64_t);
  std::optional<double> (*reals)(double, double);  // null: integers only
  bool compares;                                   // the result is a bool
};

int64_t wrap(uint64_t value) { return static_cast<int64_t>(value); }
uint64_t bits(int64_t value) { return static_cast<uint64_t>(value); }

// C++ leaves the lowest number divided by -1 undefined.
bool divides(int64_t a, int64_t b) { return b != 0 && !(b == -1 && a == std::numeric_limits<int64_t>::min()); }

std::optional<int64_t> power(int64_t base, int64_t exponent) {
  if (exponent < 0 || exponent > 64) return std::nullopt;
  uint64_t result = 1;
  for (int64_t i = 0; i < exponent; ++i) result *= bits(base);
  return wrap(result);
}

// The sign is the divisor's, as in Python.
std::optional<int64_t> modulo(int64_t a, int64_t b) {
  if (!divides(a, b)) return std::nullopt;
  const int64_t rest = a % b;
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

struct BinaryRow {
  std::string_view op;
  Binary binary;
};

using Integer = std::optional<int64_t>;
using Real = std::optional<double>;

constexpr BinaryRow binaries[] = {
    {"Add",
     {[](int64_t a, int64_t b) -> Integer { return wrap(bits(a) + bits(b)); },
      [](double a, double b) -> Real { return a + b; }, false}},
    {"And", {[](int64_t a, int64_t b) -> Integer { return a != 0 && b != 0; }, nullptr, true}},
    {"Div",
     {[](int64_t a, int64_t b) -> Integer { return divides(a, b) ? Integer(a / b) : std::nullopt; },
      [](double a, double b) -> Real { return a / b; }, false}},
    {"Equal",
     {[](int64_t a, int64_t b) -> Integer { return a == b; }, [](double a, double b) -> Real { return a == b; }, true}},
    {"Greater",
     {[](int64_t a, int64_t b) -> Integer { return a > b; }, [](double a, double b) -> Real { return a > b; }, true}},
    {"GreaterOrEqual",
     {[](int64_t a, int64_t b) -> Integer { return a >= b; }, [](double a, double b) -> Real { return a >= b; }, true}},
    {"Less",
     {[](int64_t a, int64_t b) -> Integer { return a < b; }, [](double a, double b) -> Real { return a < b; }, true}},
    {"LessOrEqual",
     {[](int64_t a, int64_t b) -> Integer { return a <= b; }, [](double a, double b) -> Real { return a <= b; }, true}},
    {"Max",
     {[](int64_t a, int64_t b) -> Integer { return std::max(a, b); },
      [](double a, double b) -> Real { return std::max(a, b); }, false}},
    {"Min",
     {[](int64_t a, int64_t b) -> Integer { return std::min(a, b); },
      [](double a, double b) -> Real { return std::min(a, b); }, false}},
    {"Mod", {modulo, nullptr, false}},
    {"Mul",
     {[](int64_t a, int64_t b) -> Integer { return wrap(bits(a) * bits(b)); },
      [](double a, double b) -> Real { return a * b; }, false}},
    {"Or", {[](int64_t a, int64_t b) -> Integer { return a != 0 || b != 0; }, nullptr, true}},
    {"Pow", {power, [](double a, double b) -> Real { return std::pow(a, b); }, false}},
    {"Sub",
     {[](int64_t a, int64_t b) -> Integer { return wrap(bits(a) - bits(b)); },
      [](double a, double b) -> Real { return a - b; }, false}},
    {"Sum",
     {[](int64_t a, int64_t b) -> Integer { return wrap(bits(a) + bits(b)); },
      [](double a, double b) -> Real { return a + b; }, false}},
    {"Xor", {[](int64_t a, int64_t b) -> Integer { return (a != 0) != (b != 0); }, nullptr, true}},
};

Element applied(const Binary& binary, DType type, DType result, const Element& a, const Element& b) {
  if (!a.known || !b.known) return {};
  if (!is_float(type)) {
    const Integer value = binary.integers(a.integer, b.integer);
    return value ? converted({true, *value, 0}, DType::int64, result).value_or(Element{}) : Element{};
  }
  const Real value = binary.reals(a.real, b.real);
  return value ? converted({true, 0, *value}, DType::float64, result).value_or(Element{}) : Element{};
}

std::optional<KnownValue> combined(const Binary& binary, const KnownValue& a, const KnownValue& b) {
  // Pow takes an exponent of another type.
  if (is_float(a.dtype) != is_float(b.dtype) || (is_float(a.dtype) && binary.reals == nullptr)) return std::nullopt;
  const auto shape = common_shape(a.shape, b.shape);
  if (!shape) return std::nullopt;
  KnownValue result{binary.compares ? DType::boolean : a.dtype, *shape, {}, a.from_weights || b.from_weights};
  if (binary.compares) result.from_weights = false;
  for_each_index(*shape, [&](size_t, const Shape& at) {
    result.elements.push_back(applied(binary, a.dtype, result.dtype, a.elements[broadcast_position(a.shape, at)],
                                      b.elements[broadcast_position(b.shape, at)]));
  });
  return result;
}

Known evaluate_binary(const Evaluation& site) {
  const auto* row = std::find_if(std::begin(binaries), std::end(binaries),
                                 [&](const BinaryRow& binary) { return binary.op == site.node.op; });
  if (site.input(0) == nullptr || site.node.integer("fmod", 0) != 0) return std::nullopt;
  std::optional<KnownValue> result = *site.input(0);
  for (size_t i = 1; i < site.inputs.size() && result; ++i)
    result = site.input(i) == nullptr ? std::nullopt : combined(row->binary, *result, *site.input(i));
  if (!result) return std::nullopt;
  return {{std::move(*result)}};
}

// Half to even, as ONNX's Round.
double round_even(double value) { return std::nearbyint(value); }

struct UnaryRow {
  std::string_view op;
  double (*real)(double);       // null: not for floats
  int64_t (*integer)(int64_t);  // null: not for integers
};

constexpr UnaryRow unaries[] = {
    {"Abs", [](double x) { return std::fabs(x); }, [](int64_t x) { return x < 0 ? wrap(0 - bits(x)) : x; }},
    {"Ceil", [](double x) { return std::ceil(x); }, nullptr},
    {"Floor", [](double x) { return std::floor(x); }, nullptr},
    {"Identity", [](double x) { return x; }, [](int64_t x) { return x; }},
    {"Neg", [](double x) { return -x; }, [](int64_t x) { return wrap(0 - bits(x)); }},
    {"Not", nullptr, [](int64_t x) { return static_cast<int64_t>(x == 0); }},
    {"Reciprocal", [](double x) { return 1 / x; }, nullptr},
    {"Round", round_even, nullptr},
    {"Sign", nullptr, [](int64_t x) { return static_cast<int64_t>((x > 0) - (x < 0)); }},
    {"Sqrt", [](double x) { return std::sqrt(x); }, nullptr},
};

Known evaluate_unary(const Evaluation& site) {
  const auto* row = std::find_if(std::begin(unaries), std::end(unaries),
                                 [&](const UnaryRow& unary) { return unary.op == site.node.op; });
  const KnownValue* x = site.input(0);
  if (x == nullptr || (is_float(x->dtype) ? row->real == nullptr : row->integer == nullptr)) return std::nullopt;
  KnownValue result = *x;
  for (Element& element : result.elements) {
    if (!element.known) continue;
    if (is_float(x->dtype)) element.real = row->real(element.real);
    else element.integer = row->integer(element.integer);
    element = converted(element, x->dtype, x->dtype).value_or(Element{});
  }
  return {{std::move(result)}};
}

Known evaluate_cast(const Evaluation& site) {
  const KnownValue* x = site.input(0);
  const bool like = site.node.op == "CastLike";
  if (x == nullptr || (like && site.node.input(1) == no_value)) return std::nullopt;
  const DType type = like ? site.graph.value(site.node.input(1)).dtype : static_cast<DType>(site.node.integer("to", 0));
  if (!may_be_known(type)) return std::nullopt;
  KnownValue result{type, x->shape, {}, x->from_weights && is_float(type)};
  for (const Element& element : x->elements)
    result.elements.push_back(converted(element, x->dtype, type).value_or(Element{}));
  return {{std::move(result)}};
}

Known evaluate_where(const Evaluation& site) {
  const KnownValue* condition = site.input(0);
  const KnownValue* yes = site.input(1);
  const KnownValue* no = site.input(2);
  if (condition == nullptr || yes == nullptr || no == nullptr || yes->dtype != no->dtype) return std::nullopt;
  auto shape = common_shape(yes->shape, no->shape);
  if (shape) shape = common_shape(*shape, condition->shape);
  if (!shape) return std::nullopt;
  KnownValue result{yes->dtype, *shape, {}, yes->from_weights || no->from_weights};
  for_each_index(*shape, [&](size_t, const Shape& at) {
    const Element& choice = condition->elements[broadcast_position(condition->shape, at)];
    const KnownValue& chosen = choice.integer != 0 ? *yes : *no;
    result.elements.push_back(choice.known ? chosen.elements[broadcast_position(chosen.shape, at)] : Element{});
  });
  return {{std::move(result)}};
}

}  // namespace

Evaluator find_elementwise(std::string_view op) {
  if (op == "Cast" || op == "CastLike") return evaluate_cast;
  if (op == "Where") return evaluate_where;
  if (std::any_of(std::begin(binaries), std::end(binaries), [&](const BinaryRow& row) { return row.op == op; }))
    return evaluate_binary;
  if (std::any_of(std::begin(unaries), std::end(unaries), [&](const UnaryRow& row) { return row.op == op; }))
    return evaluate_unary;
  return nullptr;
}

}  // namespace pare
