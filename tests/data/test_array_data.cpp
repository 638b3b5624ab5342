#include <vector>

#include <doctest/doctest.h>

#include "src/data/array_data.hpp"
#include "tests/data/data_files.hpp"

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

}  // namespace
}  // namespace pare
