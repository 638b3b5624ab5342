#include <vector>

#include <doctest/doctest.h>

#include "src/data/array_data.hpp"
#include "tests/data/data_files.hpp"
#include "tests/support/graph_builder.hpp"

namespace pare {
namespace {

using test::failure_of;

NamedTensor floats(const std::string& name, Shape shape) {
  std::vector<float> values(static_cast<size_t>(element_count(shape)));
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  return {name, Tensor::of(DType::float32, std::move(shape), values)};
}

NamedTensor integers(const std::string& name, Shape shape) {
  const std::vector<int64_t> values(static_cast<size_t>(element_count(shape)), 1);
  return {name, Tensor::of(DType::int64, std::move(shape), values)};
}

std::vector<float> target_of(const Dataset& data, int64_t index) {
  std::vector<std::byte> scratch;
  const auto* values = reinterpret_cast<const float*>(data.stored_target(0, index, scratch));
  return {values, values + element_count(data.targets().at(0).shape)};
}

TEST_CASE("array data: integers a sample are classes, other labels are targets") {
  CHECK(dataset_of_arrays("d", {floats("x", {4, 2}), integers("y", {4})}, {})->labelled());
  CHECK(dataset_of_arrays("d", {floats("x", {4, 2}), integers("y", {4, 1})}, {})->labelled());
  const DatasetPtr regression = dataset_of_arrays("d", {floats("x", {4, 2}), floats("y", {4, 3})}, {});
  CHECK(!regression->labelled());
  CHECK(target_of(*regression, 2) == std::vector<float>{6, 7, 8});
  CHECK(target_of(*subset(regression, {3, 1}), 1) == std::vector<float>{3, 4, 5});
  CHECK(dataset_of_arrays("d", {integers("y", {4, 2})}, {})->fields().size() == 1);
}

TEST_CASE("array data: the parts of a data set are arrays whose names end so") {
  const std::vector<NamedTensor> arrays{floats("x_train", {6, 2}), integers("y_train", {6}), floats("x_test", {3, 2}),
                                        integers("y_test", {3}), integers("rate", {})};
  const DatasetPtr test_set = dataset_of_arrays("d", arrays, {"auto", "test", true, ""});
  CHECK(test_set->size() == 3);
  CHECK(test_set->labelled());
  REQUIRE(test_set->fields().size() == 2);
  CHECK(test_set->fields()[0].name == "x");
  CHECK(dataset_of_arrays("d", arrays, {"auto", "train", false, ""})->size() == 6);
  const std::vector<NamedTensor> whole{floats("x", {6, 2})};
  CHECK(dataset_of_arrays("d", whole, {"auto", "test", false, ""})->size() == 6);
  CHECK(failure_of([&] { dataset_of_arrays("d", whole, {"auto", "test", true, ""}); }).code == ExitCode::usage);
}

TEST_CASE("array data: data without samples, and labels without them, are refused") {
  CHECK(failure_of([] { dataset_of_arrays("d", {}, {}); }).code == ExitCode::bad_input);
  CHECK(failure_of([] { dataset_of_arrays("d", {floats("x", {0, 2})}, {}); }).code == ExitCode::bad_input);
  CHECK(failure_of([] { dataset_of_arrays("d", {floats("x", {})}, {}); }).code == ExitCode::bad_input);
  const test::Failure failure = failure_of([] {
    dataset_of_arrays("d", {floats("x", {4, 2}), integers("labels", {5})}, {});
  });
  CHECK(failure.code == ExitCode::bad_input);
  CHECK(failure.mentions("got 5 labels, 'x' has shape 4x2"));
}

// Of the fields: "input 576, state 2x1x128 shared".
std::string fields_of(const Dataset& data) {
  std::string text = fmt::format("{}:", data.size());
  for (const Field& field : data.fields())
    text += fmt::format(" {} {}{}", field.name, shape_text(field.shape), field.shared ? " shared" : "");
  return text;
}

TEST_CASE("array data: the model's fixed sizes tell samples from states, however many samples there are") {
  test::GraphBuilder builder;
  (void)builder.input("input", {1, 576});
  (void)builder.input("state", {2, 1, 128});
  const Graph voice = builder.finish(builder.input("sr", {}, DType::int64));
  DataRequest request;
  request.graph = &voice;
  const auto open = [&](std::vector<NamedTensor> arrays) {
    return fields_of(*dataset_of_arrays("d", std::move(arrays), request));
  };
  const NamedTensor state = floats("state", {2, 1, 128}), rate = integers("sr", {});
  const std::string shared = " state 2x1x128 shared sr " + shape_text({}) + " shared";
  for (const int64_t samples : {1, 2, 3})
    CHECK(open({floats("input", {samples, 576}), state, rate}) == fmt::format("{}: input 576{}", samples, shared));
  CHECK(open({state, floats("input", {2, 1, 576}), rate}) ==
        "2: state 2x1x128 shared input 1x576 sr " + shape_text({}) + " shared");
  // A state for each sample has a dimension more.
  CHECK(open({floats("input", {3, 576}), floats("state", {3, 2, 1, 128}), rate}) ==
        "3: input 576 state 2x1x128 sr " + shape_text({}) + " shared");
  // Other names are bound as --input says.
  request.named = {{"input", "wave"}, {"state", "h"}, {"sr", "rate"}};
  CHECK(open({floats("h", {2, 1, 128}), floats("wave", {1, 576}), integers("rate", {})}) ==
        "1: h 2x1x128 shared wave 576 rate " + shape_text({}) + " shared");
}

TEST_CASE("array data: a fixed batch size is no number of samples, an open one tells nothing") {
  test::GraphBuilder builder;
  (void)builder.input("x", {4, 3});
  const Graph fixed = builder.finish(builder.input("mask", {4, 2}));
  DataRequest request;
  request.graph = &fixed;
  CHECK(fields_of(*dataset_of_arrays("d", {floats("x", {4, 3}), floats("mask", {4, 2})}, request)) == "4: x 3 mask 2");
  CHECK(fields_of(*dataset_of_arrays("d", {floats("x", {9, 3}), floats("mask", {9, 2})}, request)) == "9: x 3 mask 2");
  test::GraphBuilder other;
  (void)other.input("bias", {-1, 3});
  const Graph any = other.finish(other.input("x", {-1, 3}));
  request.graph = &any;
  CHECK(fields_of(*dataset_of_arrays("d", {floats("bias", {1, 3}), floats("x", {5, 3})}, request)) ==
        "5: bias 1x3 shared x 3");
}

}  // namespace
}  // namespace pare
