#include <vector>

#include <doctest/doctest.h>

#include "src/data/array_data.hpp"
#include "src/data/binding.hpp"
#include "src/data/loader.hpp"
#include "tests/data/data_files.hpp"
#include "tests/support/graph_builder.hpp"

namespace pare {
namespace {

using test::failure_of;

struct Wanted {
  std::string name;
  Shape shape;
  DType dtype = DType::float32;
};

Graph model(const std::vector<Wanted>& inputs) {
  test::GraphBuilder builder;
  ValueId last = no_value;
  for (const Wanted& input : inputs) last = builder.input(input.name, input.shape, input.dtype);
  return builder.finish(last);
}

NamedTensor array(const std::string& name, DType dtype, Shape shape) {
  std::vector<std::byte> bytes(static_cast<size_t>(element_count(shape) * dtype_bits(dtype) / 8));
  return {name, Tensor::of(dtype, std::move(shape), bytes)};
}

DatasetPtr data(std::vector<NamedTensor> arrays) { return dataset_of_arrays("data.npz", std::move(arrays), {}); }

test::Failure failure(const Graph& graph, std::vector<NamedTensor> arrays,
                      const std::vector<NamedBinding>& named = {}) {
  const DatasetPtr dataset = data(std::move(arrays));
  const test::Failure result = failure_of([&] { bind_inputs(graph, *dataset, named); });
  CAPTURE(result.message);
  return result;
}

TEST_CASE("binding: by explicit name, by the same name, by number, and the last to the last") {
  const Graph graph =
      model({{"ids", {-1, 8}, DType::int64}, {"mask", {-1, 8}, DType::int64}, {"values", {-1, 3}}, {"rest", {-1, 1}}});
  const DatasetPtr dataset = data({array("other", DType::float32, {5, 1}), array("mask", DType::int32, {5, 8}),
                                   array("input_2", DType::float32, {5, 3}), array("tokens", DType::int64, {5, 8})});
  const Binding binding = bind_inputs(graph, *dataset, {{"ids", "tokens"}});
  CHECK(binding.batch == 0);
  std::vector<size_t> fields;
  std::vector<bool> preprocessed;
  for (const BoundInput& input : binding.inputs) {
    fields.push_back(input.field);
    preprocessed.push_back(input.preprocessed);
  }
  CHECK(fields == std::vector<size_t>{3, 1, 2, 0});
  CHECK(preprocessed == std::vector<bool>{false, false, true, false});
  CHECK(binding.inputs[1].dtype == DType::int64);
}

TEST_CASE("binding: one array goes to one input whatever they are called") {
  const DatasetPtr dataset = data({array("pixels", DType::uint8, {5, 1, 4, 4})});
  CHECK(bind_inputs(model({{"image", {-1, 1, 4, 4}}}), *dataset, {}).inputs == std::vector<BoundInput>{{}});
}

TEST_CASE("binding: a fixed batch dimension, a state for all samples and whole samples set the batch size") {
  CHECK(bind_inputs(model({{"x", {4, 2}}}), *data({array("x", DType::float32, {6, 2})}), {}).batch == 4);
  const Graph stateful = model({{"x", {-1, 2}}, {"state", {2, -1, 3}}, {"rate", {}, DType::int64}});
  const Binding binding = bind_inputs(stateful,
                                      *data({array("x", DType::float32, {6, 2}), array("rate", DType::int32, {}),
                                             array("state", DType::float32, {2, 1, 3})}),
                                      {});
  CHECK(binding.batch == 1);
  const Binding whole = bind_inputs(model({{"x", {-1, 2}}}), *data({array("x", DType::float32, {6, 1, 2})}), {});
  CHECK(whole.batch == 1);
  CHECK(whole.inputs[0].whole);
  CHECK(failure(model({{"x", {2, 2}}, {"z", {3, 2}}}),
                {array("x", DType::float32, {6, 2}), array("z", DType::float32, {6, 2})})
            .mentions("batches of 3"));
}

TEST_CASE("binding: what does not fit names the dimension and both sides") {
  const Graph graph = model({{"image", {-1, 3, 8, 8}}});
  const test::Failure size = failure(graph, {array("x", DType::uint8, {5, 3, 8, 9})});
  CHECK(size.code == ExitCode::bad_input);
  CHECK(size.mentions("'x', uint8 3x8x9, do not fit input image float32[?,3,8,8] (in dimension 3 got 9, expected 8)"));
  CHECK(failure(graph, {array("x", DType::uint8, {5, 192})}).mentions("got 1 dimensions, expected 3"));
  CHECK(failure(graph, {array("x", DType::uint8, {5, 8, 8, 3})}).mentions("channels are at the other end"));
  const test::Failure unbound = failure(model({{"a", {-1, 2}}, {"b", {-1, 2}}}), {array("x", DType::float32, {5, 2})});
  CHECK(unbound.code == ExitCode::bad_input);
  CHECK(unbound.mentions("no array for input a float32[?,2] (got x float32 2); give --input a=KEY"));
  CHECK(failure(graph, {array("x", DType::uint8, {5, 3, 8, 8})}, {{"imag", "x"}}).mentions("did you mean 'image'"));
  const test::Failure key = failure(graph, {array("pixels", DType::uint8, {5, 3, 8, 8})}, {{"image", "pixel"}});
  CHECK(key.code == ExitCode::usage);
  CHECK(key.mentions("did you mean 'pixels'"));
}

TEST_CASE("binding: batches hold every input in its own type, with shared arrays once") {
  const Graph graph = model({{"x", {-1, 2}}, {"ids", {-1, 2}, DType::int32}, {"rate", {}, DType::int64}});
  const DatasetPtr dataset =
      data({{"x", Tensor::of(DType::uint8, {3, 2}, std::vector<uint8_t>{0, 51, 102, 153, 204, 255})},
            {"ids", Tensor::of(DType::int64, {3, 2}, std::vector<int64_t>{1, 2, 3, 4, 5, 6})},
            {"rate", Tensor::of(DType::int32, {}, std::vector<int32_t>{16000})},
            {"y", Tensor::of(DType::float32, {3}, std::vector<float>{7, 8, 9})}});
  LoaderConfig config;
  config.batch = 2;
  config.binding = bind_inputs(graph, *dataset, {});
  Loader loader(*dataset, config);
  loader.start(0);
  const Batch* batch = loader.next();
  REQUIRE(batch != nullptr);
  REQUIRE(batch->inputs.size() == 3);
  CHECK(batch->inputs[0].shape == Shape{2, 2});
  CHECK(batch->inputs[0].as<float>()[3] == 0.6f);
  CHECK(batch->inputs[1].as<int32_t>()[3] == 4);
  CHECK(batch->inputs[2].shape.empty());
  CHECK(batch->inputs[2].as<int64_t>()[0] == 16000);
  CHECK(batch->targets.at(0).as<float>()[1] == 8.0f);
  batch = loader.next();
  REQUIRE(batch != nullptr);
  CHECK(batch->inputs[1].shape == Shape{1, 2});
  CHECK(batch->inputs[1].as<int32_t>()[1] == 6);
  CHECK(loader.next() == nullptr);
}

TEST_CASE("binding: the last batch of a model with a fixed batch size is filled up with its last sample") {
  const DatasetPtr dataset = data({{"x", Tensor::of(DType::float32, {3, 1}, std::vector<float>{1, 2, 3})}});
  LoaderConfig config;
  config.binding = bind_inputs(model({{"x", {2, 1}}}), *dataset, {});
  Loader loader(*dataset, config);
  loader.start(0);
  CHECK(loader.next()->size == 2);
  const Batch* batch = loader.next();
  REQUIRE(batch != nullptr);
  CHECK(batch->size == 1);
  CHECK(batch->rows == 2);
  CHECK(batch->inputs[0].shape == Shape{2, 1});
  CHECK(batch->inputs[0].as<float>()[1] == 3.0f);
}

TEST_CASE("binding: a value that the input cannot have names sample, array and value") {
  const DatasetPtr dataset = data({{"ids", Tensor::of(DType::int64, {2, 1}, std::vector<int64_t>{1, 1ll << 40})}});
  LoaderConfig config;
  config.binding = bind_inputs(model({{"ids", {-1, 1}, DType::int32}}), *dataset, {});
  Loader loader(*dataset, config);
  loader.start(0);
  const test::Failure failure = failure_of([&] { loader.next(); });
  CHECK(failure.code == ExitCode::bad_input);
  CHECK(
      failure.mentions("data.npz: sample 1: 'ids' has a value that the model's input cannot have (got 1099511627776"));
}

TEST_CASE("binding: images are turned to the layout that is asked for") {
  const Graph last = model({{"image", {-1, 4, 5, 3}}});
  const Graph first = model({{"image", {-1, 3, 4, 5}}});
  const DatasetPtr planes = data({array("pixels", DType::uint8, {2, 3, 4, 5})});
  const DatasetPtr pixels = data({array("pixels", DType::uint8, {2, 4, 5, 3})});
  const auto order = [](const Graph& graph, const DatasetPtr& dataset, Layout layout) {
    return bind_inputs(graph, *dataset, {}, layout).inputs.at(0).order;
  };
  CHECK((order(last, planes, Layout::nhwc) == ChannelOrder{false, true}));
  CHECK((order(last, pixels, Layout::nhwc) == ChannelOrder{true, true}));
  CHECK((order(first, pixels, Layout::nchw) == ChannelOrder{true, false}));
  CHECK((order(first, planes, Layout::nchw) == ChannelOrder{}));
  // What is not preprocessed is copied as it is.
  const Graph bytes = model({{"image", {-1, 4, 5, 3}, DType::uint8}});
  CHECK(failure_of([&] { order(bytes, planes, Layout::nhwc); }).mentions("channels are at the other end"));
}

TEST_CASE("binding: turned images reach the batch") {
  const auto planes = test::counting(3, {2, 2, 3}, 0);
  const Graph last = model({{"image", {-1, 2, 3, 2}}});
  LoaderConfig config;
  config.preprocess.scale = 1.0;
  config.binding = bind_inputs(last, *planes, {}, Layout::nhwc);
  Loader loader(*planes, config);
  loader.start(0);
  const Batch* batch = loader.next();
  REQUIRE(batch != nullptr);
  CHECK(batch->inputs[0].shape == Shape{3, 2, 3, 2});
  const auto values = batch->inputs[0].as<float>();
  for (int64_t sample = 0; sample < 3; ++sample)
    for (int64_t pixel = 0; pixel < 6; ++pixel)
      for (int64_t channel = 0; channel < 2; ++channel)
        CHECK((values[static_cast<size_t>(sample * 12 + pixel * 2 + channel)] ==
               planes->value(sample, channel * 6 + pixel)));
}

}  // namespace
}  // namespace pare
